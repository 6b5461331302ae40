"""Finds what is wrong with a set-up: rows that contradict each other, settings that lock somebody out.

A finding is data: a code, the subject, and the names that advice needs. The command line, the API and the
pages add advice by the code; where it is the same for all, the finding has it. `is_wrong` separates what has
to be corrected from what is only worth knowing. The module only reads. It compares what each node has written
about itself.
"""

from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from itertools import chain, islice
from typing import Any

import msgspec
from msgspec.structs import replace
from sqlalchemy import Connection, FromClause, Select, and_, case, exists, func, or_, select

from licet.credentials.public_keys import name_of
from licet.formats import duration, end_in_words, instant
from licet.ledger.holders import SESSION_HOLDER
from licet.ledger.signed_pools import room_of, seats_of
from licet.licences.ends import lost_seats, near_ends
from licet.model import Client, Duplicates, Pool, Scope, Tenant, TokenFormat, Value
from licet.refusal import names_of
from licet.setup.holds import until_held
from licet.setup.licences import not_counted
from licet.setup.options import findings
from licet.setup.signed_limits import beyond_signed, why_no_seats
from licet.store import schema
from licet.store.licences_read import Fault
from licet.store.migrate import is_unfinished
from licet.store.nodes import Node, is_silent, signing_mark
from licet.units import DAY_MS

SKEW_MAX_MS = 1000  # more than a network and two time servers cause
API_SKEW_MAX_MS = 300_000  # as far as a guard that counts seats lets clocks be apart
JWT_TTL_S_MAX = 300  # a guess: an ended session should not go on for longer
SOON_MS = 30 * DAY_MS  # a guess: time enough to buy a licence, or to distribute another secret
ENDS_MAX = 10  # of one pool; a guess, as of alerts

Names = Mapping[str, str]
_NO_NAMES: Names = {}


class FindingCode(StrEnum):
    """What is found. Programs depend on these words: their meaning never changes."""

    UPGRADE_UNFINISHED = "upgrade_unfinished"
    NO_TENANT = "no_tenant"
    NO_CLIENT = "no_client"
    NO_INTROSPECTION = "no_introspection"
    LICENCE_EXPIRED = "licence_expired"
    LICENCE_EXPIRES = "licence_expires"
    SEATS_EXPIRE = "seats_expire"
    LICENCE_IN_GRACE = "licence_in_grace"
    SEATS_EXPIRED = "seats_expired"
    LICENCE_NOT_COUNTED = "licence_not_counted"
    LICENCE_MISSING = "licence_missing"
    SEATS_NOT_SIGNED = "seats_not_signed"
    POOL_UNUSED = "pool_unused"
    NO_SEATS = "no_seats"
    SEATS_HELD_PER_SESSION = "seats_held_per_session"
    SEATS_OVERUSED = "seats_overused"
    OPTIONS_CONTRADICT = "options_contradict"
    OPTION_FOR_NOBODY = "option_for_nobody"
    OPTION_WITHOUT_EFFECT = "option_without_effect"
    GROUP_EMPTY = "group_empty"
    DEFAULT_SCOPE_MISSING = "default_scope_missing"
    ALL_UNLICENSED = "all_unlicensed"
    JWT_LIVES_LONG = "jwt_lives_long"
    USER_DISABLED = "user_disabled"
    NO_PASSWORD = "no_password"  # noqa: S105 - a code, no secret
    NO_CREDENTIALS = "no_credentials"
    SCOPE_MISSING = "scope_missing"
    NO_SCOPE = "no_scope"
    SECRET_EXPIRED = "secret_expired"  # noqa: S105 - as above
    SECRET_EXPIRES = "secret_expires"  # noqa: S105 - as above
    KEY_EXPIRED = "key_expired"
    KEY_EXPIRES = "key_expires"
    CONTRADICTION = "contradiction"
    PEPPERS_DIFFER = "peppers_differ"
    SIGNING_KEY_MISSING = "signing_key_missing"
    SIGNING_KEYS_DIFFER = "signing_keys_differ"
    VERSIONS_DIFFER = "versions_differ"
    URLS_DIFFER = "urls_differ"
    CLOCK_WRONG = "clock_wrong"
    NODE_SILENT = "node_silent"
    # Found only on the machine itself
    STORE_NOT_WRITABLE = "store_not_writable"
    DISK_NEARLY_FULL = "disk_nearly_full"
    SESSIONS_AHEAD = "sessions_ahead"
    FILE_READABLE = "file_readable"
    KEYRING_UNUSABLE = "keyring_unusable"
    CERTIFICATE_UNUSABLE = "certificate_unusable"
    CERTIFICATE_EXPIRES = "certificate_expires"
    SETTINGS_WRONG = "settings_wrong"
    SCHEMA_OUTDATED = "schema_outdated"
    SCHEMA_UNKNOWN = "schema_unknown"
    TABLES_DAMAGED = "tables_damaged"
    CONNECTION_INSECURE = "connection_insecure"


class Finding(Value, frozen=True, kw_only=True):
    """Something to correct, or with `is_wrong` false to know. `tenant` is '' for the whole store.

    `names` are those that advice needs beside the tenant's: `pool`, `client`, `user`, `secret`, `key`.
    `advice` is what to do about it, the same everywhere; '' where it depends on the interface.
    """

    is_wrong: bool
    code: FindingCode
    tenant: str
    target: str  # "client TestClientId"
    problem: str
    advice: str = ""
    names: Names = msgspec.field(default_factory=dict)


def check(connection: Connection, tenants: Mapping[int, Tenant], now_ms: int) -> list[Finding]:
    """All findings, tenant by tenant, those that are wrong first."""
    found: list[Finding] = []
    if is_unfinished(connection):
        problem = "the last step of an upgrade is due: what only an older version needs is still there"
        found.append(_hint(FindingCode.UPGRADE_UNFINISHED, "", "store", problem))
    if not tenants:
        found.append(_hint(FindingCode.NO_TENANT, "", "store", "it has no tenant"))
    for tenant in sorted(tenants.values(), key=lambda one: one.name):
        of_tenant = [*_of_rows(connection, tenant, now_ms), *_of_setup(tenant, now_ms)]
        found += sorted(of_tenant, key=lambda finding: not finding.is_wrong)
    return found


def authenticates_by(client: Client, now_ms: int) -> list[str]:
    """How a client can authenticate: by some of `password`, `secret` and `key`, or not at all."""
    found = []
    if client.password_allowed and client.user.password_hash is not None:
        found.append("password")
    if any(secret.is_live(now_ms) for secret in client.secrets):
        found.append("secret")
    if any(key.is_live(now_ms) for key in client.keys):
        found.append("key")
    return found


def check_nodes(
    nodes: Sequence[Node],
    now_ms: int,
    *,
    many_machines: bool,
    own_pepper: str | None = None,
    are_signed: bool = False,
) -> list[Finding]:
    """Contradictions between the nodes, those that are wrong first.

    `many_machines`: they may be on several machines, and the store's clock counts. `own_pepper` is the
    fingerprint of the one that the command line here works with. `are_signed`: licences sign some pools, so
    that APIs compare the instant at which a token was issued with their own clocks.
    """
    live = [node for node in nodes if not is_silent(node, now_ms)]
    found = [
        *_of_peppers(live, own_pepper),
        *_of_keys(live, now_ms),
        *_of_versions(live),
        *(
            _of_clock(node, many_machines=many_machines, are_signed=are_signed)
            for node in live
            if abs(node.skew_ms) > SKEW_MAX_MS
        ),
        *(_silent(node) for node in nodes if node not in live),
    ]
    return sorted(found, key=lambda finding: not finding.is_wrong)


def _of_setup(tenant: Tenant, now_ms: int) -> Iterator[Finding]:
    for pool in tenant.pools.values():
        yield from _of_pool(tenant, pool, now_ms)
    for group, rules in findings.empty_groups(tenant):
        problem = f"nobody is in it; named by {names_of(rules)}" if rules else "nobody is in it"
        names = {"group": group.name}
        yield _hint(FindingCode.GROUP_EMPTY, tenant.name, f"group {group.name}", problem, names=names)
    yield from _of_scopes(tenant)
    yield from _of_token_format(tenant)
    for client in tenant.clients.values():
        if client.enabled:
            yield from _of_client(tenant, client, now_ms)
        yield from _of_secrets(tenant, client, now_ms)
        yield from _of_keys_of_client(tenant, client, now_ms)
    if not tenant.clients:
        yield _hint(FindingCode.NO_CLIENT, tenant.name, "clients", "there are none")
    elif not any(client.introspects for client in tenant.clients.values()):
        problem = "none may introspect, so that no API can ask about tokens"
        yield _hint(FindingCode.NO_INTROSPECTION, tenant.name, "clients", problem)


def _of_pool(tenant: Tenant, pool: Pool, now_ms: int) -> Iterator[Finding]:
    about = (tenant.name, f"pool {pool.name}")
    names, expires_at_ms = {"pool": pool.name}, pool.expires_at_ms
    if expires_at_ms is not None and expires_at_ms <= now_ms:
        problem = f"the licence expired {end_in_words(expires_at_ms, tenant.zone)}"
        yield _wrong(FindingCode.LICENCE_EXPIRED, *about, problem, names=names)
    elif expires_at_ms is not None and expires_at_ms <= now_ms + SOON_MS:
        problem = f"the licence expires {end_in_words(expires_at_ms, tenant.zone)}"
        yield _hint(FindingCode.LICENCE_EXPIRES, *about, problem, names=names)
    yield from _of_signed(tenant, pool, now_ms)
    if not any(pool.name in scope.pools for scope in tenant.scopes.values()):
        yield _hint(FindingCode.POOL_UNUSED, *about, "no scope draws on it", names=names)
    elif problem := why_no_seats(tenant, pool):
        yield _wrong(FindingCode.LICENCE_MISSING, *about, problem, names=names)
    elif pool.seats == 0:
        yield _wrong(FindingCode.NO_SEATS, *about, "it has no seats", names=names)
    if problem := beyond_signed(pool, now_ms):
        yield _hint(FindingCode.SEATS_NOT_SIGNED, *about, problem, names=names)
    hold_s = tenant.hold_s_of(pool)
    if hold_s and pool.duplicates is Duplicates.NONE:
        problem = (
            f"every session has a seat of its own, which is held for {duration(hold_s)}: a client that asks"
            " again and again can fill the pool for that long"
        )
        yield _hint(FindingCode.SEATS_HELD_PER_SESSION, *about, problem, names=names)
    yield from _of_options(tenant, pool, now_ms)


def _of_options(tenant: Tenant, pool: Pool, now_ms: int) -> Iterator[Finding]:
    about, names = (tenant.name, f"pool {pool.name}"), {"pool": pool.name}
    for problem in chain(
        findings.contradicting(pool, now_ms), findings.contradicting_by_groups(tenant, pool)
    ):
        yield _wrong(FindingCode.OPTIONS_CONTRADICT, *about, problem, names=names)
    for problem in findings.for_nobody(tenant, pool):
        yield _wrong(FindingCode.OPTION_FOR_NOBODY, *about, problem, names=names)
    for option, why in findings.without_effect(pool):
        problem = f"{option} has no effect: {why}"
        yield _hint(FindingCode.OPTION_WITHOUT_EFFECT, *about, problem, names=names)


def _of_signed(tenant: Tenant, pool: Pool, now_ms: int) -> Iterator[Finding]:
    """Seats that a signed pool loses soon, keeps by a grace, or has lost, as its licences end (L13)."""
    about = (tenant.name, f"pool {pool.name}")
    if pool.signed is None:
        return
    for end in islice(near_ends(pool.signed, now_ms), ENDS_MAX):
        names, left = ", ".join(end.licences), f"{end.after} of {end.before} seats are left"
        expiry, last = (end_in_words(ms, tenant.zone) for ms in (end.expires_at_ms, end.ends_at_ms))
        if end.expires_at_ms <= now_ms:
            problem = f"licence {names} expired {expiry}; its grace ends {last}, then {left}"
            yield _wrong(FindingCode.LICENCE_IN_GRACE, *about, problem)
            continue
        more = f"its grace ends {last}, then {left}" if end.has_grace else f"then {left}"
        problem = f"licence {names} expires {expiry}; {more}"
        yield _hint(FindingCode.SEATS_EXPIRE, *about, problem)
    if (past := lost_seats(pool.signed, now_ms)) is not None:
        problem = (
            f"licence {', '.join(past.licences)} expired {end_in_words(past.expires_at_ms, tenant.zone)};"
            f" {past.after} of {past.before} seats are left"
        )
        yield (_hint if past.after else _wrong)(FindingCode.SEATS_EXPIRED, *about, problem)


def _of_scopes(tenant: Tenant) -> Iterator[Finding]:
    if tenant.scope_default not in tenant.scopes:
        target, problem = f"scope {tenant.scope_default}", "it is the default and does not exist"
        yield _wrong(FindingCode.DEFAULT_SCOPE_MISSING, tenant.name, target, problem)
    every = tenant.scopes.get(Scope.ALL)
    if every is not None and not every.licensed:
        problem = "it is unlicensed, so that no seat is needed for it"
        yield _hint(FindingCode.ALL_UNLICENSED, tenant.name, "scope all", problem)


def _of_token_format(tenant: Tenant) -> Iterator[Finding]:
    if tenant.token_format is TokenFormat.JWT and tenant.access_ttl_s > JWT_TTL_S_MAX:
        problem = (
            f"its access tokens are JWTs that live {duration(tenant.access_ttl_s)}: a logoff cannot reach a"
            " token that nobody asks about"
        )
        yield _hint(FindingCode.JWT_LIVES_LONG, tenant.name, "token_format", problem)


def _of_client(tenant: Tenant, client: Client, now_ms: int) -> Iterator[Finding]:
    about = (tenant.name, f"client {client.client_id}")
    user = client.user.initials
    names = {"client": client.client_id, "user": user}
    if not client.user.enabled:
        yield _wrong(FindingCode.USER_DISABLED, *about, f"its user {user} is disabled", names=names)
    if not authenticates_by(client, now_ms):
        code = FindingCode.NO_PASSWORD if client.password_allowed else FindingCode.NO_CREDENTIALS
        problem = "it cannot authenticate: no password works for it, no secret and no key"
        yield _wrong(code, *about, problem, names=names)
    unknown = sorted((client.scopes or set()) - tenant.scopes.keys())
    if unknown:
        problem = f"it may have a scope that does not exist: {', '.join(unknown)}"
        yield _wrong(FindingCode.SCOPE_MISSING, *about, problem, names=names)
    if client.scopes is not None and not client.scopes:
        yield _hint(FindingCode.NO_SCOPE, *about, "it may have no scope at all", names=names)


def _of_secrets(tenant: Tenant, client: Client, now_ms: int) -> Iterator[Finding]:
    for secret in client.secrets:
        if secret.expires_at_ms is None or secret.expires_at_ms > now_ms + SOON_MS:
            continue
        is_over = secret.expires_at_ms <= now_ms
        end = end_in_words(secret.expires_at_ms, tenant.zone)
        yield _hint(
            FindingCode.SECRET_EXPIRED if is_over else FindingCode.SECRET_EXPIRES,
            tenant.name,
            f"client {client.client_id}",
            f"its secret {secret.secret_id} {'expired' if is_over else 'expires'} {end}",
            names={"client": client.client_id, "secret": secret.secret_id},
        )


def _of_keys_of_client(tenant: Tenant, client: Client, now_ms: int) -> Iterator[Finding]:
    for key in client.keys:
        if key.expires_at_ms is None or key.expires_at_ms > now_ms + SOON_MS:
            continue
        is_live, name, end = key.is_live(now_ms), name_of(key), end_in_words(key.expires_at_ms, tenant.zone)
        yield _hint(
            FindingCode.KEY_EXPIRES if is_live else FindingCode.KEY_EXPIRED,
            tenant.name,
            f"client {client.client_id}",
            f"its key {name} {'expires' if is_live else 'expired'} {end}",
            names={"client": client.client_id, "key": name},
        )


def _of_rows(connection: Connection, tenant: Tenant, now_ms: int) -> Iterator[Finding]:
    """Violations of the ledger's rules, which only a bug or a manual change of the tables can cause."""
    counts = connection.execute(_counts(tenant)).all()
    for row in counts:
        target = f"pool {row.name}"
        if row.in_use != row.counted:
            problem = f"its count of seats in use is {row.in_use}, and there are {row.counted}"
            yield _wrong(FindingCode.CONTRADICTION, tenant.name, target, problem, _BUG)
        pool = tenant.pool_named(row.name)
        # In a signed pool, part of what is above its seats may be overdraft (L14).
        if row.overuse > 0 and (pool is None or row.in_use > room_of(pool, now_ms)):
            seats = row.seats if pool is None else seats_of(pool, now_ms)
            problem = f"more seats are in use than it has: {row.in_use} of {seats}"
            yield _wrong(FindingCode.SEATS_OVERUSED, tenant.name, target, problem, names={"pool": row.name})
    for pool in tenant.pools.values():
        for problem in findings.miscounted(connection, pool):
            yield _wrong(FindingCode.CONTRADICTION, tenant.name, f"pool {pool.name}", problem, _BUG)
        if count := findings.places_of_nobody(connection, tenant, pool, now_ms):
            problem = f"places in its queue are of clients that are no more: {count}"
            yield _wrong(FindingCode.CONTRADICTION, tenant.name, f"pool {pool.name}", problem, _BUG)
    yield from _of_licences(connection, tenant, now_ms)
    for query, problem in _contradictions(tenant, now_ms):
        if found := connection.execute(query).scalar_one():
            yield _wrong(FindingCode.CONTRADICTION, tenant.name, "sessions", f"{problem}: {found}", _BUG)


def _of_licences(connection: Connection, tenant: Tenant, now_ms: int) -> Iterator[Finding]:
    """Licences that give nothing though nobody removed them, and numbers that do not add up (L13)."""
    for it in not_counted(connection, {tenant.id: tenant.name}, now_ms).get(tenant.id, ()):
        assert it.fault is not None
        why, advice = _FAULTS[it.fault]
        problem = f"serial {it.serial} gives no seats: {why.format(vendor=it.vendor, product=it.product)}"
        yield _wrong(FindingCode.LICENCE_NOT_COUNTED, tenant.name, f"licence {it.name}", problem, advice)
    seat, free = schema.seat.c, schema.seat_free.c
    for pool in tenant.pools.values():
        if pool.signed is None:
            continue
        of_pool = select(func.count()).where(seat.pool_id == pool.id, seat.number > 0)
        numbers = connection.execute(of_pool).scalar_one()
        numbers += connection.execute(select(func.count()).where(free.pool_id == pool.id)).scalar_one()
        used = connection.execute(select(schema.pool.c.numbers_used).filter_by(id=pool.id)).scalar_one()
        if numbers != used:
            problem = f"its highest number is {used}, and {numbers} are taken or free"
            yield _wrong(FindingCode.CONTRADICTION, tenant.name, f"pool {pool.name}", problem, _BUG)


def _of_peppers(live: Sequence[Node], own: str | None) -> Iterator[Finding]:
    peppers = {node.pepper for node in live}
    if len(peppers) > 1:
        shown = ", ".join(f"{node.name} ({node.pepper})" for node in live)
        problem = f"they have different peppers, so that one refuses what another accepts: {shown}"
        yield _wrong(FindingCode.PEPPERS_DIFFER, "", "nodes", problem, _ONE_FILE)
    elif own is not None and peppers - {own}:
        problem = "secrets.json here has another pepper than the nodes, which refuse what is made here"
        yield _wrong(FindingCode.PEPPERS_DIFFER, "", "nodes", problem, _ONE_FILE)


def _of_keys(live: Sequence[Node], now_ms: int) -> Iterator[Finding]:
    keys = {node.id: {mark.fingerprint for mark in node.token_keys} for node in live}
    lacking: dict[str, list[str]] = {}
    for signing in live:
        mark = signing_mark(signing.token_keys, now_ms)
        lacking[mark.text] = [node.name for node in live if mark.fingerprint not in keys[node.id]]
    refused = {key: names for key, names in lacking.items() if names}
    for key, names in refused.items():
        problem = f"key {key} signs, and is not on {', '.join(names)}, which refuses its tokens"
        yield _wrong(FindingCode.SIGNING_KEY_MISSING, "", "nodes", problem, _ONE_FILE)
    if not refused and len({frozenset(marks) for marks in keys.values()}) > 1:
        problem = "they have different signing keys, though all have those that sign now"
        yield _hint(FindingCode.SIGNING_KEYS_DIFFER, "", "nodes", problem, _ONE_FILE)


def _of_versions(live: Sequence[Node]) -> Iterator[Finding]:
    versions = sorted({node.version for node in live})
    if len(versions) > 1:
        advice = "upgrade the others; docs/how-to/upgrade.md"
        problem = f"they are of different versions: {', '.join(versions)}"
        yield _hint(FindingCode.VERSIONS_DIFFER, "", "nodes", problem, advice)
    urls = sorted({node.url for node in live})
    if len(urls) > 1:
        problem = f"they call themselves by different addresses: {', '.join(urls)}"
        advice = "set public_url on each, to what clients use"
        yield _hint(FindingCode.URLS_DIFFER, "", "nodes", problem, advice)


def _of_clock(node: Node, *, many_machines: bool, are_signed: bool) -> Finding:
    way = "ahead of" if node.skew_ms > 0 else "behind"
    problem = f"its clock is {abs(node.skew_ms) / 1000:.1f} s {way} the store's"
    advice = "start it again: the clock was set back while it ran, and sessions follow the clock from before"
    if many_machines:
        advice = "set it right, for the times in its log; sessions and seats follow the database's clock"
    if not are_signed or abs(node.skew_ms) <= API_SKEW_MAX_MS:
        return _hint(FindingCode.CLOCK_WRONG, "", f"node {node.name}", problem, advice)
    problem += (
        ", which dates tokens: one of the two is wrong, and an API that counts seats and goes by the other"
        " answers 503"
    )
    return _wrong(FindingCode.CLOCK_WRONG, "", f"node {node.name}", problem, advice)


def _silent(node: Node) -> Finding:
    problem = f"nothing was heard of it since {instant(node.seen_at_ms)}"
    advice = "start it, or find out what keeps it from the store; one that is gone is forgotten after a day"
    return _hint(FindingCode.NODE_SILENT, "", f"node {node.name}", problem, advice)


_ONE_FILE = "put the same secrets.json on all; docs/how-to/run-several-nodes.md"
_BUG = "this is a bug of Licet, or somebody changed the tables: please report it"
_FAULTS = {  # why, and what to do about it
    Fault.VENDOR_NOT_TRUSTED: (
        "vendor {vendor} is not trusted for {product}",
        "trust the vendor by its vendor.json, or remove the licence",
    ),
    Fault.KEY_NOT_TRUSTED: (
        "vendor {vendor} has withdrawn the key that signed it",
        "ask the vendor for a licence that another key has signed",
    ),
    Fault.CHANGED: ("its text was changed", "install the file again as the vendor sent it"),
}


def _counts(tenant: Tenant) -> Select[Any]:
    pool, seat = schema.pool, schema.seat
    counted = select(func.count()).where(seat.c.pool_id == pool.c.id).correlate(pool).scalar_subquery()
    columns = (pool.c.name, pool.c.seats, pool.c.in_use, pool.c.overuse, counted.label("counted"))
    return select(*columns).where(pool.c.tenant_id == tenant.id).order_by(pool.c.name)


def _contradictions(tenant: Tenant, now_ms: int) -> Iterator[tuple[Select[Any], str]]:
    session, seat, client = schema.session, schema.seat, schema.client
    of_tenant = session.c.tenant_id == tenant.id
    seated = exists().where(seat.c.pool_id == session.c.pool_id, seat.c.holder == session.c.holder)
    licensed = (of_tenant, session.c.pool_id.is_not(None), session.c.expires_at_ms > now_ms)
    yield _count(session).where(*licensed, ~seated), "licensed sessions without a seat"
    known = exists().where(client.c.key == session.c.client_key)
    yield _count(session).where(of_tenant, ~known), "sessions of a client that is no more"
    last = (
        select(session.c.pool_id, session.c.holder, func.max(session.c.expires_at_ms).label("ms"))
        .where(of_tenant)
        .group_by(session.c.pool_id, session.c.holder)
        .subquery()
    )
    sharing = and_(last.c.pool_id == seat.c.pool_id, last.c.holder == seat.c.holder)
    last_ms, held_ms = func.coalesce(last.c.ms, 0), until_held(tenant, now_ms)
    expected = case((held_ms > last_ms, held_ms), else_=last_ms)
    # The row may be behind, but for the rows of those that have a hold or a number (`ledger/seat_rows.py`).
    own = func.substr(seat.c.holder, 1, len(SESSION_HOLDER)) == SESSION_HOLDER
    may_lag = (
        select(schema.setup.c.seats_lag).scalar_subquery() & ~own & (held_ms == 0) & (seat.c.number == 0)
    )
    yield (
        _count(seat.outerjoin(last, sharing)).where(
            seat.c.tenant_id == tenant.id,
            or_(seat.c.expires_at_ms > expected, and_(seat.c.expires_at_ms < expected, ~may_lag)),
        ),
        "seats that do not expire with the last of their sessions or with their hold",
    )


def _count(rows: FromClause) -> Select[Any]:
    return select(func.count()).select_from(rows)


def _wrong(  # noqa: PLR0917 - what a finding is made of
    code: FindingCode, tenant: str, target: str, problem: str, advice: str = "", names: Names = _NO_NAMES
) -> Finding:
    return Finding(
        is_wrong=True, code=code, tenant=tenant, target=target, problem=problem, advice=advice, names=names
    )


def _hint(  # noqa: PLR0917 - as above
    code: FindingCode, tenant: str, target: str, problem: str, advice: str = "", names: Names = _NO_NAMES
) -> Finding:
    return replace(_wrong(code, tenant, target, problem, advice, names), is_wrong=False)
