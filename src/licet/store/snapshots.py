"""Keeps the set-up in memory: snapshots of all tenants, renewed when the store's version grows.

Reading them costs no I/O, so that parsing a request and authenticating a client wait for nothing. A
transaction checks their version again, so that it decides on the set-up of its own instant.
"""

import threading
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from sqlalchemy import BindParameter, Connection, Row, Table, bindparam, select

from licet.model import ClientSecret, PublicKey, Tenant, User
from licet.store import schema
from licet.store.errors import SetupDamaged
from licet.store.licences_read import counting_licences, signed_pools
from licet.store.setup_rows import client_of, pool_of, scope_of, tenant_of, value_of


class Tenants:
    """The snapshots. `by_id` and `by_name` are replaced whole, never changed; any thread may read them.

    `is_any_signed` is whether a tenant has a signed pool (L13).
    """

    def __init__(self) -> None:
        self.version = -1
        self.by_id: dict[int, Tenant] = {}
        self.by_name: dict[str, Tenant] = {}
        self.is_any_signed = False
        self._lock = threading.Lock()

    def refresh(self, connection: Connection, version: int) -> dict[int, Tenant]:
        """The tenants as of the store's `version`, which this connection sees."""
        with self._lock:
            if version > self.version:  # Another thread may have seen a later one.
                known = {row.id: row.version for row in connection.execute(_PRESENT)}
                changed = {key for key, row_version in known.items() if self._is_stale(key, row_version)}
                by_id = {key: tenant for key, tenant in self.by_id.items() if key in known}
                by_id |= {tenant.id: tenant for tenant in read_tenants(connection, changed)}
                self.is_any_signed = any(map(_has_signed_pools, by_id.values()))
                self.by_id, self.by_name = by_id, {tenant.name: tenant for tenant in by_id.values()}
                self.version = version
            return self.by_id

    def _is_stale(self, tenant_id: int, version: int) -> bool:
        known = self.by_id.get(tenant_id)
        return known is None or known.version != version


def _has_signed_pools(tenant: Tenant) -> bool:
    return any(pool.signed is not None for pool in tenant.pools.values())


def read_version(connection: Connection) -> int:
    """The version of the set-up; every change makes it greater."""
    version: int = connection.execute(_VERSION).scalar_one()
    return version


def read_tenants(connection: Connection, ids: set[int]) -> Iterable[Tenant]:
    """These tenants with all that belongs to them, in a handful of queries.

    Raises SetupDamaged.
    """
    if not ids:
        return
    parts = {table: _rows_by_tenant(connection, table, ids) for table in _PARTS}
    vendors = [row.text for row in connection.execute(select(schema.vendor).order_by(schema.vendor.c.name))]
    for row in _rows(connection, schema.tenant, ids):
        if row.id not in ids:
            continue
        try:
            yield _tenant(row, {table: parts[table][row.id] for table in _PARTS}, vendors)
        except ValueError as fault:  # InvalidValue, or no member of an enumeration
            raise SetupDamaged(f"the set-up was changed by hand: {fault}") from None


_IDS_MAX = 1000  # parameters of one statement, well below the limit of any engine
_PARTS = (
    schema.pool,
    schema.scope,
    schema.user,
    schema.client,
    schema.client_secret,
    schema.public_key,
    schema.licence,
)
# To make a statement takes as long as to execute it.
_VERSION = select(schema.setup.c.version)
_PRESENT = select(schema.tenant.c.id, schema.tenant.c.version).where(schema.is_there)
_IDS: BindParameter[int] = bindparam("ids", expanding=True)
_ALL = {table: select(table).order_by(*table.primary_key.columns) for table in _PARTS}
_ALL[schema.tenant] = select(schema.tenant).order_by(schema.tenant.c.name)
_SOME = {table: query.where(table.c.tenant_id.in_(_IDS)) for table, query in _ALL.items() if table in _PARTS}
_SOME[schema.tenant] = _ALL[schema.tenant].where(schema.tenant.c.id.in_(_IDS))


def _rows_by_tenant(connection: Connection, table: Table, ids: set[int]) -> defaultdict[int, list[Row[Any]]]:
    rows: defaultdict[int, list[Row[Any]]] = defaultdict(list)
    for row in _rows(connection, table, ids):
        rows[row.tenant_id].append(row)
    return rows


def _rows(connection: Connection, table: Table, ids: set[int]) -> Iterable[Row[Any]]:
    """The rows of these tenants; where there are too many for one statement, all are read."""
    if len(ids) > _IDS_MAX:
        return connection.execute(_ALL[table])
    return connection.execute(_SOME[table], {"ids": list(ids)})


def _tenant(row: Row[Any], parts: dict[Table, list[Row[Any]]], vendors: list[str]) -> Tenant:
    marked = [part.name for part in parts[schema.pool] if part.is_signed]
    licences = counting_licences(parts[schema.licence], vendors, row.name)
    signed = signed_pools(licences, marked)
    pools = {part.id: pool_of(part, signed.get(part.name)) for part in parts[schema.pool]}
    users = {part.initials: value_of(User, part) for part in parts[schema.user]}
    secrets: defaultdict[int, list[ClientSecret]] = defaultdict(list)
    for part in parts[schema.client_secret]:
        secrets[part.client_key].append(value_of(ClientSecret, part))
    keys: defaultdict[int, list[PublicKey]] = defaultdict(list)
    for part in parts[schema.public_key]:
        keys[part.client_key].append(value_of(PublicKey, part))
    clients = [
        client_of(part, users[part.initials], secrets=tuple(secrets[part.key]), keys=tuple(keys[part.key]))
        for part in parts[schema.client]
    ]
    return tenant_of(
        row,
        pools=pools,
        scopes={part.name: scope_of(part, pools) for part in parts[schema.scope]},
        users=users,
        clients={client.client_id: client for client in clients},
        clients_by_key={client.key: client for client in clients},
        licences=licences,
    )
