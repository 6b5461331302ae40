"""How long a process may be silent: what is noticed, when it is killed, and what does not count."""

from collections.abc import Callable
from typing import Any, cast

from licet.lanes.silence import KILL_AFTER_S, LOOK_EVERY_S, TELL_AFTER_S, TIMES_MAX, Silence
from licet.store.contract import BUSY_S
from licet.store.postgres.store import PostgresStore
from licet.store.sqlite.store import SqliteStore


class _Timer:
    def __init__(self, loop: "_Loop") -> None:
        self._loop = loop

    def cancel(self) -> None:
        self._loop.due = None


class _Loop:
    """An event loop with one timer, which the test lets fire."""

    def __init__(self) -> None:
        self.due: Callable[[], None] | None = None
        self.waits: list[float] = []

    def call_later(self, wait_s: float, call: Callable[[], None]) -> _Timer:
        assert self.due is None, "there is one timer"
        self.waits.append(wait_s)
        self.due = call
        return _Timer(self)

    def turn(self) -> None:
        call, self.due = self.due, None
        assert call is not None
        call()


class _Site:
    """A process that is asked something, and its silence."""

    def __init__(self) -> None:
        self.loop, self.is_asked, self.killed = _Loop(), True, list[float]()
        self.silence = Silence(cast("Any", self.loop), lambda: self.is_asked, self.killed.append)
        self.silence.watch()

    def looks_until(self, holds: Callable[[], bool]) -> int:
        looks = 0
        while not holds():
            self.loop.turn()
            looks += 1
        return looks

    def looks_until_killed(self) -> int:
        before = len(self.killed)
        looks = self.looks_until(lambda: len(self.killed) > before)
        self.silence.begin_anew()
        self.silence.watch()
        return looks


def test_silence_is_told_after_some_seconds_and_ended_after_more() -> None:
    """The first look may come at once, so that it counts for nothing."""
    site = _Site()
    assert site.looks_until(lambda: site.silence.is_long) == TELL_AFTER_S / LOOK_EVERY_S + 1
    assert site.killed == []
    site.looks_until(lambda: bool(site.killed))
    assert site.killed == [KILL_AFTER_S]
    assert site.loop.due is None
    assert set(site.loop.waits) == {LOOK_EVERY_S}


def test_an_answer_ends_silence_whatever_is_asked_still() -> None:
    """A process that works through a long queue answers batch by batch."""
    site = _Site()
    for _ in range(3):
        site.looks_until(lambda: site.silence.is_long)
        site.silence.end()
        assert not site.silence.is_long
    assert site.looks_until_killed() == KILL_AFTER_S / LOOK_EVERY_S + 1


def test_nobody_looks_while_nothing_is_asked() -> None:
    """An idle server has no timer, and one that is asked again and again has one."""
    site = _Site()
    site.silence.watch()
    site.is_asked = False
    site.loop.turn()
    assert site.loop.due is None
    assert len(site.loop.waits) == 1


def test_a_process_after_one_that_was_killed_has_twice_the_time_up_to_a_bound() -> None:
    """Where even the start takes that long, one of them comes to answer, and then all is as before."""
    site = _Site()
    looks = [site.looks_until_killed() for _ in range(5)]
    assert [round(LOOK_EVERY_S * (it - 1) / KILL_AFTER_S) for it in looks] == [1, 2, 4, 8, 8]
    assert TIMES_MAX == 8
    site.silence.end()
    assert site.looks_until_killed() == looks[0]


def test_the_process_after_one_that_was_silent_has_to_answer_before_it_is_trusted() -> None:
    """Nobody is sent to a process that may hang as the last one did."""
    site = _Site()
    site.looks_until_killed()
    assert site.silence.is_long
    site.silence.end()
    assert not site.silence.is_long


def test_no_store_that_is_merely_slow_is_taken_for_a_process_that_hangs() -> None:
    """It waits for a lock for so long; whoever asked has been told by then that there is no answer."""
    assert BUSY_S < TELL_AFTER_S
    for store in (SqliteStore, PostgresStore):
        assert 2 * store.differences.answer_within_s < KILL_AFTER_S
