"""Summarises a usage report in one sentence: how many seats are needed, and what other numbers would do."""

from licet.formats import counted
from licet.model import NoSeatReason
from licet.reports.seats_needed import SPARED
from licet.reports.usage import PoolUsage, Usage, with_seats
from licet.units import HOUR_MS

_HOURS_MAX, _DAYS_MAX = 48, 92  # a longer span is given in days, and in months
_DAYS_A_MONTH = 30.44


def with_seats_sentence(found: Usage, pool: PoolUsage, seats: int) -> str:
    """As a sentence: `with 6 seats you would have had 0 denials in these 30 days`."""
    others = sum(denial.times for denial in pool.denials if denial.reason not in SPARED)
    denials = with_seats(pool, seats) - others
    at_least = "at least " if seats < pool.remaining[0].seats else ""
    sentence = (
        f"with {counted(seats, 'seat')} you would have had {at_least}{counted(denials, 'denial')}"
        f" in {_span_text(found, pool)}"
    )
    if not others:
        return sentence
    reasons = {denial.reason for denial in pool.denials}
    why = [text for reason, text in _NOT_FOR_SEATS.items() if reason in reasons]
    return f"{sentence}, beside {others:,} that no seat avoids ({', '.join(why)})"


_NOT_FOR_SEATS = {
    NoSeatReason.LICENCE_EXPIRED: "the licence had expired",
    NoSeatReason.LICENCE_MISSING: "no licence that counted allowed it",
    NoSeatReason.SUSPENDED: "an administrator suspended the client",
}


def answer(found: Usage, pool: PoolUsage) -> str:
    """How many seats are needed, in one sentence."""
    if pool.denied:
        return with_seats_sentence(found, pool, pool.remaining[-1].seats)
    return f"never more than {counted(pool.peak, 'seat')} at once in {_span_text(found, pool)}"


def _span_text(found: Usage, pool: PoolUsage) -> str:
    """How long a span is: `these 30 days`, by the days and hours that it touches."""
    days, hours = len(pool.days), -(-(found.until_ms - found.from_ms) // HOUR_MS)
    if hours <= _HOURS_MAX:
        return f"these {hours} hours" if hours > 1 else "this hour"
    if days <= _DAYS_MAX:
        return f"these {days} days"
    return f"these {round(days / _DAYS_A_MONTH)} months"
