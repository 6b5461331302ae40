"""A small tenant, the same in every test, like the one in the specification of the token endpoint.

`Jim_Test` has one pool, `full`, of 5 seats; the scopes `view` and `all`; the client `TestClientId` of user
`TC` (key 1), and `Client1` to `Client6` of users `C1` to `C6` (keys 2 to 7).
"""

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace
from sqlalchemy import Connection, Table, insert, select, text, update

from licet.ledger.commands import End, Grant, Refresh, UseAssertion
from licet.model import Client, Duplicates, EndReason, Group, Pool, Scope, Tenant, User, Value, options_of
from licet.store import schema
from licet.store.setup_rows import columns_of, rule_rows

FULL = Pool(id=1, name="full", seats=5)
VIEW = Scope(name="view", licensed=False, read_only=True, pool=None)
ALL = Scope(name="all", licensed=True, read_only=False, pool="full")
SMALL = replace(FULL, seats=1)
BY_USER = replace(FULL, duplicates=Duplicates.USER)
EACH = replace(FULL, duplicates=Duplicates.NONE)
REPORTS = Pool(id=2, name="reports", seats=1)
REPORT = Scope(name="report", licensed=True, read_only=True, pool="reports")


def client(key: int, client_id: str, initials: str, **changes: Any) -> Client:
    """A client of a user with these initials."""
    user = User(initials=initials, name=f"User {initials}", password_hash=None)
    return Client(key=key, client_id=client_id, user=user, **changes)


CLIENTS = (
    client(1, "TestClientId", "TC"),
    *(client(number + 1, f"Client{number}", f"C{number}") for number in range(1, 7)),
)
TWINS = (client(1, "Desktop", "TC"), client(2, "Phone", "TC"), client(3, "Other", "OT"))


def jim_test(
    *,
    pools: Sequence[Pool] = (FULL,),
    scopes: Sequence[Scope] = (VIEW, ALL),
    clients: Sequence[Client] = CLIENTS,
    groups: Sequence[Group] = (),
    **changes: Any,
) -> Tenant:
    """The tenant `Jim_Test`, or a similar one with some changes."""
    named: dict[str, Any] = {"id": 1, "name": "Jim_Test", "version": 1} | changes
    by_name = {it.name: it for it in groups}
    users_of = {it.client_id: it.user.initials for it in clients}
    options = {it.id: options_of(it, by_name, users_of) for it in pools}
    return Tenant(
        **named,
        groups=by_name,
        options={pool_id: found for pool_id, found in options.items() if found is not None},
        scopes={it.name: it for it in scopes},
        pools={it.id: it for it in pools},
        users={it.user.initials: it.user for it in clients},
        clients={it.client_id: it for it in clients},
        clients_by_key={it.key: it for it in clients},
    )


def sid(number: int) -> bytes:
    """The id of session `number`; ids are ordered like their numbers."""
    return number.to_bytes(20, "big")


def grant(
    client_key: int,
    number: int,
    *,
    scope: str = "all",
    pool_id: int | None = 1,
    other_pool_ids: tuple[int, ...] = (),
    tenant_id: int = 1,
    queue: bool = False,
    assertion: UseAssertion | None = None,
) -> Grant:
    """A client asks for a session with the id `sid(number)`."""
    return Grant(
        other_pool_ids=other_pool_ids,
        queue=queue,
        tenant_id=tenant_id,
        client_key=client_key,
        sid=sid(number),
        scope=scope,
        pool_id=pool_id,
        address="192.0.2.1",
        assertion=assertion,
    )


def used(client_key: int, number: int, *, tenant_id: int = 1, until_ms: int = 2**50) -> UseAssertion:
    """A client uses the assertion that has this number among its own."""
    jti = number.to_bytes(16, "big")
    return UseAssertion(tenant_id=tenant_id, client_key=client_key, jti=jti, until_ms=until_ms)


def view(client_key: int, number: int) -> Grant:
    """A client asks for a session that needs no seat."""
    return grant(client_key, number, scope="view", pool_id=None)


def refresh(client_key: int, number: int, *scope: str, tenant_id: int = 1) -> Refresh:
    """A client renews the session `sid(number)`."""
    return Refresh(tenant_id=tenant_id, client_key=client_key, sid=sid(number), scope=scope or None)


def end(
    number: int,
    reason: EndReason = EndReason.LOGOFF,
    *,
    client_key: int | None = None,
    tenant_id: int = 1,
) -> End:
    """The session `sid(number)` is to end."""
    return End(tenant_id=tenant_id, sid=sid(number), reason=reason, client_key=client_key)


def add_tenant(connection: Connection, tenant: Tenant) -> None:
    """Insert a tenant with all of its parts, except client secrets, into the tables."""

    def row(table: Table, value: Value, **columns: object) -> dict[str, Any]:
        numbers = {name: getattr(value, name) for name in ("id", "key") if hasattr(value, name)}
        return columns_of(value, table) | numbers | columns

    connection.execute(insert(schema.tenant), row(schema.tenant, tenant, version=0))
    if connection.dialect.name == "postgresql":  # which counts on from what it gave itself
        connection.execute(text("SELECT setval(pg_get_serial_sequence('tenant', 'id'), max(id)) FROM tenant"))
    own = {"tenant_id": tenant.id}
    pool_ids = {pool.name: pool.id for pool in tenant.pools.values()}
    rows = {
        schema.pool: [row(schema.pool, it, **own) for it in tenant.pools.values()],
        schema.scope: [
            row(schema.scope, it, pool_id=pool_ids.get(it.pool or ""), **own) for it in tenant.scopes.values()
        ],
        schema.pool_rule: [
            {**rule, "pool_id": pool.id, **own} for pool in tenant.pools.values() for rule in rule_rows(pool)
        ],
        schema.scope_pool: [
            {"scope": scope.name, "place": place, "pool_id": pool_ids[name], **own}
            for scope in tenant.scopes.values()
            for place, name in enumerate(scope.other_pools, 1)
        ],
        schema.group_member: [
            {"name": group.name, "member": member, **own}
            for group in tenant.groups.values()
            for member in members_of(group)
        ],
        schema.user: [row(schema.user, it, **own) for it in tenant.users.values()],
        schema.client: [row(schema.client, it, **own) for it in tenant.clients.values()],
    }
    for table, of_table in rows.items():
        if of_table:
            connection.execute(insert(table), of_table)
    bump(connection, tenant.id)


def members_of(group: Group) -> list[str]:
    """The rows of a group and its members."""
    return ["", *(f"user:{it}" for it in group.users), *(f"client:{it}" for it in group.clients)]


def bump(connection: Connection, tenant_id: int) -> int:
    """Give the set-up of a tenant a new version, which every server notices; returns the version."""
    connection.execute(update(schema.setup).values(version=schema.setup.c.version + 1))
    version: int = connection.execute(select(schema.setup.c.version)).scalar_one()
    connection.execute(update(schema.tenant).filter_by(id=tenant_id).values(version=version))
    return version
