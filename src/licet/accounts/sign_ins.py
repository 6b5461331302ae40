"""Keeps the sign-ins of administrators: who is signed in, since when, and until when at the latest.

A sign-in is identified by the hash of a random token, which only the browser's cookie contains. It ends after
a time without use, in any case a working day after it began, and when its administrator is signed out
(`licet.accounts.administrators`). It touches no seat and no set-up, so it is written beside the batches.
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
SIGN_INS_MAX = 20  # of one administrator, a guess: more browsers than anybody uses; the oldest is removed
ADDRESS_CHARS_MAX = 45  # the longest text of an address (RFC 4291 2.2)


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
    """One of the sign-ins of an administrator, for that administrator. `is_this` marks the one in use."""

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
    """Sign an administrator in, unless the account or password changed meanwhile; return whether it did.

    `stronger_hash` is of the same password, and stored from now on. Raises StoreUnavailable.
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
        _record(transaction, "sign in", admin.name, found.tenant_id, f"from {address[:ADDRESS_CHARS_MAX]}")
        return True


def find(store: Store, token_hash: bytes, lives: Lives, *, is_use: bool = True) -> SignIn | None:
    """The sign-in of this token, if it has not ended. A use is written once a minute.

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
    """All sign-ins of the administrator of this one, the newest first; none when it has ended.

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
    """End all sign-ins of an administrator except this one; return how many.

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
            _record(transaction, "sign out", row.name, row.tenant_id, f"everywhere else: {len(hashes)}")
        return len(hashes)


def end_all(store: Store, actor: str, reason: str) -> int:
    """End every sign-in of every administrator; return how many.

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
    """End a sign-in; return whether there was one.

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
        _record(transaction, "sign out", row.name, row.tenant_id, "")
        return True


def note_api_keys_used(store: Store, used: Mapping[str, int]) -> None:
    """Write when each API key was last used, in milliseconds since 1970 by its id.

    Raises StoreUnavailable.
    """
    statement = (
        update(schema.api_key)
        .where(schema.api_key.c.id == bindparam("key_id"))
        .values(last_used_at_ms=bindparam("at_ms"))
    )
    with store.transaction(Purpose.UPKEEP) as transaction:
        # In one order, so that two nodes do not deadlock.
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


def _record(transaction: Transaction, action: str, name: str, tenant_id: int | None, detail: str) -> None:
    query = select(schema.tenant.c.name).where(schema.tenant.c.id == tenant_id)
    tenant = "" if tenant_id is None else transaction.connection.execute(query).scalar_one()
    event = Event(actor=name, tenant=tenant, action=action, target=f"admin {name}", detail=detail)
    keep_events(transaction, [event])
