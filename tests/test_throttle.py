"""The limit on failed attempts: what it holds back, and whom it never shuts out (S19; RFC 6749 2.3.1)."""

from collections.abc import Iterable

import pytest

from licet.clock import ManualClock
from licet.web.throttle import Throttle

CLIENT, OTHER, NOBODY = (1, "TestClientId"), (1, "Client1"), (0, "Nobody")
HERE, THERE = "192.0.2.1", "198.51.100.1"
MINUTE_S = 60


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(28_333_333 * MINUTE_S * 1000)  # the first moment of a minute


def throttle(clock: ManualClock, *, per_client: int = 100, per_source: int = 3, keys: int = 100) -> Throttle:
    return Throttle(clock, per_client_max=per_client, per_source_max=per_source, keys_max=keys)


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


class TestBounds:
    """S19: the counters are bounded in memory."""

    def test_there_are_never_more_counters_than_allowed(self, clock: ManualClock) -> None:
        """Whatever comes, from wherever."""
        limit = throttle(clock, keys=100)
        for number in range(1000):
            limit.failed((1, f"Client{number % 7}"), f"source {number}")
            limit.succeeded((1, f"Client{number % 7}"), f"source {number}")
            assert len(limit._failures) <= 100
            assert len(limit._known_good) <= 100

    def test_the_oldest_counter_goes_first(self, clock: ManualClock) -> None:
        """Who goes on failing is not forgotten for it."""
        limit = throttle(clock, per_source=3, keys=10)
        for number in range(100):
            limit.failed(NOBODY, f"source {number}")
            limit.failed(NOBODY, HERE)
        assert limit.wait_s(NOBODY, HERE) is not None
        assert limit.wait_s(NOBODY, "source 0") is None
