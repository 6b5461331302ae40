"""Commits, by one call of a function of the database, a batch that moves no seat.

Grants to holders that have a seat, refreshes, and denials insert and update rows only. If all that decides
them is remembered (`memory.py`), `licet_commit` takes the locks of the batch, checks whether anybody else has
written since, writes the rows, and the call is committed: one round trip instead of two, and a fraction of
the work. The statement that calls it writes the denials, and the assertions that are used, unless the
function refuses.

The rules:

- The function decides nothing. It checks the version of the set-up, who wrote last, whether it is the same
  connection, and that it is not too late; otherwise it does nothing and says so.
- The database's clock is the only one, and is read under the locks. So the rows are sent with how long they
  live, not until when; the batch was decided for the last known moment of that clock (`ledger/later.py`).
  But an assertion says itself until when it has to be remembered.
- An assertion that was used before is found by the statement, which then calls no function. If another node
  uses it at the same time, the key of the table is violated, and nothing of the call is written.
- The call is a transaction of its own, with the deadlines of every other statement. If no reply comes, or one
  with a warning, it is unknown whether it was committed.
- Where the function is not there, or may not be called, every batch is loaded and saved.
"""

from collections.abc import Sequence
from enum import IntEnum
from functools import cache
from typing import Any, NamedTuple

from psycopg import errors, generators
from psycopg.pq import ExecStatus, Format, TransactionStatus
from psycopg.pq.abc import PGresult

from licet.store.postgres.arrays import byte_strings, numbers, texts
from licet.store.postgres.connection import Doubtful, DriverConnection
from licet.store.postgres.memory import Memory
from licet.store.rows import DENIAL, Row, Saving

# Asked once of each new connection.
CAN_CALL = (
    b"SELECT pg_backend_pid(), (SELECT count(*) FROM pg_proc WHERE proname = 'licet_commit'"
    b" AND pg_function_is_visible(oid) AND has_function_privilege(oid, 'EXECUTE'))"
)

_NAME = b"licet_commit"
_TYPES = (
    *("bigint", "bigint", "bigint", "integer", "bigint", "bigint", "integer[]", "bigint[]"),
    *("bytea[]", "bigint[]", "bigint[]", "text[]", "bigint[]", "text[]", "bigint[]"),
    *("text[]", "text[]", "text[]", "text[]"),
    *("bytea[]", "bigint[]"),
    *("bigint[]", "text[]", "bigint[]", "text[]"),
)
_COMMIT = f"licet_commit({', '.join(f'${at}::{type_}' for at, type_ in enumerate(_TYPES, 1))})"
_CALL = f"SELECT {_COMMIT}".encode()
# The columns of denials but for the moment, which is that of the commit.
_DENIED = [column for column in DENIAL.split(", ") if column != "at_ms"]
_DENIED_TYPES = ("bigint", "text", "text", "text", "text", "bigint", "bigint", "bigint", "text")
_USED_TYPES = ("bigint", "bigint", "bytea", "bigint")
_USED_KEY = "pk_assertion_used"


class Refused(IntEnum):
    """Why nothing was written."""

    SETUP = -1  # The set-up has changed, somebody else wrote sessions by it, or it is another connection.
    WRITER = -2  # Another connection has written in one of the tenants.
    LATE = -3  # It is later than the moment until which the decision holds.
    USED = -4  # One of the assertions was used before.


class Call(NamedTuple):
    """A batch as it is sent: it was decided for `decided_ms`, and holds before `until_ms`."""

    decided_ms: int
    until_ms: int
    locks: str
    tenants: str


def commit_by_call(raw: DriverConnection, memory: Memory, call: Call, rows: Saving[Sequence[Row]]) -> int:
    """Write what began and was renewed, and commit.

    Returns the moment of the commit, or one of `Refused`, which are less than 0. Raises Doubtful.
    """
    raw.warnings.clear()
    checks = (memory.setup_version, memory.setup_writer, memory.writer, memory.backend)
    arguments = [*map(str, (*checks, call.decided_ms, call.until_ms)), call.locks, call.tenants]
    arguments += _arrays(rows, call.decided_ms)
    if rows.denials:
        arguments += _denials(rows)
    if rows.assertions_used:
        arguments += _used(rows)
    name, statement = _statement(denies=bool(rows.denials), uses=bool(rows.assertions_used))
    sent = [argument.encode() for argument in arguments]
    try:
        answer = _call(raw, name, statement, sent)
    except errors.UniqueViolation as violated:
        if violated.diag.constraint_name != _USED_KEY:
            raise
        return Refused.USED
    value = answer.get_value(0, 0)
    assert value is not None, "the function always answers"
    return int.from_bytes(value, "big", signed=True)


@cache
def _statement(*, denies: bool, uses: bool) -> tuple[bytes, bytes]:
    """The call of the function with what else it writes: its name when it is prepared, and its text."""
    name, first = _NAME, len(_TYPES) + 1
    if not denies and not uses:
        return name, _CALL
    ctes, call = [], f"SELECT {_COMMIT} AS at_ms"
    if denies:
        name += b"_denying"
        ctes.append(
            f"denied AS (INSERT INTO denial_entry (at_ms, {', '.join(_DENIED)})"
            f" SELECT call.at_ms, it.* FROM call CROSS JOIN {_unnest(_DENIED_TYPES, first)} AS it"
            " WHERE call.at_ms > 0)"
        )
        first += len(_DENIED_TYPES)
    if uses:
        name += b"_using"
        rows = _unnest(_USED_TYPES, first)
        call = (
            f"SELECT CASE WHEN EXISTS (SELECT 1 FROM {rows} AS asked (tenant_id, client_key, jti)"
            " CROSS JOIN LATERAL (SELECT 1 FROM assertion_used AS it WHERE it.tenant_id = asked.tenant_id"
            " AND it.client_key = asked.client_key AND it.jti = asked.jti OFFSET 0) AS found)"
            f" THEN {Refused.USED:d}::bigint ELSE {_COMMIT} END AS at_ms"
        )
        ctes.append(
            "used AS (INSERT INTO assertion_used (tenant_id, client_key, jti, until_ms)"
            f" SELECT it.* FROM call CROSS JOIN {rows} AS it WHERE call.at_ms > 0)"
        )
    text = f"WITH call AS MATERIALIZED ({call}), {', '.join(ctes)} SELECT at_ms FROM call"
    return name, text.encode()


def _unnest(types: Sequence[str], first: int) -> str:
    return f"unnest({', '.join(f'${at}::{type_}[]' for at, type_ in enumerate(types, first))})"


def _call(raw: DriverConnection, name: bytes, statement: bytes, arguments: Sequence[bytes]) -> PGresult:
    try:
        return _call_once(raw, name, statement, arguments)
    except errors.InvalidSqlStatementName:  # A ROLLBACK of the driver may have dropped it.
        raw.prepared_calls.discard(name)
        return _call_once(raw, name, statement, arguments)


def _call_once(raw: DriverConnection, name: bytes, statement: bytes, arguments: Sequence[bytes]) -> PGresult:
    if name not in raw.prepared_calls:
        raw.pgconn.send_prepare(name, statement)
        _result(raw)
        raw.prepared_calls.add(name)
    raw.pgconn.send_query_prepared(name, arguments, result_format=Format.BINARY)
    return _result(raw)


def _arrays(rows: Saving[Sequence[Row]], decided_ms: int) -> list[str]:
    """The rows as the function takes them: an array for each column, lives instead of instants."""
    written = (
        *(rows.sessions_new, rows.sessions_renewed, rows.seats_kept),
        *(rows.entries, rows.denials, rows.assertions_used),
    )
    assert sum(map(len, rows)) == sum(map(len, written)), "a batch that changes no seat"
    # Each session that begins has its entry in the journal, in the same order.
    sid, tenant, client, scope, pool, holder, _, _, expires, address = _columns(rows.sessions_new, 10)
    entry_tenant, _, _, _, pool_name, client_id, initials, _ = _columns(rows.entries, 8)
    assert entry_tenant == tenant, "an entry for each session"
    renewed, _, renewed_expires = _columns(rows.sessions_renewed, 3)
    seat_pool, seat_holder, _, _, _, _, seat_expires, _, sources = _columns(rows.seats_kept, 9)

    def lives(instants: Sequence[int]) -> str:
        return numbers([instant - decided_ms for instant in instants])

    return [
        *(byte_strings(sid), numbers(tenant), numbers(client), texts(scope), numbers(pool), texts(holder)),
        *(lives(expires), texts(address), texts(pool_name), texts(client_id), texts(initials)),
        *(byte_strings(renewed), lives(renewed_expires)),
        *(numbers(seat_pool), texts(seat_holder), lives(seat_expires), texts(sources)),
    ]


def _denials(rows: Saving[Sequence[Row]]) -> list[str]:
    tenant, _, reason, pool, client_id, initials, times, seats, in_use, address = _columns(rows.denials, 10)
    return [
        *(numbers(tenant), texts(reason), texts(pool), texts(client_id), texts(initials)),
        *(numbers(times), numbers(seats), numbers(in_use), texts(address)),
    ]


def _used(rows: Saving[Sequence[Row]]) -> list[str]:
    tenants, clients, hashes, until = _columns(rows.assertions_used, 4)
    return [numbers(tenants), numbers(clients), byte_strings(hashes), numbers(until)]


def _columns(rows: Sequence[Sequence[Any]], count: int) -> Sequence[Sequence[Any]]:
    return list(zip(*rows, strict=True)) if rows else [()] * count


def _result(raw: DriverConnection) -> PGresult:
    """The result of what was sent: it has ended, with its transaction.

    What fails at the commit comes behind a result that was good. Raises an exception of the driver, Doubtful.
    """
    results: list[PGresult] = raw.wait(generators.execute(raw.pgconn))
    for result in results:
        if result.status not in {ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK}:
            raise errors.error_from_result(result)
    if len(results) != 1 or raw.warnings or raw.info.transaction_status != TransactionStatus.IDLE:
        said = raw.warnings[0] if raw.warnings else "no answer that can be read"
        raise Doubtful(f"it is not certain that a commit holds: {said}")
    return results[0]
