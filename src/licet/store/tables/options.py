"""Defines the tables of what pools limit, reserve and queue by (L15 to L17, L19, L20)."""

from sqlalchemy import BigInteger, CheckConstraint, Column, ForeignKey, Index, Integer, Table, Text

from licet.store.tables.parts import metadata
from licet.store.tables.parts import tenant_id as _tenant_id

# The options of pools that name somebody (L15 to L17, L19), each once.
pool_rule = Table(
    "pool_rule",
    metadata,
    Column("pool_id", ForeignKey("pool.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("kind", Text, primary_key=True),  # exclude, include, named, reserve, max, priority
    Column("who", Text, primary_key=True),  # user:TC, client:App, group:sales
    _tenant_id(),
    Column("number", Integer, nullable=False, server_default="0"),  # seats, or the level of a priority
    # Of a named user that was taken off the list: so long it counts as one of the names (L15).
    Column("until_ms", BigInteger),
)

# How many seats of a pool are counted by one of its options: `max=group:sales`. Only a change of the set-up
# raises `over`, by which the option was set below what is in use.
seat_count = Table(
    "seat_count",
    metadata,
    Column("pool_id", ForeignKey("pool.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("what", Text, primary_key=True),
    _tenant_id(),
    Column("in_use", Integer, nullable=False),
    Column("at_most", Integer, nullable=False),
    Column("over", Integer, nullable=False, server_default="0"),
    # The second guard, behind the ledger, as on each pool.
    CheckConstraint("in_use >= 0 AND in_use <= at_most + over", name="in_use"),
    sqlite_with_rowid=False,
)

# Who waits for a seat of a pool (L19). A place that lapsed may still be there.
queue_place = Table(
    "queue_place",
    metadata,
    Column("pool_id", ForeignKey("pool.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("holder", Text, primary_key=True),
    _tenant_id(),
    Column("client_key", BigInteger, nullable=False),
    Column("level", Integer, nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("since_ms", BigInteger, nullable=False),
    Column("until_ms", BigInteger, nullable=False),
    Index(None, "until_ms"),
    sqlite_with_rowid=False,
)

# The pools that a scope draws on after its first one, in order (L20).
scope_pool = Table(
    "scope_pool",
    metadata,
    _tenant_id(primary_key=True),
    Column("scope", Text, primary_key=True),
    Column("place", Integer, primary_key=True, autoincrement=False),
    Column("pool_id", ForeignKey("pool.id"), nullable=False),
)

# Groups of users and clients, which rules of pools can name; a row for each member: user:TC, client:App. The
# row of the group itself has the member ''.
group_member = Table(
    "group_member",
    metadata,
    _tenant_id(primary_key=True),
    Column("name", Text, primary_key=True),
    Column("member", Text, primary_key=True),
)
