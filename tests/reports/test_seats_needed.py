"""How many seats the denials would have needed: one replay says for every number what a replay of it says."""

import random
from collections import Counter

import pytest

from licet.reports.seats_advice import Advice, Burst, advise
from licet.reports.seats_needed import seats_needed
from licet.reports.spans import Reach
from licet.reports.true_denials import true_denials
from licet.reports.usage import Denials, Peak, PoolUsage, Remaining, Tally, Usage
from licet.reports.usage_queries import DeniedClient
from licet.reports.usage_summary import answer, burst_sentences, with_seats_sentence
from support.store.report_site import DAY_MS, HOUR_MS, NOON_MS

TTL_S = 1200


def denied(
    client_id: str, minute: int, times: int = 1, seats: int = 5, last: int | None = None
) -> DeniedClient:
    """A client was denied a seat from one minute after noon until another."""
    first_ms, last_ms = (NOON_MS + it * 60_000 for it in (minute, minute if last is None else last))
    return DeniedClient(
        first_ms // 900_000, "full", "all_in_use", client_id, "AB", times, first_ms, last_ms, seats
    )


def needed(*rows: DeniedClient) -> dict[int, int]:
    """How many denials needed how many seats."""
    return by_seats(seats_needed(rows, TTL_S, lambda denial: denial.client_id))


def by_seats(needs: list[tuple[int, DeniedClient]]) -> dict[int, int]:
    """The same as numbers."""
    found: Counter[int] = Counter()
    for seats, denial in needs:
        found[seats] += denial.times
    return dict(found)


def test_one_client_needs_one_more_seat_however_often_it_knocks() -> None:
    """It would have had it."""
    assert needed(denied("A", 0, 7), denied("A", 15, 30, last=20), denied("A", 300)) == {6: 38}


def test_two_at_once_need_two_and_two_after_each_other_one() -> None:
    """The seat of the first is free again `session_ttl` after its last denial."""
    assert needed(denied("A", 0), denied("B", 19)) == {6: 1, 7: 1}
    assert needed(denied("A", 0), denied("B", 20)) == {6: 2}


def test_who_comes_again_when_a_lower_seat_is_free_takes_that() -> None:
    """Only what it was denied before needed the higher one."""
    rows = [denied("A", 0), denied("B", 5, 3), denied("B", 22, 4)]
    assert needed(*rows) == {6: 5, 7: 3}


def test_who_shares_a_seat_is_one() -> None:
    """L2."""
    rows = [denied("A", 0), denied("B", 1)]
    assert by_seats(seats_needed(rows, TTL_S, lambda denial: denial.initials)) == {6: 2}


@pytest.mark.parametrize("seed", range(20))
def test_one_replay_says_for_every_number_what_a_replay_of_it_says(seed: int) -> None:
    """Whoever knocks when."""
    dice = random.Random(seed)  # noqa: S311 - an example, not a secret
    minutes = sorted(dice.randrange(600) for _ in range(80))
    rows = [denied(dice.choice("ABCDEFG"), minute, dice.randrange(1, 9)) for minute in minutes]
    found = needed(*rows)
    for seats in range(4, 14):
        assert sum(times for need, times in found.items() if need > seats) == replayed(rows, seats - 5)


def replayed(rows: list[DeniedClient], more: int) -> int:
    """The denials that remain with so many more seats, by going through them once with just these."""
    held: dict[str, int] = {}
    remaining = 0
    for row in rows:
        held = {client: until for client, until in held.items() if until > row.first_at_ms}
        if row.client_id in held or len(held) < more:
            held[row.client_id] = row.last_at_ms + TTL_S * 1000
        else:
            remaining += row.times
    return remaining


def pool(days: int, *remaining: tuple[int, int], hours: int = 24) -> tuple[Usage, PoolUsage]:
    """A report of so many days with these denials."""
    times = remaining[0][1]
    part = Peak(from_ms=0, until_ms=HOUR_MS, peak=3, seats=5, denials=0, turned_away=0)
    denials = Denials(
        client_id="A", initials="AB", reason="all_in_use", times=times, first_at_ms=0, last_at_ms=0
    )
    made = PoolUsage(
        pool="full",
        seats=5,
        peak=3,
        peak_at_ms=0,
        hours=(part,) * hours,
        days=(part,) * days,
        heat=(),
        held_ms=0,
        idle_ms=0,
        held=(),
        users=(),
        denials=(denials,) if times else (),
        remaining=tuple(Remaining(seats=seats, denials=left) for seats, left in remaining),
        advice=Advice(seats=remaining[-1][0]),
        sessions=Tally(grants=0, endings={}),
        true_denials=true_denials(()),
    )
    until_ms = NOON_MS + (hours * HOUR_MS if days <= 2 else days * DAY_MS)
    tally = Tally(grants=0, endings={})
    return Usage(tenant="T", from_ms=NOON_MS, until_ms=until_ms, pools=(made,), unlicensed=tally), made


def test_the_sentence_says_what_a_number_of_seats_would_have_done() -> None:
    """Between two numbers that change anything, the lower one counts; below what there was, it is a bound."""
    report = pool(30, (5, 1200), (6, 40), (9, 1))
    assert with_seats_sentence(*report, 4) == (
        "with 4 seats you would have had at least 1,200 denials in these 30 days"
    )
    assert with_seats_sentence(*report, 5).startswith("with 5 seats you would have had 1,200 denials")
    assert "had 40 denials" in with_seats_sentence(*report, 8)
    assert answer(*report) == "with 9 seats you would have had 1 denial in these 30 days"


@pytest.mark.parametrize(
    ("days", "hours", "words"),
    [(1, 1, "this hour"), (2, 24, "these 24 hours"), (7, 1, "these 7 days"), (365, 1, "these 12 months")],
)
def test_a_report_without_a_denial_says_how_much_was_enough(days: int, hours: int, words: str) -> None:
    """And how long the span is, in the words of people."""
    assert answer(*pool(days, (5, 0), hours=hours)) == f"never more than 3 seats at once in {words}"


def advice(*rows: DeniedClient) -> Advice:
    """How many seats are advised after these denials."""
    return advise(seats_needed(rows, TTL_S, lambda denial: denial.client_id), 5)


def test_one_burst_of_a_minute_does_not_raise_the_advice_and_is_named() -> None:
    """Ten clients that started together once would take it from 7 to 15."""
    usual = [denied("A", 0), denied("B", 5), denied("A", 300), denied("B", 305)]
    burst = [denied(f"C{number}", 600, 2) for number in range(10)]
    found = advice(*usual, *burst)
    assert found == Advice(
        seats=7,
        burst=Burst(from_ms=NOON_MS + 600 * 60_000, until_ms=NOON_MS + 600 * 60_000, denials=16, seats=15),
    )
    assert found.burst is not None
    assert burst_sentences(found.burst, lambda _: "18 Nov 11:43") == (
        "16 denials came in one burst, within 1 minute from 18 Nov 11:43:"
        " avoiding them as well takes 15 seats"
    )


def test_a_burst_that_comes_back_is_a_need() -> None:
    """However short each of them is."""
    bursts = [denied(f"C{number}", at) for at in (0, 1440) for number in range(10)]
    assert advice(*bursts) == Advice(seats=15)


def test_a_shortage_of_an_hour_is_no_burst() -> None:
    rows = [denied(f"C{number}", number * 6, last=number * 6 + 60) for number in range(10)]
    assert advice(*rows) == Advice(seats=15)


def test_one_more_seat_is_advised_for_whatever_takes_no_more() -> None:
    assert advice(denied("A", 0)) == Advice(seats=6)
    assert advice() == Advice(seats=5)


def test_a_pool_that_was_short_once_only_is_advised_to_stay_as_it_is() -> None:
    """And what the one burst takes is said."""
    found = advice(denied("A", 0), denied("B", 1), denied("C", 2, last=9))
    assert found.seats == 5
    assert found.burst is not None
    assert (found.burst.seats, found.burst.denials) == (8, 3)


def test_a_reach_begins_at_midnight_with_today() -> None:
    """The last 24 hours begin 24 hours ago."""
    begins = {it.value: (NOON_MS - it.from_ms(NOON_MS)) / DAY_MS for it in Reach}
    assert begins == {"24h": 1, "7d": 6.5, "30d": 29.5, "90d": 89.5, "12m": 364.5}
