"""`python -m chaos attack`: root tries for a minute each to get more people to work than are signed.

- `forged`: a server that says whatever root wants, with a thousand people on five seats, by each strategy of
  `support.forging`, with JWTs and with introspection.
- `clones`: a copy of Licet with all it has runs beside it.
- `primaries`: a standby of PostgreSQL was promoted, and the old primary lives on; each has a server.
- `rows`: somebody edits the rows of the store all the time.

Before each stand real APIs, in processes of their own: one alone, and two that share a table. What is printed
is counted from outside, from who was let in when. A hold of six seconds is signed, so that a minute has ten.
"""

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from chaos.checks.guards import CLOCKS_S, Entry, beside, beyond_bound, hand_overs
from chaos.history import ACCESS_TTL_S_MAX, Operation, now_us
from chaos.site.apis import ApiProcess, api_database
from chaos.site.databases import tests_on_path
from chaos.site.guarded_api import GuardedTenant, Spec
from chaos.site.nodes import free_port
from chaos.site.vendor import NAME, PRODUCT

if TYPE_CHECKING:
    from support.forging import Attacker, Strategy
    from support.signed_server import SignedServer

SEATS, HOLD_S = 5, 6
OVERLAP_S = HOLD_S / 12  # of two APIs that share a table
KINDS = ("introspection", "jwt")
PATIENCE_S = 10.0
REST_S = 0.2
BEFORE = 2


class Figures(NamedTuple):
    """What one memory let in during an attack."""

    what: str
    memory: str
    calls: int
    let_in: int
    people: int
    hand_overs: int  # of the number that had the most
    bound: int
    is_beyond: bool
    beside: int
    beside_s: float  # the longest after the other one was let in

    @property
    def is_kept(self) -> bool:
        """Whether a number has one holder at a time, and changes hands no more often than it may."""
        longest_s = OVERLAP_S if self.memory == "shared" else 0.0
        return not self.is_beyond and self.beside_s <= longest_s + 0.1


HEAD = "attack                     memory     calls   let in  people  hand-overs  bound  holders  beside  for"


def line_of(figures: Figures) -> str:
    """As it is printed."""
    return (
        f"{figures.what:<26} {figures.memory:<7} {figures.calls:8,} {figures.let_in:8,} {figures.people:7,}"
        f" {figures.hand_overs:11,} {figures.bound:6,} {2 if figures.beside else 1:8} {figures.beside:7,}"
        f" {figures.beside_s:8.2f} s{'' if figures.is_kept else '   BROKEN'}"
    )


class Told:
    """Who was let in with which number, by one memory; many threads add to it."""

    def __init__(self) -> None:
        self.calls = 0
        self._entries: dict[Any, list[Entry]] = defaultdict(list)
        self._lock = threading.Lock()

    def add(self, number: Any, entry: Entry | None) -> None:
        """A call; None is one that was refused."""
        with self._lock:
            self.calls += 1
            if entry is not None:
                self._entries[number].append(entry)

    def figures(self, what: str, memory: str, seconds: float) -> Figures:
        """What it comes to."""
        overlap_us = round(OVERLAP_S * 1e6) if memory == "shared" else 0
        most, pairs, longest_us, is_beyond = 0, 0, 0, False
        for entries in self._entries.values():
            entries.sort(key=lambda it: it.operation.sent_us)
            overs = hand_overs(entries)
            most = max(most, len(overs))
            is_beyond |= beyond_bound(overs, HOLD_S, ACCESS_TTL_S_MAX) is not None
            found: Counter[int] = Counter()
            for before, then in beside(entries, HOLD_S, overlap_us=overlap_us, after_us=0):
                found[id(then)] += 1
                longest_us = max(longest_us, then.operation.sent_us - before.operation.received_us)
            pairs += len(found)
        holders = {it.holder for entries in self._entries.values() for it in entries}
        return Figures(
            what=what,
            memory=memory,
            calls=self.calls,
            let_in=sum(map(len, self._entries.values())),
            people=len(holders),
            hand_overs=most,
            bound=int(1 + (2 * seconds + ACCESS_TTL_S_MAX + 2 * CLOCKS_S) / HOLD_S),
            is_beyond=is_beyond,
            beside=pairs,
            beside_s=longest_us / 1e6,
        )


class Caller:
    """Calls APIs over connections that stay; each thread has one."""

    def __init__(self, ports: Sequence[int], tenant: str) -> None:
        self._connections = [HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S) for port in ports]
        self._path = f"/{tenant}"
        self._turn = 0

    def call(self, token: str) -> tuple[int, int, int]:
        """Status, and when it was sent and answered."""
        self._turn += 1
        connection = self._connections[self._turn % len(self._connections)]
        sent_us = now_us()
        try:
            connection.request("POST", self._path, headers={"authorization": f"Bearer {token}"})
            answer = connection.getresponse()
            answer.read()
        except OSError:
            connection.close()
            return 0, sent_us, 0
        return answer.status, sent_us, now_us()

    def close(self) -> None:
        """Close them."""
        for connection in self._connections:
            connection.close()


def entry_of(holder: str, issued_s: int, number: int, sent_us: int, received_us: int) -> Entry:
    """A call that was let in."""
    operation = Operation(
        kind="call",
        sent_us=sent_us,
        received_us=received_us,
        node=0,
        tenant="",
        client=holder,
        licensed=True,
        outcome="let_in",
        number=number,
    )
    return Entry(holder, issued_s, 0, operation)


class Apis(NamedTuple):
    """The ports of the APIs by their memory."""

    alone: tuple[int, ...]
    shared: tuple[int, ...]


@contextmanager
def apis(
    directory: Path,
    name: str,
    vendor: bytes,
    tenants: tuple[GuardedTenant, ...],
    *,
    store: str = "sqlite",
    is_blind: bool = False,
) -> Iterator[Apis]:
    """One API alone, and two that share a table."""
    with ExitStack() as stack:
        own = directory / name
        own.mkdir()
        database = stack.enter_context(api_database(own, store))
        running: list[ApiProcess] = []
        for number, where in enumerate(("", database, database)):
            spec = Spec(
                port=free_port(),
                vendor=vendor,
                tenants=tenants,
                database=where,
                is_blind=is_blind,
                overlap_s=OVERLAP_S,
            )
            running.append(ApiProcess(spec, own / f"api{number}.json"))
            stack.callback(running[-1].kill)
        for api in running:
            api.wait_until_ready()
        ports = [api.port for api in running]
        yield Apis(alone=(ports[0],), shared=(ports[1], ports[2]))


class Wall:
    """The true time, as tests have it that move it."""

    @property
    def s(self) -> float:
        """Seconds since 1970."""
        return time.time()

    def now_s(self) -> float:
        """The same."""
        return time.time()


def forged(
    directory: Path, seconds: float, *, only: Sequence[str] = (), is_blind: bool = False
) -> Iterator[Figures]:
    """Each strategy in turn, with pools of its own, in both kinds of tokens at the same time.

    With `is_blind` the guards are broken.
    """
    tests_on_path()
    from support.forging import STRATEGIES  # noqa: PLC0415 - it is on the path only now
    from support.http_site import Site  # noqa: PLC0415 - the same
    from support.signed_server import SignedServer  # noqa: PLC0415 - the same
    from support.vendors import TestVendor  # noqa: PLC0415 - the same

    with ExitStack() as stack:
        servers: list[tuple[SignedServer, Apis]] = []
        for kind, store in zip(KINDS, ("sqlite", "postgres"), strict=True):
            server = SignedServer(stack.enter_context(Site()), Wall(), kind)  # type: ignore[arg-type]
            server.vendor = TestVendor(NAME, PRODUCT)
            given = {"seats": SEATS, "scopes": ["all"], "hold": HOLD_S, "access_ttl_max": ACCESS_TTL_S_MAX}
            pools = {it.__name__: given for it in STRATEGIES}
            claims = server.vendor.claims(iat=int(time.time()), pools=pools)
            server.licences = [server.vendor.sign(claims)]
            tenant = GuardedTenant(
                name="Jim_Test",
                url=server.url,
                secret=kind,  # it asks for none
                issuer=server.url if kind == "jwt" else "",
            )
            vendor = _vendor_file(server)
            ports = stack.enter_context(
                apis(directory, kind, vendor, (tenant,), store=store, is_blind=is_blind)
            )
            servers.append((server, ports))
        for strategy in (it for it in STRATEGIES if not only or it.__name__ in only):
            yield from _by_strategy(strategy, servers, seconds)


def _vendor_file(server: "SignedServer") -> bytes:
    from licet.licences.vendor_file import vendor_file  # noqa: PLC0415 - beside its only use

    return vendor_file(server.vendor.vendor)


def _by_strategy(
    strategy: "Strategy", servers: Sequence[tuple["SignedServer", Apis]], seconds: float
) -> list[Figures]:
    """What one strategy gets: a thread for each number, memory and kind of token."""
    until_s = time.monotonic() + seconds
    told: dict[tuple[str, str], Told] = {}
    threads: list[threading.Thread] = []
    callers: list[Caller] = []
    for server, ports in servers:
        for memory in Apis._fields:
            of_one = told[server.kind, memory] = Told()
            for number in range(1, SEATS + 1):
                callers.append(Caller(getattr(ports, memory), "Jim_Test"))
                attacker = _attacker(server, callers[-1], of_one, strategy.__name__)
                arguments = (strategy, attacker, number, until_s)
                threads.append(threading.Thread(target=_attack, args=arguments, daemon=True))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for caller in callers:
        caller.close()
    return [
        of_one.figures(f"{strategy.__name__}, {kind}", memory, seconds)
        for (kind, memory), of_one in told.items()
    ]


def _attack(strategy: "Strategy", attacker: "Attacker", number: int, until_s: float) -> None:
    while time.monotonic() < until_s:
        tried, now = attacker.people, int(time.time())
        strategy(attacker, number, now)
        if attacker.people == tried:  # it rests
            time.sleep(REST_S)
            continue
        for before in range(1, BEFORE + 1):  # those of before come again, with tokens of then
            attacker.tries(number, now - before * attacker.hold_s, who=attacker.people - before)


def _attacker(server: "SignedServer", caller: Caller, told: Told, pool: str) -> "Attacker":
    from support.forging import Attacker  # noqa: PLC0415 - it is on the path only now

    class Over(Attacker):
        """By HTTP."""

        def __init__(self) -> None:
            super().__init__(server, hold_s=HOLD_S, ttl_s=ACCESS_TTL_S_MAX)

        def tries(self, number: int, iat: int, who: int | None = None, **claims: Any) -> bool:
            return super().tries(number, iat, who, **{"pool": pool, **claims})

        def is_let_in(self, token: str, number: int, said: dict[str, Any]) -> bool:
            status, sent_us, received_us = caller.call(token)
            self.server.introspected.pop(token, None)
            holder = f"{said['client']} {said.get('username', 'TC')}"
            is_in = status == 200
            entry = entry_of(holder, said["iat"], number, sent_us, received_us) if is_in else None
            told.add(number, entry)
            return is_in

    return Over()
