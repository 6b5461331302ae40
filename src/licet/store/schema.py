"""Defines the tables of the schema, the same for every store.

Instants are milliseconds since 1970 in UTC (`..._ms`), `minute` and `hour` whole ones since then.
Each row carries its tenant's id, so that the tables can be spread over machines by tenant.
The number of rows follows the live sessions and the journal's minutes, never the number of tokens issued.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from licet.store.tables.journal import DENIED as DENIED  # noqa: PLC0414 - as all
from licet.store.tables.journal import denial_entries as denial_entries  # noqa: PLC0414 - as all
from licet.store.tables.journal import denial_entry as denial_entry  # noqa: PLC0414 - as all
from licet.store.tables.journal import denial_minute as denial_minute  # noqa: PLC0414 - as all
from licet.store.tables.journal import denial_summary as denial_summary  # noqa: PLC0414 - as all
from licet.store.tables.journal import entries as entries  # noqa: PLC0414 - as all
from licet.store.tables.journal import entry_minute as entry_minute  # noqa: PLC0414 - as all
from licet.store.tables.journal import holding as holding  # noqa: PLC0414 - as all
from licet.store.tables.journal import idle_hour as idle_hour  # noqa: PLC0414 - as all
from licet.store.tables.journal import journal as journal  # noqa: PLC0414 - as all
from licet.store.tables.journal import journal_entry as journal_entry  # noqa: PLC0414 - as all
from licet.store.tables.journal import session_summary as session_summary  # noqa: PLC0414 - as all
from licet.store.tables.journal import summed as summed  # noqa: PLC0414 - as all
from licet.store.tables.journal import usage_hour as usage_hour  # noqa: PLC0414 - as all
from licet.store.tables.journal import usage_minute as usage_minute  # noqa: PLC0414 - as all
from licet.store.tables.journal import usage_statement as usage_statement  # noqa: PLC0414 - as all
from licet.store.tables.journal import usage_summary as usage_summary  # noqa: PLC0414 - as all
from licet.store.tables.journal import whole_denials as whole_denials  # noqa: PLC0414 - as all
from licet.store.tables.journal import whole_journal as whole_journal  # noqa: PLC0414 - as all
from licet.store.tables.options import group_member as group_member  # noqa: PLC0414 - as all
from licet.store.tables.options import pool_rule as pool_rule  # noqa: PLC0414 - as all
from licet.store.tables.options import queue_place as queue_place  # noqa: PLC0414 - as all
from licet.store.tables.options import scope_pool as scope_pool  # noqa: PLC0414 - as all
from licet.store.tables.options import seat_count as seat_count  # noqa: PLC0414 - as all
from licet.store.tables.parts import KEY as _KEY
from licet.store.tables.parts import metadata as metadata  # noqa: PLC0414 - who has the tables has them all
from licet.store.tables.parts import partial_index
from licet.store.tables.parts import tenant_id as _tenant_id
from licet.store.tables.refusals import authentication_failure as authentication_failure  # noqa: PLC0414 - as all
from licet.store.tables.refusals import refused_request as refused_request  # noqa: PLC0414 - as all

# One row: `version` grows with every change of the set-up, so that a server sees by one query whether its
# snapshot is current.
setup = Table(
    "setup",
    metadata,
    Column("version", BigInteger, nullable=False),
    # Who wrote sessions or seats last: a random number of each store that a process has open. Another one
    # than one's own means that what one remembers of them may be wrong. On PostgreSQL, where batches of
    # several tenants run beside each other, a batch sets that of its tenants (`tenant.writer`), and a change
    # of the set-up, which is alone, this one.
    Column("writer", BigInteger, nullable=False, server_default="0"),
    # Whether a seat's row may say less than its sessions (`ledger/seat_rows.py`), and who writes sets
    # `writer`: no code that does not know of it works on these tables any more.
    Column("seats_lag", Boolean, nullable=False, server_default=text("false")),
    # Whether pools may have options: no code that does not count by them works on these tables any more.
    Column("options_allowed", Boolean, nullable=False, server_default=text("false")),
)

tenant = Table(
    "tenant",
    metadata,
    Column("id", _KEY, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("version", BigInteger, nullable=False),  # setup.version at its last change
    Column("session_ttl_s", Integer, nullable=False),
    Column("access_ttl_s", Integer, nullable=False),
    Column("scope_default", Text, nullable=False),
    Column("no_seat_status", Integer, nullable=False),
    Column("token_format", Text, nullable=False, server_default="reference"),
    Column("strict_assertions", Boolean, nullable=False, server_default=text("false")),
    Column("time_zone", Text, nullable=False, server_default="UTC"),  # of dates that name no zone
    # Whether a pool in no licence gives no seat (L13).
    Column("licence_required", Boolean, nullable=False, server_default=text("false")),
    Column("writer", BigInteger, nullable=False, server_default="0"),  # as `setup.writer`, on PostgreSQL
    # Only the journal of a removed tenant is left, which is deleted in pieces; its name is free again.
    Column("removed_at_ms", BigInteger),
    sqlite_autoincrement=True,  # a number is never given twice
)

is_there = tenant.c.removed_at_ms.is_(None)

pool = Table(
    "pool",
    metadata,
    Column("id", _KEY, primary_key=True),
    _tenant_id(),
    Column("name", Text, nullable=False),
    Column("seats", Integer, nullable=False),  # as the administrator set it
    Column("duplicates", Text, nullable=False),
    Column("expires_at_ms", BigInteger),
    # The number of this pool's rows in `seat`, swept or not.
    Column("in_use", Integer, nullable=False, server_default="0"),
    # By how much its seats were lowered below what was in use (L6). Only that change raises it.
    Column("overuse", Integer, nullable=False, server_default="0"),
    # What alerts are raised at: percentages of the seats in use, "denied"; separated by a space, '' is never.
    Column("alerts", Text, nullable=False, server_default="80 90 100 denied"),
    Column("hold_s", Integer, nullable=False, server_default="0"),  # L18
    # Those that code of schema 0003 does not know: "expires", "shared:5".
    Column("alerts_more", Text, nullable=False, server_default=""),
    # Whether licences say how many seats it has, also where they say none (L13).
    Column("is_signed", Boolean, nullable=False, server_default=text("false")),
    # The highest number that a seat of it ever had. All seats of a signed pool have one: the check finds a
    # seat that was taken without.
    Column(
        "numbers_used",
        Integer,
        CheckConstraint("numbers_used = 0 OR in_use <= numbers_used", name="numbers_used"),
        nullable=False,
        server_default="0",
    ),
    Column("numbers_from_ms", BigInteger, nullable=False, server_default="0"),  # no number is given before
    Column("numbers_free", Integer, nullable=False, server_default="0"),  # its rows in `seat_free`
    # Whether the administrator set no number of seats: those that are signed count, and `seats` is 0.
    Column("all_signed", Boolean, nullable=False, server_default=text("false")),
    Column("overdraft", Integer),  # as the administrator lowered it; none: all that is signed
    # Seats and overdraft by its licences and its administrator, as of the last new seat (L14). None: `seats`.
    Column("room", Integer),
    # Options (L16, L19); those that are lists are in `pool_rule`.
    Column("max_per_user", Integer),
    Column("max_per_client", Integer),
    Column("queue", Integer, nullable=False, server_default="0"),  # how many may wait
    Column("queue_hold_s", Integer, nullable=False, server_default="30"),
    UniqueConstraint("tenant_id", "name"),
    CheckConstraint("seats >= 0", name="seats"),
    # The second guard, behind the ledger: a missing lock is an error here, and never a seat too many.
    CheckConstraint("in_use >= 0 AND in_use <= coalesce(room, seats) + overuse", name="in_use"),
    # Each number is somebody's or free. So code that knows no numbers takes no seat of a signed pool.
    CheckConstraint("NOT is_signed OR in_use + numbers_free = numbers_used", name="numbers"),
    sqlite_autoincrement=True,
)

# The numbers of a signed pool that nobody has, up to `pool.numbers_used`, and from when on each may be given.
seat_free = Table(
    "seat_free",
    metadata,
    Column("pool_id", ForeignKey("pool.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("from_ms", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# The vendors whose licences count, for all tenants.
vendor = Table(
    "vendor",
    metadata,
    Column("name", Text, primary_key=True),
    Column("product", Text, primary_key=True),
    Column("text", Text, nullable=False),  # vendor.json
    Column("added_at_ms", BigInteger, nullable=False),
)

# The licences that were installed. Nothing drawn from the text is kept: it is verified whenever it is read.
licence = Table(
    "licence",
    metadata,
    _tenant_id(primary_key=True),
    Column("vendor", Text, primary_key=True),
    Column("product", Text, primary_key=True),
    Column("licence", Text, primary_key=True),
    Column("serial", BigInteger, primary_key=True, autoincrement=False),
    Column("text", Text, nullable=False),  # the compact JWS
    Column("installed_at_ms", BigInteger, nullable=False),
    Column("removed_at_ms", BigInteger),  # it counts no more; nor can it be installed again
)

scope = Table(
    "scope",
    metadata,
    _tenant_id(primary_key=True),
    Column("name", Text, primary_key=True),
    Column("read_only", Boolean, nullable=False),
    Column("pool_id", ForeignKey("pool.id")),  # none: unlicensed
)

user = Table(
    "user_account",  # `user` is a reserved word
    metadata,
    _tenant_id(primary_key=True),
    Column("initials", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("password_hash", Text),
    Column("enabled", Boolean, nullable=False),
    Column("cost_centre", Text),  # who pays for its seats
)

client = Table(
    "client",
    metadata,
    Column("key", _KEY, primary_key=True),
    _tenant_id(),
    Column("client_id", Text, nullable=False),
    Column("initials", Text, nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("sessions_max", Integer, nullable=False),
    Column("scopes", Text),  # names separated by a space; none: every scope of the tenant
    Column("grant_types", Text, nullable=False),
    Column("introspects", Boolean, nullable=False),
    Column("password_allowed", Boolean, nullable=False),
    Column("barred_until_ms", BigInteger),  # suspended by an administrator who ended its session
    UniqueConstraint("tenant_id", "client_id"),
    ForeignKeyConstraint(["tenant_id", "initials"], ["user_account.tenant_id", "user_account.initials"]),
    sqlite_autoincrement=True,
)

client_secret = Table(
    "client_secret",
    metadata,
    Column("secret_id", Text, primary_key=True),
    _tenant_id(),
    Column("client_key", ForeignKey("client.key", ondelete="CASCADE"), nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("expires_at_ms", BigInteger),
    Column("last_used_at_ms", BigInteger),
)

# The public keys by which clients authenticate (RFC 7523 2.2).
public_key = Table(
    "public_key",
    metadata,
    Column("client_key", ForeignKey("client.key", ondelete="CASCADE"), primary_key=True),
    Column("thumbprint", Text, primary_key=True),  # RFC 7638
    _tenant_id(),
    Column("jwk", Text, nullable=False),
    Column("kid", Text),  # none: the thumbprint
    Column("algorithm", Text),  # none: every one that fits the key
    Column("created_at_ms", BigInteger, nullable=False),
    Column("expires_at_ms", BigInteger),
    Column("last_used_at_ms", BigInteger),
)

# The assertions that clients authenticated with, until they have expired: each can be used once (RFC 7523 3).
# No foreign key: a row outlives its client by minutes.
assertion_used = Table(
    "assertion_used",
    metadata,
    Column("tenant_id", BigInteger, primary_key=True, autoincrement=False),
    Column("client_key", BigInteger, primary_key=True, autoincrement=False),
    Column("jti", LargeBinary, primary_key=True),  # its hash
    Column("until_ms", BigInteger, nullable=False),
    Index(None, "until_ms"),
    sqlite_with_rowid=False,
)

# The two tables that every grant writes. They have no foreign keys: what they refer to is removed only by a
# set-up change that ends the sessions first.
session = Table(
    "session",
    metadata,
    # In the order in which they began: a client's oldest is its least (L8).
    Column("number", _KEY, primary_key=True),
    Column("sid", LargeBinary, nullable=False, unique=True),
    Column("tenant_id", BigInteger, nullable=False),
    Column("client_key", BigInteger, nullable=False),
    Column("scope", Text, nullable=False),
    Column("pool_id", BigInteger),
    Column("holder", Text),
    Column("started_at_ms", BigInteger, nullable=False),
    Column("renewed_at_ms", BigInteger, nullable=False),
    Column("expires_at_ms", BigInteger, nullable=False),
    Column("address", Text, nullable=False),
    # A client's live sessions, by the index alone. An entry is small on purpose: each grant of a client
    # touches a page of this index, and a commit costs as much as the pages it touches.
    Index(None, "client_key", "expires_at_ms"),
    # For the sessions that have expired.
    Index(None, "expires_at_ms"),
)
# Which sessions of other clients are on a user's seat; the others are found by their client.
partial_index(
    "ix_session_user_seat",
    session.c.pool_id,
    session.c.holder,
    session.c.expires_at_ms,
    where="substr(holder, 1, 5) = 'user:'",
)

# A row may say less of a seat than its sessions do: read seats by `seats_now.py`.
seat = Table(
    "seat",
    metadata,
    Column("pool_id", BigInteger, primary_key=True),
    Column("holder", Text, primary_key=True),
    Column("tenant_id", BigInteger, nullable=False),
    Column("client_id", Text, nullable=False),  # whose grant took it
    Column("initials", Text, nullable=False),
    Column("taken_at_ms", BigInteger, nullable=False),
    Column("expires_at_ms", BigInteger, nullable=False),
    Column("issued_at_ms", BigInteger, nullable=False, server_default="0"),  # its newest token (L18)
    Column("sources", Text, nullable=False, server_default=""),  # by which addresses: `seat_sources.py`
    # Which seat of a signed pool it is (L13); 0 in any other.
    Column(
        "number",
        Integer,
        CheckConstraint("number >= 0", name="number"),
        nullable=False,
        server_default="0",
    ),
    # By which options of its pool it is counted (`seat_count.what`), a line each.
    Column("counted", Text, nullable=False, server_default=""),
    Index(None, "pool_id", "expires_at_ms"),
    sqlite_with_rowid=False,
)
# Nobody has a number that somebody else has.
partial_index("uq_seat_number", seat.c.pool_id, seat.c.number, where="number > 0", unique=True)

# When an API last asked about a token of a session (`licet.journal.uses`). A table of its own, as it is
# written beside the requests, and the two above by them.
session_use = Table(
    "session_use",
    metadata,
    Column("sid", LargeBinary, primary_key=True),
    Column("pool_id", BigInteger),
    Column("holder", Text),
    # When its seat was taken, and by whom; 0 and '' if that was gone when the first use was noted.
    Column("taken_at_ms", BigInteger, nullable=False),
    Column("client_id", Text, nullable=False),
    Column("used_at_ms", BigInteger, nullable=False),
    # The last use of a seat.
    Index(None, "pool_id", "holder", "used_at_ms"),
    sqlite_with_rowid=False,
)

# What administrators did; `tenant` is a name, because the event outlives the tenant.
event = Table(
    "event",
    metadata,
    Column("id", _KEY, primary_key=True),
    Column("at_ms", BigInteger, nullable=False, index=True),
    Column("actor", Text, nullable=False),
    Column("tenant", Text, nullable=False),
    Column("action", Text, nullable=False),  # add, set, remove, ...
    Column("target", Text, nullable=False),  # "client TestClientId"
    Column("detail", Text, nullable=False),
)

# The servers at work, each by a row of its own that it writes every few seconds.
node = Table(
    "node",
    metadata,
    Column("id", Text, primary_key=True),  # random, another one at each start
    Column("name", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("schema", Text, nullable=False),  # what its code needs
    Column("url", Text, nullable=False),
    Column("token_keys", Text, nullable=False),  # marks of its signing keys, as JSON
    Column("pepper", Text, nullable=False),  # a mark
    Column("started_at_ms", BigInteger, nullable=False),
    Column("seen_at_ms", BigInteger, nullable=False),
    Column("skew_ms", BigInteger, nullable=False),  # how far its wall clock is ahead of the store's
)

# Who may sign in to the admin listener. No tenant: all of them.
admin = Table(
    "admin",
    metadata,
    Column("id", _KEY, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("password_hash", Text, nullable=False),
    Column("role", Text, nullable=False),  # viewer, operator, owner
    Column("tenant_id", ForeignKey("tenant.id", ondelete="CASCADE")),
    Column("enabled", Boolean, nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
    sqlite_autoincrement=True,
)

# One sign-in of an administrator. The token is in the cookie only.
admin_session = Table(
    "admin_session",
    metadata,
    Column("token_hash", LargeBinary, primary_key=True),
    Column("admin_id", ForeignKey("admin.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("seen_at_ms", BigInteger, nullable=False, index=True),
    Column("address", Text, nullable=False),
)

# What a program signs in with. The key is shown once.
api_key = Table(
    "api_key",
    metadata,
    Column("id", Text, primary_key=True),  # the part of the key that is no secret
    Column("name", Text, nullable=False, unique=True),
    Column("hash", LargeBinary, nullable=False),
    Column("role", Text, nullable=False),
    Column("tenant_id", ForeignKey("tenant.id", ondelete="CASCADE")),
    Column("created_by", Text, nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("expires_at_ms", BigInteger),
    Column("last_used_at_ms", BigInteger),
)

# Where alerts are sent. Its signing secret is made from the pepper and `secret_number`: none is stored.
webhook = Table(
    "webhook",
    metadata,
    Column("id", Text, primary_key=True),  # random
    Column("tenant_id", ForeignKey("tenant.id", ondelete="CASCADE")),  # none: alerts of all tenants
    Column("url", Text, nullable=False),
    Column("secret_number", Integer, nullable=False, server_default="1"),
    Column("rotated_at_ms", BigInteger),  # the secret before this one signs too, for a while
    Column("enabled", Boolean, nullable=False),
    Column("disabled_why", Text, nullable=False, server_default=""),  # where nobody did it
    Column("created_at_ms", BigInteger, nullable=False),
    Column("private_allowed", Boolean, nullable=False, server_default=text("false")),
)

# Whether a pool is beyond a threshold, so that it is reported once and not with every grant.
alert = Table(
    "alert",
    metadata,
    Column("pool_id", ForeignKey("pool.id", ondelete="CASCADE"), primary_key=True),
    Column("threshold", Text, primary_key=True),  # as in pool.alerts
    _tenant_id(),
    Column("raised_at_ms", BigInteger, nullable=False),
    Column("cleared_at_ms", BigInteger),
    Column("told_at_ms", BigInteger),
    Column("told_times", BigInteger, nullable=False, server_default="0"),  # what was counted then
)

# Which end of a pool's licence was reported, and how many days before; 0 is the end itself.
licence_notice = Table(
    "licence_notice",
    metadata,
    Column("pool_id", ForeignKey("pool.id", ondelete="CASCADE"), primary_key=True),
    _tenant_id(),
    Column("expires_at_ms", BigInteger, nullable=False),
    Column("days", Integer, nullable=False),
    Column("raised_at_ms", BigInteger, nullable=False),
)

# The seats whose use from many addresses was reported, a day ago at most.
shared_seat = Table(
    "shared_seat",
    metadata,
    Column("pool_id", ForeignKey("pool.id", ondelete="CASCADE"), primary_key=True),
    Column("holder", Text, primary_key=True),
    _tenant_id(),
    Column("client_id", Text, nullable=False),
    Column("addresses", Integer, nullable=False),
    Column("raised_at_ms", BigInteger, nullable=False),
)

# Messages that are being delivered, and those that were given up.
delivery = Table(
    "delivery",
    metadata,
    Column("id", Text, primary_key=True),  # the message's id, the same in each attempt
    Column("webhook_id", ForeignKey("webhook.id", ondelete="CASCADE"), index=True),  # none: by e-mail
    Column("tenant_id", BigInteger),  # whose alert it reports
    Column("type", Text, nullable=False),  # pool.threshold_reached, ...
    Column("payload", Text, nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("next_at_ms", BigInteger),  # none: given up, or delivered
    Column("last_at_ms", BigInteger),  # the last attempt
    Column("delivered_at_ms", BigInteger),
    Column("last_error", Text, nullable=False, server_default=""),
    Index(None, "next_at_ms"),
    Index(None, "created_at_ms"),
)
