"""Runs nodes under load while faults strike them, and records the history for the checker.

Everything listens on 127.0.0.1. Every process that was started is ended by its process id, whatever fails.
"""

import random
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import msgspec

from chaos.administration.administrator import PAUSE_S, Administrator
from chaos.administration.removing import AdminApi
from chaos.faults.nemesis import Nemesis
from chaos.faults.nodes import NodeFaults
from chaos.faults.postgres import PostgresFaults
from chaos.faults.sqlite import SqliteFaults
from chaos.history import ApiPlan, Figure, RunPlan, Writer, now_us
from chaos.load.expiry import FULL_S, SHORT_S, ExpirySite, make_expiry_site, measure_expiry
from chaos.load.process import LoadProcess, Spec
from chaos.site.apis import PLANS, apis
from chaos.site.databases import Database, SqliteDatabase, forking_popen
from chaos.site.mistakes import BLIND, HASTY
from chaos.site.nodes import PATIENCE_S, Node
from chaos.site.plans import Made, TenantSite, make_site, plan
from chaos.site.postgres import PostgresDatabase
from chaos.site.tables import final
from chaos.site.upkeep import plant_expired_session, plant_old_rows, watch_upkeep
from chaos.site.vendor import Vendor

REPORT_EVERY_S = 5.0
POLL_EVERY_S = 0.05
RARELY_S = 10.0  # between two actions of the administrator, where the load is mostly renewals
# Until a paused or dead leader's lock is free, ten seconds and some; then the turns of upkeep, of which the
# rarest comes every thirty seconds.
UPKEEP_S = 60.0
KNOWN_S = 1.0  # until every node knows of a change of the set-up


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """The options of a run.

    `faults` names the faults that may strike; none is all that the store knows. First come the faults of
    `turns`, each for its seconds, with a rest before and after. A rest lasts for `rest_s`, and until
    `rest_operations` are done. After each random fault, at least `between` operations are done: so a busy
    machine does not spend all of its time on restarting nodes. At the end there is no fault for `calm_s`:
    after that it is known what became of each request without an answer, and denials can be compared with the
    holders of seats. After the load, the nodes have `upkeep_s` to clear away what has expired and to fold the
    journal, which takes them some seconds; 0 does not look.

    If `renewals`, the load is mostly renewals (`chaos.load.clients`). If `with_options`, clients ask only for
    seats of pools with options, and call one API.

    `copies` is the number of tenants of each kind that is not signed: more of them make larger batches.
    `only` names the kinds of tenants that take part; none is all. If `is_forked`, nodes are forked from a
    process that has imported their modules, which takes a tenth of the processor time of a normal start.
    """

    seed: int
    seconds: float
    store: str = "sqlite"
    nodes: int = 3
    loads: int = 1
    apis: int = len(PLANS)
    share: float = 1.0
    copies: int = 1
    renewals: bool = False
    with_options: bool = False
    only: tuple[str, ...] = ()
    is_forked: bool = False
    faults: tuple[str, ...] = ()
    turns: tuple[tuple[tuple[str, ...], float], ...] = ()
    broken: str = ""
    operations_max: int = 0
    rest_s: float = 1.0
    rest_operations: int = 0
    between: int = 0
    calm_s: float = 30.0
    upkeep_s: float = UPKEEP_S
    expiries: int = 5
    is_quiet: bool = False


class Run:
    """One run in a directory of its own, from the start of the nodes to the last reading of the tables."""

    def __init__(self, options: Options, directory: Path) -> None:
        self.options = options
        self.directory = directory
        self.history = [directory / "run.history", directory / "administrator.history"]
        self._dice = random.Random(options.seed)
        self._loads: list[LoadProcess] = []
        self._nodes: list[Node] = []

    def run(self) -> list[Path]:
        """Carry out the run; returns the files of its history."""
        options = self.options
        # One API is enough to see that tokens are refused after their end: this load is about the line.
        apis_planned = PLANS[: min(options.apis, 1) if options.with_options else options.apis]
        run_plan = plan(
            options.seed,
            options.store,
            options.nodes,
            share=options.share,
            copies=options.copies,
            apis=apis_planned,
            with_options=options.with_options,
            only=options.only,
        )
        with ExitStack() as stack:
            writer = stack.enter_context(Writer(self.history[0]))
            writer.write(run_plan)
            database = stack.enter_context(self._database())
            made = self._make_site(database, run_plan)
            if options.broken and isinstance(database, PostgresDatabase):
                database.drop_seat_check()
            stack.enter_context(self._served(database))
            ports = stack.enter_context(self._guarded(apis_planned, made))
            stack.enter_context(self._loaded(made, ports))
            nemesis = self._nemesis(database, writer)
            with self._administered(database, run_plan, made):
                self._break_until_the_end(nemesis, database, writer)
            self._wait_for_quiet()
            self._look_at_the_end(database, writer)
        return self.files()

    def files(self) -> list[Path]:
        """The files of its history that exist."""
        return [path for path in (*self.history, *(load.history for load in self._loads)) if path.exists()]

    def _look_at_the_end(self, database: Database, writer: Writer) -> None:
        store = database.open()
        try:
            writer.write(final(store))
            if self.options.upkeep_s:
                plant_expired_session(store)
                writer.write(watch_upkeep(store, self.options.upkeep_s))
            sites = [make_expiry_site(store, database.keyring, ttl_s) for ttl_s in (SHORT_S, FULL_S)]
        finally:
            store.close()
        time.sleep(KNOWN_S)
        for _ in range(self.options.expiries):
            node = self._dice.choice(self._nodes)
            _note_expiry(writer, sites[0], measure_expiry(sites[0], node.port))
        if self.options.expiries:
            _note_expiry(writer, sites[1], self._measure_a_full_life(database, sites[1]))

    def _measure_a_full_life(self, database: Database, site: ExpirySite) -> float:
        """Measure on a single node while moving the store's clock, which on SQLite is the node's."""
        for node in self._nodes:
            node.kill()
        alone = Node(
            len(self._nodes), self.directory, {**database.variables(0), "LICET_COMMIT_PROCESS": "false"}
        )
        self._nodes.append(alone)
        if isinstance(database, PostgresDatabase):
            database.make_clock_movable()
            move = database.move_clock
        else:
            move = alone.clock.move
        alone.start()
        alone.wait_until_ready()
        return measure_expiry(site, alone.port, move)

    def make_tables(self, database: Database) -> None:
        """Make the tables of this version."""
        database.make_tables()

    @contextmanager
    def _database(self) -> Iterator[Database]:
        options = self.options
        database: Database = (
            PostgresDatabase(self.directory, options.nodes, with_standby=not options.broken)
            if options.store == "postgres"
            else SqliteDatabase(self.directory)
        )
        try:
            database.start()
            self.make_tables(database)
            yield database
        finally:
            database.close()

    def _make_site(self, database: Database, run_plan: RunPlan) -> Made:
        store = database.open()
        try:
            made = make_site(store, database.keyring, run_plan, Vendor())
            plant_old_rows(store)
            return made
        finally:
            store.close()

    @contextmanager
    def _served(self, database: Database) -> Iterator[None]:
        # A blind guard lets in what Licet would never issue; so the server has a defect that issues it.
        broken = HASTY if self.options.broken == BLIND else self.options.broken
        for number in range(self.options.nodes):
            variables = {**database.variables(number), **_committing(number, broken)}
            self._nodes.append(self._node(number, variables, broken))
        try:
            for node in self._nodes:
                node.publish(self._nodes[0].url)
                node.start()
            for node in self._nodes:
                node.wait_until_ready()
            yield
        finally:
            for node in self._nodes:
                node.kill()

    def _node(self, number: int, variables: Mapping[str, str], broken: str) -> Node:
        return Node(number, self.directory, variables, broken=broken, popen=self._popen())

    def _popen(self) -> type[subprocess.Popen[bytes]] | None:
        """The class that starts a node; None starts it as a program, as a user does."""
        return forking_popen() if self.options.is_forked else None

    def _guarded(self, plans: tuple[ApiPlan, ...], made: Made) -> AbstractContextManager[tuple[int, ...]]:
        options = self.options
        is_blind = options.broken == BLIND
        return apis(plans, made, self._nodes, self.directory, store=options.store, is_blind=is_blind)

    @contextmanager
    def _loaded(self, made: Made, apis: tuple[int, ...]) -> Iterator[None]:
        ports = tuple(node.port for node in self._nodes)
        for number in range(self.options.loads):
            spec = Spec(
                seed=self._dice.getrandbits(64),
                ports=ports,
                tenants=_share(made.tenants, number, self.options.loads),
                history=str(self.directory / f"load{number}.history"),
                apis=apis,
                renewals=self.options.renewals,
                public_url=self._nodes[0].url,
            )
            self._loads.append(LoadProcess(spec, self.directory / f"load{number}.json"))
        try:
            yield
        finally:
            for load in self._loads:
                load.kill()

    @contextmanager
    def _administered(self, database: Database, run_plan: RunPlan, made: Made) -> Iterator[None]:
        with Writer(self.history[1]) as writer:
            seed = self._dice.getrandbits(64)
            # After each change of the set-up the nodes drop what they remember, and the load is about that.
            pause_s = RARELY_S if self.options.renewals else PAUSE_S
            api = AdminApi(ports=tuple(node.admin_port for node in self._nodes), key=made.operator_key)
            administrator = Administrator(database, run_plan, made, writer, seed, api, pause_s)
            administrator.start()
            try:
                yield
            finally:
                administrator.stop()

    def _nemesis(self, database: Database, writer: Writer) -> Nemesis:
        of_nodes = NodeFaults(self._nodes, database, self._dice.getrandbits(64))
        kinds = of_nodes.kinds()

        def mend() -> None:
            if isinstance(database, PostgresDatabase):
                database.mend()
            of_nodes.mend()

        if isinstance(database, PostgresDatabase):
            seed = self._dice.getrandbits(64)
            kinds |= PostgresFaults(self._nodes, database, writer, seed).kinds()
        else:
            kinds |= SqliteFaults(self._nodes).kinds()
        wanted = self.options.faults or tuple(kinds)
        return Nemesis({name: kinds[name] for name in wanted}, mend, writer, self._dice.getrandbits(64))

    def _break_until_the_end(self, nemesis: Nemesis, database: Database, writer: Writer) -> None:
        del database, writer  # of no use here
        begun_s = time.monotonic()
        end_s = begun_s + self.options.seconds
        is_over = threading.Event()
        reporter = threading.Thread(
            target=self._report_progress, args=(nemesis, begun_s, is_over), daemon=True
        )
        reporter.start()
        try:
            self._rest()
            for names, seconds in self.options.turns:
                nemesis.break_for(names, seconds)
                self._rest()
            while time.monotonic() < end_s and not self._is_enough():
                nemesis.turn()
                self._wait_for(self.options.between)
            time.sleep(self.options.calm_s)
        finally:
            is_over.set()
            reporter.join()

    def _rest(self) -> None:
        done = self._operations() + self.options.rest_operations
        time.sleep(self.options.rest_s)
        self._wait_for(done - self._operations())

    def _wait_for(self, operations: int) -> None:
        """Return when so many more operations are done, or after `PATIENCE_S`."""
        done = self._operations() + operations
        until_s = time.monotonic() + PATIENCE_S
        while self._operations() < done and time.monotonic() < until_s:
            time.sleep(POLL_EVERY_S)

    def _operations(self) -> int:
        return sum(load.count.operations for load in self._loads)

    def _is_enough(self) -> bool:
        most = self.options.operations_max
        return bool(most) and self._operations() >= most

    def _wait_for_quiet(self) -> None:
        for node in self._nodes:
            node.wait_until_ready()
        for load in self._loads:
            load.quiet()

    def _report_progress(self, nemesis: Nemesis, begun_s: float, is_over: threading.Event) -> None:
        while not is_over.wait(REPORT_EVERY_S) and not self.options.is_quiet:
            counts = [load.count for load in self._loads]
            operations = sum(count.operations for count in counts)
            seconds = time.monotonic() - begun_s
            unknown = sum(count.unknown for count in counts)
            faults = sum(nemesis.count.values())
            print(
                f"{self._how_far(operations, seconds)}  {operations / seconds:6,.0f}/s"
                f"  {unknown:,} unanswered  {faults} faults"
                f"  {' + '.join(nemesis.under_way)}",
                flush=True,
            )

    def _how_far(self, operations: int, seconds: float) -> str:
        options = self.options
        if not options.operations_max:
            return f"{seconds:5.0f} of {options.seconds + options.calm_s:.0f} s  {operations:9,} operations"
        left_s = max(0, options.operations_max - operations) * seconds / max(1, operations)
        left = f"about {left_s / 60:.0f} min left" if left_s else "nothing is broken any more"
        return f"{seconds:5.0f} s  {operations:9,} of {options.operations_max:,} operations, {left}"


def _note_expiry(writer: Writer, site: ExpirySite, seconds: float) -> None:
    name = f"expiry after {site.session_ttl_s} s"
    writer.write(Figure(name=name, at_us=now_us(), seconds=seconds))


def _committing(node: int, broken: str) -> dict[str, str]:
    """Let every other node commit in a separate process; a deliberate defect needs a node of one process."""
    own_process = node % 2 == 0 and not broken
    return {"LICET_COMMIT_PROCESS": "true" if own_process else "false"}


def _share(tenants: Sequence[TenantSite], number: int, loads: int) -> tuple[TenantSite, ...]:
    """The tenants with the clients that one of several load processes plays."""
    return tuple(msgspec.structs.replace(tenant, clients=tenant.clients[number::loads]) for tenant in tenants)
