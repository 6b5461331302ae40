"""Every reason of a denial has words wherever one is shown, and counts on one side of the advice on seats."""

from licet.journal.wants import CURED_BY_SEATS
from licet.model import NoSeatReason
from licet.reasons import WHY_DENIED
from licet.reports.usage_summary import NOT_FOR_SEATS


def test_every_reason_of_a_denial_has_words_of_its_own() -> None:
    assert set(WHY_DENIED) == set(NoSeatReason)
    assert len(set(WHY_DENIED.values())) == len(NoSeatReason)


def test_a_seat_more_would_have_avoided_a_denial_or_the_advice_says_why_not() -> None:
    assert set(NOT_FOR_SEATS) == set(NoSeatReason) - CURED_BY_SEATS
