"""Folds and sums up the journal, writes down what was used, removes what is old, and evaluates alerts.

All of it waits: `upkeep.py` imports this module, and SQLAlchemy with it, in a thread when the server answers.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any, Final

from licet.alerts.sender import Alerting
from licet.journal.folding import fold_denials, fold_journal
from licet.journal.retention import USED_MAX, remove_aged, remove_history, remove_used_assertions
from licet.journal.summary import summarise
from licet.journal.uses import note_uses, remove_uses
from licet.lanes.in_thread import in_thread
from licet.server.loops import in_pieces
from licet.server.parts import Parts
from licet.setup.last_used import note_keys_used, note_secrets_used
from licet.store.contract import Store
from licet.store.errors import StoreUnavailable
from licet.store.minute_rows import ENTRIES_MAX
from licet.units import DAY_MS
from licet.web.endpoints import Endpoints
from licet.web.last_uses import LastUses
from licet.web.sessions_read import Read

USES_PIECES_MAX: Final = 100  # in one turn; those of a million sessions take some minutes
SUMMED_HOURS_MAX: Final = 100  # in one turn; a year that was never summed is, within an hour

_Note = Callable[[Store, Mapping[Any, Any]], None]


class Housekeeping:
    """The housekeeping of one server; each method without arguments is the turn of a loop."""

    def __init__(self, parts: Parts, endpoints: Endpoints, alerting: Alerting) -> None:
        self._parts = parts
        self._store = parts.store
        self._endpoints = endpoints
        self.alerting = alerting
        self._uses_seen = b""  # up to which session those that are over were removed

    async def note_used(self) -> None:
        """Write which secrets, keys and sessions were used: all of them. Raises StoreUnavailable."""
        for uses, note in self._noted():
            await self._write_uses(uses, uses.take(), note)

    async def note_uses(self) -> None:
        """Write the part of them that is due."""
        for uses, note in self._noted():
            await self._write_uses(uses, uses.due(), note)

    def _noted(self) -> Iterator[tuple[LastUses[Any, Any], _Note]]:
        authenticator = self._parts.authenticator
        yield authenticator.secrets_used, note_secrets_used
        yield authenticator.keys_used, note_keys_used
        yield self._endpoints.uses, _note_sessions_used

    async def _write_uses(self, uses: LastUses[Any, Any], taken: Mapping[Any, Any], note: _Note) -> None:
        if not taken:
            return
        try:
            await in_thread(note, self._store, taken)
        except StoreUnavailable:
            uses.put_back(taken)
            raise

    async def fold_journal(self) -> None:
        """Fold what happened into the minutes of the journal."""
        await in_pieces(self._store, self._full(fold_journal, ENTRIES_MAX))

    async def fold_denials(self) -> None:
        """Fold denials into their minutes."""
        # Not by the leader alone: that may be a node of version 0.2.0, which knows nothing of them.
        await in_pieces(self._store, self._full(fold_denials, ENTRIES_MAX), is_by_leader=False)

    async def write_down(self) -> None:
        """Sum up the journal, and remove what is old."""
        await in_pieces(self._store, self._full(remove_used_assertions, USED_MAX))
        await in_pieces(self._store, self._remove_uses, pieces_max=USES_PIECES_MAX)
        settings = self._parts.settings
        keep_ms = settings.journal_retention_days * DAY_MS
        keep_usage_ms = settings.usage_retention_days * DAY_MS

        async def sum_up() -> bool:
            return bool(await in_thread(summarise, self._store, keep_ms))

        async def remove() -> bool:
            removed = await in_thread(remove_aged, self._store, keep_ms, keep_usage_ms)
            return bool(removed + await in_thread(remove_history, self._store))

        if await in_pieces(
            self._store, sum_up, pieces_max=SUMMED_HOURS_MAX
        ):  # else minutes must not be removed yet
            await in_pieces(self._store, remove)

    async def _remove_uses(self) -> bool:
        """Look at the next sessions that were used, and start over at the end; whether there are more."""
        self._uses_seen = await in_thread(remove_uses, self._store, self._uses_seen)
        return bool(self._uses_seen)

    def _full(self, do: Callable[[Store], int], full: int) -> Callable[[], Awaitable[bool]]:
        """A piece of work that returns whether there is more: it was as large as allowed."""

        async def piece() -> bool:
            return await in_thread(do, self._store) >= full

        return piece


def _note_sessions_used(store: Store, used: Mapping[bytes, Read]) -> None:
    note_uses(store, used.values())
