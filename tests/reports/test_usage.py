"""Who holds which seats, and what a span of time looked like: driven through the one way to change a seat."""

import random
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import delete, update

from licet.lanes.commit import commit
from licet.ledger.commands import Granted, Sweep
from licet.model import Duplicates, EndReason, Pool, Scope
from licet.reports.live import PoolNow, sessions
from licet.store import schema
from support.examples import (
    ALL,
    FULL,
    VIEW,
    add_tenant,
    bump,
    client,
    end,
    grant,
    jim_test,
    refresh,
    sid,
    view,
)
from support.many import few
from support.store.kinds import Place
from support.store.report_site import DAY_MS, HOUR_MS, HOUR_S, MINUTE_S, NOON_MS, Site


@pytest.fixture
def place(make_place: Callable[[int], Place]) -> Iterator[Place]:
    """An empty store at noon."""
    place = make_place(NOON_MS)
    yield place
    place.close()


@pytest.fixture
def site(place: Place) -> Site:
    """`Jim_Test`, nothing in use."""
    return Site(place, jim_test())


@pytest.fixture
def by_user(place: Place) -> Site:
    """A tenant in which two clients stand for one user, whose sessions share a seat."""
    pool = Pool(id=1, name="full", seats=2, duplicates=Duplicates.USER)
    clients = (client(1, "Desk", "AB"), client(2, "Phone", "AB"), client(3, "Other", "CD"))
    return Site(place, jim_test(pools=[pool], clients=clients))


class TestWhoHoldsWhat:
    """`seats` and `sessions`."""

    def test_a_pool_that_nobody_uses_is_shown_empty(self, site: Site) -> None:
        """With its seats, and nothing to wait for."""
        assert site.full() == PoolNow(
            pool="full",
            seats=5,
            in_use=0,
            overdraft_in_use=0,
            overuse=0,
            reserved=0,
            reserved_in_use=0,
            waiting=0,
            next_free_at_ms=None,
            expires_at_ms=None,
            in_use_by=(),
        )

    def test_a_seat_tells_whose_it_is_since_when_and_until_when(self, site: Site) -> None:
        """As `lmstat -a` does."""
        site.do(grant(1, 1))
        site.clock.advance(seconds=600)
        site.do(refresh(1, 1))
        (seat,) = site.full().in_use_by
        assert (seat.client_id, seat.initials, seat.name) == ("TestClientId", "TC", "User TC")
        assert (seat.taken_at_ms, seat.expires_at_ms) == (NOON_MS, NOON_MS + 1_800_000)
        (session,) = seat.sessions
        assert (session.sid, session.scope, session.address) == (sid(1).hex(), "all", "192.0.2.1")
        assert (session.started_at_ms, session.renewed_at_ms) == (NOON_MS, NOON_MS + 600_000)
        assert session.expires_at_ms == seat.expires_at_ms

    def test_sessions_that_share_a_seat_are_shown_under_it(self, by_user: Site) -> None:
        """L2; `lmstat` hides them."""
        by_user.do(grant(1, 1), grant(3, 3))
        by_user.clock.advance(seconds=60)
        by_user.do(grant(2, 2), grant(1, 4))
        pool = by_user.full()
        assert pool.in_use == 2
        shared = next(seat for seat in pool.in_use_by if seat.holder == "user:AB")
        assert [session.client_id for session in shared.sessions] == ["Desk", "Phone", "Desk"]
        assert {session.initials for session in shared.sessions} == {"AB"}

    def test_sessions_without_a_seat_are_listed_apart(self, site: Site) -> None:
        """L1."""
        site.do(view(1, 1), grant(2, 2))
        assert [session.sid for session in site.seats().unlicensed] == [sid(1).hex()]
        assert site.full().in_use == 1

    def test_what_has_expired_is_not_in_use_though_no_sweep_came(self, site: Site) -> None:
        """L4, to the millisecond."""
        site.do(grant(1, 1), view(2, 2))
        site.clock.advance(seconds=1199.999)
        assert (site.full().in_use, len(site.seats().unlicensed)) == (1, 1)
        site.clock.advance(seconds=0.001)
        assert (site.full().in_use, len(site.seats().unlicensed)) == (0, 0)

    def test_the_next_seat_is_free_when_the_earliest_one_expires(self, site: Site) -> None:
        """At the latest."""
        site.do(grant(1, 1))
        site.clock.advance(seconds=60)
        site.do(grant(2, 2))
        assert site.full().next_free_at_ms == NOON_MS + 1_200_000

    def test_overuse_is_shown(self, site: Site) -> None:
        """L6."""
        site.do(*(grant(key, key) for key in range(1, 6)))
        with site.store.transaction() as transaction:
            transaction.connection.execute(update(schema.pool).values(seats=3, overuse=2))
            bump(transaction.connection, 1)
        assert (site.full().in_use, site.full().seats, site.full().overuse) == (5, 3, 2)

    def test_sessions_are_found_by_client_and_by_user(self, by_user: Site) -> None:
        """Oldest first."""
        by_user.do(grant(1, 1), view(2, 2), grant(3, 3))
        with by_user.store.reading() as connection:
            now_ms = by_user.now_ms

            def found(**only: Any) -> list[str]:
                return [session.client_id for session in sessions(connection, by_user.tenant, now_ms, **only)]

            assert found() == ["Desk", "Phone", "Other"]
            assert found(client="Phone") == ["Phone"]
            assert found(user="AB") == ["Desk", "Phone"]
            assert found(user="AB", client="Other") == []

    def test_another_tenant_is_not_seen(self, site: Site) -> None:
        """Each row carries its tenant's id."""
        other = jim_test(
            id=2,
            name="Other",
            pools=[Pool(id=2, name="full", seats=1)],
            clients=[client(20, "TestClientId", "TC")],
        )
        with site.store.transaction() as transaction:
            add_tenant(transaction.connection, other)
        site.do(grant(20, 1, tenant_id=2, pool_id=2), grant(20, 2, tenant_id=2, pool_id=None, scope="view"))
        assert site.full().in_use == 0
        assert site.seats().unlicensed == ()
        assert site.use_of_full().peak == 0
        assert site.use_of_full().held == ()


class TestPeaks:
    """How many seats were in use at once."""

    def test_a_peak_counts_what_was_in_use_at_once(self, site: Site) -> None:
        """Not how many came by."""
        for key in (1, 2, 3):
            site.do(grant(key, key))
            site.do(end(key))
        site.do(grant(4, 4), grant(5, 5))
        assert site.use_of_full().peak == 2

    def test_a_seat_that_is_held_counts_in_every_hour_it_is_held(self, site: Site) -> None:
        """Use is written only when it changes."""
        site.do(grant(1, 1), grant(2, 2))
        site.keep(1, 2, hours=3)
        use = site.use_of_full(hours=4)
        assert [part.peak for part in use.hours] == [0, 2, 2, 2, 2]
        assert use.peak_at_ms == NOON_MS

    def test_what_was_taken_before_a_span_is_carried_into_it(self, site: Site) -> None:
        """The last change before counts on."""
        site.do(grant(1, 1))
        site.keep(1, hours=3)
        use = site.use_of_full(hours=1)
        assert (use.peak, use.peak_at_ms) == (1, site.now_ms - HOUR_MS)
        assert [part.peak for part in use.hours] == [1, 1]

    def test_the_minute_of_a_peak_is_one_of_the_span(self, site: Site) -> None:
        """As high as it was before, in the quarter of an hour that the span begins in."""
        site.do(grant(1, 1), grant(2, 2))
        site.clock.advance(seconds=MINUTE_S)
        site.do(end(1), end(2))
        site.clock.advance(seconds=9 * MINUTE_S)
        site.do(grant(3, 3), grant(4, 4))
        [pool] = site.usage(NOON_MS + 5 * MINUTE_S * 1000, site.now_ms).pools
        assert (pool.peak, pool.peak_at_ms) == (2, NOON_MS + 10 * MINUTE_S * 1000)

    def test_a_seat_that_expired_before_a_span_is_not_carried_into_it(self, site: Site) -> None:
        """L4: though no sweep came."""
        site.do(grant(1, 1))
        site.clock.advance(seconds=3 * HOUR_S)
        assert site.use_of_full(hours=2).peak == 0
        assert [part.peak for part in site.use_of_full(hours=3).hours] == [1, 0, 0, 0]

    def test_a_seat_that_expires_within_a_span_ends_there(self, site: Site) -> None:
        """L4: though no sweep came."""
        site.do(grant(1, 1))
        site.clock.advance(seconds=HOUR_S - 600)
        site.do(grant(2, 2))
        site.keep(2, hours=1)
        site.clock.advance(seconds=3 * HOUR_S)
        assert [part.peak for part in site.use_of_full(hours=5).hours] == [0, 1, 1, 1, 0, 0]

    def test_a_sweep_changes_nothing_in_a_report(self, site: Site) -> None:
        """L4: what it writes is what had been true."""
        site.do(grant(1, 1), grant(2, 2), view(3, 3))
        site.keep(1, hours=1)
        site.clock.advance(seconds=2 * HOUR_S)
        before = site.usage(NOON_MS - HOUR_MS, site.now_ms)
        site.do(Sweep(sessions_max=10))
        assert site.full().in_use == 0
        assert site.usage(NOON_MS - HOUR_MS, site.now_ms) == before

    def test_a_seat_taken_and_given_back_in_one_minute_counts(self, site: Site) -> None:
        """The peak of a minute is the most in it."""
        site.do(grant(1, 1))
        site.do(end(1))
        assert [part.peak for part in site.use_of_full(hours=1).hours] == [0, 1]

    def test_a_span_in_the_past_ends_where_it_ends(self, site: Site) -> None:
        """What came later is not in it."""
        site.do(grant(1, 1))
        site.keep(1, hours=2)
        site.do(grant(2, 2), grant(3, 3))
        site.keep(1, hours=2)
        report = site.usage(NOON_MS, NOON_MS + 2 * HOUR_MS)
        assert report.until_ms == NOON_MS + 2 * HOUR_MS
        assert [part.peak for part in report.pools[0].hours] == [1, 1]
        assert site.usage(NOON_MS - DAY_MS, NOON_MS).pools[0].peak == 0

    def test_a_span_ends_now_at_the_latest(self, site: Site) -> None:
        """The future is not reported."""
        site.do(grant(1, 1))
        report = site.usage(NOON_MS, NOON_MS + DAY_MS)
        assert report.until_ms == NOON_MS
        assert [(part.from_ms, part.until_ms, part.peak) for part in report.pools[0].hours] == [
            (NOON_MS, NOON_MS, 1)
        ]
        assert site.usage(NOON_MS + DAY_MS, NOON_MS + 2 * DAY_MS).pools[0].hours == ()

    def test_what_is_live_counts_though_the_journal_is_gone(self, site: Site) -> None:
        """The journal is kept for a while only, a seat may be held for longer."""
        site.do(grant(1, 1))
        site.keep(1, hours=2)
        with site.store.transaction() as transaction:
            transaction.connection.execute(delete(schema.usage_minute))
        assert [part.peak for part in site.use_of_full(hours=1).hours] == [1, 1]

    def test_days_begin_at_midnight_of_the_zone(self, site: Site) -> None:
        """Not of UTC."""
        site.do(grant(1, 1))  # 12:00 UTC, and 23:30 in a zone that is 11 and a half hours ahead
        site.keep(1, hours=1)
        site.do(grant(2, 2), end(2), end(1))
        zone = timezone(timedelta(hours=11, minutes=30))
        days = site.usage(NOON_MS - HOUR_MS, site.now_ms, zone).pools[0].days
        midnight_ms = NOON_MS + HOUR_MS // 2
        assert [(day.from_ms, day.peak) for day in days] == [(NOON_MS - HOUR_MS, 1), (midnight_ms, 2)]

    def test_a_day_may_have_25_hours(self, site: Site) -> None:
        """When the clocks go back, and 23 when they go forward."""
        zone = ZoneInfo("Europe/Berlin")
        site.clock.advance(seconds=365 * 24 * HOUR_S)
        for date, lengths in (((2026, 10, 24), [24, 25, 24]), ((2027, 3, 27), [24, 23, 24])):
            begin = datetime(*date, tzinfo=zone)
            from_ms = round(begin.timestamp()) * 1000
            until_ms = round((begin + timedelta(days=3)).timestamp()) * 1000
            pool = site.usage(from_ms, until_ms, zone).pools[0]
            assert [(day.until_ms - day.from_ms) // HOUR_MS for day in pool.days] == lengths
            assert {hour.until_ms - hour.from_ms for hour in pool.hours} == {HOUR_MS}

    def test_a_clock_may_be_set_back_by_half_an_hour(self, site: Site) -> None:
        """On Lord Howe Island: that half hour is a part of its own, and the report comes to its end."""
        zone = ZoneInfo("Australia/Lord_Howe")
        begin = datetime(2026, 4, 5, tzinfo=zone)
        from_ms = round(begin.timestamp()) * 1000
        pool = site.usage(from_ms, from_ms + 5 * HOUR_MS, zone).pools[0]
        minutes = [(hour.until_ms - hour.from_ms) // 60_000 for hour in pool.hours]
        assert minutes == [60, 60, 30, 60, 60, 30]

    def test_each_part_says_how_many_seats_there_were(self, site: Site) -> None:
        """The seats line of a chart."""
        site.do(grant(1, 1))
        site.keep(1, hours=1)
        with site.store.transaction() as transaction:
            transaction.connection.execute(update(schema.pool).values(seats=7))
            bump(transaction.connection, 1)
        site.do(grant(2, 2))
        assert [part.seats for part in site.use_of_full(hours=1).hours] == [5, 7]

    def test_a_pool_that_was_removed_is_still_reported(self, place: Place) -> None:
        """By its name, without seats."""
        pools = [FULL, Pool(id=2, name="extra", seats=1)]
        scopes = [VIEW, ALL, Scope(name="more", licensed=True, read_only=False, pool="extra")]
        site = Site(place, jim_test(pools=pools, scopes=scopes))
        site.do(grant(1, 1, scope="more", pool_id=2))
        site.clock.advance(seconds=MINUTE_S)
        site.do(end(1))
        with site.store.transaction() as transaction:
            transaction.connection.execute(delete(schema.scope).filter_by(name="more"))
            transaction.connection.execute(delete(schema.pool).filter_by(id=2))
            bump(transaction.connection, 1)
        extra, full = site.usage(NOON_MS, site.now_ms).pools

        assert (extra.pool, extra.seats, extra.peak, extra.sessions.grants) == ("extra", None, 1, 1)
        assert (full.pool, full.seats, full.peak) == ("full", 5, 0)


class TestSeatHours:
    """For how long seats were held."""

    def test_a_seat_that_came_back_counts_for_as_long_as_it_was_held(self, site: Site) -> None:
        """By client and user, the longest first."""
        site.do(grant(1, 1), grant(2, 2))
        site.clock.advance(seconds=600)
        site.do(end(1), refresh(2, 2))
        site.clock.advance(seconds=600)
        site.do(end(2))
        held = site.use_of_full().held
        assert [(it.client_id, it.initials, it.name, it.held_ms) for it in held] == [
            ("Client1", "C1", "User C1", 1_200_000),
            ("TestClientId", "TC", "User TC", 600_000),
        ]

    def test_a_seat_that_is_still_held_counts_up_to_now(self, site: Site) -> None:
        """Added to what came back before."""
        site.do(grant(1, 1))
        site.clock.advance(seconds=100)
        site.do(end(1))
        site.do(grant(1, 2))
        site.clock.advance(seconds=50)
        assert [it.held_ms for it in site.use_of_full().held] == [150_000]

    def test_a_seat_that_expired_counts_until_it_did(self, site: Site) -> None:
        """L4: though no sweep came."""
        site.do(grant(1, 1))
        site.clock.advance(seconds=2 * HOUR_S)
        assert [it.held_ms for it in site.use_of_full().held] == [1_200_000]

    @pytest.mark.parametrize("still_held", [True, False])
    def test_only_the_hours_that_begin_in_a_span_count(self, site: Site, still_held: bool) -> None:
        """Whether the seat came back or not."""
        site.do(grant(1, 1))
        site.keep(1, hours=3.5)
        if not still_held:
            site.do(end(1))
        held = site.usage(NOON_MS + HOUR_MS, NOON_MS + 2 * HOUR_MS).pools[0].held
        assert [it.held_ms for it in held] == [HOUR_MS]
        held = site.usage(NOON_MS + 3 * HOUR_MS, site.now_ms).pools[0].held
        assert [it.held_ms for it in held] == [HOUR_MS // 2]


class TestDenialsAndSessions:
    """What the journal counted."""

    def test_denials_are_folded_by_client_and_reason(self, site: Site) -> None:
        """L11."""
        site.do(*(grant(key, key) for key in range(1, 6)))
        for _ in range(3):
            site.do(grant(6, 60), grant(7, 70), grant(7, 71))
            site.clock.advance(seconds=MINUTE_S)
        use = site.use_of_full()
        assert [(it.client_id, it.initials, it.reason, it.times) for it in use.denials] == [
            ("Client6", "C6", "all_in_use", 6),
            ("Client5", "C5", "all_in_use", 3),
        ]
        assert (use.denials[0].first_at_ms, use.denials[0].last_at_ms) == (NOON_MS, NOON_MS + 120_000)
        assert [part.denials for part in use.days] == [0, 9]

    def test_a_denial_of_this_very_minute_counts(self, site: Site) -> None:
        """A span that reaches up to now includes it."""
        site.clock.advance(seconds=12.345)
        site.do(*(grant(key, key) for key in range(1, 7)))
        assert [part.denials for part in site.use_of_full(hours=1).hours] == [0, 1]

    def test_grants_and_endings_are_counted_by_reason(self, site: Site) -> None:
        """The unlicensed apart."""
        site.do(grant(1, 1), grant(2, 2), grant(3, 3), view(4, 4))
        site.do(end(1), end(2, EndReason.ADMINISTRATOR), end(4, EndReason.REVOKED))
        report = site.usage(NOON_MS, site.now_ms)
        assert (report.unlicensed.grants, report.unlicensed.endings) == (1, {"revoked": 1})
        tally = report.pools[0].sessions
        assert (tally.grants, tally.endings) == (3, {"logoff": 1, "administrator": 1})

    def test_a_session_that_expired_counts_though_no_sweep_came(self, site: Site) -> None:
        """L4."""
        site.do(grant(1, 1), view(2, 2))
        site.clock.advance(seconds=1200)
        report = site.usage(NOON_MS, site.now_ms)
        assert report.pools[0].sessions.endings == {"expired": 1}
        assert report.unlicensed.endings == {"expired": 1}

    def test_nothing_happened_is_a_report_too(self, site: Site) -> None:
        """All zero."""
        use = site.use_of_full()
        assert (use.peak, use.held, use.denials, use.sessions.grants) == (0, (), (), 0)
        assert sum(part.until_ms - part.from_ms for part in use.days) == DAY_MS


class TestAnyDay:
    """Reports against a model that counts intervals."""

    @pytest.mark.parametrize("seed", few(range(12), 4))
    def test_a_report_agrees_with_counting_by_hand(self, site: Site, seed: int) -> None:
        """Whatever happened, and swept or not."""
        dice = random.Random(seed)  # noqa: S311 - an example, not a secret
        site.clock.advance(seconds=0.5)  # so that nothing happens at the very edge of an hour
        held = {key: [(0, 0)] for key in range(1, 8)}
        for number in range(1, 80):
            site.clock.advance(seconds=dice.choice([1, 7, 59, 400, 1100, 4000]))
            key = dice.randrange(1, 8)
            if held[key][-1][1] <= site.now_ms:
                (outcome,) = commit(site.store, [grant(key, number * 10 + key)])
                if isinstance(outcome, Granted):
                    held[key].append((site.now_ms, site.now_ms + 1_200_000))
            else:
                (live,) = site.of_client(key)
                is_renewed = dice.random() < 0.5
                site.do(refresh(key, live) if is_renewed else end(live))
                until_ms = site.now_ms + (1_200_000 if is_renewed else 0)
                held[key][-1] = (held[key][-1][0], until_ms)
        for from_ms, until_ms in ((NOON_MS, site.now_ms), (NOON_MS + 7 * HOUR_MS, NOON_MS + 9 * HOUR_MS)):
            report = site.usage(from_ms, until_ms)
            use = report.pools[0]
            assert [part.peak for part in use.hours] == [
                most_at_once(held, part.from_ms, part.until_ms + (part.until_ms == site.now_ms))
                for part in use.hours
            ]
            expected = {
                f"C{key - 1}" if key > 1 else "TC": length_within(
                    held[key], from_ms, min(until_ms, site.now_ms)
                )
                for key in held
            }
            assert {it.initials: it.held_ms for it in use.held} == {k: v for k, v in expected.items() if v}
            site.do(Sweep(sessions_max=100))
            assert site.usage(from_ms, until_ms) == report


def most_at_once(held: dict[int, list[tuple[int, int]]], from_ms: int, until_ms: int) -> int:
    """The most intervals that overlap at one instant of a span."""
    spans = [span for spans in held.values() for span in spans]
    instants = [from_ms, *(begin_ms for begin_ms, _ in spans if from_ms <= begin_ms < until_ms)]
    return max(sum(begin_ms <= at_ms < end_ms for begin_ms, end_ms in spans) for at_ms in instants)


def length_within(spans: list[tuple[int, int]], from_ms: int, until_ms: int) -> int:
    """How much of these intervals lies in a span."""
    return sum(max(0, min(end_ms, until_ms) - max(begin_ms, from_ms)) for begin_ms, end_ms in spans)
