"""A server that runs the HTTP protocol under test with an application for tests, and raw clients of it."""

import json
import logging
import queue
import socket
import struct
import termios
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from fcntl import ioctl
from typing import Any, ClassVar, NamedTuple, Self, cast

import pytest
import uvicorn

from licet.web.http.asgi import AsgiHttpProtocol
from licet.web.http.certificate import Certificate
from licet.web.http.connection import GuardedHttpProtocol
from licet.web.http.connections import Limits
from licet.web.http.direct import DirectHttpProtocol
from licet.web.http.phases import LINGER_BYTES_MAX
from licet.web.http.repeated import RepeatedRequests
from licet.web.http.timer import NEVER
from licet.web.http.tls import GuardedServer
from support.waiting import until
from support.web.treatments import Application, AsgiApplication

PATIENCE_S = 60.0
"""How long a test waits for what must happen. A wait that takes longer is a failure."""

_RECEIVED_BYTES_MAX = 1 << 20  # bytes in the kernel that the server has not read yet
IDLE_S = 2 * int(PATIENCE_S)
"""The timeout of an idle connection: longer than PATIENCE_S, so that it never ends a connection in a test."""

HASTE_S = 0.25
"""The time limits of a client that reads nothing, where a test waits until they are over."""

BUG = "Exception in ASGI application\n"
"""What uvicorn logs when an application raises an exception; the public listener reports it."""


@contextmanager
def silent(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, *, is_bug: bool = False, but: str = ""
) -> Iterator[None]:
    """The block logs no warning and no error, except the line `but`, and the one of a bug if `is_bug`."""
    # pytest makes uvicorn write its access log, which is off.
    monkeypatch.setattr(logging.getLogger("uvicorn.access"), "disabled", True)
    caplog.set_level(logging.INFO, "uvicorn")  # a server's settings of another test have it silent
    yield
    told = [record.getMessage() for record in caplog.get_records("call") if record.levelno > logging.INFO]
    told = [line for line in told if line != but]
    assert told in ([], [BUG]) if is_bug else told == []


class Patient(GuardedHttpProtocol):
    """The protocol with its own time limits; it counts alarms, and keeps faults and reports."""

    alarms: ClassVar[int] = 0
    faults: ClassVar[list[tuple[str, str]]] = []
    told: ClassVar[list[tuple[str, int, str, str]]] = []
    living: ClassVar[weakref.WeakSet["Patient"]] = weakref.WeakSet()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        Patient.living.add(self)

    @staticmethod
    def report(request_id: str, status: int, description: str, address: str) -> None:
        """Keep the report."""
        Patient.told.append((request_id, status, description, address))

    @staticmethod
    def report_fault(request_id: str, fault: BaseException) -> None:
        """Keep the text of a fault: the fault itself would hold a reference to the connection."""
        Patient.faults.append((request_id, repr(fault)))

    def _set_alarm(self) -> None:
        Patient.alarms += 1
        super()._set_alarm()

    def pass_time(self, seconds: float) -> None:
        """Move the deadline this many seconds nearer."""
        if self._deadline < NEVER:
            self._deadline -= seconds
            super()._set_alarm()


class PatientProtocol(Patient, DirectHttpProtocol):
    """That of the public listener."""


class PatientAsgiProtocol(Patient, AsgiHttpProtocol):
    """That of the admin listener."""


class Hasty(Patient):
    """The protocol with a short time to read answers; it records the ports of lost connections.

    The time to send a request is that of production: a test lets it pass with `Server.pass_time`.
    """

    gone: ClassVar[queue.Queue[int]] = queue.Queue()

    answer_timeout_s = HASTE_S
    linger_timeout_s = HASTE_S

    def connection_lost(self, exc: Exception | None) -> None:
        """Record the port of the client."""
        super().connection_lost(exc)
        assert self.client is not None
        Hasty.gone.put(self.client[1])


class HastyProtocol(Hasty, DirectHttpProtocol):
    """That of the public listener."""


class HastyAsgiProtocol(Hasty, AsgiHttpProtocol):
    """That of the admin listener."""


class SmallProtocol(PatientProtocol):
    """Room for two connections; a connection that is turned away may stay as long as a test takes."""

    linger_timeout_s = PATIENCE_S
    limits = Limits(connections_max=2, turned_away_max=1)


class OneProtocol(PatientProtocol):
    """One connection a source; a new one takes its place at once. To close may take as long as a test."""

    answer_timeout_s = linger_timeout_s = 2 * PATIENCE_S
    limits = Limits(per_source_max=1, waited_least_s=0.0)


class Server:
    """uvicorn with the protocol under test, in a thread of its own."""

    def __init__(
        self,
        protocol: type[GuardedHttpProtocol],
        *,
        idle_s: int = IDLE_S,
        buffer_bytes: int | None = None,
        grace_s: int | None = None,
        certificate: Certificate | None = None,
        is_quick: bool = True,
    ) -> None:
        self.application: Application | AsgiApplication = AsgiApplication()
        if issubclass(protocol, DirectHttpProtocol):
            self.application = Application()
            quick = self.application if is_quick else None
            of_all = {"repeated": RepeatedRequests(), "quick": quick}
            protocol = type(protocol.__name__, (protocol,), of_all)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVED_BYTES_MAX)
        if buffer_bytes is not None:
            self._listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer_bytes)
        self.address = self._listening.getsockname()
        config = uvicorn.Config(
            cast("Any", self.application),
            interface="asgi3",
            http=protocol,
            ws="none",
            lifespan="off",
            loop="uvloop",
            access_log=False,
            log_config=None,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=idle_s,
            timeout_graceful_shutdown=grace_s,
        )
        self._server = GuardedServer(config, certificate)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._listening]})

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop as on a signal: requests under way are completed."""
        self._server.should_exit = True
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()

    def connect(self) -> "Client":
        """A new connection."""
        return Client(socket.create_connection(self.address, timeout=PATIENCE_S))

    def connect_slowly(self) -> "Client":
        """A new connection, whose client takes little at a time."""
        client = Client(socket.socket())
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        client.socket.settimeout(PATIENCE_S)
        client.socket.connect(self.address)
        return client

    @property
    def connections(self) -> int:
        """How many connections it has open, whether they are counted or not."""
        return len(self._server.server_state.connections)

    def catch_up(self) -> None:
        """Wait until the server has taken all that was sent so far."""
        with self.connect() as client:
            client.send(post())
            client.answer()

    def pass_time(self, seconds: float) -> None:
        """Move the deadline of each connection, once the server has read all that was sent so far."""
        self.catch_up()
        self.pass_time_now(seconds)

    def pass_time_now(self, seconds: float) -> None:
        """The same without `catch_up`, which needs a free connection."""
        loop = self._server.servers[0].get_loop()
        done = threading.Event()

        def pass_it() -> None:
            for connection in [it for it in Patient.living if it.loop is loop]:
                connection.pass_time(seconds)
            done.set()

        loop.call_soon_threadsafe(pass_it)
        assert done.wait(PATIENCE_S)

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Block the server's event loop: it then reads at once what was sent in the meantime."""
        has_begun, may_go_on = threading.Event(), threading.Event()

        def wait() -> None:
            has_begun.set()
            may_go_on.wait(PATIENCE_S)

        self._server.servers[0].get_loop().call_soon_threadsafe(wait)
        assert has_begun.wait(PATIENCE_S)
        try:
            yield
        finally:
            may_go_on.set()

    def wait_at_the_gate(self) -> None:
        """Wait until a request is held back."""
        assert self.application.reached.wait(PATIENCE_S)

    def open_the_gate(self) -> None:
        """Let the request that is held back go on."""
        self.application.reached.clear()
        loop = self._server.servers[0].get_loop()
        loop.call_soon_threadsafe(self.application.open)


class Answer(NamedTuple):
    """One answer of the server."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body's content."""
        return json.loads(self.body)


class Client:
    """A socket, with as much HTTP as is needed to separate one answer from the next."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        """Send all of it."""
        self.socket.sendall(data)

    def send_at_once(self, data: bytes, server: Server) -> None:
        """Send all of it, so that the server gets it in one piece."""
        with server.busy():
            self.send(data)
            until(lambda: not any(ioctl(self.socket, termios.TIOCOUTQ, bytes(4))))  # all is acknowledged

    def send_in_pieces(self, data: bytes, size: int, server: Server) -> None:
        """Send all of it, so that the server gets it in pieces of this size."""
        for start in range(0, len(data), size):
            self.send(data[start : start + size])
            server.catch_up()

    def is_cut_off(self) -> bool:
        """Whether the server closes while the client sends without an end."""
        try:
            for _ in range(64):
                self.send(b"x" * LINGER_BYTES_MAX)
        except ConnectionError:
            return True
        return False

    def say_no_more(self) -> None:
        """End the client's side."""
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Reset the connection, as a client that crashed."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def take(self, size: int) -> None:
        """Read until there are so many bytes, and leave them for the next answer."""
        while len(self._received) < size:
            self._more()

    def answer(self) -> Answer:
        """The next answer."""
        lines = self._until(b"\r\n\r\n").decode("ascii").split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines[1:])
        status = int(lines[0].split(" ")[1])
        bodiless = status in {100, 204}
        body = b"" if bodiless else self._exactly(int(headers["content-length"]))
        return Answer(status, headers, body)

    def end(self) -> bytes:
        """Read until the server closes, and return it."""
        while more := self.socket.recv(65536):
            self._received += more
        return self._received

    def last_answer(self) -> Answer:
        """The next answer; after it the server must close in order, earlier than an idle connection."""
        last = self.answer()
        assert self.end() == b""
        return last

    def is_gone(self) -> bool:
        """Wait until a Hasty protocol has dropped the connection, whatever the client does."""
        port = self.socket.getsockname()[1]
        while Hasty.gone.get(timeout=PATIENCE_S) != port:
            pass
        return True

    def hears_nothing(self, seconds: float) -> bool:
        """Whether neither a byte nor an end comes in this time."""
        self.socket.settimeout(seconds)
        try:
            self.socket.recv(1, socket.MSG_PEEK)
            return False
        except TimeoutError:
            return self._received == b""
        finally:
            self.socket.settimeout(PATIENCE_S)

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._received:
            self._more()
        found, _, self._received = self._received.partition(mark)
        return found

    def _exactly(self, size: int) -> bytes:
        self.take(size)
        found, self._received = self._received[:size], self._received[size:]
        return found

    def _more(self) -> None:
        more = self.socket.recv(65536)
        assert more, f"the server closed after {self._received!r}"
        self._received += more


def post(path: str = "/token", body: bytes = b"", *fields: str) -> bytes:
    head = [f"POST {path} HTTP/1.1", "Host: licet.test", f"Content-Length: {len(body)}", *fields]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


def chunked(body: bytes, *fields: str) -> bytes:
    head = ["POST /token HTTP/1.1", "Host: licet.test", "Transfer-Encoding: chunked", *fields]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


def get(*fields: str, path: str = "/", version: str = "1.1") -> bytes:
    return "\r\n".join([f"GET {path} HTTP/{version}", *fields]).encode("latin-1") + b"\r\n\r\n"


def head_of(size: int) -> bytes:
    """A request without a body whose head has this many bytes."""
    padding = size - len(post("/token", b"", "X-Padding: "))
    return post("/token", b"", "X-Padding: " + "x" * padding)


def assert_refusal(refused: Answer, status: int) -> None:
    assert refused.status == status
    assert refused.headers["content-type"] == "application/json"
    assert refused.headers["cache-control"] == "no-store"
    assert refused.headers["pragma"] == "no-cache"
    assert refused.headers["connection"] == "close"
    assert refused.json["error"] == ("server_error" if status == 503 else "invalid_request")
    assert refused.json["error_description"].isascii()
    assert refused.json["request_id"] == refused.headers["x-request-id"]
