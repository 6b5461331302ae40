"""Whose password is hashed next: the turns of those who wait, and their places.

Nothing here is timed: while the gate is shut, the thread that hashes stands still, and what it does is noted.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Hashable

import pytest

from licet.lanes.contract import QueueFull
from licet.lanes.hashing import ADMINS_WAITING_MAX, AT_ONCE_MAX, Check, Hashing, Part, TooManyFailures
from support.threads import no_thread_starts

pytestmark = pytest.mark.anyio

PATIENCE_S = 60.0


class Attempt:
    """An attempt of a line, and what became of it."""

    def __init__(self, line: Hashable) -> None:
        self.line = line
        self.told: list[bool | str | None] = []
        self.may = True
        self.refused = False

    def may_begin(self) -> bool:
        """Whether it may be made."""
        if self.refused:
            raise TooManyFailures(7)
        return self.may

    def begin(self) -> None:
        """It is under way."""
        self.told.append("begun")

    def end(self, *, is_right: bool | None) -> None:
        """It is over."""
        self.told.append(is_right)


class Site:
    """A hashing whose threads wait for the gate, and the order in which they hash."""

    def __init__(self, *, workers: int = 1, queue_max: int = 1000) -> None:
        self.hashing = Hashing(workers=workers, queue_max=queue_max)
        self.gate = threading.Event()
        self.order: list[str] = []
        self.under_way = self.most = 0
        self._lock = threading.Lock()
        self._waiting: list[asyncio.Future[bool]] = []

    def _hash(self, name: str) -> bool:
        with self._lock:
            self.order.append(name)
            self.under_way += 1
            self.most = max(self.most, self.under_way)
        assert self.gate.wait(PATIENCE_S)
        with self._lock:
            self.under_way -= 1
        if "fault" in name:
            raise MemoryError
        return "right" in name

    def ask(
        self,
        name: str,
        part: Part = Part.NEW,
        *,
        line: str = "",
        key: str = "",
        attempt: Attempt | None = None,
    ) -> asyncio.Future[bool]:
        """Have this hashed; without a line, its own."""
        check = Check(key=key or object(), do=lambda: self._hash(name), is_right=lambda told: told)
        future = self.hashing.start(check, attempt or Attempt(line or name), part)
        self._waiting.append(future)
        return future

    def flood(self, number: int, part: Part = Part.NEW, line: str = "flood") -> list[asyncio.Future[bool]]:
        """So many at once in one line."""
        return [self.ask(f"{line} {at}", part, line=line) for at in range(number)]

    async def begun(self, number: int = 1) -> None:
        """Return when so many are being hashed, or have been."""
        deadline = asyncio.get_running_loop().time() + PATIENCE_S
        while len(self.order) < number:
            assert asyncio.get_running_loop().time() < deadline
            await asyncio.sleep(0)

    async def done(self) -> list[str]:
        """Open the gate; the order in which all were hashed."""
        self.gate.set()
        await asyncio.gather(*self._waiting, return_exceptions=True)
        return self.order


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    """One with a single thread, as on a machine of two processors."""
    made = Site()
    yield made
    made.gate.set()
    made.hashing.close()


class TestTurns:
    """Whose turn is next."""

    async def test_one_address_with_300_at_once_keeps_nobody_waiting_for_more_than_what_is_under_way(
        self, site: Site
    ) -> None:
        """A client that is new elsewhere, one that was good before, and an administrator are next."""
        site.flood(300)
        await site.begun()
        site.ask("new elsewhere")
        site.ask("good before", Part.KNOWN)
        site.ask("administrator", Part.ADMIN)
        order = await site.done()
        assert sorted(order[1:5]) == ["administrator", "flood 1", "good before", "new elsewhere"]

    async def test_who_was_good_before_goes_first(self, site: Site) -> None:
        """New ones have one turn in four of it, so that they get on as well."""
        site.flood(100)
        await site.begun()
        for at in range(40):
            site.ask(f"good {at}", Part.KNOWN)
        order = (await site.done())[1:]
        last = order.index("good 39")
        assert 40 / 4 <= last - 39 <= 40 / 2

    @pytest.mark.parametrize("part", [Part.KNOWN, Part.NEW, Part.ADMIN])
    async def test_a_flood_of_one_part_keeps_no_other_part_out(self, site: Site, part: Part) -> None:
        """Not even one of administrators, and not even from many addresses."""
        for at in range(30):
            site.ask(f"flood {at}", part)
        await site.begun()
        others = [it for it in Part if it is not part]
        for other in others:
            site.ask(f"right {other}", other)
        order = await site.done()
        assert {f"right {other}" for other in others} <= set(order[1:6])

    async def test_new_ones_have_half_of_the_threads(self) -> None:
        """So a client that was good before finds one that is idle."""
        site = Site(workers=4)
        for at in range(20):
            site.ask(f"new {at}")
        await site.begun(2)
        site.ask("good before", Part.KNOWN)
        await site.begun(3)
        assert sorted(site.order) == ["good before", "new 0", "new 1"]
        await site.done()
        site.hashing.close()

    async def test_sources_take_turns(self, site: Site) -> None:
        """While 64 addresses flood, the next one has its turn after one of each of them."""
        for at in range(64):
            site.flood(5, line=f"address {at}")
        await site.begun()
        site.ask("right")
        order = await site.done()
        assert order.index("right") <= 1 + 64

    async def test_a_line_has_four_under_way(self) -> None:
        """Also where there are more threads."""
        site = Site(workers=16)
        site.flood(30, Part.KNOWN)
        await site.begun(AT_ONCE_MAX)
        site.ask("another", Part.KNOWN)
        await site.begun(AT_ONCE_MAX + 1)
        assert site.order[-1] == "another"
        await site.done()
        assert site.most <= AT_ONCE_MAX + 1
        site.hashing.close()

    async def test_one_that_must_let_others_end_waits_for_them(self, site: Site) -> None:
        """What depends on attempts under way is decided when they are over."""
        held = Attempt("held")
        held.may = False
        first, second = site.ask("first"), site.ask("held", attempt=held)
        await site.begun()
        site.ask("third")
        held.may = False
        site.gate.set()
        await first
        await site.begun(2)
        assert site.order == ["first", "third"]
        held.may = True
        await site.ask("fourth")
        await second
        assert held.told == ["begun", False]

    async def test_who_may_no_longer_try_when_its_turn_comes_is_refused(self, site: Site) -> None:
        """Nothing is hashed for it, and the next one has its turn."""
        site.ask("first", line="line")
        attempts = [Attempt("line") for _ in range(3)]
        futures = [site.ask(f"refused {at}", attempt=it) for at, it in enumerate(attempts)]
        last = site.ask("right")
        await site.begun()
        for attempt in attempts:
            attempt.refused = True
        assert await site.done() == ["first", "right"]
        assert await last
        for future in futures:
            with pytest.raises(TooManyFailures):
                await future
        assert [it.told for it in attempts] == [[], [], []]


class TestPlaces:
    """How many may wait, and who gives way."""

    async def test_the_longest_line_gives_way(self) -> None:
        """Whoever sends the most keeps out nobody but itself."""
        site = Site(queue_max=20)
        flood = site.flood(11)
        await site.begun()
        with pytest.raises(TooManyFailures):
            site.flood(1)
        other = site.ask("right")
        with pytest.raises(TooManyFailures):
            await flood[-1]
        assert site.hashing.queue_length == 11
        await site.done()
        assert await other
        site.hashing.close()

    async def test_where_all_lines_are_short_there_is_no_room(self) -> None:
        """S48."""
        site = Site(queue_max=20)
        for at in range(11):
            site.ask(f"new {at}")
        with pytest.raises(QueueFull):
            site.ask("one more")
        site.ask("good before", Part.KNOWN)
        await site.done()
        site.hashing.close()

    async def test_administrators_have_places_of_their_own(self) -> None:
        """However few clients may wait."""
        site = Site(queue_max=2)
        site.flood(2)
        for at in range(ADMINS_WAITING_MAX):
            site.ask(f"admin {at}", Part.ADMIN)
        with pytest.raises(QueueFull):
            site.ask("one more", Part.ADMIN)
        assert site.hashing.queue_length <= site.hashing.queue_max + 1
        await site.done()
        site.hashing.close()

    async def test_who_goes_away_gives_its_place_back(self) -> None:
        """At once, and nothing is hashed for it."""
        site = Site(queue_max=4)
        site.ask("first")
        waiting = [site.ask(name) for name in ("second", "third")]
        await site.begun()
        with pytest.raises(QueueFull):
            site.ask("right")
        for future in waiting:
            site.hashing.give_up(future)
        await asyncio.sleep(0)
        site.ask("right")
        assert await site.done() == ["first", "right"]
        assert site.hashing.queue_length == 0
        site.hashing.close()

    async def test_what_is_being_hashed_counts_also_when_nobody_waits(self, site: Site) -> None:
        """Or whoever guesses would only have to hang up."""
        attempt = Attempt("line")
        future = site.ask("wrong", attempt=attempt)
        await site.begun()
        site.hashing.give_up(future)
        assert not future.cancelled()
        future.cancel()
        await site.done()
        await site.ask("right")
        assert attempt.told == ["begun", False]


class TestEqual:
    """Checks that are one."""

    async def test_equal_checks_are_hashed_once_in_the_first_turn_of_any(self, site: Site) -> None:
        """Wherever they wait: a good client does not wait for the turn of a flood."""
        site.flood(50)
        site.ask("right", line="flood", key="same")
        await site.begun()
        site.ask("right", Part.KNOWN, key="same")
        site.ask("right", line="elsewhere", key="same")
        order = await site.done()
        assert order.count("right") == 1
        assert order.index("right") <= 2

    async def test_one_that_comes_while_it_is_hashed_needs_no_place(self) -> None:
        """It is answered with the others."""
        site = Site(queue_max=2)
        attempts = [Attempt(f"line {at}") for at in range(50)]
        futures = [site.ask("wrong", key="same", attempt=it) for it in attempts]
        await site.done()
        assert [await it for it in futures] == [False] * 50
        assert [it.told for it in attempts] == [["begun", False], *[[False]] * 49]
        assert site.order == ["wrong"]
        site.hashing.close()

    async def test_a_fault_is_everybodys_and_no_failure(self, site: Site) -> None:
        """And the thread goes on."""
        attempts = [Attempt(f"line {at}") for at in range(2)]
        futures = [site.ask("fault", key="same", attempt=it) for it in attempts]
        site.gate.set()
        for future in futures:
            with pytest.raises(MemoryError):
                await future
        assert [it.told for it in attempts] == [["begun", None], [None]]
        assert await site.ask("right")

    async def test_where_no_thread_can_be_started_each_is_told_and_nobody_is_kept_out_later(
        self, site: Site
    ) -> None:
        """It counts as no failure, and what nobody waits for any more is not hashed."""
        attempts = [Attempt(f"line {at}") for at in range(3)]
        with no_thread_starts():
            for attempt in attempts:
                with pytest.raises(QueueFull):
                    await site.ask("too early", attempt=attempt)
        assert [it.told for it in attempts] == [["begun", None]] * 3
        assert site.hashing.queue_length == 0
        site.gate.set()
        assert await site.ask("right")
        assert site.order == ["right"]


class TestEnd:
    """When the server stops."""

    async def test_what_waits_is_cancelled(self, site: Site) -> None:
        """Nobody waits on for ever."""
        first, second = site.ask("first"), site.ask("second")
        await site.begun()
        site.hashing.close()
        with pytest.raises(asyncio.CancelledError):
            await second
        site.gate.set()
        assert await first is False
