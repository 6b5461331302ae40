"""When requests that wait in line ask again, over a store of each kind; what is asked is counted."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from licet import clock
from licet.lanes.commit import commit
from licet.ledger.commands import Command, Denied, End, Grant, Granted, Outcome
from licet.model import NoSeatReason, Pool
from licet.options import Priority, Share
from licet.store.contract import Store
from licet.store.errors import StoreUnavailable
from licet.telemetry.measures import Measures
from licet.web.request import Disconnected
from licet.web.waiting import WaitingRequests
from support.examples import end, grant, jim_test
from support.store.kinds import Place
from support.store.store_site import begin, do, in_use
from support.web.exchanges import Whole

pytestmark = pytest.mark.anyio
PATIENCE_S = 60.0
LOOK_EVERY_S = 0.02


class Caller(Whole):
    """A request whose client leaves when a test says so."""

    has_left = False

    @property
    def is_gone(self) -> bool:
        """The same."""
        return self.has_left

    @property
    def is_leaving(self) -> bool:
        """Whether it has."""
        return self.has_left

    def go(self) -> None:
        """Leave."""
        self.has_left = True
        self.on_leaving()


class Room:
    """The requests of a node that wait, and what they have submitted."""

    def __init__(self, store: Store, **bounds: Any) -> None:
        self.store = store
        self.measures = Measures()
        self.submitted: list[Command] = []
        self.before: Callable[[Command], None] = lambda _: None
        self.failures = 0
        self.logged: list[str] = []
        self.waiting = WaitingRequests(
            store,
            measures=self.measures,
            log=self,
            store_failed=self._failed,
            look_every_s=LOOK_EVERY_S,
            **{"waiting_max": 10, "per_source_max": 10, **bounds},
        )

    async def submit(self, command: Command) -> Outcome:
        """Commit a command, as the lane does."""
        self.submitted.append(command)
        self.before(command)
        [outcome] = await asyncio.to_thread(commit, self.store, [command])
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def wait(
        self, client: int, *, wait_s: float = PATIENCE_S, caller: Caller | None = None
    ) -> "asyncio.Task[tuple[Outcome, bool]]":
        """A request of a client that waits when this returns."""
        asked, count = len(self.submitted), len(self.waiting)
        task = asyncio.create_task(self.ask(client, wait_s=wait_s, caller=caller))
        await self.until(lambda: len(self.submitted) > asked and (len(self.waiting) > count or task.done()))
        return task

    async def ask(
        self, client: int, *, wait_s: float = PATIENCE_S, caller: Caller | None = None
    ) -> tuple[Outcome, bool]:
        """What a request gets, and whether it could have waited."""
        tenant = self.store.tenants()[1]
        asking = grant(client, 1000 + client, queue=True)
        caller = caller or Caller("/Jim_Test/token")
        who = tenant.clients_by_key[client]
        return await self.waiting.grant(asking, tenant, who, caller, self.submit, wait_s)  # type: ignore[arg-type]

    async def looked(self, times: int = 3) -> None:
        """Return when it has looked so often from now on."""
        seen = self.measures.looks + times
        await self.until(lambda: self.measures.looks >= seen)

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Return when it is so."""
        async with asyncio.timeout(PATIENCE_S):
            while not is_so():  # noqa: ASYNC110 - nobody says so
                await asyncio.sleep(0.001)

    def grants(self) -> list[int]:
        """Who asked for a seat, by client."""
        return [it.client_key for it in self.submitted if isinstance(it, Grant)]

    def info(self, event: str, **_: Any) -> None:
        """Nothing is logged."""
        raise AssertionError(event)

    warning = exception = info

    def error(self, event: str, **_: Any) -> None:
        """Keep it."""
        self.logged.append(event)

    def _failed(self) -> None:
        self.failures += 1


def pass_time(place: Place, store: Store, seconds: float) -> None:
    """Move the clock, and have the store hear of it, as it does four times a second."""
    place.clock.advance(seconds=seconds)
    store.probe()


@pytest.fixture(autouse=True)
def _clock_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """It stands still: the store's follows that of a database, and no further for how busy the machine is."""
    monkeypatch.setattr(clock, "uptime_ns", lambda: 0)


@pytest.fixture
def store_of(place: Place) -> Callable[..., Store]:
    """What makes the tenant with a pool of one seat and a queue, and these options."""
    usual: dict[str, Any] = {"id": 1, "name": "full", "seats": 1, "queue": 5}
    return lambda **options: begin(place, jim_test(pools=(Pool(**(usual | options)),)))


@pytest.fixture
def store(store_of: Callable[..., Store]) -> Store:
    """It; client 1 has the seat, by the session 1."""
    store = store_of()
    do(store, grant(1, 1))
    return store


async def test_a_look_finds_what_is_free(store: Store) -> None:
    """Given back by another process: nobody tells this one."""
    room = Room(store)
    second, third = await room.wait(2), await room.wait(3)
    do(store, end(1))
    outcome, could_wait = await second
    assert isinstance(outcome, Granted)
    assert could_wait
    assert not third.done()
    await room.waiting.ended()
    assert isinstance((await third)[0], Denied)


async def test_while_nothing_is_free_nobody_asks(store: Store) -> None:
    """However often it looks."""
    room = Room(store)
    waiting = [await room.wait(client) for client in (2, 3)]
    await room.looked(5)
    assert room.grants() == [2, 3]
    await room.waiting.ended()
    await asyncio.gather(*waiting)


async def test_only_as_many_ask_as_there_are_seats(store: Store) -> None:
    """The first in line; the others do not, as nothing is left for them."""
    room = Room(store)
    waiting = [await room.wait(client) for client in (4, 2, 3)]
    await room.looked()
    do(store, end(1))
    assert isinstance((await waiting[0])[0], Granted)
    await room.looked()
    assert room.grants() == [4, 2, 3, 4]
    await room.waiting.ended()
    await asyncio.gather(*waiting)


async def test_what_this_node_gets_back_is_handed_on_without_a_look(store: Store) -> None:
    """To the first in line."""
    room = Room(store)
    room.waiting._look_every_s = PATIENCE_S
    second, third = await room.wait(2), await room.wait(3)
    do(store, end(1))
    room.waiting.freed(1)
    assert isinstance((await second)[0], Granted)
    assert room.measures.looks == 0
    await room.waiting.ended()
    await third


async def test_whom_a_denial_told_its_place_is_not_moved_up_once_more(store: Store) -> None:
    """Who was served before it, in the same round, has left the line by then."""
    room = Room(store)
    room.waiting._look_every_s = PATIENCE_S
    lane = asyncio.Lock()

    async def in_order(command: Command) -> Outcome:
        async with lane:
            return await Room.submit(room, command)

    room.submit = in_order  # type: ignore[method-assign]
    first, *others = [await room.wait(client) for client in (2, 3, 4)]
    do(store, end(1))
    for _ in range(3):  # as if another node had taken two of three seats
        room.waiting.freed(1)
    assert isinstance((await first)[0], Granted)
    await room.until(lambda: room.grants() == [2, 3, 4, 2, 3, 4])
    await room.waiting.ended()
    outcomes = [outcome for outcome, _ in await asyncio.gather(*others)]
    assert [outcome.queue_position for outcome in outcomes if isinstance(outcome, Denied)] == [1, 2]


async def test_the_order_is_that_of_the_line(store_of: Callable[..., Store]) -> None:
    """A priority goes before who came first; a look says it."""
    store = store_of(priority=(Priority(who="client:Client3", level=5),))
    do(store, grant(1, 1))
    room = Room(store)
    ordinary, early = await room.wait(2), await room.wait(4)
    await room.looked()
    do(store, end(1))
    assert isinstance((await early)[0], Granted)
    assert room.grants() == [2, 4, 4]
    await room.waiting.ended()
    await ordinary


async def test_what_is_free_for_others_is_asked_for_once(store_of: Callable[..., Store]) -> None:
    """A reserved seat that nobody takes does not have all ask at each look."""
    store = store_of(seats=2, reserve=(Share(who="client:Client6", seats=1),))
    do(store, grant(1, 1))
    room = Room(store)
    waiting = [await room.wait(client) for client in (2, 3, 4)]
    await room.looked()
    asked = len(room.grants())
    assert asked <= 2 * 3
    await room.looked(10)
    assert len(room.grants()) == asked
    do(store, end(1))
    assert isinstance((await waiting[0])[0], Granted)
    await room.waiting.ended()
    await asyncio.gather(*waiting)


async def test_who_comes_behind_them_does_not_have_all_ask_again(store_of: Callable[..., Store]) -> None:
    """What could not be had before, cannot be had now."""
    store = store_of(seats=2, reserve=(Share(who="client:Client6", seats=1),))
    do(store, grant(1, 1))
    room = Room(store)
    waiting = [await room.wait(client) for client in (2, 3)]
    await room.looked()
    asked = len(room.grants())
    do(store, grant(5, 500, queue=True))
    await room.looked()
    assert len(room.grants()) == asked
    await room.waiting.ended()
    await asyncio.gather(*waiting)


class TestLeaving:
    """Nobody takes a seat for a client that is gone."""

    async def test_it_asks_no_more(self, store: Store) -> None:
        """What is given back is not asked for."""
        room, caller = Room(store), Caller("/Jim_Test/token")
        task = await room.wait(2, caller=caller)
        caller.go()
        assert isinstance((await task)[0], Denied)
        do(store, end(1))
        assert room.grants() == [2]
        assert in_use(store) == 0
        assert len(room.waiting) == 0

    async def test_what_was_granted_meanwhile_is_given_back(self, store: Store) -> None:
        """Its session is ended, and the next in line has the seat."""
        room, caller = Room(store), Caller("/Jim_Test/token")
        task, behind = await room.wait(2, caller=caller), await room.wait(3)

        def go(command: Command) -> None:
            if isinstance(command, Grant) and command.client_key == 2:
                caller.go()

        room.before = go
        do(store, end(1))
        assert isinstance((await task)[0], Denied)
        outcome, _ = await behind
        assert isinstance(outcome, Granted)
        assert outcome.session.client_key == 3
        assert sum(isinstance(command, End) for command in room.submitted) == 1
        assert in_use(store) == 1

    async def test_where_it_cannot_be_given_back_it_expires(self, store: Store) -> None:
        """The store is out of reach just then."""
        room, caller = Room(store), Caller("/Jim_Test/token")
        task = await room.wait(2, caller=caller)

        def fail(command: Command) -> None:
            caller.go()
            if isinstance(command, End):
                raise StoreUnavailable("it is gone")

        room.before = fail
        do(store, end(1))
        assert isinstance((await task)[0], Denied)
        assert in_use(store) == 1

    async def test_what_was_granted_at_once_is_given_back_as_well(self, store: Store) -> None:
        """It went while its first grant was under way."""
        room, caller = Room(store), Caller("/Jim_Test/token")
        do(store, end(1))
        room.before = lambda _: caller.go()
        with pytest.raises(Disconnected):
            await room.ask(2, caller=caller)
        assert in_use(store) == 0

    async def test_who_has_left_before_does_not_wait(self, store: Store) -> None:
        """It is answered at once."""
        room, caller = Room(store), Caller("/Jim_Test/token")
        caller.go()
        outcome, could_wait = await room.ask(2, caller=caller)
        assert isinstance(outcome, Denied)
        assert not could_wait


class TestPlace:
    """A place is kept while its request waits."""

    async def test_in_the_second_half_of_its_hold_it_asks(self, store: Store, place: Place) -> None:
        """Once for each half."""
        room = Room(store)
        waiting = [await room.wait(client) for client in (2, 3)]
        pass_time(place, store, 14.999)
        await room.looked()
        assert room.grants() == [2, 3]
        pass_time(place, store, 0.001)
        await room.looked()
        assert sorted(room.grants()) == [2, 2, 3, 3]
        pass_time(place, store, 14.999)
        await room.looked()
        assert len(room.grants()) == 4
        await room.waiting.ended()
        await asyncio.gather(*waiting)

    async def test_where_it_was_taken_away_it_asks_again(self, store: Store, place: Place) -> None:
        """It is then behind the others."""
        room = Room(store)
        second, third = await room.wait(2), await room.wait(3)
        pass_time(place, store, 31)  # as if both had been taken away
        await room.looked()
        assert sorted(room.grants()) == [2, 2, 3, 3]
        await room.waiting.ended()
        positions = [outcome.queue_position for outcome, _ in (await second, await third)]  # type: ignore[union-attr]
        assert sorted(positions) == [1, 2]

    async def test_at_the_end_of_a_wait_it_lasts_until_the_client_asks_again(
        self, store: Store, place: Place
    ) -> None:
        """Where the time is over in the second half, it is kept before the answer."""
        room = Room(store)
        task = await room.wait(2, wait_s=0.2)
        await room.looked()
        room.waiting._look_every_s = PATIENCE_S
        await room.looked(1)
        pass_time(place, store, 20)
        outcome, _ = await task
        assert isinstance(outcome, Denied)
        assert outcome.reason is NoSeatReason.QUEUED
        assert outcome.retry_after_s == 5
        pass_time(place, store, 29)
        again, _ = await room.ask(2, wait_s=0.001)
        assert isinstance(again, Denied)
        assert again.queue_position == 1


class TestFaults:
    """What goes wrong ends no wait but those that it must."""

    async def test_a_store_out_of_reach_is_looked_at_again(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Who waits goes on waiting."""
        room = Room(store)
        task, read = await room.wait(2), store.read_lines

        def fail(_: Any) -> Any:
            raise StoreUnavailable("it is gone")

        monkeypatch.setattr(store, "read_lines", fail)
        await room.until(lambda: room.failures > 2)
        monkeypatch.setattr(store, "read_lines", read)
        do(store, end(1))
        assert isinstance((await task)[0], Granted)

    async def test_a_grant_that_fails_is_that_requests_alone(self, store: Store) -> None:
        """The next one in line is asked."""
        room = Room(store)
        second, third = await room.wait(2), await room.wait(3)

        def fail(command: Command) -> None:
            if isinstance(command, Grant) and command.client_key == 2:
                raise StoreUnavailable("it is gone")

        room.before = fail
        do(store, end(1), grant(2, 77))  # so that the line is empty before the third
        do(store, end(77))
        with pytest.raises(StoreUnavailable):
            await second
        assert isinstance((await third)[0], Granted)

    async def test_a_bug_answers_all_who_wait(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        """And is logged: nobody would call them."""
        room = Room(store)
        monkeypatch.setattr(store, "read_lines", lambda _: 1 / 0)
        outcome, could_wait = await (await room.wait(2))
        assert isinstance(outcome, Denied)
        assert could_wait
        assert room.logged == ["waiting_failed"]

    async def test_a_request_that_is_cancelled_leaves_nothing(self, store: Store) -> None:
        """Neither while it waits, nor while it asks."""
        room = Room(store)
        task = await room.wait(2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        for counted in (room.waiting._of_source, room.waiting._of_tenant, room.waiting._of_pool):
            assert not counted
        assert len(room.waiting) == 0


class TestBounds:
    """How many wait."""

    async def test_one_source_has_a_bound(self, store: Store) -> None:
        """One more of it is answered at once; another one waits."""
        room = Room(store, per_source_max=1)
        first = await room.wait(2)
        assert not (await room.ask(3))[1]
        other = await room.wait(4, caller=Caller("/Jim_Test/token", address="192.0.2.7"))
        assert len(room.waiting) == 2
        await room.waiting.ended()
        await asyncio.gather(first, other)

    async def test_none_may_wait(self, store: Store) -> None:
        """`waiting_requests_max = 0` turns it off."""
        assert not (await Room(store, waiting_max=0).ask(2))[1]

    async def test_when_it_is_closed_nobody_waits(self, store: Store) -> None:
        """A server that stops answers what comes."""
        room = Room(store)
        task = await room.wait(2)
        room.waiting.close()
        assert isinstance((await task)[0], Denied)
        assert not (await room.ask(3))[1]
