"""Registers this node in the store, where `licet check` sees it, and says whether it is ready."""

import secrets
import socket
from collections.abc import Callable
from typing import Final

from licet.credentials.keyring import fingerprint
from licet.lanes.in_thread import in_thread
from licet.server.keys import Keys
from licet.store.contract import Store
from licet.store.migrate import HEAD
from licet.store.nodes import Node, key_marks, note_node, remove_node

SILENT_MS_MAX: Final = 2000
"""For as long the store may leave the looks at it unanswered."""


class ThisNode:
    """One server on a store. Its row is written at its start, now and then, and removed at its end."""

    def __init__(
        self, store: Store, keys: Keys, *, version: str, url: str, port: int, wall_ms: Callable[[], int]
    ) -> None:
        self._store = store
        self._clock = store.clock
        self._keys = keys
        self._version = version
        self._url = url
        self._port = port
        self._wall_ms = wall_ms
        self._id = secrets.token_hex(8)
        self._is_writable = True  # as far as is known; in doubt, a write is tried
        self._answered_at_ms = self._clock.now_ms()

    async def note(self) -> None:
        """Write the row, which shows that the store accepts writes. Raises StoreUnavailable."""
        node = Node(
            id=self._id,
            name=f"{socket.gethostname()}:{self._port}",
            version=self._version,
            schema=HEAD,
            url=self._url,
            token_keys=key_marks(self._keys.keyring),
            pepper=fingerprint(self._keys.pepper),
        )
        await in_thread(note_node, self._store, node, self._wall_ms)
        self._is_writable = True

    async def remove(self) -> None:
        """Remove the row. Raises StoreUnavailable."""
        await in_thread(remove_node, self._store, self._id)

    def store_failed(self) -> None:
        """A request found the store out of reach: this node is not ready until the store accepts a write."""
        self._is_writable = False

    def store_answered(self) -> None:
        """The store answered a probe."""
        self._answered_at_ms = self._clock.now_ms()

    async def resolve_doubt(self) -> None:
        """In doubt, try a write: a store that can be read may accept none (a full disk, no standby)."""
        if not self._is_writable:
            await self.note()

    @property
    def trouble(self) -> str:
        """Why the store is of no use now; '' where it answers, and accepts writes as far as is known."""
        if self._clock.now_ms() - self._answered_at_ms >= SILENT_MS_MAX:
            return "the store does not answer"
        return "" if self._is_writable else "the store has failed, and has accepted no write since"
