"""When a pool loses seats because licences end: by the sum of them, whatever becomes of each."""

from licet.licences.ends import SeatsEnd, ends_to_come, last_end
from licet.licences.licence import SignedLicence
from licet.licences.steps import signed_seats
from support.licences.licences import licence

End = tuple[int, int, int, int, tuple[str, ...]]


def plain(end: SeatsEnd) -> End:
    """In seconds: expires, ends, seats before and after, and which licences."""
    return end.expires_at_ms // 1000, end.ends_at_ms // 1000, end.before, end.after, end.licences


def to_come(now_s: int, *licences: SignedLicence) -> list[End]:
    """The ends to come of the pool `full`."""
    return [plain(end) for end in ends_to_come(signed_seats(licences, "full"), now_s * 1000)]


def last(now_s: int, *licences: SignedLicence) -> End | None:
    """The last end of it."""
    end = last_end(signed_seats(licences, "full"), now_s * 1000)
    return None if end is None else plain(end)


def test_a_licence_without_end_loses_nothing() -> None:
    assert to_come(0, licence()) == []
    assert last(9, licence()) is None


def test_an_end_has_the_seats_with_their_overdraft() -> None:
    """`after` is what is left, of other licences."""
    ending = licence(ends_s=10, overdraft=2)
    assert to_come(0, ending, licence("B", seats=1)) == [(10, 10, 8, 1, ("A",))]
    assert last(9, ending) is None
    assert last(10, ending, licence("B", seats=1)) == (10, 10, 8, 1, ("A",))


def test_the_grace_is_between_the_expiry_and_the_end() -> None:
    """At the moment of `exp` it begins."""
    ending = licence(ends_s=10, grace_s=5)
    for now_s in (0, 9, 10, 14):
        assert to_come(now_s, ending) == [(10, 15, 5, 0, ("A",))]
        assert last(now_s, ending) is None
    assert to_come(15, ending) == []
    assert last(15, ending) == (10, 15, 5, 0, ("A",))


def test_a_renewal_that_overlaps_leaves_no_end() -> None:
    """In any place of the life of the one before, its grace too."""
    ending = licence(ends_s=10, grace_s=5)
    for begins_s in (3, 9, 10, 14, 15):
        renewal = licence(serial=2, begins_s=begins_s)
        for now_s in (0, 9, 10, 12, 15, 20):
            assert to_come(now_s, ending, renewal) == []
            assert last(now_s, ending, renewal) is None


def test_a_renewal_that_comes_too_late_leaves_a_gap() -> None:
    """It is an end until the seats are back."""
    both = (licence(ends_s=10), licence(serial=2, begins_s=12))
    assert to_come(0, *both) == [(10, 10, 5, 0, ("A",))]
    assert last(11, *both) == (10, 10, 5, 0, ("A",))
    assert last(12, *both) is None


def test_a_renewal_with_fewer_seats_is_an_end_to_come_that_has_ended_nothing() -> None:
    """The administrator has installed it; nothing has expired."""
    both = (licence(), licence(serial=2, seats=3, begins_s=10))
    assert to_come(0, *both) == [(10, 10, 5, 3, ("A",))]
    assert last(10, *both) is None


def test_a_renewal_with_fewer_seats_and_the_grace_of_the_one_before() -> None:
    """The grace gives the seats until the renewal begins."""
    both = (licence(ends_s=8, grace_s=9), licence(serial=2, seats=3, begins_s=10))
    assert to_come(0, *both) == [(8, 10, 5, 3, ("A",))]


def test_of_several_licences_each_has_its_end() -> None:
    """No seat belongs to a licence: the highest numbers are the first that only a grace gives."""
    first, second = licence(ends_s=10), licence("B", seats=2, ends_s=20, grace_s=4)
    assert to_come(0, first, second) == [(10, 10, 7, 2, ("A",)), (20, 24, 2, 0, ("B",))]
    graceful = licence(ends_s=10, grace_s=30)
    assert to_come(0, graceful, second) == [(10, 24, 7, 5, ("B",)), (20, 40, 5, 0, ("A",))]


def test_licences_that_end_together_are_one_end() -> None:
    both = (licence(ends_s=10), licence("B", seats=2, ends_s=10))
    assert to_come(0, *both) == [(10, 10, 7, 0, ("A", "B"))]
    assert last(10, *both) == (10, 10, 7, 0, ("A", "B"))


def test_what_begins_and_ends_later_takes_nothing_that_is_there_now() -> None:
    """A licence for a fair: more seats for a while."""
    both = (licence(), licence("B", seats=2, begins_s=10, ends_s=20))
    assert to_come(0, *both) == []
    assert to_come(15, *both) == [(20, 20, 7, 5, ("B",))]


def test_licences_that_contradict_each_other_are_an_end() -> None:
    """They give nothing while they do."""
    both = (licence(), licence("B", vendor="other", begins_s=10, ends_s=20))
    assert to_come(0, *both) == [(10, 10, 5, 0, ("A", "B"))]
