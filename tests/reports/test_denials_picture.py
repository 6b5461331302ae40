"""The picture of denials against seats: what it separates, what it marks, and how large it may get."""

import pytest
from msgspec.structs import replace

from licet.reports.denials_curve import denials_curve, unavoidable
from licet.reports.denials_picture import COLUMNS_MAX, HEIGHT, Mark, denials_picture, round_numbers
from licet.reports.seats_advice import Advice
from licet.reports.true_denials import true_denials
from licet.reports.usage import Denials, PoolUsage, Remaining, Tally


def pool(
    *left: tuple[int, int], suspended: int = 0, expired: int = 0, seats: int | None = 5, advised: int = 7
) -> PoolUsage:
    """The use of a pool with these denials by number of seats, those that no seat avoids beside them."""
    others = {"suspended": suspended, "licence_expired": expired, "all_in_use": left[0][1]}
    return PoolUsage(
        pool="full",
        seats=seats,
        peak=5,
        peak_at_ms=0,
        hours=(),
        days=(),
        heat=(),
        held_ms=0,
        idle_ms=0,
        held=(),
        users=(),
        denials=tuple(
            Denials(client_id="A", initials="AB", reason=reason, times=times, first_at_ms=0, last_at_ms=0)
            for reason, times in others.items()
            if times
        ),
        remaining=tuple(Remaining(seats=it, denials=times + suspended + expired) for it, times in left),
        advice=Advice(seats=advised),
        sessions=Tally(grants=0, endings={}),
        true_denials=true_denials(()),
    )


def test_what_more_seats_avoid_falls_to_nothing_and_what_no_seat_avoids_stays() -> None:
    drawn = denials_picture(pool((5, 30), (6, 10), (7, 0), suspended=8, expired=2))
    assert drawn is not None
    avoidable = [column for column in drawn.columns if column.kind == "avoidable"]
    (never,) = [column for column in drawn.columns if column.kind == "never"]
    assert (never.x, never.width, never.y + never.height) == (0.0, 100.0, HEIGHT)
    assert [column.x for column in avoidable] == [0.0, 25.0]  # of 5, 6, 7 and one more
    for column, times in zip(avoidable, (30, 10), strict=True):
        assert column.y + column.height == pytest.approx(never.y, abs=0.2)
        assert column.height / never.height == pytest.approx(times / 10, abs=0.05)
    reasons = [(denial.reason, denial.times) for denial in unavoidable(pool((5, 1), suspended=2, expired=9))]
    assert reasons == [("licence_expired", 9), ("suspended", 2)]


def test_the_seats_of_today_and_the_advised_ones_are_marked() -> None:
    """In two rows where they are near each other."""
    drawn = denials_picture(pool((5, 30), (6, 10), (7, 0), advised=6))
    assert drawn is not None
    now, advised = drawn.marks
    assert (now.text, now.x, now.is_advised) == ("5 now", 12.5, False)
    assert (advised.text, advised.x, advised.is_advised) == ("6 advised", 37.5, True)
    assert now.y != advised.y
    same = denials_picture(pool((5, 30), (8, 0), advised=5))
    assert same is not None
    assert [mark.text for mark in same.marks] == ["5 now and advised"]


def test_more_seats_by_now_than_would_have_been_enough_are_within_the_picture() -> None:
    drawn = denials_picture(pool((2, 9), (3, 0), seats=40, advised=3))
    assert drawn is not None
    now: Mark = drawn.marks[0]
    assert now.text == "40 now"
    assert now.anchor == "end"
    assert 0 < now.x < 100


@pytest.mark.parametrize("suspended", [0, 7])
def test_there_is_no_picture_where_more_seats_avoid_nothing(suspended: int) -> None:
    assert denials_picture(pool((5, 0), suspended=suspended)) is None


def test_thousands_of_steps_are_a_bounded_picture_and_keep_what_is_advised() -> None:
    steps = [(number, 5000 - number) for number in range(1, 5001)]
    crowded = pool(*steps, seats=1, advised=77)
    drawn = denials_picture(crowded)
    assert drawn is not None
    assert len(drawn.columns) <= COLUMNS_MAX + 1
    assert len(drawn.ticks) <= 12
    table = denials_curve(crowded)
    assert len(table) == 12
    assert [table[0].seats, table[-1].seats] == [1, 5000]
    assert 77 in {point.seats for point in table}
    assert len(denials_curve(replace(crowded, advice=Advice(seats=1)))) == 12


@pytest.mark.parametrize(
    ("first", "last", "most", "numbers"),
    [
        (5, 9, 10, [5, 6, 7, 8, 9]),
        (8, 22, 10, [8, 10, 12, 14, 16, 18, 20, 22]),
        (0, 113, 4, [0, 50, 100]),
        (0, 1, 4, [0, 1]),
    ],
)
def test_an_axis_has_a_few_round_numbers(first: int, last: int, most: int, numbers: list[int]) -> None:
    assert list(round_numbers(first, last, most)) == numbers
