"""What a running server writes beside the ledger, off the path of any request.

Each function is one short transaction, so that it never keeps a grant waiting for long.
"""

from collections.abc import Mapping

from sqlalchemy import ColumnElement, bindparam, delete, exists, select, tuple_, update

from licet.store import schema
from licet.store.contract import Purpose, Store
from licet.store.journal import HOUR_MS, MINUTE_MS

ROWS_MAX = 1000  # a few milliseconds of deleting
_AGED = (
    (schema.journal, schema.journal.c.minute, MINUTE_MS),
    (schema.usage_minute, schema.usage_minute.c.minute, MINUTE_MS),
    (schema.usage_hour, schema.usage_hour.c.hour, HOUR_MS),
    (schema.event, schema.event.c.at_ms, 1),
)


def remove_aged(store: Store, keep_ms: int) -> int:
    """Remove journal, usage and events older than this, `ROWS_MAX` of each at most; return how many went.

    Raises StoreUnavailable.
    """
    removed = 0
    with store.transaction(Purpose.UPKEEP) as transaction:
        before_ms = transaction.now_ms - keep_ms
        for table, column, unit_ms in _AGED:
            key = tuple_(*table.primary_key.columns)
            aged = select(*table.primary_key.columns).where(column < before_ms // unit_ms).limit(ROWS_MAX)
            if table is schema.usage_minute:
                aged = aged.where(_has_later_minute())
            removed += transaction.connection.execute(delete(table).where(key.in_(aged))).rowcount
    return removed


def _has_later_minute() -> ColumnElement[bool]:
    """A pool's last minute stays, whatever its age: its use has not changed since."""
    this, later = schema.usage_minute.c, schema.usage_minute.alias("later").c
    return exists().where(
        later.tenant_id == this.tenant_id, later.pool == this.pool, later.minute > this.minute
    )


def note_secrets_used(store: Store, used: Mapping[str, int]) -> None:
    """Keep when each generated secret was last good, in milliseconds since 1970 by its id.

    No change of the set-up: no server needs to look at it again. Raises StoreUnavailable.
    """
    statement = (
        update(schema.client_secret)
        .where(schema.client_secret.c.secret_id == bindparam("id"))
        .values(last_used_at_ms=bindparam("at_ms"))
    )
    with store.transaction(Purpose.UPKEEP) as transaction:
        # In one order, so that two nodes do not wait for each other.
        rows = [{"id": secret_id, "at_ms": at_ms} for secret_id, at_ms in sorted(used.items())]
        transaction.connection.execute(statement, rows)


def keep_password_hash(store: Store, tenant_id: int, initials: str, *, old: str, new: str) -> None:
    """Put a stronger hash of the same password in the place of `old`, if that still stands there.

    Raises StoreUnavailable.
    """
    user = schema.user.c
    with store.transaction() as transaction:
        connection = transaction.connection
        changed = connection.execute(
            update(schema.user)
            .where(user.tenant_id == tenant_id, user.initials == initials, user.password_hash == old)
            .values(password_hash=new)
        )
        if changed.rowcount:
            connection.execute(update(schema.setup).values(version=schema.setup.c.version + 1))
            version = select(schema.setup.c.version).scalar_subquery()
            connection.execute(
                update(schema.tenant).where(schema.tenant.c.id == tenant_id).values(version=version)
            )
