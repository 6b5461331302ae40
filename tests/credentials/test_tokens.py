"""Tokens: what is signed is accepted as it is, and nothing else is."""

import hmac
import string
from base64 import urlsafe_b64decode, urlsafe_b64encode

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace

from licet.credentials.keyring import Keyring, new_keyring
from licet.credentials.tokens import ACCESS_PREFIX, REFRESH_PREFIX, SID_BYTES, AccessToken, Tokens, new_sid
from licet.model import Session, Tenant

NOW_MS = 1_700_000_000_123
EXPIRY_MS = NOW_MS + 600_000
KEYRING = new_keyring(NOW_MS)
TOKENS = Tokens(KEYRING)
URL_ALPHABET = string.ascii_letters + string.digits + "-_"

SESSION = Session(
    sid=new_sid(NOW_MS),
    tenant_id=7,
    client_key=1,
    scope="view all",
    pool_id=1,
    holder="client:TestClientId",
    started_at_ms=NOW_MS,
    renewed_at_ms=NOW_MS,
    expires_at_ms=NOW_MS + 1_200_000,
    address="192.0.2.1",
)


def tenant_of(tenant_id: int) -> Tenant:
    return Tenant(id=tenant_id, name="Jim_Test", version=0)


TENANT = tenant_of(SESSION.tenant_id)


def access(tokens: Tokens = TOKENS, *, session: Session = SESSION, scope: str = SESSION.scope) -> str:
    return tokens.access(session, TENANT, issued_at_ms=NOW_MS, expires_at_ms=EXPIRY_MS, scope=scope)


ACCESS = access()
NARROWED = access(scope="view")
REFRESH = TOKENS.refresh(SESSION)
each_token = pytest.mark.parametrize(
    "token", [ACCESS, NARROWED, REFRESH], ids=["access", "narrowed", "refresh"]
)


def is_accepted(token: str, tenant_id: int = SESSION.tenant_id, tokens: Tokens = TOKENS) -> bool:
    read = tokens.read_access(token, tenant_of(tenant_id)), tokens.read_refresh(token, tenant_id)
    return read != (None, None)


class TestReading:
    """A token says what it was made to say."""

    def test_an_access_token_names_its_session_and_its_life(self) -> None:
        """To the millisecond; its scope is its session's."""
        assert TOKENS.read_access(ACCESS, TENANT) == AccessToken(
            sid=SESSION.sid, issued_at_ms=NOW_MS, expires_at_ms=EXPIRY_MS, scope=""
        )

    def test_an_access_token_of_less_scope_names_that(self) -> None:
        """RFC 6749 6: a refresh may narrow the scope."""
        read = TOKENS.read_access(NARROWED, TENANT)
        assert read is not None
        assert read.scope == "view"

    def test_a_refresh_token_names_its_session(self) -> None:
        """Its life is the session's."""
        assert TOKENS.read_refresh(REFRESH, 7) == SESSION.sid

    def test_a_refresh_token_is_always_the_same(self) -> None:
        """S35: it does not rotate, so that a lost answer costs nothing."""
        renewed = replace(SESSION, expires_at_ms=NOW_MS + 9_000_000)
        assert TOKENS.refresh(renewed) == REFRESH

    @given(st.lists(st.text(URL_ALPHABET, min_size=1, max_size=64), min_size=1, max_size=6))
    def test_a_scope_is_read_as_it_was_written(self, names: list[str]) -> None:
        """Whatever its length is, to the padding."""
        scope = " ".join(names)
        read = TOKENS.read_access(access(scope=scope), TENANT)
        assert read is not None
        assert read.scope == ("" if scope == SESSION.scope else scope)

    def test_a_token_is_made_of_what_a_header_may_hold(self) -> None:
        """RFC 6750 2.1: b64token; the prefix is for secret scanners."""
        for token, prefix in ((ACCESS, ACCESS_PREFIX), (NARROWED, ACCESS_PREFIX), (REFRESH, REFRESH_PREFIX)):
            assert token.startswith(prefix)
            assert set(token.removeprefix(prefix)) <= set(URL_ALPHABET)

    def test_a_token_shows_neither_the_client_nor_the_holder(self) -> None:
        """Nobody who sees one learns of whom it is."""
        decoded = urlsafe_b64decode(ACCESS.removeprefix(ACCESS_PREFIX))
        assert b"TestClientId" not in decoded


class TestForging:
    """A token that was not made here is worth nothing, before the store is asked."""

    @each_token
    def test_a_token_of_which_one_bit_is_another_is_refused(self, token: str) -> None:
        """S37: each of its bits is signed or signs."""
        prefix, signed = token[:4], urlsafe_b64decode(token[4:])
        for bit in range(8 * len(signed)):
            number = int.from_bytes(signed, "big") ^ (1 << bit)
            forged = urlsafe_b64encode(number.to_bytes(len(signed), "big")).decode()
            assert not is_accepted(prefix + forged)

    @each_token
    def test_a_token_of_which_one_character_is_another_is_refused(self, token: str) -> None:
        """A token has one spelling only."""
        for at, letter in enumerate(token):
            for other in {"A", "_", "-", "+", "/", "=", " ", "\n", "\0", "é", letter.swapcase()} - {letter}:
                assert not is_accepted(token[:at] + other + token[at + 1 :])

    @each_token
    @pytest.mark.parametrize("more", ["A", "AAAA", "=", "==", "====", " ", "\n", "\0", "."])
    def test_a_token_with_something_before_or_behind_it_is_refused(self, token: str, more: str) -> None:
        """A token has one spelling only."""
        assert not is_accepted(token + more)
        assert not is_accepted(more + token)
        assert not is_accepted(token[:4] + more + token[4:])

    @each_token
    def test_a_part_of_a_token_is_refused(self, token: str) -> None:
        """Cut anywhere, at either end."""
        for length in range(len(token)):
            assert not is_accepted(token[:length])
            assert not is_accepted(token[length + 1 :])

    def test_a_token_of_one_kind_is_none_of_the_other(self) -> None:
        """The prefix is signed: it can't be exchanged."""
        assert TOKENS.read_refresh(ACCESS, 7) is None
        assert TOKENS.read_access(REFRESH, TENANT) is None
        assert not is_accepted(REFRESH_PREFIX + ACCESS[4:])
        assert not is_accepted(ACCESS_PREFIX + REFRESH[4:])

    @pytest.mark.parametrize("tenant_id", [0, 6, 8, 7 + 2**32])
    def test_a_token_of_another_tenant_is_refused(self, tenant_id: int) -> None:
        """S31, S41: it is signed for one."""
        assert not is_accepted(ACCESS, tenant_id)
        assert not is_accepted(REFRESH, tenant_id)

    def test_a_token_of_another_server_is_refused(self) -> None:
        """S37: who has the store and not the key can make none."""
        foreign = Tokens(new_keyring(NOW_MS))
        assert not is_accepted(access(foreign))
        assert not is_accepted(foreign.refresh(SESSION))

    @given(st.text(max_size=200))
    @example("")
    @example("lca_")
    @example("lcr_====")
    @example("lca_" + "A" * 2000)
    def test_any_text_is_read_and_refused(self, text: str) -> None:
        """S08: whatever it is, it is no fault."""
        for token in (text, ACCESS_PREFIX + text, REFRESH_PREFIX + text):
            assert not is_accepted(token)

    @given(st.binary(max_size=200))
    def test_any_bytes_are_read_and_refused(self, content: bytes) -> None:
        """S08: also where they look like a token of the right version and key."""
        spelled = urlsafe_b64encode(bytes((1, KEYRING.newest.id)) + content).decode()
        for token in (ACCESS_PREFIX + spelled, REFRESH_PREFIX + spelled):
            assert not is_accepted(token)


class TestRotation:
    """Keys come and go."""

    def test_an_older_key_is_still_accepted_and_the_newest_signs(self) -> None:
        """Nobody is logged off by a rotation."""
        rotated = Tokens(KEYRING.rotated(NOW_MS))
        assert is_accepted(ACCESS, tokens=rotated)
        assert is_accepted(REFRESH, tokens=rotated)
        assert rotated.refresh(SESSION) != REFRESH
        assert not is_accepted(rotated.refresh(SESSION))

    def test_a_pruned_key_is_not_accepted(self) -> None:
        """What a leaked key signed is worth nothing from then on."""
        pruned = Tokens(KEYRING.rotated(NOW_MS).pruned(NOW_MS))
        assert not is_accepted(ACCESS, tokens=pruned)
        assert not is_accepted(REFRESH, tokens=pruned)
        assert is_accepted(access(pruned), tokens=pruned)

    def test_a_key_that_got_the_id_of_another_does_not_accept_its_tokens(self) -> None:
        """An id is only a hint: it comes round after 255 rotations."""
        other = Tokens(Keyring(token_keys=new_keyring(NOW_MS).token_keys, pepper=KEYRING.pepper))
        assert not is_accepted(REFRESH, tokens=other)


class TestIdentity:
    """The identity of a session."""

    def test_it_has_128_random_bits(self) -> None:
        """S37; RFC 6749 10.10."""
        made = [new_sid(NOW_MS) for _ in range(1000)]
        assert {len(sid) for sid in made} == {SID_BYTES}
        assert len({sid[4:] for sid in made}) == 1000
        assert SID_BYTES - 4 == 128 // 8

    def test_what_is_made_later_is_greater(self) -> None:
        """What is new stands together on disk."""
        assert new_sid(NOW_MS)[:4] < new_sid(NOW_MS + 1000)[:4]


class TestKnown:
    """A good token is checked once, and is no better for it."""

    def test_it_says_the_same_again_and_for_its_tenant_alone(self) -> None:
        """Each question has the tenant in it."""
        tokens = Tokens(KEYRING)
        token = tokens.access(SESSION, TENANT, issued_at_ms=NOW_MS, expires_at_ms=EXPIRY_MS, scope="all")
        first = tokens.read_access(token, TENANT)
        assert first is not None
        assert tokens.read_access(token, TENANT) == first
        assert tokens.read_access(token, tenant_of(8)) is None
        assert tokens.read_access(token[:-1] + ("A" if token[-1] != "A" else "B"), TENANT) is None

    def test_it_is_checked_again_when_the_tenant_was_changed(self) -> None:
        """What a JWT has to say may be another then."""
        tokens = Tokens(KEYRING)
        token = tokens.access(SESSION, TENANT, issued_at_ms=NOW_MS, expires_at_ms=EXPIRY_MS, scope="all")
        tokens.read_access(token, TENANT)
        tokens.read_access(token, replace(TENANT, version=1))
        assert len(tokens._known) == 2

    def test_there_is_a_most_of_them(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Then all are forgotten, and checked again when they come."""
        monkeypatch.setattr("licet.credentials.tokens.KNOWN_MAX", 3)
        tokens = Tokens(KEYRING)
        for number in range(10):
            life = {"issued_at_ms": NOW_MS, "expires_at_ms": EXPIRY_MS + number}
            token = tokens.access(SESSION, TENANT, scope="all", **life)
            found = tokens.read_access(token, TENANT)
            assert found is not None
            assert found.expires_at_ms == EXPIRY_MS + number
            assert len(tokens._known) <= 3

    def test_what_is_none_is_not_remembered(self) -> None:
        """Or anybody could fill the memory."""
        tokens = Tokens(KEYRING)
        for number in range(10):
            assert tokens.read_access(f"{ACCESS_PREFIX}{number}", TENANT) is None
        assert not tokens._known


@given(key=st.binary(min_size=1, max_size=200), scope=st.sampled_from(["view all", "view"]))
@example(key=bytes(64), scope="view all")
@example(key=b"?" * 65, scope="view all")
def test_a_signature_is_hmac_sha_256_of_prefix_tenant_and_content(key: bytes, scope: str) -> None:
    """RFC 2104, as the library computes it, for keys shorter and longer than a block of the hash."""
    keyring = replace(KEYRING, token_keys=(replace(KEYRING.newest, key=key),))
    token = access(Tokens(keyring), scope=scope)
    signed = urlsafe_b64decode(token.removeprefix(ACCESS_PREFIX))
    content, signature = signed[:-32], signed[-32:]
    told = ACCESS_PREFIX.encode() + SESSION.tenant_id.to_bytes(8, "big") + content
    assert signature == hmac.digest(key, told, "sha256")
