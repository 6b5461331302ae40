"""Fixtures that many tests share, and the settings of a test run."""

import gc
import os
import shutil
import signal
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest
from httpx import _config as httpx_defaults

from licet.store.contract import Store
from licet.store.opening import SQLITE_NAME
from licet.store.postgres import batch
from licet.store.postgres.one_call import commit_by_call
from licet.store.postgres.store import PostgresStore
from support.examples import add_tenant, jim_test
from support.guard.calling import ManualTiming, Program, Tasks, Threads, TokenSite
from support.many import EXAMPLES_FEW, EXAMPLES_MAX
from support.once import (
    command_trees,
    made_once,
    reports_sent,
    statement_cache,
    template_cache,
    tls_context,
)
from support.server.running import PATIENCE_S, RunningServer
from support.server.served_tenant import AWAY, ServedTenant
from support.store import setup_site
from support.store.kinds import KINDS, Place, PostgresPlaces, SqlitePlaces
from support.store.postgres import Postgres
from support.store.setup_site import Site
from support.store.store_site import START_MS, begin
from support.store.with_empty_store import EMPTY, postgres_with_empty_store

if TYPE_CHECKING:
    from support.admin.browser import Browser
    from support.admin.dashboard import DashboardSite, Reader
    from support.admin.sign_in_gate import Gate, Open
    from support.cli.cli_site import CommandLine
    from support.web.listening import Server

_MEMORY = Path("/dev/shm")  # noqa: S108 - the names in it are not predictable
_MEMORY_BYTES_MIN = 4 * 2**30  # a guess; a run keeps less than 1 GiB
_COLLECTS_AFTER = (50_000, 20, 100)  # as a server does (lanes/process_main.py)
_TESTS = Path(__file__).parent
_ABOVE_THE_STORE = frozenset({"accounts", "admin", "alerts", "journal", "reports", "setup"})
_OTHERWISE_IN_EACH = frozenset({"test_folding.py", "test_folding_denials.py"})
_ON_POSTGRES: Counter[Path] = Counter()
_PATIENT: dict[str, Any] = {
    "login_failures_per_client_max": 1_000_000,
    "login_failures_per_source_max": 1_000_000,
}


def pytest_configure(config: pytest.Config) -> None:
    """Keep the files of tests in memory, if there is enough: a run syncs some ten thousand times.

    Files in memory survive a killed process as files on disk do. `TMPDIR` names another directory.

    A run in the background may ignore SIGINT, and its child processes would inherit that; the tests send it.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # There is no deadline: the time of an example depends on how busy the machine is.
    examples_max = EXAMPLES_MAX if _is_wide(config) else EXAMPLES_FEW
    hypothesis.settings.register_profile("tests", deadline=None, max_examples=examples_max)
    hypothesis.settings.load_profile("tests")
    # The default of httpx is five seconds, which is too short on a busy machine.
    vars(httpx_defaults)["DEFAULT_TIMEOUT_CONFIG"].read = PATIENCE_S
    reports_sent.send_less(config)
    gc.disable()  # until the tests are collected: most objects of this phase stay
    command_trees.share()
    statement_cache.share()
    tls_context.share()
    if "TMPDIR" not in os.environ and _has_room(_MEMORY):
        os.environ["TMPDIR"] = str(_MEMORY)
        tempfile.tempdir = None
    made_once.share()
    template_cache.share()


def pytest_collection_finish() -> None:
    """Exclude modules and tests from garbage collection: to traverse them took an eighth of a run.

    Unlike a server, it does not collect garbage before: that takes as long as hundreds of tests.
    """
    gc.freeze()
    gc.set_threshold(*_COLLECTS_AFTER)
    gc.enable()


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark nine of ten tests on PostgreSQL as wide, in files above the store whose tests run on both stores.

    Above the store, SQLAlchemy makes all statements. The files in `_OTHERWISE_IN_EACH` are exceptions, as
    their code differs between the stores.

    Tests with Hypothesis are in both runs; `make test` runs them with a sixth of the examples.
    """
    if _is_wide(item.config) and getattr(getattr(item, "obj", None), "is_hypothesis_test", False):
        item.add_marker("wide")
    call = getattr(item, "callspec", None)
    if call is None or call.params.get("make_place") != "postgres":
        return
    is_above = item.path.relative_to(_TESTS).parts[0] in _ABOVE_THE_STORE
    if is_above and item.path.name not in _OTHERWISE_IN_EACH:
        if _ON_POSTGRES[item.path] % 10:
            item.add_marker("wide")
        _ON_POSTGRES[item.path] += 1


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out tests that another make target runs, and put those with a browser first, into one process.

    Where a process runs all tests it skips them and says why. Where several do, they are not even sent.
    """
    items.sort(key=lambda item: "browser" not in getattr(item, "fixturenames", ()))
    for marker in ("long", "wide"):
        if marker in str(config.option.markexpr):
            continue
        left_out = [item for item in items if item.get_closest_marker(marker)]
        if hasattr(config, "workerinput"):
            items[:] = [item for item in items if not item.get_closest_marker(marker)]
        for item in left_out:
            item.add_marker(pytest.mark.skip(reason=f"make test-{marker} runs it"))


def _is_wide(config: pytest.Config) -> bool:
    """Whether this run includes the tests that take too long for every run."""
    return "wide" in str(config.option.markexpr)


def _has_room(directory: Path) -> bool:
    """Whether the directory has space for large files, and may have programs."""
    if not os.access(directory, os.W_OK | os.X_OK) or os.statvfs(directory).f_flag & os.ST_NOEXEC:
        return False
    return shutil.disk_usage(directory).free >= _MEMORY_BYTES_MIN


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server whose clock stands still, without limits on failed sign-ins.

    It commits in a separate process, even with one processor. Each file has its own, as with the others: to
    start another takes less than the polling of an idle server for the rest of a run.
    """
    data = tmp_path_factory.mktemp("server")
    with RunningServer(data, manual_clock=True, logs_all=True, **_PATIENT, commit_process=True) as running:
        yield running


@pytest.fixture(scope="module")
def threaded_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """Like `server`, but it commits in a thread instead of a separate process."""
    data = tmp_path_factory.mktemp("threaded")
    with RunningServer(data, manual_clock=True, logs_all=True, **_PATIENT, commit_process=False) as running:
        yield running


@pytest.fixture(scope="module")
def strict_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server that allows three failed sign-ins a minute for an address, and five for a client.

    It trusts X-Forwarded-For, so that a test can choose its address.
    """
    strict: dict[str, Any] = {"login_failures_per_client_max": 5, "login_failures_per_source_max": 3}
    data = tmp_path_factory.mktemp("strict")
    with RunningServer(data, manual_clock=True, trusted_proxies="127.0.0.1", **strict) as running:
        yield running


@pytest.fixture(scope="module")
def stranded_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server whose store was moved to `AWAY` after it had issued a token to `TestClientId`."""
    with RunningServer(tmp_path_factory.mktemp("stranded"), manual_clock=True) as running:
        running.ask("Jim_Test/token", grant_type="client_credentials").raise_for_status()
        (running.data / SQLITE_NAME).rename(running.data / AWAY)
        yield running


@pytest.fixture
def anyio_backend() -> str:
    """The event loop of tests that are coroutines: asyncio, as in the server."""
    return "asyncio"


@pytest.fixture
def tenant(server: RunningServer) -> ServedTenant:
    """A tenant of the shared server, for one test."""
    return ServedTenant(server)


@pytest.fixture(params=["server", "threaded_server"])
def tenant_of_each(request: pytest.FixtureRequest) -> ServedTenant:
    """The same for each kind of server: one commits in a process, the other in a thread."""
    return ServedTenant(request.getfixturevalue(request.param))


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL that all tests share, and that no test may stop."""
    with postgres_with_empty_store() as running:
        yield running


@pytest.fixture(scope="session")
def postgres_places(postgres: Postgres) -> Iterator[PostgresPlaces]:
    """A factory of empty stores in the shared PostgreSQL."""
    places = PostgresPlaces(postgres)
    yield places
    places.close()


@pytest.fixture(scope="session")
def sqlite_places(tmp_path_factory: pytest.TempPathFactory) -> SqlitePlaces:
    """A factory of empty stores in files."""
    return SqlitePlaces(tmp_path_factory.mktemp("empty"))


@pytest.fixture
def data(sqlite_places: SqlitePlaces, tmp_path: Path) -> Path:
    """A directory with a store of `Jim_Test`."""
    begin(sqlite_places.make(tmp_path, START_MS)).close()
    return tmp_path


@pytest.fixture(params=KINDS)
def make_place(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[int], Place]:
    """For each kind of store: a function that makes an empty one, with its clock at the given time."""
    if request.param == "postgres":
        places: PostgresPlaces = request.getfixturevalue("postgres_places")
        return places.make
    files: SqlitePlaces = request.getfixturevalue("sqlite_places")
    return partial(files.make, tmp_path)


@pytest.fixture
def place(make_place: Callable[[int], Place]) -> Iterator[Place]:
    """An empty store of each kind, with its clock at a whole hour."""
    place = make_place(START_MS)
    yield place
    place.close()


@pytest.fixture
def store(place: Place) -> Store:
    """A store of each kind, with the tenant `Jim_Test`."""
    return begin(place)


@pytest.fixture
def empty(make_place: Callable[[int], Place]) -> Iterator[Site]:
    """A store of each kind without tenants, whose tables are checked at the end."""
    site = Site(make_place(setup_site.START_MS))
    yield site
    site.check()
    site.close()


@pytest.fixture
def site(empty: Site) -> Site:
    """A store of each kind with the tenant `Jim_Test`, five seats and three clients."""
    empty.begin()
    return empty


@pytest.fixture(scope="module")
def stoppable() -> Iterator[Postgres]:
    """A PostgreSQL that tests may stop, with an empty store as a template."""
    with postgres_with_empty_store() as running:
        yield running


@pytest.fixture
def lonely(stoppable: Postgres) -> Iterator[PostgresStore]:
    """A store in a database of its own, `lonely`, with the tenant `Jim_Test`."""
    store = PostgresStore(stoppable.create_database("lonely", template=EMPTY))
    with store.transaction() as transaction:
        add_tenant(transaction.connection, jim_test())
    yield store
    store.close()
    stoppable.drop_database("lonely")


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The results of later calls of `licet_commit`: the time of the commit, or a code for the refusal."""
    answered: list[int] = []

    def call(*arguments: Any) -> int:
        answered.append(commit_by_call(*arguments))
        return answered[-1]

    monkeypatch.setattr(batch, "commit_by_call", call)
    return answered


@pytest.fixture(scope="session")
def chromium() -> Iterator["Browser"]:
    """A Chromium that all tests of pages share (support/admin/browser.py)."""
    from support.admin import browser  # noqa: PLC0415 - a slow import that few tests need

    with browser.opened() as opened:
        yield opened


@pytest.fixture(scope="module")
def browser(chromium: "Browser") -> Iterator["Browser"]:
    """The shared Chromium. Its driver runs an event loop in this thread, so tests of the file cannot."""
    with chromium.at_work():
        yield chromium


@pytest.fixture(scope="module")
def ada(site: "DashboardSite") -> Iterator["Reader"]:
    """An HTTP client of the file's `site`, signed in as an owner of all tenants."""
    with site.reader("ada") as reader:
        yield reader


@pytest.fixture(scope="module")
def vera(site: "DashboardSite") -> Iterator["Reader"]:
    """An HTTP client of the file's `site`, signed in as a viewer of all tenants."""
    with site.reader("vera") as reader:
        yield reader


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory for the command line. A test file may replace it by one with more in it."""
    from support.cli.cli_site import new_data  # noqa: PLC0415 - a slow import that few processes need

    return new_data(tmp_path_factory.mktemp("made") / "licet-data")


@pytest.fixture
def cli(made: Path, tmp_path: Path) -> "CommandLine":
    """The command line on a copy of `made`."""
    from support.cli.cli_site import copy_of  # noqa: PLC0415 - as above

    return copy_of(made, tmp_path)


@pytest.fixture(scope="module", params=["direct", "asgi"])
def patient(request: pytest.FixtureRequest) -> Iterator["Server"]:
    """Each HTTP listener with the timeouts of production, and an application for tests behind it."""
    from support.web import listening  # noqa: PLC0415 - a slow import that few tests need

    is_direct = request.param == "direct"
    with listening.Server(
        listening.PatientProtocol if is_direct else listening.PatientAsgiProtocol
    ) as server:
        yield server


@pytest.fixture(scope="module")
def streaming() -> Iterator["Server"]:
    """The HTTP listener that can stream its answers."""
    from support.web import listening  # noqa: PLC0415 - as above

    with listening.Server(listening.PatientAsgiProtocol) as server:
        yield server


@pytest.fixture
async def open_gate(sqlite_places: SqlitePlaces, tmp_path: Path) -> AsyncIterator["Open"]:
    """A function that makes gates, which authenticate administrators (support/admin/sign_in_gate.py)."""
    from support.admin.sign_in_gate import gates  # noqa: PLC0415 - a slow import that few processes need

    async with gates(sqlite_places.make(tmp_path, setup_site.START_MS)) as make:
        yield make


@pytest.fixture
async def gate(open_gate: "Open") -> "Gate":
    """A gate with the options of a server."""
    return open_gate()


# Fixtures for tests of `licet.client`


@pytest.fixture
def tokens() -> Iterator[TokenSite]:
    """A token server without extensions; a test may change its answers."""
    site = TokenSite()
    with site.site:
        yield site


@pytest.fixture(params=[Threads(), Tasks()], ids=["threads", "tasks"])
def program(request: pytest.FixtureRequest) -> Program:
    """A program of each kind."""
    kind: Program = request.param
    return kind


@pytest.fixture
def timing() -> ManualTiming:
    """A clock for a program, which a test moves."""
    return ManualTiming()
