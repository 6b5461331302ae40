"""Writes what forty clients did in the last eight days, for `licet demo --with-history`.

    member -> steps, each at its moment -> the ledger decides -> store

The rules:

- Nothing is written past the rules: the ledger decides each grant, refresh and logoff at its moment, changes
  of the set-up go through `licet.setup`, and alerts are evaluated as by a server.
- It is the same each time, seen from now: chance has a fixed seed for each client. Now is always an
  afternoon of work, and the weekend is four and five days before, so that there is life at any hour.
- Many moments share one COMMIT, because nobody waits for an answer that has to be durable (L9).
- While the demo runs it goes on to the end of that day, as other clients of the same store.
"""

import asyncio
import heapq
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import suppress
from functools import partial
from itertools import count
from random import Random
from typing import Final, NamedTuple

from licet.alerts.evaluation import look
from licet.cli.run.demo_cast import FULL_SEATS, FULL_SEATS_AT_FIRST, MEMBERS, POOLS, Habit, Member
from licet.clock import ManualClock
from licet.credentials.generated import ClientSecrets
from licet.lanes.commit import apply_all, commit
from licet.ledger.commands import (
    ClientRefused,
    Command,
    Denied,
    End,
    Grant,
    Granted,
    Outcome,
    Refresh,
    ScopeRefused,
    Sweep,
)
from licet.ledger.scopes import resolve_scope
from licet.model import Client, EndReason, FailureCause, Tenant, Who
from licet.setup.change import SetupChange, changing
from licet.setup.end_sessions import sessions_of_clients
from licet.setup.tenant import TenantSetup
from licet.store.contract import Store, Transaction
from licet.units import DAY_MS, HOUR_MS, MINUTE_MS
from licet.web.recording import Caller, Recorder

DAYS: Final = 8
_NOW_H: Final = 14.7  # the hour of the day that now is, for who works when
_WEEKEND: Final = (-5, -4)  # days before today
_SEED: Final = "licet demo 1"  # at its end the pool `stock` is full
_REFRESH_MS: Final = (9 * MINUTE_MS, 16 * MINUTE_MS)  # within the life of a session
_TRIES_MAX: Final = 4  # of a denied client, before it gives up for a while
_COMMIT_EVERY_MS: Final = HOUR_MS
_SWEEP_EVERY_MS: Final = 10 * MINUTE_MS
_ALERTS_FROM_MS: Final = 8 * HOUR_MS  # before now: of older ones nothing would be left
_ALERTS_EVERY_MS: Final = 10 * MINUTE_MS
_SWEPT_MAX: Final = 256

_OWNER, OPERATOR = "admin", "ben"


class Step(NamedTuple):
    """What a client does at a moment: a command, or an authentication that fails."""

    at_ms: int
    does: Callable[[Tenant, Client], Command | FailureCause]


_Steps = Generator[Step, Outcome | None, None]


class _Change(NamedTuple):
    """What an administrator does at a moment."""

    at_ms: int
    by: str
    does: Callable[[SetupChange], object]


class History:
    """Plays the history of a tenant into a store whose clock is `clock`, up to `until_ms`."""

    def __init__(self, store: Store, clock: ManualClock, secrets: ClientSecrets, tenant: str) -> None:
        self._store = store
        self._clock = clock
        self._name = tenant
        self._secrets = secrets
        self._recorder = Recorder(clock, secrets)
        self._request_ids = (f"demo-{number:x}" for number in count(1))
        self._queue: list[tuple[int, int, Step, Member, _Steps]] = []
        self._swept_ms = self._alerts_ms = 0

    def begin(self, password_hash: str, *, actor: str) -> None:
        """Set up the tenant: pools, scopes, users and clients."""
        with changing(self._store, actor) as work:
            tenant = work.add_tenant(self._name, seats=FULL_SEATS_AT_FIRST)
            for name, seats in POOLS.items():
                tenant.add_pool(name, seats=seats)
                tenant.add_scope(name, pool=name)
            for member in MEMBERS:
                tenant.add_user(member.initials, name=member.name, password_hash=password_hash)
                tenant.add_client(
                    member.client_id, user=member.initials, introspects=member.client_id == "Api"
                )
        self._store.refresh_tenants()

    def play(self, until_ms: int) -> None:
        """Let everybody work from the clock's now until then."""
        from_ms = self._clock.now_ms()
        for number, member in enumerate(MEMBERS):
            steps = _life(member, from_ms, until_ms)
            if (first := next(steps, None)) is not None:
                self._queue.append((first.at_ms, number, first, member, steps))
        heapq.heapify(self._queue)
        changes = deque(it for it in _changes(self._name, until_ms) if it.at_ms > from_ms)
        while (now_ms := self._clock.now_ms()) < until_ms:
            next_ms = min(now_ms + _COMMIT_EVERY_MS, until_ms)
            if now_ms >= until_ms - _ALERTS_FROM_MS:
                next_ms = min(now_ms + _ALERTS_EVERY_MS, until_ms)
            if changes and changes[0].at_ms <= next_ms:
                next_ms = changes[0].at_ms
            self._work(next_ms)
            while changes and changes[0].at_ms <= next_ms:
                self._change(changes.popleft())
            if next_ms >= until_ms - _ALERTS_FROM_MS:
                look(self._store, verifies=False)
        asyncio.run(self._recorder.write_down(self._store))

    def _change(self, change: _Change) -> None:
        with changing(self._store, change.by) as work:
            change.does(work)
        self._store.refresh_tenants()

    def _work(self, until_ms: int) -> None:
        """Everything until then, in one transaction; afterwards that is the time."""
        with self._store.transaction() as transaction:
            while self._queue and self._queue[0][0] <= until_ms:
                at_ms, number, step, member, steps = heapq.heappop(self._queue)
                self._reach(transaction, at_ms)
                self._follow(
                    number, member, steps, self._outcome(partial(_within, transaction), step, member)
                )
            self._reach(transaction, until_ms)
            apply_all(transaction, [Sweep(sessions_max=_SWEPT_MAX)])

    def go_on(self, store: Store) -> None:
        """From now on work in this store, by its own clock, whenever `work_now` is called."""
        self._store = store
        self._recorder = Recorder(store.clock, self._secrets)

    def work_now(self) -> None:
        """All that is due by now, each step in a transaction of its own.

        Raises StoreUnavailable.
        """
        self._store.refresh_tenants()
        while self._queue and self._queue[0][0] <= self._store.clock.now_ms():
            _, number, step, member, steps = self._queue[0]
            try:
                outcome = self._outcome(self._alone, step, member)
            except LookupError:  # Somebody has removed the client, or what it asks for: it stays away.
                heapq.heappop(self._queue)
                continue
            heapq.heappop(self._queue)
            self._follow(number, member, steps, outcome)
        asyncio.run(self._recorder.write_down(self._store))

    def _alone(self, command: Command) -> Outcome:
        [outcome] = commit(self._store, [command])
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def _follow(self, number: int, member: Member, steps: _Steps, outcome: Outcome | None) -> None:
        """Put the next step of a client into the queue, if there is one."""
        with suppress(StopIteration):
            following = steps.send(outcome)
            heapq.heappush(self._queue, (following.at_ms, number, following, member, steps))

    def _reach(self, transaction: Transaction, at_ms: int) -> None:
        """Let this be the time, for the ledger and for all that looks at the clock."""
        self._clock.advance(seconds=(at_ms - self._clock.now_ms()) / 1000)
        transaction.now_ms = self._clock.now_ms()
        if at_ms - self._swept_ms >= _SWEEP_EVERY_MS:  # A server does it each second.
            self._swept_ms = at_ms
            apply_all(transaction, [Sweep(sessions_max=_SWEPT_MAX)])

    def _outcome(self, decide: Callable[[Command], Outcome], step: Step, member: Member) -> Outcome | None:
        """What becomes of a step. Raises LookupError where there is no such client or scope."""
        tenant = self._store.tenant(self._name)
        if tenant is None:
            raise LookupError(self._name)
        client = tenant.clients[member.client_id]
        does, address = step.does(tenant, client), _address_of(member)
        if isinstance(does, FailureCause):
            self._failed(tenant, client, does, address)
            return None
        outcome = decide(does)
        if isinstance(outcome, Denied):
            self._recorder.denied(
                tenant,
                client,
                {"reason": outcome.reason, "pool": outcome.pool},
                request_id=next(self._request_ids),
                address=address,
            )
        elif isinstance(outcome, ClientRefused):
            self._failed(tenant, client, FailureCause.CLIENT_DISABLED, address)
        return outcome

    def _failed(self, tenant: Tenant, client: Client, cause: FailureCause, address: str) -> None:
        caller = Caller(Who.CLIENT, tenant.id, client.client_id, client.user.initials)
        self._recorder.failed(caller, cause, request_id=next(self._request_ids), address=address)


def _within(transaction: Transaction, command: Command) -> Outcome:
    return apply_all(transaction, [command])[0]


def _address_of(member: Member) -> str:
    return f"10.20.{1 if member.scope == 'stock' else 0}.{11 + MEMBERS.index(member)}"


# What clients do


def _life(member: Member, from_ms: int, until_ms: int) -> _Steps:
    """All that a client does, day by day."""
    chance = Random(f"{_SEED} {member.client_id}")  # noqa: S311 - the same each time; no secret is made of it
    today_ms = until_ms - round(_NOW_H * HOUR_MS)
    for day in range(-DAYS, 1):
        begins_ms = today_ms + day * DAY_MS
        yield from _after(from_ms, _failures(member, day, begins_ms))
        habit = member.habit
        if habit is not None and (habit.at_weekends or day not in _WEEKEND):
            late_ms = chance.randrange(0, 75 * MINUTE_MS)
            from_ms = max(from_ms, begins_ms + round(habit.begins * HOUR_MS) + late_ms)
            ends_ms = begins_ms + round(habit.ends * HOUR_MS)
            from_ms = yield from _day(chance, member, habit, from_ms, ends_ms)


def _after(from_ms: int, steps: Iterator[Step]) -> _Steps:
    for step in steps:
        if step.at_ms > from_ms:
            yield step


def _day(
    chance: Random, member: Member, habit: Habit, at_ms: int, ends_ms: int
) -> Generator[Step, Outcome | None, int]:
    """Work and pauses until the day ends; a denied client tries again a few times. When it is done."""
    tries = 0
    while at_ms < ends_ms:
        sid = chance.randbytes(20)
        outcome = yield Step(at_ms, _grant(member, sid))
        if isinstance(outcome, Granted):
            tries = 0
            leaves_ms = at_ms + _minutes(chance, habit.works)
            at_ms = yield from _session(chance, member, sid, at_ms, leaves_ms)
            if chance.random() < habit.logs_off and at_ms == leaves_ms:
                yield Step(at_ms, _logoff(sid))
            at_ms += _minutes(chance, habit.pauses)
        elif isinstance(outcome, Denied) and tries < _TRIES_MAX:
            tries += 1
            at_ms += chance.randrange(1 * MINUTE_MS, 6 * MINUTE_MS)
        else:
            tries = 0
            at_ms += _minutes(chance, habit.pauses)
    return at_ms


def _session(
    chance: Random, member: Member, sid: bytes, at_ms: int, leaves_ms: int
) -> Generator[Step, Outcome | None, int]:
    """Refresh until then, or until the session is ended; when the client stops."""
    while (next_ms := at_ms + chance.randrange(*_REFRESH_MS)) < leaves_ms:
        at_ms = next_ms
        outcome = yield Step(at_ms, _refresh(member, sid))
        if not isinstance(outcome, Granted):
            return at_ms
    return leaves_ms


def _minutes(chance: Random, of: tuple[int, int]) -> int:
    """So many minutes, in milliseconds."""
    return chance.randrange(of[0] * MINUTE_MS, of[1] * MINUTE_MS + 1)


def _grant(member: Member, sid: bytes) -> Callable[[Tenant, Client], Command]:
    def grant(tenant: Tenant, client: Client) -> Command:
        resolved = resolve_scope(tenant, client, (member.scope,))
        if isinstance(resolved, ScopeRefused):
            raise LookupError(resolved.why)  # noqa: TRY004 - it is no wrong type, but a scope that is gone
        return Grant(
            tenant_id=tenant.id,
            client_key=client.key,
            sid=sid,
            scope=resolved.scope,
            pool_id=resolved.pool_id,
            address=_address_of(member),
        )

    return grant


def _refresh(member: Member, sid: bytes) -> Callable[[Tenant, Client], Command]:
    return lambda tenant, client: Refresh(
        tenant_id=tenant.id, client_key=client.key, sid=sid, address=_address_of(member)
    )


def _logoff(sid: bytes) -> Callable[[Tenant, Client], Command]:
    return lambda tenant, client: End(
        tenant_id=tenant.id, sid=sid, reason=EndReason.LOGOFF, client_key=client.key
    )


def _failures(member: Member, day: int, begins_ms: int) -> Iterator[Step]:
    """Who fails to authenticate, and when."""
    found: Sequence[tuple[float, FailureCause]] = ()
    if member.client_id == "Old-Till":  # Nobody has switched it off.
        found = [(hour + 0.1, FailureCause.CLIENT_DISABLED) for hour in range(9, 18, 2)]
    elif member.client_id == "Partner-Portal" and day in {-2, -1, 0}:  # Its secret has expired.
        found = [(hour + 0.35, FailureCause.EXPIRED_SECRET) for hour in range(6, 19)]
    elif member.client_id == "Olga.Dreyer" and day in {-3, 0}:  # She has forgotten her password.
        found = [(7.3 + minute / 60, FailureCause.WRONG_SECRET) for minute in range(5)]
    for hour, cause in found:
        yield Step(begins_ms + round(hour * HOUR_MS), lambda *_, cause=cause: cause)


# What administrators do


def _changes(tenant: str, until_ms: int) -> Iterator[_Change]:
    """In their order."""
    today_ms = until_ms - round(_NOW_H * HOUR_MS)

    def at(day: int, hour: float) -> int:
        return today_ms + day * DAY_MS + round(hour * HOUR_MS)

    def end(scope: str, reason: str, cool_down_s: int = 0) -> Callable[[SetupChange], object]:
        return lambda work: _end_first(work.tenant(tenant), work.transaction, scope, reason, cool_down_s)

    yield _Change(
        at(-7, 8.5),
        _OWNER,
        lambda work: work.tenant(tenant).set_pool("reports", expires_at_ms=at(-7, 11.0)),
    )
    yield _Change(
        at(-7, 13.2),
        _OWNER,
        lambda work: work.tenant(tenant).set_pool("reports", expires_at_ms=until_ms + 3 * DAY_MS),
    )
    yield _Change(at(-6, 11.4), OPERATOR, end("all", "left it open overnight"))
    yield _Change(at(-6, 16.0), _OWNER, lambda work: work.tenant(tenant).set_pool("full", seats=FULL_SEATS))
    yield _Change(
        at(-3, 9.0), OPERATOR, lambda work: work.tenant(tenant).set_client("Old-Till", enabled=False)
    )
    yield _Change(at(-2, 15.1), OPERATOR, end("all", "stocktaking comes first", 3600))
    yield _Change(until_ms - 75 * MINUTE_MS, OPERATOR, end("stock", "holds a seat for another scanner", 7200))


def _end_first(
    tenant: TenantSetup, transaction: Transaction, scope: str, reason: str, cool_down_s: int
) -> object:
    """End the sessions of the first client that is at work with this scope."""
    for member in MEMBERS:
        key = tenant.clients[member.client_id].key
        sids = sessions_of_clients(transaction, tenant.tenant.id, {key}) if member.scope == scope else []
        if sids:
            return tenant.end_sessions(sids, reason=reason, cool_down_s=cool_down_s)
    return None
