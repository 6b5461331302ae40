"""Defines the tables of what is refused before the ledger, which belong to the schema."""

from sqlalchemy import BigInteger, Column, Index, Table, Text

from licet.store.tables.parts import KEY, metadata

# Failed authentications, folded by minute: one row counts those of one cause. Tenant 0 is an unknown tenant,
# and name '' is an unknown name, or several: a name that was sent and that we do not know is kept nowhere. No
# foreign key: a row may be of no tenant.
authentication_failure = Table(
    "authentication_failure",
    metadata,
    Column("tenant_id", BigInteger, primary_key=True, autoincrement=False),
    Column("minute", BigInteger, primary_key=True, autoincrement=False),
    Column("who", Text, primary_key=True),  # client, administrator, api_key
    Column("cause", Text, primary_key=True),
    Column("name", Text, primary_key=True),  # client_id, or the administrator's or key's name
    Column("initials", Text, nullable=False),
    Column("times", BigInteger, nullable=False),
    Column("first_at_ms", BigInteger, nullable=False),
    Column("last_at_ms", BigInteger, nullable=False),
    Column("address", Text, nullable=False),  # of the last one
    Index(None, "minute"),
    sqlite_with_rowid=False,
)

# Which refusal a request id belongs to: some denials and failed authentications of each minute.
refused_request = Table(
    "refused_request",
    metadata,
    Column("number", KEY, primary_key=True),  # the newest are kept, by this
    Column("request_id", Text, nullable=False, unique=True),
    Column("tenant_id", BigInteger, nullable=False, index=True),
    Column("at_ms", BigInteger, nullable=False, index=True),
    Column("kind", Text, nullable=False),  # denied, failed
    Column("reason", Text, nullable=False),  # of a denial, or the cause
    Column("pool", Text, nullable=False),
    Column("who", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("initials", Text, nullable=False),
    Column("address", Text, nullable=False),
    sqlite_autoincrement=True,
)
