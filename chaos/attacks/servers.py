"""Attacks with unmodified servers of Licet: a copy beside the original, two primaries, and edited rows.

The only tenant has JWTs, so that its APIs let clients in without asking a server. Of two servers, each has
half of the clients.
"""

import random
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

import msgspec

from chaos.attacks.apis import Apis, apis
from chaos.attacks.figures import HOLD_S, SEATS, Calls, Figures
from chaos.checks.guards import Entry
from chaos.history import ClientPlan, Operation, RunPlan, TenantPlan, read_history
from chaos.load.process import LoadProcess
from chaos.load.process import Spec as LoadSpec
from chaos.site.databases import SqliteDatabase, tests_postgres
from chaos.site.guarded_api import GuardedTenant
from chaos.site.nodes import Node
from chaos.site.plans import Made, make_site
from chaos.site.vendor import Vendor
from licet.clock import SystemClock
from licet.store.opening import SQLITE_NAME, StoreAt

CLIENTS = 60
EDIT_EVERY_S = 0.2
PLAN = TenantPlan(
    name="Attacked",
    seats=SEATS,
    duplicates="client",
    session_ttl_s=20,
    access_ttl_s=4,
    clients=tuple(
        ClientPlan(client_id=f"Client{number}", user=f"{number:03}", sessions_max=10)
        for number in range(CLIENTS)
    ),
    hold_s=HOLD_S,
    signed=SEATS,
    is_jwt=True,
)
_RUN_PLAN = RunPlan(seed=0, store="sqlite", nodes=2, tenants=(PLAN,))
# Edits that an attacker with the password of the database may make.
EDITS = (
    "UPDATE pool SET seats = 1000, overuse = 1000",
    "DELETE FROM seat_free",
    "UPDATE seat_free SET from_ms = 0",
    (
        "DELETE FROM session; DELETE FROM seat; DELETE FROM seat_free;"
        " UPDATE pool SET in_use = 0, numbers_used = 0, numbers_from_ms = 0, overuse = 1000"
    ),
    (
        "DELETE FROM seat WHERE number = 1; UPDATE pool SET in_use = (SELECT count(*) FROM seat);"
        " INSERT OR IGNORE INTO seat_free (pool_id, number, from_ms) SELECT id, 1, 0 FROM pool"
    ),
    "UPDATE seat SET issued_at_ms = 0, expires_at_ms = 0",
    "UPDATE tenant SET version = version + 1; UPDATE setup SET version = version + 1",
)


def clones(directory: Path, seconds: float) -> Iterator[Figures]:
    """Run a copy of Licet with its keys and its store beside it."""
    with ExitStack() as stack:
        first, made = _sqlite(directory)
        shutil.copytree(first.data, directory / "copied")
        nodes = (
            Node(0, directory, first.variables(0)),
            Node(1, directory, {"LICET_DATA": str(directory / "copied")}),
        )
        ports = stack.enter_context(_served(nodes, made, directory))
        yield from _attack("two clones", directory, nodes, made, ports, seconds)


def primaries(directory: Path, seconds: float) -> Iterator[Figures]:
    """Run a server with a promoted standby, and another with the old primary, which still accepts writes."""
    with ExitStack() as stack:
        database = SqliteDatabase(directory)  # its keys
        old = stack.enter_context(tests_postgres()())
        old.create_database("licet")
        store = StoreAt(database.data, old.url("licet")).open(SystemClock(), create=True)
        try:
            made = make_site(store, database.keyring, _RUN_PLAN, Vendor())
        finally:
            store.close()
        new = stack.enter_context(tests_postgres().standby_of(old))
        new.promote()
        nodes = tuple(
            Node(number, directory, {"LICET_DATA": str(database.data), "LICET_STORE": server.url("licet")})
            for number, server in enumerate((old, new))
        )
        ports = stack.enter_context(_served(nodes, made, directory))
        yield from _attack("two primaries", directory, nodes, made, ports, seconds)


def rows(directory: Path, seconds: float) -> Iterator[Figures]:
    """Edit the rows of the store all the time; the servers read the changed rows at once."""
    with ExitStack() as stack:
        first, made = _sqlite(directory)
        nodes = (Node(0, directory, first.variables(0)),)
        ports = stack.enter_context(_served(nodes, made, directory))
        stack.enter_context(_edited(first.data / SQLITE_NAME))
        yield from _attack("rows edited", directory, nodes, made, ports, seconds)


def _sqlite(directory: Path) -> tuple[SqliteDatabase, Made]:
    database = SqliteDatabase(directory)
    database.make_tables()
    with closing(database.open()) as store:
        return database, make_site(store, database.keyring, _RUN_PLAN, Vendor())


@contextmanager
def _served(nodes: tuple[Node, ...], made: Made, directory: Path) -> Iterator[Apis]:
    with ExitStack() as stack:
        for node in nodes:
            stack.callback(node.kill)
            node.publish(nodes[0].url)
            node.start()
        for node in nodes:
            node.wait_until_ready()
        url = f"{nodes[0].url}/{PLAN.name}"
        tenant = GuardedTenant(name=PLAN.name, url=url, secret=made.tenants[0].asker_secret, issuer=url)
        yield stack.enter_context(apis(directory, "apis", made.vendor.file, (tenant,)))


@contextmanager
def _edited(file: Path) -> Iterator[None]:
    is_over, dice = threading.Event(), random.Random(0)

    def edit() -> None:
        with closing(sqlite3.connect(file, timeout=1)) as raw:
            raw.execute("PRAGMA ignore_check_constraints = ON")
            while not is_over.wait(EDIT_EVERY_S):
                with suppress(sqlite3.OperationalError):
                    raw.executescript(f"BEGIN; {dice.choice(EDITS)}; {EDITS[-1]}; COMMIT")

    thread = threading.Thread(target=edit)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def _attack(  # noqa: PLR0917 - a private step
    what: str, directory: Path, nodes: tuple[Node, ...], made: Made, ports: Apis, seconds: float
) -> list[Figures]:
    """Let clients work with each node, and call all APIs."""
    loads: list[LoadProcess] = []
    site = made.tenants[0]
    for number, node in enumerate(nodes):
        spec = LoadSpec(
            seed=number,
            ports=(node.port,),
            tenants=(msgspec.structs.replace(site, clients=site.clients[number :: len(nodes)]),),
            history=str(directory / f"load{number}.history"),
            apis=(*ports.alone, *ports.shared),
        )
        loads.append(LoadProcess(spec, directory / f"load{number}.json"))
    try:
        threading.Event().wait(seconds)
        for load in loads:
            load.quiet()
    finally:
        for load in loads:
            load.kill()
    calls = _calls([load.history for load in loads])
    return [calls[memory].figures(what, memory, seconds) for memory in Apis._fields]


def _calls(files: list[Path]) -> dict[str, Calls]:
    """The calls at each memory by the histories; the seat number is that of the token."""
    calls = {memory: Calls() for memory in Apis._fields}
    for it in read_history(files):
        if isinstance(it, Operation) and it.kind == "call":
            is_in = it.outcome == "let_in"
            entry = Entry(it.client, it.issued_ms // 1000, it.node, it) if is_in else None
            calls["shared" if it.node else "alone"].add(it.number, entry)
    return calls
