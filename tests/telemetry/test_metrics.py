"""The page of metrics: right, well named, bounded, and there when it is needed most.

The conventions are those of https://prometheus.io/docs/practices/naming/ and of `promtool check metrics`.
"""

import asyncio
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from time import perf_counter
from typing import Any

import pytest
from msgspec.structs import replace
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text

from licet.clock import ManualClock
from licet.lanes.commit import commit
from licet.model import EndReason, NoSeatReason, Pool
from licet.reports.occupancy import OTHERS, SCOPES_MAX
from licet.setup.change import changing
from licet.store.contract import Store
from licet.store.sqlite.store import SqliteStore
from licet.telemetry import metrics as module
from licet.telemetry.measures import Measures
from licet.telemetry.metrics import FAMILIES, reference
from support.examples import ALL, VIEW, add_tenant, client, grant, jim_test, view
from support.once.made_once import empty_store
from support.paths import DOCS
from support.server.scraping import families, made, of_pool, scraped, values
from support.store.kinds import Place

START_MS = 1_700_000_000_000
REFERENCE = DOCS / "reference" / "metrics.md"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; q=0.9, text/plain; q=0.5"
OTHER = jim_test(
    id=2,
    name="Other",
    pools=(Pool(id=9, name="full", seats=7, expires_at_ms=START_MS + 60_000),),
    clients=(client(50, "TestClientId", "TC"),),
)


@pytest.fixture
def place(make_place: Callable[[int], Place]) -> Iterator[Place]:
    """Each kind of store in turn, empty."""
    place = make_place(START_MS)
    yield place
    place.close()


@pytest.fixture
def store(place: Place) -> Store:
    """A store with the tenants `Jim_Test` and `Other`."""
    store = place.open()
    with store.transaction() as transaction:
        for tenant in (jim_test(), OTHER):
            add_tenant(transaction.connection, tenant)
    store.refresh_tenants()
    return store


@pytest.fixture
def file(tmp_path: Path) -> Iterator[SqliteStore]:
    """A store in a file."""
    store = SqliteStore(empty_store(tmp_path / "licet.db"), ManualClock())
    yield store
    store.close()


# What is read at a scrape.


def test_seats_are_those_of_each_pool(store: Store) -> None:
    commit(store, [grant(1, 1), grant(2, 2), view(3, 3)])
    found = values(made(store))
    assert of_pool(found, "licet_seats") == {("Jim_Test", "full"): 5, ("Other", "full"): 7}
    assert of_pool(found, "licet_seats_in_use") == {("Jim_Test", "full"): 2, ("Other", "full"): 0}
    assert set(of_pool(found, "licet_seats_overuse").values()) == {0}
    assert found["licet_store_up", ()] == 1


def test_a_seat_is_free_at_the_moment_when_it_expires(place: Place, store: Store) -> None:
    """L4: swept or not."""
    commit(store, [grant(1, 1), view(2, 2)])
    place.clock.advance(seconds=1200)
    store.read_sessions([])  # a node follows the database's clock
    found = values(made(store))
    assert of_pool(found, "licet_seats_in_use")["Jim_Test", "full"] == 0
    assert not [name for name, _ in found if name == "licet_sessions"]


def test_overuse_is_shown(store: Store) -> None:
    """L6."""
    commit(store, [grant(key, key) for key in range(1, 5)])
    with changing(store, "a test") as change:
        change.tenant("Jim_Test").set_pool("full", seats=1)
    found = values(made(store))
    assert of_pool(found, "licet_seats_overuse")["Jim_Test", "full"] == 3


def test_the_end_of_a_licence_is_in_seconds(store: Store) -> None:
    found = values(made(store))
    expected = {("Other", "full"): (START_MS + 60_000) / 1000}
    assert of_pool(found, "licet_pool_expiry_timestamp_seconds") == expected


def test_the_end_of_the_certificate_is_that_of_the_pair_in_use(store: Store) -> None:
    """Without one there is none."""
    name = "licet_certificate_expiry_timestamp_seconds"
    assert values(made(store, certificate_expires_at_s=lambda: 1_800_000_000))[name, ()] == 1_800_000_000
    assert (name, ()) not in values(made(store))


def test_sessions_are_told_by_what_was_granted_in_whatever_order(store: Store) -> None:
    asked = ("all", "view all", "all view")
    commit(store, [grant(1, number, scope=scope) for number, scope in enumerate(asked)])
    commit(store, [view(2, 10), view(3, 11)])
    found = values(made(store))
    assert {labels: value for (name, labels), value in found.items() if name == "licet_sessions"} == {
        (("pool", "full"), ("scope", "all"), ("tenant", "Jim_Test")): 1,
        (("pool", "full"), ("scope", "all view"), ("tenant", "Jim_Test")): 2,
        (("pool", ""), ("scope", "view"), ("tenant", "Jim_Test")): 2,
    }


def test_tenants_beyond_the_bound_are_one(store: Store) -> None:
    """However many tenants there are, there is a bound on the series."""
    commit(store, [grant(1, 1), grant(50, 2, tenant_id=2, pool_id=9)])
    found = values(made(store, tenants_max=1))
    assert of_pool(found, "licet_seats") == {("Jim_Test", "full"): 5, (OTHERS, OTHERS): 7}
    assert of_pool(found, "licet_sessions") == {("Jim_Test", "full"): 1, (OTHERS, OTHERS): 1}
    assert not of_pool(found, "licet_pool_expiry_timestamp_seconds")
    assert (found["licet_tenants", ()], found["licet_tenants_named", ()]) == (2, 1)


def test_no_tenant_need_be_named(store: Store) -> None:
    found = values(made(store, tenants_max=0))
    assert of_pool(found, "licet_seats") == {(OTHERS, OTHERS): 12}


def test_a_client_that_mixes_scopes_makes_no_more_than_the_usual_series(place: Place) -> None:
    store = place.open()
    names = [f"s{number}" for number in range(SCOPES_MAX + 10)]
    scopes = (VIEW, ALL, *(replace(VIEW, name=name) for name in names))
    with store.transaction() as transaction:
        add_tenant(transaction.connection, jim_test(scopes=scopes))
    store.refresh_tenants()
    commit(store, [grant(1, n, scope=name, pool_id=None) for n, name in enumerate(names)])
    found = {
        labels: value for (name, labels), value in values(made(store)).items() if name == "licet_sessions"
    }
    assert len(found) == SCOPES_MAX + 1
    assert found[("pool", ""), ("scope", OTHERS), ("tenant", "Jim_Test")] == 10


def test_no_tenant_at_all(file: SqliteStore) -> None:
    found = values(made(file))
    assert (found["licet_store_up", ()], found["licet_tenants", ()]) == (1, 0)


# What is counted.


def test_what_happened_is_told_of_both_processes(store: Store) -> None:
    commit(store, [grant(1, 1)])
    measures = Measures()
    news = {"granted": 4, "renewed": 2, "denied no_seats": 3, "ended logoff": 1, "collided deadlock": 1}
    measures.committed(10, 0.001, news)
    found = values(made(store, measures))
    assert found["licet_grants_total", ()] == 5
    assert found["licet_refreshes_total", ()] == 2
    assert found["licet_denials_total", (("reason", "no_seats"),)] == 3
    assert found["licet_endings_total", (("reason", "logoff"),)] == 1
    assert found["licet_store_collisions_total", (("kind", "deadlock"),)] == 1


def test_a_reason_that_did_not_occur_is_zero(file: SqliteStore) -> None:
    """A rate over a series that begins with its first denial would miss that one."""
    found = values(made(file))
    reasons = {(name, dict(labels)["reason"]) for name, labels in found if dict(labels).get("reason")}
    assert reasons == {
        *(("licet_denials_total", it.value) for it in NoSeatReason),
        *(("licet_endings_total", it.value) for it in EndReason),
    }


def test_requests_are_told_by_endpoint_and_status_and_timed_by_endpoint(file: SqliteStore) -> None:
    measures = Measures()
    for status in (200, 200, 400):
        measures.answered("/Jim_Test/token", status, perf_counter())
    found = values(made(file, measures))
    requests = {labels: it for (name, labels), it in found.items() if name == "licet_http_requests_total"}
    assert requests == {
        (("endpoint", "token"), ("status", "200")): 2,
        (("endpoint", "token"), ("status", "400")): 1,
    }
    assert found["licet_http_request_duration_seconds_count", (("endpoint", "token"),)] == 3


def test_a_histogram_counts_up(file: SqliteStore) -> None:
    measures = Measures()
    for commands in (1, 2, 2, 300, 9999):
        measures.committed(commands, 0.004, {})
    found = values(made(file, measures))
    buckets = {
        dict(labels)["le"]: value
        for (name, labels), value in found.items()
        if name == "licet_commit_batch_commands_bucket"
    }
    assert (buckets["1.0"], buckets["2.0"], buckets["256.0"], buckets["1024.0"]) == (1, 3, 3, 4)
    assert buckets["+Inf"] == found["licet_commit_batch_commands_count", ()] == 5
    assert found["licet_commit_batch_commands_sum", ()] == 10_304


def test_the_process_that_commits_is_told_apart(file: SqliteStore) -> None:
    found = {name for name, _ in values(made(file, commit_pid=lambda: 1))}
    assert {"process_cpu_seconds_total", "licet_commit_process_cpu_seconds_total"} <= found


def test_one_that_is_gone_is_left_out(file: SqliteStore) -> None:
    found = {name for name, _ in values(made(file, commit_pid=lambda: 2**22 + 1))}
    assert "process_cpu_seconds_total" in found
    assert not any(name.startswith("licet_commit_process_cpu") for name in found)


# When something is not as it should be.


def test_a_store_that_is_gone_leaves_the_rest(file: SqliteStore) -> None:
    file.path.rename(file.path.with_name("away.db"))
    found = values(made(file, is_ready=lambda: False))
    assert (found["licet_store_up", ()], found["licet_ready", ()]) == (0, 0)
    assert found["process_resident_memory_bytes", ()] > 0
    assert not {"licet_seats", "licet_tenants", "licet_sessions"} & {name for name, _ in found}


def test_a_store_that_hangs_is_waited_for_once_and_not_for_long(
    file: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who scrapes meanwhile does not begin a second read, and the next one hears of the first."""
    may_go_on, reads = Event(), list[int]()
    truly = file.reporting

    @contextmanager
    def hanging() -> Iterator[Any]:
        reads.append(1)
        may_go_on.wait()
        with truly() as connection:
            yield connection

    monkeypatch.setattr(file, "reporting", hanging)
    monkeypatch.setattr(module, "READ_WITHIN_S", 0.01)

    async def scrape() -> tuple[bytes, bytes, bytes]:
        metrics = made(file)
        first, second = await asyncio.gather(metrics.page(), metrics.page())
        may_go_on.set()
        monkeypatch.setattr(module, "READ_WITHIN_S", 20.0)
        return first.body, second.body, (await metrics.page()).body

    first, second, third = asyncio.run(scrape())
    assert b"licet_store_up 0.0" in first
    assert b"licet_store_up 0.0" in second
    assert b"licet_store_up 1.0" in third
    assert len(reads) == 1


def test_a_request_that_comes_between_does_not_break_a_scrape(file: SqliteStore) -> None:
    """The page is made in a thread, while the loop goes on counting."""
    measures = Measures()

    async def scrape() -> None:
        metrics = made(file, measures)
        pages = asyncio.gather(*(metrics.page() for _ in range(10)))
        status = 200
        while not pages.done():
            status += 1
            measures.answered("/Jim_Test/token", status % 400, perf_counter())
            await asyncio.sleep(0)
        assert all(page.body for page in pages.result())

    asyncio.run(scrape())


# How it is told.


def test_text_is_the_usual_form(file: SqliteStore) -> None:
    page = scraped(made(file))
    assert page.content_type == "text/plain; version=0.0.4; charset=utf-8"
    assert families(page)


def test_openmetrics_is_there_for_who_accepts_it(file: SqliteStore) -> None:
    page = scraped(made(file, commit_pid=lambda: 1), OPENMETRICS)
    assert page.content_type.startswith("application/openmetrics-text; version=1.0.0")
    found = {family.name: family.type for family in read_openmetrics(page.body.decode())}  # type: ignore[no-untyped-call]
    assert (found["licet_build"], found["licet_grants"]) == ("info", "counter")


@pytest.mark.parametrize(
    "accept", ["", "*/*", "nonsense;;;", "text/html", "application/openmetrics-text;version=x"]
)
def test_whatever_is_accepted_there_is_a_page(file: SqliteStore, accept: str) -> None:
    assert b"licet_store_up 1.0" in scraped(made(file), accept).body


def test_a_label_may_have_any_character(file: SqliteStore) -> None:
    """A scope is what an administrator called it (RFC 6749 App. A.4), quotes and backslashes apart."""
    with changing(file, "a test") as change:
        tenant = change.add_tenant("Jim_Test", seats=1)
        tenant.add_user("TC", password_hash=None)
        tenant.add_scope("a{b}=c,d'é"[:9], read_only=True)
    scraped(made(file))


def test_names_and_units_are_those_of_the_conventions(file: SqliteStore) -> None:
    found = families(scraped(made(file, Measures(), commit_pid=lambda: 1)))
    assert {it.name for it in found}
    assert [line for family in found for line in faults(family)] == []


def test_the_test_of_conventions_finds_what_is_wrong() -> None:
    text = "# TYPE request_ms gauge\nrequest_ms 1\n# HELP x_total y.\n# TYPE x_total gauge\nx_total 1\n"
    assert len([line for family in read_text(text) for line in faults(family)]) >= 4


def test_every_family_is_made_and_none_beside_them(file: SqliteStore) -> None:
    of_server = {
        found.name for found in families(scraped(made(file))) if not found.name.startswith("process")
    }
    known = {family.name.removesuffix("_total") for family in FAMILIES}
    assert of_server <= known
    assert len(known) == len(FAMILIES)


def test_the_reference_page_is_that_of_the_code() -> None:
    made_by = ".venv/bin/python -m licet.telemetry.metrics > docs/reference/metrics.md"
    assert REFERENCE.read_text(encoding="utf-8") == reference(), f"out of date: {made_by}"


_NAME = re.compile(r"(licet|process|licet_commit_process)(_[a-z0-9]+)+")
_NOT_BASE = re.compile(r"_(ms|millis|milliseconds|minutes|hours|days|kib|mib|kilobytes|percent)(_|$)")


def faults(family: Metric) -> Iterator[str]:
    """What is wrong with a family's name, help, type and labels."""
    if not _NAME.fullmatch(family.name):
        yield f"{family.name}: the name has no known prefix, or characters that it should not have"
    if not family.documentation or not family.documentation.endswith("."):
        yield f"{family.name}: no help"
    if _NOT_BASE.search(family.name):
        yield f"{family.name}: not in base units"
    if family.type in {"unknown", "untyped"}:
        yield f"{family.name}: no type"
    if family.type == "histogram" and not family.name.endswith(("_seconds", "_commands", "_bytes")):
        yield f"{family.name}: a histogram without a unit"
    if re.search(r"_(total|count|sum|bucket|info)$", family.name) and family.name != "licet_build_info":
        yield f"{family.name}: a suffix that is the format's"
    yield from _faults_of_samples(family)


def _faults_of_samples(family: Metric) -> Iterator[str]:
    for sample in family.samples:
        if family.type == "counter" and sample.name != f"{family.name}_total":
            yield f"{sample.name}: a counter without _total"
        if family.type == "gauge" and sample.name.endswith("_total"):
            yield f"{sample.name}: a gauge with _total"
        for label in sample.labels:
            if not re.fullmatch(r"[a-z_]+", label) or label in {"name", "type", "job", "instance"}:
                yield f"{sample.name}: label {label}"
