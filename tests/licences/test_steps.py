"""Signed seats are a step function of time: renewals replace, licences add up, and grace follows an end."""

from collections.abc import Iterable
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from licet.licences.errors import LicenceCode, LicenceRefused
from licet.licences.licence import SignedLicence, SignedPool, Standing
from licet.licences.limits import allows, limits
from licet.licences.steps import (
    NO_SEATS,
    counting_of_all,
    features,
    licence_time_ms,
    must_agree,
    pools_of,
    signed_seats,
)
from support.licences.licences import licence


def signed(*licences: SignedLicence, at_ms: Iterable[int]) -> list[int]:
    """How many seats are signed at these moments."""
    seats = signed_seats(licences, "full")
    return [seats.at(it).signed for it in at_ms]


class TestOneLicence:
    """From `nbf` to the end of its grace."""

    def test_seats_change_to_the_millisecond(self) -> None:
        """At `nbf` it counts, at `exp` its grace begins, and at the end of that it is over."""
        one = licence(begins_s=10, ends_s=20, grace_s=5)
        moments = (9_999, 10_000, 19_999, 20_000, 24_999, 25_000)
        assert signed(one, at_ms=moments) == [0, 5, 5, 5, 5, 0]
        assert [one.standing(it) for it in moments] == [
            Standing.NOT_YET,
            Standing.VALID,
            Standing.VALID,
            Standing.GRACE,
            Standing.GRACE,
            Standing.OVER,
        ]
        seats = signed_seats([one], "full")
        assert [seats.at(it).in_grace for it in moments] == [0, 0, 0, 5, 5, 0]

    def test_a_licence_without_grace_is_over_at_its_end(self) -> None:
        """To the millisecond."""
        assert signed(licence(ends_s=20), at_ms=(19_999, 20_000)) == [5, 0]

    def test_a_perpetual_licence_has_no_end(self) -> None:
        """Neither warnings nor ends of seats."""
        seats = signed_seats([licence()], "full")
        assert (seats.ends_at_ms(5, 0), seats.expires_at_ms(0), seats.after(0)) == (None, None, ())
        assert seats.at(253_370_764_800_000).signed == 5

    def test_overdraft_is_signed_above_the_seats(self) -> None:
        """L14: numbers go as high, and what was bought is still known."""
        step = signed_seats([licence(overdraft=3)], "full").at(0)
        assert (step.signed, step.seats, step.overdraft) == (8, 5, 3)

    def test_another_pool_has_none(self) -> None:
        """Before the first licence, and of a pool in no licence."""
        assert signed_seats([licence()], "lite") == signed_seats([], "full") == NO_SEATS
        assert NO_SEATS.at(-1).signed == 0
        assert pools_of([licence()]) == {"full"}


class TestRenewals:
    """The highest serial that has begun counts, also when it is over."""

    def test_a_renewal_that_overlaps_a_month_never_doubles(self) -> None:
        """SUPERSEDE."""
        old, new = licence(ends_s=100), licence(serial=2, begins_s=70, ends_s=200, seats=8)
        assert signed(old, new, at_ms=(69_999, 70_000, 99_999, 100_000, 199_999, 200_000)) == [
            5,
            8,
            8,
            8,
            8,
            0,
        ]

    def test_a_renewal_takes_the_place_of_a_licence_in_its_grace(self) -> None:
        """And its warning with it."""
        old, new = licence(ends_s=100, grace_s=50), licence(serial=2, begins_s=120, ends_s=200)
        seats = signed_seats([old, new], "full")
        assert [seats.at(it).in_grace for it in (99_999, 100_000, 119_999, 120_000)] == [0, 5, 5, 0]

    def test_a_lower_serial_never_counts_after_a_higher_one_has_begun(self) -> None:
        """Not even when that is over: a licence that was returned does not come back."""
        returned, old = licence(serial=2, begins_s=10, seats=0), licence(serial=1, begins_s=20)
        assert signed(old, returned, at_ms=(0, 10_000, 20_000, 30_000)) == [0, 0, 0, 0]
        ended = licence(serial=2, begins_s=10, ends_s=15)
        assert signed(licence(), ended, at_ms=(9_999, 10_000, 15_000)) == [5, 5, 0]

    def test_a_serial_without_a_pool_ends_that_pool(self) -> None:
        """A serial replaces all of the one before."""
        lite = {"lite": SignedPool(seats=1, scopes=frozenset({"all"}))}
        new = licence(serial=2, begins_s=10, pools=lite)
        assert signed(licence(), new, at_ms=(9_999, 10_000)) == [5, 0]

    def test_the_same_id_of_another_vendor_is_another_licence(self) -> None:
        """Or who may be trusted for one product could end what was bought of another."""
        lite = {"lite": SignedPool(seats=1, scopes=frozenset({"all"}))}
        others = licence(serial=9, vendor="other", pools=lite)
        assert signed(licence(), others, at_ms=(0,)) == [5]


class TestSeveral:
    """Different licences add up, and the strictest terms count."""

    def test_an_emergency_seat_is_left_for_good(self) -> None:
        """24 with an end and 1 without."""
        many, one = licence("many", seats=24, ends_s=100), licence("one", seats=1)
        seats = signed_seats([many, one], "full")
        assert (seats.at(99_999).signed, seats.at(100_000).signed) == (25, 1)
        assert [seats.ends_at_ms(number, 0) for number in (1, 2, 25)] == [None, 100_000, 100_000]
        assert seats.at(0).licences == ("many", "one")

    def test_a_seat_ends_at_the_first_step_below_its_number(self) -> None:
        """Also where a later one is above it again."""
        old, new = licence(ends_s=100), licence(serial=2, begins_s=150)
        seats = signed_seats([old, new], "full")
        assert seats.ends_at_ms(1, 0) == 100_000
        assert seats.ends_at_ms(1, 150_000) is None
        assert seats.ends_at_ms(1, 120_000) == 120_000  # it may not even live now
        assert seats.ends_at_ms(6, 0) == 0

    def test_the_strictest_terms_count(self) -> None:
        """Of the licences that give seats now, and of no other."""
        wide = licence("wide", scopes=frozenset({"all", "reports"}), hold_s=60, access_ttl_max_s=300)
        strict = licence(
            "strict",
            begins_s=10,
            ends_s=20,
            hold_s=1200,
            access_ttl_max_s=600,
            scopes=frozenset({"all", "export"}),
            duplicates=frozenset({"user"}),
        )
        seats = signed_seats([wide, strict], "full")
        terms = seats.at(10_000).terms
        assert terms is not None
        assert terms.scopes == {"all"}
        assert terms.duplicates == {"user"}
        assert (terms.hold_s, terms.access_ttl_max_s) == (1200, 300)
        for moment in (9_999, 20_000):
            terms = seats.at(moment).terms
            assert terms is not None
            assert terms.scopes == {"all", "reports"}
            assert terms.hold_s == 60

    def test_a_licence_that_gives_no_seat_has_no_say(self) -> None:
        """A serial of 0 seats takes seats back, and restricts nobody."""
        none = licence("none", seats=0, hold_s=86_400, scopes=frozenset({"other"}))
        step = signed_seats([licence(), none], "full").at(0)
        assert step.terms is not None
        assert (step.signed, step.terms.hold_s, step.licences) == (5, 60, ("A",))

    @pytest.mark.parametrize(
        ("other", "code"),
        [
            (licence("B", vendor="other"), LicenceCode.TWO_VENDORS),
            (licence("B", product="other"), LicenceCode.TWO_VENDORS),
            (licence("B", scopes=frozenset({"reports"})), LicenceCode.NO_COMMON_SCOPE),
            (licence("B", duplicates=frozenset({"client"})), LicenceCode.NO_COMMON_HOLDER),
        ],
    )
    def test_licences_that_contradict_each_other_give_nothing(
        self, other: SignedLicence, code: LicenceCode
    ) -> None:
        """They are refused before, and give no seat where they are there nevertheless."""
        first = licence(duplicates=frozenset({"user"}))
        step = signed_seats([first, other], "full").at(0)
        assert (step.signed, step.terms, step.conflict) == (0, None, code)
        with pytest.raises(LicenceRefused) as refused:
            must_agree([first, other], 0)
        assert (refused.value.code, refused.value.field) == (code, "pools.full")
        assert str(refused.value).startswith("pool 'full': ")

    def test_licences_agree_if_they_never_meet(self) -> None:
        """A contradiction that is over is none; one to come is."""
        old, new = licence(ends_s=100), licence("B", vendor="other", begins_s=100)
        must_agree([old, new], 0)
        early = licence("B", vendor="other", begins_s=99)
        with pytest.raises(LicenceRefused):
            must_agree([old, early], 0)
        must_agree([old, early], 100_000)

    def test_features_add_up_while_their_licences_live(self) -> None:
        """For `Identity.features`."""
        one, two = licence(features=("export",), ends_s=100), licence("B", features=("api",))
        assert features([one, two], 0) == {"export", "api"}
        assert features([one, two], 100_000) == {"api"}
        assert counting_of_all([two, one], 0) == (one, two)


class TestWarnings:
    """When seats come to an end."""

    def test_a_licence_expires_at_its_end_and_not_after_its_grace(self) -> None:
        """Within the grace it is the end of that."""
        seats = signed_seats([licence(ends_s=100, grace_s=50)], "full")
        assert [seats.expires_at_ms(it) for it in (0, 99_999, 100_000)] == [100_000, 100_000, 150_000]

    def test_a_renewal_that_is_installed_puts_the_end_off(self) -> None:
        """One with fewer seats does not."""
        old = licence(ends_s=100, grace_s=50)
        assert signed_seats([old, licence(serial=2, begins_s=90)], "full").expires_at_ms(0) is None
        fewer = licence(serial=2, begins_s=90, seats=4)
        assert signed_seats([old, fewer], "full").expires_at_ms(0) == 90_000

    def test_the_greatest_of_a_span_includes_both_its_ends(self) -> None:
        """A guard allows a day for clocks that differ."""
        seats = signed_seats([licence(begins_s=10, ends_s=20)], "full")
        spans = ((0, 9_999), (0, 10_000), (19_999, 30_000), (20_000, 30_000), (0, 30_000))
        assert [seats.greatest(*it) for it in spans] == [0, 5, 5, 0, 5]

    def test_licence_time_is_never_before_a_build_or_a_licence(self) -> None:
        """A clock that was set back brings nothing back."""
        assert licence_time_ms(5, 0, []) == 5
        assert licence_time_ms(5, 7, [licence()]) == 7


class TestLimits:
    """What the administrator set, beside what is signed (L13, L14)."""

    @pytest.mark.parametrize(
        ("seats", "overdraft", "counts"),
        [
            (None, None, (25, 3)),
            (40, None, (25, 3)),
            (25, None, (25, 3)),
            (40, 1, (25, 1)),
            (None, 0, (25, 0)),
            (None, 9, (25, 3)),
            (10, None, (10, 0)),
            (10, 3, (10, 0)),
            (0, None, (0, 0)),
        ],
    )
    def test_the_lesser_number_counts(
        self, seats: int | None, overdraft: int | None, counts: tuple[int, int]
    ) -> None:
        """Overdraft begins where the seats end that were bought."""
        step = signed_seats([licence(seats=25, overdraft=3)], "full").at(0)
        found = limits(step, seats=seats, overdraft=overdraft, hold_s=0, access_ttl_s=600)
        assert (found.seats, found.overdraft) == counts
        assert found.room == sum(counts)

    def test_the_greater_hold_and_the_shorter_life_count(self) -> None:
        """Whoever is stricter."""
        step = signed_seats([licence(hold_s=60, access_ttl_max_s=600)], "full").at(0)
        strict = limits(step, seats=None, overdraft=None, hold_s=90, access_ttl_s=300)
        loose = limits(step, seats=None, overdraft=None, hold_s=0, access_ttl_s=3600)
        assert (strict.hold_s, strict.access_ttl_s) == (90, 300)
        assert (loose.hold_s, loose.access_ttl_s) == (60, 600)

    def test_nothing_signed_is_nothing_allowed(self) -> None:
        """Whatever the set-up says."""
        step = NO_SEATS.at(0)
        found = limits(step, seats=40, overdraft=9, hold_s=5, access_ttl_s=600)
        assert (found.room, found.hold_s) == (0, 5)
        assert not allows(step, scope="all", counted_for="client")

    def test_a_seat_is_given_for_signed_scopes_and_ways_of_counting_only(self) -> None:
        """A pool that counts by what the licence does not allow gives no seat."""
        step = signed_seats([licence(duplicates=frozenset({"user"}))], "full").at(0)
        assert allows(step, scope="all", counted_for="user")
        assert not allows(step, scope="all", counted_for="client")
        assert not allows(step, scope="reports", counted_for="user")


SECONDS = st.integers(0, 12)
LICENCES = st.lists(
    st.builds(
        lambda name, serial, begins_s, lasts_s, grace_s, seats, overdraft, vendor: licence(
            name,
            serial,
            begins_s=begins_s,
            ends_s=None if lasts_s is None else begins_s + lasts_s,
            grace_s=0 if lasts_s is None else grace_s,
            pools={}
            if seats is None
            else {"full": SignedPool(seats=seats, overdraft=overdraft, scopes=frozenset({"all"}))},
            vendor=vendor,
        ),
        st.sampled_from("AB"),
        st.integers(1, 4),
        SECONDS,
        st.none() | st.integers(1, 6),
        st.integers(0, 4),
        st.none() | st.integers(0, 9),
        st.integers(0, 2),
        st.sampled_from(["acme", "acme", "acme", "other"]),
    ),
    max_size=6,
    unique_by=lambda it: (it.key, it.serial),
)


def model(licences: list[SignedLicence], now_ms: int) -> tuple[int, int]:
    """The rule as the design has it, for one moment: signed seats, and how many of them are in grace."""
    found, in_grace, vendors = 0, 0, set()
    for key in {it.key for it in licences}:
        begun = [it for it in licences if it.key == key and it.begins_at_ms <= now_ms]
        if not begun:
            continue
        [newest] = (it for it in begun if it.serial == max(other.serial for other in begun))
        given_here = newest.pools.get("full")
        if given_here is None or given_here.seats + given_here.overdraft == 0:
            continue
        if newest.expires_at_ms is not None and now_ms >= newest.expires_at_ms + newest.grace_s * 1000:
            continue
        vendors.add((newest.vendor, newest.product))
        found += given_here.seats + given_here.overdraft
        if newest.expires_at_ms is not None and now_ms >= newest.expires_at_ms:
            in_grace += given_here.seats + given_here.overdraft
    return (found, in_grace) if len(vendors) < 2 else (0, 0)


class TestAgainstAModel:
    """At every moment, whatever licences there are."""

    @given(LICENCES)
    def test_the_steps_are_those_of_the_rule(self, licences: list[SignedLicence]) -> None:
        """1 ms around each second as well."""
        seats = signed_seats(licences, "full")
        for second in range(25):
            for moment in (second * 1000 - 1, second * 1000, second * 1000 + 1):
                step = seats.at(moment)
                assert (step.signed, step.in_grace) == model(licences, moment)
                assert (step.terms is None) == (step.signed == 0)
        assert [it.from_ms for it in seats.steps] == sorted({it.from_ms for it in seats.steps})

    @given(LICENCES, st.integers(1, 20), SECONDS)
    def test_a_seat_lives_while_its_number_is_signed(
        self, licences: list[SignedLicence], number: int, now_s: int
    ) -> None:
        """Seat k lives while signed(t) >= k, and no longer."""
        end_ms = signed_seats(licences, "full").ends_at_ms(number, now_s * 1000)
        last_s = 40 if end_ms is None else -(-end_ms // 1000)
        assert all(model(licences, second * 1000)[0] >= number for second in range(now_s, last_s))
        if end_ms is not None:
            assert model(licences, end_ms)[0] < number

    @given(st.lists(st.sampled_from([licence("A"), licence("A", 2, ends_s=5), licence("B")]), max_size=3))
    def test_order_and_repetition_change_nothing(self, licences: list[SignedLicence]) -> None:
        """A licence that is installed twice counts once."""
        once = list(dict.fromkeys((it.key, it.serial) for it in licences))
        kept = [next(it for it in licences if (it.key, it.serial) == which) for which in once]
        expected = signed_seats(kept, "full")
        assert all(signed_seats(it, "full") == expected for it in permutations(licences))

    def test_two_texts_of_one_serial_count_in_any_order_alike(self) -> None:
        """They are refused where they are installed; a damaged store may have both."""
        one, other = licence(text="a"), licence(text="b", seats=9)
        assert signed_seats([one, other], "full") == signed_seats([other, one], "full")

    @given(LICENCES, SECONDS, SECONDS)
    def test_the_greatest_is_that_of_each_moment(
        self, licences: list[SignedLicence], one_s: int, other_s: int
    ) -> None:
        """Of whole seconds, in which nothing changes."""
        from_s, to_s = sorted((one_s, other_s))
        most = max(model(licences, second * 1000)[0] for second in range(from_s, to_s + 1))
        assert signed_seats(licences, "full").greatest(from_s * 1000, to_s * 1000) == most
