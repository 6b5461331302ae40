"""Reads what a server must know before it answers: good addresses, and whether a copy was restored.

By statements of the driver's own: SQLAlchemy is imported when the server answers.
"""

from typing import Final, NamedTuple

from licet.store.contract import Store

RESTORE: Final = "restore"
THE_STORE: Final = "the store"
"""The action and the target of the event that says that the store was restored."""


class Origin(NamedTuple):
    """A client that got a token at an address."""

    tenant_id: int
    client_id: str
    address: str


def recent_origins(store: Store, most: int) -> set[Origin]:
    """The client and address of the newest sessions in the journal, at most so many.

    Raises StoreUnavailable.
    """
    query = (
        "SELECT session.tenant_id, client.client_id, session.address"  # noqa: S608 - a number of our own
        " FROM session JOIN client ON client.key = session.client_key"
        f" ORDER BY session.number DESC LIMIT {most:d}"
    )
    with store.looking() as ask:
        return {Origin(*row) for row in ask(query)}


def restored_at_ms(store: Store, since_ms: int) -> int | None:
    """The last instant since `since_ms` at which the store was restored, in milliseconds since 1970.

    Raises StoreUnavailable.
    """
    query = (
        f"SELECT max(at_ms) FROM event WHERE at_ms >= {since_ms:d} AND tenant = ''"  # noqa: S608 - as above
        f" AND action = '{RESTORE}' AND target = '{THE_STORE}'"
    )
    with store.looking() as ask:
        [(found,)] = ask(query)
    return None if found is None else int(found)
