"""Keeps the sign-ins of administrators: who is signed in, since when, and until when at the latest.

A sign-in is known by the hash of a random token, which is in the browser's cookie only. It ends when it was
not used for a while, a day's work after it began whatever happens, and with whatever `accounts` says. None
of it touches a seat or the set-up, so it is written beside the batches.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    ScalarSelect,
    bindparam,
    delete,
    insert,
    or_,
    select,
    update,
)

from licet.accounts.administrators import Admin
from licet.model import Role, Value
from licet.store import schema
from licet.store.contract import Purpose, Store, Transaction
from licet.store.events import Event, keep_events

SEEN_EVERY_MS = 60_000  # a page that asks every second must not write every second
SIGN_INS_MAX = 20  # of one administrator, a guess: more browsers than anybody has; the oldest goes
ADDRESS_CHARS_MAX = 45  # as an address is written (RFC 4291 2.2)


class Lives(Value, frozen=True, kw_only=True):
    """How long a sign-in lasts without use, and at the longest."""

    idle_s: int = 1800
    longest_s: int = 43_200


class SignIn(Value, frozen=True, kw_only=True):
    """A sign-in that has not ended, with the administrator as it is now."""

    admin_id: int
    name: str
    role: Role
    tenant_id: int | None
    since_ms: int
    seen_at_ms: int
    ends_at_ms: int  # unless it is used before


class OwnSignIn(Value, frozen=True, kw_only=True):
    """One of the sign-ins of whoever looks at them. `is_this` is the one by which it looks."""

    since_ms: int
    seen_at_ms: int
    ends_at_ms: int  # unless it is used before
    address: str
    is_this: bool


def begin(
    store: Store,
    admin: Admin,
    token_hash: bytes,
    address: str,
    lives: Lives,
    *,
    stronger_hash: str | None = None,
) -> bool:
    """Sign an administrator in, if it is still the one whose password was right; answer whether it is.

    `stronger_hash` is of the same password, and kept from now on. Raises StoreUnavailable.
    """
    with store.transaction(Purpose.UPKEEP) as transaction:
        connection, row = transaction.connection, schema.admin.c
        same = (row.id == admin.id, row.password_hash == admin.password_hash, row.enabled)
        found = connection.execute(select(row.tenant_id).where(*same)).one_or_none()
        if found is None:
            return False
        connection.execute(delete(schema.admin_session).where(_has_ended(transaction.now_ms, lives)))
        _make_room(connection, admin.id)
        connection.execute(insert(schema.admin_session).values(_row(transaction, admin, token_hash, address)))
        if stronger_hash is not None:
            connection.execute(update(schema.admin).where(*same).values(password_hash=stronger_hash))
        _tell(transaction, "sign in", admin.name, found.tenant_id, f"from {address[:ADDRESS_CHARS_MAX]}")
        return True


def find(store: Store, token_hash: bytes, lives: Lives, *, is_use: bool = True) -> SignIn | None:
    """The sign-in of this token, if it has not ended. A use is written down once a minute.

    Raises StoreUnavailable.
    """
    session, admin = schema.admin_session.c, schema.admin.c
    query = (
        select(schema.admin_session, admin.name, admin.role, admin.tenant_id)
        .join_from(schema.admin_session, schema.admin)
        .where(session.token_hash == token_hash, admin.enabled)
    )
    with store.reading() as connection:
        row = connection.execute(query).one_or_none()
    now_ms = store.clock.now_ms()
    if row is None or (ends_at_ms := _ends_at_ms(row, lives)) <= now_ms:
        return None
    seen_at_ms = row.seen_at_ms
    if is_use and now_ms - seen_at_ms >= SEEN_EVERY_MS:
        seen_at_ms = _note_seen(store, token_hash)
    return SignIn(
        admin_id=row.admin_id,
        name=row.name,
        role=Role(row.role),
        tenant_id=row.tenant_id,
        since_ms=row.created_at_ms,
        seen_at_ms=seen_at_ms,
        ends_at_ms=min(ends_at_ms + seen_at_ms - row.seen_at_ms, row.created_at_ms + lives.longest_s * 1000),
    )


def own(store: Store, token_hash: bytes, lives: Lives) -> list[OwnSignIn]:
    """All sign-ins of the administrator who has this one, the newest first; none when it has ended.

    Raises StoreUnavailable.
    """
    session = schema.admin_session.c
    query = (
        select(schema.admin_session)
        .where(session.admin_id == _admin_of(token_hash))
        .order_by(session.created_at_ms.desc(), session.token_hash)
    )
    with store.reading() as connection:
        rows = connection.execute(query).all()
    now_ms = store.clock.now_ms()
    return [
        OwnSignIn(
            since_ms=row.created_at_ms,
            seen_at_ms=row.seen_at_ms,
            ends_at_ms=_ends_at_ms(row, lives),
            address=row.address,
            is_this=row.token_hash == token_hash,
        )
        for row in rows
        if _ends_at_ms(row, lives) > now_ms
    ]


def end_others(store: Store, token_hash: bytes, lives: Lives) -> int:
    """End all sign-ins of an administrator but this one; answer how many that were.

    Raises StoreUnavailable.
    """
    session, admin = schema.admin_session.c, schema.admin.c
    query = select(admin.name, admin.tenant_id).where(admin.id == _admin_of(token_hash))
    others = (session.admin_id == _admin_of(token_hash), session.token_hash != token_hash)
    with store.transaction(Purpose.UPKEEP) as transaction:
        connection = transaction.connection
        row = connection.execute(query).one_or_none()
        if row is None:
            return 0
        connection.execute(delete(schema.admin_session).where(_has_ended(transaction.now_ms, lives)))
        hashes = list(connection.execute(select(session.token_hash).where(*others)).scalars())
        if hashes:
            connection.execute(delete(schema.admin_session).where(session.token_hash.in_(hashes)))
            _tell(transaction, "sign out", row.name, row.tenant_id, f"everywhere else: {len(hashes)}")
        return len(hashes)


def end_all(store: Store, actor: str, reason: str) -> int:
    """End every sign-in of every administrator; answer how many that were.

    Raises StoreUnavailable.
    """
    with store.transaction(Purpose.UPKEEP) as transaction:
        ended = transaction.connection.execute(delete(schema.admin_session)).rowcount
        if ended:
            detail = f"everybody, everywhere: {reason}"
            event = Event(actor=actor, tenant="", action="sign out", target="all admins", detail=detail)
            keep_events(transaction, [event])
        return ended


def end(store: Store, token_hash: bytes) -> bool:
    """End a sign-in; answer whether there was one.

    Raises StoreUnavailable.
    """
    session, admin = schema.admin_session.c, schema.admin.c
    query = (
        select(admin.name, admin.tenant_id)
        .join_from(schema.admin_session, schema.admin)
        .where(session.token_hash == token_hash)
    )
    with store.transaction(Purpose.UPKEEP) as transaction:
        row = transaction.connection.execute(query).one_or_none()
        if row is None:
            return False
        transaction.connection.execute(delete(schema.admin_session).where(session.token_hash == token_hash))
        _tell(transaction, "sign out", row.name, row.tenant_id, "")
        return True


def note_api_keys_used(store: Store, used: Mapping[str, int]) -> None:
    """Keep when each API key was last good, in milliseconds since 1970 by its id.

    Raises StoreUnavailable.
    """
    statement = (
        update(schema.api_key)
        .where(schema.api_key.c.id == bindparam("key_id"))
        .values(last_used_at_ms=bindparam("at_ms"))
    )
    with store.transaction(Purpose.UPKEEP) as transaction:
        # In one order, so that two nodes do not wait for each other.
        rows = [{"key_id": key_id, "at_ms": at_ms} for key_id, at_ms in sorted(used.items())]
        transaction.connection.execute(statement, rows)


def _note_seen(store: Store, token_hash: bytes) -> int:
    of_this = schema.admin_session.c.token_hash == token_hash
    with store.transaction(Purpose.UPKEEP) as transaction:
        seen = update(schema.admin_session).where(of_this).values(seen_at_ms=transaction.now_ms)
        transaction.connection.execute(seen)
        return transaction.now_ms


def _admin_of(token_hash: bytes) -> ScalarSelect[int]:
    session = schema.admin_session.c
    return select(session.admin_id).where(session.token_hash == token_hash).scalar_subquery()


def _make_room(connection: Connection, admin_id: int) -> None:
    session = schema.admin_session.c
    newest_first = (
        select(session.token_hash)
        .where(session.admin_id == admin_id)
        .order_by(session.created_at_ms.desc(), session.token_hash)
    )
    too_many = [row.token_hash for row in connection.execute(newest_first)][SIGN_INS_MAX - 1 :]
    if too_many:
        connection.execute(delete(schema.admin_session).where(session.token_hash.in_(too_many)))


def _row(transaction: Transaction, admin: Admin, token_hash: bytes, address: str) -> dict[str, Any]:
    return {
        "token_hash": token_hash,
        "admin_id": admin.id,
        "created_at_ms": transaction.now_ms,
        "seen_at_ms": transaction.now_ms,
        "address": address[:ADDRESS_CHARS_MAX],
    }


def _ends_at_ms(row: Row[Any], lives: Lives) -> int:
    ends_at_ms: int = min(row.seen_at_ms + lives.idle_s * 1000, row.created_at_ms + lives.longest_s * 1000)
    return ends_at_ms


def _has_ended(now_ms: int, lives: Lives) -> ColumnElement[bool]:
    session = schema.admin_session.c
    return or_(
        session.seen_at_ms <= now_ms - lives.idle_s * 1000,
        session.created_at_ms <= now_ms - lives.longest_s * 1000,
    )


def _tell(transaction: Transaction, action: str, name: str, tenant_id: int | None, detail: str) -> None:
    query = select(schema.tenant.c.name).where(schema.tenant.c.id == tenant_id)
    tenant = "" if tenant_id is None else transaction.connection.execute(query).scalar_one()
    event = Event(actor=name, tenant=tenant, action=action, target=f"admin {name}", detail=detail)
    keep_events(transaction, [event])
