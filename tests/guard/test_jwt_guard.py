"""`licet.guard.JwtGuard`: who is let in without anybody being asked, and what keeps all others out."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from licet.guard import Guard, JwtGuard, claims
from licet.guard.introspection import Dead, Live, Unusable
from licet.model import TokenFormat
from support.guard.calling import CONTEXT
from support.guard.guarded import KINDS, Api
from support.guard.issuing import (
    INVALID,
    JWKS,
    KEY,
    METADATA,
    NOW_S,
    OTHER_KEY,
    PATIENCE,
    RSA_KEY,
    Issuer,
    jwk_of,
    refused,
)
from support.server.running import RunningServer
from support.web.http_site import Site


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    """An issuer with one key."""
    with Site() as site:
        yield Issuer(site)


@pytest.fixture
def guard(issuer: Issuer) -> Iterator[JwtGuard]:
    """A guard that remembers no token."""
    guard = issuer.guard()
    yield guard
    guard.close()


@pytest.fixture(params=KINDS, ids=lambda it: it.__name__)
def api(request: pytest.FixtureRequest) -> Api:
    """Each kind of API."""
    kind: Api = request.param
    return kind


class TestLetIn:
    """With a token that its issuer has signed."""

    def test_a_handler_is_told_who_calls(self, issuer: Issuer, guard: JwtGuard, api: Api) -> None:
        """RFC 9068 2.2, in types; without a word to the server but for its keys."""
        found = api(guard, "POST", {"Authorization": f"Bearer {issuer.token()}"})
        assert found.status_code == 200, found.text
        assert found.json() == {
            "tenant": "Jim_Test",
            "client": "TestClientId",
            "user": "TC",
            "scopes": ["all", "view"],
            "session": "0a0b",
            "pool": None,
            "read_only": False,
            "features": [],
        }
        assert [asked.path for asked in issuer.site.asked] == [METADATA, JWKS]

    def test_a_token_of_another_make_is_let_in_as_far_as_it_tells(
        self, issuer: Issuer, guard: JwtGuard
    ) -> None:
        """RFC 9068: no name, session or scope of ours, and several audiences."""
        token = issuer.token(
            header={"typ": "application/AT+JWT"},
            username=None,
            sid=None,
            scope=None,
            aud=["https://example.com", issuer.url],
        )
        found = issuer.guard(read_only_scopes=["view"]).check("GET", f"Bearer {token}")
        assert (found.user, found.session, found.scopes) == (None, None, frozenset())
        assert refused(guard, token) == (403, "insufficient_scope")

    def test_a_token_that_may_look_may_not_write(self, issuer: Issuer, guard: JwtGuard, api: Api) -> None:
        """The rules are those of every guard."""
        headers = {"Authorization": f"Bearer {issuer.token(scope='view', read_only=True)}"}
        assert api(guard, "GET", headers).status_code == 200
        found = api(guard, "POST", headers)
        assert (found.status_code, 'error="insufficient_scope"' in found.headers["www-authenticate"]) == (
            403,
            True,
        )

    @pytest.mark.parametrize("told", [None, 0, "false", "no", []])
    def test_a_token_that_does_not_say_that_it_may_write_may_not(
        self, issuer: Issuer, guard: JwtGuard, told: object
    ) -> None:
        """From before an upgrade, or of another server: in doubt it is read-only."""
        token = issuer.token(read_only=told)
        assert guard.check("GET", f"Bearer {token}").read_only
        assert refused(guard, token) == (403, "insufficient_scope")

    def test_who_sends_no_token_gets_a_challenge(self, guard: JwtGuard, issuer: Issuer, api: Api) -> None:
        """RFC 6750 3.1; and nothing is fetched."""
        found = api(guard, "GET", {})
        assert (found.status_code, found.headers["www-authenticate"]) == (401, 'Bearer realm="licet"')
        assert not issuer.site.asked

    def test_an_audience_and_an_issuer_may_be_named(self, issuer: Issuer) -> None:
        """Where the API reaches the server by another name than clients do."""
        issuer.metadata["issuer"] = "https://licence.example.com/Jim_Test"
        guard = issuer.guard(
            issuer="https://licence.example.com/Jim_Test", audience="https://api.example.com"
        )
        token = issuer.token(iss="https://licence.example.com/Jim_Test", aud="https://api.example.com")
        assert guard.check("POST", f"Bearer {token}").client == "TestClientId"
        assert refused(guard, issuer.token()) == INVALID

    def test_a_token_may_be_from_the_future_by_the_leeway(self, issuer: Issuer, guard: JwtGuard) -> None:
        """RFC 7519 4.1.4: two clocks are never the same."""
        token = issuer.token(iat=int(NOW_S) + 10, exp=int(NOW_S) + 70)
        assert guard.check("POST", f"Bearer {token}").user == "TC"
        assert refused(issuer.guard(leeway=timedelta(0)), token) == INVALID


WRONG: dict[str, tuple[Callable[[Issuer], str], str]] = {
    "an unknown key": (
        lambda it: it.token(OTHER_KEY, {"kid": "second"}),
        "signed with a key that its issuer does not publish",
    ),
    "no key named": (lambda it: it.token(header={"kid": None}), "does not name the key"),
    "another key by that name": (lambda it: it.token(OTHER_KEY), "its signature is wrong"),
    "a signature cut short": (lambda it: it.token()[:-5], "it cannot be read as a JWT"),
    "another signature": (lambda it: f"{it.token().rpartition('.')[0]}.{'A' * 86}", "its signature is wrong"),
    "another issuer": (lambda it: it.token(iss="https://example.com/Jim_Test"), "InvalidIssuerError"),
    "another tenant": (lambda it: it.token(iss=f"{it.site.url}/Other"), "InvalidIssuerError"),
    "an issuer with a slash": (lambda it: it.token(iss=f"{it.url}/"), "InvalidIssuerError"),
    "no issuer": (lambda it: it.token(iss=None), "MissingRequiredClaimError"),
    "another audience": (lambda it: it.token(aud="https://example.com"), "InvalidAudienceError"),
    "no audience": (lambda it: it.token(aud=None), "MissingRequiredClaimError"),
    "no audience in the list": (lambda it: it.token(aud=[]), "MissingRequiredClaimError"),
    "no end": (lambda it: it.token(exp=None), "MissingRequiredClaimError"),
    "an end that is text": (lambda it: it.token(exp=str(int(NOW_S) + 60)), "its times are no times"),
    "an end that is true": (lambda it: it.token(exp=True), "its times are no times"),
    "an end beyond all ends": (lambda it: it.token(exp=10**15), "its times are no times"),
    "no beginning": (lambda it: it.token(iat=None), "MissingRequiredClaimError"),
    "from the future": (
        lambda it: it.token(iat=int(NOW_S) + 180, exp=int(NOW_S) + 240),
        "from 180 s in the future; is the clock of this machine right?",
    ),
    "not yet": (lambda it: it.token(nbf=int(NOW_S) + 30), "from 30 s in the future"),
    "no client": (lambda it: it.token(client_id=None), "MissingRequiredClaimError"),
    "a client that is no text": (lambda it: it.token(client_id=7), "its client_id or scope is no text"),
    "a scope that is a list": (lambda it: it.token(scope=["all"]), "its client_id or scope is no text"),
    "no subject": (lambda it: it.token(sub=None), "MissingRequiredClaimError"),
    "no name of its own": (lambda it: it.token(jti=None), "MissingRequiredClaimError"),
    "an ID token": (lambda it: it.token(header={"typ": "JWT"}), "its type is not at+jwt"),
    "no type": (lambda it: it.token(header={"typ": None}), "its type is not at+jwt"),
    "signed with nothing": (lambda it: it.token(None, algorithm="none"), "it is not signed with ES256"),
    "signed with the public key": (
        lambda it: it.token(jwk_of(KEY)["x"], algorithm="HS256"),
        "it is not signed with ES256",
    ),
    "signed with RSA": (lambda it: it.token(RSA_KEY, algorithm="RS256"), "it is not signed with ES256"),
    "what has to be understood": (lambda it: it.token(header={"crit": ["exp"]}), "it cannot be read"),
    "a key of its own": (
        lambda it: it.token(OTHER_KEY, {"jwk": jwk_of(OTHER_KEY)}),
        "its signature is wrong",
    ),
    "an address of keys": (
        lambda it: it.token(OTHER_KEY, {"jku": f"{it.site.url}/keys", "kid": "other"}),
        "signed with a key that its issuer does not publish",
    ),
    "a reference": (lambda _: "lca_AQEgyN9d0_9v", "it cannot be read as a JWT; `Guard` takes references"),
    "a refresh token": (lambda _: "lcr_AQEgyN9d0_9v", "it cannot be read as a JWT"),
    "anything": (lambda _: "eyJhbGciOiJFUzI1NiJ9.e30.AA", "its type is not at+jwt"),
    "a header that is a list": (lambda _: "W10.e30.AA", "it cannot be read as a JWT"),
    "a header without end": (lambda _: f"{'W1tb' * 300}.e30.AA", "it cannot be read as a JWT"),
}


class TestRefused:
    """A token that its issuer has not signed for this API, or not for this moment."""

    @pytest.mark.parametrize("wrong", WRONG)
    def test_it_is_refused_and_the_log_says_why(
        self, issuer: Issuer, guard: JwtGuard, api: Api, caplog: pytest.LogCaptureFixture, wrong: str
    ) -> None:
        """RFC 9068 4, RFC 8725 3; the caller is told one thing only (RFC 6750 3.1)."""
        make, told = WRONG[wrong]
        token = make(issuer)
        found = api(guard, "GET", {"Authorization": f"Bearer {token}"})
        assert found.status_code == 401, found.text
        assert 'error="invalid_token"' in found.headers["www-authenticate"]
        assert told in caplog.text
        assert token not in caplog.text
        assert {asked.path for asked in issuer.site.asked} <= {METADATA, JWKS}

    def test_claims_exchanged_under_a_good_signature_are_refused(
        self, issuer: Issuer, guard: JwtGuard
    ) -> None:
        """RFC 7515 5.2."""
        head, _, signature = issuer.token().split(".")
        claims = issuer.token(scope="admin").split(".")[1]
        assert refused(guard, f"{head}.{claims}.{signature}") == INVALID

    def test_a_token_that_has_expired_is_refused_without_a_word(
        self, issuer: Issuer, guard: JwtGuard, caplog: pytest.LogCaptureFixture
    ) -> None:
        """RFC 7519 4.1.4, to the second; it happens all day."""
        token = issuer.token()
        guard.check("POST", f"Bearer {token}")
        issuer.wall.s = NOW_S + 59.9
        issuer.now.s += 1.0
        assert guard.check("POST", f"Bearer {token}").user == "TC"
        issuer.wall.s = NOW_S + 60
        assert refused(guard, token) == INVALID
        assert not caplog.records

    def test_many_bad_tokens_make_one_line_a_second(
        self, issuer: Issuer, guard: JwtGuard, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Anybody may send them."""
        for _ in range(20):
            assert refused(guard, issuer.token(OTHER_KEY)) == INVALID
        assert len(caplog.records) == 1
        issuer.now.s += 1.0
        refused(guard, issuer.token(OTHER_KEY))
        assert len(caplog.records) == 2


class TestMutated:
    """RFC 7515 5.2: a token of which anything is another, by `licet.guard.claims` alone."""

    url = "https://licence.example.com/Jim_Test"
    expected = claims.Expected(tenant="Jim_Test", issuer=url, audience=url, leeway_s=10)
    token = jwt.encode(
        {
            "iss": url,
            "aud": url,
            "sub": "client:TestClientId",
            "client_id": "TestClientId",
            "iat": int(NOW_S),
            "exp": int(NOW_S) + 60,
            "jti": "x",
        },
        KEY,
        algorithm="ES256",
        headers={"kid": "first", "typ": "at+jwt"},
    )
    keys = claims.read_keys(json.dumps({"keys": [jwk_of(KEY)]}).encode())

    def lives(self, token: str) -> bool:
        """Whether it is believed."""
        assert not isinstance(self.keys, Unusable)
        kid = claims.read_kid(token)
        key = None if isinstance(kid, Dead) else self.keys.get(kid)
        return key is not None and isinstance(claims.read(token, key, self.expected, NOW_S), Live)

    def test_the_token_itself_is_believed(self) -> None:
        """Or the others would prove nothing."""
        assert self.lives(self.token)

    @given(st.integers(0, 400), st.characters())
    def test_no_other_character_is(self, at: int, other: str) -> None:
        """Anywhere."""
        at %= len(self.token)
        mutated = self.token[:at] + other + self.token[at + 1 :]
        assert self.lives(mutated) == (mutated == self.token)

    def test_no_other_last_letter_is(self) -> None:
        """Four of its bits say nothing."""
        alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
        assert [it for it in alphabet if self.lives(self.token[:-1] + it)] == [self.token[-1]]

    @given(st.text(max_size=200))
    def test_no_text_is(self, text: str) -> None:
        """Nor is it a fault."""
        head, body, signature = self.token.split(".")
        for sent in (
            text,
            f"{head}.{text}.{signature}",
            f"{text}.{body}.{signature}",
            f"{head}.{body}.{text}",
        ):
            assert self.lives(sent) == (sent == self.token)

    @given(
        st.dictionaries(
            st.sampled_from(["iss", "aud", "exp", "iat", "nbf", "sub", "client_id", "scope", "jti"]),
            st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.text()),
            min_size=1,
        )
    )
    def test_no_claims_that_were_signed_are_a_fault(self, changes: dict[str, Any]) -> None:
        """Whatever an issuer says."""
        said = jwt.decode(self.token, options={"verify_signature": False}) | changes
        content = jwt.PyJWS().encode(
            json.dumps(said).encode(), KEY, algorithm="ES256", headers={"kid": "first", "typ": "at+jwt"}
        )
        assert self.lives(content) in {True, False}


class TestRemembering:
    """A token that was good a moment ago."""

    def test_it_is_let_in_for_the_cache_but_never_beyond_its_end(self, issuer: Issuer) -> None:
        """It costs less than to check the signature again."""
        guard, token = issuer.guard(cache=timedelta(seconds=5)), issuer.token(exp=int(NOW_S) + 3)
        assert guard.check("POST", f"Bearer {token}").user == "TC"
        issuer.now.s += 2.9
        assert guard.check("POST", f"Bearer {token}").user == "TC"
        issuer.now.s += 0.1
        issuer.wall.s += 3.0
        assert refused(guard, token) == INVALID

    def test_a_process_that_stood_still_meanwhile_does_not_lengthen_it(self, issuer: Issuer) -> None:
        """Its life is counted from before it was looked at."""

        def stand_still() -> float:
            issuer.now.s += 60.0
            return issuer.wall.s

        guard, token = issuer.guard(cache=timedelta(minutes=5), wall_s=stand_still), issuer.token()
        assert guard.check("POST", f"Bearer {token}").user == "TC"
        issuer.wall.s += 60.0
        assert refused(guard, token) == INVALID
        guard.close()

    def test_a_key_that_is_taken_back_is_out_when_keys_and_token_are_looked_at_again(
        self, issuer: Issuer, guard: JwtGuard
    ) -> None:
        """Five minutes after the last fetch."""
        token = issuer.token(exp=int(NOW_S) + 3600)
        guard.check("POST", f"Bearer {token}")
        issuer.keys = [jwk_of(OTHER_KEY, "second")]
        issuer.now.s += 299.9
        assert guard.check("POST", f"Bearer {token}").user == "TC"
        issuer.now.s += 0.1
        assert refused(guard, token) == INVALID


class TestMaking:
    """A guard is made once, and tells then what is wrong."""

    @pytest.mark.parametrize(
        ("options", "told"),
        [
            ({"tenant_url": "ftp://example.com/Jim_Test"}, "tenant_url must be an http or https URL"),
            ({"tenant_url": "http://example.com/Jim_Test"}, "tenant_url is http, which others can read"),
            ({"tenant_url": "https://example.com/"}, "tenant_url must end with the name of a tenant"),
            ({"leeway": timedelta(seconds=-1)}, "leeway must not be less than nothing"),
            ({"timeout": timedelta(0)}, "timeout and cache_entries_max must be more than nothing"),
            ({"scopes": "all"}, "scopes is a list of scopes"),
            ({"realm": '"'}, "realm must be printable ASCII"),
        ],
    )
    def test_what_cannot_be_is_told(self, options: dict[str, Any], told: str) -> None:
        """All by its name."""
        with pytest.raises(ValueError, match=told):
            JwtGuard(**({"tenant_url": "https://example.com/Jim_Test"} | options))

    def test_it_shows_whose_tokens_it_lets_in(self) -> None:
        """In a log."""
        assert repr(JwtGuard("https://example.com/Jim_Test")) == "JwtGuard('https://example.com/Jim_Test/')"

    @pytest.mark.parametrize("missing", ["jwt", "cryptography"])
    def test_without_the_extra_it_says_how_to_get_it(self, missing: str) -> None:
        """The base install has httpx alone."""
        program = (
            f"import sys; sys.modules[{missing!r}] = None\n"
            "from licet.guard import Guard, JwtGuard\n"
            "try: JwtGuard('https://example.com/Jim_Test')\n"
            "except ImportError as fault: print(fault)"
        )
        ran = subprocess.run(
            [sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=60
        )
        assert ran.stdout == (
            f"JwtGuard needs PyJWT ({missing} is missing): pip install 'pyjwt[crypto]'\n"
        ), ran.stderr


def test_both_guards_tell_the_same_of_a_jwt_until_it_is_logged_off(tmp_path: Path) -> None:
    """One identity; a logoff is final where it is asked about, and not where it is not."""
    with RunningServer(tmp_path) as server:
        with server.changing() as change:
            change.tenant("Jim_Test").set(token_format=TokenFormat.JWT)
        url = f"{server.url}/Jim_Test"
        token = server.ask("Jim_Test/token", grant_type="client_credentials").json()["access_token"]
        asking = Guard(url, "Api", "password", cache=timedelta(0), ssl_context=CONTEXT, timeout=PATIENCE)
        checking = JwtGuard(url, cache=timedelta(0), ssl_context=CONTEXT, timeout=PATIENCE)
        assert checking.check("POST", f"Bearer {token}") == asking.check("POST", f"Bearer {token}")
        server.http.post("/Jim_Test/logoff", headers={"authorization": f"Bearer {token}"}).raise_for_status()
        assert refused(asking, token) == INVALID
        assert checking.check("POST", f"Bearer {token}").client == "TestClientId"
        asking.close()
        checking.close()


def test_a_guard_works_on_in_a_child_after_a_fork(tmp_path: Path) -> None:
    """As under Gunicorn: what the parent had open is the parent's."""
    with RunningServer(tmp_path) as server:
        with server.changing() as change:
            change.tenant("Jim_Test").set(token_format=TokenFormat.JWT)
        token = server.ask("Jim_Test/token", grant_type="client_credentials").json()["access_token"]
        program = (
            "import os, sys\n"
            "from licet.guard import JwtGuard\n"
            "clock = [0.0]\n"
            "guard = JwtGuard(sys.argv[1], now_s=lambda: clock[0])\n"
            "guard.check('POST', f'Bearer {sys.argv[2]}')\n"
            "child = os.fork()\n"
            "clock[0] = 400.0\n"
            "assert guard.check('POST', f'Bearer {sys.argv[2]}').user == 'TC'\n"
            "if not child: os._exit(7)\n"
            "assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7"
        )
        command = [sys.executable, "-c", program, f"{server.url}/Jim_Test", token]
        subprocess.run(command, check=True, timeout=60)
