"""Decides about seats, by the rules of the licence: nothing else does.

`decide(book, command, now_ms)` answers a command with an outcome and the changes that make it true.
It is pure and synchronous: it reads no clock, no store and no random number, and it changes nothing;
`apply` then puts the changes into the book, so that the next command of the batch sees them.

The rules are numbered as in docs/explanation/licence-rules.md, L1 to L20; whether a pool gives a seat is in
`licet.ledger.seat_decision`, who waits for one in `licet.ledger.queue`, what a scope draws on in
`licet.ledger.scopes`. A session or seat lives while `now_ms < expires_at_ms`; what is no longer alive counts
for nothing here, swept or not (L4).
"""

from itertools import islice
from typing import assert_never

from msgspec.structs import replace

from licet.ledger.book import (
    AssertionUsed,
    Book,
    Change,
    SeatFreed,
    SeatKept,
    SeatKey,
    SeatTaken,
    SessionEnded,
    SessionRenewed,
    SessionStarted,
)
from licet.ledger.commands import (
    AssertionUse,
    ClientRefused,
    Command,
    End,
    Ended,
    Grant,
    Granted,
    Outcome,
    Refresh,
    ScopeRefused,
    SessionUnknown,
    Sweep,
    Swept,
    UseAssertion,
    assertion_of,
)
from licet.ledger.denials import deny, seconds_until
from licet.ledger.holders import holder_of
from licet.ledger.queue import lapsed, served
from licet.ledger.scopes import resolve_scope
from licet.ledger.seat_decision import Asked, Given, NotGiven, decide_seat
from licet.ledger.seat_life import free_at, latest_expiry, lives_until, with_token_of, without
from licet.ledger.signed_pools import access_ttl_s_of, given_from_ms, is_beyond
from licet.model import (
    Client,
    EndReason,
    GrantType,
    NoSeatReason,
    Pool,
    Seat,
    Session,
    Tenant,
)


def apply(book: Book, command: Command, now_ms: int) -> Outcome:
    """Decide one command and put what follows into the book."""
    outcome, changes = decide(book, command, now_ms)
    book.apply(changes)
    return outcome


def free_expired(book: Book, now_ms: int) -> None:
    """Give back every seat of the book that has expired, as of the moment it did (L4)."""
    expired = [seat for seat in book.seats.values() if seat.expires_at_ms <= now_ms]
    if expired:
        expired.sort(key=lambda seat: seat.expires_at_ms)
        book.apply([_freed(book, seat, seat.expires_at_ms) for seat in expired])
    # If a row has expired while a session of its seat lives, each batch finds it until it is written.
    behind = [key for key, row in book.rows.items() if row.expires_at_ms <= now_ms and key in book.seats]
    if behind:
        book.apply([SeatKept(seat=book.seats[key], is_due=True) for key in behind])
    if book.places:
        book.apply(lapsed(book, now_ms))


def decide(book: Book, command: Command, now_ms: int) -> tuple[Outcome, list[Change]]:
    """Answer a command. The book holds no expired seat (`free_expired` went before)."""
    use = assertion_of(command)
    if use is None:
        return _decide(book, command, now_ms)
    if use.key in book.assertions_used:
        return AssertionUse(is_first=False), []
    used = AssertionUsed(
        tenant_id=use.tenant_id, client_key=use.client_key, jti=use.jti, until_ms=use.until_ms
    )
    outcome, changes = _decide(book, command, now_ms)
    return outcome, [used, *changes]


def _decide(book: Book, command: Command, now_ms: int) -> tuple[Outcome, list[Change]]:
    match command:
        case Grant():
            return _grant(book, command, now_ms)
        case Refresh():
            return _refresh(book, command, now_ms)
        case End():
            return _end(book, command, now_ms)
        case Sweep():
            return _sweep(book, command)
        case UseAssertion():
            return AssertionUse(is_first=True), []
        case _:
            assert_never(command)


def _grant(book: Book, grant: Grant, now_ms: int) -> tuple[Outcome, list[Change]]:
    tenant = book.tenants.get(grant.tenant_id)
    client = None if tenant is None else tenant.clients_by_key.get(grant.client_key)
    if tenant is None or client is None or not client.usable:
        return ClientRefused(), []
    # The set-up may have changed since the request was read: a scope that was taken away is not granted.
    resolved = resolve_scope(tenant, client, tuple(grant.scope.split(" ")))
    if isinstance(resolved, ScopeRefused):
        return resolved, []
    if resolved.pool_id != grant.pool_id or resolved.other_pool_ids != grant.other_pool_ids:
        why = "The licence pool of this scope was changed just now; ask again."
        return ScopeRefused(why=why, is_outdated=True), []
    if grant.pool_id is not None:
        return _grant_seat(book, grant, tenant, client, now_ms)
    session = _new_session(grant, now_ms, expires_at_ms=_session_expiry(tenant, None, 0, now_ms))
    ending = _ending(book, superseded_by(book, client), EndReason.SUPERSEDED, now_ms)
    return granted(tenant, client, session, now_ms), [*ending, SessionStarted(session=session)]


def _grant_seat(
    book: Book, grant: Grant, tenant: Tenant, client: Client, now_ms: int
) -> tuple[Outcome, list[Change]]:
    if (until_ms := client.suspended_at(now_ms)) is not None:  # L12
        pool = tenant.pools[grant.pool_ids[0]]
        refused = NotGiven(NoSeatReason.SUSPENDED, until_ms)
        return deny(book, grant, [(pool, refused)], client, now_ms)
    superseded = superseded_by(book, client)
    refusals = []
    for pool, key in pools_in_order(book, grant, tenant, client):
        ending, decided = ask_pool(book, Asked(tenant, client, pool, key, grant.scope), superseded, now_ms)
        if isinstance(decided, NotGiven):
            refusals.append((pool, decided))
            continue
        session = _new_session(
            grant,
            now_ms,
            pool_id=pool.id,
            expires_at_ms=_session_expiry(tenant, pool, decided.number, now_ms),
            holder=key[1],
        )
        return granted(tenant, client, session, now_ms, number=decided.number), [
            *ending,
            *(served(book, grant, client, now_ms) if book.places else ()),
            SessionStarted(session=session),
            _taken_or_kept(book, key, session, client, superseded, decided),
        ]
    return deny(book, grant, refusals, client, now_ms)


def ask_pool(
    book: Book, asked: Asked, superseded: list[Session], now_ms: int
) -> tuple[list[Change], Given | NotGiven]:
    """What a pool says of a grant, and what ends with it there (L8): decided, not done."""
    if not superseded:
        return [], decide_seat(book, asked, now_ms)
    ending = _ending(book, superseded, EndReason.SUPERSEDED, now_ms, but_keep=asked.key)
    asked = asked._replace(freed=_freed_of(asked.pool, ending))
    return ending, decide_seat(book, asked, now_ms)


def _freed_of(pool: Pool, changes: list[Change]) -> list[SeatFreed]:
    return [change for change in changes if isinstance(change, SeatFreed) and change.seat.pool_id == pool.id]


def pools_in_order(book: Book, grant: Grant, tenant: Tenant, client: Client) -> list[tuple[Pool, SeatKey]]:
    """The pools that are asked, with the keys of the seats (L20): first that in which it has one."""
    assert grant.pool_id is not None
    pool = tenant.pools[grant.pool_id]
    if not grant.other_pool_ids:
        return [(pool, (pool.id, holder_of(pool, client, grant.sid)))]
    pools = [tenant.pools[pool_id] for pool_id in grant.pool_ids]
    found = [(pool, (pool.id, holder_of(pool, client, grant.sid))) for pool in pools]
    found.sort(key=lambda asked: asked[1] not in book.seats)  # keeps the order of the others
    return found


def _taken_or_kept(  # noqa: PLR0917 - a private step
    book: Book,
    key: SeatKey,
    session: Session,
    client: Client,
    superseded: list[Session],
    given: Given,
) -> Change:
    seat = book.seats.get(key)
    if seat is None:
        taken = Seat(
            pool_id=key[0],
            holder=key[1],
            tenant_id=session.tenant_id,
            client_id=client.client_id,
            initials=client.user.initials,
            taken_at_ms=session.started_at_ms,
            expires_at_ms=session.expires_at_ms,
            number=given.number,
            counted=given.counted,
        )
        taken = with_token_of(book, taken, session, session.address)
        if not given.number:
            return SeatTaken(seat=taken)
        return SeatTaken(seat=taken, is_new_number=given.number > book.numbers[key[0]].used)
    remaining = latest_expiry(book, seat, without=superseded)
    # A seat on hold may have been taken for another user, for whom its client stood then.
    seat = replace(seat, initials=client.user.initials, expires_at_ms=remaining or 0)
    return SeatKept(seat=with_token_of(book, seat, session, session.address), is_due=bool(superseded))


def superseded_by(book: Book, client: Client) -> list[Session]:
    """The oldest sessions of a client that one more would put over its limit (L8)."""
    excess = book.live_sessions[client.key] + 1 - client.sessions_max
    if excess <= 0:
        return []
    return [book.sessions[sid] for sid in list(book.started[client.key])[:excess]]


def _refresh(book: Book, refresh: Refresh, now_ms: int) -> tuple[Outcome, list[Change]]:
    tenant = book.tenants.get(refresh.tenant_id)
    client = None if tenant is None else tenant.clients_by_key.get(refresh.client_key)
    session = _live(book, refresh.sid, refresh.tenant_id, now_ms)
    if tenant is None or client is None or session is None or session.client_key != client.key:
        return SessionUnknown(), []
    if not client.usable:
        return ClientRefused(), []
    scope = session.scope
    if refresh.scope:
        if not set(refresh.scope).issubset(scope.split(" ")):
            return ScopeRefused(why="A refresh cannot widen the scope of its session."), []
        scope = " ".join(dict.fromkeys(refresh.scope))
    seat = None if (key := session.seat_key) is None else book.seats[key]
    number = 0 if seat is None else seat.number
    if seat is not None and number and is_beyond(tenant.pools[seat.pool_id], number, now_ms):
        return SessionUnknown(), []
    renewed = _renewed(tenant, session, number, now_ms)
    changes: list[Change] = [SessionRenewed(session=renewed, address=refresh.address)]
    if seat is not None:
        changes.append(SeatKept(seat=with_token_of(book, seat, renewed, refresh.address)))
    return granted(tenant, client, renewed, now_ms, scope=scope, number=number), changes


def _renewed(tenant: Tenant, session: Session, number: int, now_ms: int) -> Session:
    pool = tenant.pools.get(session.pool_id) if session.pool_id is not None else None
    # A life that was shortened in the set-up counts from the next session on; this one only grows (L5).
    expires_at_ms = max(_session_expiry(tenant, pool, number, now_ms), session.expires_at_ms)
    return replace(session, renewed_at_ms=now_ms, expires_at_ms=expires_at_ms)


def _end(book: Book, end: End, now_ms: int) -> tuple[Outcome, list[Change]]:
    session = _live(book, end.sid, end.tenant_id, now_ms)
    if session is None:
        return Ended(session=None, seat_released=False), []
    if end.client_key not in {None, session.client_key}:
        return SessionUnknown(), []
    changes = _ending(book, [session], end.reason, now_ms)
    released = any(isinstance(change, SeatFreed) for change in changes)
    if released or (free_at_ms := free_at(book, session, now_ms)) is None:
        return Ended(session=session, seat_released=released), changes
    return Ended(
        session=session,
        seat_released=False,
        seat_free_at_ms=free_at_ms,
        seat_released_in_s=seconds_until(free_at_ms, now_ms),
    ), changes


def _sweep(book: Book, sweep: Sweep) -> tuple[Outcome, list[Change]]:
    changes: list[Change] = [
        SessionEnded(session=session, reason=EndReason.EXPIRED, at_ms=session.expires_at_ms)
        for session in islice(book.expired.values(), sweep.sessions_max)
    ]
    return Swept(sessions=len(changes)), changes


def _session_expiry(tenant: Tenant, pool: Pool | None, number: int, now_ms: int) -> int:
    expires_at_ms = now_ms + tenant.session_ttl_s * 1000
    if pool is None or (pool.expires_at_ms is None and pool.signed is None):
        return expires_at_ms
    end_ms = lives_until(pool, number, now_ms)
    # L7, L13: a session never lives past its pool, nor past its number.
    return expires_at_ms if end_ms is None else min(expires_at_ms, end_ms)


def _live(book: Book, sid: bytes, tenant_id: int, now_ms: int) -> Session | None:
    session = book.sessions.get(sid)
    if session is None or session.tenant_id != tenant_id or session.expires_at_ms <= now_ms:
        return None
    if (key := session.seat_key) is not None and key not in book.seats:
        # A process whose clock is ahead has given its seat back as expired: treat the session as expired too.
        return None
    return session


def _ending(
    book: Book,
    sessions: list[Session],
    reason: EndReason,
    now_ms: int,
    *,
    but_keep: SeatKey | None = None,
) -> list[Change]:
    """End these sessions together; a seat goes with the last of its own (L4), or is on hold then (L18).

    `but_keep` is a seat that a new session is about to share: the caller decides what becomes of it.
    """
    if not sessions:
        return []
    changes: list[Change] = [
        SessionEnded(session=session, reason=reason, at_ms=now_ms) for session in sessions
    ]
    keys = dict.fromkeys(session.seat_key for session in sessions)
    for key in keys:
        seat = book.seats.get(key) if key is not None else None
        if seat is None or key == but_keep:
            continue
        left = without(book, seat, sessions, now_ms)
        if left is None:
            changes.append(_freed(book, seat, now_ms))
        elif left != seat:
            changes.append(SeatKept(seat=left, is_due=True))
    return changes


def _freed(book: Book, seat: Seat, at_ms: int) -> SeatFreed:
    """A seat comes back; its number is held for its last token, however the seat ended."""
    if not seat.number:
        return SeatFreed(seat=seat, at_ms=at_ms)
    from_ms = given_from_ms(book.tenants[seat.tenant_id], seat)
    return SeatFreed(seat=seat, at_ms=at_ms, number_from_ms=from_ms)


def _new_session(
    grant: Grant, now_ms: int, *, expires_at_ms: int, pool_id: int | None = None, holder: str | None = None
) -> Session:
    return Session(
        sid=grant.sid,
        tenant_id=grant.tenant_id,
        client_key=grant.client_key,
        scope=grant.scope,
        pool_id=pool_id,
        holder=holder,
        started_at_ms=now_ms,
        renewed_at_ms=now_ms,
        expires_at_ms=expires_at_ms,
        address=grant.address,
    )


def granted(
    tenant: Tenant,
    client: Client,
    session: Session,
    now_ms: int,
    *,
    scope: str | None = None,
    number: int = 0,
) -> Granted:
    """The answer to who was granted this session just now, or had it renewed."""
    access_ttl_s = tenant.access_ttl_s
    if number and session.pool_id is not None:
        access_ttl_s = access_ttl_s_of(tenant, tenant.pools[session.pool_id], now_ms)
    return Granted(
        session=session,
        may_refresh=GrantType.REFRESH_TOKEN in client.grant_types,
        scope=scope or session.scope,
        at_ms=now_ms,
        # L3: an access token never outlives its session.
        access_expires_at_ms=min(now_ms + access_ttl_s * 1000, session.expires_at_ms),
        seat_number=number,
    )
