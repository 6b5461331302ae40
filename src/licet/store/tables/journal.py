"""Defines the tables of the journal and of what is summed from it, which belong to the schema."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Index,
    Integer,
    Label,
    Table,
    Text,
    literal_column,
    select,
    union_all,
)

from licet.store.tables.parts import KEY as _KEY
from licet.store.tables.parts import metadata, partial_index
from licet.store.tables.parts import tenant_id as _tenant_id


def _client() -> Iterator[Column[Any]]:
    """The columns of whose row it is: a client, and its user at the last time."""
    yield Column("client_id", Text, primary_key=True)
    yield Column("initials", Text, nullable=False)


def _counted() -> Iterator[Column[Any]]:
    """The columns of how often something happened, and when first and last."""
    yield Column("times", BigInteger, nullable=False)
    yield Column("first_at_ms", BigInteger, nullable=False)
    yield Column("last_at_ms", BigInteger, nullable=False)


def _pool_use(name: str, *, per: str) -> Table:
    """A table of a pool's use in each minute, or whatever it is counted by, in which it changed."""
    return Table(
        name,
        metadata,
        _tenant_id(primary_key=True),
        Column("pool", Text, primary_key=True),
        Column(per, BigInteger, primary_key=True),
        Column("seats", Integer, nullable=False),
        Column("peak", Integer, nullable=False),
        Column("in_use", Integer, nullable=False),  # at its end
        Index(None, per),
        sqlite_with_rowid=False,
    )


# Events folded by minute (L11): one row counts the same event of a client in one minute.
journal = Table(
    "journal",
    metadata,
    _tenant_id(primary_key=True),
    Column("minute", BigInteger, primary_key=True),
    Column("kind", Text, primary_key=True),  # granted, denied, ended
    Column("reason", Text, primary_key=True),  # why denied or ended, else ''
    Column("pool", Text, primary_key=True),  # its name, '' for none
    *_client(),
    *_counted(),
    Column("seats", Integer),  # of a denial: the pool as it was at the last one
    Column("in_use", Integer),
    Column("address", Text, nullable=False),  # of the last one
    Index(None, "minute"),
    sqlite_with_rowid=False,
)
# The denials of a tenant, without a walk through its grants.
partial_index("ix_journal_denied", journal.c.tenant_id, journal.c.minute, where="kind = 'denied'")

# Grants and endings that are not folded into the journal yet, in their order. A commit appends them, which
# costs a third of finding each client's row; a few seconds later they are folded (`licet.journal.folding`).
# Each event is in exactly one of the tables at every instant. No foreign key: entries of a tenant that is
# gone are dropped when they are folded.
journal_entry = Table(
    "journal_entry",
    metadata,
    Column("number", _KEY, primary_key=True),
    Column("tenant_id", BigInteger, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),  # granted, ended
    Column("reason", Text, nullable=False),
    Column("pool", Text, nullable=False),
    Column("client_id", Text, nullable=False),
    Column("initials", Text, nullable=False),
    Column("address", Text, nullable=False),
)

# Denials that are not folded yet. Those of one batch that are alike are one entry, with how often and the
# pool as the last of them found it. A table of its own: a node of 0.2.0 would fold each entry as one denial.
denial_entry = Table(
    "denial_entry",
    metadata,
    Column("number", _KEY, primary_key=True),
    Column("tenant_id", BigInteger, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("pool", Text, nullable=False),
    Column("client_id", Text, nullable=False),
    Column("initials", Text, nullable=False),
    Column("times", BigInteger, nullable=False),
    Column("seats", Integer, nullable=False),
    Column("in_use", Integer, nullable=False),
    Column("address", Text, nullable=False),
)


def _minute(table: Table) -> Label[int]:
    return (table.c.at_ms // literal_column("60000", BigInteger)).label("minute")


entry_minute, denial_minute = _minute(journal_entry), _minute(denial_entry)
DENIED: ColumnElement[str] = literal_column("'denied'", Text)  # as in the index of the denials

# The entries with the columns of the journal, as if each were a row of it, and their numbers.
entries = select(
    journal_entry.c.tenant_id,
    entry_minute,
    journal_entry.c.kind,
    journal_entry.c.reason,
    journal_entry.c.pool,
    journal_entry.c.client_id,
    journal_entry.c.initials,
    literal_column("1", BigInteger).label("times"),
    journal_entry.c.at_ms.label("first_at_ms"),
    journal_entry.c.at_ms.label("last_at_ms"),
    literal_column("NULL", Integer).label("seats"),
    literal_column("NULL", Integer).label("in_use"),
    journal_entry.c.address,
)
denial_entries = select(
    denial_entry.c.tenant_id,
    denial_minute,
    DENIED.label("kind"),
    denial_entry.c.reason,
    denial_entry.c.pool,
    denial_entry.c.client_id,
    denial_entry.c.initials,
    denial_entry.c.times,
    denial_entry.c.at_ms.label("first_at_ms"),
    denial_entry.c.at_ms.label("last_at_ms"),
    denial_entry.c.seats,
    denial_entry.c.in_use,
    denial_entry.c.address,
)

# All of them together, and the denials: good enough for sums.
whole_journal = union_all(select(journal), entries, denial_entries).subquery("whole_journal")
whole_denials = union_all(select(journal).where(journal.c.kind == DENIED), denial_entries).subquery(
    "whole_denials"
)

# A pool's use in each minute in which it changed; between two rows it stays at `in_use`.
usage_minute = _pool_use("usage_minute", per="minute")

# How long a client's holders held seats in each hour, written when a seat comes back.
usage_hour = Table(
    "usage_hour",
    metadata,
    _tenant_id(primary_key=True),
    Column("pool", Text, primary_key=True),
    Column("hour", BigInteger, primary_key=True),
    *_client(),
    Column("held_ms", BigInteger, nullable=False),
    # Of these, since the last token of the seat. What more or less it is since the last use: `idle_hour`.
    Column("idle_ms", BigInteger, nullable=False, server_default="0"),
    Index(None, "hour"),
    sqlite_with_rowid=False,
)

# How much longer, or shorter, seats of a client were idle in an hour than `usage_hour` has it: that counts
# from the last token, this from the last use (`licet.journal.uses`). Batches write that one, and not this.
idle_hour = Table(
    "idle_hour",
    metadata,
    _tenant_id(primary_key=True),
    Column("pool", Text, primary_key=True),
    Column("hour", BigInteger, primary_key=True),
    Column("client_id", Text, primary_key=True),
    Column("more_ms", BigInteger, nullable=False),
    Index(None, "hour"),
    sqlite_with_rowid=False,
)

# The usage statements that were made of a tenant: the next one follows the last of them.
usage_statement = Table(
    "usage_statement",
    metadata,
    _tenant_id(primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("from_ms", BigInteger, nullable=False),
    Column("until_ms", BigInteger, nullable=False),
    Column("made_at_ms", BigInteger, nullable=False),
    Column("hash", Text, nullable=False),  # of the text, which the next one has as `prev`
    Column("text", Text, nullable=False),  # the compact JWS
    Index(None, "made_at_ms"),
)

# Who held a seat from when until when, written when it comes back. What a client held within one minute
# is one row, so that a client in a loop cannot fill the disk.
holding = Table(
    "holding",
    metadata,
    _tenant_id(primary_key=True),
    Column("pool", Text, primary_key=True),
    Column("minute", BigInteger, primary_key=True),  # in which it was taken
    *_client(),
    Column("taken_at_ms", BigInteger, nullable=False),  # the first of them
    Column("freed_at_ms", BigInteger, nullable=False),  # the last of them
    Column("times", BigInteger, nullable=False),
    # The most addresses that used one of them within a day; 0 is unknown.
    Column("addresses", Integer, nullable=False, server_default="0"),
    # Since when the last of them counts as idle in `usage_hour`; 0 is unknown.
    Column("idle_from_ms", BigInteger, nullable=False, server_default="0"),
    # Who held a seat at an instant. There is no index by time alone: every seat that comes back would pay
    # for it, and what is aged can be found pool by pool.
    Index(None, "tenant_id", "pool", "freed_at_ms", "minute"),
    sqlite_with_rowid=False,
)

# One row: events before this instant are summed in the three tables below, so that a report of a year need
# not read minutes. They are written off the request path (`licet.journal.summary`).
summed = Table("summed", metadata, Column("until_ms", BigInteger, nullable=False))

# A pool's use in each quarter of an hour in which it changed. Every zone's hours and days begin with one.
usage_summary = _pool_use("usage_summary", per="quarter")

# The denials of a client in each quarter of an hour.
denial_summary = Table(
    "denial_summary",
    metadata,
    _tenant_id(primary_key=True),
    Column("quarter", BigInteger, primary_key=True),
    Column("reason", Text, primary_key=True),
    Column("pool", Text, primary_key=True),
    *_client(),
    *_counted(),
    Column("seats", Integer),  # the most there were
    Index(None, "quarter"),
    sqlite_with_rowid=False,
)

# How many sessions began and ended in each hour.
session_summary = Table(
    "session_summary",
    metadata,
    _tenant_id(primary_key=True),
    Column("hour", BigInteger, primary_key=True),
    Column("kind", Text, primary_key=True),  # granted, ended
    Column("reason", Text, primary_key=True),
    Column("pool", Text, primary_key=True),
    Column("times", BigInteger, nullable=False),
    Index(None, "hour"),
    sqlite_with_rowid=False,
)
