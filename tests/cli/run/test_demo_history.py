"""`licet demo --with-history`: eight days that keep the rules of the product, and end now."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from licet.alerts.raised import raised
from licet.cli.run.demo_cast import FULL_SEATS, FULL_SEATS_AT_FIRST, MEMBERS, POOLS
from licet.cli.run.demo_history import DAYS, History
from licet.clock import ManualClock
from licet.credentials.generated import ClientSecrets
from licet.model import EndReason, FailureCause, NoSeatReason
from licet.setup.change import changing
from licet.store import schema
from licet.store.contract import Store
from licet.store.opening import SQLITE_NAME, StoreAt
from licet.units import DAY_MS, HOUR_MS, MINUTE_MS
from support.cli.command_line import run
from support.once.made_once import empty_store
from support.server.callers import TENANT

NOW_MS = 1_795_000_000_000


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A store with the whole history, at the instant of its end."""
    with _lived(tmp_path_factory.mktemp("history"), NOW_MS, days=DAYS) as (store, _):
        yield store


@contextmanager
def _lived(directory: Path, now_ms: int, *, days: float) -> Iterator[tuple[Store, History]]:
    clock = ManualClock(now_ms - round(days * DAY_MS))
    empty_store(directory / SQLITE_NAME)
    store = StoreAt(directory).open(clock)
    try:
        history = History(store, clock, ClientSecrets(b"pepper" * 6), TENANT)
        history.begin("no password", actor="admin")
        history.play(now_ms)
        assert clock.now_ms() == now_ms
        yield store, history
    finally:
        store.close()


def _rows(store: Store, query: Any) -> Sequence[Any]:
    with store.reading() as connection:
        return connection.execute(query).all()


def _journal(store: Store, *columns: str) -> set[tuple[Any, ...]]:
    whole = schema.whole_journal.c
    return {tuple(row) for row in _rows(store, select(*(whole[name] for name in columns)).distinct())}


def test_eight_days_of_forty_clients_end_now(lived: Store) -> None:
    """The first grant is of the first hour, the last of the last half an hour."""
    whole = schema.whole_journal.c
    [(first, last, clients)] = _rows(
        lived,
        select(
            func.min(whole.first_at_ms), func.max(whole.last_at_ms), func.count(whole.client_id.distinct())
        ),
    )
    assert NOW_MS - DAYS * DAY_MS <= first <= NOW_MS - DAYS * DAY_MS + HOUR_MS
    assert NOW_MS - 30 * MINUTE_MS <= last <= NOW_MS
    assert len(MEMBERS) == 40
    assert clients >= 35  # One authenticates in vain, one is disabled, one only introspects.


def test_no_pool_ever_had_more_in_use_than_its_seats(lived: Store) -> None:
    """L6: the ledger decided each grant."""
    minute = schema.usage_minute.c
    peaks = dict(_rows(lived, select(minute.pool, func.max(minute.peak)).group_by(minute.pool)))
    assert peaks == {"full": FULL_SEATS, **POOLS}
    before = select(func.max(minute.peak)).where(minute.pool == "full", minute.seats == FULL_SEATS_AT_FIRST)
    assert _rows(lived, before) == [(FULL_SEATS_AT_FIRST,)]


def test_seats_are_in_use_of_each_pool_now(lived: Store) -> None:
    """Pages of what is now have something to show, and one more client finds a seat of `full`."""
    pools = {
        row.name: (row.in_use, row.seats)
        for row in _rows(lived, select(schema.pool.c.name, schema.pool.c.in_use, schema.pool.c.seats))
    }
    assert all(in_use for in_use, _ in pools.values())
    in_use, seats = pools["full"]
    assert seats // 2 < in_use < seats
    session = schema.session.c
    without_seat = select(func.count()).where(session.pool_id.is_(None), session.expires_at_ms > NOW_MS)
    assert _rows(lived, without_seat)[0][0] >= 2


def test_denials_have_each_reason_that_time_can_bring(lived: Store) -> None:
    """Full pools, a licence that had expired for an afternoon, a client that is suspended."""
    entries = _journal(lived, "kind", "pool", "reason")
    denied = {(pool, reason) for kind, pool, reason in entries if kind == "denied"}
    assert {pool for pool, reason in denied if reason == NoSeatReason.ALL_IN_USE} == {"full", *POOLS}
    assert ("reports", NoSeatReason.LICENCE_EXPIRED) in denied
    assert NoSeatReason.SUSPENDED in {reason for _, reason in denied}


def test_sessions_end_in_each_usual_way_and_by_an_administrator_with_a_reason(lived: Store) -> None:
    """The journal has what was done, and who did it and why."""
    ended = {reason for kind, reason in _journal(lived, "kind", "reason") if kind == "ended"}
    assert {EndReason.LOGOFF, EndReason.EXPIRED, EndReason.ADMINISTRATOR} <= ended
    event = schema.event.c
    reasons = [row.detail for row in _rows(lived, select(event.detail).where(event.action == "end"))]
    assert len(reasons) == 3
    assert any("no seat until" in detail for detail in reasons)


def test_failed_authentications_have_several_causes(lived: Store) -> None:
    """A disabled client, an expired secret and a forgotten password."""
    failure = schema.authentication_failure.c
    assert {row.cause for row in _rows(lived, select(failure.cause).distinct())} == {
        FailureCause.CLIENT_DISABLED,
        FailureCause.EXPIRED_SECRET,
        FailureCause.WRONG_SECRET,
    }


def test_an_alert_is_raised_now(lived: Store) -> None:
    """A pool that is full, and a licence that expires in three days."""
    with lived.reading() as connection:
        alerts = {(it.pool, it.threshold) for it in raised(connection, lived.tenants().values(), NOW_MS)}
    assert ("reports", "expires") in alerts
    assert {pool for pool, alert in alerts if alert.isdigit()}


@pytest.mark.wide
def test_it_is_the_same_each_time_seen_from_now(tmp_path: Path) -> None:
    """What happened, and how long before now."""
    told = []
    for name, now_ms in (("one", NOW_MS), ("other", NOW_MS + 12_345_000)):
        (tmp_path / name).mkdir()
        with _lived(tmp_path / name, now_ms, days=0.25) as (store, _):
            entry = schema.journal_entry.c
            query = select(entry.kind, entry.reason, entry.pool, entry.client_id, now_ms - entry.at_ms)
            told.append(_rows(store, query.order_by(entry.number)))
    assert told[0] == told[1]
    assert len(told[0]) > 50


@pytest.mark.wide
def test_the_clients_work_on_while_the_demo_runs(tmp_path: Path) -> None:
    """By the clock of the store; who was removed meanwhile stays away, and no pool gets too full."""
    with _lived(tmp_path, NOW_MS, days=0.2) as (store, history):
        history.go_on(store)
        gone = _rows(store, select(schema.seat.c.client_id).where(schema.seat.c.client_id != "Web-Shop"))[0][
            0
        ]
        with changing(store, "a test") as change:
            change.tenant(TENANT).remove_client(gone)
        clock = store.clock
        assert isinstance(clock, ManualClock)
        for _ in range(60):
            clock.advance(seconds=60)
            history.work_now()
        session = schema.session.c
        live = _rows(store, select(session.started_at_ms).where(session.expires_at_ms > clock.now_ms()))
        assert len(live) >= 5
        assert max(at_ms for (at_ms,) in live) > NOW_MS
        entry = schema.journal_entry.c
        later = select(entry.client_id).where(entry.at_ms > NOW_MS, entry.kind == "granted").distinct()
        assert gone not in {row.client_id for row in _rows(store, later)}
        with changing(store, "a test") as change:
            change.remove_tenant(TENANT)
        clock.advance(seconds=3600)
        history.work_now()


def test_a_history_is_not_written_into_a_store_that_is_there(tmp_path: Path) -> None:
    """It would rewrite what somebody's clients did."""
    run("init", "--data", str(tmp_path / "data"), "--no-admin")
    refused = run("demo", "--with-history", "--data", str(tmp_path / "data"), exit_code=1)
    assert "a history is written into a new one only" in refused.stderr
