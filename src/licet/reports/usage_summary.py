"""Summarises a usage report: how many seats are needed, and what other numbers would do."""

from collections.abc import Callable, Iterator

from licet.formats import counted
from licet.model import NoSeatReason
from licet.reports.denials_curve import unavoidable
from licet.reports.seats_advice import Burst
from licet.reports.true_denials import TrueDenials
from licet.reports.usage import PoolUsage, Usage, with_seats
from licet.units import HOUR_MS, MINUTE_MS

_HOURS_MAX, _DAYS_MAX = 48, 92  # a longer span is given in days, and in months
_DAYS_A_MONTH = 30.44


def with_seats_sentence(found: Usage, pool: PoolUsage, seats: int) -> str:
    """As a sentence: `with 6 seats you would have had 0 denials in these 30 days`."""
    never = unavoidable(pool)
    others = sum(denial.times for denial in never)
    denials = with_seats(pool, seats) - others
    at_least = "at least " if seats < pool.remaining[0].seats else ""
    sentence = (
        f"with {counted(seats, 'seat')} you would have had {at_least}{counted(denials, 'denial')}"
        f" in {_span_text(found, pool)}"
    )
    if not others:
        return sentence
    why = [NOT_FOR_SEATS[NoSeatReason(denial.reason)] for denial in never]
    return f"{sentence}, beside {others:,} that no seat avoids ({', '.join(why)})"


NOT_FOR_SEATS = {
    NoSeatReason.LICENCE_EXPIRED: "the licence had expired",
    NoSeatReason.LICENCE_MISSING: "no licence that counted allowed it",
    NoSeatReason.SUSPENDED: "an administrator suspended the client",
    NoSeatReason.EXCLUDED: "the client was excluded from the pool",
    NoSeatReason.NOT_INCLUDED: "the pool was for others",
    NoSeatReason.MAX_REACHED: "the client, its user or its group had as many as it may",
}


def burst_sentences(burst: Burst, when: Callable[[int], str]) -> str:
    """Why a burst counts for nothing in the advice; `when` writes an instant."""
    return (
        f"{counted(burst.denials, 'denial')} came in one burst, within {burst_length(burst)} from"
        f" {when(burst.from_ms)}: avoiding them as well takes {counted(burst.seats, 'seat')}"
    )


def burst_length(burst: Burst) -> str:
    """How long a burst was: `1 minute`."""
    return counted(max(1, -(-(burst.until_ms - burst.from_ms) // MINUTE_MS)), "minute")


def answer(found: Usage, pool: PoolUsage) -> str:
    """How many seats are needed, in one sentence."""
    if pool.denied:
        return with_seats_sentence(found, pool, pool.advice.seats)
    return f"never more than {counted(pool.peak, 'seat')} at once in {_span_text(found, pool)}"


def true_denials_sentences(found: TrueDenials) -> Iterator[str]:
    """What became of those who were denied a seat, as one sentence; none where nobody was."""
    if not found.wants:
        return
    parts = [f"{found.served:,} got one later" + (f" ({_waits(found)})" if found.served else "")]
    if found.waiting:
        parts.append(f"{found.waiting:,} still {'wait' if found.waiting > 1 else 'waits'}")
    parts.append(f"{found.turned_away:,} got none: {counted(found.turned_away, 'true denial')}")
    times = "once" if found.wants == 1 else f"{found.wants:,} times"
    yield f"{times} somebody wanted a seat and was denied: {', '.join(parts)}"


def _waits(found: TrueDenials) -> str:
    longest = minutes(found.wait_longest_ms)
    if found.served == 1:
        return f"after {longest}"
    return f"half of them within {minutes(found.wait_median_ms)}, the last after {longest}"


def minutes(span_ms: int) -> str:
    """A wait: `1 minute`, `40 seconds`."""
    if span_ms < MINUTE_MS:
        return counted(-(-span_ms // 1000), "second")
    return counted(-(-span_ms // MINUTE_MS), "minute")


def _span_text(found: Usage, pool: PoolUsage) -> str:
    """How long a span is: `these 30 days`, by the days and hours that it touches."""
    days, hours = len(pool.days), -(-(found.until_ms - found.from_ms) // HOUR_MS)
    if hours <= _HOURS_MAX:
        return f"these {hours} hours" if hours > 1 else "this hour"
    if days <= _DAYS_MAX:
        return f"these {days} days"
    return f"these {round(days / _DAYS_A_MONTH)} months"
