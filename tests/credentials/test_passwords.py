"""Passwords, generated client secrets, and what is remembered of passwords that were right."""

import re

import pytest
from argon2 import PasswordHasher, extract_parameters
from argon2.exceptions import VerifyMismatchError
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from licet.clock import ManualClock
from licet.credentials.generated import SECRET_PREFIX, ClientSecrets, NewClientSecret
from licet.credentials.passwords import (
    PASSWORD_CHARS_MAX,
    PASSWORD_CHARS_MIN,
    Passwords,
    Remembered,
    about_user,
    check_password,
)
from licet.model import Client, ClientSecret, InvalidValue, User
from support.examples import client, jim_test

NOW_MS = 1_700_000_000_000
PASSWORDS = Passwords(memory_kib=8, time_cost=1)  # as weak as Argon2 can be, for its speed
PASSWORD = "password"


def user(password_hash: str | None) -> User:
    return User(initials="TC", name="Test Client", password_hash=password_hash)


class TestPasswords:
    """Argon2id, which costs time on purpose."""

    def test_a_password_is_kept_under_argon2id_of_19_mib_and_two_passes(self) -> None:
        """The least that OWASP's cheat sheet on password storage asks."""
        kept = extract_parameters(Passwords().hash(PASSWORD))
        assert kept.type.name == "ID"
        assert (kept.memory_cost, kept.time_cost, kept.parallelism) == (19 * 1024, 2, 1)
        assert kept.salt_len >= 16

    def test_the_same_password_is_never_kept_the_same(self) -> None:
        """Each has a salt of its own."""
        assert PASSWORDS.hash(PASSWORD) != PASSWORDS.hash(PASSWORD)

    def test_a_password_is_right_to_the_letter(self) -> None:
        """RFC 6749 1.9: values are case sensitive."""
        kept = user(PASSWORDS.hash(PASSWORD))
        assert PASSWORDS.verify(kept, PASSWORD)
        for wrong in ("Password", "password ", " password", "passwor", "password\0", "", "pässword"):
            assert not PASSWORDS.verify(kept, wrong)

    def test_the_hash_itself_is_not_the_password(self) -> None:
        """S17: who has read the store cannot log in with what stands there."""
        kept = PASSWORDS.hash(PASSWORD)
        assert not PASSWORDS.verify(user(kept), kept)

    @pytest.mark.parametrize("kept", [None, "", "password", "$argon2id$v=19$m=8,t=1,p=1$", "$2b$12$abc"])
    def test_what_is_no_hash_lets_nobody_in(self, kept: str | None) -> None:
        """Neither a user without a password nor a row that was changed by hand."""
        for password in (PASSWORD, "", kept or ""):
            assert not PASSWORDS.verify(user(kept), password)

    def test_nobody_has_no_password(self) -> None:
        """S16: an unknown user is checked all the same, against what nobody knows."""
        assert not PASSWORDS.verify(None, PASSWORD)

    def test_nobody_is_checked_with_the_parameters_of_a_hash_that_is_kept(self) -> None:
        """Else an answer would come earlier where there is no such user."""
        nobody, kept = PASSWORDS._nobody, PASSWORDS.hash(PASSWORD)
        assert extract_parameters(nobody) == extract_parameters(kept)
        assert [len(it) for it in nobody.split("$")] == [len(it) for it in kept.split("$")]
        with pytest.raises(VerifyMismatchError):
            PASSWORDS._hasher.verify(nobody, PASSWORD)
        assert Passwords(memory_kib=8, time_cost=1)._nobody != nobody

    def test_a_start_hashes_no_password(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Of the parameters that a server has, a hash takes a twentieth of its start."""
        monkeypatch.setattr(PasswordHasher, "hash", pytest.fail)
        assert not Passwords(memory_kib=8, time_cost=1).verify(None, PASSWORD)

    def test_a_hash_of_weaker_parameters_is_outdated_and_still_good(self) -> None:
        """It is upgraded at the next good login."""
        stronger = Passwords(memory_kib=16, time_cost=1)
        kept = PASSWORDS.hash(PASSWORD)
        assert stronger.is_outdated(kept)
        assert stronger.verify(user(kept), PASSWORD)
        assert not stronger.is_outdated(stronger.hash(PASSWORD))

    @pytest.mark.parametrize(
        ("password", "allowed"),
        [
            ("", "8 to 256"),
            ("x" * (PASSWORD_CHARS_MIN - 1), "8 to 256"),
            ("x" * (PASSWORD_CHARS_MAX + 1), "8 to 256"),
            ("pass\0word", "control"),
            ("pass\nword", "control"),
            (f"{SECRET_PREFIX}password", "begin with lcs_"),
        ],
    )
    def test_what_may_not_be_a_password_is_refused_with_what_may(self, password: str, allowed: str) -> None:
        """And is never shown, as it may be somebody's password elsewhere."""
        for check in (check_password, PASSWORDS.hash):
            with pytest.raises(InvalidValue, match=re.escape(allowed)) as raised:
                check(password)
            assert not password or password not in str(raised.value)

    @pytest.mark.parametrize("password", ["x" * PASSWORD_CHARS_MIN, "x" * PASSWORD_CHARS_MAX, "é :+%&=\"'\\"])
    def test_a_password_may_have_any_printable_characters(self, password: str) -> None:
        """S09: also those that a form or a header treats in its own way."""
        assert PASSWORDS.verify(user(PASSWORDS.hash(password)), password)


def keep(secret: NewClientSecret, expires_at_ms: int | None = None) -> ClientSecret:
    return ClientSecret(
        secret_id=secret.secret_id,
        hash=secret.hash,
        created_at_ms=NOW_MS,
        expires_at_ms=expires_at_ms,
        last_used_at_ms=None,
    )


def having(*secrets: ClientSecret) -> Client:
    return client(1, "TestClientId", "TC", secrets=secrets)


class TestClientSecrets:
    """Generated secrets, under a keyed fast hash."""

    made = ClientSecrets(b"pepper" * 6)

    def test_a_secret_is_found_among_those_of_its_client(self) -> None:
        """S18: several overlap in a rotation."""
        first, second = self.made.generate(), self.made.generate()
        both = having(keep(first), keep(second))
        assert self.made.find(both, first.secret, NOW_MS) == keep(first)
        assert self.made.find(both, second.secret, NOW_MS) == keep(second)

    def test_a_secret_has_256_random_bits_and_a_prefix_for_scanners(self) -> None:
        """S18; RFC 6749 10.10."""
        secrets = [self.made.generate() for _ in range(1000)]
        for secret in secrets:
            assert re.fullmatch(r"lcs_[A-Za-z0-9_-]{12}[A-Za-z0-9_-]{43}", secret.secret)
            assert secret.secret.startswith(SECRET_PREFIX + secret.secret_id)
        assert len({it.secret[-43:] for it in secrets}) == len({it.secret_id for it in secrets}) == 1000

    def test_an_altered_secret_is_not_found(self) -> None:
        """Also where its id is right."""
        secret = self.made.generate()
        owner = having(keep(secret))
        for at in range(len(secret.secret)):
            other = "A" if secret.secret[at] != "A" else "B"
            assert self.made.find(owner, secret.secret[:at] + other + secret.secret[at + 1 :], NOW_MS) is None
        for wrong in (
            secret.secret[:-1],
            secret.secret + "A",
            "",
            SECRET_PREFIX,
            SECRET_PREFIX + secret.secret_id,
        ):
            assert self.made.find(owner, wrong, NOW_MS) is None

    def test_the_hash_itself_is_not_the_secret(self) -> None:
        """S17."""
        secret = self.made.generate()
        for spelled in (secret.hash.hex(), secret.hash.decode("latin-1")):
            for tried in (spelled, SECRET_PREFIX + secret.secret_id + spelled):
                assert self.made.find(having(keep(secret)), tried, NOW_MS) is None

    def test_a_secret_of_another_client_or_of_none_is_not_found(self) -> None:
        """S16: an unknown client costs the same hash."""
        secret = self.made.generate()
        assert self.made.find(having(keep(self.made.generate())), secret.secret, NOW_MS) is None
        assert self.made.find(having(), secret.secret, NOW_MS) is None
        assert self.made.find(None, secret.secret, NOW_MS) is None

    def test_a_secret_ends_at_the_very_moment(self) -> None:
        """S18: it is good while the clock shows less."""
        secret = self.made.generate()
        owner = having(keep(secret, expires_at_ms=NOW_MS + 1))
        assert self.made.find(owner, secret.secret, NOW_MS) is not None
        assert self.made.find(owner, secret.secret, NOW_MS + 1) is None

    def test_a_secret_is_worth_nothing_under_another_pepper(self) -> None:
        """Who has the store alone cannot even check a guess."""
        secret = self.made.generate()
        assert ClientSecrets(b"other").find(having(keep(secret)), secret.secret, NOW_MS) is None

    @given(st.text(max_size=80))
    def test_any_text_is_looked_up_and_not_found(self, text: str) -> None:
        """S08."""
        owner = having(keep(self.made.generate()))
        for tried in (text, SECRET_PREFIX + text, SECRET_PREFIX + owner.secrets[0].secret_id + text):
            assert self.made.find(owner, tried, NOW_MS) is None

    def test_the_secret_is_not_shown_by_accident(self) -> None:
        """S30."""
        secret = self.made.generate()
        assert secret.secret not in f"{secret} {secret!r}"
        assert repr(secret.hash) not in f"{secret} {secret!r}"


class TestNewPasswords:
    """What a person may choose."""

    owner = User(initials="JM", name="Jane Marple", password_hash=None)
    tenant = jim_test(clients=(Client(key=1, client_id="Desk4", user=owner),))

    @pytest.mark.parametrize(
        "password",
        [
            "password",
            "12345678",
            "qwertyuiop",
            "P@ssw0rd1",
            "letmein123",
            "swordfish",
            "aaaaaaaaaaaa",
            "20261127",
        ],
    )
    def test_a_common_one_is_refused(self, password: str) -> None:
        """NIST SP 800-63B 5.1.1.2: common ones, words, repetitions, patterns and dates."""
        with pytest.raises(InvalidValue, match="must be hard to guess"):
            PASSWORDS.hash_new(password)

    @pytest.mark.parametrize(
        "password",
        ["JaneMarple", "marple-jane-2026", "jm jm jm jm", "DESK4desk4", "Jim_Test2026", "Jane.Marple!"],
    )
    def test_one_that_is_made_of_what_everybody_knows_is_refused(self, password: str) -> None:
        """NIST SP 800-63B 5.1.1.2: initials, name, client_id, tenant, and a year is no secret."""
        with pytest.raises(InvalidValue, match="more than a name"):
            PASSWORDS.hash_new(password, *about_user(self.tenant, "JM", "Jane Marple"))

    @pytest.mark.parametrize(
        "password", ["pass+word", "correct horse", "a long word", "jane likes tuesdays", "zażółć gęślą"]
    )
    def test_what_is_harder_to_guess_is_taken(self, password: str) -> None:
        """Also a short one, with a name among other words, or of other letters."""
        kept = PASSWORDS.hash_new(password, *about_user(self.tenant, "JM", "Jane Marple"))
        assert PASSWORDS.verify_hash(kept, password)

    def test_a_long_one_takes_no_longer(self) -> None:
        """It is looked at up to its fortieth character."""
        assert PASSWORDS.hash_new("tuesday rain bus " + "x" * 200)

    def test_what_is_kept_already_goes_on_working(self) -> None:
        """Whoever set it before is not locked out."""
        kept = PASSWORDS.hash("password")
        assert PASSWORDS.verify_hash(kept, "password")

    def test_what_everybody_knows_of_a_user_is_found(self) -> None:
        """Of one that there is, its name and clients too; of a new one what is given."""
        assert set(about_user(self.tenant, "JM")) == {"JM", "Jane Marple", "Jim_Test", "Desk4"}
        assert set(about_user(self.tenant, "AB", "Ada Byron")) == {"AB", "Ada Byron", "Jim_Test"}


class TestRemembered:
    """What is remembered of passwords that were right."""

    clock: ManualClock
    owner = Client(key=1, client_id="TestClientId", user=user("hash one"))
    tenant = jim_test(clients=(owner,))

    @pytest.fixture(autouse=True)
    def _clock(self) -> None:
        self.clock = ManualClock()

    def _remembered(self, *, ttl_s: int = 300, entries_max: int = 50_000) -> Remembered:
        made = Remembered(self.clock, ttl_s=ttl_s, entries_max=entries_max)
        made.add(self.tenant, self.owner, PASSWORD)
        return made

    def test_a_password_that_was_right_is_known(self) -> None:
        """Until then it is not."""
        assert not Remembered(self.clock).knows(self.tenant, self.owner, PASSWORD)
        assert self._remembered().knows(self.tenant, self.owner, PASSWORD)

    @pytest.mark.parametrize("wrong", ["", "Password", "password ", "passwor", "hash one"])
    def test_no_other_password_is_known(self, wrong: str) -> None:
        """S17: neither is the hash."""
        assert not self._remembered().knows(self.tenant, self.owner, wrong)

    def test_it_is_known_of_this_client_and_tenant_only(self) -> None:
        """S31: also where another has the same key or the same user."""
        remembered = self._remembered()
        assert not remembered.knows(jim_test(id=2), self.owner, PASSWORD)
        assert not remembered.knows(self.tenant, replace(self.owner, key=2), PASSWORD)

    def test_where_one_name_ends_and_the_next_begins_is_known(self) -> None:
        """Tenant 1 with client 11 is not tenant 11 with client 1."""
        remembered = Remembered(self.clock)
        remembered.add(jim_test(id=1), replace(self.owner, key=11), PASSWORD)
        assert not remembered.knows(jim_test(id=11), replace(self.owner, key=1), PASSWORD)
        assert not remembered.knows(jim_test(id=1), replace(self.owner, key=1), "1" + PASSWORD)

    @pytest.mark.parametrize("kept", ["hash two", None])
    def test_it_is_forgotten_at_once_when_the_password_changes(self, kept: str | None) -> None:
        """Whoever changed it: an entry holds for the hash that it was checked against."""
        remembered = self._remembered()
        changed = replace(self.owner, user=user(kept))
        assert not remembered.knows(self.tenant, changed, PASSWORD)
        assert len(remembered) == 0
        assert not remembered.knows(self.tenant, self.owner, PASSWORD)

    def test_it_is_forgotten_in_time(self) -> None:
        """At the very moment; asking with another password does not lengthen it."""
        remembered = self._remembered(ttl_s=300)
        self.clock.advance(seconds=299.999)
        assert not remembered.knows(self.tenant, self.owner, "another")
        self.clock.advance(seconds=0.001)
        assert not remembered.knows(self.tenant, self.owner, PASSWORD)
        assert len(remembered) == 0

    def test_it_is_known_for_as_long_as_it_is_used(self) -> None:
        """A client at work needs no hash, whatever waits for one."""
        remembered = self._remembered(ttl_s=300)
        for _ in range(100):
            self.clock.advance(seconds=299)
            assert remembered.knows(self.tenant, self.owner, PASSWORD)
        self.clock.advance(seconds=300)
        assert not remembered.knows(self.tenant, self.owner, PASSWORD)

    @pytest.mark.parametrize("kept", ["hash two", None])
    def test_use_does_not_keep_what_the_password_was(self, kept: str | None) -> None:
        """S17: also after hours."""
        remembered = self._remembered(ttl_s=300)
        for _ in range(100):
            self.clock.advance(seconds=299)
            assert remembered.knows(self.tenant, self.owner, PASSWORD)
        changed = replace(self.owner, user=user(kept))
        assert not remembered.knows(self.tenant, changed, PASSWORD)
        assert len(remembered) == 0

    def test_the_one_that_was_not_used_for_longest_goes_first(self) -> None:
        """And using them makes no more of them."""
        remembered = self._remembered(entries_max=2)
        remembered.add(self.tenant, self.owner, "second")
        self.clock.advance(seconds=100)
        assert remembered.knows(self.tenant, self.owner, PASSWORD)
        remembered.add(self.tenant, self.owner, "third")
        assert len(remembered) == 2
        assert remembered.knows(self.tenant, self.owner, PASSWORD)
        assert not remembered.knows(self.tenant, self.owner, "second")

    def test_a_new_check_begins_the_time_anew(self) -> None:
        """And there is still one entry."""
        remembered = self._remembered(ttl_s=300)
        self.clock.advance(seconds=200)
        remembered.add(self.tenant, self.owner, PASSWORD)
        self.clock.advance(seconds=200)
        assert remembered.knows(self.tenant, self.owner, PASSWORD)
        assert len(remembered) == 1

    def test_nothing_is_remembered_when_that_is_switched_off(self) -> None:
        """`remember_passwords_s = 0`."""
        remembered = self._remembered(ttl_s=0)
        assert len(remembered) == 0
        assert not remembered.knows(self.tenant, self.owner, PASSWORD)

    def test_nothing_is_remembered_of_a_user_without_a_password(self) -> None:
        """Whatever was checked, it was not a password."""
        remembered = Remembered(self.clock)
        remembered.add(self.tenant, replace(self.owner, user=user(None)), PASSWORD)
        assert len(remembered) == 0

    def test_there_are_never_more_than_allowed_and_the_oldest_goes_first(self) -> None:
        """What a second check renewed is not the oldest."""
        remembered = self._remembered(entries_max=3)
        for password in ("second", "third", PASSWORD, "fourth"):
            remembered.add(self.tenant, self.owner, password)
            assert len(remembered) <= 3
        known = {
            it
            for it in (PASSWORD, "second", "third", "fourth")
            if remembered.knows(self.tenant, self.owner, it)
        }
        assert known == {PASSWORD, "third", "fourth"}

    def test_the_password_is_not_kept(self) -> None:
        """Only a hash of it, under a key that is made at the start and differs from process to process."""
        remembered, other = self._remembered(), self._remembered()
        assert PASSWORD not in repr(vars(remembered))
        assert remembered._entries.keys().isdisjoint(other._entries)
