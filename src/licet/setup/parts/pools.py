"""Changes the pools and scopes of one tenant: their settings, the rules of pools, what a scope draws on.

The rules:

- The rules of a pool may name users, clients and groups that the same change adds later. So that they are
  there, and that no option contradicts another, is checked when all of the change is made: `check_pools`.
- A named user that is taken off counts as one of the names for `NAMED_FOR_MS` (L15): its row says until when.
- A scope may draw on several pools, in order (L20). Sessions end that have a seat of one that is taken away.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from msgspec.structs import replace
from sqlalchemy import delete, insert, select

from licet.ledger.signed_pools import room_of, seats_of
from licet.model import EndReason, InvalidValue, Pool, Scope, options_of
from licet.refusal import Code, Subject, names_of
from licet.setup.consequences import client_names
from licet.setup.end_sessions import (
    cut_short,
    end_sessions,
    sessions_beyond,
    sessions_of_pool,
    sessions_with_scope,
)
from licet.setup.holds import free
from licet.setup.nouns import described, differences
from licet.setup.options.contradictions import disagreements, is_decided_otherwise, must_know_names
from licet.setup.parts.groups import TenantGroups
from licet.setup.signed_limits import must_be_counted_as_signed
from licet.setup.validation import must_be_new
from licet.store import schema
from licet.store.errors import StillInUse
from licet.store.setup_rows import columns_of, rule_rows
from licet.units import DAY_MS

BUILT_IN = frozenset({Scope.VIEW, Scope.ALL})
NAMED_FOR_MS = DAY_MS


class TenantPools(TenantGroups):
    """The pools and scopes of a tenant, within a change of the set-up."""

    # Pools

    def add_pool(self, name: str, **settings: Any) -> bool:
        """Add a pool. Without `seats` it has those that vendors sign for it."""
        must_be_new("pool", name, self.pools, self.tenant.name)
        pool = Pool(id=0, name=name, **settings)
        statement = insert(schema.pool).values(tenant_id=self.tenant.id, **columns_of(pool, schema.pool))
        pool_id = self._connection.execute(statement.returning(schema.pool.c.id)).scalar_one()
        self.pools[name] = replace(pool, id=pool_id)
        self._write_rules(self.pools[name])
        self.pools_resized.add(name)
        return self._recorded("add", "pool", name, described(pool))

    def set_pool(self, name: str, **changes: Any) -> bool:
        """Change a pool. Sessions stay when its seats become too few (L6), and end by its expiry (L7).

        A change of `duplicates` counts for new sessions; one of the hold for all seats (L18).
        """
        before = self._find("pool", name, self.pools)
        after = replace(before, **changes)
        if after == before:
            return False
        if after.duplicates is not before.duplicates:
            must_be_counted_as_signed(after, self.tenant.name, self._work.transaction.now_ms)
        self._work.sweep()
        if after.expires_at_ms is not None:
            self._let_expire(after, after.expires_at_ms)
        row = columns_of(after, schema.pool) | self.room(after)
        self._update(schema.pool, {"id": after.id}, row)
        self.pools[name] = after
        if rule_rows(after) != rule_rows(before):
            self._write_rules(after)
        if (after.seats, after.overdraft) != (before.seats, before.overdraft):
            self.pools_resized.add(name)
        return self._recorded("set", "pool", name, differences(before, after))

    def remove_pool(self, name: str) -> bool:
        """Remove a pool that no scope uses."""
        pool = self._find("pool", name, self.pools)
        users = [scope.name for scope in self.scopes.values() if name in scope.pools]
        if users:
            text = (
                f"pool {name} is drawn on by scope {names_of(users)}; remove it or give it another pool first"
            )
            raise self._in_use(text, "pool", name, "scope", users)
        self._work.sweep()
        transaction, tenant_id = self._work.transaction, self.tenant.id
        self.end(sessions_of_pool(transaction, tenant_id, pool.id), EndReason.REMOVED)
        free(transaction, pool.id)
        for table in (schema.pool_rule, schema.seat_count, schema.queue_place):
            self._delete(table, {"pool_id": pool.id})
        self._delete(schema.pool, {"id": pool.id})
        # Holdings are removed by age per pool, so they have to go with the pool.
        holding = schema.holding.c
        self._connection.execute(
            delete(schema.holding).where(holding.tenant_id == tenant_id, holding.pool == name)
        )
        del self.pools[name]
        self.pools_resized.discard(name)
        return self._recorded("remove", "pool", name, described(pool))

    def _let_expire(self, pool: Pool, expires_at_ms: int) -> None:
        transaction = self._work.transaction
        if expires_at_ms <= transaction.now_ms:
            sids = sessions_of_pool(transaction, self.tenant.id, pool.id)
            self.end(sids, EndReason.EXPIRED)
        else:
            self._work.tally.cut_short(
                self.tenant.name, self._by_client(sessions_beyond(transaction, pool.id, expires_at_ms))
            )
            cut_short(transaction, pool.id, expires_at_ms)

    def room(self, pool: Pool) -> dict[str, int | None]:
        """The columns that say how many seats of a pool may be in use now (L6, L14)."""
        query = select(schema.pool.c.in_use).where(schema.pool.c.id == pool.id)
        in_use: int = self._connection.execute(query).scalar_one()
        room = room_of(pool, self._work.transaction.now_ms)
        return {"room": None if pool.signed is None else room, "overuse": max(0, in_use - room)}

    def _write_rules(self, pool: Pool) -> None:
        """Write the rules of a pool. A name that is taken off stays for a while (L15)."""
        rule, now_ms = schema.pool_rule, self._work.transaction.now_ms
        rows = self._connection.execute(select(rule).where(rule.c.pool_id == pool.id)).all()
        before = {(row.kind, row.who): row for row in rows}
        wanted = {(row["kind"], row["who"]): row for row in rule_rows(pool)}
        for key, row in before.items():
            of = {"pool_id": pool.id, "kind": row.kind, "who": row.who}
            if key in wanted:
                self._update(rule, of, {"number": wanted[key]["number"], "until_ms": None})
            elif row.kind != "named" or (row.until_ms is not None and row.until_ms <= now_ms):
                self._delete(rule, of)
            elif row.until_ms is None:
                self._update(rule, of, {"until_ms": now_ms + NAMED_FOR_MS})
        new = [row for key, row in wanted.items() if key not in before]
        if new:
            ids = {"pool_id": pool.id, "tenant_id": self.tenant.id}
            self._connection.execute(insert(rule), [ids | row for row in new])

    def _taken_off(self, pool: Pool) -> list[str]:
        """The initials of named users that were taken off and still count (L15)."""
        rule = schema.pool_rule.c
        query = select(rule.who).where(
            rule.pool_id == pool.id, rule.kind == "named", rule.until_ms > self._work.transaction.now_ms
        )
        return [who.removeprefix("user:") for who in self._connection.execute(query).scalars()]

    def check_pools(self) -> None:
        """Return if the options of all pools that are changed are possible.

        Raises InvalidValue, NotFound, StillInUse.
        """
        before = {pool.name: pool for pool in self.tenant.pools.values()}
        known: dict[str, Collection[str]] = {"user": self.users, "client": self.clients, "group": self.groups}
        for pool in self.pools.values():
            if not is_decided_otherwise(before.get(pool.name), pool):
                continue
            must_know_names(pool, self.tenant.name, known)
            seats = pool.seats
            if pool.signed is not None:
                seats = seats_of(pool, self._work.transaction.now_ms)
            for found in disagreements(pool, seats, self._taken_off(pool)):
                raise found.refusal(pool.name, self.tenant.name)
        self._must_be_allowed()

    def _must_be_allowed(self) -> None:
        """Return if no code works on the tables that does not count by options.

        Raises StillInUse.
        """
        with_options = [f"pool {pool.name}" for pool in self.pools.values() if options_of(pool, self.groups)]
        with_options += [f"scope {scope.name}" for scope in self.scopes.values() if scope.other_pools]
        allowed = select(schema.setup.c.options_allowed)
        if with_options and not self._connection.execute(allowed).scalar_one():
            text = (
                f"a server of a version that does not count by options could still start on this store, and"
                f" {names_of(with_options)} would have some; finish the upgrade first"
            )
            about = self._subject("tenant", self.tenant.name)
            raise StillInUse(text, code=Code.OLDER_NODES, subject=about)

    # Scopes

    def add_scope(self, name: str, **settings: Any) -> bool:
        """Add a scope: unlicensed without a pool. `pool` is the short form of `pools` with one."""
        must_be_new("scope", name, self.scopes, self.tenant.name)
        pools = self._pools_of(name, settings, ())
        scope = self._scope(name, pools, read_only=settings.get("read_only", False))
        self._connection.execute(
            insert(schema.scope).values(tenant_id=self.tenant.id, **self._scope_row(scope))
        )
        self._write_other_pools(scope)
        self.scopes[name] = scope
        return self._recorded("add", "scope", name, described(scope))

    def set_scope(self, name: str, **changes: Any) -> bool:
        """Change a scope. Its sessions end that have a seat of a pool which is taken away."""
        before = self._find("scope", name, self.scopes)
        pools = self._pools_of(name, changes, before.pools)
        after = self._scope(name, pools, read_only=changes.get("read_only", before.read_only))
        if after == before:
            return False
        if after.pools != before.pools:
            self._end_of_pools_lost(before, after)
        self._update(schema.scope, {"tenant_id": self.tenant.id, "name": name}, self._scope_row(after))
        self._write_other_pools(after)
        self.scopes[name] = after
        return self._recorded("set", "scope", name, differences(before, after))

    def _end_of_pools_lost(self, before: Scope, after: Scope) -> None:
        transaction, tenant_id = self._work.transaction, self.tenant.id
        if before.licensed and after.licensed:
            lost = {self.pools[name].id for name in before.pools if name not in after.pools}
            sids = sessions_with_scope(transaction, tenant_id, before.name, lost)
        else:
            sids = sessions_with_scope(transaction, tenant_id, before.name)
        self.end(sids, EndReason.ADMINISTRATOR)

    def _pools_of(self, name: str, settings: Mapping[str, Any], before: tuple[str, ...]) -> tuple[str, ...]:
        """The pools that a scope draws on, by what is set of `pool` and `pools`."""
        if "pools" not in settings:
            if "pool" not in settings:
                return before
            return () if settings["pool"] is None else (settings["pool"],)
        pools = tuple(settings["pools"] or ())
        if "pool" in settings and settings["pool"] != (pools[0] if pools else None):
            text = f"scope {name}: pool is the first of pools, where both are given"
            about = self._subject("scope", name)
            raise InvalidValue(text, code=Code.NOT_TOGETHER, field="pools", beside="pool", subject=about)
        return pools

    def remove_scope(self, name: str) -> bool:
        """Remove a scope that is neither built in, nor the default, nor given to a client by name."""
        scope = self._find("scope", name, self.scopes)
        if name in BUILT_IN:
            about = self._subject("scope", name)
            raise StillInUse(f"scope {name} is built in and stays", code=Code.BUILT_IN, subject=about)
        if name == self.tenant.scope_default:
            of = self.tenant.name
            raise StillInUse(
                f"scope {name} is the default of tenant {of}; choose another first",
                code=Code.IS_DEFAULT,
                subject=self._subject("scope", name),
                others=(Subject("tenant", of, of),),
            )
        users = [client.client_id for client in self.clients.values() if name in (client.scopes or ())]
        if users:
            text = f"scope {name} is given to client {names_of(users)}; take it away there first"
            raise self._in_use(text, "scope", name, "client", users)
        sids = sessions_with_scope(self._work.transaction, self.tenant.id, name)
        self.end(sids, EndReason.REMOVED)
        self._delete(schema.scope_pool, {"tenant_id": self.tenant.id, "scope": name})
        self._delete(schema.scope, {"tenant_id": self.tenant.id, "name": name})
        del self.scopes[name]
        return self._recorded("remove", "scope", name, described(scope))

    def _scope(self, name: str, pools: Sequence[str], *, read_only: bool) -> Scope:
        for pool in pools:
            self._find("pool", pool, self.pools, field="pool" if len(pools) == 1 else "pools")
        if name == Scope.VIEW and (pools or not read_only):
            raise InvalidValue(
                "scope view is built in: it is read-only and needs no seat",
                code=Code.BUILT_IN,
                field="pool" if pools else "read_only",
                subject=self._subject("scope", name),
            )
        first = pools[0] if pools else None
        return Scope(
            name=name,
            licensed=first is not None,
            read_only=read_only,
            pool=first,
            other_pools=tuple(pools[1:]),
        )

    def _scope_row(self, scope: Scope) -> dict[str, Any]:
        pool_id = None if scope.pool is None else self.pools[scope.pool].id
        return columns_of(scope, schema.scope) | {"pool_id": pool_id}

    def _write_other_pools(self, scope: Scope) -> None:
        of = {"tenant_id": self.tenant.id, "scope": scope.name}
        self._delete(schema.scope_pool, of)
        rows = [
            {**of, "place": place, "pool_id": self.pools[name].id}
            for place, name in enumerate(scope.other_pools, 1)
        ]
        if rows:
            self._connection.execute(insert(schema.scope_pool), rows)

    # Sessions that end with a change

    def end(self, sids: Sequence[bytes], reason: EndReason) -> None:
        """End these sessions with the change, and count them."""
        ended = end_sessions(self._work.transaction, self.tenant.id, sids, reason)
        keys = Counter(outcome.session.client_key for outcome in ended if outcome.session is not None)
        self._work.tally.end(self.tenant.name, self._by_client(keys))

    def _by_client(self, keys: Mapping[int, int]) -> dict[tuple[str, str], int]:
        names = client_names(self.clients.values())
        return {names[key]: count for key, count in keys.items()}
