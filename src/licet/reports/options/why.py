"""Says what would happen if a client asked for a seat now, and why, rule by rule.

    why = explain(store, tenant, client, scopes=("all",))
    why.granted, why.steps

The ledger itself decides, on a book that is loaded as for a grant, in a transaction that writes nothing and
is over before anything is said about it: no seat is taken, no place in line, no denial is in the journal.
The steps are those of `licet.ledger.seat_decision`, in their order: each one that was passed, up to the first
that denies. Where a scope draws on several pools, each pool that was asked has its steps (L20).
"""

import secrets
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from functools import partial
from typing import Final

from msgspec.structs import replace
from sqlalchemy import Connection, select

from licet.formats import counted, instant
from licet.ledger.book import Book, SeatKey
from licet.ledger.commands import Denied, Grant, Granted, Outcome, ScopeRefused
from licet.ledger.holders import place_holder_of
from licet.ledger.rules import ask_pool, decide, free_expired, pools_in_order, superseded_by
from licet.ledger.scopes import resolve_scope
from licet.ledger.seat_decision import Asked, Given, NotGiven
from licet.ledger.signed_pools import room_of
from licet.model import Client, NoSeatReason, Pool, Tenant, Value
from licet.options import COMMON, PoolOptions, names_counted, rule_of
from licet.store import schema
from licet.store.contract import Purpose, Store

SID_BYTES: Final = 20
NAMES_MAX: Final = 10  # of those that have the seats; the others are counted


class Rule(StrEnum):
    """A step of the decision, in their order. Programs depend on these words."""

    CLIENT = "client"
    SCOPE = "scope"
    SUSPENDED = "suspended"
    LICENCE = "licence"
    EXCLUDE = "exclude"
    INCLUDE = "include"
    OWN_SEAT = "own_seat"
    MAX = "max"
    QUEUE = "queue"
    ROOM = "room"


class Step(Value, frozen=True, kw_only=True):
    """One step: whether it lets the client pass, and by which numbers. `pool` where it is of one."""

    rule: Rule
    passed: bool
    text: str
    pool: str | None = None


class Why(Value, frozen=True, kw_only=True):
    """What would happen to a grant now.

    `reason` is None where it would be made; else that of the answer, or `client` or `scope` where nothing is
    counted yet. `pool` is the one that gives the seat, or of which the denial is; None without one.
    `shares` is whether it would share a seat that its holder has. `queue_position` is its place in line now,
    0 without one.
    """

    tenant: str
    client_id: str
    initials: str
    scope: str
    at_ms: int
    granted: bool
    reason: str | None
    pool: str | None
    shares: bool
    queue_position: int
    retry_after_s: int | None
    steps: tuple[Step, ...]


# The step at which each reason denies.
_STEP_OF: Final = {
    NoSeatReason.LICENCE_MISSING: Rule.LICENCE,
    NoSeatReason.LICENCE_EXPIRED: Rule.LICENCE,
    NoSeatReason.EXCLUDED: Rule.EXCLUDE,
    NoSeatReason.NOT_INCLUDED: Rule.INCLUDE,
    NoSeatReason.MAX_REACHED: Rule.MAX,
    NoSeatReason.QUEUED: Rule.QUEUE,
    NoSeatReason.RESERVED: Rule.ROOM,
    NoSeatReason.ALL_IN_USE: Rule.ROOM,
    NoSeatReason.NO_SEATS: Rule.ROOM,
}
_OF_POOL: Final = tuple(Rule)[list(Rule).index(Rule.LICENCE) :]


def explain(store: Store, tenant: Tenant, client: Client, scopes: Sequence[str] = ()) -> Why:
    """What would happen if this client asked for these scopes now; without any, for the tenant's default.

    Raises StoreUnavailable.
    """
    resolved = resolve_scope(tenant, client, tuple(scopes))
    if isinstance(resolved, ScopeRefused):
        scope = " ".join(scopes) or tenant.scope_default
        steps = [_client_step(client), Step(rule=Rule.SCOPE, passed=False, text=resolved.why)]
        return _why(store, tenant, client, scope, steps=steps)
    grant = Grant(
        tenant_id=tenant.id,
        client_key=client.key,
        sid=secrets.token_bytes(SID_BYTES),
        scope=resolved.scope,
        pool_id=resolved.pool_id,
        address="",
        other_pool_ids=resolved.other_pool_ids,
    )
    with store.transaction(Purpose.BATCH) as transaction:
        book, now_ms = transaction.load([grant]), transaction.now_ms
    free_expired(book, now_ms)
    # The set-up may have changed since it was read: the book has that of its own instant.
    now_tenant = book.tenants.get(tenant.id, tenant)
    now_client = now_tenant.clients_by_key.get(client.key, client)
    with store.reporting() as connection:
        return _Explaining(connection, store, now_tenant, now_client, book, grant, now_ms).why()


class _Explaining:
    """One explanation; the connection is for the names of those who have the seats."""

    def __init__(  # noqa: PLR0917 - made in one place
        self,
        connection: Connection,
        store: Store,
        tenant: Tenant,
        client: Client,
        book: Book,
        grant: Grant,
        now_ms: int,
    ) -> None:
        self._connection = connection
        self._store = store
        self._tenant = tenant
        self._client = client
        self._book = book
        self._grant = grant
        self._now_ms = now_ms

    def why(self) -> Why:
        tenant, client, grant = self._tenant, self._client, self._grant
        position = self._position()
        # Who stands in line is taken to ask as it did: it would wait on.
        outcome, _ = decide(self._book, replace(grant, queue=position > 0), self._now_ms)
        steps = [_client_step(client)]
        if steps[-1].passed:
            steps.append(self._scope_step(outcome))
        if not steps[-1].passed:
            return _why(self._store, tenant, client, grant.scope, steps=steps, at_ms=self._now_ms)
        given: tuple[Pool, SeatKey] | None = None
        if grant.pool_ids:
            steps.append(self._suspended_step())
            if steps[-1].passed:
                for pool, key, decided in self._asked():
                    steps += self._steps_of(pool, key, decided)
                    given = (pool, key) if isinstance(decided, Given) else None
        return _why(
            self._store,
            tenant,
            client,
            grant.scope,
            steps=steps,
            at_ms=self._now_ms,
            outcome=outcome if isinstance(outcome, Granted | Denied) else None,
            given=given,
            shares=given is not None and given[1] in self._book.seats,
            queue_position=position,
        )

    def _asked(self) -> Iterator[tuple[Pool, SeatKey, Given | NotGiven]]:
        """What each pool says, up to the first that gives a seat."""
        book, client = self._book, self._client
        superseded = superseded_by(book, client)
        for pool, key in pools_in_order(book, self._grant, self._tenant, client):
            asked = Asked(self._tenant, client, pool, key, self._grant.scope)
            _, decided = ask_pool(book, asked, superseded, self._now_ms)
            yield pool, key, decided
            if isinstance(decided, Given):
                return

    def _scope_step(self, outcome: Outcome) -> Step:
        if isinstance(outcome, ScopeRefused):
            return Step(rule=Rule.SCOPE, passed=False, text=outcome.why)
        names = [self._tenant.pools[pool_id].name for pool_id in self._grant.pool_ids]
        text = (
            f"{self._grant.scope}: {_pools_named(names)}" if names else f"{self._grant.scope}: needs no seat"
        )
        return Step(rule=Rule.SCOPE, passed=True, text=text)

    def _suspended_step(self) -> Step:
        until_ms = self._client.suspended_at(self._now_ms)
        text = "not suspended" if until_ms is None else f"suspended until {instant(until_ms)}"
        return Step(rule=Rule.SUSPENDED, passed=until_ms is None, text=text)

    def _steps_of(self, pool: Pool, key: SeatKey, decided: Given | NotGiven) -> Iterator[Step]:
        """The steps of one pool, up to the one that denies or gives the seat."""
        seat = self._book.seats.get(key)
        last = Rule.OWN_SEAT if seat is not None else Rule.ROOM
        denies = isinstance(decided, NotGiven)
        if isinstance(decided, NotGiven) and (seat is None or decided.reason is not NoSeatReason.ALL_IN_USE):
            last = _STEP_OF[decided.reason]
        for rule in _OF_POOL:
            is_last = rule is last
            text = self._text(rule, pool, key, decided if is_last and isinstance(decided, NotGiven) else None)
            yield Step(rule=rule, passed=not (is_last and denies), text=text, pool=pool.name)
            if is_last:
                return

    def _text(self, rule: Rule, pool: Pool, key: SeatKey, denied: NotGiven | None) -> str:
        texts: dict[Rule, Callable[[], str]] = {
            Rule.LICENCE: partial(self._licence, pool, denied),
            Rule.EXCLUDE: lambda: "no rule excludes it" if denied is None else denied.rule,
            Rule.INCLUDE: partial(self._included, pool, denied),
            Rule.OWN_SEAT: partial(self._own_seat, key, denied),
            Rule.MAX: partial(self._limits, pool, denied),
            Rule.QUEUE: partial(self._line, pool, denied),
            Rule.ROOM: partial(self._room, pool),
        }
        return texts[rule]()

    def _licence(self, pool: Pool, denied: NotGiven | None) -> str:
        room = room_of(pool, self._now_ms)
        if denied is not None:
            what = "has expired" if denied.reason is NoSeatReason.LICENCE_EXPIRED else "is missing"
            return f"the licence {what}"
        return f"{counted(room, 'seat')}{'' if pool.signed is None else ', signed'}"

    def _included(self, pool: Pool, denied: NotGiven | None) -> str:
        if denied is None:
            return "it is included" if pool.include or pool.named else "everybody is included"
        return f"it is in no rule of {denied.rule}" if denied.rule == "include" else "its user is not named"

    def _own_seat(self, key: SeatKey, denied: NotGiven | None) -> str:
        seat = self._book.seats.get(key)
        if seat is None:
            return "its holder has no seat"
        until = f"until {instant(seat.expires_at_ms)} at least"
        if denied is None:
            return f"its holder has a seat, {until}"
        return f"the seat of its holder is not for user {self._client.user.initials}, {until}"

    def _limits(self, pool: Pool, denied: NotGiven | None) -> str:
        limits = self._options_of(pool).of(*self._who).limits if self._has_options(pool) else ()
        texts = []
        for what, at_most in limits:
            in_use = self._count(pool, what)
            text = f"{rule_of(what)}: {in_use} of {at_most} in use"
            if denied is not None and in_use >= at_most:
                return f"{text} by {self._by(pool, what)}"
            texts.append(text)
        return "; ".join(texts) or "no limit"

    def _line(self, pool: Pool, denied: NotGiven | None) -> str:
        if not self._has_options(pool) or not self._options_of(pool).queue:
            return "no queue"
        line = self._book.queue_of(pool.id)
        waiting = f"{len(line)} of {self._options_of(pool).queue} places taken"
        place = self._book.places.get((pool.id, place_holder_of(pool, self._client)))
        if place is not None:
            waiting += f"; it is number {self._book.before(place) + 1} in line"
        return waiting if denied is None else f"{waiting}; what is free is for those before it"

    def _room(self, pool: Pool) -> str:
        room, in_use = room_of(pool, self._now_ms), self._book.in_use[pool.id]
        texts = [f"{in_use} of {counted(room, 'seat')} in use"]
        if self._has_options(pool) and (reserved := self._options_of(pool).reserved):
            for what, at_most in self._options_of(pool).of(*self._who).reserves:
                texts.append(f"{rule_of(what)}: {self._count(pool, what)} of {at_most} in use")
            common = max(0, room - reserved)
            texts.append(f"not reserved: {self._count(pool, COMMON)} of {common} in use")
        return "; ".join(texts)

    def _by(self, pool: Pool, what: str) -> str:
        """The clients whose seats are counted so."""
        seat = schema.seat.c
        query = (
            select(seat.client_id, seat.counted)
            .where(seat.pool_id == pool.id, seat.expires_at_ms > self._now_ms)
            .where(seat.counted.contains(what, autoescape=True))
            .order_by(seat.client_id)
        )
        rows = self._connection.execute(query)
        names = list(dict.fromkeys(row.client_id for row in rows if what in names_counted(row.counted)))
        more = len(names) - NAMES_MAX
        return ", ".join(names[:NAMES_MAX]) + (f" and {more} more" if more > 0 else "")

    def _count(self, pool: Pool, what: str) -> int:
        return self._book.counts[pool.id][what]

    def _position(self) -> int:
        """Its place in the first line in which it has one."""
        for pool_id in self._grant.pool_ids:
            holder = place_holder_of(self._tenant.pools[pool_id], self._client)
            if (place := self._book.places.get((pool_id, holder))) is not None:
                return self._book.before(place) + 1
        return 0

    def _has_options(self, pool: Pool) -> bool:
        return pool.id in self._tenant.options

    def _options_of(self, pool: Pool) -> PoolOptions:
        return self._tenant.options[pool.id]

    @property
    def _who(self) -> tuple[str, str]:
        return self._client.user.initials, self._client.client_id


def _client_step(client: Client) -> Step:
    initials, passed = client.user.initials, client.usable
    text = f"enabled, of user {initials}"
    if not passed:
        text = f"its user {initials} is disabled" if client.enabled else "the client is disabled"
    return Step(rule=Rule.CLIENT, passed=passed, text=text)


def _pools_named(names: Sequence[str]) -> str:
    return f"a seat of pool {names[0]}" if len(names) == 1 else f"a seat of the pools {', '.join(names)}"


def _why(
    store: Store,
    tenant: Tenant,
    client: Client,
    scope: str,
    *,
    steps: Sequence[Step],
    at_ms: int | None = None,
    outcome: Granted | Denied | None = None,
    given: tuple[Pool, SeatKey] | None = None,
    shares: bool = False,
    queue_position: int = 0,
) -> Why:
    denied = outcome if isinstance(outcome, Denied) else None
    reason: str | None = next((step.rule.value for step in steps if not step.passed), None)
    if denied is not None:
        reason = denied.reason.value
    pool = None if given is None else given[0].name
    return Why(
        tenant=tenant.name,
        client_id=client.client_id,
        initials=client.user.initials,
        scope=scope,
        at_ms=store.clock.now_ms() if at_ms is None else at_ms,
        granted=isinstance(outcome, Granted),
        reason=None if isinstance(outcome, Granted) else reason,
        pool=denied.pool if denied is not None else pool,
        shares=shares,
        queue_position=queue_position,
        retry_after_s=None if denied is None else denied.retry_after_s,
        steps=tuple(steps),
    )
