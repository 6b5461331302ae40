"""Ends sessions for an administrator, or because the set-up that they depend on changes.

This module finds the sessions; the ledger decides what their end means for a seat (L4). All of it is in the
caller's transaction, before the caller changes a row and before the set-up's version grows: the ledger must
see the tenants as they were committed.
"""

from collections.abc import Callable, Collection, Sequence

from sqlalchemy import ColumnElement, Select, func, select, update

from licet.lanes.commit import apply_all
from licet.ledger.commands import End, Ended, Sweep, Swept
from licet.model import EndReason, InvalidValue, Value, out_of_range
from licet.refusal import Code
from licet.store import schema
from licet.store.contract import Transaction

BATCH = 256  # sessions that one book holds; as in a lane
REASON_CHARS_MAX = 200  # a guess: a sentence
COOL_DOWN_S_MAX = 86_400  # to suspend a client for longer, disable it
_IDS_MAX = 500  # parameters of one statement


class SessionsEnded(Value, frozen=True, kw_only=True):
    """The result of ending sessions: how many were active, and how many seats came back.

    `seats_on_hold` are on hold for their last tokens (L18), the last of them until `seats_free_at_ms`.
    `clients` are those of the sessions, suspended until `suspended_until_ms`, if that is not None.
    """

    sessions: int
    seats: int
    seats_on_hold: int
    seats_free_at_ms: int | None
    clients: tuple[str, ...]
    suspended_until_ms: int | None


def sessions_ended(
    outcomes: Sequence[Ended], clients: tuple[str, ...], suspended_until_ms: int | None
) -> SessionsEnded:
    """The result, from the ledger's outcome for each session."""
    held = [outcome.seat_free_at_ms for outcome in outcomes if outcome.seat_free_at_ms is not None]
    return SessionsEnded(
        sessions=sum(outcome.session is not None for outcome in outcomes),
        seats=sum(outcome.seat_released for outcome in outcomes),
        seats_on_hold=len(held),
        seats_free_at_ms=max(held, default=None),
        clients=clients,
        suspended_until_ms=suspended_until_ms,
    )


def check_ending(reason: str, cool_down_s: int) -> None:
    """Return if sessions may be ended with this reason, and their clients suspended for this time.

    Raises InvalidValue.
    """
    if len(reason) > REASON_CHARS_MAX or not reason.isprintable():
        text = f"a reason is one line of at most {REASON_CHARS_MAX} characters"
        code = Code.TOO_LONG if len(reason) > REASON_CHARS_MAX else Code.MALFORMED
        raise InvalidValue(text, code=code, field="reason", limit=REASON_CHARS_MAX)
    if not 0 <= cool_down_s <= COOL_DOWN_S_MAX:
        text = "a cool-down is at most 24h; to keep a client out for longer, disable it"
        raise out_of_range(text, "cool_down", cool_down_s, 0, COOL_DOWN_S_MAX)


def sweep_all(transaction: Transaction) -> None:
    """Sweep every expired session, so that a pool counts only seats in use."""
    swept = BATCH
    while swept == BATCH:
        outcome = apply_all(transaction, [Sweep(sessions_max=BATCH)])[0]
        assert isinstance(outcome, Swept)
        swept = outcome.sessions


def end_sessions(
    transaction: Transaction,
    tenant_id: int,
    sids: Sequence[bytes],
    reason: EndReason,
    on_ended: Callable[[int, int], None] = lambda *_: None,
) -> list[Ended]:
    """End these sessions of a tenant; one that is over already has an outcome like any other."""
    outcomes: list[Ended] = []
    for at in range(0, len(sids), BATCH):
        ends = [End(tenant_id=tenant_id, sid=sid, reason=reason) for sid in sids[at : at + BATCH]]
        for outcome in apply_all(transaction, ends):
            assert isinstance(outcome, Ended)
            outcomes.append(outcome)
        on_ended(len(outcomes), len(sids))
    return outcomes


def sessions_of_clients(transaction: Transaction, tenant_id: int, keys: Collection[int]) -> list[bytes]:
    """The live sessions of these clients."""
    found: list[bytes] = []
    ordered = sorted(keys)
    for at in range(0, len(ordered), _IDS_MAX):
        of_these = schema.session.c.client_key.in_(ordered[at : at + _IDS_MAX])
        found += _sids(transaction, _live(transaction, tenant_id, of_these))
    return found


def sessions_of_tenant(transaction: Transaction, tenant_id: int) -> list[bytes]:
    """All live sessions of a tenant."""
    return _sids(transaction, _live(transaction, tenant_id))


def sessions_of_pool(transaction: Transaction, tenant_id: int, pool_id: int) -> list[bytes]:
    """The live sessions that hold a seat of this pool."""
    return _sids(transaction, _live(transaction, tenant_id, schema.session.c.pool_id == pool_id))


def sessions_with_scope(
    transaction: Transaction, tenant_id: int, name: str, pool_ids: Collection[int] | None = None
) -> list[bytes]:
    """The live sessions of a tenant that were granted this scope, alone or among others.

    With `pool_ids` only those that have a seat of one of these pools.
    """
    of_pools = [] if pool_ids is None else [schema.session.c.pool_id.in_(pool_ids)]
    rows = transaction.connection.execute(_live(transaction, tenant_id, *of_pools))
    return [row.sid for row in rows if name in row.scope.split(" ")]


def sessions_with_scope_beyond(
    transaction: Transaction, tenant_id: int, client_key: int, names: Collection[str]
) -> list[bytes]:
    """The live sessions of a client that were granted more than these scopes."""
    rows = transaction.connection.execute(
        _live(transaction, tenant_id, schema.session.c.client_key == client_key)
    )
    return [row.sid for row in rows if not set(names).issuperset(row.scope.split(" "))]


def sessions_beyond(transaction: Transaction, pool_id: int, expires_at_ms: int) -> dict[int, int]:
    """How many sessions with a seat of this pool would live past this instant, by the keys of clients."""
    session = schema.session.c
    live = (session.pool_id == pool_id) & (session.expires_at_ms > transaction.now_ms)
    later = select(session.client_key, func.count().label("sessions")).where(
        live, session.expires_at_ms > expires_at_ms
    )
    rows = transaction.connection.execute(later.group_by(session.client_key))
    return {row.client_key: row.sessions for row in rows}


def cut_short(transaction: Transaction, pool_id: int, expires_at_ms: int) -> None:
    """Shorten all sessions and seats of a pool that would live past this future instant (L7).

    A seat then expires with the last of its sessions as before, because all of them are shortened in the same
    way.
    """
    for table in (schema.session, schema.seat):
        later = (table.c.pool_id == pool_id) & (table.c.expires_at_ms > expires_at_ms)
        transaction.connection.execute(update(table).where(later).values(expires_at_ms=expires_at_ms))


def _live(transaction: Transaction, tenant_id: int, *more: ColumnElement[bool]) -> Select[tuple[bytes, str]]:
    session = schema.session.c
    return select(session.sid, session.scope).where(
        session.tenant_id == tenant_id, session.expires_at_ms > transaction.now_ms, *more
    )


def _sids(transaction: Transaction, query: Select[tuple[bytes, str]]) -> list[bytes]:
    return [row.sid for row in transaction.connection.execute(query)]
