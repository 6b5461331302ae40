"""Has a server read its set-up again as soon as the committing process has decided on a newer one."""

import asyncio
from contextlib import suppress

from licet.lanes.in_thread import in_thread
from licet.store.contract import Store
from licet.store.errors import StoreUnavailable


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
