"""Reads seats as they are: a row may say less than the sessions of its seat do (`licet.ledger.seat_rows`).

Code outside the ledger that reads seats uses `SEAT`, `EXPIRES_AT_MS` and `ISSUED_AT_MS` instead of the
columns of the table, and `lives` or `is_over` instead of a comparison with the row's expiry.
"""

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    ScalarSelect,
    and_,
    case,
    func,
    literal_column,
    or_,
    select,
    update,
)

from licet.ledger.holders import CLIENT_HOLDER, USER_HOLDER
from licet.store import schema

_seat = schema.seat.c
_USERS: ColumnElement[str] = literal_column(f"'{USER_HOLDER}'")  # as in the condition of the partial index
_IS_USERS = func.substr(_seat.holder, 1, len(USER_HOLDER)) == _USERS


def _newest(name: str, *, of_user: bool) -> ScalarSelect[int]:
    """A column of the session that holds the seat for the longest, swept or not."""
    session, client = schema.session.alias("sharing").c, schema.client.alias("sharer").c
    whose: ColumnElement[bool]
    if of_user:
        whose = func.substr(session.holder, 1, len(USER_HOLDER)) == _USERS
    else:
        key = select(client.key).where(
            client.tenant_id == _seat.tenant_id,
            client.client_id
            == func.substr(_seat.holder, len(CLIENT_HOLDER) + 1, type_=client.client_id.type),
        )
        whose = session.client_key == key.correlate(schema.seat).scalar_subquery()
    return (
        select(session[name])
        .where(whose, session.pool_id == _seat.pool_id, session.holder == _seat.holder)
        .order_by(session.expires_at_ms.desc())
        .limit(1)
        .correlate(schema.seat)
        .scalar_subquery()
    )


def _as_it_is(column: ColumnElement[int], name: str) -> ColumnElement[int]:
    """What the row says, or its sessions, whichever is later."""
    zero = literal_column("0", BigInteger)
    newest = case(
        (_IS_USERS, func.coalesce(_newest(name, of_user=True), zero)),
        else_=func.coalesce(_newest(name, of_user=False), zero),
    )
    return case((newest > column, newest), else_=column)


EXPIRES_AT_MS = _as_it_is(_seat.expires_at_ms, "expires_at_ms")
ISSUED_AT_MS = _as_it_is(_seat.issued_at_ms, "renewed_at_ms")
_AS_IT_IS = {"expires_at_ms": EXPIRES_AT_MS, "issued_at_ms": ISSUED_AT_MS}
SEAT = tuple(_AS_IT_IS[it.name].label(it.name) if it.name in _AS_IT_IS else it for it in _seat)


def lives(at_ms: int) -> ColumnElement[bool]:
    """Whether a seat is in use at this moment, swept or not. The row is looked at first, which is cheap."""
    return or_(_seat.expires_at_ms > at_ms, at_ms < EXPIRES_AT_MS)


def is_over(at_ms: int) -> ColumnElement[bool]:
    """Whether a seat has expired at this moment. Few rows have, and an index finds them."""
    return and_(_seat.expires_at_ms <= at_ms, at_ms >= EXPIRES_AT_MS)


def raise_rows(connection: Connection, pool_id: int) -> None:
    """Have the rows of a pool's seats say what is true, before a change of the set-up believes them."""
    behind = or_(_seat.expires_at_ms < EXPIRES_AT_MS, _seat.issued_at_ms < ISSUED_AT_MS)
    now = {"expires_at_ms": EXPIRES_AT_MS, "issued_at_ms": ISSUED_AT_MS}
    connection.execute(update(schema.seat).where(_seat.pool_id == pool_id, behind).values(now))
