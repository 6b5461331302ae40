"""Fills a store with a million consistent sessions in seconds, by statements of the database.

Tenant n has the pool n, the scopes `view` and `all`, and every n-th client. Each client with a session has a
seat. The sessions belong to the clients in turn, began within the last minutes, and last for a day.
"""

import sqlite3
from typing import NamedTuple

from sqlalchemy import Connection, insert, text

from bench.measured.stores import POSTGRES, Kind, Place, connection
from bench.measured.wire import Request, basic, form
from licet.clock import SystemClock
from licet.credentials.generated import ClientSecrets, NewClientSecret
from licet.credentials.keyring import Keyring
from licet.credentials.tokens import new_sid
from licet.ledger.commands import End, Grant
from licet.model import SESSIONS_MAX_MAX, EndReason, GrantType
from licet.store import schema

DAY_S = 86_400
_USER = "BN"
_MANY_ROWS = 50_000  # of one statement


class Shape(NamedTuple):
    """The size of a store. `late` further clients have no session; `room` seats of each pool are free."""

    tenants: int = 1
    clients: int = 10_000
    sessions: int = 10_000
    late: int = 0
    room: int = 2


class Loaded:
    """A store of some shape, and the requests and commands for it."""

    def __init__(self, kind: Kind, keyring: Keyring, shape: Shape) -> None:
        self.shape = shape
        self.kind = kind
        secrets = ClientSecrets(keyring.pepper)
        self._secrets = [secrets.generate() for _ in range(shape.clients + shape.late)]
        self.place = kind.make(keyring)
        _fill(self.place, kind, shape, self._secrets)

    def grant(self, number: int) -> Request:
        """An HTTP request for a grant."""
        header = basic(f"Client{number}", self._secrets[number].secret)
        return form(f"/Tenant{self._tenant(number)}/token", header, grant_type="client_credentials")

    def command(self, number: int, sid: bytes) -> Grant:
        """The command of a grant."""
        tenant_id = self._tenant(number)
        return Grant(
            tenant_id=tenant_id,
            client_key=number + 1,
            sid=sid,
            scope="all",
            pool_id=tenant_id,
            address="127.0.0.1",
        )

    def end(self, number: int, sid: bytes) -> End:
        """The command that ends a session."""
        return End(tenant_id=self._tenant(number), sid=sid, reason=EndReason.LOGOFF)

    def _tenant(self, number: int) -> int:
        return number % self.shape.tenants + 1


def _fill(place: Place, kind: Kind, shape: Shape, secrets: list[NewClientSecret]) -> None:
    now_ms = SystemClock().now_ms()
    with connection(place) as opened:
        _insert_tenants(opened, shape)
        _insert_clients(opened, shape, secrets, now_ms)
        _insert_sessions(opened, shape, now_ms, in_postgres=kind.name == POSTGRES)
        opened.execute(text("UPDATE setup SET version = version + 1"))
        opened.execute(text("UPDATE tenant SET version = (SELECT version FROM setup)"))
    if kind.name == POSTGRES:
        # Otherwise autovacuum and the checkpointer would do this during the measurement.
        with connection(place, is_apart=True) as opened:
            for statement in ("VACUUM (ANALYZE)", "CHECKPOINT"):
                opened.execute(text(statement))


def _insert_tenants(connection: Connection, shape: Shape) -> None:
    numbers = range(1, shape.tenants + 1)
    life = {"version": 0, "session_ttl_s": DAY_S, "access_ttl_s": DAY_S, "scope_default": "all"}
    connection.execute(
        insert(schema.tenant),
        [{"id": number, "name": f"Tenant{number}", "no_seat_status": 400} | life for number in numbers],
    )
    seats = -(-shape.clients // shape.tenants) + shape.room
    pool = {"name": "full", "seats": seats, "duplicates": "client", "in_use": 0, "overuse": 0}
    connection.execute(
        insert(schema.pool), [{"id": number, "tenant_id": number} | pool for number in numbers]
    )
    view: list[dict[str, object]] = [
        {"tenant_id": number, "name": "view", "read_only": True, "pool_id": None} for number in numbers
    ]
    every: list[dict[str, object]] = [
        {"tenant_id": number, "name": "all", "read_only": False, "pool_id": number} for number in numbers
    ]
    connection.execute(insert(schema.scope), view + every)
    user = {"initials": _USER, "name": "Bench", "password_hash": None, "enabled": True}
    connection.execute(insert(schema.user), [{"tenant_id": number} | user for number in numbers])


def _insert_clients(
    connection: Connection, shape: Shape, secrets: list[NewClientSecret], now_ms: int
) -> None:
    common = {
        "initials": _USER,
        "enabled": True,
        "sessions_max": SESSIONS_MAX_MAX,
        "scopes": None,
        "grant_types": " ".join(sorted(GrantType)),
        "introspects": False,
        "password_allowed": False,
    }
    for begin in range(0, len(secrets), _MANY_ROWS):
        numbers = range(begin, min(len(secrets), begin + _MANY_ROWS))
        tenants = {number: number % shape.tenants + 1 for number in numbers}
        clients = [
            {"key": number + 1, "tenant_id": tenants[number], "client_id": f"Client{number}"}
            for number in numbers
        ]
        connection.execute(insert(schema.client), [client | common for client in clients])
        kept = [
            {
                "secret_id": secrets[number].secret_id,
                "tenant_id": tenants[number],
                "client_key": number + 1,
                "hash": secrets[number].hash,
                "created_at_ms": now_ms,
            }
            for number in numbers
        ]
        connection.execute(insert(schema.client_secret), kept)


# The id of a session is its beginning in four bytes, and 16 random bytes; for SQLite we supply the function.
_SID = {
    False: "bench_new_sid(started)",
    True: (
        "decode(lpad(to_hex(started >> 4 & 4294967295), 8, '0'), 'hex')"
        " || substr(sha256(convert_to(CAST(n AS text), 'UTF8')), 1, 16)"
    ),
}
_NUMBERS = {
    False: "WITH RECURSIVE numbers(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < {rows})",
    True: "WITH numbers AS (SELECT n FROM generate_series(CAST(0 AS bigint), {rows} - 1) AS n)",
}
_STARTED = "CAST(:now_ms - (:sessions - {n}) * 600000 / :sessions AS bigint)"
_SESSIONS = """
INSERT INTO session (sid, tenant_id, client_key, scope, pool_id, holder,
  started_at_ms, renewed_at_ms, expires_at_ms, address)
{numbers}, rows AS (
  SELECT n, n % :clients AS client, n % :clients % :tenants + 1 AS tenant, {started} AS started FROM numbers)
SELECT {sid}, tenant, client + 1, 'all', tenant, 'client:Client' || client,
  started, started, started + 86400000, '127.0.0.1' FROM rows ORDER BY n
"""
# Each client with sessions: when its first and its last session began, and their number.
_HOLDERS = """
{numbers}, holders AS (
  SELECT n % :tenants + 1 AS tenant, 'Client' || n AS client, (:sessions - 1 - n) / :clients + 1 AS times,
    {first} AS first, {last} AS last FROM numbers)
"""
_SEATS = """
INSERT INTO seat (pool_id, holder, tenant_id, client_id, initials, taken_at_ms, expires_at_ms)
{holders}
SELECT tenant, 'client:' || client, tenant, client, 'BN', first, last + 86400000 FROM holders
"""
_JOURNAL = """
INSERT INTO journal (tenant_id, minute, kind, reason, pool, client_id,
  initials, times, first_at_ms, last_at_ms, address)
{holders}
SELECT tenant, first / 60000, 'granted', '', 'full', client,
  'BN', times, first, last, '127.0.0.1' FROM holders
"""
_IN_USE = "UPDATE pool SET in_use = (SELECT count(*) FROM seat WHERE seat.pool_id = pool.id)"


def _insert_sessions(connection: Connection, shape: Shape, now_ms: int, *, in_postgres: bool) -> None:
    begin_sessions(connection, shape, now_ms, in_postgres=in_postgres)
    values = _values(shape, now_ms) | {"holders": min(shape.clients, shape.sessions)}
    holders = _HOLDERS.format(
        numbers=_NUMBERS[in_postgres].format(rows=":holders"),
        first=_STARTED.format(n="n"),
        last=_STARTED.format(n="(n + (:sessions - 1 - n) / :clients * :clients)"),
    )
    for statement in (_SEATS, _JOURNAL):
        connection.execute(text(statement.format(holders=holders)), values)
    connection.execute(text(_IN_USE))


def begin_sessions(connection: Connection, shape: Shape, now_ms: int, *, in_postgres: bool) -> None:
    """Insert the sessions of a shape as of this moment, without their seats.

    With a moment two days ago, they have expired.
    """
    if not in_postgres:
        raw = connection.connection.driver_connection
        assert isinstance(raw, sqlite3.Connection)
        raw.create_function("bench_new_sid", 1, new_sid)
    numbers = _NUMBERS[in_postgres].format(rows=":sessions")
    started = _STARTED.format(n="n")
    statement = _SESSIONS.format(numbers=numbers, started=started, sid=_SID[in_postgres])
    connection.execute(text(statement), _values(shape, now_ms))


def _values(shape: Shape, now_ms: int) -> dict[str, int]:
    return {
        "sessions": shape.sessions,
        "clients": shape.clients,
        "tenants": shape.tenants,
        "now_ms": now_ms,
    }
