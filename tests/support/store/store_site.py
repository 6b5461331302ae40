"""A store of any kind in which a test commits commands, and whose rows it reads."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from sqlalchemy import FromClause, Table, func, select

from licet.journal.folding import fold_denials, fold_journal
from licet.lanes.commit import commit
from licet.ledger.book import Book
from licet.ledger.commands import Command, Outcome
from licet.model import Pool, Session, Tenant
from licet.store import schema
from licet.store.contract import Store, Transaction
from licet.units import HOUR_MS
from support.examples import add_tenant, client, jim_test
from support.store.kinds import Place

SESSION_S = 1200
SESSION_MS = SESSION_S * 1000
START_MS = 472_223 * HOUR_MS  # a whole hour
OTHER = jim_test(
    id=2,
    name="Other",
    pools=(Pool(id=9, name="full", seats=1),),
    clients=(client(50, "TestClientId", "TC"),),
)
JOURNALS = (
    schema.journal,
    schema.journal_entry,
    schema.denial_entry,
    schema.usage_minute,
    schema.usage_hour,
)


def begin(place: Place, *tenants: Tenant) -> Store:
    """Open the first store of a place, with these tenants."""
    store = place.open()
    with store.transaction() as transaction:
        for tenant in tenants or (jim_test(),):
            add_tenant(transaction.connection, tenant)
    store.refresh_tenants()
    return store


def do(store: Store, *commands: Command) -> list[Outcome]:
    """Commit these commands together; none of them may fail."""
    outcomes = []
    for outcome in commit(store, commands):
        assert not isinstance(outcome, Exception), outcome
        outcomes.append(outcome)
    return outcomes


def book_of(store: Store, *commands: Command) -> Book:
    """The book that a transaction loads for these commands."""
    with store.transaction() as transaction:
        return transaction.load(commands)


def rows(store: Store, table: FromClause, **columns: object) -> list[Any]:
    """The rows of a table, in the order of its primary key."""
    query = select(table).filter_by(**columns).order_by(*table.primary_key)
    with store.reading() as connection:
        return list(connection.execute(query))


def folded(store: Store) -> list[Any]:
    """Fold the whole journal, and return its rows."""
    while fold_journal(store) + fold_denials(store):
        pass
    return rows(store, schema.journal)


def counts(store: Store) -> dict[str, int]:
    """The number of rows of each table."""
    with store.reading() as connection:
        return {
            table.name: connection.execute(select(func.count()).select_from(table)).scalar_one()
            for table in schema.metadata.sorted_tables
        }


def numbers(sids: Iterator[bytes] | Sequence[bytes] | dict[bytes, Session]) -> list[int]:
    """The numbers of these sessions."""
    return sorted(int.from_bytes(it, "big") for it in sids)


def in_use(store: Store, pool_id: int = 1) -> int:
    """The seats of a pool that are in use or wait to be freed."""
    [pool] = rows(store, schema.pool, id=pool_id)
    assert pool.in_use == len(rows(store, schema.seat, pool_id=pool_id))
    return int(pool.in_use)


def stagger(place: Place, store: Store, *commands: Command) -> None:
    """Commit these commands one by one, a second apart."""
    for command in commands:
        do(store, command)
        place.clock.advance(seconds=1)


class Undone(Exception):
    """Raised to roll back a transaction."""


@contextmanager
def undone(store: Store) -> Iterator[Transaction]:
    """A transaction that is rolled back at the end of the block."""
    with suppress(Undone), store.transaction() as transaction:
        yield transaction
        raise Undone


@contextmanager
def saving(store: Store, *commands: Command) -> Iterator[tuple[Transaction, Book]]:
    """A transaction and its book, which is saved at the end of the block."""
    with store.transaction() as transaction:
        book = transaction.load(commands)
        yield transaction, book
        transaction.save(book)


def everything(store: Store) -> dict[Table, list[Any]]:
    """All rows of all tables."""
    return {table: rows(store, table) for table in schema.metadata.sorted_tables}
