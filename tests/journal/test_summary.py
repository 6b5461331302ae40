"""What is summed says the same as the minutes it was made of, whatever happened, and costs a report less."""

import random
from collections.abc import Callable, Iterator
from datetime import UTC, timedelta, timezone, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from msgspec.structs import replace
from sqlalchemy import delete, func, insert, literal, select, update

from licet.journal.folding import fold_denials, fold_journal
from licet.journal.history import HistoryFilter, Kind, history
from licet.journal.retention import ROWS_MAX, remove_aged, remove_history
from licet.journal.summary import _write, summarise
from licet.lanes.commit import commit
from licet.ledger.commands import Granted, Sweep
from licet.model import Pool
from licet.reports.occupancy import occupancy
from licet.reports.overview import overview
from licet.reports.true_denials import true_denials
from licet.reports.usage import PoolUsage, Usage
from licet.setup.change import changing
from licet.store import schema
from support.examples import end, grant, jim_test, refresh, view
from support.many import few
from support.store.kinds import Place
from support.store.report_site import DAY_MS, HOUR_MS, HOUR_S, NOON_MS, Site

YEAR_MS = 365 * DAY_MS
ZONES = (UTC, timezone(timedelta(hours=5, minutes=45)), ZoneInfo("Australia/Lord_Howe"))


@pytest.fixture
def site(make_place: Callable[[int], Place]) -> Iterator[Site]:
    """`Jim_Test` with two seats, at noon."""
    place = make_place(NOON_MS)
    yield Site(place, jim_test(pools=[Pool(id=1, name="full", seats=2)]))
    place.close()


def sum_all(site: Site, keep_ms: int = 30 * DAY_MS) -> int:
    """Sum what can be; how many hours after noon are summed."""
    while summarise(site.store, keep_ms):
        pass
    with site.store.reading() as connection:
        until_ms: int = connection.execute(select(schema.summed.c.until_ms)).scalar_one()
    return (until_ms - NOON_MS) // HOUR_MS


def summed(site: Site) -> dict[str, int]:
    """How many rows there are in each table of sums."""
    tables = (schema.usage_summary, schema.denial_summary, schema.session_summary)
    with site.store.reading() as connection:
        return {
            table.name: connection.execute(select(func.count()).select_from(table)).scalar_one()
            for table in tables
        }


def rows_of_history(site: Site) -> dict[str, int]:
    """How many rows there are in each table of what happened."""
    tables = (schema.journal, schema.usage_minute, schema.usage_hour, schema.holding)
    with site.store.reading() as connection:
        rows = {
            table.name: connection.execute(select(func.count()).select_from(table)).scalar_one()
            for table in tables
        }
    return rows | summed(site)


def live_through(site: Site, seed: int, turns: int) -> None:
    """Grants, refreshes, endings and denials, at random moments of some days."""
    dice = random.Random(seed)  # noqa: S311 - an example, not a secret
    live: dict[int, int] = {}
    for number in range(1, turns):
        site.clock.advance(seconds=dice.choice([0.7, 13, 59, 400, 1000, 4000, 20_000]))
        key = dice.randrange(1, 8)
        match dice.randrange(4):
            case 0 if key in live:
                commit(site.store, [end(live.pop(key))])
            case 1 if key in live:
                commit(site.store, [refresh(key, live[key])])
            case 2:
                site.do(view(key, 100_000 + number))
            case _:
                (outcome,) = commit(site.store, [grant(key, number)])
                if isinstance(outcome, Granted):
                    live[key] = number
        if dice.random() < 0.1:
            site.do(Sweep(sessions_max=100))


def spans(site: Site) -> list[tuple[int, int, tzinfo]]:
    """Some that begin and end where nothing else does, by several clocks."""
    begins = (NOON_MS - HOUR_MS, NOON_MS + 7 * HOUR_MS + 8 * 60_000, NOON_MS + 30 * HOUR_MS)
    ends = (site.now_ms, NOON_MS + 50 * HOUR_MS + 61_000)
    return [(begin, until, zone) for begin in begins for until in ends for zone in ZONES if begin < until]


def reports(site: Site) -> list[Usage]:
    """The report of each of these spans."""
    return [site.usage(*span) for span in spans(site)]


# Fewer in a database: there each takes longer, and what is random is the same.
@pytest.mark.parametrize(
    ("make_place", "seed"),
    [
        *few((("sqlite", seed) for seed in range(6)), 1),
        *few((("postgres", seed) for seed in range(6)), 1),
    ],
    indirect=["make_place"],
)
def test_a_report_from_sums_is_the_report_from_minutes(site: Site, seed: int) -> None:
    """Whatever happened, however the span is cut, and wherever the reader's day begins."""
    live_through(site, seed, 120)
    before = reports(site)
    assert sum_all(site) > 24
    assert summed(site)["usage_summary"] > 20
    assert reports(site) == before
    live_through(site, seed + 100, 20)
    naive = reports_without_sums(site)
    sum_all(site)
    assert reports(site) == naive


def reports_without_sums(site: Site) -> list[Usage]:
    """The reports as they are from the minutes alone."""
    with site.store.transaction() as transaction:
        mark = transaction.connection.execute(select(schema.summed.c.until_ms)).scalar_one()
        transaction.connection.execute(update(schema.summed).values(until_ms=0))
    found = reports(site)
    with site.store.transaction() as transaction:
        transaction.connection.execute(update(schema.summed).values(until_ms=mark))
    return found


def test_an_hour_waits_until_what_expired_in_it_is_swept(site: Site) -> None:
    """L4, L11: an end that is found late is written into the minute in which it happened."""
    site.do(grant(1, 1), view(2, 2))
    site.clock.advance(seconds=6 * HOUR_S)
    assert sum_all(site) == 0
    before = site.usage(NOON_MS, site.now_ms)
    site.do(Sweep(sessions_max=10))
    assert sum_all(site) == 5
    assert site.usage(NOON_MS, site.now_ms) == before
    [pool] = before.pools
    assert [it.peak for it in pool.hours] == [1, 0, 0, 0, 0, 0, 0]
    assert pool.sessions.endings == {"expired": 1}


def test_an_hour_is_summed_an_hour_after_its_end(site: Site) -> None:
    """A batch may be under way."""
    site.do(grant(1, 1), end(1))
    site.clock.advance(seconds=2 * HOUR_S - 0.001)
    assert sum_all(site) == 0
    site.clock.advance(seconds=0.001)
    assert sum_all(site) == 1


def without_wants(pool: PoolUsage) -> PoolUsage:
    """The figures without those of wants, which are read from minutes alone."""
    hours, days = (tuple(replace(it, turned_away=0) for it in part) for part in (pool.hours, pool.days))
    return replace(pool, hours=hours, days=days, true_denials=true_denials([]))


def test_figures_of_a_year_outlive_the_minutes(site: Site) -> None:
    """Peaks, denials and seat-hours by the hour are kept for longer."""
    site.do(grant(1, 1), grant(2, 2), grant(3, 3))
    site.clock.advance(seconds=600)
    site.do(end(1), end(2))
    site.clock.advance(seconds=5 * 24 * HOUR_S)
    site.do(grant(1, 4), end(4))
    sum_all(site)
    before = site.usage(NOON_MS - HOUR_MS, site.now_ms).pools[0]
    assert fold_journal(site.store) + fold_denials(site.store) == 7
    while remove_aged(site.store, DAY_MS, YEAR_MS):
        pass
    with site.store.reading() as connection:
        oldest = connection.execute(select(func.min(schema.journal.c.minute))).scalar_one()
    assert oldest * 60_000 > NOON_MS + DAY_MS
    after = site.usage(NOON_MS - HOUR_MS, site.now_ms).pools[0]
    assert without_wants(after) == without_wants(before)
    assert (before.peak, before.denied, before.held_ms) == (2, 1, 1_200_000)


def test_a_seat_held_since_before_the_minutes_that_are_kept_is_carried_on(site: Site) -> None:
    """The last change before a span may only be in a sum."""
    site.do(grant(1, 1))
    site.keep(1, hours=30)
    site.do(grant(2, 2), end(2))
    site.keep(1, hours=20)
    sum_all(site)
    span = (NOON_MS + 10 * HOUR_MS, NOON_MS + 40 * HOUR_MS)
    before = site.usage(*span)
    while remove_aged(site.store, DAY_MS, YEAR_MS):
        pass
    assert site.usage(*span) == before
    assert {it.peak for it in before.pools[0].hours} == {1, 2}


def test_sums_are_removed_when_they_are_aged_and_not_made_again(site: Site) -> None:
    """The last minute of a pool is kept, but no hour that nobody wants is summed for it."""
    site.do(grant(1, 1), grant(2, 2), grant(3, 3), end(1), end(2))
    site.clock.advance(seconds=3 * HOUR_S)
    sum_all(site)
    assert summed(site) == {"usage_summary": 1, "denial_summary": 1, "session_summary": 2}
    site.clock.advance(seconds=40 * 24 * HOUR_S)
    while remove_aged(site.store, DAY_MS, DAY_MS):
        pass
    assert sum_all(site, keep_ms=DAY_MS) == 40 * 24 + 2
    assert set(summed(site).values()) == {0}
    assert [it.peak for it in site.use_of_full(hours=2).hours] == [0, 0, 0]


def test_when_the_clock_was_set_back_the_sums_of_the_time_to_come_go(site: Site) -> None:
    """What they are of is written again."""
    site.do(grant(1, 1), end(1))
    site.clock.advance(seconds=10 * HOUR_S)
    assert sum_all(site) == 9
    to_come = site.now_ms + 5 * HOUR_MS
    row = {"tenant_id": 1, "pool": "full", "quarter": to_come // 900_000, "seats": 2, "peak": 2, "in_use": 0}
    with site.store.transaction() as transaction:
        transaction.connection.execute(insert(schema.usage_summary).values(row))
        transaction.connection.execute(update(schema.summed).values(until_ms=to_come + HOUR_MS))
    assert sum_all(site) == 9
    assert summed(site)["usage_summary"] == 1
    site.clock.advance(seconds=7 * HOUR_S)
    site.do(grant(2, 3), end(3))
    assert sum_all(site) == 16
    assert [it.peak for it in site.use_of_full(hours=17).hours if it.peak] == [1, 1]


def test_a_step_that_was_broken_off_is_done_again(site: Site) -> None:
    """Rows come before the mark, and those that are there already do no harm."""
    site.do(grant(1, 1), grant(2, 2), grant(3, 3), end(1))
    site.clock.advance(seconds=1)
    site.do(end(2))
    site.clock.advance(seconds=5 * HOUR_S)
    before = site.usage(NOON_MS, site.now_ms)
    sum_all(site)
    rows = summed(site)
    with site.store.transaction() as transaction:
        transaction.connection.execute(delete(schema.summed))
        transaction.connection.execute(delete(schema.denial_summary))
    assert site.usage(NOON_MS, site.now_ms) == before
    assert sum_all(site) == 4
    assert summed(site) == rows
    assert site.usage(NOON_MS, site.now_ms) == before


def test_the_history_of_a_removed_tenant_goes_in_pieces(site: Site) -> None:
    """It may be millions of rows: no transaction has more than its share, and meanwhile nobody sees them."""
    live_through(site, 7, 400)
    sum_all(site)
    with changing(site.store, "ada") as change:
        change.remove_tenant("Jim_Test")
        change.add_tenant("Jim_Test", seats=1)
    kept = rows_of_history(site)
    assert max(kept.values()) > 2 * ROWS_MAX
    with site.store.reporting() as connection:
        assert not history(connection, None, only=HistoryFilter(kinds=frozenset({Kind.GRANTED}))).entries
        assert occupancy(connection, site.now_ms, tenants_max=10).tenants == 1
        assert [it.tenant for it in overview(connection, site.now_ms).tenants] == ["Jim_Test"]
    while remove_history(site.store):
        left = rows_of_history(site)
        assert all(kept[name] - left[name] <= ROWS_MAX for name in kept)
        kept = left
    assert {name for name, rows in kept.items() if rows} == {"usage_minute"}
    assert kept["usage_minute"] == 1  # the seats of the new one
    with site.store.reading() as connection:
        assert connection.execute(select(func.count()).select_from(schema.tenant)).scalar_one() == 1


def test_what_a_removed_tenant_had_not_folded_yet_is_of_nobody(site: Site) -> None:
    """The entries of a moment ago are dropped when they are folded."""
    site.do(grant(1, 1))
    with changing(site.store, "ada") as change:
        change.remove_tenant("Jim_Test")
    assert fold_journal(site.store) == 1
    assert rows_of_history(site)["journal"] == 0


def test_of_a_tenant_that_was_removed_meanwhile_nothing_is_kept(site: Site) -> None:
    """Between the reading of an hour and its writing; the hour is summed all the same."""
    columns = {"kind": "granted", "reason": "", "pool": "full", "hour": 1, "times": 1}
    with site.store.reading() as connection:
        rows: list[Any] = [
            connection.execute(
                select(*(literal(value).label(name) for name, value in {"tenant_id": it, **columns}.items()))
            ).one()
            for it in (1, 99)
        ]
    _write(site.store, schema.session_summary, rows)
    assert summed(site)["session_summary"] == 1
