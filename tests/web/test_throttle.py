"""The limit on failed attempts: what it holds back, and whom it never shuts out (S19; RFC 6749 2.3.1)."""

from collections.abc import Iterable

import pytest

from licet.clock import ManualClock
from licet.lanes.hashing import TooManyFailures
from licet.web.source import source_of
from licet.web.throttle import SPARE_PER_CLIENT, Subject, Throttle
from support.many import few

CLIENT, OTHER, NOBODY = (1, "TestClientId"), (1, "Client1"), (0, "Nobody")
HERE, THERE = "192.0.2.1", "198.51.100.1"
MINUTE_S = 60


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(28_333_333 * MINUTE_S * 1000)  # the first moment of a minute


def throttle(clock: ManualClock, *, per_client: int = 100, per_source: int = 3, keys: int = 100) -> Throttle:
    return Throttle(
        clock, per_client_max=per_client, per_source_max=per_source, keys_max=keys, known_max=keys
    )


def guesses(limit: Throttle, client: Subject, addresses: Iterable[str]) -> int:
    """How many of these may guess, one after the other, all of them wrong."""
    found = 0
    for address in addresses:
        attempt = limit.attempt(client, source_of(address))
        try:
            assert attempt.may_begin()
        except TooManyFailures:
            continue
        found += 1
        attempt.begin()
        attempt.end(is_right=False)
    return found


def sources(number: int) -> Iterable[str]:
    return (f"203.0.113.{at}" for at in range(number))


class TestSource:
    """Whoever tries from one address."""

    def test_a_source_that_has_failed_as_often_as_it_may_has_to_wait(self, clock: ManualClock) -> None:
        """Not one attempt sooner."""
        limit = throttle(clock, per_source=3)
        for _ in range(3):
            assert limit.wait_s(CLIENT, HERE) is None
            limit.failed(CLIENT, HERE)
        assert limit.wait_s(CLIENT, HERE) is not None

    def test_it_makes_no_difference_whose_secret_was_guessed_at(self, clock: ManualClock) -> None:
        """Unknown clients count as well: one password may be tried on many."""
        limit = throttle(clock, per_source=3)
        for guessed in (NOBODY, CLIENT, NOBODY):
            limit.failed(guessed, HERE)
        assert limit.wait_s(OTHER, HERE) is not None
        assert limit.wait_s(NOBODY, HERE) is not None

    def test_another_source_does_not_wait_for_it(self, clock: ManualClock) -> None:
        """Nobody is shut out by what others do elsewhere."""
        limit = throttle(clock, per_source=1)
        limit.failed(CLIENT, HERE)
        assert limit.wait_s(CLIENT, THERE) is None

    def test_the_wait_ends_with_the_minute(self, clock: ManualClock) -> None:
        """And what is told is long enough."""
        limit = throttle(clock, per_source=1)
        clock.advance(seconds=12.5)
        limit.failed(NOBODY, HERE)
        wait_s = limit.wait_s(NOBODY, HERE)
        assert wait_s == 48
        clock.advance(seconds=wait_s)
        assert limit.wait_s(NOBODY, HERE) is None

    def test_the_wait_is_never_less_than_a_second(self, clock: ManualClock) -> None:
        """A Retry-After of 0 would be an invitation."""
        limit = throttle(clock, per_source=1)
        clock.advance(seconds=MINUTE_S - 0.001)
        limit.failed(NOBODY, HERE)
        assert limit.wait_s(NOBODY, HERE) == 1

    def test_a_client_that_came_from_a_source_before_is_not_held_to_its_limit(
        self, clock: ManualClock
    ) -> None:
        """Many clients may share an address with one that guesses."""
        limit = throttle(clock, per_source=1)
        limit.succeeded(CLIENT, HERE)
        limit.failed(NOBODY, HERE)
        assert limit.wait_s(CLIENT, HERE) is None
        assert limit.wait_s(OTHER, HERE) is not None
        clock.advance(seconds=10 * MINUTE_S)
        limit.failed(NOBODY, HERE)
        assert limit.wait_s(CLIENT, HERE) is None


class TestClient:
    """Whoever is guessed at, from however many addresses."""

    def test_a_client_that_was_guessed_at_too_often_is_left_alone_by_who_guessed(
        self, clock: ManualClock
    ) -> None:
        """Many sources, each below its own limit."""
        limit = throttle(clock, per_client=5)
        for source in sources(5):
            assert limit.wait_s(CLIENT, source) is None
            limit.failed(CLIENT, source)
        for source in sources(5):
            assert limit.wait_s(CLIENT, source) is not None

    def test_who_has_not_failed_yet_has_one_try_even_then(self, clock: ManualClock) -> None:
        """The real client cannot be shut out by others."""
        limit = throttle(clock, per_client=5)
        for source in sources(5):
            limit.failed(CLIENT, source)
        assert limit.wait_s(CLIENT, HERE) is None
        limit.failed(CLIENT, HERE)
        assert limit.wait_s(CLIENT, HERE) is not None

    def test_other_clients_are_not_held_back(self, clock: ManualClock) -> None:
        """Only this one was guessed at."""
        limit = throttle(clock, per_client=1)
        limit.failed(CLIENT, HERE)
        assert limit.wait_s(CLIENT, HERE) is not None
        assert limit.wait_s(OTHER, HERE) is None

    def test_it_is_held_to_the_limit_also_where_it_came_from_before(self, clock: ManualClock) -> None:
        """Or its own address would be the place to guess from."""
        limit = throttle(clock, per_client=2, per_source=1)
        limit.succeeded(CLIENT, HERE)
        for _ in range(2):
            assert limit.wait_s(CLIENT, HERE) is None
            limit.failed(CLIENT, HERE)
        assert limit.wait_s(CLIENT, HERE) is not None

    def test_fifteen_hundred_sources_get_no_further_than_the_spare_ones(self, clock: ManualClock) -> None:
        """One try for each of them would be no limit."""
        limit = throttle(clock, per_client=100, keys=10_000)
        many = [f"198.51.{at // 250}.{at % 250}" for at in range(1500)]
        assert guesses(limit, CLIENT, many) == 100 + SPARE_PER_CLIENT
        assert guesses(limit, NOBODY, many) == 100 + SPARE_PER_CLIENT
        clock.advance(seconds=MINUTE_S)
        assert guesses(limit, CLIENT, many) == 100 + SPARE_PER_CLIENT

    def test_who_was_good_before_takes_nothing_of_that_and_needs_nothing_of_it(
        self, clock: ManualClock
    ) -> None:
        """The real client, where it always is."""
        limit = throttle(clock, per_client=5)
        limit.succeeded(CLIENT, HERE)
        assert guesses(limit, CLIENT, [HERE] * 3) == 3
        assert guesses(limit, CLIENT, sources(99)) == 5 + SPARE_PER_CLIENT
        assert limit.wait_s(CLIENT, HERE) is None

    def test_others_at_its_source_do_not_hold_back_who_was_good_before(self, clock: ManualClock) -> None:
        """Nor does it hold back others there: a machine with an old password tries again and again."""
        limit = throttle(clock, per_client=50, per_source=3)
        limit.succeeded(CLIENT, HERE)
        assert guesses(limit, CLIENT, [HERE] * 60) == 50
        assert limit.wait_s(OTHER, HERE) is None
        assert guesses(limit, OTHER, [HERE] * 60) == 3


class TestNetworks:
    """An IPv6 source, and what is around it."""

    @pytest.mark.parametrize("number", few([20_000, 100_000], 1))
    def test_all_addresses_of_a_64_are_one_source(self, clock: ManualClock, number: int) -> None:
        """RFC 4291 2.5.4: each host has as many; and there is one counter for them."""
        limit = throttle(clock, per_client=1_000_000, per_source=60, keys=10_000)
        many = (f"2001:db8:1:2::{at >> 16:x}:{at & 0xFFFF:x}" for at in range(number))
        assert guesses(limit, CLIENT, many) == 60
        assert len(limit._of_sources) == 3  # the /64, the /56 and the /48

    @pytest.mark.parametrize(
        ("pattern", "number", "most"),
        [("2001:db8:1:{:x}::1", 256, 4 * 3), ("2001:db8:1:{:x}00::1", 256, 16 * 3)],
        ids=["56", "48"],
    )
    def test_all_in_a_56_and_in_a_48_have_a_limit_together(
        self, clock: ManualClock, pattern: str, number: int, most: int
    ) -> None:
        """RFC 6177: one customer has all of it."""
        limit = throttle(clock, per_client=1_000_000, per_source=3, keys=10_000)
        many = [pattern.format(at) for at in range(number) for _ in range(5)]
        assert guesses(limit, CLIENT, many) == most
        assert limit.wait_s(OTHER, source_of("2001:db8:2::1")) is None


class TestUnderWay:
    """An attempt counts as a failure until it is none."""

    def test_a_burst_gets_no_further_than_one_after_the_other(self, clock: ManualClock) -> None:
        """The others wait until it is known how the first ones end."""
        limit = throttle(clock, per_source=3)
        attempts = [limit.attempt(CLIENT, HERE) for _ in range(5)]
        for attempt in attempts[:3]:
            assert attempt.may_begin()
            attempt.begin()
        assert not attempts[3].may_begin()
        attempts[0].end(is_right=None)
        assert attempts[3].may_begin()
        attempts[3].begin()
        for attempt in attempts[1:4]:
            attempt.end(is_right=False)
        with pytest.raises(TooManyFailures):
            attempts[4].may_begin()

    def test_who_was_right_is_no_failure(self, clock: ManualClock) -> None:
        """An office behind one address begins its day."""
        limit = throttle(clock, per_source=1, per_client=1)
        for number in range(200):
            attempt = limit.attempt((1, f"Client{number}"), HERE)
            assert attempt.may_begin()
            attempt.begin()
            attempt.end(is_right=True)

    def test_it_counts_wherever_it_comes_from(self, clock: ManualClock) -> None:
        """Many sources, one client."""
        limit = throttle(clock, per_client=2)
        for source in sources(2 + SPARE_PER_CLIENT):
            attempt = limit.attempt(CLIENT, source)
            assert attempt.may_begin()
            attempt.begin()
        assert not limit.attempt(CLIENT, HERE).may_begin()
        assert limit.attempt(OTHER, HERE).may_begin()


class TestUnguessable:
    """Secrets and keys, which nobody can guess: only their sources are held back."""

    def test_failures_with_them_take_no_try_of_the_client(self, clock: ManualClock) -> None:
        """They cost no hash: whoever sends them could use up the tries of its password."""
        limit = throttle(clock, per_client=1)
        for source in sources(50):
            limit.source_failed(source)
        assert guesses(limit, CLIENT, [HERE]) == 1

    def test_their_source_has_to_wait(self, clock: ManualClock) -> None:
        """As with passwords."""
        limit = throttle(clock, per_source=3)
        for _ in range(3):
            assert limit.source_wait_s(HERE) is None
            limit.source_failed(HERE)
        assert limit.source_wait_s(HERE) is not None
        assert limit.wait_s(CLIENT, HERE) == limit.source_wait_s(HERE)
        assert limit.source_wait_s(THERE) is None


class TestBounds:
    """S19: the counters are bounded in memory."""

    def test_there_are_never_more_counters_than_allowed(self, clock: ManualClock) -> None:
        """Whatever comes, from wherever."""
        limit = throttle(clock, keys=100)
        for number in range(1000):
            limit.failed((1, f"Client{number % 7}"), f"source {number}")
            limit.succeeded((1, f"Client{number % 7}"), f"source {number}")
            kinds = (limit._of_sources, limit._of_clients, limit._of_pairs)
            assert max(map(len, kinds)) <= 100
            assert len(limit._known_good) <= 100
            assert all(not it._under_way for it in kinds)

    def test_the_oldest_counter_goes_first(self, clock: ManualClock) -> None:
        """Who goes on failing is not forgotten for it."""
        limit = throttle(clock, per_client=1000, per_source=3, keys=10)
        for number in range(100):
            limit.failed(NOBODY, f"source {number}")
            limit.failed(NOBODY, HERE)
        assert limit.wait_s(NOBODY, HERE) is not None
        assert limit.wait_s(NOBODY, "source 0") is None
