"""Records when secrets and keys were last used, and stores a password's hash again when its cost has changed.

Each function is one short transaction that a running server makes off the path of any request.
"""

from collections.abc import Mapping

from sqlalchemy import bindparam, update

from licet.store import schema
from licet.store.contract import Purpose, Store
from licet.store.setup_version import publish


def note_secrets_used(store: Store, used: Mapping[str, int]) -> None:
    """Write when each generated secret was last used, in milliseconds since 1970 by its id.

    It is no change of the set-up: no server needs to read it again. Raises StoreUnavailable.
    """
    statement = (
        update(schema.client_secret)
        .where(schema.client_secret.c.secret_id == bindparam("id"))
        .values(last_used_at_ms=bindparam("at_ms"))
    )
    with store.transaction(Purpose.UPKEEP) as transaction:
        # In one order, so that two nodes do not deadlock.
        rows = [{"id": secret_id, "at_ms": at_ms} for secret_id, at_ms in sorted(used.items())]
        transaction.connection.execute(statement, rows)


def note_keys_used(store: Store, used: Mapping[tuple[int, str], int]) -> None:
    """The same of public keys, by their client's key and their thumbprint. Raises StoreUnavailable."""
    key = schema.public_key.c
    statement = (
        update(schema.public_key)
        .where(key.client_key == bindparam("of_client"), key.thumbprint == bindparam("of_key"))
        .values(last_used_at_ms=bindparam("at_ms"))
    )
    with store.transaction(Purpose.UPKEEP) as transaction:
        rows = [
            {"of_client": client, "of_key": key, "at_ms": at_ms}
            for (client, key), at_ms in sorted(used.items())
        ]
        transaction.connection.execute(statement, rows)


def keep_password_hash(store: Store, tenant_id: int, initials: str, *, old: str, new: str) -> None:
    """Replace `old` by a stronger hash of the same password, if it is still the stored one.

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
            publish(transaction, [tenant_id])
