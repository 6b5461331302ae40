"""Runs PostgreSQL for a run: a primary, a synchronous standby, and proxies between them and the nodes.

There are two places for servers, each with a fixed port. A node reaches both through proxies of its own, by a
URL that names both, and works with the server that accepts writes. After a failover, a new standby starts at
the place of the server that is gone. Administrators have proxies of their own as well.
"""

import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from chaos.history import now_us
from chaos.site.databases import tests_postgres
from chaos.site.network import Network, Proxy
from chaos.site.nodes import free_port, wait_until
from chaos.site.processes import signal_all, with_children
from licet.clock import SystemClock
from licet.credentials.keyring import FILE_NAME, new_keyring, write_keyring
from licet.store.contract import Store
from licet.store.errors import StoreUnavailable
from licet.store.opening import StoreAt

if TYPE_CHECKING:
    from support.store.postgres import Postgres

DATABASE = "licet"
PLACES = 2
RECOVERY_S = 15.0  # of a primary; it takes a second or two, also after a full disk
_MOVABLE_CLOCK = (
    "CREATE SCHEMA moved",
    "CREATE TABLE moved.clock (ahead interval NOT NULL)",
    "INSERT INTO moved.clock VALUES (interval '0')",
    """CREATE FUNCTION moved.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE
    AS 'SELECT pg_catalog.clock_timestamp() + ahead FROM moved.clock'""",
    f"ALTER DATABASE {DATABASE} SET search_path = moved, public, pg_catalog",
    "ALTER FUNCTION licet_commit SET search_path = moved, public, pg_catalog",
)
_STANDBY = "standby"  # the application name of the standby, for which the primary waits


class PostgresDatabase:
    """Two servers, one of them the primary, and the proxies of each node to them."""

    name = "postgres"

    def __init__(self, directory: Path, nodes: int, *, with_standby: bool = True) -> None:
        self.data = directory / "data"
        self.data.mkdir(mode=0o700)
        self.keyring = new_keyring(SystemClock().now_ms())
        write_keyring(self.data / FILE_NAME, self.keyring)
        self._kind = tests_postgres()
        self._ports = [free_port() for _ in range(PLACES)]
        self.primary = 0  # its place
        self.has_standby = False
        self.servers: list[Postgres | None] = [None] * PLACES
        self.proxies: list[list[Proxy]] = []
        self._nodes = nodes
        self._with_standby = with_standby
        self._opened = ExitStack()

    def start(self) -> None:
        """Make both servers, and the proxies to them."""
        for place in range(PLACES):
            self._opened.callback(self._remove, place)
        self.servers[0] = self._kind(port=self._ports[0])
        self._first().create_database(DATABASE)
        network = self._opened.enter_context(Network())
        for _ in range(self._nodes + 1):  # the last proxies are the administrators'
            self.proxies.append([network.proxy(port) for port in self._ports])
        self._opened.callback(self._close_proxies)
        if self._with_standby:
            self.add_standby()

    def make_tables(self) -> None:
        """Make the tables of this version."""
        self._at().open(SystemClock(), create=True).close()

    def variables(self, node: int) -> Mapping[str, str]:
        """The environment of a node, with the URL of its proxies; node -1 is an administrator."""
        ports = [proxy.port for proxy in self.proxies[node]]
        hosts = ",".join(f"127.0.0.1:{port}" for port in ports)
        return {"LICET_DATA": str(self.data), "LICET_STORE": f"postgresql://postgres@{hosts}/{DATABASE}"}

    def open(self) -> Store:
        """Open the store, as an administrator does beside the nodes."""
        return self._at().open(SystemClock())

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock that every change of the set-up needs, if it is free."""
        with ExitStack() as stack:
            with suppress(StoreUnavailable):
                store = stack.enter_context(closing(self.open()))
                stack.enter_context(store.transaction())
            yield
            with suppress(StoreUnavailable):
                stack.close()

    def _at(self) -> StoreAt:
        return StoreAt(self.data, self.variables(-1)["LICET_STORE"])

    def _first(self) -> "Postgres":
        server = self.servers[self.primary]
        assert server is not None
        return server

    def add_standby(self) -> None:
        """Start a standby at the other place, and let commits wait for it from then on."""
        place = 1 - self.primary
        self._remove(place)
        primary = self._first()
        self.servers[place] = self._kind.standby_of(
            primary, port=self._ports[place], synchronous_standby_names=""
        )
        primary.configure(synchronous_standby_names=_STANDBY)
        primary.reload()
        wait_until(self.is_synchronous, "the standby to follow")
        self.has_standby = True
        for proxies in self.proxies:
            proxies[place].reopen()

    def is_synchronous(self) -> bool:
        """Whether the primary has a synchronous standby."""
        found = self._first().execute("SELECT sync_state FROM pg_stat_replication")
        return any(state == "sync" for (state,) in found)

    def promote(self, *, silently: bool) -> int | None:
        """Promote the standby, and return when, in microseconds; None if there is no standby.

        No client reaches the old primary any more, because two primaries would count seats independently. If
        `silently`, a client that tries gets no answer, as from a machine that is down; otherwise its
        connection is refused.
        """
        old, place = self.primary, 1 - self.primary
        standby = self.servers[place]
        if not self.has_standby or standby is None:
            return None
        for proxies in self.proxies:
            proxies[old].shut(silently=silently)
        signal_all(self.pids(place), signal.SIGCONT)
        self.has_standby = False
        at_us = now_us()
        standby.promote()
        self.primary = place
        return at_us

    def crash(self) -> None:
        """Kill the primary, as in a power failure."""
        signal_all(self.pids(self.primary), signal.SIGKILL)

    def mend(self) -> None:
        """Start the primary if it does not run or recover, and add a standby if there is none."""
        try:
            wait_until(self._answers_or_starts, "the primary to answer", RECOVERY_S)
        except TimeoutError:
            # PostgreSQL 18.4 waits for ever if its startup process fails just when the redo starts.
            self.crash()
            wait_until(self._answers_or_starts, "the primary to answer")
        if self._with_standby:
            if not self.has_standby:
                self.add_standby()
            wait_until(self.is_synchronous, "the standby to follow")

    def _answers_or_starts(self) -> bool:
        """Whether the primary answers; one that does not run, or ends only now, is started."""
        if not self.pids(self.primary):
            primary = self._first()
            self._forget_pid(primary)
            primary.start()
        return self.answers()

    def answers(self) -> bool:
        """Whether the primary accepts connections."""
        with suppress(Exception):
            return bool(self._first().execute("SELECT 1"))
        return False

    def pids(self, place: int, server: "Postgres | None" = None) -> list[int]:
        """The processes of the server at a place."""
        server = server or self.servers[place]
        if server is None:
            return []
        try:
            pid = server.pid
        except FileNotFoundError:
            return []
        # Another process may have this id by now.
        name = Path(f"/proc/{pid}/comm")
        is_ours = name.exists() and name.read_text(encoding="ascii").startswith("postgres")
        return with_children(pid) if is_ours else []

    def drop_seat_check(self) -> None:
        """Drop the constraint that refuses more seats in use than a pool has."""
        self._first().execute("ALTER TABLE pool DROP CONSTRAINT ck_pool_in_use", DATABASE)

    def make_clock_movable(self) -> None:
        """Let new connections read a clock that can be moved, which hides the real one."""
        for statement in _MOVABLE_CLOCK:
            self._first().execute(statement, DATABASE)

    def move_clock(self, seconds: float) -> None:
        """Set this clock so far ahead of the real one."""
        self._first().execute(f"UPDATE moved.clock SET ahead = interval '{seconds} seconds'", DATABASE)

    @contextmanager
    def paused(self, place: int) -> Iterator[None]:
        """Pause the processes of a server during a `with` block."""
        pids = self.pids(place)
        signal_all(pids, signal.SIGSTOP)
        try:
            yield
        finally:
            signal_all(pids, signal.SIGCONT)

    def proxies_of(self, nodes: Sequence[int], place: int | None = None) -> list[Proxy]:
        """The proxies of these nodes, to one place or to both."""
        return [
            proxy
            for node in nodes
            for number, proxy in enumerate(self.proxies[node])
            if place is None or number == place
        ]

    def close(self) -> None:
        """End both servers and all proxies, and remove their data."""
        self._opened.close()

    def _close_proxies(self) -> None:
        for proxy in self.proxies_of(range(len(self.proxies))):
            proxy.close()

    def _remove(self, place: int) -> None:
        """Kill the server at a place, if there is one, and remove its data."""
        server, self.servers[place] = self.servers[place], None
        if server is not None:
            signal_all(self.pids(place, server), signal.SIGKILL)
            self._forget_pid(server)
            server.close()

    @staticmethod
    def _forget_pid(server: "Postgres") -> None:
        """Remove the process id that a dead server has left; another process may have the same by now."""
        (server.data / "postmaster.pid").unlink(missing_ok=True)
