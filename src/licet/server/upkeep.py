"""Says what a server does beside the requests, how often, and from when on.

The rules:

- What keeps the server right runs from its start: it looks for changes of the set-up and the keys, ends
  sessions, and writes its row.
- The rest is imported in a thread when the first requests are answered: it needs SQLAlchemy, and its import
  takes half of what a start takes. A loop whose work cannot be imported fails, and tries again.
"""

import asyncio
import gc
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Final

from licet.lanes.in_thread import in_thread
from licet.ledger.commands import Sweep, Swept
from licet.server.loops import WRITE_DOWN_EVERY_S, Loop, in_pieces, run_loops
from licet.server.parts import Parts
from licet.store.nodes import NOTE_EVERY_S
from licet.web.endpoints import Endpoints

if TYPE_CHECKING:
    from licet.server.housekeeping import Housekeeping

HOUSEKEEPING_AFTER_S: Final = 0.2  # so that the first answers are not delayed
LOOK_EVERY_S: Final = 0.25  # a change of the set-up takes effect within a second, even after a slow read
SWEEP_EVERY_S: Final = 1.0
RECORD_EVERY_S: Final = 1.0  # a crash loses failed authentications of this time
UPKEEP_EVERY_S: Final = 5.0  # more often would write the same pages again and again
FOLD_EVERY_S: Final = 5.0  # for this long a client in a loop adds entries
FOLD_DENIALS_EVERY_S: Final = 2.0  # a page of denials looks through those that wait
NOTE_USES_EVERY_S: Final = 1.0  # a turn of `licet.web.last_uses`
LOOK_FOR_ALERTS_EVERY_S: Final = 5.0
SEND_ALERTS_EVERY_S: Final = 1.0

Turn = Callable[[], Awaitable[object]]


class Upkeep:
    """The upkeep of one server."""

    def __init__(self, parts: Parts, endpoints: Endpoints) -> None:
        self._parts = parts
        self._store = parts.store
        self._endpoints = endpoints
        self._housekeeping: Housekeeping | None = None

    async def run(self) -> None:
        """Run all loops, until cancelled."""
        await run_loops(self._loops(), self._parts.log)

    async def close(self) -> None:
        """Send no more alerts. The loops have ended."""
        if self._housekeeping is not None:
            await self._housekeeping.alerting.close()

    async def note_used(self) -> None:
        """Write which secrets, keys and sessions were used. Raises StoreUnavailable."""
        await (await self._loaded()).note_used()

    def _loops(self) -> Iterator[Loop]:
        node, recorder, store = self._parts.node, self._parts.recorder, self._store
        yield Loop("look", LOOK_EVERY_S, self._look)
        yield Loop("sweep", SWEEP_EVERY_S, self._sweep)
        yield Loop("note_node", NOTE_EVERY_S, node.note)
        yield Loop("note_node", LOOK_EVERY_S, node.resolve_doubt)
        yield Loop("record", RECORD_EVERY_S, partial(recorder.write_down, store))
        yield Loop("upkeep", UPKEEP_EVERY_S, partial(in_thread, store.upkeep))
        yield Loop("fold_journal", FOLD_EVERY_S, self._late(lambda it: it.fold_journal()))
        yield Loop("fold_denials", FOLD_DENIALS_EVERY_S, self._late(lambda it: it.fold_denials()))
        yield Loop("write_down", WRITE_DOWN_EVERY_S, self._late(lambda it: it.write_down()))
        yield Loop("note_uses", NOTE_USES_EVERY_S, self._late(lambda it: it.note_uses()))
        yield Loop("look_for_alerts", LOOK_FOR_ALERTS_EVERY_S, self._late(lambda it: it.alerting.look()))
        yield Loop("send_alerts", SEND_ALERTS_EVERY_S, self._late(lambda it: it.alerting.send()))

    def _late(self, turn: "Callable[[Housekeeping], Awaitable[object]]") -> Turn:
        """A turn of the housekeeping, which waits until that is imported."""

        async def late() -> None:
            if self._housekeeping is None:
                await asyncio.sleep(HOUSEKEEPING_AFTER_S)
            await turn(await self._loaded())

        return late

    async def _loaded(self) -> "Housekeeping":
        if self._housekeeping is None:
            await in_thread(_import)
        if self._housekeeping is None:  # none of those who waited for the import has made it yet
            from licet.server.alerting import alerting_of  # noqa: PLC0415 - imported in the thread
            from licet.server.housekeeping import Housekeeping  # noqa: PLC0415 - as above

            alerting = alerting_of(self._parts)
            self._housekeeping = Housekeeping(self._parts, self._endpoints, alerting)
            gc.freeze()  # What exists now stays, and need not be scanned again and again.
        return self._housekeeping

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

        await in_pieces(self._store, sweep, pause_s=0.0)


def _import() -> None:
    import_module("licet.server.alerting")
    import_module("licet.server.housekeeping")
