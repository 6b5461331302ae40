"""What another set-up would have done: the ledger replays the journal, today's set-up to today's figures."""

from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest
from msgspec.structs import replace
from sqlalchemy import delete

from licet.journal.folding import fold_journal
from licet.ledger.commands import Sweep
from licet.model import Duplicates, EndReason, Group, InvalidValue, Pool
from licet.options import Share
from licet.reports.what_if.enough import Enough, enough
from licet.reports.what_if.replay import Rules, Setup, replay
from licet.reports.what_if.report import Other, WhatIf, trust_in, what_if
from licet.reports.what_if.visits import Visit
from licet.store import schema
from licet.store.errors import NotFound
from support.examples import TWINS, client, end, grant, jim_test, refresh
from support.store.kinds import Place
from support.store.report_site import DAY_MS, NOON_MS, Site
from support.store.working_days import WorkingDays

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
CLIENTS = tuple(client(key, f"Client{key}", f"{key:02}") for key in range(1, 25))
TODAY = Setup(seats=1, overdraft=0, hold_s=0, session_ttl_s=1200, duplicates=Duplicates.CLIENT)


@pytest.fixture
def place(make_place: Callable[[int], Place]) -> Iterator[Place]:
    """An empty store at noon."""
    place = make_place(NOON_MS)
    yield place
    place.close()


def asked(site: Site, **other: Any) -> WhatIf:
    """What would have been since noon of the first day."""
    pool = site.tenant.pools[1]
    with site.store.reading() as connection:
        return what_if(
            connection, site.tenant, pool, Other(**other), NOON_MS, site.now_ms, now_ms=site.now_ms
        )


def one(visits: list[Visit], **changes: Any) -> Any:
    """The replay of visits with some other set-up."""
    until_ms = NOON_MS + DAY_MS
    return replay(visits, replace(TODAY, **changes), recorded_ttl_s=1200, until_ms=until_ms)


def visit(
    client_id: str, granted: float | None, ended: float | None, *denied: float, has_expired: bool = False
) -> Visit:
    """A visit, in minutes behind noon."""

    def at(minutes: float | None) -> int | None:
        return None if minutes is None else NOON_MS + round(minutes * MINUTE_MS)

    denied_at = tuple(NOON_MS + round(it * MINUTE_MS) for it in denied)
    return Visit(
        client_id, client_id * 2, denied_at, at(granted), at(ended), EndReason.EXPIRED if has_expired else ""
    )


def test_todays_set_up_gives_todays_peaks_and_denials_of_generated_days(place: Place) -> None:
    """Within one per cent, whether or not the journal is folded."""
    site = Site(place, jim_test(pools=[Pool(id=1, name="full", seats=10)], clients=CLIENTS))
    WorkingDays(site, clients=len(CLIENTS), days=2).play()
    site.do(Sweep(sessions_max=1000))
    for _ in range(2):
        found = asked(site)
        assert found.recorded_peak == 10
        assert found.recorded.turned_away > 5
        assert found.peak_error is not None
        assert found.turned_away_error is not None
        assert max(found.peak_error, found.turned_away_error) <= 0.01
        assert found.today.grants == sum(
            pool.sessions.grants for pool in site.usage(NOON_MS, site.now_ms).pools
        )
        assert found.other == found.today
        more = asked(site, seats=24)
        assert (more.today, more.other.turned_away, more.other.wants) == (found.today, 0, 0)
        assert more.other.peak > 10
        fewer = asked(site, seats=5)
        assert fewer.other.peak == 5
        assert fewer.other.turned_away > found.today.turned_away
        while fold_journal(site.store):
            pass


def test_who_was_turned_away_gets_a_seat_where_there_is_one_more(place: Place) -> None:
    """It keeps it as long as visits usually last; who was there before the span counts as well."""
    site = Site(place, jim_test(pools=[Pool(id=1, name="full", seats=1)]))
    site.do(grant(1, 1), grant(2, 2))
    for _ in range(3):
        site.clock.advance(seconds=900)
        site.do(refresh(1, 1))
    site.do(end(1))
    found = asked(site)
    assert (found.recorded_peak, found.recorded.turned_away) == (1, 1)
    assert (found.today.peak, found.today.turned_away, found.today.grants) == (1, 1, 1)
    more = asked(site, seats=2).other
    assert (more.peak, more.turned_away, more.grants) == (2, 0, 2)


def test_denials_without_any_seat_are_no_error_of_a_peak(place: Place) -> None:
    """The pool had no seat then and has three now: there is no recorded peak of which to take a part."""
    site = Site(place, jim_test(pools=[Pool(id=1, name="full", seats=0)]))
    site.do(grant(1, 1), grant(2, 2), grant(3, 3))
    site.clock.advance(seconds=3000)
    site.tenant = replace(site.tenant, pools={1: replace(site.tenant.pools[1], seats=3)})
    found = asked(site)
    assert (found.recorded_peak, found.recorded.turned_away, found.today.peak) == (0, 3, 1)
    assert (found.peak_error, found.turned_away_error) == (None, 1.0)
    assert trust_in(found) == (
        "no seats were recorded in this period, so nothing to check against but true denials;"
        " replayed, today's set-up misses the recorded true denials by 100.0%"
    )


def test_a_pool_that_was_removed_a_moment_ago_is_replayed_as_it_was_known(place: Place) -> None:
    """A snapshot of the set-up may be a second older than the store."""
    site = Site(place, jim_test(pools=[Pool(id=1, name="full", seats=2)]))
    site.do(grant(1, 1))
    site.do(end(1))
    with site.store.transaction() as transaction:
        for table in (schema.scope, schema.pool):
            transaction.connection.execute(delete(table))
    assert asked(site).recorded_peak == 1


def test_denials_that_only_the_replay_has_are_counted_and_not_divided(place: Place) -> None:
    """Two had seats at once, and the pool has one now; nobody had been denied."""
    site = Site(place, jim_test(pools=[Pool(id=1, name="full", seats=2)]))
    site.do(grant(1, 1), grant(2, 2))
    site.clock.advance(seconds=60)
    site.do(end(1), end(2))
    site.clock.advance(seconds=3000)
    site.tenant = replace(site.tenant, pools={1: replace(site.tenant.pools[1], seats=1)})
    found = asked(site)
    assert (found.recorded.turned_away, found.peak_error, found.turned_away_error) == (0, 0.5, None)
    assert trust_in(found).endswith("by 50.0%, and has 1 true denial where none were recorded")


def test_overdraft_is_more_seats() -> None:
    """Those above the seats give as well."""
    visits = [visit("A", 0, 60), visit("B", None, None, 10)]
    assert one(visits).turned_away == 1
    assert one(visits, overdraft=1).turned_away == 0


def test_a_shorter_session_ttl_gives_back_what_expires_sooner() -> None:
    """A had its last token at minute 10; B asked once, at minute 20."""
    visits = [visit("A", 0, 30, has_expired=True), visit("B", None, None, 20)]
    assert one(visits).turned_away == 1
    assert one(visits, session_ttl_s=600).turned_away == 0
    assert one(visits, session_ttl_s=601).turned_away == 1


def test_a_hold_keeps_a_seat_after_its_last_token() -> None:
    """B came a minute after A had logged off, and no later: one minute of hold turns it away."""
    visits = [visit("A", 0, 30), visit("B", 31, 60)]
    assert one(visits).wants == 0
    held = one(visits, hold_s=120)
    assert (held.wants, held.served, held.wait_longest_ms) == (1, 1, MINUTE_MS)
    assert one(visits, hold_s=59).wants == 0


def test_who_shares_a_seat_can_be_another() -> None:
    """Two clients of one user need one seat where seats are counted by user (L2)."""
    both = [visit("A", 0, 60), visit("B", None, None, 10)]
    shared = [it._replace(initials="XY") for it in both]
    assert one(shared, duplicates=Duplicates.USER).turned_away == 0
    assert one(both, duplicates=Duplicates.USER).turned_away == 1


def test_who_got_a_seat_and_gets_none_tries_again_until_its_visit_would_be_over() -> None:
    """B gets the seat when A leaves; C, whose visit is short, gets none."""
    visits = [visit("A", 0, 15), visit("B", 5, 60), visit("C", 6, 9)]
    found = one(visits, seats=1)
    assert (found.peak, found.wants, found.served, found.turned_away) == (1, 2, 1, 1)
    assert found.wait_longest_ms == 10 * MINUTE_MS


def test_what_is_there_before_the_span_is_there_in_its_replay(place: Place) -> None:
    """A session that began before, and one that has not ended; and two clients of one user."""
    pool = Pool(id=1, name="full", seats=1, duplicates=Duplicates.USER)
    site = Site(place, jim_test(pools=[pool], clients=TWINS))
    site.do(grant(1, 1))
    site.clock.advance(seconds=600)
    from_ms = site.now_ms
    site.do(refresh(1, 1), grant(2, 2), grant(3, 3))
    site.clock.advance(seconds=60)
    with site.store.reading() as connection:
        found = what_if(connection, site.tenant, pool, Other(), from_ms, site.now_ms, now_ms=site.now_ms)
    assert (found.recorded_peak, found.today.peak, found.today.wants) == (1, 1, 1)


def test_the_fewest_seats_and_the_longest_session_life_without_a_true_denial() -> None:
    """A's session expired at minute 30, 20 minutes after its last token; B gave up after minute 22."""
    both = [visit("A", 0, 30, has_expired=True), visit("B", None, None, 21, 22)]
    found = enough(both, TODAY, recorded_ttl_s=1200, until_ms=NOON_MS + DAY_MS)
    assert found == Enough(seats=2, session_ttl_s=600)
    alone = enough(both[:1], TODAY, recorded_ttl_s=1200, until_ms=NOON_MS + DAY_MS)
    assert alone == Enough(seats=1, session_ttl_s=1200)
    assert enough([], TODAY, recorded_ttl_s=1200, until_ms=NOON_MS) == Enough(seats=0, session_ttl_s=1200)
    busy = [visit("A", 0, 60), visit("B", None, None, 10)]
    found = enough(busy, TODAY, recorded_ttl_s=1200, until_ms=NOON_MS + DAY_MS)
    assert found == Enough(seats=2, session_ttl_s=None)


class TestOptions:
    """The options of a pool are replayed by the ledger, too."""

    VISITS: ClassVar = [visit("A", 0, 60), visit("B", 1, 60), visit("C", 2, 60)]

    def test_a_limit_denies_whom_it_would_have_denied(self) -> None:
        """`A` and `B` are in the group, which may have one seat."""
        sales = {"sales": Group(name="sales", clients=frozenset({"A", "B"}))}
        rules = Rules(max=("1:group:sales",))
        setup = replace(TODAY, seats=3, rules=rules)
        until_ms = NOON_MS + DAY_MS
        found = replay(self.VISITS, setup, recorded_ttl_s=1200, until_ms=until_ms, groups=sales)
        assert (found.peak, found.wants) == (2, 1)

    def test_a_reserved_seat_stays_idle_for_others(self) -> None:
        """Two of three seats are for `C`, who takes one of them: one is for `A`, and none for `B`."""
        found = one(self.VISITS, seats=3, rules=Rules(reserve=("2:client:C",)))
        assert (found.peak, found.wants) == (2, 1)

    def test_who_is_excluded_gets_none(self) -> None:
        """However many seats there are."""
        found = one(self.VISITS, seats=30, rules=Rules(exclude=("client:A", "user:BB")))
        assert (found.peak, found.wants, found.turned_away) == (1, 2, 2)

    def test_rules_that_contradict_each_other_or_name_nobody_are_refused(self, place: Place) -> None:
        """As a change of the pool to them would be."""
        site = Site(place, jim_test(clients=CLIENTS))
        with pytest.raises(NotFound, match="there is no user ZZ"):
            asked(site, rules={"exclude": ("user:ZZ",)})
        who = "client:Client1"
        with pytest.raises(
            InvalidValue, match="reserve has 2 seats for client:Client1, and max lets it have 1"
        ):
            asked(site, rules={"reserve": (Share(who=who, seats=2),), "max": (Share(who=who, seats=1),)})

    def test_a_reserve_above_the_seats_that_are_tried_is_refused(self, place: Place) -> None:
        """A replay of it would turn away all others. With the rules of today there may be too few seats."""
        site = Site(place, jim_test(clients=CLIENTS))
        reserve = (Share(who="client:Client1", seats=6),)
        with pytest.raises(InvalidValue, match="reserve is 6 seats in all, and seats gives 5"):
            asked(site, rules={"reserve": reserve})
        asked(site, seats=6, rules={"reserve": reserve})
        with pytest.raises(InvalidValue, match="named has 2 users, and seats gives 1"):
            asked(site, seats=1, rules={"named": ("01", "02")})
