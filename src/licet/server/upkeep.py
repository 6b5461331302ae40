"""Runs what a server does beside the requests, in loops that each have a name and a pace.

The rules:

- A turn of a loop is bounded: work of many transactions is done in pieces, at most so many, with a pause
  between them, so that grants have the store for most of the time.
- A fault ends a turn, not the loop. It is logged once, until the loop works again or fails in another way.
- When the loops are cancelled, what a thread does for them is done to its end: afterwards the store can be
  closed.
- What one node does for all is done by the leader only (`is_leader`), and it stops as soon as another node
  leads.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Final, NamedTuple, TypeVar

from licet.alerts.sender import Alerting
from licet.credentials.keyring import KeyringUnusable
from licet.journal.folding import DENIALS_MAX, ENTRIES_MAX, fold_denials, fold_journal
from licet.journal.retention import USED_MAX, remove_aged, remove_history, remove_used_assertions
from licet.journal.summary import summarise
from licet.journal.uses import note_uses, remove_uses
from licet.lanes.contract import QueueFull
from licet.lanes.in_thread import in_thread
from licet.ledger.commands import Sweep, Swept
from licet.log import Log
from licet.server.parts import Parts
from licet.setup.last_used import note_keys_used, note_secrets_used
from licet.store.contract import Store
from licet.store.errors import StoreUnavailable
from licet.store.nodes import NOTE_EVERY_S
from licet.units import DAY_MS
from licet.web.endpoints import Endpoints

LOOK_EVERY_S: Final = 0.25  # a change of the set-up takes effect within a second, even after a slow read
SWEEP_EVERY_S: Final = 1.0
RECORD_EVERY_S: Final = 1.0  # a crash loses failed authentications of this time
UPKEEP_EVERY_S: Final = 5.0  # more often would write the same pages again and again
FOLD_EVERY_S: Final = 5.0  # for this long a client in a loop adds entries
FOLD_DENIALS_EVERY_S: Final = 2.0  # a page of denials looks through those that wait
WRITE_DOWN_EVERY_S: Final = 30.0
LOOK_FOR_USES_EVERY_S: Final = 1.0  # whether many sessions were used, which are then written early
LOOK_FOR_ALERTS_EVERY_S: Final = 5.0
SEND_ALERTS_EVERY_S: Final = 1.0
PAUSE_S: Final = 0.02  # between two transactions in a row
PIECES_MAX: Final = 1000  # in one turn; the history of a large tenant takes many turns
OTHER_THREADS_MAX: Final = 8  # beside the loops: what requests do in threads, as some assertions
USES_PIECES_MAX: Final = 100  # in one turn; those of a million sessions take some minutes
SUMMED_HOURS_MAX: Final = 100  # in one turn; a year that was never summed is, within an hour

Used = TypeVar("Used")


class Loop(NamedTuple):
    """Work that is repeated; `name` is its name in the log."""

    name: str
    every_s: float
    work: Callable[[], Awaitable[object]]


async def run_loops(loops: Iterator[Loop], log: Log) -> None:
    """Run these concurrently, until cancelled.

    Each has a thread to wait in. asyncio's own are six on two processors: loops that wait for a lock of the
    store could take all of them, and a change of the set-up would take effect when they have it.
    """
    all_loops = list(loops)
    threads = ThreadPoolExecutor(len(all_loops) + OTHER_THREADS_MAX, thread_name_prefix="upkeep")
    asyncio.get_running_loop().set_default_executor(threads)
    await asyncio.gather(*(_repeat(loop, log) for loop in all_loops))


async def _repeat(loop: Loop, log: Log) -> None:
    logged = ""
    while True:
        try:
            await loop.work()
            logged = ""
        except Exception as fault:
            detail = f"{type(fault).__name__}: {fault}"
            if detail != logged:
                is_expected = isinstance(fault, StoreUnavailable | QueueFull | KeyringUnusable)
                bug = None if is_expected else fault
                log.error("housekeeping_failed", what=loop.name, detail=detail, exc_info=bug)  # noqa: TRY400
            logged = detail
        await asyncio.sleep(loop.every_s)


class Upkeep:
    """The upkeep of one server."""

    def __init__(self, parts: Parts, endpoints: Endpoints, alerting: Alerting) -> None:
        self._parts = parts
        self._store = parts.store
        self._endpoints = endpoints
        self._alerting = alerting
        self._uses_due_s = 0.0
        self._uses_seen = b""  # up to which session those that are over were removed

    async def run(self) -> None:
        """Run all loops, until cancelled."""
        await run_loops(self._loops(), self._parts.log)

    def _loops(self) -> Iterator[Loop]:
        node, recorder, store = self._parts.node, self._parts.recorder, self._store
        yield Loop("look", LOOK_EVERY_S, self._look)
        yield Loop("sweep", SWEEP_EVERY_S, self._sweep)
        yield Loop("note_node", NOTE_EVERY_S, node.note)
        yield Loop("note_node", LOOK_EVERY_S, node.resolve_doubt)
        yield Loop("record", RECORD_EVERY_S, partial(recorder.write_down, store))
        yield Loop("upkeep", UPKEEP_EVERY_S, partial(in_thread, store.upkeep))
        yield Loop("fold_journal", FOLD_EVERY_S, self._fold_journal)
        yield Loop("fold_denials", FOLD_DENIALS_EVERY_S, self._fold_denials)
        yield Loop("write_down", WRITE_DOWN_EVERY_S, self._write_down)
        yield Loop("note_uses", LOOK_FOR_USES_EVERY_S, self._note_uses)
        yield Loop("look_for_alerts", LOOK_FOR_ALERTS_EVERY_S, self._alerting.look)
        yield Loop("send_alerts", SEND_ALERTS_EVERY_S, self._alerting.send)

    async def note_used(self) -> None:
        """Write which secrets, keys and sessions were used. Raises StoreUnavailable."""
        authenticator = self._parts.authenticator
        await self._note(authenticator.secrets_used, note_secrets_used)
        await self._note(authenticator.keys_used, note_keys_used)
        await self._write_uses()

    async def _note(
        self, collected: dict[Used, int], note: Callable[[Store, Mapping[Used, int]], None]
    ) -> None:
        used = collected.copy()
        if used:
            await in_thread(note, self._store, used)
        for key, at_ms in used.items():
            if collected[key] == at_ms:
                del collected[key]

    async def _note_uses(self) -> None:
        """Write down which sessions were used, when it is time, or when there are many."""
        now_s = asyncio.get_running_loop().time()
        if now_s >= self._uses_due_s or self._endpoints.uses.is_full:
            self._uses_due_s = now_s + WRITE_DOWN_EVERY_S
            await self._write_uses()

    async def _write_uses(self) -> None:
        uses = self._endpoints.uses
        if not (taken := uses.take()):
            return
        try:
            await in_thread(note_uses, self._store, taken.values())
        except StoreUnavailable:
            uses.put_back(taken)
            raise

    async def _look(self) -> None:
        """Check whether the set-up or the keys changed, and whether the store answers."""
        node, keys = self._parts.node, self._parts.keys
        await in_thread(self._probe)
        node.store_answered()
        if is_changed := await keys.has_changed():
            self._parts.log.info("keys_changed", keys=len(keys.keyring.token_keys))
        tokens = keys.tokens(self._store.clock.now_ms())
        if tokens.made_with != self._endpoints.tokens.made_with:  # else keep the old ones, with their cache
            self._endpoints.tokens = tokens
        if is_changed:  # `licet check` must not report a difference between nodes.
            await node.note()

    def _probe(self) -> None:
        self._store.refresh_tenants()
        self._store.probe()

    async def _sweep(self) -> None:
        sessions_max = self._parts.settings.sweep_sessions_max

        async def sweep() -> bool:
            swept = await self._parts.commits.submit(Sweep(sessions_max=sessions_max))
            assert isinstance(swept, Swept)
            return swept.sessions >= sessions_max

        await self._in_pieces(sweep, pause_s=0.0)

    async def _fold_journal(self) -> None:
        await self._in_pieces(self._full(fold_journal, ENTRIES_MAX))

    async def _fold_denials(self) -> None:
        # Not by the leader alone: that may be a node of version 0.2.0, which knows nothing of them.
        await self._in_pieces(self._full(fold_denials, DENIALS_MAX), is_by_leader=False)

    async def _write_down(self) -> None:
        """Write what was used, sum up the journal, and remove what is old."""
        await self.note_used()
        await self._in_pieces(self._full(remove_used_assertions, USED_MAX))
        await self._in_pieces(self._remove_uses, pieces_max=USES_PIECES_MAX)
        settings = self._parts.settings
        keep_ms = settings.journal_retention_days * DAY_MS
        keep_usage_ms = settings.usage_retention_days * DAY_MS

        async def sum_up() -> bool:
            return bool(await in_thread(summarise, self._store, keep_ms))

        async def remove() -> bool:
            removed = await in_thread(remove_aged, self._store, keep_ms, keep_usage_ms)
            return bool(removed + await in_thread(remove_history, self._store))

        if await self._in_pieces(sum_up, pieces_max=SUMMED_HOURS_MAX):  # else minutes must not be removed yet
            await self._in_pieces(remove)

    async def _remove_uses(self) -> bool:
        """Look at the next sessions that were used, and start over at the end; whether there are more."""
        self._uses_seen = await in_thread(remove_uses, self._store, self._uses_seen)
        return bool(self._uses_seen)

    def _full(self, do: Callable[[Store], int], full: int) -> Callable[[], Awaitable[bool]]:
        """A piece of work that returns whether there is more: it was as large as allowed."""

        async def piece() -> bool:
            return await in_thread(do, self._store) >= full

        return piece

    async def _in_pieces(
        self,
        do: Callable[[], Awaitable[bool]],
        *,
        pieces_max: int = PIECES_MAX,
        pause_s: float = PAUSE_S,
        is_by_leader: bool = True,
    ) -> bool:
        """Do pieces of work while there is more and this node is the leader, or whichever node it is.

        Returns whether all of it is done.
        """
        for _ in range(pieces_max):
            if is_by_leader and not self._store.is_leader():
                return False
            if not await do():
                return True
            await asyncio.sleep(pause_s)
        return False


class SetupFollower:
    """Refreshes the server's snapshot when the committing process has used a newer set-up version.

    Requests are authenticated with the server's snapshot: so it is refreshed at once, and not at the next
    regular check.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._sought = 0
        self.refreshing: asyncio.Task[None] | None = None

    def follow(self, version: int) -> None:
        """The committer decided on this version."""
        if version > max(self._store.setup_version, self._sought):
            self._sought = version
            self.refreshing = asyncio.create_task(in_thread(self._refresh))

    def _refresh(self) -> None:
        with suppress(StoreUnavailable):  # then the next regular check does it
            self._store.refresh_tenants()
