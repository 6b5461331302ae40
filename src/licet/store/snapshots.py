"""Keeps the set-up in memory: snapshots of all tenants, renewed when the store's version grows.

Reading them costs no I/O, so that parsing a request and authenticating a client wait for nothing. A
transaction checks their version again, so that it decides on the set-up of its own instant.
"""

import threading
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Column, Connection, Row, Select, Table, select

from licet.model import (
    Client,
    ClientSecret,
    Duplicates,
    GrantType,
    Pool,
    PublicKey,
    Scope,
    Tenant,
    TokenFormat,
    User,
    read_alerts,
)
from licet.store import schema
from licet.store.errors import SetupDamaged


class Tenants:
    """The snapshots. `by_id` and `by_name` are replaced whole, never changed; any thread may read them."""

    def __init__(self) -> None:
        self.version = -1
        self.by_id: dict[int, Tenant] = {}
        self.by_name: dict[str, Tenant] = {}
        self._lock = threading.Lock()

    def refresh(self, connection: Connection, version: int) -> dict[int, Tenant]:
        """The tenants as of the store's `version`, which this connection sees."""
        with self._lock:
            if version > self.version:  # Another thread may have seen a later one.
                present = select(schema.tenant.c.id, schema.tenant.c.version).where(schema.is_there)
                known = {row.id: row.version for row in connection.execute(present)}
                changed = {key for key, row_version in known.items() if self._is_stale(key, row_version)}
                by_id = {key: tenant for key, tenant in self.by_id.items() if key in known}
                by_id |= {tenant.id: tenant for tenant in read_tenants(connection, changed)}
                self.by_id, self.by_name = by_id, {tenant.name: tenant for tenant in by_id.values()}
                self.version = version
            return self.by_id

    def _is_stale(self, tenant_id: int, version: int) -> bool:
        known = self.by_id.get(tenant_id)
        return known is None or known.version != version


def read_version(connection: Connection) -> int:
    """The version of the set-up; every change makes it greater."""
    version: int = connection.execute(select(schema.setup.c.version)).scalar_one()
    return version


def read_tenants(connection: Connection, ids: set[int]) -> Iterable[Tenant]:
    """These tenants with all that belongs to them, in a handful of queries.

    Raises SetupDamaged.
    """
    rows = _only(select(schema.tenant), schema.tenant.c.id, ids).order_by(schema.tenant.c.name)
    parts = {table: _rows_by_tenant(connection, table, ids) for table in _PARTS}
    for row in connection.execute(rows):
        if row.id not in ids:
            continue
        try:
            yield _tenant(row, {table: parts[table][row.id] for table in _PARTS})
        except ValueError as fault:  # InvalidValue, or no member of an enumeration
            raise SetupDamaged(f"the set-up was changed by hand: {fault}") from None


_IDS_MAX = 1000  # parameters of one statement, well below the limit of any engine
_PARTS = (schema.pool, schema.scope, schema.user, schema.client, schema.client_secret, schema.public_key)


def _rows_by_tenant(connection: Connection, table: Table, ids: set[int]) -> defaultdict[int, list[Row[Any]]]:
    rows: defaultdict[int, list[Row[Any]]] = defaultdict(list)
    query = _only(select(table), table.c.tenant_id, ids).order_by(*table.primary_key.columns)
    for row in connection.execute(query):
        rows[row.tenant_id].append(row)
    return rows


def _only(query: Select[Any], column: Column[Any], ids: set[int]) -> Select[Any]:
    """Narrow a query to these tenants; where there are too many for one statement, all are read."""
    return query.where(column.in_(ids)) if len(ids) <= _IDS_MAX else query


def _tenant(row: Row[Any], parts: dict[Table, list[Row[Any]]]) -> Tenant:
    pools = {part.id: _pool(part) for part in parts[schema.pool]}
    users = {part.initials: _user(part) for part in parts[schema.user]}
    secrets: defaultdict[int, list[ClientSecret]] = defaultdict(list)
    for part in parts[schema.client_secret]:
        secrets[part.client_key].append(_secret(part))
    keys: defaultdict[int, list[PublicKey]] = defaultdict(list)
    for part in parts[schema.public_key]:
        keys[part.client_key].append(_public_key(part))
    clients = [
        _client(part, users[part.initials], secrets[part.key], keys[part.key])
        for part in parts[schema.client]
    ]
    return Tenant(
        id=row.id,
        name=row.name,
        version=row.version,
        session_ttl_s=row.session_ttl_s,
        access_ttl_s=row.access_ttl_s,
        scope_default=row.scope_default,
        no_seat_status=row.no_seat_status,
        token_format=TokenFormat(row.token_format),
        strict_assertions=row.strict_assertions,
        time_zone=row.time_zone,
        scopes={part.name: _scope(part, pools) for part in parts[schema.scope]},
        pools=pools,
        users=users,
        clients={client.client_id: client for client in clients},
        clients_by_key={client.key: client for client in clients},
    )


def _pool(row: Row[Any]) -> Pool:
    return Pool(
        id=row.id,
        name=row.name,
        seats=row.seats,
        duplicates=Duplicates(row.duplicates),
        expires_at_ms=row.expires_at_ms,
        alerts=read_alerts(f"{row.alerts} {row.alerts_more}"),
        hold_s=row.hold_s,
    )


def _scope(row: Row[Any], pools: dict[int, Pool]) -> Scope:
    pool = None if row.pool_id is None else pools[row.pool_id].name
    return Scope(name=row.name, licensed=pool is not None, read_only=row.read_only, pool=pool)


def _user(row: Row[Any]) -> User:
    return User(initials=row.initials, name=row.name, password_hash=row.password_hash, enabled=row.enabled)


def _secret(row: Row[Any]) -> ClientSecret:
    return ClientSecret(
        secret_id=row.secret_id,
        hash=row.hash,
        created_at_ms=row.created_at_ms,
        expires_at_ms=row.expires_at_ms,
        last_used_at_ms=row.last_used_at_ms,
    )


def _public_key(row: Row[Any]) -> PublicKey:
    return PublicKey(
        thumbprint=row.thumbprint,
        jwk=row.jwk,
        kid=row.kid,
        algorithm=row.algorithm,
        created_at_ms=row.created_at_ms,
        expires_at_ms=row.expires_at_ms,
        last_used_at_ms=row.last_used_at_ms,
    )


def _client(row: Row[Any], user: User, secrets: list[ClientSecret], keys: list[PublicKey]) -> Client:
    return Client(
        key=row.key,
        client_id=row.client_id,
        user=user,
        enabled=row.enabled,
        sessions_max=row.sessions_max,
        scopes=None if row.scopes is None else frozenset(row.scopes.split()),
        grant_types=frozenset(GrantType(name) for name in row.grant_types.split()),
        introspects=row.introspects,
        password_allowed=row.password_allowed,
        suspended_until_ms=row.barred_until_ms,
        secrets=tuple(secrets),
        keys=tuple(keys),
    )
