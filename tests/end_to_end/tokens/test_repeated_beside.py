"""Bytes that came before get the answer of the same request with one header more, which is parsed."""

import json
import random
import re
from collections.abc import Callable, Iterator
from itertools import count
from typing import NamedTuple

import pytest

from licet.clock import wall_ms
from licet.credentials.generated import ClientSecrets
from licet.credentials.keyring import FILE_NAME, read_keyring
from licet.setup.change import SetupChange
from licet.units import HOUR_MS
from support.many import few
from support.server.callers import TENANT, basic, with_secrets
from support.server.running import RunningServer
from support.server.wire import Wire

GRANT = "grant_type=client_credentials&scope=all"
KNOWN_AFTER = 2
OWNER = "OW"  # of the clients that ask
_BLANK = b"\r\n\r\n"
_NUMBERS = count(1)
# What names a moment, a session or a request; a length follows from them.
_OF_THE_MOMENT = re.compile(
    rb"(?:date|x-request-id|x-licet-session|content-length|retry-after): [^\r]*\r\n"
    rb'|"(?:request_id|access_token|refresh_token|sid)":"[^"]*"'
    rb'|"(?:exp|iat|cache_for|expires_in|refresh_expires_in|retry_after)":[0-9]+'
)


@pytest.fixture(scope="module")
def operated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server that the tests share; each brings its own clients."""
    with RunningServer(tmp_path_factory.mktemp("beside"), trusted_proxies="127.0.0.1") as running:
        with running.changing() as change:
            change.tenant(TENANT).set_pool("full", seats=1000)
        yield running


class Site(NamedTuple):
    """A server, and what a client of it, an API and a proxy send."""

    server: RunningServer
    client_id: str
    requests: dict[str, bytes]

    def hear(self, *pieces: bytes, source: str | None = None) -> bytes:
        """All answers to these bytes on one connection, without what differs from moment to moment."""
        return _OF_THE_MOMENT.sub(b"", _said(self.server, *pieces, source=source))

    def compare(self, source: str | None = None) -> list[bytes]:
        """The answers to all requests, which are the same for known bytes and for new ones."""
        heard = []
        for name, request in self.requests.items():
            for _ in range(KNOWN_AFTER):
                self.hear(request, source=source)
            known, new = self.hear(request, source=source), self.hear(anew(request), source=source)
            assert known == new, name
            heard.append(known)
        return heard


def _said(server: RunningServer, *pieces: bytes, source: str | None = None) -> bytes:
    with Wire(server.url, source) as wire:
        for piece in pieces[:-1]:
            wire.send(piece)
        wire.send(pieces[-1], is_last=True)
        return wire.rest()


def anew(request: bytes) -> bytes:
    """The same request with a header that no other has."""
    start = len(request) - len(request.lstrip(b"\r\n"))
    line = request[start:].splitlines(keepends=True)[0]
    ends = line[len(line.rstrip()) :]
    at = start + len(line)
    return request[:at] + b"X-Number: %d" % next(_NUMBERS) + ends + request[at:]


def posted(endpoint: str, authorization: str, form: str, *fields: str, version: str = "1.1") -> bytes:
    head = [
        f"POST /{TENANT}/{endpoint} HTTP/{version}",
        "Host: licet.test",
        f"Authorization: {authorization}",
        "Content-Type: application/x-www-form-urlencoded",
        f"Content-Length: {len(form)}",
        *fields,
    ]
    return "\r\n".join(head).encode() + _BLANK + form.encode()


def chunked(request: bytes, trailer: bytes = b"") -> bytes:
    """The same request with its body in one chunk."""
    head, body = request.split(_BLANK)
    head = re.sub(rb"Content-Length: [0-9]+", b"Transfer-Encoding: chunked", head)
    return head + _BLANK + b"%x\r\n%b\r\n0\r\n%b\r\n" % (len(body), body, trailer)


def begun(server: RunningServer) -> Site:
    """A client with a session, another one that asks for many, and an API and a proxy that ask about it."""
    number = next(_NUMBERS)
    names = [f"Asking{number}", f"Holding{number}"]
    with server.changing() as change:
        tenant = change.tenant(TENANT)
        if OWNER not in tenant.users:
            tenant.add_user(OWNER)
    asking, holding = with_secrets(server, names, user=OWNER, sessions_max=1000).values()
    (api,) = with_secrets(server, [f"Asked{number}"], introspects=True).values()
    content = json.loads(_said(server, posted("token", holding, GRANT)).split(_BLANK, 1)[1])
    token, refresh = content["access_token"], content["refresh_token"]
    lines = [f"GET /{TENANT}/verify HTTP/1.1", "Host: licet.test", f"Authorization: Bearer {token}"]
    return Site(
        server,
        names[1],
        {
            "grant": posted("token", holding, GRANT),
            "another's grant": posted("token", asking, GRANT.replace("all", "view")),
            "refresh": posted("token", holding, f"grant_type=refresh_token&refresh_token={refresh}"),
            "introspection": posted("introspect", api, f"token={token}"),
            "verification": "\r\n".join(lines).encode() + b"\r\nX-Original-Method: POST" + _BLANK,
        },
    )


@pytest.fixture
def site(operated: RunningServer) -> Site:
    return begun(operated)


@pytest.mark.parametrize("source", [None, "127.0.0.2"], ids=["a trusted proxy", "somebody else"])
def test_requests_in_all_forms_are_answered_as_if_they_came_for_the_first_time(
    site: Site, source: str | None
) -> None:
    """RFC 9112: other versions, chunks, two lengths, expectations, and what is wrong."""
    grant, verification = site.requests["grant"], site.requests["verification"]
    authorization = grant.decode().split("Authorization: ")[1].split("\r\n")[0]

    def with_(*fields: str, version: str = "1.1") -> bytes:
        return posted("token", authorization, GRANT, *fields, version=version)

    def with_body(body: bytes, *fields: bytes) -> bytes:
        lines = [verification[: -len(_BLANK)], *fields, b"Content-Length: %d" % len(body)]
        return b"\r\n".join(lines) + _BLANK + body

    forms = {
        "version 1.0": with_(version="1.0"),
        "version 1.0, kept alive": with_("Connection: keep-alive", version="1.0"),
        "close": with_("Connection: close"),
        "an upgrade": with_("Connection: Upgrade", "Upgrade: h2c"),
        "an expectation": with_("Expect: 100-continue"),
        "an expectation of a body that is not read": with_body(b"abc", b"Expect: 100-continue"),
        "line ends before it": _BLANK + grant,
        "bare line feeds": grant.replace(b"\r\n", b"\n"),
        "chunked": chunked(grant),
        "chunked with a trailer": chunked(grant, b"X-Forwarded-For: 192.0.2.1\r\n"),
        "a length and chunks": with_("Transfer-Encoding: chunked"),
        "two lengths": with_("Content-Length: 1"),
        "two hosts": with_("Host: licet.test"),
        "two authorizations": with_(f"Authorization: {authorization}"),
        "another spelling": grant.replace(b"Authorization: Basic", b"AUTHORIZATION:  basic"),
        "12 KiB": with_("X: " + "x" * 12_000),
        "64 KiB": with_("X: " + "x" * 65_536),
        "a query": grant.replace(b"/token ", b"/token?a=b "),
        "an absolute target": grant.replace(b"POST ", b"POST http://licet.test"),
        "of a proxy": with_("X-Forwarded-For: 192.0.2.7", "X-Forwarded-Proto: https"),
        "without its answer's body": verification.replace(b"GET", b"HEAD", 1),
        "a request as the body": with_body(grant),
        "a wrong secret": grant.replace(authorization.encode(), authorization[:-8].encode() + b"AAAAAAAA"),
    }
    Site(site.server, site.client_id, forms).compare(source)


@pytest.mark.parametrize("seed", few(range(30), 6))
def test_requests_in_a_row_are_answered_as_if_they_came_for_the_first_time(site: Site, seed: int) -> None:
    """RFC 9112 9.3.2: in one piece or in two, with all that a body can hide."""
    draw = random.Random(seed)  # noqa: S311 - a story, no secret
    known = [*site.requests.values(), chunked(site.requests["grant"])]
    site.compare()
    for _ in range(5):
        row = draw.choices(known, k=draw.randint(2, 6))
        together = b"".join(row)
        cut = draw.randint(1, len(together) - 1)
        heard = site.hear(together)
        assert heard.count(b"HTTP/1.1 ") == len(row)
        assert site.hear(together[:cut], together[cut:]) == heard
        assert site.hear(b"".join(map(anew, row))) == heard


CHANGES: dict[str, Callable[[SetupChange, str], object]] = {
    "client disabled": lambda change, it: change.tenant(TENANT).set_client(it, enabled=False),
    "client removed": lambda change, it: change.tenant(TENANT).remove_client(it),
    "user disabled": lambda change, _: change.tenant(TENANT).set_user(OWNER, enabled=False),
    "client suspended": lambda change, it: change.tenant(TENANT).suspend(it, wall_ms() + HOUR_MS),
    "client excluded": lambda change, it: change.tenant(TENANT).set_pool("full", exclude=(f"client:{it}",)),
    "scope taken": lambda change, it: change.tenant(TENANT).set_client(it, scopes=frozenset({"view"})),
    "read-only": lambda change, _: change.tenant(TENANT).set_scope("all", read_only=True),
    "tenant removed": lambda change, _: change.remove_tenant(TENANT),
}


@pytest.mark.parametrize("change", CHANGES)
def test_after_a_change_of_the_set_up_known_bytes_mean_what_new_ones_do(
    tmp_path_factory: pytest.TempPathFactory, change: str
) -> None:
    """From the moment at which the server has seen it."""
    with RunningServer(tmp_path_factory.mktemp("changed")) as server:
        site = begun(server)
        before = site.compare()
        with server.changing() as changing:
            CHANGES[change](changing, site.client_id)
        assert site.compare() != before


def test_known_bytes_are_refused_from_the_instant_at_which_their_secret_expires(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """As when a secret is rotated: nothing of the set-up changes then."""
    with RunningServer(tmp_path_factory.mktemp("expiring"), manual_clock=True) as server:
        client_id = begun(server).client_id
        secret = ClientSecrets(read_keyring(server.data / FILE_NAME).pepper).generate()
        with server.changing() as change:
            change.tenant(TENANT).add_secret(client_id, secret, server.clock.now_ms() + 5000)
        request = posted("token", basic(client_id, secret.secret), GRANT)
        site = Site(server, client_id, {"grant": request})
        for seconds, status in ((0, b"200"), (4.999, b"200"), (0.001, b"401"), (60, b"401")):
            server.advance(seconds=seconds)
            (answer,) = site.compare()
            assert answer.startswith(b"HTTP/1.1 " + status)
