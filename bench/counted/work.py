"""Runs a whole server in one process, from the bytes of a request to the bytes of its answer, for counting.

Only the network is missing: connections write into memory, and the committing process is a thread at the
other end of its socket. Requests come in waves, one on each connection, and the next wave comes when all are
answered; so the batches are the same in each run. The clock is a manual one.
"""

import asyncio
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import count, cycle, islice
from pathlib import Path
from typing import Any

import structlog
import uvicorn
from uvicorn.server import ServerState

from bench.measured.stores import Place, connection
from bench.measured.tenants import LIMITED, MANY, SCARCE, Held, Plan, Site, tokens_of
from bench.measured.wire import Answer, Request
from licet.clock import ManualClock
from licet.credentials.generated import SECRET_PREFIX, ClientSecrets
from licet.credentials.keyring import FILE_NAME, new_keyring, write_keyring
from licet.credentials.passwords import Passwords, Remembered
from licet.credentials.tokens import Tokens
from licet.lanes.commit import commit
from licet.lanes.process import Committer
from licet.lanes.process_main import commit_until_closed
from licet.lanes.thread import Lane
from licet.ledger.commands import Command, Outcome
from licet.server.latest_setup import LatestSetup
from licet.store.counters import taken
from licet.store.opening import SQLITE_NAME
from licet.store.sqlite.store import SqliteStore
from licet.telemetry.measures import Measures
from licet.web.authentication import Authenticator
from licet.web.http.direct import DirectHttpProtocol
from licet.web.http.repeated import RepeatedRequests
from licet.web.log_rate_limit import LogRateLimit
from licet.web.public import PublicApp
from licet.web.recording import Recorder
from licet.web.sessions_read import Read
from licet.web.tarpit import Tarpit
from licet.web.throttle import Throttle
from licet.web.waiting import WaitingRequests

WAVE = 8  # requests at a time
CLIENTS = 64
KINDS = (
    "grant",
    "assertion",
    "view",
    "limit",
    "refresh",
    "introspect",
    "verify",
    "logoff",
    "denial",
    "wrong",
)
FIRST = "First"  # a tenant whose clients take their first seats
PREPARE: tuple[str, ...] = ()  # statements for the tables before the work; a test drops an index with them
Sign = Callable[[Place, Sequence[str]], object]  # signs the pools of these tenants
_HOST = "licet.example"
_WRONG = f"{SECRET_PREFIX}{'0' * 59}"  # as long as a secret


class Work:
    """A server in memory. Use `work(directory)` to make one."""

    def __init__(self, directory: Path, loop: asyncio.AbstractEventLoop, sign: Sign | None = None) -> None:
        self.wal = directory / f"{SQLITE_NAME}-wal"
        self._loop = loop
        self._clock = ManualClock()
        self._keyring = new_keyring(self._clock.now_ms())
        plans = [
            Plan(MANY, CLIENTS, has_keys=True),
            Plan(LIMITED, CLIENTS, sessions_max=1),
            Plan(FIRST, 2 * CLIENTS),
        ]
        self._site, self._first = Site(self._keyring, plans), count()
        write_keyring(directory / FILE_NAME, self._keyring)
        place = Place(directory)
        place.open(create=True).close()
        self._site.fill(place)
        if sign is not None:
            sign(place, (MANY, LIMITED, FIRST))
        with connection(place) as opened:
            for statement in PREPARE:
                opened.exec_driver_sql(statement)
        self._store = SqliteStore(directory / SQLITE_NAME, self._clock)
        self._held: dict[str, list[Held]] = {}

    async def open(self) -> None:
        """Start the parts of the server."""
        store, clock, measures = self._store, self._clock, Measures()
        self._committer = Committer(
            self._start, on_end=_fail, saw_version=lambda _: None, committed=measures.committed
        )
        await self._committer.open()
        self._reads: Lane[bytes, Read] = Lane(self._read, name="work-read")
        self._authenticator = Authenticator(
            clock=clock,
            passwords=Passwords(),
            client_secrets=ClientSecrets(self._keyring.pepper),
            remembered=Remembered(clock),
            throttle=Throttle(clock, per_client_max=10**9, per_source_max=10**9),
            upgrade=lambda *_: None,
            workers=1,
            queue_max=8,
        )
        public = PublicApp(
            clock=clock,
            find_tenant=store.tenant,
            commits=self._committer,
            reads=self._reads,
            authenticator=self._authenticator,
            tokens=Tokens(self._keyring),
            public_url=f"http://{_HOST}",
            trouble=lambda: "",
            store_failed=lambda: _fail("the store failed"),
            measures=measures,
            refusals=LogRateLimit(structlog.wrap_logger(None, processors=[_drop])),
            tarpit=Tarpit(per_source_max=1, waiting_max=1),
            recorder=Recorder(clock, ClientSecrets(self._keyring.pepper)),
            waiting=WaitingRequests(
                store,
                waiting_max=0,
                per_source_max=0,
                measures=measures,
                log=structlog.wrap_logger(None, processors=[_drop]),
                store_failed=lambda: _fail("the store failed"),
            ),
            latest_setup=LatestSetup(store.refresh_tenants),
        )
        of_all = {"repeated": RepeatedRequests(), "quick": public}
        protocol = type("HttpProtocol", (DirectHttpProtocol,), of_all)
        self._connections = [Connection(config(public, protocol), self._loop) for _ in range(WAVE)]

    async def close(self) -> None:
        """Stop all parts."""
        await self._committer.close()
        await self._reads.close()
        self._authenticator.close()
        self._store.close()

    async def prepare(self) -> None:
        """Begin a session of each client, and let the only seat of `scarce` be taken."""
        await self.answer([self._site.hold(MANY)])
        for tenant in (MANY, LIMITED):
            grants = [self._site.grant(tenant, number) for number in range(CLIENTS)]
            self._held[tenant] = tokens_of(await self.answer(grants))

    async def requests(self, kind: str, times: int) -> list[Request]:  # noqa: C901, PLR0911 - a case for each kind
        """So many requests of a kind; for logoffs, their sessions are begun first."""
        site, numbers = self._site, list(islice(cycle(range(CLIENTS)), times))
        match kind:
            case "grant" | "view":
                return [
                    site.grant(MANY, number, scope="view" if kind == "view" else "") for number in numbers
                ]
            case "assertion":
                issuer = f"http://{_HOST}/{MANY}"
                return [site.grant_by_assertion(MANY, number, issuer, self._now_s) for number in numbers]
            case "first":
                return [site.grant(FIRST, number) for number in islice(self._first, len(numbers))]
            case "limit":
                return [site.grant(LIMITED, number) for number in numbers]
            case "refresh":
                return [site.refresh(MANY, number, self._held[MANY][number].refresh) for number in numbers]
            case "introspect":
                return [site.introspect(MANY, self._held[MANY][number].access) for number in numbers]
            case "verify":
                return [site.verify(MANY, self._held[MANY][number].access) for number in numbers]
            case "logoff":
                begun = tokens_of(await self.answer([site.grant(MANY, number) for number in numbers]))
                return [site.logoff(MANY, tokens.access) for tokens in begun]
            case "denial":
                return [site.grant(MANY, number, scope=SCARCE) for number in numbers]
            case "wrong":
                return [site.grant(MANY, number, password=_WRONG) for number in numbers]
        raise ValueError(kind)

    def _now_s(self) -> float:
        return self._clock.now_ms() / 1000

    async def answer(self, requests: Sequence[Request]) -> list[Answer]:
        """Send these requests wave by wave, and return their answers."""
        answers = []
        for begin in range(0, len(requests), WAVE):
            wave = requests[begin : begin + WAVE]
            self._clock.advance(seconds=0.001)
            asked = zip(self._connections, wave, strict=False)
            answers += [
                _parse(answer)
                for answer in await asyncio.gather(*(one.ask(request.raw(_HOST)) for one, request in asked))
            ]
        return answers

    def _read(self, sids: Sequence[bytes]) -> list[Read]:
        now_ms, sessions, numbers = self._store.read_sessions(sids)
        return [Read(now_ms, sessions.get(sid), numbers.get(sid, 0)) for sid in sids]

    def _start(self, theirs: socket.socket) -> Any:
        connection = socket.socket(fileno=os.dup(theirs.fileno()))
        run = partial(
            commit_until_closed,
            connection,
            self._commit,
            lambda: self._store.setup_version,
            counted=lambda: taken(self._store.counted, self._store.collisions),
        )
        return _AsProcess(run, connection)

    def _commit(self, batch: Sequence[Command]) -> Sequence[Outcome | Exception]:
        return commit(self._store, batch)


class _AsProcess:
    """A thread with the `wait` of a process."""

    def __init__(self, run: Callable[[], None], connection: socket.socket) -> None:
        self._connection = connection
        self._thread = threading.Thread(target=run, daemon=True)
        self._thread.start()

    def wait(self, timeout: float | None = None) -> int:
        """Wait until it has ended."""
        self._thread.join(timeout)
        self._connection.close()
        return 0


class Connection:
    """A connection that writes into memory."""

    def __init__(self, config: uvicorn.Config, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._answer: asyncio.Future[bytes]
        protocol_class: Any = config.http_protocol_class
        self._protocol = protocol_class(config, ServerState(), {}, loop)
        self._protocol.connection_made(Transport(self._received))

    def ask(self, request: bytes) -> "asyncio.Future[bytes]":
        """Let a request arrive, and return the future of its answer."""
        self._answer = self._loop.create_future()
        self._protocol.data_received(request)
        return self._answer

    def _received(self, data: bytes) -> None:
        if not self._answer.done():  # uvicorn's own protocol writes head and body one after the other
            self._answer.set_result(data)


class Transport:
    """The part of a transport that a connection without errors uses; it never blocks or closes."""

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self.write = write

    def get_extra_info(self, name: str) -> object:
        """The same address for both ends."""
        return ("127.0.0.1", 1) if name in {"peername", "sockname"} else None

    def is_closing(self) -> bool:
        """False."""
        return False

    def set_write_buffer_limits(self, high: int) -> None:
        """Do nothing."""

    def pause_reading(self) -> None:
        """Do nothing."""

    def resume_reading(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""

    abort = close


@contextmanager
def work(directory: Path, sign: Sign | None = None) -> Iterator[tuple[Work, asyncio.Runner]]:
    """The prepared server and the runner of its coroutines; `sign` signs its pools."""
    with ExitStack() as stack:
        runner = stack.enter_context(asyncio.Runner())
        with _untraced():
            made = Work(directory, runner.get_loop(), sign)
        runner.run(made.open())
        stack.callback(lambda: runner.run(made.close()))
        runner.run(made.prepare())
        yield made, runner


@contextmanager
def _untraced() -> Iterator[None]:
    """Count nothing during a `with` block, which prepares the work before any request."""
    tracer = sys.gettrace()
    sys.settrace(None)
    try:
        yield
    finally:
        sys.settrace(tracer)


def config(app: Any, protocol: Any) -> uvicorn.Config:
    """The configuration of uvicorn for this application and protocol."""
    config = uvicorn.Config(
        app,
        http=protocol,
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        proxy_headers=False,
        server_header=False,
    )
    config.load()
    return config


def _parse(data: bytes) -> Answer:
    head, _, body = data.partition(b"\r\n\r\n")
    return Answer(int(head.split(maxsplit=2)[1]), body)


def _drop(*_: object) -> Any:
    raise structlog.DropEvent


def _fail(why: str) -> None:
    raise AssertionError(why)
