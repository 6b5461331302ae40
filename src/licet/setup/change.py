"""Changes the set-up in one transaction, for the command line, the admin API and the pages.

    with changing(store, actor="ada") as change:
        change.tenant("Jim_Test").set_pool("full", seats=7)

The rules:

- All changes of a block are one transaction and one new version of the set-up; a block that raises changes
  nothing. A server sees the version grow and reads the tenants whose own version grew.
- The ledger sees the tenants as they were committed. So the versions grow last, after all sessions that the
  change ends: a store caches tenants by their version.
- A change that is not possible raises SetupError, a value that is not allowed InvalidValue, each with one
  line that says why.

The caller hashes passwords and secrets before the transaction, which keeps grants waiting.
"""

import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from msgspec.structs import replace
from sqlalchemy import delete, func, insert, select, update

from licet.accounts.administrators import read_admins
from licet.accounts.api_keys import read_api_keys
from licet.ledger.signed_pools import seats_of
from licet.model import Scope, Tenant
from licet.refusal import Code, Subject
from licet.setup.consequences import Tally, client_names
from licet.setup.end_sessions import SessionsEnded, sessions_of_tenant, sweep_all
from licet.setup.holds import held_differently, hold_numbers, recount
from licet.setup.licence_terms import LicenceKept, Term, must_keep_licence
from licet.setup.nouns import described
from licet.setup.recount_options import recount_options
from licet.setup.refused_events import REFUSE, keep_refused
from licet.setup.tenant import TenantSetup, with_access_ttl
from licet.store import schema
from licet.store.contract import Store, Transaction
from licet.store.errors import AlreadyThere, unknown
from licet.store.events import Event, keep_events
from licet.store.setup_rows import columns_of
from licet.store.setup_version import publish
from licet.units import MINUTE_MS

POOL_FIRST = "full"  # the pool of a new tenant

# In this order no row refers to one that is gone.
_TABLES_OF_TENANT = (
    schema.session,
    schema.seat,
    schema.queue_place,
    schema.seat_count,
    schema.pool_rule,
    schema.group_member,
    schema.client_secret,
    schema.public_key,
    schema.client,
    schema.user,
    schema.scope_pool,
    schema.scope,
    schema.alert,
    schema.licence,
    schema.group_member,
    schema.queue_place,
    schema.seat_count,
    schema.pool_rule,
    schema.pool,
    schema.webhook,
    schema.api_key,
    schema.admin,
)


@contextmanager
def changing(store: Store, actor: str, *, keeps_licence: bool = False) -> Iterator["SetupChange"]:
    """Change the set-up in one transaction. `actor` is who makes the change, for the events.

    With `keeps_licence` a block that changes the licence of a tenant raises LicenceKept.
    A store that is open elsewhere sees it at its next check.
    Raises SetupError, InvalidValue, StoreUnavailable.
    """
    refused: list[Event] = []
    try:
        with store.transaction() as transaction:
            change = SetupChange(transaction, actor, keeps_licence=keeps_licence)
            refused = change.refused
            yield change
            change.finish()
    finally:  # Whatever was refused, its transaction is over.
        for event in refused:
            keep_refused(store, event)


def end_sessions(
    store: Store,
    actor: str,
    tenant: str,
    sids: Sequence[bytes],
    *,
    reason: str = "",
    cool_down_s: int = 0,
    on_ended: Callable[[int, int], None] = lambda *_: None,
) -> SessionsEnded:
    """End sessions of a tenant for an administrator, and suspend their clients for a while.

    Sessions that are over already are not counted. Raises NotFound, InvalidValue, StoreUnavailable.
    """
    with changing(store, actor) as change:
        return change.tenant(tenant).end_sessions(
            sids, reason=reason, cool_down_s=cool_down_s, on_ended=on_ended
        )


def end_all_after_restore(
    store: Store, actor: str, tenant: str, reason: str
) -> tuple[SessionsEnded, dict[str, int]]:
    """End all sessions of a tenant whose store was restored, or may have lost its last commits.

    The second value has the signed pools, each with the moment before which it gives no seat.
    Raises NotFound, InvalidValue, StoreUnavailable.
    """
    with changing(store, actor) as change:
        setup = change.tenant(tenant)
        sids = sessions_of_tenant(change.transaction, setup.tenant.id)
        done = setup.end_sessions(sids, reason=reason), setup.withhold_numbers(reason)
        # Even if nothing ends: a node that was paused meanwhile remembers what the copy does not have.
        publish(change.transaction, [setup.tenant.id])
        return done


class SetupChange:
    """One change of the set-up, from reading it to its new version.

    `tally` counts the sessions that end with it; `refused` are events to record though it is rolled back.
    """

    def __init__(self, transaction: Transaction, actor: str, *, keeps_licence: bool = False) -> None:
        self.transaction = transaction
        self._keeps_licence = keeps_licence
        self.tally = Tally()
        self.refused: list[Event] = []
        self._actor = actor
        # Before the first row changes, so that the store caches what was committed.
        self._before = {tenant.name: tenant for tenant in transaction.load(()).tenants.values()}
        self._tenants = self._before.copy()
        self._touched: dict[str, TenantSetup] = {}
        self._is_swept = False
        self._events: list[Event] = []

    @property
    def sessions_ended(self) -> int:
        """How many sessions it has ended so far."""
        return self.tally.sessions_ended

    def tenant(self, name: str) -> TenantSetup:
        """A tenant, to change it or its parts.

        Raises NotFound.
        """
        if name not in self._touched:
            if name not in self._tenants:
                raise unknown(Subject("tenant", name, name), self._tenants)
            self._touched[name] = TenantSetup(self, self._tenants[name])
        return self._touched[name]

    def tenants(self) -> dict[str, Tenant]:
        """All tenants by name, as they were committed."""
        return self._tenants.copy()

    def add_tenant(self, name: str, *, seats: int | None = None, **settings: Any) -> TenantSetup:
        """Add a tenant with the scope `view`, and with `seats` also the pool `full` and its scope `all`.

        Without `seats` the caller adds a pool and `all`. Raises AlreadyThere, InvalidValue.
        """
        if name in self._tenants or name in self._touched:
            text = f"there is a tenant {name} already"
            about = Subject("tenant", name, name)
            raise AlreadyThere(text, code=Code.ALREADY_THERE, field="name", subject=about)
        tenant = self._insert(Tenant(id=0, name=name, version=0, **with_access_ttl(settings, None)))
        added = self._touched[name] = TenantSetup(self, tenant)
        added.is_changed = True
        self.record(name, "add", f"tenant {name}", described(tenant))
        added.add_scope(Scope.VIEW, read_only=True)
        if seats is not None:
            added.add_pool(POOL_FIRST, seats=seats)
            added.add_scope(Scope.ALL, pool=POOL_FIRST)
        return added

    def remove_tenant(self, name: str) -> None:
        """Remove a tenant with all its parts and its journal. Only the events outlive it.

        The journal can be millions of rows: it is hidden at once, and `remove_history` removes it in pieces.
        Raises NotFound.
        """
        tenant = self.tenant(name).tenant
        connection, session = self.transaction.connection, schema.session.c
        live = (session.tenant_id == tenant.id) & (session.expires_at_ms > self.transaction.now_ms)
        of_clients = select(session.client_key, func.count()).where(live).group_by(session.client_key)
        names = client_names(tenant.clients.values())
        self.tally.end(name, {names[key]: count for key, count in connection.execute(of_clients)})
        self._record_accounts(tenant)
        for table in _TABLES_OF_TENANT:
            connection.execute(delete(table).where(table.c.tenant_id == tenant.id))
        gone = {
            "removed_at_ms": self.transaction.now_ms,
            "name": f"removed.{secrets.token_hex(8)}",
            "version": 0,  # changed, so that a node of the previous version reads it, and finds nothing
        }
        connection.execute(update(schema.tenant).where(schema.tenant.c.id == tenant.id).values(gone))
        del self._touched[name]
        self._tenants.pop(name, None)
        self.record(name, "remove", f"tenant {name}", described(tenant))

    def _record_accounts(self, tenant: Tenant) -> None:
        """Record that administrators and API keys of the tenant are removed with it."""
        connection = self.transaction.connection
        going = [f"admin {admin.name}" for admin in read_admins(connection, tenant.id)]
        going += [f"API key {key.name}" for key in read_api_keys(connection, tenant.id)]
        for target in going:
            self.record(tenant.name, "remove", target, "went with its tenant")

    def sweep(self) -> None:
        """Sweep what has expired, once: at one instant nothing more expires."""
        if not self._is_swept:
            sweep_all(self.transaction)
        self._is_swept = True

    def record(self, tenant: str, action: str, target: str, detail: str) -> None:
        """Record who did what. `detail` contains no secret."""
        event = Event(actor=self._actor, tenant=tenant, action=action, target=target, detail=detail)
        self._events.append(event)

    def refuse(self, tenant: str, target: str, detail: str) -> None:
        """Record that something was refused, whatever becomes of this change."""
        event = Event(actor=self._actor, tenant=tenant, action=REFUSE, target=target, detail=detail)
        self.refused.append(event)

    def must_be_operator(self, what: str) -> None:
        """Return if whoever makes this change may change licences. `what` happens, for the refusal.

        Raises LicenceKept.
        """
        if self._keeps_licence:
            raise LicenceKept((Term(field="", text=what),))

    def must_keep_licence(self) -> None:
        """Return if this change leaves all licences as they were.

        Raises LicenceKept.
        """
        removed = self._before.keys() - self._tenants.keys()
        must_keep_licence(self._before, self._touched, removed)

    def finish(self) -> None:
        """Publish the change by a new version, as the last step of the transaction.

        Raises InvalidValue when a tenant lacks something that it needs, and LicenceKept.
        """
        if self._keeps_licence:
            self.must_keep_licence()
        if not self._events:
            return
        changed = [setup for setup in self._touched.values() if setup.is_changed]
        for setup in changed:
            setup.check()
        self._hold_seats(changed)
        for setup in changed:
            if (before := self._tenants.get(setup.tenant.name)) is not None:
                recount_options(self.transaction, before)
        for setup in changed:
            self._note_seats(setup)
        keep_events(self.transaction, self._events)
        publish(self.transaction, [setup.tenant.id for setup in changed])

    def _hold_seats(self, changed: Sequence[TenantSetup]) -> None:
        """Recount the holds of seats by the new set-up (L18)."""
        held = [
            (after, pool)
            for setup in changed
            if (before := self._tenants.get(setup.tenant.name)) is not None
            for after in (replace(setup.tenant, pools={it.id: it for it in setup.pools.values()}),)
            for pool in held_differently(before, after)
        ]
        for after, pool in held:
            before = self._tenants[after.name]
            hold_numbers(self.transaction, after, pool, before.hold_s_of(before.pools[pool.id]))
            recount(self.transaction, after, pool)
        if held:
            sweep_all(self.transaction)

    def _note_seats(self, setup: TenantSetup) -> None:
        """Write the pools' new numbers of seats into the usage of this minute."""
        connection, minute = self.transaction.connection, schema.usage_minute
        for pool in (setup.pools[name] for name in setup.pools_resized):
            seats = seats_of(pool, self.transaction.now_ms)
            key = {
                "tenant_id": setup.tenant.id,
                "pool": pool.name,
                "minute": self.transaction.now_ms // MINUTE_MS,
            }
            if connection.execute(update(minute).filter_by(**key).values(seats=seats)).rowcount:
                continue
            in_use = connection.execute(
                select(schema.pool.c.in_use).where(schema.pool.c.id == pool.id)
            ).scalar_one()
            connection.execute(insert(minute).values(**key, seats=seats, peak=in_use, in_use=in_use))

    def _insert(self, tenant: Tenant) -> Tenant:
        row = columns_of(tenant, schema.tenant) | {"version": 0}  # until `finish`
        statement = insert(schema.tenant).values(row).returning(schema.tenant.c.id)
        return replace(tenant, id=self.transaction.connection.execute(statement).scalar_one())
