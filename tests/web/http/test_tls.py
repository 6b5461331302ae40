"""Connections by TLS: what bounds them before TLS is agreed, and that they are as any other afterwards."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, ClassVar

import pytest

from licet.web.http.certificate import Certificate
from licet.web.http.connections import Limits
from licet.web.http.phases import TAKEN_BYTES_LEAST
from support.waiting import until
from support.web.certificates import Pair, put
from support.web.listening import (
    HASTE_S,
    IDLE_S,
    PATIENCE_S,
    Client,
    OneProtocol,
    PatientProtocol,
    Server,
    SmallProtocol,
    get,
    post,
    silent,
)
from support.web.treatments import HUGE, LARGE


class HurriedProtocol(PatientProtocol):
    """A time for a head that a test can wait for."""

    head_timeout_s = HASTE_S


class InterruptedProtocol(PatientProtocol):
    """The first handshake is cancelled in the turn of the loop in which it is accepted, as by a stop."""

    limits: ClassVar[Limits] = Limits(connections_max=1)
    was_interrupted: ClassVar[bool] = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not self.was_interrupted:
            type(self).was_interrupted = True  # each server has a class of its own
            self.loop.call_soon(self._stop_all)  # before the first step of the handshake, which is made next

    def _stop_all(self) -> None:
        for connection in list(self.server_state.connections):
            connection.shutdown()


class Site:
    """Servers with one certificate, in a directory."""

    def __init__(self, directory: Path) -> None:
        self.pair = Pair()
        self.directory = directory
        self.said: list[str | None] = []
        self.certificate = Certificate(*self.pair.write(directory), changed=self.said.append)

    def serve(self, protocol: type[PatientProtocol], grace_s: int | None = None) -> Server:
        """A server, which stops at the end of its block."""
        return Server(protocol, certificate=self.certificate, grace_s=grace_s)

    @contextmanager
    def connect(self, server: Server, version: ssl.TLSVersion | None = None) -> Iterator[Client]:
        """A client that has agreed on TLS."""
        plain = socket.create_connection(server.address, timeout=PATIENCE_S)
        with self.pair.context(version).wrap_socket(plain, server_hostname="127.0.0.1") as secure:
            yield Client(secure)


@pytest.fixture
def site(tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """Nothing that a client does wrong is logged."""
    with silent(caplog, monkeypatch):
        yield Site(tmp_path)


def hello() -> bytes:
    """The first message of a client."""
    outgoing = ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_both_versions_are_spoken(site: Site, version: ssl.TLSVersion) -> None:
    """Several requests on a connection, together and large."""
    with site.serve(PatientProtocol) as server, site.connect(server, version) as client:
        assert isinstance(client.socket, ssl.SSLSocket)
        assert client.socket.version() == {771: "TLSv1.2", 772: "TLSv1.3"}[version]
        client.send(post("/token", b"a=b") + post("/large") + post("/turns", b"c=d"))
        assert client.answer().json["body"] == "a=b"
        assert len(client.answer().json["x"]) == LARGE
        assert client.answer().json["body"] == "c=d"
        client.send(post("/token", b"e=f", "Connection: close"))
        assert client.last_answer().json["body"] == "e=f"


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_an_older_version_is_not(site: Site) -> None:
    """RFC 8996."""
    context = site.pair.context()
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    with site.serve(PatientProtocol) as server:
        plain = socket.create_connection(server.address, timeout=PATIENCE_S)
        with plain, pytest.raises(ssl.SSLError):
            context.wrap_socket(plain, server_hostname="127.0.0.1")


@pytest.mark.parametrize(
    "first", [b"", b"\x16", hello()[:99], hello()], ids=["nothing", "one", "half", "whole"]
)
def test_a_handshake_that_is_not_finished_is_cut_off(site: Site, first: bytes) -> None:
    """In the time that a head has."""
    with site.serve(HurriedProtocol) as server, server.connect() as client, suppress(ConnectionError):
        client.send(first)
        client.end()


@pytest.mark.parametrize(
    "first", [get("Host: licet.test"), b"\x16\x03\x01\xff\xff" + b"x" * 99_999, b"\xff" * 99]
)
def test_what_is_no_handshake_is_cut_off(site: Site, first: bytes) -> None:
    """Without an answer in clear."""
    with site.serve(PatientProtocol) as server, server.connect() as client:
        try:
            client.send(first)
            said = client.end()
        except ConnectionError:
            said = b""
        assert not said.startswith(b"HTTP")
        with site.connect(server) as other:
            other.send(post("/token", b"a=b"))
            assert other.answer().status == 200


def test_a_client_that_goes_in_its_handshake_leaves_its_place(site: Site) -> None:
    """However it goes."""
    with site.serve(SmallProtocol) as server:
        for _ in range(3):
            with server.connect() as client:
                client.send(hello())
                client.reset()
            with server.connect() as client:
                client.say_no_more()
                client.end()
        with site.connect(server) as client:
            client.send(post())
            assert client.answer().status == 200


def test_a_connection_counts_before_tls_is_agreed(site: Site) -> None:
    """Without room the next one is closed at once; and a source takes no place of its own then."""
    with site.serve(SmallProtocol) as server, server.connect() as one, server.connect() as two:
        one.send(hello())
        with server.connect() as third:
            assert third.end() == b""
        two.say_no_more()
        two.end()
        with site.connect(server) as fourth:
            fourth.send(post())
            assert fourth.answer().status == 200


def test_who_waits_in_a_handshake_gives_way(site: Site) -> None:
    """As any connection that keeps the server waiting, to the next one of its source."""
    with site.serve(OneProtocol) as server, server.connect() as slow:
        slow.send(hello())
        with site.connect(server) as client:
            assert b"HTTP" not in slow.end()
            client.send(post("/token", b"a=b"))
            assert client.answer().json["body"] == "a=b"


def test_a_connection_that_gives_way_does_not_wait_for_the_end_of_tls(site: Site) -> None:
    """RFC 8446 section 6.1: who is idle may not close its side, and keeps no connection open by that."""
    with site.serve(OneProtocol) as server, site.connect(server) as idle:
        idle.send(post())
        assert idle.answer().status == 200
        with site.connect(server) as client:
            client.send(post())
            assert client.answer().status == 200
            until(lambda: server.connections == 1)


def test_a_request_is_answered_by_the_certificate_it_came_with(site: Site) -> None:
    """The next handshake sees the renewed one; a broken one changes nothing."""
    with site.serve(PatientProtocol) as server, site.connect(server) as before:
        old = site.pair
        put(site.directory / "certificate.pem", b"broken")
        with site.connect(server) as client:
            client.send(post())
            assert client.answer().status == 200
        site.pair = Pair()
        site.pair.write(site.directory)
        with site.connect(server) as client:
            client.send(post())
            assert client.answer().status == 200
        before.send(post("/token", b"a=b"))
        assert before.answer().json["body"] == "a=b"
        site.pair = old
        with pytest.raises(ssl.SSLCertVerificationError), site.connect(server):
            pass
    assert [reason is None for reason in site.said] == [False, True]


@contextmanager
def asked_for_much(site: Site, connection: str) -> Iterator[tuple[Server, Client]]:
    """A server and its client, which has asked for a large answer and reads only what it says."""
    with Server(PatientProtocol, buffer_bytes=4096, certificate=site.certificate) as server:
        plain = server.connect_slowly().socket
        with Client(site.pair.context().wrap_socket(plain, server_hostname="127.0.0.1")) as client:
            client.send(post("/huge", b"", f"Connection: {connection}"))
            yield server, client


@pytest.mark.parametrize("connection", ["close", "keep-alive"])
def test_a_client_that_reads_slowly_but_steadily_gets_its_whole_answer(site: Site, connection: str) -> None:
    """TAKEN_BYTES_LEAST, though what is not sent yet is out of sight below TLS."""
    with asked_for_much(site, connection) as (server, client):
        for taken in range(4 * TAKEN_BYTES_LEAST, HUGE, 4 * TAKEN_BYTES_LEAST):
            client.take(taken)
            server.pass_time_now(IDLE_S)
        assert len(client.answer().json["x"]) == HUGE


@pytest.mark.parametrize("connection", ["close", "keep-alive"])
def test_a_client_that_takes_almost_nothing_is_dropped(site: Site, connection: str) -> None:
    """TAKEN_BYTES_LEAST, too."""
    with asked_for_much(site, connection) as (server, client):
        with suppress(OSError, AssertionError):  # it may be cut off while it reads
            for taken in range(1, 4):
                client.take(taken)
                server.pass_time_now(IDLE_S)
        until(lambda: server.connections == 0)


def test_a_server_that_stops_waits_for_no_idle_client(site: Site) -> None:
    """RFC 8446 section 6.1: it has ended its side, and the client may never do so."""
    with site.serve(PatientProtocol) as server, site.connect(server) as client:
        client.send(post())
        assert client.answer().status == 200
        server.stop()
        assert client.end() == b""


def test_a_server_that_stops_waits_for_no_handshake(site: Site) -> None:
    """It has agreed to nothing yet."""
    with site.serve(PatientProtocol) as server, server.connect() as client:
        client.send(hello())
        server.stop()
        client.end()


def test_a_handshake_that_is_cancelled_before_its_first_step_leaves_its_place(site: Site) -> None:
    """Its connection is closed, the next client is served, and a server that stops does not wait for it."""
    with site.serve(InterruptedProtocol, grace_s=1) as server:
        with server.connect() as client:
            assert client.end() == b""
        with site.connect(server) as client:
            client.send(post("/token", b"a=b"))
            assert client.answer().json["body"] == "a=b"
