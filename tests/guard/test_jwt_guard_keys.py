"""`licet.guard.JwtGuard` and its issuer's keys: fetched, renewed and missing; and whose clock counts."""

import logging
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from licet.guard import JwtGuard
from support.guard.calling import CONTEXT
from support.guard.guarded import KINDS, Api
from support.guard.issuing import (
    INVALID,
    JWKS,
    KEY,
    METADATA,
    NOW_S,
    OTHER_KEY,
    UNAVAILABLE,
    Issuer,
    http,
    jwk_of,
    refused,
)
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


class TestKeys:
    """Fetched when they are needed, and no more often."""

    def test_they_are_fetched_once_for_five_minutes(self, issuer: Issuer, guard: JwtGuard) -> None:
        """As long as Licet lets anybody keep them."""
        for _ in range(3):
            guard.check("POST", f"Bearer {issuer.token(exp=int(NOW_S) + 3600)}")
            issuer.now.s += 100.0
        assert issuer.fetches() == 1
        guard.check("POST", f"Bearer {issuer.token(exp=int(NOW_S) + 3600)}")
        assert issuer.fetches() == 2

    def test_a_key_that_is_new_is_found_at_once(self, issuer: Issuer, guard: JwtGuard) -> None:
        """RFC 7517 4.5: where the set was fetched more than 10 seconds ago."""
        guard.check("POST", f"Bearer {issuer.token()}")
        issuer.keys.append(jwk_of(OTHER_KEY, "second"))
        token = issuer.token(OTHER_KEY, {"kid": "second"})
        issuer.now.s += 9.9
        assert refused(guard, token) == INVALID
        issuer.now.s += 0.1
        assert guard.check("POST", f"Bearer {token}").user == "TC"
        assert issuer.fetches() == 2

    def test_who_makes_keys_up_has_nobody_asked_more_often_than_every_ten_seconds(
        self, issuer: Issuer, guard: JwtGuard
    ) -> None:
        """Everything has a bound."""
        for number in range(30):
            assert refused(guard, issuer.token(OTHER_KEY, {"kid": f"made up {number}"})) == INVALID
            issuer.now.s += 1.0
        assert issuer.fetches() == 3

    def test_many_at_once_fetch_once(self, issuer: Issuer, guard: JwtGuard) -> None:
        """Whoever comes meanwhile waits for the same answer."""
        token = issuer.token()
        with ThreadPoolExecutor(16) as pool:
            found = list(pool.map(lambda _: guard.check("POST", f"Bearer {token}").user, range(16)))
        assert found == ["TC"] * 16
        assert issuer.fetches() == 1

    @pytest.mark.parametrize(
        "other",
        [
            {"kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": "first"},
            {"kty": "oct", "k": "AQAB", "kid": "first", "alg": "HS256"},
            jwk_of(ec.generate_private_key(ec.SECP384R1()), alg="ES384"),
            jwk_of(OTHER_KEY, use="enc"),
            jwk_of(OTHER_KEY, alg="ES256K"),
            jwk_of(OTHER_KEY, x="AAAA"),
            {**jwk_of(OTHER_KEY), "y": jwk_of(KEY)["y"]},
            {"kty": "EC"},
            {**jwk_of(OTHER_KEY), "kid": ["first"]},
            "first",
            None,
        ],
    )
    def test_keys_that_are_no_use_are_passed_over(self, issuer: Issuer, guard: JwtGuard, other: Any) -> None:
        """RFC 7517 5: implementations ignore keys that they can't do with."""
        issuer.keys = [other, jwk_of(KEY, "second")]
        token = issuer.token(header={"kid": "second"})
        assert guard.check("POST", f"Bearer {token}").user == "TC"
        assert refused(guard, issuer.token()) == INVALID


FAULTS: dict[str, tuple[bytes, str]] = {
    "not JSON": (http(200, b"<html>"), ""),
    "a list": (http(200, [1]), ""),
    "without end": (http(200, b"[" * 50_000), ""),
    "empty": (http(200, b""), ""),
    "a fault": (http(500, {}), "answers 500"),
    "nothing there": (http(404, {}), "answers 404"),
    "created": (http(201, {}), "answers 201"),
    "a redirect": (http(302, {}, location="/elsewhere"), "redirects, which is not followed"),
    "a redirect for good": (http(308, {}, location="/elsewhere"), "redirects, which is not followed"),
    "too much": (http(200, {"more": "x" * 100_000}), "answers more than it may"),
    "not HTTP": (b"SSH-2.0-OpenSSH_9.9\r\n", "cannot be fetched: RemoteProtocolError"),
    "half of it": (b'HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{"keys": [', "cannot be fetched"),
}
METADATA_FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "another issuer": (
        {"issuer": "https://example.com/Jim_Test"},
        "the issuer is 'https://example.com/Jim_T",
    ),
    "no issuer": ({"issuer": None}, "the issuer is None"),
    "no keys": ({"jwks_uri": None}, "its access tokens are references; `Guard` takes them"),
    "keys that are a list": ({"jwks_uri": []}, "its access tokens are references"),
    "keys in clear": ({"jwks_uri": "http://example.com/jwks.json"}, "without being changed on the way"),
    "keys in a file": ({"jwks_uri": "file:///etc/passwd"}, "without being changed on the way"),
    "keys nowhere": ({"jwks_uri": "https:///jwks.json"}, "without being changed on the way"),
    "no URL": ({"jwks_uri": "http://[::1"}, "cannot be fetched: ValueError"),
}


class TestWithoutKeys:
    """When they can't be had nobody is let in, and the log says why."""

    @pytest.mark.parametrize("path", [METADATA, JWKS])
    @pytest.mark.parametrize("fault", FAULTS)
    def test_an_endpoint_that_answers_nonsense_lets_nobody_in(
        self, issuer: Issuer, api: Api, caplog: pytest.LogCaptureFixture, fault: str, path: str
    ) -> None:
        """503, and never a token believed unread."""
        issuer.answers[path], told = FAULTS[fault]
        guard = issuer.guard()
        found = api(guard, "GET", {"Authorization": f"Bearer {issuer.token()}"})
        guard.close()
        assert (found.status_code, found.headers["retry-after"]) == (503, "2")
        assert f"the keys of {issuer.url}/ " in caplog.text
        assert told in caplog.text
        assert caplog.records[-1].levelno == logging.ERROR
        assert "/elsewhere" not in [asked.path for asked in issuer.site.asked]

    @pytest.mark.parametrize("fault", METADATA_FAULTS)
    def test_metadata_that_are_not_those_of_the_issuer_let_nobody_in(
        self, issuer: Issuer, guard: JwtGuard, caplog: pytest.LogCaptureFixture, fault: str
    ) -> None:
        """RFC 8414 3.3."""
        changes, told = METADATA_FAULTS[fault]
        issuer.metadata |= changes
        assert refused(guard, issuer.token()) == UNAVAILABLE
        assert told in caplog.text
        assert issuer.fetches() == 0

    @pytest.mark.parametrize(
        ("keys", "told"),
        [
            ({"keys": {}}, "is no key set"),
            ({"keys": []}, "has no key for ES256"),
            ({"keys": [{}] * 201}, "is no key set"),
            ({"keys": [jwk_of(KEY, None)]}, "has no key for ES256"),  # type: ignore[arg-type]
            ({}, "is no key set"),
        ],
    )
    def test_a_set_without_a_key_lets_nobody_in(
        self, issuer: Issuer, guard: JwtGuard, caplog: pytest.LogCaptureFixture, keys: Any, told: str
    ) -> None:
        """RFC 7517 5."""
        issuer.answers[JWKS] = http(200, keys)
        assert refused(guard, issuer.token()) == UNAVAILABLE
        assert told in caplog.text

    def test_an_endpoint_that_does_not_answer_lets_nobody_in(
        self, issuer: Issuer, api: Api, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A connection that is taken, and nothing more."""
        with socket.create_server(("127.0.0.1", 0)) as silent:
            url = f"http://127.0.0.1:{silent.getsockname()[1]}/Jim_Test"
            guard = JwtGuard(url, timeout=timedelta(seconds=0.05), ssl_context=CONTEXT)
            found = api(guard, "GET", {"Authorization": f"Bearer {issuer.token()}"})
            guard.close()
        assert found.status_code == 503
        assert "do not come in time; requests are refused" in caplog.text

    def test_nobody_there_lets_nobody_in(self, issuer: Issuer, caplog: pytest.LogCaptureFixture) -> None:
        """Nor does it wait."""
        with socket.create_server(("127.0.0.1", 0)) as gone:
            url = f"http://127.0.0.1:{gone.getsockname()[1]}/Jim_Test"
        assert refused(JwtGuard(url, ssl_context=CONTEXT), issuer.token()) == UNAVAILABLE
        assert "cannot be fetched: ConnectError" in caplog.text

    def test_a_fetch_that_failed_is_tried_again_two_seconds_later(
        self, issuer: Issuer, guard: JwtGuard
    ) -> None:
        """As the answer says; until then nobody waits for another."""
        issuer.answers[METADATA] = http(500, {})
        for _ in range(5):
            assert refused(guard, issuer.token()) == UNAVAILABLE
        assert issuer.fetches(METADATA) == 1
        issuer.answers.clear()
        issuer.now.s += 2.0
        assert guard.check("POST", f"Bearer {issuer.token()}").user == "TC"

    def test_an_outage_is_bridged_as_long_as_the_keys_count(self, issuer: Issuer, guard: JwtGuard) -> None:
        """No new token can be had either."""
        token = issuer.token(exp=int(NOW_S) + 3600)
        guard.check("POST", f"Bearer {token}")
        issuer.answers[METADATA] = http(503, {})
        issuer.now.s += 299.9
        assert guard.check("POST", f"Bearer {token}").user == "TC"
        assert refused(guard, issuer.token(OTHER_KEY, {"kid": "second"})) == UNAVAILABLE
        assert guard.check("POST", f"Bearer {token}").user == "TC"
        issuer.now.s += 2.0
        assert refused(guard, token) == UNAVAILABLE


class TestClocks:
    """This machine's clock decides what has expired; one that is wrong lets nobody in."""

    @pytest.mark.parametrize(
        ("ahead_s", "told"), [(180, "180 s ahead of the issuer's"), (-180, "180 s behind the issuer's")]
    )
    def test_a_clock_that_differs_by_minutes_lets_nobody_in(
        self, issuer: Issuer, api: Api, caplog: pytest.LogCaptureFixture, ahead_s: int, told: str
    ) -> None:
        """Ahead it would take live tokens for dead; behind, dead ones for live."""
        guard = issuer.guard()
        issuer.wall.s += ahead_s
        for token in (issuer.token(), issuer.token(iat=int(NOW_S) - 200, exp=int(NOW_S) - 140)):
            found = api(guard, "GET", {"Authorization": f"Bearer {token}"})
            assert found.status_code == 503
        guard.close()
        assert f"are of no use: the clock of this machine is {told}" in caplog.text

    @pytest.mark.parametrize("ahead_s", [-30, 30])
    def test_seconds_are_nothing(self, issuer: Issuer, guard: JwtGuard, ahead_s: int) -> None:
        """A date is told in whole seconds, and on its way for a while."""
        issuer.wall.s += ahead_s
        now = int(issuer.wall.s)
        assert guard.check("POST", f"Bearer {issuer.token(iat=now, exp=now + 60)}").user == "TC"

    @pytest.mark.parametrize("behind_s", [1, 20, 30])
    def test_a_token_has_expired_when_it_has_at_its_issuer(
        self, issuer: Issuer, guard: JwtGuard, behind_s: int
    ) -> None:
        """Its seat is held until then, and may be somebody else's while this machine's clock is behind."""
        issuer.wall.s -= behind_s
        token = issuer.token()
        assert guard.check("POST", f"Bearer {token}").user == "TC"
        issuer.wall.s += 59.9
        assert guard.check("POST", f"Bearer {token}").user == "TC"
        issuer.wall.s += 0.1
        assert refused(guard, token) == INVALID

    def test_a_clock_that_is_ahead_lets_no_token_live_longer(self, issuer: Issuer, guard: JwtGuard) -> None:
        """By its own time the token has expired: who is early lets nobody in."""
        issuer.wall.s += 20
        token = issuer.token()
        assert guard.check("POST", f"Bearer {token}").user == "TC"
        issuer.wall.s += 40
        assert refused(guard, token) == INVALID

    @pytest.mark.parametrize("date", ["", "yesterday", "Wed, 99 Foo 2026 00:00:00 GMT"])
    def test_an_issuer_that_does_not_tell_the_time_is_believed(
        self, issuer: Issuer, guard: JwtGuard, date: str
    ) -> None:
        """RFC 9110 6.6.1: a server without a clock sends none."""
        issuer.answers[METADATA] = http(200, issuer.metadata, date=date)
        issuer.wall.s += 40
        assert guard.check("POST", f"Bearer {issuer.token()}").user == "TC"
