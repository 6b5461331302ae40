"""A licence with the twin of its signature is the same licence: it verifies, and nobody gets a seat by it."""

from licet.licences.installing import Installed, is_new
from licet.licences.jws import twin_of
from licet.licences.reading import read
from licet.licences.steps import signed_seats
from support.licences.twin_signatures import twin
from support.licences.vendors import ISSUED_S, TestVendor

VENDOR = TestVendor()
TEXT = VENDOR.sign()
LICENCE, TWIN = (read(text, [VENDOR.vendor]) for text in (TEXT, twin(TEXT)))


def test_it_verifies_and_is_installed_already() -> None:
    """A vendor did not sign it twice, so nothing is wrong with it."""
    assert TWIN.pools == LICENCE.pools
    assert not is_new(TWIN, [Installed(LICENCE)], ISSUED_S * 1000)
    assert not is_new(LICENCE, [Installed(TWIN)], ISSUED_S * 1000)


def test_both_together_give_what_one_gives() -> None:
    """A server that shows a guard both signs nothing by that."""
    one = signed_seats([LICENCE], "full")
    both = signed_seats([LICENCE, TWIN], "full")
    assert both.at(ISSUED_S * 1000) == one.at(ISSUED_S * 1000)
    assert one.at(ISSUED_S * 1000).seats == 25


def test_a_twin_of_a_twin_is_the_licence_itself() -> None:
    assert twin_of(TEXT) == twin(TEXT)
    assert twin_of(twin_of(TEXT)) == TEXT
