"""Which licences a server publishes: all that count now or later, and no more than a guard accepts."""

from msgspec.json import encode

from licet.guard.licence_source import BODY_BYTES_MAX
from licet.guard.licence_source import LICENCES_MAX as GUARD_ACCEPTS
from licet.licences.jws import LICENCE_BYTES_MAX
from licet.licences.licence import SignedLicence
from licet.licences.published import LICENCES_MAX, published
from support.licences.licences import licence

DAY_S = 86_400


def named(name: str, serial: int = 1, *, begins_s: int = 0, ends_s: int | None = None) -> SignedLicence:
    """A licence whose text says which one it is."""
    return licence(name, serial, begins_s=begins_s, ends_s=ends_s, text=f"{name}.{serial}")


def at(days: float, *licences: SignedLicence) -> set[str]:
    """What is published after so many days."""
    return {*published(licences, int(days * DAY_S * 1000))}


def test_a_renewal_takes_the_place_of_the_serial_before_two_days_after_it_began() -> None:
    """A guard looks back a day, and its clock may differ."""
    serials = [named("A", 1), named("A", 2, begins_s=10 * DAY_S)]
    assert at(11.9, *serials) == {"A.1", "A.2"}
    assert at(12, *serials) == {"A.2"}


def test_what_begins_later_is_there_before() -> None:
    """A guard has it when it begins, though it fetches again only later."""
    assert at(1, named("A", 1), named("B", 1, begins_s=9 * DAY_S)) == {"A.1", "B.1"}
    assert at(3, named("A", 3), named("A", 2, begins_s=9 * DAY_S)) == {"A.3"}  # which will never count


def test_a_licence_that_is_over_stays() -> None:
    """Its lower serials would count again in a guard, and nothing would say that it is over."""
    assert at(400, named("A", 1), named("A", 2, begins_s=DAY_S, ends_s=2 * DAY_S)) == {"A.2"}


def test_of_too_many_those_that_are_over_are_left_out() -> None:
    """As many as a guard accepts."""
    over = [named(f"old{number:03}", ends_s=DAY_S) for number in range(200)]
    good = [named(f"zz{number:03}") for number in range(200)]
    found = published([*over, *good], 100 * DAY_S * 1000)
    assert len(found) == LICENCES_MAX == GUARD_ACCEPTS
    assert {it.text for it in good} <= {*found}


def test_an_answer_has_no_more_bytes_than_a_guard_accepts() -> None:
    """With the largest licences that there are."""
    texts = [licence(f"A{number}", text="a" * LICENCE_BYTES_MAX) for number in range(20)]
    assert 15 * LICENCE_BYTES_MAX < len(encode({"licences": published(texts, 0)})) <= BODY_BYTES_MAX
