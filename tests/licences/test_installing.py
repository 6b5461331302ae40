"""A licence is installed once, and never instead of what has taken its place."""

import pytest

from licet.licences.errors import LicenceCode, LicenceRefused
from licet.licences.installing import Installed, is_new
from licet.licences.licence import SignedLicence
from support.licences.licences import licence


def refusal(new: SignedLicence, *installed: Installed, now_ms: int = 0) -> LicenceRefused:
    """Why a licence is not installed."""
    with pytest.raises(LicenceRefused) as refused:
        is_new(new, installed, now_ms)
    return refused.value


def test_a_licence_is_new_once() -> None:
    """The same file once more is no mistake."""
    assert is_new(licence(text="a"), [], 0)
    assert not is_new(licence(text="a"), [Installed(licence(text="a"))], 0)
    assert is_new(licence(text="a"), [Installed(licence("B", text="b"))], 0)


def test_another_text_of_a_serial_is_refused() -> None:
    """And what is installed stays."""
    refused = refusal(licence(text="b"), Installed(licence(text="a")))
    assert refused.code is LicenceCode.SERIAL_TAKEN
    assert str(refused) == (
        "another licence is installed as serial 1 of A; ask the vendor to sign it again, with the next serial"
    )


def test_a_removed_serial_does_not_come_back() -> None:
    """Nor does a lower one; a higher one is a new licence."""
    removed = Installed(licence(serial=2, text="b"), is_removed=True)
    for serial, text in ((2, "b"), (2, "c"), (1, "a")):
        refused = refusal(licence(serial=serial, text=text), removed)
        assert refused.code is LicenceCode.REMOVED_SERIAL
    assert is_new(licence(serial=3, text="d"), [removed], 0)
    assert is_new(licence("B", serial=1), [removed], 0)
    assert is_new(licence(vendor="other"), [removed], 0)


def test_a_serial_that_would_never_count_is_out_of_date() -> None:
    """One that counts until a renewal begins is not."""
    renewal = Installed(licence(serial=2, begins_s=100, text="b"))
    assert is_new(licence(text="a"), [renewal], 99_999)
    assert refusal(licence(text="a"), renewal, now_ms=100_000).code is LicenceCode.OUT_OF_DATE
    assert refusal(licence(text="a", begins_s=100), renewal).code is LicenceCode.OUT_OF_DATE
    assert is_new(licence(serial=3, text="c"), [renewal], 100_000)


def test_a_licence_has_to_agree_with_those_of_its_pools() -> None:
    """With one that was removed it need not."""
    others = licence("B", vendor="other", text="b")
    assert refusal(licence(text="a"), Installed(others)).code is LicenceCode.TWO_VENDORS
    assert is_new(licence(text="a"), [Installed(others, is_removed=True)], 0)
