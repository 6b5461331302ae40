"""Keeps the usage statements of tenants, so that each one follows the one before without a file.

The rules:

- The statements of a tenant are a chain: each has the next number, the hash of the one before, and begins
  where that one ended. Of two that are made at once, one is kept, and the other is refused.
- The last statement of a tenant is kept for good, as the next one follows it; those before it for as long as
  hourly sums are (`licet.journal.retention`).
- A chain that began in files goes on from its last one: that is given once, as `after`. It may be later than
  what is kept, where a store was restored from a copy.
"""

from datetime import UTC
from typing import Any

from sqlalchemy import Connection, exists, func, select

from licet.credentials.keyring import Keyring
from licet.formats import end, instant
from licet.model import InvalidValue, Tenant, Value
from licet.refusal import Code
from licet.reports.spans import USUAL_OF_SUMS
from licet.reports.usage_statements.claims import claims_of, settled_ms
from licet.reports.usage_statements.signed import sign
from licet.store import schema
from licet.store.contract import Purpose, Store
from licet.store.errors import SetupError
from licet.store.events import Event, keep_events
from licet.store.upserts import insert_into
from licet.units import DAY_MS
from licet.vendor.statement_claims import DAYS_MAX
from licet.vendor.statements import Statement, hash_of

_kept = schema.usage_statement.c


class KeptStatement(Value, frozen=True, kw_only=True):
    """A statement that is kept: its number, its span, when it was made, and its hash, which the next has."""

    seq: int
    from_ms: int
    until_ms: int
    made_at_ms: int
    hash: str


class _Before(Value, frozen=True, kw_only=True):
    """What the next statement follows."""

    seq: int
    until_ms: int
    hash: str


def statements(
    connection: Connection, tenant_id: int, *, after: int = 0, limit: int | None = None
) -> list[KeptStatement]:
    """The statements that are kept of a tenant, by their numbers; those behind `after`."""
    columns = (_kept.seq, _kept.from_ms, _kept.until_ms, _kept.made_at_ms, _kept.hash)  # not the texts
    query = select(*columns).where(_kept.tenant_id == tenant_id, _kept.seq > after)
    return [_of_row(row) for row in connection.execute(query.order_by(_kept.seq).limit(limit))]


def statement_text(connection: Connection, tenant_id: int, seq: int) -> str | None:
    """A statement as it travels; None where it is not kept."""
    query = select(_kept.text).where(_kept.tenant_id == tenant_id, _kept.seq == seq)
    text: str | None = connection.execute(query).scalar()
    return text


def make_statement(  # noqa: PLR0917 - who states what of whom, with which key
    store: Store,
    keyring: Keyring,
    tenant: Tenant,
    actor: str,
    from_ms: int | None = None,
    until_ms: int | None = None,
    *,
    after: Statement | None = None,
) -> tuple[KeptStatement, str]:
    """Make the next statement of a tenant, keep it, and return it with its text.

    `from_ms` is for a first one. Raises InvalidValue, SetupError, StoreUnavailable.
    """
    with store.transaction(Purpose.UPKEEP) as transaction:  # by the store's own clock
        now_ms = transaction.now_ms
    with store.reporting() as connection:
        before = _before(connection, tenant, after)
        from_ms, until_ms = _span(tenant, before, from_ms, until_ms, now_ms)
        claims: dict[str, Any] = claims_of(connection, tenant, from_ms, until_ms, now_ms=now_ms)
    claims |= {"seq": 1} if before is None else {"seq": before.seq + 1, "prev": before.hash}
    text = sign(claims, keyring, tenant, now_ms)
    made = KeptStatement(
        seq=claims["seq"], from_ms=from_ms, until_ms=until_ms, made_at_ms=now_ms, hash=hash_of(text)
    )
    _keep(store, tenant, made, text, actor)
    return made, text


def _before(connection: Connection, tenant: Tenant, after: Statement | None) -> _Before | None:
    """The last statement: the one that is kept, or a later one from a file.

    Raises SetupError.
    """
    query = select(schema.usage_statement).where(_kept.tenant_id == tenant.id)
    row = connection.execute(query.order_by(_kept.seq.desc()).limit(1)).first()
    last = None if row is None else _Before(seq=row.seq, until_ms=row.until_ms, hash=row.hash)
    if after is None:
        return last
    if after.tenant != tenant.name:
        text = f"the statement before is of the tenant {after.tenant}, not of {tenant.name}"
        raise _refused(text, Code.NOT_TOGETHER)
    if last is not None and after.seq == last.seq and last.hash in after.hashes:
        return last
    if last is not None and after.seq <= last.seq:
        raise _refused(f"the last statement is number {last.seq}, which is kept, and not this one")
    return _Before(seq=after.seq, until_ms=int(after.claims["until"]) * 1000, hash=after.hash)


def _span(
    tenant: Tenant, before: _Before | None, from_ms: int | None, until_ms: int | None, now_ms: int
) -> tuple[int, int]:
    """Whole days of UTC, of which everything is decided.

    Raises InvalidValue, SetupError.
    """
    settled = settled_ms(tenant, now_ms)
    until_ms = settled if until_ms is None else until_ms
    if before is not None and from_ms is not None and from_ms != before.until_ms:
        ended = instant(before.until_ms)[:10]
        text = f"the next statement begins where number {before.seq} ended, on {ended}"
        raise InvalidValue(text, code=Code.OUT_OF_RANGE, field="from")
    if before is not None:
        from_ms = before.until_ms
    elif from_ms is None:
        from_ms = settled - USUAL_OF_SUMS.days * DAY_MS
    for field, at_ms in (("from", from_ms), ("until", until_ms)):
        if at_ms % DAY_MS:
            raise InvalidValue("a statement has whole days of UTC", code=Code.OUT_OF_RANGE, field=field)
    if until_ms > settled:
        text = f"the last day of a statement is {end(settled, UTC)} at most: what is later is not decided yet"
        raise InvalidValue(text, code=Code.OUT_OF_RANGE, field="until")
    if until_ms <= from_ms:
        text = f"there is nothing to state: the next statement begins on {instant(from_ms)[:10]}"
        raise _refused(f"{text}, and a day is stated when all of it is decided", Code.OUT_OF_RANGE)
    if until_ms > (latest_ms := from_ms + DAYS_MAX * DAY_MS):
        latest = end(latest_ms, UTC)
        text = f"a statement has {DAYS_MAX} days at most: the last day of this one is {latest} at most"
        raise InvalidValue(text, code=Code.OUT_OF_RANGE, field="until")
    return from_ms, until_ms


def _keep(store: Store, tenant: Tenant, made: KeptStatement, text: str, actor: str) -> None:
    """Raises SetupError where another one was kept meanwhile, or the tenant was removed."""
    span = f"from {instant(made.from_ms)} until {instant(made.until_ms)}"
    target = f"usage statement {made.seq}"
    event = Event(actor=actor, tenant=tenant.name, action="add", target=target, detail=span)
    with store.transaction(Purpose.UPKEEP) as transaction:
        connection = transaction.connection
        is_there = select(exists().where(schema.tenant.c.id == tenant.id, schema.is_there))
        latest = select(func.max(_kept.seq)).where(_kept.tenant_id == tenant.id)
        if not connection.execute(is_there).scalar():
            raise _refused(f"the tenant {tenant.name} was removed meanwhile")
        if (connection.execute(latest).scalar() or 0) >= made.seq:
            raise _meanwhile()
        row = {
            "tenant_id": tenant.id,
            "seq": made.seq,
            "from_ms": made.from_ms,
            "until_ms": made.until_ms,
            "made_at_ms": made.made_at_ms,
            "hash": made.hash,
            "text": text,
        }
        connection.execute(
            insert_into(connection, schema.usage_statement).values(row).on_conflict_do_nothing()
        )
        # A driver may not say whether a row was there already.
        there = select(_kept.hash).where(_kept.tenant_id == tenant.id, _kept.seq == made.seq)
        if connection.execute(there).scalar() != made.hash:
            raise _meanwhile()
        keep_events(transaction, [event])


def _meanwhile() -> SetupError:
    return _refused("another statement was made meanwhile; make the next one")


def _refused(text: str, code: Code = Code.CHANGED_MEANWHILE) -> SetupError:
    return SetupError(text, code=code)


def _of_row(row: Any) -> KeptStatement:
    return KeptStatement(
        seq=row.seq, from_ms=row.from_ms, until_ms=row.until_ms, made_at_ms=row.made_at_ms, hash=row.hash
    )
