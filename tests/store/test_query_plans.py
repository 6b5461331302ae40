"""What is read again and again is found by an index, however large a store has become.

A planner without statistics plans for an empty store as for a large one, so that these stores need no rows.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Connection, delete, event, insert, text
from sqlalchemy.engine import Engine

from licet.alerts.evaluation import look
from licet.journal.failures import FailureFilter, failed_most, failures, find_request
from licet.journal.folding import _InPostgres
from licet.journal.history import HistoryFilter, Kind, history
from licet.journal.retention import remove_aged
from licet.reports.live import seats
from licet.reports.overview import overview
from licet.reports.seats import mark, seats_held, sessions_without_seat
from licet.reports.usage import usage
from licet.setup.recount_options import counted_in_postgres
from licet.store import schema
from licet.store.contract import Purpose, Store
from licet.store.minute_rows import DENIALS, GRANTS_AND_ENDINGS, Folding
from support.examples import jim_test
from support.store.kinds import Place, SqlitePlaces, begun_in_postgres
from support.store.report_site import DAY_MS, NOON_MS, Site

# These grow with the years, or with all tenants together.
LARGE = (
    schema.journal,
    schema.usage_minute,
    schema.usage_hour,
    schema.holding,
    schema.usage_summary,
    schema.denial_summary,
    schema.session_summary,
    schema.authentication_failure,
    schema.refused_request,
)

SEATS = (
    "INSERT INTO seat (pool_id, holder, tenant_id, client_id, initials, taken_at_ms, expires_at_ms)"
    " SELECT 1, 'client:C' || n, 1, 'C' || n, 'TC', :now, :now + 600000 FROM generate_series(1, :many) AS n"
)

# Of these, `usage` looks for the first and the next pool, each by one step into the index.
SMALL = {schema.usage_hour.name}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """`Jim_Test` in SQLite, nothing in use."""
    directory = tmp_path_factory.mktemp("plans")
    places = SqlitePlaces(tmp_path_factory.mktemp("empty"))
    place = places.make(directory, NOON_MS)
    yield Site(place, jim_test())
    place.close()


@contextmanager
def planned() -> Iterator[list[str]]:
    """How SQLite looks for the rows of each statement of the block."""
    plans: list[str] = []

    def explain(_: Connection, cursor: Any, statement: str, parameters: Any, __: Any, many: bool) -> None:
        if not many and statement.startswith(("SELECT", "WITH", "UPDATE", "DELETE")):
            raw = cursor.connection
            plans.extend(row[3] for row in raw.execute(f"EXPLAIN QUERY PLAN {statement}", parameters))

    event.listen(Engine, "before_cursor_execute", explain)
    try:
        yield plans
    finally:
        event.remove(Engine, "before_cursor_execute", explain)


def reading(what: Callable[[Connection, Site], object]) -> Callable[[Site], object]:
    """What is read from a connection."""

    def read(site: Site) -> object:
        with site.store.reporting() as connection:
            return what(connection, site)

    return read


def use_of_a_year(connection: Connection, site: Site) -> object:
    """The longest report there is."""
    now_ms = site.now_ms
    return usage(connection, site.tenant, now_ms - 365 * DAY_MS, now_ms, now_ms=now_ms)


@pytest.mark.parametrize(
    "what",
    [
        pytest.param(lambda site: look(site.store), id="look for alerts"),
        pytest.param(lambda site: remove_aged(site.store, DAY_MS, DAY_MS), id="remove what is aged"),
        pytest.param(reading(lambda connection, site: overview(connection, site.now_ms)), id="overview"),
        pytest.param(reading(use_of_a_year), id="usage"),
    ],
)
def test_nothing_reads_all_that_was_kept(site: Site, what: Callable[[Site], object]) -> None:
    """Every few seconds, or with each page: of a store with the minutes of a year it would be seconds."""
    with planned() as plans:
        what(site)
    assert len(plans) > 5
    names = {table.name for table in LARGE}
    scanned = [it for it in plans if it.startswith("SCAN ") and it.split()[1] in names]
    assert scanned == []
    assert [
        plan for plan in plans if plan.endswith("(tenant_id=?)") and plan.split()[1] in names - SMALL
    ] == []


@pytest.mark.parametrize(
    "what",
    [
        reading(lambda connection, site: mark(connection, 1, site.now_ms)),
        reading(lambda connection, site: seats(connection, site.tenant, site.now_ms)),
        reading(lambda connection, site: seats_held(connection, site.tenant, site.now_ms)),
        reading(lambda connection, site: sessions_without_seat(connection, site.tenant, site.now_ms)),
    ],
)
def test_the_sessions_of_a_tenant_are_found_by_its_clients(
    site: Site, what: Callable[[Site], object]
) -> None:
    """A page that asks every second does not read those of all tenants."""
    with planned() as plans:
        what(site)
    of_sessions = [it for it in plans if " session " in it]
    assert of_sessions == [it for it in of_sessions if "(client_key=?" in it]


def test_denials_are_not_read_while_an_alert_has_just_reported_some(site: Site) -> None:
    """Many clients of a full pool may be denied all the time; there is nothing to report for ten minutes."""
    with planned() as plans:
        look(site.store)
    assert any("denial_entry" in plan for plan in plans)
    assert any("journal USING" in plan and "(tenant_id=? AND minute>?)" in plan for plan in plans), plans
    now_ms = site.now_ms
    with site.store.transaction() as transaction:
        transaction.connection.execute(
            insert(schema.alert).values(
                pool_id=1,
                threshold="denied",
                tenant_id=1,
                raised_at_ms=now_ms,
                told_at_ms=now_ms,
                told_times=1,
            )
        )
    with planned() as plans:
        look(site.store)
    assert plans
    assert not [plan for plan in plans if "denial_entry" in plan]
    with site.store.transaction() as transaction:
        transaction.connection.execute(delete(schema.alert))


def test_failures_and_request_ids_are_found_by_an_index(site: Site) -> None:
    """Of one tenant and of all, with a filter and without; an id is one step into its index."""
    only = FailureFilter(client="C1", from_ms=site.now_ms - DAY_MS, with_administrators=True)
    with planned() as plans, site.store.reporting() as connection:
        for tenant in (site.tenant, None):
            failures(connection, tenant)
            failures(connection, tenant, only=only)
            failed_most(connection, tenant, only=only)
            history(connection, tenant, only=HistoryFilter(kinds=frozenset({Kind.FAILED})))
        find_request(connection, "43e14aae-23")
    of_failures = [it for it in plans if "authentication_failure" in it]
    assert len(of_failures) >= 8
    assert not [
        failure for failure in of_failures if failure.startswith("SCAN ") and "USING INDEX" not in failure
    ], of_failures
    assert [it for it in plans if " refused_request " in it] == [
        "SEARCH refused_request USING INDEX sqlite_autoindex_refused_request_1 (request_id=?)"
    ]


@pytest.mark.parametrize("of", [GRANTS_AND_ENDINGS, DENIALS])
def test_a_fold_does_not_compare_each_entry_with_each(postgres_places: Any, of: Folding) -> None:
    """Its connection has no joins but loops: a thousand entries would be a million comparisons."""
    place: Place = postgres_places.make(NOON_MS)
    store: Store = begun_in_postgres(place, jim_test())
    with store.transaction(Purpose.UPKEEP) as transaction:
        transaction.connection.execute(text(f"ANALYZE {of.table}"))  # an empty one: it would loop
        explained = transaction.connection.execute(
            text(f"EXPLAIN {_InPostgres(of, 0).move.text}"), {"most": 1000}
        )
        plan = "\n".join(row[0] for row in explained)
    place.close()
    assert "WindowAgg" in plan
    compared = [line for line in plan.splitlines() if "Join Filter" in line]
    assert all("tenant.id" in line for line in compared), plan  # which are few beside entries


@pytest.mark.parametrize("knows", ["nothing", "that there are none", "that they have come back"])
def test_seats_that_are_counted_anew_are_each_found_by_their_key(postgres_places: Any, knows: str) -> None:
    """Whatever the database knows of them: else ten thousand names would each be compared with all seats."""
    place: Place = postgres_places.make(NOON_MS)
    store: Store = begun_in_postgres(place, jim_test())
    with store.transaction(Purpose.UPKEEP) as transaction:
        seats, many = text(SEATS), 3000
        if knows == "that they have come back":
            many = 60_000  # The index of their keys is one level deeper than the other one.
            transaction.connection.execute(seats, {"many": many, "now": transaction.now_ms})
            transaction.connection.execute(delete(schema.seat))
        if knows != "nothing":
            transaction.connection.execute(text("ANALYZE seat"))
        transaction.connection.execute(seats, {"many": many, "now": transaction.now_ms})
        changed = json.dumps({f"client:C{number}": "common" for number in range(1, 3001)})
        explained = transaction.connection.execute(
            text(f"EXPLAIN (ANALYZE) {counted_in_postgres().text}"), {"pool_id": 1, "changed": changed}
        )
        plan = "\n".join(row[0] for row in explained)
    place.close()
    assert "Index Scan using pk_seat" in plan, plan
    assert "loops=3000" in plan, plan
    assert "Rows Removed by" not in plan, plan
    assert "Join" not in plan, plan


def test_the_plans_are_looked_at(site: Site) -> None:
    """Else the tests above would be content with nothing."""
    with planned() as plans, site.store.reporting() as connection:
        connection.execute(text("SELECT * FROM journal"))
    assert plans == ["SCAN journal"]
