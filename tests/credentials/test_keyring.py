"""The file of secrets: readable by its owner only, whole or not there, and rotated without a break."""

import json
import os
import re
import stat
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from licet.credentials.keyring import (
    FILE_NAME,
    KEY_BYTES,
    KEY_ID_MAX,
    KEYS_MAX,
    SIGNS_AFTER_MS,
    Keyring,
    KeyringUnusable,
    TokenKey,
    _decode,
    new_keyring,
    read_keyring,
    write_keyring,
)

NOW_MS = 1_700_000_000_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / FILE_NAME


def written(path: Path, keyring: Keyring | None = None) -> Keyring:
    made = keyring or new_keyring(NOW_MS)
    write_keyring(path, made)
    return made


class TestFile:
    """Reading and writing."""

    def test_what_is_written_is_read(self, path: Path) -> None:
        """With all of its keys, in their order."""
        keyring = written(path, new_keyring(NOW_MS).rotated(NOW_MS + 1))
        assert read_keyring(path) == keyring

    def test_a_file_of_the_first_release_is_read(self, path: Path) -> None:
        """A key signed half a second after it was made, and nothing said so."""
        keyring = written(path, new_keyring(NOW_MS).rotated(NOW_MS + 1000))
        content = json.loads(path.read_bytes())
        for key in content["token_keys"]:
            del key["signs_at_ms"]
        path.write_text(json.dumps(content), encoding="ascii")
        assert read_keyring(path) == keyring

    @pytest.mark.parametrize("umask", [0, 0o022, 0o077])
    def test_only_its_owner_may_read_it(self, path: Path, umask: int) -> None:
        """Whatever the process is told to give away otherwise."""
        before = os.umask(umask)
        try:
            written(path)
        finally:
            os.umask(before)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600

    @pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601, 0o666])
    def test_a_file_that_others_may_touch_is_refused_with_the_remedy(self, path: Path, mode: int) -> None:
        """Who can write it can sign tokens as well."""
        written(path)
        path.chmod(mode)
        with pytest.raises(KeyringUnusable, match=re.escape(f"chmod 600 {path}")):
            read_keyring(path)

    def test_a_file_that_is_not_there_names_the_verb_that_makes_it(self, path: Path) -> None:
        """What to do stands in the error."""
        with pytest.raises(KeyringUnusable, match="put back a copy of it"):
            read_keyring(path)

    def test_a_directory_in_its_place_is_no_file(self, tmp_path: Path) -> None:
        """Neither for reading nor for writing, and nothing secret is left behind."""
        with pytest.raises(KeyringUnusable, match="cannot be read"):
            read_keyring(tmp_path)
        place = tmp_path / FILE_NAME
        (place / "something").mkdir(parents=True)
        with pytest.raises(KeyringUnusable, match="cannot be written"):
            written(place)
        assert list(tmp_path.iterdir()) == [place]

    def test_a_file_in_a_directory_that_is_not_there_cannot_be_written(self, tmp_path: Path) -> None:
        """The directory is `licet init`'s to make."""
        with pytest.raises(KeyringUnusable, match="cannot be written"):
            written(tmp_path / "nowhere" / FILE_NAME)

    def test_a_new_file_takes_the_place_of_the_old_one_at_once(self, path: Path) -> None:
        """A reader finds the old file or the new one, never half of one."""
        first = written(path)
        with path.open("rb") as reader:
            second = written(path)
            old = reader.read()
        assert read_keyring(path) == second
        assert _decode(old) == first
        assert list(path.parent.iterdir()) == [path]

    def test_what_a_crash_left_behind_does_not_stop_the_next_write(self, path: Path) -> None:
        """A draft that was begun before has another name, and nobody reads it."""
        draft = path.with_name(f".{FILE_NAME}.0123456789abcdef")
        draft.write_text("half", encoding="ascii")
        keyring = written(path)
        assert read_keyring(path) == keyring
        assert sorted(path.parent.iterdir()) == [draft, path]

    def test_a_write_that_was_done_survives_a_loss_of_power(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """L9: the file's content first, then the directory that names it."""
        synced: list[bool] = []
        really = os.fsync

        def fsync(descriptor: int) -> None:
            synced.append(stat.S_ISDIR(os.fstat(descriptor).st_mode))
            really(descriptor)

        monkeypatch.setattr(os, "fsync", fsync)
        written(path)
        assert synced == [False, True]

    def test_no_secret_is_shown_by_accident(self) -> None:
        """S30: a log or a traceback may show the values."""
        keyring = new_keyring(NOW_MS)
        shown = f"{keyring!r} {keyring.newest!r} {keyring} {keyring.newest}"
        for secret in (keyring.pepper, keyring.newest.key):
            assert repr(secret) not in shown


class TestDamage:
    """A file that is not as it was written is refused, and the error says so."""

    @pytest.mark.parametrize(
        "change",
        [
            {"token_keys": []},
            {"token_keys": None},
            {"token_keys": "abc"},
            {"token_keys": [{}]},
            {"token_keys": [1]},
            {"pepper": None},
            {"pepper": ""},
            {"pepper": "c2hvcnQ="},
            {"pepper": "not base64"},
            {"pepper": "ü"},
            {"pepper": 7},
        ],
        ids=str,
    )
    def test_a_part_that_is_missing_or_of_the_wrong_kind_is_damage(
        self, path: Path, change: dict[str, object]
    ) -> None:
        """The copy that an administrator kept mends it."""
        written(path)
        content = json.loads(path.read_bytes()) | change
        path.write_text(json.dumps(content), encoding="utf-8")
        with pytest.raises(KeyringUnusable, match="damaged; put back a copy"):
            read_keyring(path)

    @pytest.mark.parametrize("number", [0, -1, KEY_ID_MAX + 1, None, "x", []])
    def test_a_key_id_that_no_token_can_have_is_damage(self, path: Path, number: object) -> None:
        """It is one byte, and not 0."""
        written(path)
        content = json.loads(path.read_bytes())
        content["token_keys"][0]["id"] = number
        path.write_text(json.dumps(content), encoding="utf-8")
        with pytest.raises(KeyringUnusable, match="damaged"):
            read_keyring(path)

    def test_two_keys_of_one_id_are_damage(self, path: Path) -> None:
        """Only one of them would be asked."""
        key = new_keyring(NOW_MS).newest
        written(path, Keyring(token_keys=(key, key), pepper=bytes(KEY_BYTES)))
        with pytest.raises(KeyringUnusable, match="damaged"):
            read_keyring(path)

    def test_a_file_that_was_cut_off_is_damage(self, path: Path) -> None:
        """Wherever it ends."""
        written(path)
        whole = path.read_bytes()
        for length in range(len(whole)):
            path.write_bytes(whole[:length])
            with pytest.raises(KeyringUnusable, match="damaged"):
                read_keyring(path)

    @given(st.binary(max_size=100))
    @example(b"\xff\xfe")
    @example(b"null")
    def test_any_bytes_are_damage(self, tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
        """And no other exception, which would be a bug to whoever starts the server."""
        path = tmp_path_factory.getbasetemp() / FILE_NAME
        path.write_bytes(content)
        path.chmod(0o600)
        with pytest.raises(KeyringUnusable, match="damaged"):
            read_keyring(path)


class TestRotation:
    """New keys sign, old ones are still accepted until they are pruned."""

    def test_a_rotation_adds_a_key_that_is_the_newest(self) -> None:
        """The pepper stays: what it keyed cannot be keyed anew."""
        first = new_keyring(NOW_MS)
        second = first.rotated(NOW_MS + 1)
        assert second.token_keys[0] == first.newest
        assert second.newest.id == first.newest.id + 1
        assert second.newest.key != first.newest.key
        assert second.newest.created_at_ms == NOW_MS + 1
        assert second.pepper == first.pepper

    def test_a_new_key_signs_when_all_servers_of_the_machine_have_it(self) -> None:
        """Half a second later, unless somebody wants it otherwise."""
        keyring = new_keyring(NOW_MS).rotated(NOW_MS + 1000)
        assert keyring.signing(NOW_MS + 1000 + SIGNS_AFTER_MS - 1).id == 1
        assert keyring.signing(NOW_MS + 1000 + SIGNS_AFTER_MS).id == 2

    def test_a_new_key_can_wait_until_all_machines_have_it(self) -> None:
        """And a later one may be in a hurry."""
        waiting = new_keyring(NOW_MS).rotated(NOW_MS, signs_after_ms=3_600_000)
        assert waiting.signing(NOW_MS + 3_599_999).id == 1
        assert waiting.signing(NOW_MS + 3_600_000).id == 2
        hasty = waiting.rotated(NOW_MS + 1000)
        assert hasty.signing(NOW_MS + 2000).id == hasty.signing(NOW_MS + 3_600_000).id == 3

    def test_pruning_leaves_the_key_that_signs(self) -> None:
        """What older ones signed is no longer accepted."""
        rotated = new_keyring(NOW_MS).rotated(NOW_MS)
        pruned = rotated.pruned(NOW_MS)
        assert pruned.token_keys == (rotated.newest,)
        assert pruned.pepper == rotated.pepper

    def test_pruning_leaves_a_key_that_does_not_sign_yet(self) -> None:
        """And the one that signs until then."""
        keyring = new_keyring(NOW_MS).rotated(NOW_MS).rotated(NOW_MS, signs_after_ms=3_600_000)
        assert [key.id for key in keyring.pruned(NOW_MS).token_keys] == [2, 3]
        assert [key.id for key in keyring.pruned(NOW_MS + 3_600_000).token_keys] == [3]

    def test_there_are_never_too_many_keys(self) -> None:
        """The error names the verb that helps."""
        keyring = new_keyring(NOW_MS)
        for _ in range(KEYS_MAX - 1):
            keyring = keyring.rotated(NOW_MS)
        with pytest.raises(KeyringUnusable, match="remove the older ones first"):
            keyring.rotated(NOW_MS)

    def test_ids_come_round_and_never_meet(self) -> None:
        """The id after 255 is the first that is free."""
        keys = tuple(
            TokenKey(id=number, key=bytes(KEY_BYTES), created_at_ms=0, signs_at_ms=0)
            for number in (1, 2, 255)
        )
        assert Keyring(token_keys=keys, pepper=b"").rotated(NOW_MS).newest.id == 3

    def test_every_keyring_has_secrets_of_its_own(self) -> None:
        """256 bits each."""
        made = [new_keyring(NOW_MS) for _ in range(100)]
        secrets = {it.pepper for it in made} | {it.newest.key for it in made}
        assert len(secrets) == 200
        assert {len(secret) for secret in secrets} == {KEY_BYTES}
