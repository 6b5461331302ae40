"""What the page of licences says of a pool: what comes next, who has to act, and how it is drawn."""

from datetime import UTC
from zoneinfo import ZoneInfo

import pytest

from licet.admin.pages.licence_outlook import Kind, Notice, notice, outlook
from licet.admin.pages.licences.picture import HEIGHT, picture, span
from licet.licences.licence import SignedLicence
from licet.licences.steps import signed_seats
from licet.model import SEATS_MAX, Pool
from licet.units import DAY_MS
from support.licences.licences import licence

DAY_S = DAY_MS // 1000
START_DAY = 20_000  # since 1970
NOW_MS = START_DAY * DAY_MS


def days(count: int) -> int:
    """So many days from now, in seconds as a licence has them."""
    return (START_DAY + count) * DAY_S


def pool_of(*licences: SignedLicence, seats: int = SEATS_MAX) -> Pool:
    """A pool with these licences."""
    return Pool(id=1, name="full", seats=seats, signed=signed_seats(licences, "full"))


def noticed(*licences: SignedLicence) -> Notice | None:
    """What somebody has to act on."""
    return notice(pool_of(*licences), NOW_MS)


def at(count: int) -> int:
    """So many days from now, in milliseconds."""
    return NOW_MS + count * DAY_MS


def test_nothing_asks_for_a_renewal_that_ends_later_or_never() -> None:
    """31 days is far."""
    assert noticed(licence()) is None
    assert noticed(licence(ends_s=days(31))) is None


def test_seats_that_end_within_30_days_ask_for_a_renewal() -> None:
    """Those that end, of those that there are; on the last day more strongly; with the end of the grace."""
    base, extra = licence(seats=13), licence("B", seats=12, ends_s=days(30))
    assert noticed(base, extra) == Notice("full", Kind.SOON, 12, 25, at(30))
    last_day = licence("B", seats=12, ends_s=days(1), grace_s=5 * DAY_S)
    assert noticed(base, last_day) == Notice("full", Kind.LAST_DAY, 12, 25, at(1), at(6))


def test_a_renewal_that_is_installed_asks_for_nothing() -> None:
    """Before the end, and in the grace of the serial that it replaces."""
    renewal = licence(serial=2, seats=5, begins_s=days(3))
    assert noticed(licence(ends_s=days(5)), renewal) is None
    assert noticed(licence(ends_s=days(-1), grace_s=9 * DAY_S), renewal) is None
    assert noticed(licence(ends_s=days(2)), licence(serial=2, seats=5, begins_s=days(3))) is not None


def test_grace_asks_until_it_is_over() -> None:
    """And says when the seats end, and how many of them."""
    old = licence("B", seats=12, ends_s=days(-3), grace_s=14 * DAY_S)
    assert noticed(old) == Notice("full", Kind.GRACE, 12, 12, at(11))
    assert noticed(licence(seats=13), old) == Notice("full", Kind.GRACE, 12, 25, at(11))


def test_what_has_ended_is_said_for_30_days_and_as_long_as_no_seat_is_left() -> None:
    """A serial that takes over with fewer seats was ordered, and is no end."""
    base = licence(seats=13)
    assert noticed(base, licence("B", seats=12, ends_s=days(-29))) == Notice(
        "full", Kind.ENDED, 12, 25, at(-29)
    )
    assert noticed(base, licence("B", seats=12, ends_s=days(-30))) is None
    assert noticed(licence(ends_s=days(-400))) == Notice("full", Kind.ENDED, 5, 5, at(-400))
    assert noticed(licence(seats=9), licence(serial=2, seats=3, begins_s=days(-1))) is None
    assert noticed() == Notice("full", Kind.NONE, 0, 0, None)


def test_what_comes_next_is_said_step_by_step() -> None:
    """Ends as the last day, begins as a moment."""
    found = outlook(
        pool_of(
            licence(seats=4, overdraft=1, ends_s=days(10), grace_s=2 * DAY_S),
            licence("B", seats=7, begins_s=days(20)),
            licence("B", serial=2, seats=9, begins_s=days(40)),
            licence("B", serial=3, seats=8, begins_s=days(50)),
            licence("B", serial=4, seats=8, begins_s=days(60), hold_s=90),
        ),
        NOW_MS,
        in_use=2,
    )
    assert [(it.at_ms, it.text, it.form) for it in found.changes] == [
        (at(10), "5 seats expire, and go on in grace", "end"),
        (at(12), "5 seats end, and none is left", "end"),
        (at(20), "7 seats begin", "moment"),
        (at(40), "2 more, 9 seats then", "moment"),
        (at(50), "1 seat ends, and 8 are left", "end"),
        (at(60), "a renewal takes over, 8 seats as before", "moment"),
    ]
    assert (found.in_use, found.changes_more) == (2, 0)


def test_a_contradiction_of_licences_is_named() -> None:
    """Two vendors for one pool."""
    other = licence("B", vendor="other", begins_s=days(1))
    [change] = outlook(pool_of(licence(), other), NOW_MS, 0).changes
    assert change.text == "its licences contradict each other, and give no seat"


def test_more_steps_than_are_read_at_a_glance_are_counted() -> None:
    """The table has all."""
    serials = [licence(serial=number, seats=number, begins_s=days(number)) for number in range(1, 10)]
    found = outlook(pool_of(*serials), NOW_MS, 0)
    assert (len(found.changes), found.changes_more) == (6, 3)


@pytest.mark.parametrize(("seats", "limit"), [(3, (3, 0)), (5, None), (9, None), (0, (0, 0))])
def test_the_set_ups_limit_is_said_where_it_is_less_than_what_is_signed(
    seats: int, limit: tuple[int, int] | None
) -> None:
    assert outlook(pool_of(licence(), seats=seats), NOW_MS, 0).limit == limit


def test_the_picture_has_seats_overdraft_and_grace_one_over_the_other() -> None:
    """Its edge goes up and down with what is signed; the numbers stand where there is room."""
    signed = signed_seats(
        [licence(seats=10, overdraft=10, begins_s=days(-100), ends_s=days(100), grace_s=100 * DAY_S)], "full"
    )
    drawn = span([signed], NOW_MS)
    found = picture(signed, drawn, UTC, in_use=5, limit=10)
    assert [band.kind for band in found.bands] == ["given", "overdraft", "given", "overdraft", "grace"]
    given, overdraft, *_, grace = found.bands
    assert overdraft.y + overdraft.height == pytest.approx(given.y)
    assert given.y + given.height == HEIGHT
    assert (grace.y, grace.y + grace.height) == (overdraft.y, HEIGHT)
    assert given.x == drawn.share(at(-100))
    assert given.x + given.width == pytest.approx(grace.x)
    assert found.limit_y == given.y
    assert found.in_use_y == pytest.approx(HEIGHT - given.height / 2, abs=0.1)
    assert {number.text for number in found.numbers} == {"20"}
    assert [level.text for level in found.levels] == ["0", "5", "10", "15", "20"]
    assert all(0 <= line.x1 <= line.x2 <= 100 for line in found.outline)


def test_what_is_far_away_does_not_make_the_near_ones_narrow() -> None:
    """An end in 70 years is in the table alone; the picture says that it goes on."""
    far = signed_seats([licence(ends_s=days(25_000))], "full")
    drawn = span([far, signed_seats([licence(ends_s=days(200))], "full")], NOW_MS)
    assert at(200) < drawn.to_ms < at(230)
    assert picture(far, drawn, UTC, in_use=0, limit=None).has_more


def test_a_gap_between_two_licences_is_empty() -> None:
    """Nothing is drawn there, and the edge goes down to the ground."""
    signed = signed_seats(
        [licence(begins_s=days(-50), ends_s=days(-5)), licence("B", begins_s=days(20), ends_s=days(80))],
        "full",
    )
    drawn = span([signed], NOW_MS)
    first, second = picture(signed, drawn, UTC, in_use=0, limit=None).bands
    assert first.x + first.width == pytest.approx(drawn.share(at(-5)), abs=0.01)
    assert second.x == drawn.share(at(20))


@pytest.mark.parametrize("reach", [90, 200, 400, 800, 1090])
def test_the_time_axis_has_a_few_months_that_begin_in_the_readers_zone(reach: int) -> None:
    """Each with its year where that is not known, and few enough for a phone."""
    signed = signed_seats([licence(ends_s=days(reach))], "full")
    drawn, zone = span([signed], NOW_MS), ZoneInfo("Pacific/Auckland")
    ticks = picture(signed, drawn, zone, in_use=0, limit=None).ticks
    assert 2 <= len(ticks) <= 9
    assert len([tick for tick in ticks if not tick.is_minor]) <= 5
    assert any(char.isdigit() for char in next(tick for tick in ticks if not tick.is_minor).text)
    assert [tick.at for tick in ticks] == sorted({tick.at for tick in ticks})
