"""Who was denied a seat, when and why, in ranges; and who held the seats then."""

import random
from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest
from sqlalchemy import insert, select, update

from licet.journal import ranges as module
from licet.journal.denials import DenialFilter, DenialPage, DenialRange, Holder, denials, holders_at
from licet.journal.retention import remove_aged
from licet.ledger.commands import Sweep
from licet.model import Duplicates, NoSeatReason, Pool, Scope
from licet.setup.change import changing
from licet.store import schema
from licet.store.paging import InvalidCursor
from support.examples import ALL, VIEW, bump, client, end, grant, jim_test, refresh
from support.store.kinds import Place
from support.store.report_site import HOUR_S, NOON_MS, Site

MINUTE_MS = 60_000


@pytest.fixture
def site(make_place: Callable[[int], Place]) -> Iterator[Site]:
    """`Jim_Test` with one seat, at noon."""
    place = make_place(NOON_MS)
    yield Site(place, jim_test(pools=[Pool(id=1, name="full", seats=1)]))
    place.close()


def look(site: Site, after: str | None = None, limit: int = 50, **only: object) -> DenialPage:
    """A page of the denials."""
    with site.store.reporting() as connection:
        wanted = DenialFilter(**only)  # type: ignore[arg-type]
        return denials(connection, site.tenant, only=wanted, after=after, limit=limit)


def all_pages(site: Site, limit: int, **only: object) -> list[DenialRange]:
    """All denials, page by page."""
    page = look(site, limit=limit, **only)  # type: ignore[arg-type]
    found = [*page.ranges]
    while page.next:
        page = look(site, after=page.next, limit=limit, **only)
        assert len(page.ranges) <= limit
        found += page.ranges
    return found


def told(ranges: list[DenialRange] | tuple[DenialRange, ...]) -> list[tuple[str, int, int, int]]:
    """Who, from which minute to which one after noon, how often."""
    return [
        (
            range_.client_id,
            (range_.first_at_ms - NOON_MS) // MINUTE_MS,
            (range_.last_at_ms - NOON_MS) // MINUTE_MS,
            range_.times,
        )
        for range_ in ranges
    ]


def holders(site: Site, at_ms: int) -> list[tuple[str, int, int | None, int]]:
    """Who held a seat of `full`, from when until when by the seconds after noon, how often."""
    with site.store.reporting() as connection:
        found = holders_at(connection, site.tenant, "full", at_ms, now_ms=site.now_ms)
    return [
        (
            it.client_id,
            (it.taken_at_ms - NOON_MS) // 1000,
            None if it.freed_at_ms is None else (it.freed_at_ms - NOON_MS) // 1000,
            it.times,
        )
        for it in found
    ]


def test_consecutive_minutes_are_one_range_and_the_newest_is_first(site: Site) -> None:
    """A pause of a minute ends it."""
    site.do(grant(1, 1))
    for minute in (0, 1, 2, 3, 5, 6):
        site.do(grant(2, 10 + minute), grant(2, 20 + minute))
        if minute in {1, 2}:
            site.do(grant(3, 30 + minute))
        site.clock.advance(seconds=120 if minute == 3 else 60)
    page = look(site)
    assert told(page.ranges) == [("Client1", 5, 6, 4), ("Client1", 0, 3, 8), ("Client2", 1, 2, 2)]
    assert page.next is None
    first = page.ranges[0]
    assert (first.pool, first.reason, first.initials, first.name) == ("full", "all_in_use", "C1", "User C1")
    assert (first.seats, first.in_use, first.address) == (1, 1, "192.0.2.1")


def test_pages_tell_each_range_once_while_new_ones_come(site: Site) -> None:
    """Also where many end in one minute, and one goes on across the end of a page."""
    site.do(grant(1, 1))
    dice = random.Random(3)  # noqa: S311 - an example, not a secret
    for minute in range(40):
        site.do(refresh(1, 1))
        site.do(*(grant(key, minute * 10 + key) for key in range(2, 7) if dice.random() < 0.6))
        site.clock.advance(seconds=60)
    expected = told(look(site, limit=500).ranges)
    assert len(expected) > 30
    assert [-it[2] for it in expected] == sorted(-it[2] for it in expected)
    assert told(all_pages(site, 500)) == expected
    for limit in (1, 3, 7):
        assert told(all_pages(site, limit)) == expected
    first = look(site, limit=5)
    site.do(refresh(1, 1), grant(4, 1000), grant(5, 1001))
    rest, after = [*first.ranges], first.next
    while after:
        page = look(site, after, 5)
        rest, after = [*rest, *page.ranges], page.next
    assert told(rest) == expected


def test_a_client_that_never_stops_is_read_in_parts(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """What one page reads is bounded; nothing is told twice or lost."""
    row = {
        "tenant_id": 1,
        "kind": "denied",
        "reason": "all_in_use",
        "pool": "full",
        "initials": "C1",
        "times": 1,
        "seats": 1,
        "in_use": 1,
        "address": "",
    }
    with site.store.transaction() as transaction:
        rows = [
            row | {"minute": at // MINUTE_MS, "client_id": it, "first_at_ms": at, "last_at_ms": at}
            for at in range(NOON_MS, NOON_MS + 100 * MINUTE_MS, MINUTE_MS)
            for it in ("A", "B")
        ]
        transaction.connection.execute(insert(schema.journal), rows)
    assert told(look(site).ranges) == [("A", 0, 99, 100), ("B", 0, 99, 100)]
    monkeypatch.setattr(module, "ROWS_FIRST", 10)
    assert told(look(site).ranges) == [("A", 0, 99, 100), ("B", 0, 99, 100)]
    monkeypatch.setattr(module, "ROWS_MAX", 51)
    found = all_pages(site, 50)
    assert sum(it.times for it in found) == 200
    assert told(found[:3]) == [("A", 75, 99, 25), ("B", 75, 99, 25), ("A", 50, 74, 25)]


def test_filters_leave_what_was_asked_for(site: Site) -> None:
    """By pool, client, user, reason and time."""
    site.do(grant(1, 1), grant(2, 2), grant(3, 3))
    with site.store.transaction() as transaction:
        transaction.connection.execute(update(schema.pool).values(seats=0, overuse=1))
        bump(transaction.connection, 1)
    site.clock.advance(seconds=60)
    site.do(grant(2, 4), grant(3, 5))
    assert len(look(site).ranges) == 4
    assert {it.client_id for it in look(site, client="Client1").ranges} == {"Client1"}
    assert {it.client_id for it in look(site, user="C2").ranges} == {"Client2"}
    assert look(site, pool="other").ranges == ()
    no_seats = look(site, reason=NoSeatReason.NO_SEATS).ranges
    assert {(it.reason, it.seats) for it in no_seats} == {("no_seats", 0)}
    later = look(site, from_ms=NOON_MS + 1).ranges
    assert {it.last_at_ms for it in later} == {NOON_MS + 60_000}
    assert len(look(site, until_ms=NOON_MS + 60_000, client="Client1").ranges) == 1
    assert told(all_pages(site, 1, user="C2")) == told(look(site, user="C2").ranges)


@pytest.mark.parametrize("cursor", ["", "x", "W10", "WzEsMl0", "\N{SNOWMAN}", "A" * 2000])
def test_a_cursor_that_is_none_is_refused(site: Site, cursor: str) -> None:
    """It comes from outside."""
    with pytest.raises(InvalidCursor):
        look(site, cursor)


def test_who_held_the_seats_when_somebody_was_denied(site: Site) -> None:
    """From when until when; who still holds one has no end."""
    site.do(grant(1, 1))
    site.clock.advance(seconds=90)
    site.do(grant(2, 2))
    site.clock.advance(seconds=90)
    site.do(end(1), grant(2, 3))
    site.clock.advance(seconds=10)
    [denied] = look(site).ranges
    assert holders(site, denied.last_at_ms) == [("TestClientId", 0, 180, 1)]
    assert holders(site, NOON_MS - 1) == []
    assert holders(site, NOON_MS + 180_000) == [("Client1", 180, None, 1)]
    site.clock.advance(seconds=2 * HOUR_S)
    assert holders(site, NOON_MS + 200_000) == [("Client1", 180, 1380, 1)]
    site.do(Sweep(sessions_max=10))
    assert holders(site, NOON_MS + 200_000) == [("Client1", 180, 1380, 1)]
    assert holders(site, NOON_MS + 1_380_000) == []


def test_a_client_in_a_loop_makes_one_holding_a_minute(site: Site) -> None:
    """It cannot fill the disk, within a batch or over many."""
    for number in range(20):
        site.do(grant(1, number))
        site.do(end(number))
    site.do(*(command for number in range(30, 40) for command in (grant(1, number), end(number))))
    site.clock.advance(seconds=30)
    site.do(grant(1, 50))
    site.clock.advance(seconds=60)
    site.do(end(50))
    with site.store.reporting() as connection:
        [row] = connection.execute(select(schema.holding))
    assert (row.taken_at_ms, row.freed_at_ms, row.times) == (NOON_MS, NOON_MS + 90_000, 31)
    assert holders(site, NOON_MS + 60_000) == [("TestClientId", 0, 90, 31)]


def test_what_is_held_by_user_is_told_with_the_client_that_took_it(
    make_place: Callable[[int], Place],
) -> None:
    """L2."""
    place = make_place(NOON_MS)
    pool = Pool(id=1, name="full", seats=1, duplicates=Duplicates.USER)
    site = Site(place, jim_test(pools=[pool], clients=[client(1, "Desk", "AB"), client(2, "Phone", "AB")]))
    site.do(grant(1, 1), grant(2, 2))
    site.clock.advance(seconds=60)
    site.do(end(1))
    with site.store.reporting() as connection:
        [holder] = holders_at(connection, site.tenant, "full", NOON_MS, now_ms=site.now_ms)
    assert holder == Holder(
        client_id="Desk",
        initials="AB",
        name="User AB",
        taken_at_ms=NOON_MS,
        freed_at_ms=None,
        times=1,
        addresses=1,
    )
    place.close()


def test_holders_agree_with_counting_by_hand(site: Site) -> None:
    """At any instant, whatever happened."""
    dice = random.Random(5)  # noqa: S311 - an example, not a secret
    with changing(site.store, "ada") as change:
        change.tenant("Jim_Test").set_pool("full", seats=3)
    held: list[tuple[int, int, int]] = []
    live: dict[int, tuple[int, int]] = {}
    for number in range(1, 60):
        site.clock.advance(seconds=dice.choice([61, 200, 700]))
        key = dice.randrange(1, 5)
        began = {at for _, at in live.values()}
        if key in live:
            session, from_ms = live.pop(key)
            expired = site.now_ms >= from_ms + 1_200_000
            held.append((key, from_ms, from_ms + 1_200_000 if expired else site.now_ms))
            site.do(end(session))
        elif len([it for it in began if it + 1_200_000 > site.now_ms]) < 3:
            site.do(grant(key, number))
            live[key] = (number, site.now_ms)
    held += [(key, at, at + 1_200_000) for key, (_, at) in live.items()]
    instants = sorted({it for _, *span in held for it in span})
    for at_ms in [(begin + until) // 2 for begin, until in pairwise(instants)]:
        names = {1: "TestClientId", 2: "Client1", 3: "Client2", 4: "Client3"}
        expected = {names[key] for key, begin, until in held if begin <= at_ms < until}
        assert {it[0] for it in holders(site, at_ms)} == expected


def test_holdings_are_kept_as_long_as_the_journal(make_place: Callable[[int], Place]) -> None:
    """And those of a pool as long as the pool."""
    extra = 2
    pools = [Pool(id=1, name="full", seats=1), Pool(id=extra, name="extra", seats=1)]
    scopes = [VIEW, ALL, Scope(name="more", licensed=True, read_only=False, pool="extra")]
    place = make_place(NOON_MS)
    site = Site(place, jim_test(pools=pools, scopes=scopes))
    site.do(grant(1, 1), end(1), grant(1, 3, scope="more", pool_id=extra), end(3))
    site.clock.advance(seconds=50 * HOUR_S)
    site.do(grant(1, 2), end(2), grant(1, 4, scope="more", pool_id=extra), end(4))
    while remove_aged(site.store, 24 * HOUR_S * 1000):
        pass
    with site.store.reporting() as connection:
        found = connection.execute(select(schema.holding)).all()
    assert {(row.pool, row.taken_at_ms) for row in found} == {("full", site.now_ms), ("extra", site.now_ms)}
    with changing(site.store, "ada") as change:
        tenant = change.tenant("Jim_Test")
        tenant.remove_scope("more")
        tenant.remove_pool("extra")
    with site.store.reporting() as connection:
        assert {row.pool for row in connection.execute(select(schema.holding))} == {"full"}
    place.close()
