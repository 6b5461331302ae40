"""Keeps the set-up in memory: snapshots of all tenants, renewed when the store's version grows.

Using them needs no I/O, so that parsing a request and authenticating a client wait for nothing. A transaction
checks their version again, so that it decides on the set-up of its own instant.

A version lower than the one before comes from a database that has lost commits. No version is used twice
(`licet.store.setup_version`), so a lost change is not mistaken for a later one.

They are read by the driver itself, so that a process that only commits does not need SQLAlchemy. A statement
names its columns, because a migration may add columns after it was prepared.
"""

import threading
from collections import defaultdict, namedtuple
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from licet.model import ClientSecret, PublicKey, Tenant, User, options_of
from licet.store.errors import SetupDamaged
from licet.store.licences_read import counting_licences, signed_pools
from licet.store.setup_rows import client_of, groups_of, pool_of, scope_of, tenant_of, value_of

if TYPE_CHECKING:
    from sqlalchemy import Connection

Ask = Callable[[str], Iterable[Sequence[Any]]]
"""Executes a statement; its rows."""


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

    def refresh(
        self, connection: "Connection | Ask", version: int, before: int | None = None
    ) -> dict[int, Tenant]:
        """The tenants as of the store's `version`, which this connection sees.

        `before` is the version that was known before this one was read; without it, nobody can change the
        set-up meanwhile. An older one than that is of a database that has lost commits: all is read again.
        """
        with self._lock:
            is_lost = version < (self.version if before is None else before)
            if version > self.version or is_lost:  # Another thread may have seen a later one.
                known = dict[int, int](map(tuple, _ask(connection)(_PRESENT)))
                changed = {key for key, of in known.items() if is_lost or self._is_stale(key, of)}
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


def read_version(connection: "Connection | Ask") -> int:
    """The version of the set-up; every change makes it greater."""
    [(version,)] = _ask(connection)(_VERSION)
    return int(version)


def read_tenants(connection: "Connection | Ask", ids: set[int]) -> Iterable[Tenant]:
    """These tenants with all that belongs to them, in a handful of queries.

    Raises SetupDamaged.
    """
    if not ids:
        return
    ask = _ask(connection)
    parts = {table: _rows_by_tenant(ask, table, ids) for table in _PARTS}
    vendors = [text for (text,) in ask(_VENDORS)]
    for row in _TENANT.rows(ask, ids):
        if row.id not in ids:
            continue
        try:
            yield _tenant(row, {table: parts[table][row.id] for table in _PARTS}, vendors)
        except ValueError as fault:  # InvalidValue, or no member of an enumeration
            raise SetupDamaged(f"the set-up was changed by hand: {fault}") from None


def _ask(connection: "Connection | Ask") -> Ask:
    return connection if callable(connection) else connection.exec_driver_sql


_IDS_MAX = 1000  # in one statement


class Part(NamedTuple):
    """What is read of a table: some columns, of which `flags` are truth values, in an order."""

    table: str
    columns: str
    flags: str
    order: str
    tenant: str = "tenant_id"

    def rows(self, ask: Ask, ids: set[int]) -> Iterable[Any]:
        """The rows of these tenants; where there are too many for one statement, all are read."""
        names = self.columns.split()
        make = _kind_of_row(self.columns)
        flags = [names.index(flag) for flag in self.flags.split()]
        chosen = ""
        if len(ids) <= _IDS_MAX:
            chosen = f" WHERE {self.tenant} IN ({', '.join(map(str, sorted(ids)))})"
        statement = f"SELECT {', '.join(names)} FROM {self.table}{chosen} ORDER BY {self.order}"  # noqa: S608 - numbers
        for row in ask(statement):
            values = list(row)
            for flag in flags:
                values[flag] = bool(values[flag])
            yield make(*values)


@cache
def _kind_of_row(names: str) -> Any:
    return namedtuple("Row", names)  # noqa: PYI024 - which names, the part says


_VERSION: Final = "SELECT version FROM setup"
_PRESENT: Final = "SELECT id, version FROM tenant WHERE removed_at_ms IS NULL"
_VENDORS: Final = "SELECT text FROM vendor ORDER BY name"
_TENANT: Final = Part(
    "tenant",
    "id name version session_ttl_s access_ttl_s scope_default no_seat_status token_format strict_assertions"
    " time_zone licence_required",
    "strict_assertions licence_required",
    "name",
    "id",
)
_POOL: Final = Part(
    "pool",
    "id tenant_id name seats duplicates expires_at_ms alerts alerts_more hold_s is_signed all_signed"
    " overdraft max_per_user max_per_client queue queue_hold_s",
    "is_signed all_signed",
    "id",
)
_SCOPE: Final = Part("scope", "tenant_id name read_only pool_id", "read_only", "tenant_id, name")
_RULE: Final = Part("pool_rule", "pool_id kind who tenant_id number until_ms", "", "pool_id, kind, who")
_SCOPE_POOL: Final = Part("scope_pool", "tenant_id scope place pool_id", "", "tenant_id, scope, place")
_GROUP_MEMBER: Final = Part("group_member", "tenant_id name member", "", "tenant_id, name, member")
_USER: Final = Part(
    "user_account",
    "tenant_id initials name password_hash enabled cost_centre",
    "enabled",
    "tenant_id, initials",
)
_CLIENT: Final = Part(
    "client",
    "key tenant_id client_id initials enabled sessions_max scopes grant_types introspects password_allowed"
    " barred_until_ms",
    "enabled introspects password_allowed",
    "key",
)
_CLIENT_SECRET: Final = Part(
    "client_secret",
    "secret_id tenant_id client_key hash created_at_ms expires_at_ms last_used_at_ms",
    "",
    "secret_id",
)
_PUBLIC_KEY: Final = Part(
    "public_key",
    "client_key thumbprint tenant_id jwk kid algorithm created_at_ms expires_at_ms last_used_at_ms",
    "",
    "client_key, thumbprint",
)
_LICENCE: Final = Part(
    "licence",
    "tenant_id vendor product licence serial text removed_at_ms",
    "",
    "tenant_id, vendor, product, licence, serial",
)
_PARTS: Final = (
    _POOL,
    _RULE,
    _SCOPE,
    _SCOPE_POOL,
    _GROUP_MEMBER,
    _USER,
    _CLIENT,
    _CLIENT_SECRET,
    _PUBLIC_KEY,
    _LICENCE,
)


def _rows_by_tenant(ask: Ask, part: Part, ids: set[int]) -> defaultdict[int, list[Any]]:
    rows: defaultdict[int, list[Any]] = defaultdict(list)
    for row in part.rows(ask, ids):
        rows[row.tenant_id].append(row)
    return rows


def _tenant(row: Any, parts: dict[Part, list[Any]], vendors: list[str]) -> Tenant:
    marked = [part.name for part in parts[_POOL] if part.is_signed]
    licences = counting_licences(parts[_LICENCE], vendors, row.name)
    signed = signed_pools(licences, marked)
    rules = defaultdict[int, list[Any]](list)
    for part in parts[_RULE]:
        rules[part.pool_id].append(part)
    pools = {part.id: pool_of(part, rules[part.id], signed.get(part.name)) for part in parts[_POOL]}
    drawn = defaultdict[str, list[str]](list)
    for part in parts[_SCOPE_POOL]:
        drawn[part.scope].append(pools[part.pool_id].name)
    groups = groups_of(parts[_GROUP_MEMBER])
    users = {part.initials: value_of(User, part) for part in parts[_USER]}
    secrets: defaultdict[int, list[ClientSecret]] = defaultdict(list)
    for part in parts[_CLIENT_SECRET]:
        secrets[part.client_key].append(value_of(ClientSecret, part))
    keys: defaultdict[int, list[PublicKey]] = defaultdict(list)
    for part in parts[_PUBLIC_KEY]:
        keys[part.client_key].append(value_of(PublicKey, part))
    clients = [
        client_of(part, users[part.initials], secrets=tuple(secrets[part.key]), keys=tuple(keys[part.key]))
        for part in parts[_CLIENT]
    ]
    users_of = {client.client_id: client.user.initials for client in clients}
    options = {pool.id: options_of(pool, groups, users_of) for pool in pools.values()}
    return tenant_of(
        row,
        pools=pools,
        scopes={part.name: scope_of(part, pools, drawn[part.name]) for part in parts[_SCOPE]},
        users=users,
        clients={client.client_id: client for client in clients},
        clients_by_key={client.key: client for client in clients},
        groups=groups,
        options={pool_id: found for pool_id, found in options.items() if found is not None},
        licences=licences,
    )
