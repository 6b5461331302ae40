"""Has requests wait for a seat: while a client stands in line, its answer is put off (L19).

    denied with a place -> the request waits -> something is free, or its place is due -> it asks again

The rules:

- The place in line is in the store, and who may have a seat is decided in the ledger. Here is only decided
  when a request that waits asks again, so that what is lost here loses no place.
- One look at the store a second for all who wait. Who waits asks again when something may be free, the first
  in line first, until nothing is; and in the second half of its hold, so that its place is kept.
- When this node gives a seat back, the first in line asks at once, without a look.
- How many wait is bounded, for all and for one source; one more is answered at once. Where there is no room,
  a tenant with fewer waiting takes the place of the newest request of the one with most. A place in line has
  one request that waits.
- Who is gone, or could go without notice, waits no more and asks for no seat. A seat that was granted
  meanwhile is given back.
- Of whom a credential was revoked meanwhile, the wait ends as well: it has to authenticate again.

Use it from one event loop.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from typing import Final, NamedTuple, TypeGuard, TypeVar

from msgspec.structs import replace

from licet.credentials.tokens import new_sid
from licet.lanes.in_thread import in_thread
from licet.ledger.book import SeatKey
from licet.ledger.commands import Command, Denied, End, Grant, Granted, Outcome
from licet.ledger.signed_pools import room_of
from licet.log import Log
from licet.model import Client, EndReason, Pool, Tenant
from licet.store.contract import PoolLine, Store
from licet.store.errors import StoreUnavailable
from licet.telemetry.measures import Measures
from licet.web.request import Disconnected, Exchange
from licet.web.waiter import Waiter

LOOK_EVERY_S: Final = 1.0
ASK_ALL_EVERY_S: Final = 5.0
"""So often all ask again while something is free that none of them gets: as often as who does not wait."""

ASK_AT_ONCE_MAX: Final = 8
"""How many ask without a look when a seat is given back; a guess. The next look finds who else may."""

Submit = Callable[[Command], Awaitable[Outcome]]
Key = TypeVar("Key")


class _Asked(NamedTuple):
    """What a pool was like when all who wait had asked, and none of them got what is free."""

    free: int
    counts: dict[str, int]
    places: frozenset[tuple[SeatKey, int]]
    setup_version: int
    at_s: float

    def may_give_now(self, now: "_Asked") -> bool:
        """Whether somebody may get a seat now who did not then; who came behind them changes nothing."""
        return (
            now.free > self.free
            or now.counts != self.counts
            or not self.places <= now.places
            or now.setup_version != self.setup_version
            or now.at_s >= self.at_s + ASK_ALL_EVERY_S
        )


class WaitingRequests:
    """The requests that wait. `store_failed` is called when a look finds the store out of reach."""

    def __init__(
        self,
        store: Store,
        *,
        waiting_max: int,
        per_source_max: int,
        measures: Measures,
        log: Log,
        store_failed: Callable[[], None],
        look_every_s: float = LOOK_EVERY_S,
    ) -> None:
        self._store = store
        self._waiting_max = waiting_max
        self._per_source_max = per_source_max
        self._measures = measures
        self._log = log
        self._store_failed = store_failed
        self._look_every_s = look_every_s
        self._waiting: dict[SeatKey, Waiter] = {}  # by their places, in the order in which they came
        self._of_source: Counter[str] = Counter()
        self._of_tenant: Counter[int] = Counter()
        self._of_pool: dict[int, dict[Waiter, None]] = {}  # in the order in which they came
        self._asked: dict[int, _Asked] = {}
        self._freed: Counter[int] = Counter()
        self._has_freed = asyncio.Event()
        self._watching: asyncio.Task[None] | None = None
        self._is_closed = False

    def __len__(self) -> int:
        return len(self._waiting)

    async def grant(  # noqa: PLR0917 - who asks for what, and for how long
        self, grant: Grant, tenant: Tenant, client: Client, exchange: Exchange, submit: Submit, wait_s: int
    ) -> tuple[Outcome, bool]:
        """The outcome of a grant, at the latest after so many seconds; and whether it could have waited.

        Raises what `submit` raises, and Disconnected.
        """
        outcome = await submit(grant)
        if not _is_in_line(outcome):
            if isinstance(outcome, Granted) and exchange.is_gone:
                await self._give_back(outcome, submit)
                raise Disconnected
            return outcome, True
        waiter = self._enter(Waiter(grant, outcome, tenant, client, exchange))
        if waiter is None:
            return outcome, False
        loop = asyncio.get_running_loop()
        began_s, alarm = loop.time(), loop.call_later(wait_s, waiter.is_over_for, self._store)
        exchange.on_leaving = waiter.leave
        try:
            outcome = await self._waited(waiter, submit)
        finally:
            alarm.cancel()
            self._leave(waiter)
            waited_s = loop.time() - began_s
            exchange.waited_s += waited_s
            self._measures.waited(waited_s, is_served=isinstance(outcome, Granted))
        return outcome, True

    def freed(self, pool_id: int | None) -> None:
        """A seat of this pool was given back by this node: the first in line asks at once."""
        if pool_id is not None and pool_id in self._of_pool:
            self._freed[pool_id] += 1
            self._has_freed.set()

    def close(self) -> None:
        """Answer all who wait, and have nobody wait from now on."""
        self._is_closed = True
        for waiter in self._waiting.values():
            waiter.end()

    async def ended(self) -> None:
        """Return when nothing looks at the store any more."""
        self.close()
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait([self._watching])

    # Who waits

    def _enter(self, waiter: Waiter) -> Waiter | None:
        """Let a request wait; None where it has to be answered at once."""
        source = waiter.source
        if (
            self._is_closed
            or waiter.is_leaving
            or waiter.key in self._waiting
            or self._of_source[source] >= self._per_source_max
        ):
            return None
        if len(self._waiting) >= self._waiting_max and not self._makes_room(waiter.tenant_id):
            return None
        self._waiting[waiter.key] = waiter
        self._of_source[source] += 1
        self._of_tenant[waiter.tenant_id] += 1
        for pool_id in waiter.grant.pool_ids:
            self._of_pool.setdefault(pool_id, {})[waiter] = None
        if self._watching is None or self._watching.done():
            self._watching = asyncio.get_running_loop().create_task(self._watch())
            self._watching.add_done_callback(self._is_watched)
        return waiter

    def _makes_room(self, tenant_id: int) -> bool:
        """Take the place of another tenant's newest request, where that one has more of them."""
        if not self._waiting:
            return False
        most, of_most = self._of_tenant.most_common(1)[0]
        if of_most <= self._of_tenant[tenant_id] + 1:
            return False
        newest = next(it for it in reversed(self._waiting.values()) if it.tenant_id == most)
        newest.end()
        self._leave(newest)  # now, and not when it is answered
        return True

    def _leave(self, waiter: Waiter) -> None:
        waiter.has_left()
        if self._waiting.get(waiter.key) is not waiter:
            return
        del self._waiting[waiter.key]
        _take_from(self._of_source, waiter.source)
        _take_from(self._of_tenant, waiter.tenant_id)
        for pool_id in waiter.grant.pool_ids:
            del self._of_pool[pool_id][waiter]
            if not self._of_pool[pool_id]:
                del self._of_pool[pool_id]
                self._asked.pop(pool_id, None)
                self._freed.pop(pool_id, None)

    async def _waited(self, waiter: Waiter, submit: Submit) -> Outcome:
        """Wait, and ask whenever its turn comes. Raises what `submit` raises."""
        while await waiter.turn():
            if waiter.has_lost_a_credential(self._store):
                waiter.has_asked(None)
                break
            outcome: Outcome | None = None
            try:
                outcome = await submit(replace(waiter.grant, sid=new_sid(self._store.clock.now_ms())))
            finally:
                waiter.has_asked(outcome)
            if _is_in_line(outcome) and outcome.pool == waiter.denied.pool:
                waiter.keep_place(outcome)
            elif isinstance(outcome, Granted) and waiter.is_leaving:
                await self._give_back(outcome, submit)
                break
            else:
                return outcome
        return replace(waiter.denied, queue_position=waiter.position)

    async def _give_back(self, granted: Granted, submit: Submit) -> None:
        """End a session whose token nobody takes: its client went while the grant was under way."""
        session = granted.session
        end = End(tenant_id=session.tenant_id, sid=session.sid, reason=EndReason.LOGOFF)
        with suppress(StoreUnavailable):  # then it expires
            await submit(end)
            self.freed(session.pool_id)

    # When they ask

    def _is_watched(self, watching: asyncio.Task[None]) -> None:
        if not watching.cancelled() and (bug := watching.exception()) is not None:
            self._log.error("waiting_failed", exc_info=bug)
            for waiter in self._waiting.values():  # nobody would call them
                waiter.end()

    async def _watch(self) -> None:
        """While anybody waits: look once a second, and have those ask for whom a seat may be free."""
        loop = asyncio.get_running_loop()
        look_at_s = loop.time() + self._look_every_s
        while self._waiting:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._has_freed.wait(), max(0.0, look_at_s - loop.time()))
            freed, self._freed = self._freed, Counter()
            self._has_freed.clear()
            await asyncio.gather(*(self._hand_out(pool_id, seats) for pool_id, seats in freed.items()))
            if loop.time() >= look_at_s and self._waiting:
                look_at_s = loop.time() + self._look_every_s
                await self._look()

    async def _hand_out(self, pool_id: int, seats: int) -> None:
        """Have the first in line ask for seats that were given back."""
        await self._ask_in_order(self._in_line(pool_id)[:ASK_AT_ONCE_MAX], pool_id, seats)

    async def _look(self) -> None:
        waiting = set(self._waiting.values())  # whose places are in the store before it is read
        try:
            lines = await in_thread(self._store.read_lines, list(self._of_pool))
        except StoreUnavailable:
            self._store_failed()
            return
        self._measures.looks += 1
        for waiter in waiting:
            waiter.is_due = True
        for line in lines.values():
            for position, (key, place) in enumerate(line.places.items(), 1):
                if (found := self._waiting.get(key)) is not None:
                    found.stands_at(position, place.until_ms, self._store)
        await asyncio.gather(*(self._ask_for(pool_id, line, waiting) for pool_id, line in lines.items()))
        # Whose place would lapse, or is lost; all together.
        await asyncio.gather(*(waiter.ask() for waiter in waiting if waiter.is_due))

    async def _ask_for(self, pool_id: int, line: PoolLine, waiting: set[Waiter]) -> None:
        """Have those ask who may get a free seat of this pool."""
        pool = self._pool(pool_id)
        if pool is None:
            return
        now = _Asked(
            free=room_of(pool, self._store.clock.now_ms()) - line.in_use + line.expired,
            counts=line.counts,
            places=frozenset((key, place.number) for key, place in line.places.items()),
            setup_version=self._store.setup_version,
            at_s=asyncio.get_running_loop().time(),
        )
        before = self._asked.get(pool_id)
        if now.free > 0 and (before is None or before.may_give_now(now)):
            in_line = [waiter for waiter in self._in_line(pool_id) if waiter in waiting]
            left = await self._ask_in_order(in_line, pool_id, now.free)
            if left > 0 and pool_id in self._of_pool:
                self._asked[pool_id] = now
                return
        if now.free <= 0:
            self._asked.pop(pool_id, None)

    async def _ask_in_order(self, in_line: Sequence[Waiter], pool_id: int, free: int) -> int:
        """Have these ask, as many at once as there may be seats; how many seats are left when all have."""
        at, size = 0, free
        while free > 0 and at < len(in_line):
            asking = in_line[at : at + size]
            at += size
            outcomes = await asyncio.gather(*(waiter.ask() for waiter in asking))
            served = [
                waiter
                for waiter, outcome in zip(asking, outcomes, strict=True)
                if isinstance(outcome, Granted)
            ]
            self._move_up(served, asking)
            free -= sum(_took_of(pool_id, outcome) for outcome in outcomes)
            if self._is_full(pool_id, outcomes):
                return 0
            size = free if served else 2 * size
        return free

    def _is_full(self, pool_id: int, outcomes: Iterable[Outcome | None]) -> bool:
        """Whether the last denial says that nothing is free."""
        pool = self._pool(pool_id)
        denials = [it for it in outcomes if isinstance(it, Denied) and pool and it.pool == pool.name]
        if pool is None or not denials:
            return False
        return denials[-1].in_use >= room_of(pool, self._store.clock.now_ms())

    def _in_line(self, pool_id: int) -> list[Waiter]:
        return sorted(self._of_pool.get(pool_id, ()), key=lambda waiter: waiter.position)

    def _move_up(self, served: Iterable[Waiter], asked: Sequence[Waiter]) -> None:
        """Who was behind them is so much nearer, until the next look says it.

        Whoever has asked behind them was told its place without them.
        """
        for before in served:
            for waiter in self._of_pool.get(before.key[0], ()):
                is_behind = waiter.key[0] == before.key[0] and waiter.position > before.position
                if is_behind and waiter not in asked:
                    waiter.position -= 1

    def _pool(self, pool_id: int) -> Pool | None:
        """The pool as it is now; None where it was removed, or nobody waits for it any more."""
        waiter = next(iter(self._of_pool.get(pool_id, ())), None)
        tenant = None if waiter is None else self._store.tenants().get(waiter.tenant_id)
        return None if tenant is None else tenant.pools.get(pool_id)


def _is_in_line(outcome: Outcome | None) -> TypeGuard[Denied]:
    return isinstance(outcome, Denied) and outcome.queue_position > 0


def _took_of(pool_id: int, outcome: Outcome | None) -> bool:
    return isinstance(outcome, Granted) and outcome.session.pool_id == pool_id


def _take_from(counter: Counter[Key], key: Key) -> None:
    counter[key] -= 1
    if not counter[key]:
        del counter[key]
