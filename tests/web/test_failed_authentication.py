"""A failed authentication is kept with its cause, and whoever failed gets one answer for all causes."""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from licet.cli.run.demo import PASSWORD
from licet.credentials.generated import ClientSecrets
from licet.credentials.keyring import FILE_NAME, read_keyring
from licet.journal.failures import FailureFilter, FailureRange, Refused, failures, find_request
from licet.model import FailureCause
from licet.setup.change import changing
from licet.web.recording import REQUESTS_OF_SOURCE_MAX
from support.server.running import PASSWORD_HASH, RunningServer
from support.waiting import until
from support.web.signing import Signer, claims, proof

JIM = "Jim_Test"
GRANT = {"grant_type": "client_credentials"}
SIGNER, STRANGER = Signer.new("ES256"), Signer.new("ES256")
SECRET_IN_THE_WRONG_PLACE = "Sesame-opens-3141592"


class Site:
    """A server, and clients that fail in each way."""

    def __init__(self, server: RunningServer) -> None:
        self.server = server
        self.issuer = f"{server.url}/{JIM}"
        secrets = ClientSecrets(read_keyring(server.data / FILE_NAME).pepper)
        self.live, self.old = secrets.generate(), secrets.generate()
        now_ms = server.clock.now_ms()
        with server.changing() as change:
            setup = change.tenant(JIM)
            for initials, enabled in (("KY", True), ("OF", False), ("NP", True)):
                setup.add_user(initials, password_hash=PASSWORD_HASH, enabled=enabled)
            setup.add_client("Keyed", user="KY")
            setup.add_key("Keyed", SIGNER.key)
            setup.add_client("Off", user="KY", enabled=False)
            setup.add_client("OfOff", user="OF")
            setup.add_client("Generated", user="NP", password_allowed=False)
            setup.add_secret("Generated", self.live)
            setup.add_secret("Generated", self.old, expires_at_ms=now_ms + 1)
            setup.add_pool("none", seats=0)
            setup.add_scope("more", pool="none")
        server.advance(seconds=1)

    def basic(self, client_id: str, secret: str, tenant: str = JIM) -> httpx.Response:
        """The answer to credentials in the header."""
        return self.server.ask(f"{tenant}/token", client_id, secret, **GRANT)

    def post(self, **form: str) -> httpx.Response:
        """The answer to a form."""
        headers = {"content-type": "application/x-www-form-urlencoded"}
        return self.server.http.post(f"/{JIM}/token", content=urlencode(form), headers=headers)

    def signed(self, client_id: str = "Keyed", signer: Signer = SIGNER, **more: Any) -> str:
        """An assertion."""
        audience = more.pop("aud", self.issuer)
        return signer.sign(claims(client_id, audience, now_s=self.server.clock.now_ms() / 1000, **more))

    def assertion(self, text: str) -> httpx.Response:
        """The answer to it."""
        return self.post(**proof(text), **GRANT)

    def written(self, **only: Any) -> tuple[FailureRange, ...]:
        """What the journal has of all tenants."""
        with self.server.store() as store, store.reading() as connection:
            return failures(connection, None, only=FailureFilter(**only)).ranges

    def found(self, answer: httpx.Response) -> Refused:
        """What the request id of an answer leads to, as soon as it is written."""
        request_id, found = answer.json()["request_id"], list[Refused]()

        def is_kept() -> bool:
            with self.server.store() as store, store.reading() as connection:
                found.extend(filter(None, [find_request(connection, request_id)]))
            return bool(found)

        until(is_kept)
        return found[0]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One for all tests, with limits that none of them meets but who wants to."""
    data = tmp_path_factory.mktemp("site")
    limits: dict[str, Any] = {"login_failures_per_client_max": 1000, "login_failures_per_source_max": 1000}
    with RunningServer(data, manual_clock=True, logs_all=True, **limits) as server:
        yield Site(server)


def used(site: Site) -> httpx.Response:
    """An assertion that was used before."""
    text = site.signed()
    assert site.assertion(text).status_code == 200
    return site.assertion(text)


SECRETS: Mapping[FailureCause, Callable[[Site], httpx.Response]] = {
    FailureCause.UNKNOWN_TENANT: lambda it: it.basic("TestClientId", PASSWORD, "Nobody"),
    FailureCause.UNKNOWN_CLIENT: lambda it: it.basic(SECRET_IN_THE_WRONG_PLACE, PASSWORD),
    FailureCause.WRONG_SECRET: lambda it: it.basic("TestClientId", "wrong"),
    FailureCause.EXPIRED_SECRET: lambda it: it.basic("Generated", it.old.secret),
    FailureCause.PASSWORD_NOT_ALLOWED: lambda it: it.basic("Generated", PASSWORD),
    FailureCause.CLIENT_DISABLED: lambda it: it.basic("Off", PASSWORD),
    FailureCause.USER_DISABLED: lambda it: it.basic("OfOff", PASSWORD),
    FailureCause.NO_CREDENTIALS: lambda it: it.post(client_id="TestClientId", **GRANT),
}
ASSERTIONS: Mapping[FailureCause, Callable[[Site], httpx.Response]] = {
    FailureCause.BAD_SIGNATURE: lambda it: it.assertion(it.signed(signer=STRANGER)),
    FailureCause.WRONG_AUDIENCE: lambda it: it.assertion(it.signed(aud="https://elsewhere.example")),
    FailureCause.EXPIRED_ASSERTION: lambda it: it.assertion(it.signed(exp=1)),
    FailureCause.USED_ASSERTION: used,
    FailureCause.UNKNOWN_CLIENT: lambda it: it.assertion(it.signed("Stranger")),
    FailureCause.CLIENT_DISABLED: lambda it: it.assertion(it.signed("Off")),
}
WAYS = (*SECRETS.items(), *ASSERTIONS.items())
NAMES = {
    FailureCause.WRONG_SECRET: ("TestClientId", "TC"),
    FailureCause.EXPIRED_SECRET: ("Generated", "NP"),
    FailureCause.PASSWORD_NOT_ALLOWED: ("Generated", "NP"),
    FailureCause.CLIENT_DISABLED: ("Off", "KY"),
    FailureCause.USER_DISABLED: ("OfOff", "OF"),
    FailureCause.NO_CREDENTIALS: ("TestClientId", "TC"),
    FailureCause.BAD_SIGNATURE: ("Keyed", "KY"),
    FailureCause.WRONG_AUDIENCE: ("Keyed", "KY"),
    FailureCause.EXPIRED_ASSERTION: ("Keyed", "KY"),
    FailureCause.USED_ASSERTION: ("Keyed", "KY"),
}


@pytest.fixture(scope="module")
def answers(site: Site) -> list[httpx.Response]:
    """The answers to each of `WAYS`, all asked for at once: a server writes failures once a second."""
    return [fail(site) for _, fail in WAYS]


@pytest.mark.parametrize(
    ("at", "cause"), [*enumerate(cause for cause, _ in WAYS)], ids=lambda it: getattr(it, "value", "")
)
def test_a_failure_is_kept_with_its_cause_and_found_by_its_request_id(
    site: Site, answers: list[httpx.Response], at: int, cause: FailureCause
) -> None:
    """With the tenant, client and user where those are ours, and the address."""
    refused = site.found(answers[at])
    assert (refused.kind, refused.reason, refused.who) == ("failed", cause, "client")
    assert (refused.name, refused.initials) == NAMES.get(cause, ("", ""))
    assert refused.tenant == ("" if cause is FailureCause.UNKNOWN_TENANT else JIM)
    assert refused.address == "127.0.0.1"
    row = next(it for it in site.written(cause=cause) if it.name == refused.name)
    assert (row.tenant, row.initials, row.address) == (refused.tenant, refused.initials, "127.0.0.1")
    assert row.first_at_ms <= refused.at_ms <= row.last_at_ms


@pytest.mark.parametrize("ways", [SECRETS, ASSERTIONS], ids=["secrets", "assertions"])
def test_every_cause_is_answered_alike(
    site: Site, ways: Mapping[FailureCause, Callable[[Site], httpx.Response]]
) -> None:
    """RFC 6749 5.2: status, headers and body are equal byte for byte, but for the request id."""
    answers = set()
    for fail in ways.values():
        answer = fail(site)
        request_id = answer.json()["request_id"]
        assert answer.headers["x-request-id"] == request_id
        headers = {
            name: text for name, text in answer.headers.items() if name not in {"x-request-id", "date"}
        }
        headers["content-length"] = str(int(headers["content-length"]) - len(request_id))
        body = answer.text.replace(request_id, "")
        answers.add((answer.status_code, tuple(sorted(headers.items())), body))
    ((status, _, body),) = answers
    assert status == 401
    assert not any(cause in body for cause in FailureCause)


def test_what_is_no_name_of_ours_is_kept_nowhere(site: Site) -> None:
    """Somebody may type a secret where the client_id belongs."""
    site.found(site.basic(SECRET_IN_THE_WRONG_PLACE, SECRET_IN_THE_WRONG_PLACE))
    site.found(site.basic("x", "y", f"T{SECRET_IN_THE_WRONG_PLACE}"))
    for file in site.server.data.iterdir():
        assert SECRET_IN_THE_WRONG_PLACE.encode() not in file.read_bytes(), file.name
    assert SECRET_IN_THE_WRONG_PLACE not in site.server.log()


def test_the_log_has_the_cause_too(site: Site) -> None:
    """Under the request id that was answered."""
    request_id = site.basic("TestClientId", "wrong").json()["request_id"]
    (line,) = [it for it in site.server.log().splitlines() if request_id in it]
    assert re.search(r"cause[\"=: ]+wrong_secret", line)


def test_the_request_id_of_a_denial_is_found(site: Site) -> None:
    """With the pool and the reason, which the client was told as well."""
    answer = site.server.ask(f"{JIM}/token", "Client1", PASSWORD, scope="more", **GRANT)
    assert answer.json()["reason"] == "no_seats"
    refused = site.found(answer)
    assert (refused.kind, refused.reason, refused.pool) == ("denied", "no_seats", "none")
    assert (refused.tenant, refused.name, refused.initials) == (JIM, "Client1", "C1")


def test_who_is_throttled_is_kept_as_such(tmp_path: Path) -> None:
    """RFC 6749 2.3.1: after so many failures nothing is looked at, and the journal counts on."""
    with RunningServer(tmp_path, manual_clock=True, login_failures_per_client_max=2) as server:
        tries = [server.ask(f"{JIM}/token", "TestClientId", "wrong", **GRANT) for _ in range(5)]
        assert [it.status_code for it in tries] == [401, 401, 429, 429, 429]
        server.terminate()
        with server.store() as store, store.reading() as connection:
            found = failures(connection, store.tenant(JIM)).ranges
            last = find_request(connection, tries[-1].json()["request_id"])
    assert {it.cause: it.times for it in found} == {FailureCause.WRONG_SECRET: 2, FailureCause.THROTTLED: 3}
    assert last is not None
    assert last.reason == "throttled"


def test_a_server_that_stops_writes_what_it_has_and_one_that_is_killed_loses_a_second(tmp_path: Path) -> None:
    """What is written is whole: a row counts no more than happened."""
    with RunningServer(tmp_path, manual_clock=True) as server:
        for _ in range(3):
            server.ask(f"{JIM}/token", "TestClientId", "wrong", **GRANT)
        server.terminate()
        with server.store() as store, store.reading() as connection:
            assert [it.times for it in failures(connection, None).ranges] == [3]
        server.start()
        for _ in range(3):
            server.ask(f"{JIM}/token", "Client1", "wrong", **GRANT)
        server.kill()
        with server.store() as store, store.reading() as connection:
            times = {it.name: it.times for it in failures(connection, None).ranges}
        assert times.pop("TestClientId") == 3
        assert sum(times.values()) <= 3


def test_a_flood_of_made_up_clients_is_one_row_a_minute(site: Site) -> None:
    """Whatever they are called; the metrics count each, and ids of one address are kept for some only."""
    site.server.advance(seconds=600)
    ids = [site.basic(f"Made-up-{number}", "lcs_" + "0" * 55).json()["request_id"] for number in range(200)]

    def rows() -> list[int]:
        found = site.written(cause=FailureCause.UNKNOWN_CLIENT, from_ms=site.server.clock.now_ms())
        return [it.times for it in found]

    until(lambda: sum(rows()) == 200)
    assert rows() == [200]
    with site.server.store() as store, store.reading() as connection:
        kept = [find_request(connection, it) is not None for it in ids]
    assert kept == [True] * REQUESTS_OF_SOURCE_MAX + [False] * (200 - REQUESTS_OF_SOURCE_MAX)


def test_a_client_that_is_disabled_while_it_asks_is_kept_as_disabled(site: Site) -> None:
    """What the server remembered of it was not so any more."""
    with site.server.store() as store, changing(store, "a test") as change:
        change.tenant(JIM).set_client("Client3", enabled=False)
    refused = site.found(site.basic("Client3", PASSWORD))
    assert refused.reason == FailureCause.CLIENT_DISABLED
