"""Defines one request that waits in line for a seat: it sleeps until it is its turn, and asks.

    while await waiter.turn():
        waiter.has_asked(await submit(...))

`licet.web.waiting` has all of them, and says whose turn it is.
"""

import asyncio
from typing import TYPE_CHECKING

from licet.ledger.commands import Denied, Grant, Outcome
from licet.ledger.holders import place_holder_of
from licet.model import Client, Tenant
from licet.store.contract import Store
from licet.web.request import Exchange
from licet.web.source import source_of

if TYPE_CHECKING:
    from licet.ledger.book import SeatKey


class Waiter:
    """One request that waits, for the place in line of `key`; `position` is its place from 1 on."""

    def __init__(
        self, grant: Grant, denied: Denied, tenant: Tenant, client: Client, exchange: Exchange
    ) -> None:
        self.grant = grant
        self.exchange = exchange
        self.denied = denied
        self.position = denied.queue_position
        self.tenant_id = tenant.id
        self.source = source_of(exchange.address)
        self.is_due = False
        self._credentials = _credentials_of(client)
        named = tenant.pool_named(denied.pool)
        pool = tenant.pools[grant.pool_ids[0]] if named is None else named
        self.key: SeatKey = (pool.id, place_holder_of(pool, client))
        self._until_ms: int | None = None
        self._turn: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._asked: asyncio.Future[Outcome | None] | None = None
        self._is_last = False

    @property
    def is_leaving(self) -> bool:
        """Whether its client is gone, or could go without notice."""
        return self.exchange.is_leaving

    def has_lost_a_credential(self, store: Store) -> bool:
        """Whether one was revoked by which its client may have authenticated."""
        tenant = store.tenants().get(self.tenant_id)
        client = None if tenant is None else tenant.clients_by_key.get(self.grant.client_key)
        return client is not None and not self._credentials <= _credentials_of(client)

    async def turn(self) -> bool:
        """Return whether it is to ask now; False where it is not to wait any longer."""
        return await self._turn and not self.is_leaving

    def ask(self) -> "asyncio.Future[Outcome | None]":
        """Have it ask; the future has the outcome, and None where it does not ask any more."""
        if self._asked is not None:
            return self._asked
        asked = asyncio.get_running_loop().create_future()
        if self._turn.done():
            asked.set_result(None)
            return asked
        self.is_due = False
        self._asked = asked
        self._turn.set_result(True)
        return asked

    def has_asked(self, outcome: Outcome | None) -> None:
        """It has asked; `outcome` is None where that failed."""
        asked, self._asked = self._asked, None
        self._turn = asyncio.get_running_loop().create_future()
        if self._is_last:
            self._turn.set_result(False)
        if asked is not None and not asked.done():
            asked.set_result(outcome)

    def keep_place(self, denied: Denied) -> None:
        """It was denied again, with this place."""
        self.denied = denied
        self.position = denied.queue_position

    def stands_at(self, position: int, until_ms: int, store: Store) -> None:
        """Its place is this one in the store, and lapses then."""
        self.position, self._until_ms = position, until_ms
        self.is_due = self._is_in_second_half(store)

    def is_over_for(self, store: Store) -> None:
        """The time is over: it is answered, after it has had its place kept where that is due."""
        if self._until_ms is not None and self._is_in_second_half(store):
            self.ask()
        self.end()

    def leave(self) -> None:
        """Something has happened to its client."""
        if self.is_leaving:
            self.end()

    def end(self) -> None:
        """It is not to wait any longer: it is answered, or after what it has just asked."""
        self._is_last = True
        if not self._turn.done():
            self._turn.set_result(False)

    def has_left(self) -> None:
        """It waits no more: nobody is to wait for it, or to call it."""
        self.exchange.on_leaving = _nothing
        if self._asked is not None and not self._asked.done():
            self._asked.set_result(None)

    def _is_in_second_half(self, store: Store) -> bool:
        """Whether its place is in the second half of its hold."""
        assert self._until_ms is not None
        tenant = store.tenants().get(self.tenant_id)
        options = None if tenant is None else tenant.options.get(self.key[0])
        if options is None:
            return True
        return self._until_ms - store.clock.now_ms() <= options.queue_hold_ms // 2


def _credentials_of(client: Client) -> frozenset[object]:
    """All by which a client can authenticate."""
    passwords = [client.user.password_hash] if client.password_allowed else []
    return frozenset([*passwords, *(it.hash for it in client.secrets), *(it.jwk for it in client.keys)])


def _nothing() -> None:
    """Nobody waits any more."""
