"""JWT access tokens: what they say, that nobody else can make one, and how keys come and go."""

import itertools
import json
from typing import Any

import jwt
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace

from licet.credentials.jose import encode
from licet.credentials.jwt_access_tokens import JWT_CHARS_MAX, JwtTokens
from licet.credentials.jwt_signing_keys import PERIOD_MS, PUBLISHED_BEFORE_MS, JwtKey, JwtKeys
from licet.credentials.keyring import Keyring, new_keyring
from licet.credentials.tokens import AccessToken, Tokens
from licet.ledger.commands import Granted
from licet.model import SEATS_MAX, Pool, Session, Tenant, TokenFormat
from licet.protocol import jwks, token
from licet.settings.model import URL_CHARS_MAX
from support.examples import ALL, VIEW, client, jim_test, sid

NOW_MS = 690 * PERIOD_MS + 5 * 86_400_000 + 123
ISSUED_S, EXPIRY_S = NOW_MS // 1000, NOW_MS // 1000 + 60
MADE_MS = NOW_MS - PERIOD_MS
KEYRING = new_keyring(MADE_MS)
KEYS = JwtKeys()
URL = "https://licence.example.com"
ISSUER = f"{URL}/Jim_Test"
TENANT = jim_test(token_format=TokenFormat.JWT, access_ttl_s=60)
REFERENCES = jim_test()
SESSION = Session(
    sid=sid(0x0A0B),
    tenant_id=1,
    client_key=1,
    scope="view all",
    pool_id=1,
    holder="client:TestClientId",
    started_at_ms=NOW_MS,
    renewed_at_ms=NOW_MS,
    expires_at_ms=NOW_MS + 1_200_000,
    address="192.0.2.1",
)
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def tokens_of(keyring: Keyring = KEYRING, now_ms: int = NOW_MS, url: str = URL) -> Tokens:
    return Tokens(keyring, keyring.signing(now_ms), JwtTokens(KEYS, keyring, url, now_ms))


TOKENS = tokens_of()


def access(tokens: Tokens = TOKENS, tenant: Tenant = TENANT, scope: str = "view all") -> str:
    return tokens.access(SESSION, tenant, issued_at_ms=NOW_MS, expires_at_ms=NOW_MS + 60_000, scope=scope)


def key_set(tokens: Tokens = TOKENS, tenant: Tenant = TENANT) -> list[dict[str, str]]:
    keys: list[dict[str, str]] = json.loads(jwks.respond(tenant, tokens).body)["keys"]
    return keys


def kids(tokens: Tokens = TOKENS) -> list[str]:
    return [key["kid"] for key in key_set(tokens)]


def kid_of(sent: str) -> str:
    kid: str = jwt.get_unverified_header(sent)["kid"]
    return kid


def signing_key(tenant_id: int = 1) -> JwtKey:
    return KEYS.key(KEYRING.newest, tenant_id, NOW_MS // PERIOD_MS)


def forged(header: dict[str, Any], claims: dict[str, Any], key: JwtKey | None = None) -> str:
    """A token with a header and claims of somebody's choice, signed with one of our keys."""
    content = b".".join(encode(json.dumps(part, separators=(",", ":")).encode()) for part in (header, claims))
    return (content + b"." + (key or signing_key()).sign(content)).decode()


TOKEN = access()
HEADER, CLAIMS = jwt.get_unverified_header(TOKEN), jwt.decode(TOKEN, options={"verify_signature": False})


class TestReading:
    """What a token says."""

    def test_it_has_all_that_the_book_asks_for(self) -> None:
        """RFC 9068 2.1, 2.2; the subject is the client (RFC 9700 4.15)."""
        assert (HEADER["alg"], HEADER["kid"], HEADER["typ"]) == ("ES256", signing_key().kid, "at+jwt")
        assert len(CLAIMS["jti"]) == 32
        said = {name: value for name, value in CLAIMS.items() if name != "jti"}
        assert said == {
            "iss": ISSUER,
            "aud": ISSUER,
            "sub": "client:TestClientId",
            "client_id": "TestClientId",
            "username": "TC",
            "scope": "view all",
            "sid": SESSION.sid.hex(),
            "iat": ISSUED_S,
            "exp": EXPIRY_S,
            "pool": "full",
            "read_only": False,
        }

    def test_it_says_whether_it_is_read_only(self) -> None:
        """As introspection answers; when it was issued."""
        for scope, is_read_only in (("view", True), ("view all", False), ("all", False), ("gone", True)):
            claims = jwt.decode(access(scope=scope), options={"verify_signature": False})
            assert claims["read_only"] is is_read_only

    def test_one_from_before_an_upgrade_is_read_as_any(self) -> None:
        """Older versions did not say it."""
        older = {name: value for name, value in CLAIMS.items() if name != "read_only"}
        assert TOKENS.read_access(forged(HEADER, older), TENANT) == TOKENS.read_access(TOKEN, TENANT)

    def test_a_session_without_a_seat_names_no_pool(self) -> None:
        """As introspection answers."""
        sent = TOKENS.access(
            replace(SESSION, pool_id=None, holder=None),
            TENANT,
            issued_at_ms=NOW_MS,
            expires_at_ms=NOW_MS + 60_000,
            scope="view",
        )
        assert "pool" not in jwt.decode(sent, options={"verify_signature": False})

    def test_another_implementation_accepts_it(self) -> None:
        """RFC 9068 4, by PyJWT with the key set alone."""
        key = jwt.PyJWKSet(key_set())[kid_of(TOKEN)]
        options: Any = {
            "require": ["iss", "exp", "aud", "sub", "client_id", "iat", "jti"],
            "verify_exp": False,
        }
        claims = jwt.decode(TOKEN, key, algorithms=["ES256"], issuer=ISSUER, audience=ISSUER, options=options)
        assert claims["sid"] == SESSION.sid.hex()

    def test_it_is_read_as_a_reference_is(self) -> None:
        """To the second."""
        assert TOKENS.read_access(TOKEN, TENANT) == AccessToken(
            sid=SESSION.sid, issued_at_ms=ISSUED_S * 1000, expires_at_ms=EXPIRY_S * 1000, scope="view all"
        )

    def test_no_two_are_the_same(self) -> None:
        """RFC 9068 2.2: jti."""
        assert len({access() for _ in range(100)}) == 100

    def test_it_is_no_refresh_token(self) -> None:
        """RFC 6749 1.5; refresh tokens stay references."""
        assert TOKENS.read_refresh(TOKEN, 1) is None
        assert TOKENS.refresh(SESSION).startswith("lcr_")

    def test_a_tenant_that_changed_its_mind_accepts_both(self) -> None:
        """What one is, its look tells: nobody is logged off by a setting."""
        reference = access(tenant=REFERENCES)
        assert reference.startswith("lca_")
        for tenant in (TENANT, REFERENCES):
            for sent in (TOKEN, reference):
                assert TOKENS.read_access(sent, tenant) is not None

    @pytest.mark.parametrize("letter", ["a", "é", "漢", "\N{OLD ITALIC LETTER A}", '"', "\\"])
    def test_the_longest_is_accepted(self, letter: str) -> None:
        """What cannot become a token has to be refused before; a token has to fit into a header."""
        longest = client(1, letter * 128, "T.C")
        name = "J" * 64
        tenant = jim_test(
            name=name,
            clients=(longest,),
            pools=(Pool(id=1, name="p" * 64, seats=1),),
            scopes=(VIEW, replace(ALL, pool="p" * 64)),
            token_format=TokenFormat.JWT,
            access_ttl_s=60,
        )
        tokens = tokens_of(url="https://" + "h" * (URL_CHARS_MAX - 8))
        sent = tokens.access(
            replace(SESSION, holder=f"session:{'0' * 40}"),
            tenant,
            issued_at_ms=NOW_MS,
            expires_at_ms=NOW_MS + 60_000,
            scope="s" * token.SCOPE_CHARS_MAX,
            seat_number=SEATS_MAX,
        )
        assert len(sent) <= JWT_CHARS_MAX
        assert tokens.read_access(sent, tenant) is not None


class TestForging:
    """A token that was not made here is worth nothing, before the store is asked."""

    @given(st.integers(0, len(TOKEN) - 1), st.characters())
    @example(len(TOKEN) - 1, "A")
    def test_a_token_of_which_one_character_is_another_is_refused(self, at: int, other: str) -> None:
        """RFC 7515 5.2."""
        mutated = TOKEN[:at] + other + TOKEN[at + 1 :]
        assert (TOKENS.read_access(mutated, TENANT) is None) == (mutated != TOKEN)

    def test_a_token_of_which_any_letter_is_any_other_is_refused(self) -> None:
        """Its last letter has bits that say nothing."""
        for at in (0, 40, TOKEN.index(".") + 1, TOKEN.rindex(".") - 1, TOKEN.rindex(".") + 1, len(TOKEN) - 1):
            for letter in set(LETTERS) - {TOKEN[at]}:
                assert TOKENS.read_access(TOKEN[:at] + letter + TOKEN[at + 1 :], TENANT) is None

    @pytest.mark.parametrize("more", ["A", "AAAA", "=", "==", " ", "\n", "\0", ".", ".e30", "é"])
    def test_a_token_with_something_before_or_behind_it_is_refused(self, more: str) -> None:
        """A token has one spelling only."""
        assert TOKENS.read_access(TOKEN + more, TENANT) is None
        assert TOKENS.read_access(more + TOKEN, TENANT) is None

    def test_a_part_of_a_token_is_refused(self) -> None:
        """Cut anywhere, at either end."""
        for length in range(len(TOKEN)):
            assert TOKENS.read_access(TOKEN[:length], TENANT) is None
            assert TOKENS.read_access(TOKEN[length + 1 :], TENANT) is None

    @given(st.text(max_size=200))
    @example("eyJ..")
    @example("eyJhbGciOiJub25lIn0.e30.")
    def test_any_text_is_read_and_refused(self, text: str) -> None:
        """Whatever it is, it is no fault."""
        head, _, tail = TOKEN.partition(".")
        for sent in (text, f"eyJ{text}", f"{head}.{text}", f"{head}.{text}.", f"{text}.{tail}"):
            assert TOKENS.read_access(sent, TENANT) is None

    def test_a_token_longer_than_any_is_refused_unread(self) -> None:
        """Everything has a bound."""
        assert TOKENS.read_access(TOKEN + "A" * JWT_CHARS_MAX, TENANT) is None

    @pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE", "HS256", "ES384", "RS256", ""])
    def test_who_sends_a_token_does_not_choose_its_algorithm(self, algorithm: str) -> None:
        """RFC 8725 3.1: alg none, or another, with our own signature or without one."""
        sent = forged({**HEADER, "alg": algorithm}, CLAIMS)
        assert TOKENS.read_access(sent, TENANT) is None
        assert TOKENS.read_access(sent[: sent.rindex(".") + 1], TENANT) is None

    def test_the_public_key_is_no_secret_to_sign_with(self) -> None:
        """RFC 8725 2.1: HS256 under what everybody has, in each of its spellings."""
        key = key_set()[0]
        for secret in (json.dumps(key), key["x"], key["y"], key["kid"], ""):
            for header in (HEADER, {**HEADER, "alg": "HS256"}):
                content = b".".join(encode(json.dumps(it).encode()) for it in (header, CLAIMS))
                signature = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(
                    content, secret.encode()
                )
                assert TOKENS.read_access((content + b"." + encode(signature)).decode(), TENANT) is None

    @pytest.mark.parametrize(
        "changes",
        [
            {"typ": "JWT"},
            {"typ": None},
            {"kid": "x"},
            {"crit": ["exp"]},
            {"b64": False},
            {"jwk": key_set()[0]},
            {"jku": "https://example.com/jwks.json"},
            {"kid": signing_key(2).kid},
        ],
    )
    def test_a_header_that_is_not_ours_to_the_byte_is_refused(self, changes: dict[str, Any]) -> None:
        """RFC 8725 3.11, RFC 7515 4.1.11: what else it may ask for need not be understood."""
        assert TOKENS.read_access(forged({**HEADER, **changes}, CLAIMS), TENANT) is None

    def test_a_token_of_another_kind_is_refused_though_its_key_is_right(self) -> None:
        """RFC 8725 3.12."""
        assert TOKENS.read_access(forged({**HEADER, "typ": "jwt"}, CLAIMS), TENANT) is None
        assert TOKENS.read_access(forged(HEADER, CLAIMS), TENANT) is not None

    @pytest.mark.parametrize(
        "changes",
        [
            {"iss": "https://example.com/Jim_Test"},
            {"iss": f"{URL}/Other"},
            {"aud": "https://example.com/Jim_Test"},
            {"aud": [ISSUER]},
            {"aud": None},
            {"iss": f"{ISSUER}/", "aud": f"{ISSUER}/"},
            {"exp": "soon"},
            {"exp": None},
            {"iat": 1.5},
            {"sid": "0a"},
            {"sid": "zz" * 20},
            {"sid": SESSION.sid.hex().upper()},
        ],
    )
    def test_claims_that_are_not_as_ours_are_refused(self, changes: dict[str, Any]) -> None:
        """RFC 9068 4; they would be signed by us, and never are."""
        assert TOKENS.read_access(forged(HEADER, {**CLAIMS, **changes}), TENANT) is None

    def test_a_token_of_another_tenant_is_refused(self) -> None:
        """S31, S41: each has keys of its own, and an issuer."""
        other = jim_test(id=2, name="Other", token_format=TokenFormat.JWT, access_ttl_s=60)
        assert TOKENS.read_access(TOKEN, other) is None
        assert TOKENS.read_access(access(tenant=other), TENANT) is None
        assert set(kids()).isdisjoint(key["kid"] for key in key_set(tenant=other))

    def test_a_token_of_another_server_is_refused(self) -> None:
        """S37: who has the store and not the keys can make none."""
        foreign = tokens_of(new_keyring(MADE_MS))
        assert TOKENS.read_access(access(foreign), TENANT) is None

    def test_a_token_of_the_same_server_by_another_name_is_refused(self) -> None:
        """RFC 9068 4: a copy for tests is not the real one."""
        assert tokens_of(url="https://test.example.com").read_access(TOKEN, TENANT) is None

    def test_where_there_are_references_only_none_is_read_or_made(self) -> None:
        """A tool that has the keyring alone."""
        bare = Tokens(KEYRING)
        assert bare.read_access(TOKEN, TENANT) is None
        assert access(bare).startswith("lca_")


class TestKeysOfAMoment:
    """A server asks several times a second whether others have come."""

    def test_they_are_the_same_until_one_begins_to_sign_or_a_period_is_over(self) -> None:
        """What was remembered of tokens goes on to count until then."""
        waits = KEYRING.rotated(NOW_MS, signs_after_ms=60_000)
        signs, signs_jwts = NOW_MS + 60_000, NOW_MS + 60_000 + PUBLISHED_BEFORE_MS
        ends = (NOW_MS // PERIOD_MS + 1) * PERIOD_MS
        moments = [NOW_MS, signs - 1, signs, signs_jwts - 1, signs_jwts, ends - 1, ends]
        made = [tokens_of(waits, at).made_with for at in moments]
        assert [a == b for a, b in itertools.pairwise(made)] == [True, False, True, False, True, False]

    def test_another_key_with_the_same_number_is_another(self) -> None:
        """As in a file of secrets that was made anew."""
        assert tokens_of(new_keyring(MADE_MS)).made_with != TOKENS.made_with
        assert tokens_of(KEYRING).made_with == TOKENS.made_with


class TestMemory:
    """What anybody may ask for."""

    def test_the_keys_of_no_more_tenants_are_kept_than_of_those_asked_last(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Keys may be derived again, and anybody may ask for the key set of every tenant."""
        monkeypatch.setattr("licet.credentials.jwt_access_tokens.KEYS_KEPT_MAX", 9)
        tokens = tokens_of()
        assert tokens.jwts is not None
        for tenant_id in range(1, 20):
            tenant = replace(TENANT, id=tenant_id)
            assert key_set(tokens, tenant)[0]["kid"] == signing_key(tenant_id).kid
            assert sum(map(len, tokens.jwts._by_header.values())) <= 9


class TestPeriods:
    """New keys come by themselves, every 30 days, and overlap."""

    def test_the_key_that_signs_stands_first_and_the_next_one_is_there_already(self) -> None:
        """RFC 7517 5: whoever keeps the set for a while has what signs then."""
        before, now, after = (tokens_of(now_ms=NOW_MS + periods * PERIOD_MS) for periods in (-1, 0, 1))
        assert len(kids(now)) == 3
        assert kids(now)[0] == kid_of(access(now))
        assert set(kids(now)) == {kid_of(access(it)) for it in (before, now, after)}

    @pytest.mark.parametrize(("periods", "is_accepted"), [(-2, False), (-1, True), (1, True), (2, False)])
    def test_tokens_of_the_periods_beside_this_one_are_accepted(
        self, periods: int, is_accepted: bool
    ) -> None:
        """A node whose clock is ahead signs with the next one; one of before may still live."""
        other = tokens_of(now_ms=NOW_MS + periods * PERIOD_MS)
        assert (TOKENS.read_access(access(other), TENANT) is not None) == is_accepted
        assert (kid_of(access(other)) in kids()) == is_accepted

    def test_a_period_ends_at_the_same_moment_everywhere(self) -> None:
        """They are counted since 1970."""
        edge_ms = 691 * PERIOD_MS
        last, first = tokens_of(now_ms=edge_ms - 1), tokens_of(now_ms=edge_ms)
        assert kids(last)[0] != kids(first)[0]
        assert kids(first)[0] in kids(last)
        assert kids(last)[0] in kids(first)


class TestRotation:
    """What becomes of JWTs when the keyring changes."""

    def test_a_new_key_is_published_at_once_and_signs_when_verifiers_have_it(self) -> None:
        """A key set may be kept for five minutes; references are signed with the new key at once."""
        rotated = KEYRING.rotated(NOW_MS)
        signs_ms = rotated.newest.signs_at_ms
        early, late = (tokens_of(rotated, now_ms=signs_ms + PUBLISHED_BEFORE_MS + step) for step in (-1, 0))
        assert kid_of(access(early)) == kid_of(TOKEN)
        assert kid_of(access(late)) != kid_of(TOKEN)
        assert kid_of(access(late)) in kids(early)
        assert set(kids()) < set(kids(tokens_of(rotated)))

    def test_a_key_that_waits_is_published(self) -> None:
        """`licet key rotate --signs-after 1h`."""
        waiting = KEYRING.rotated(NOW_MS, signs_after_ms=3_600_000)
        now, then = tokens_of(waiting), tokens_of(waiting, NOW_MS + 2 * 3_600_000)
        assert kid_of(access(now)) == kid_of(TOKEN)
        assert kid_of(access(then)) in kids(now)

    def test_tokens_of_an_older_key_are_accepted_as_long_as_it_is_there(self) -> None:
        """As references are."""
        rotated = KEYRING.rotated(NOW_MS)
        assert tokens_of(rotated).read_access(TOKEN, TENANT) is not None
        assert kid_of(TOKEN) in kids(tokens_of(rotated, NOW_MS + PUBLISHED_BEFORE_MS + 1000))

    def test_what_a_pruned_key_signed_is_refused_and_the_new_one_signs_at_once(self) -> None:
        """When the keys may be in wrong hands, nobody waits."""
        pruned = KEYRING.rotated(NOW_MS).pruned(NOW_MS)
        tokens = tokens_of(pruned)
        assert tokens.read_access(TOKEN, TENANT) is None
        assert kid_of(TOKEN) not in kids(tokens)
        assert kid_of(access(tokens)) == kids(tokens)[0]
        assert tokens.read_access(access(tokens), TENANT) is not None

    def test_a_full_keyring_has_keys_that_all_can_be_told_apart(self) -> None:
        """16 keys, three periods: a set of 12 kB."""
        keyring = KEYRING
        for _ in range(15):
            keyring = keyring.rotated(NOW_MS)
        assert len(set(kids(tokens_of(keyring)))) == 48


class TestKeySet:
    """RFC 7517 5."""

    def test_it_has_public_keys_and_nothing_else(self) -> None:
        """RFC 7517 9.2."""
        for key in key_set():
            assert key.keys() == {"kty", "crv", "x", "y", "kid", "use", "alg"}
            assert (key["kty"], key["crv"], key["use"], key["alg"]) == ("EC", "P-256", "sig", "ES256")

    def test_it_may_be_kept_for_half_as_long_as_a_key_waits(self) -> None:
        """RFC 9111 5.2.2.1."""
        response = jwks.respond(TENANT, TOKENS)
        headers = dict(response.headers)
        assert headers[b"cache-control"] == b"public, max-age=300"
        assert headers[b"content-type"] == b"application/jwk-set+json"
        assert PUBLISHED_BEFORE_MS == 600_000

    def test_a_tenant_with_references_has_it_as_well(self) -> None:
        """So that the last JWTs can expire when it goes back."""
        assert key_set(tenant=REFERENCES) == key_set()

    def test_where_there_are_references_only_it_is_empty(self) -> None:
        """A tool that has the keyring alone."""
        assert key_set(Tokens(KEYRING)) == []


class TestExpiry:
    """A JWT is told in whole seconds; nothing is promised beyond them."""

    def answered(self, tenant: Tenant, at_ms: int, expires_at_ms: int) -> tuple[int, int, int]:
        """`expires_in`, and when the token was issued and expires."""
        session = replace(SESSION, expires_at_ms=max(expires_at_ms, at_ms))
        granted = Granted(
            session=session,
            scope="all",
            at_ms=at_ms,
            access_expires_at_ms=expires_at_ms,
            may_refresh=True,
        )
        content = json.loads(token.respond(granted, tenant, TOKENS).body)
        claims = jwt.decode(content["access_token"], options={"verify_signature": False})
        return content["expires_in"], claims["iat"], claims["exp"]

    @given(st.integers(0, 999), st.integers(1, 61_000))
    def test_it_never_outlives_its_session_nor_what_was_promised(self, at: int, life_ms: int) -> None:
        """L3; RFC 6749 5.1."""
        at_ms = NOW_MS // 1000 * 1000 + at
        expires_in, issued_s, expires_s = self.answered(TENANT, at_ms, at_ms + life_ms)
        assert expires_s * 1000 <= at_ms + min(life_ms, 60_000)
        assert issued_s * 1000 <= at_ms
        assert expires_in == max(1, (expires_s * 1000 - at_ms) // 1000)

    def test_what_was_decided_with_longer_lives_is_cut(self) -> None:
        """The transaction may have seen the tenant of a moment before, with references of 10 minutes."""
        at_ms = NOW_MS // 1000 * 1000
        assert self.answered(TENANT, at_ms, at_ms + 600_000)[0] == 60
