"""Registers the servers that work on a store, with their version, their keys and their clock's error.

Each server writes its own row every few seconds, off the request path, and removes it when it stops. The row
of a killed server stays, marked as silent, until a server with its name starts or a day has passed. A row has
only fingerprints of the keys: `licet check` compares them.
"""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import astuple, replace

from licet.credentials.keyring import Keyring, fingerprint
from licet.model import Value
from licet.store.contract import Purpose, Store
from licet.units import DAY_MS

if TYPE_CHECKING:
    from sqlalchemy import Connection, Row

NOTE_EVERY_S = 5.0
SILENT_AFTER_MS = 15_000  # three rows missed
FORGOTTEN_AFTER_MS = DAY_MS  # a guess: long enough to be seen the next morning

# The clock of the store itself, where it has one: on SQLite that is the wall clock of this machine.
_NOW_MS = {
    "postgresql": "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint",
    "sqlite": "SELECT CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER)",
}


class KeyMark(Value, frozen=True, kw_only=True):
    """What a row says of a signing key: its id, its fingerprint, and from when on it signs."""

    id: int
    fingerprint: str
    signs_at_ms: int

    @property
    def text(self) -> str:
        """`2:5f0c11aa`, as a list has it."""
        return f"{self.id}:{self.fingerprint}"


class Node(Value, frozen=True, kw_only=True):
    """A server, as it describes itself; `note_node` adds what the store's clock says."""

    id: str  # random, another one at each start
    name: str
    version: str
    schema: str  # the head of its code
    url: str  # where it sends its clients
    token_keys: tuple[KeyMark, ...]
    pepper: str  # its fingerprint
    started_at_ms: int = 0
    seen_at_ms: int = 0
    skew_ms: int = 0  # how far its wall clock is ahead of the store's


# The driver's own statements: a server writes its row before it answers, and imports SQLAlchemy later.
_COLUMNS = ", ".join(Node.__struct_fields__)
_AGAIN = ", ".join(
    f"{name} = excluded.{name}" for name in Node.__struct_fields__ if name not in {"id", "started_at_ms"}
)
_WRITE = (
    f"INSERT INTO node ({_COLUMNS}) VALUES ({', '.join('?' * len(Node.__struct_fields__))})"  # noqa: S608 - names of our own
    f" ON CONFLICT (id) DO UPDATE SET {_AGAIN}"
)
_REMOVE_SILENT = "DELETE FROM node WHERE (name = ? AND id <> ? AND seen_at_ms < ?) OR seen_at_ms < ?"
_REMOVE = "DELETE FROM node WHERE id = ?"
_READ = f"SELECT {_COLUMNS} FROM node ORDER BY name, started_at_ms"  # noqa: S608 - as above


def key_marks(keyring: Keyring) -> tuple[KeyMark, ...]:
    """The marks of the signing keys, in their order."""
    return tuple(
        KeyMark(id=key.id, fingerprint=fingerprint(key.key), signs_at_ms=key.signs_at_ms)
        for key in keyring.token_keys
    )


def signing_mark(marks: tuple[KeyMark, ...], now_ms: int) -> KeyMark:
    """The mark of the key that signs at this moment, as `Keyring.signing` chooses it."""
    known = [mark for mark in marks if mark.signs_at_ms <= now_ms]
    return known[-1] if known else marks[0]


def note_node(store: Store, node: Node, wall_ms: Callable[[], int]) -> None:
    """Write the row of this node, and remove those of nodes that are gone.

    `wall_ms` is its wall clock, to compare with the store's. Raises StoreUnavailable.
    """
    asked_ms = wall_ms()
    with store.transaction(Purpose.NOTE) as transaction:
        now_ms = transaction.now_ms
        skew_ms = _certain(asked_ms - now_ms, wall_ms() - now_ms)
        seen = replace(node, seen_at_ms=now_ms, skew_ms=skew_ms, started_at_ms=now_ms)
        marks = msgspec.json.encode(node.token_keys).decode()
        transaction.execute(_WRITE, [marks if it is node.token_keys else it for it in astuple(seen)])
        silent = (node.name, node.id, now_ms - SILENT_AFTER_MS, now_ms - FORGOTTEN_AFTER_MS)
        transaction.execute(_REMOVE_SILENT, silent)


def remove_node(store: Store, node_id: str) -> None:
    """Remove the row of a node that stops.

    Raises StoreUnavailable.
    """
    with store.transaction(Purpose.NOTE) as transaction:
        transaction.execute(_REMOVE, (node_id,))


def must_be_writable(store: Store) -> None:
    """Return if the store takes in what is written; it has the same rows afterwards.

    Raises StoreUnavailable.
    """
    nobody = Node(id=os.urandom(8).hex(), name="", version="", schema="", url="", token_keys=(), pepper="")
    with store.transaction(Purpose.NOTE) as transaction:
        transaction.execute(_WRITE, ["[]" if it == () else it for it in astuple(nobody)])
        transaction.execute(_REMOVE, (nobody.id,))


def read_nodes(connection: "Connection") -> list[Node]:
    """All nodes by name, running and silent."""
    return list(map(_node, connection.exec_driver_sql(_READ)))


def is_silent(node: Node, now_ms: int) -> bool:
    """Whether a node has written no row for too long."""
    return node.seen_at_ms < now_ms - SILENT_AFTER_MS


def store_now_ms(connection: "Connection") -> int:
    """The store's clock, in milliseconds since 1970."""
    now_ms: int = connection.exec_driver_sql(_NOW_MS[connection.dialect.name]).scalar_one()
    return now_ms


def _node(row: "Row[Any]") -> Node:
    return Node(
        id=row.id,
        name=row.name,
        version=row.version,
        schema=row.schema,
        url=row.url,
        token_keys=msgspec.json.decode(row.token_keys, type=tuple[KeyMark, ...]),
        pepper=row.pepper,
        started_at_ms=row.started_at_ms,
        seen_at_ms=row.seen_at_ms,
        skew_ms=row.skew_ms,
    )


def _certain(least_ms: int, most_ms: int) -> int:
    """The part of a difference that is certain: the transaction may have waited to begin."""
    if least_ms <= 0 <= most_ms:
        return 0
    return least_ms if least_ms > 0 else most_ms
