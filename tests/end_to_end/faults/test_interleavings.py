"""Whatever meets whatever on one store: grants, refreshes, endings, expiry and administrators, by lot.

Nothing here waits for time to pass. What is random has a seed, which is printed.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from licet.clock import ManualClock
from licet.credentials.tokens import new_sid
from licet.lanes.commit import commit
from licet.lanes.thread import Lane
from licet.ledger.commands import (
    ClientRefused,
    Command,
    Denied,
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
)
from licet.ledger.scopes import resolve_scope
from licet.model import Duplicates, EndReason, NoSeatReason, Pool, Tenant
from licet.refusal import Code
from licet.reports.live import seats
from licet.setup.change import SetupChange, changing, end_sessions
from licet.store.errors import SetupError
from licet.store.sqlite.store import SqliteStore
from support.many import few
from support.once.made_once import empty_store
from support.server.callers import TENANT
from support.store.journals import WHOLE_JOURNAL

pytestmark = pytest.mark.anyio

SEEDS = (20_260_711, 20_261_124, 4)
CLIENTS = ("TestClientId", "Client1", "Client2", "Client3", "Client4", "Client5", "Client6")
USERS = ("TC", "C1", "C2", "C3")  # fewer than clients, so that some share one
PROBE = "Probe"  # whom no administrator touches: it looks whether a seat is free
SCOPES = ("all", "all", "all", "single", "person", "view", "view all")
ROUNDS, ACTORS, COMMANDS = 20, 24, 6
SWEEP_MAX = 50
Submitting = Lane[Command, Outcome]


class Licence:
    """A licence that several processes keep, and what each of them was answered.

    One file is open three times, with one clock: by two servers, and by the administrators' command line.
    """

    def __init__(self, path: Path, seed: int) -> None:
        self.dice = random.Random(seed)  # noqa: S311 - must be repeatable
        self.clock = ManualClock()
        self.stores = [SqliteStore(empty_store(path), self.clock), SqliteStore(path, self.clock)]
        self.office = SqliteStore(path, self.clock)
        self.answered: Counter[tuple[str, str]] = Counter()
        self.expires_at_ms: dict[bytes, int] = {}  # of each session, as it was last answered
        self.over: set[bytes] = set()  # sessions whose end was answered
        with changing(self.office, "a test") as change:
            self._set_up(change)
        for store in self.stores:
            store.refresh_tenants()

    def close(self) -> None:
        """Let go of the file."""
        for store in (*self.stores, self.office):
            store.close()

    @staticmethod
    def _set_up(change: SetupChange) -> None:
        tenant = change.add_tenant(TENANT, seats=3)
        tenant.add_pool("each", seats=2, duplicates=Duplicates.NONE)
        tenant.add_pool("people", seats=2, duplicates=Duplicates.USER)
        tenant.add_scope("single", pool="each")
        tenant.add_scope("person", pool="people")
        for initials in (*USERS, "PR"):
            tenant.add_user(initials)
        for number, client_id in enumerate(CLIENTS):
            tenant.add_client(client_id, user=USERS[number % len(USERS)], sessions_max=1 + number % 4)
        tenant.add_client(PROBE, user="PR")

    # What clients do

    def asked(self, store: SqliteStore, client_id: str, scope: str) -> Grant | None:
        """The grant that a server makes of a request, by the set-up as this server last saw it."""
        tenant = store.tenant(TENANT)
        assert tenant is not None
        client = tenant.clients.get(client_id)
        resolved = resolve_scope(tenant, client, tuple(scope.split())) if client else None
        if client is None or resolved is None or isinstance(resolved, ScopeRefused):
            return None
        return Grant(
            tenant_id=tenant.id,
            client_key=client.key,
            sid=new_sid(self.clock.now_ms()),
            scope=resolved.scope,
            pool_id=resolved.pool_id,
            address="192.0.2.1",
        )

    async def act(self, lane: Submitting, store: SqliteStore, dice: random.Random) -> None:
        """Be a client, or several: ask, wait for the answer, ask again."""
        for _ in range(COMMANDS):
            command = self._invented(store, dice)
            if command is not None:
                self.note(command, await lane.submit(command))

    def _invented(self, store: SqliteStore, dice: random.Random) -> Command | None:
        kind = dice.choices(("grant", "refresh", "logoff", "revoke", "sweep"), (8, 5, 3, 1, 1))[0]
        tenant = store.tenant(TENANT)
        if kind == "grant" or not self.expires_at_ms or tenant is None:
            return self.asked(store, dice.choice(CLIENTS), dice.choice(SCOPES))
        sid = dice.choice(list(self.expires_at_ms)[-20:])  # those of late are the likeliest to be alive
        client = tenant.clients.get(dice.choice(CLIENTS))
        if kind == "refresh":
            return None if client is None else Refresh(tenant_id=tenant.id, client_key=client.key, sid=sid)
        if kind == "sweep":
            return Sweep(sessions_max=dice.randrange(1, SWEEP_MAX))
        reason = EndReason.LOGOFF if kind == "logoff" else EndReason.REVOKED
        return End(tenant_id=tenant.id, sid=sid, reason=reason)

    def note(self, command: Command, outcome: Outcome) -> None:
        """Keep what was answered."""
        match outcome:
            case Granted(session=session):
                before = self.expires_at_ms.get(session.sid, 0)
                self.expires_at_ms[session.sid] = max(before, session.expires_at_ms)
                self.answered["granted", ""] += isinstance(command, Grant)
            case Denied(reason=reason):
                self._must_make_sense(outcome)
                self.answered["denied", reason] += 1
            case Ended(session=session):
                assert isinstance(command, End)
                if session is not None:
                    assert session.sid not in self.over, "a session ended twice"
                    self.over.add(session.sid)
                    self.answered["ended", command.reason] += 1
            case ClientRefused() | SessionUnknown() | ScopeRefused() | Swept():
                pass

    @staticmethod
    def _must_make_sense(denied: Denied) -> None:
        match denied.reason:
            case NoSeatReason.ALL_IN_USE:
                assert denied.in_use >= denied.seats > 0
                assert denied.retry_after_s is not None
                assert denied.retry_after_s >= 1
            case NoSeatReason.NO_SEATS:
                assert (denied.seats, denied.retry_after_s) == (0, None)
            case NoSeatReason.LICENCE_EXPIRED:
                assert denied.retry_after_s is None

    # What administrators do

    def administrate(self, dice: random.Random) -> None:
        """Change the set-up several times, from another thread and another connection."""
        for _ in range(dice.randrange(4)):
            if dice.random() < 0.2:
                self._end_some(dice)
            with suppress(SetupError), changing(self.office, "a test") as change:
                for deed in dice.choices(list(self._deeds(change, dice)), k=2):
                    deed()
                if dice.random() < 0.2:
                    raise SetupError("never mind: all of it is taken back", code=Code.CHANGED_MEANWHILE)

    def _end_some(self, dice: random.Random) -> None:
        self.office.refresh_tenants()
        sids = list(self.expires_at_ms.copy())[-10:]
        end_sessions(self.office, "a test", TENANT, dice.choices(sids, k=2) if sids else [])

    def _deeds(self, change: SetupChange, dice: random.Random) -> Iterator[partial[bool]]:
        tenant, now_ms = change.tenant(TENANT), change.transaction.now_ms
        client_id, initials, pool = dice.choice(CLIENTS), dice.choice(USERS), dice.choice(list(tenant.pools))
        duplicates, enabled = dice.choice(list(Duplicates)), dice.random() < 0.8
        expires_at_ms = dice.choice((None, None, now_ms - 1, now_ms + dice.randrange(1, 1_000_000)))
        session_ttl_s = dice.choice((600, 1200, 2400))
        yield partial(tenant.set_pool, pool, seats=dice.randrange(5))
        yield partial(tenant.set_pool, pool, seats=dice.randrange(5))
        yield partial(tenant.set_pool, pool, duplicates=duplicates)
        yield partial(tenant.set_pool, pool, expires_at_ms=expires_at_ms)
        yield partial(tenant.set_client, client_id, enabled=enabled)
        yield partial(tenant.set_client, client_id, sessions_max=dice.randrange(1, 5))
        yield partial(tenant.set_client, client_id, user=initials)
        yield partial(tenant.set_user, initials, enabled=enabled)
        yield partial(tenant.set, session_ttl_s=session_ttl_s, access_ttl_s=dice.randrange(1, 600))
        if client_id in tenant.clients:
            yield partial(tenant.remove_client, client_id)
        else:
            yield partial(tenant.add_client, client_id, user=initials)

    # What must be true

    async def verify(self, lane: Submitting) -> None:
        """Compare what the store has with what was answered, while nobody asks."""
        with self.office.reading() as connection:
            self._verify_seats(connection)
        await self._verify_that_no_seat_is_lost(lane)
        swept = SWEEP_MAX
        while swept == SWEEP_MAX:
            outcome = await lane.submit(Sweep(sessions_max=SWEEP_MAX))
            assert isinstance(outcome, Swept)
            swept = outcome.sessions
        with self.office.reading() as connection:
            self._verify_seats(connection)
            self._verify_sessions(connection)

    def _verify_seats(self, connection: Connection) -> None:
        """L2, L4, L6: the tables agree with each other."""
        for pool in connection.execute(text(_POOLS)):
            assert pool.in_use == pool.counted
            assert pool.overuse == max(0, pool.in_use - pool.seats)
        seatless = connection.execute(text(_LIVE_WITHOUT_SEAT), {"now_ms": self.clock.now_ms()}).all()
        assert not seatless
        assert not connection.execute(text(_SEATS_NOT_OF_THEIR_SESSIONS)).all()

    async def _verify_that_no_seat_is_lost(self, lane: Submitting) -> None:
        """L4: of each pool, swept or not, a seat is to be had exactly when it has one free."""
        tenant = self._tenant()
        with self.office.reading() as connection:
            now = {of.pool: of for of in seats(connection, tenant, self.clock.now_ms()).pools}
        for scope, pool_name in (("all", "full"), ("single", "each"), ("person", "people")):
            pool = tenant.pool_named(pool_name)
            grant = self.asked(self.office, PROBE, scope)
            assert pool is not None
            assert grant is not None
            outcome = await lane.submit(grant)
            self.note(grant, outcome)
            assert _reason(outcome) == self._expected(pool, now[pool_name].in_use)
            if isinstance(outcome, Granted):
                end = End(tenant_id=tenant.id, sid=grant.sid, reason=EndReason.LOGOFF)
                ended = await lane.submit(end)
                self.note(end, ended)
                assert isinstance(ended, Ended)
                assert ended.seat_released

    def _expected(self, pool: Pool, in_use: int) -> NoSeatReason | None:
        if pool.expires_at_ms is not None and pool.expires_at_ms <= self.clock.now_ms():
            return NoSeatReason.LICENCE_EXPIRED
        if in_use < (pool.seats or 0):
            return None
        return NoSeatReason.ALL_IN_USE if pool.seats else NoSeatReason.NO_SEATS

    def _tenant(self) -> Tenant:
        self.office.refresh_tenants()
        tenant = self.office.tenant(TENANT)
        assert tenant is not None
        return tenant

    def _verify_sessions(self, connection: Connection) -> None:
        """L5, L11: what was granted lives, unless its end is in the journal; and all of that was answered."""
        alive = {row.sid: row.expires_at_ms for row in connection.execute(text(_SESSIONS))}
        assert alive.keys() <= self.expires_at_ms.keys() - self.over
        # A pool's end cuts a session short, and nothing makes it longer than it was told.
        assert all(expires_at_ms <= self.expires_at_ms[sid] for sid, expires_at_ms in alive.items())
        journal = {(row.kind, row.reason): row.times for row in connection.execute(text(_JOURNAL))}
        unasked = sum(journal.get(("ended", reason), 0) for reason in _UNASKED)
        assert unasked == len(self.expires_at_ms) - len(self.over) - len(alive)
        asked = {key: times for key, times in journal.items() if key[1] not in _UNASKED}
        assert asked == dict(self.answered)


_UNASKED = frozenset(EndReason) - {EndReason.LOGOFF, EndReason.REVOKED}
_POOLS = """
SELECT in_use, seats, overuse, (SELECT count(*) FROM seat WHERE pool_id = pool.id) AS counted FROM pool
"""
_LIVE_WITHOUT_SEAT = """
SELECT hex(sid) FROM session WHERE pool_id IS NOT NULL AND expires_at_ms > :now_ms
AND NOT EXISTS (SELECT 1 FROM seat WHERE seat.pool_id = session.pool_id AND seat.holder = session.holder)
"""
_SEATS_NOT_OF_THEIR_SESSIONS = """
SELECT * FROM seat WHERE expires_at_ms > (
  SELECT max(expires_at_ms) FROM session WHERE session.pool_id = seat.pool_id AND session.holder = seat.holder
)
"""
_SESSIONS = "SELECT sid, expires_at_ms FROM session"
_JOURNAL = f"SELECT kind, reason, sum(times) AS times FROM {WHOLE_JOURNAL} GROUP BY kind, reason"  # noqa: S608


def _reason(outcome: Outcome) -> NoSeatReason | None:
    assert isinstance(outcome, Granted | Denied)
    return outcome.reason if isinstance(outcome, Denied) else None


def _lane(store: SqliteStore) -> Submitting:
    return Lane(partial(commit, store), name="a server's lane", batch_max=16)


async def _let_time_go_by(licence: Licence, lane: Submitting, dice: random.Random) -> None:
    """Move the clock between batches, at times to the very moment at which a session expires."""
    for _ in range(COMMANDS):
        now_ms = licence.clock.now_ms()
        next_ms = min((it for it in licence.expires_at_ms.values() if it > now_ms), default=now_ms)
        to_next_s = (next_ms - now_ms) / 1000
        licence.clock.advance(seconds=dice.choice((0.0, 0.001, 60.0, 300.0, to_next_s)))
        sweep = Sweep(sessions_max=dice.randrange(1, 5))
        licence.note(sweep, await lane.submit(sweep))


class TestInterleavings:
    """Grants, refreshes, endings, expiry and administrators, all at once on one pool."""

    @pytest.mark.parametrize("seed", few(SEEDS, 1))
    async def test_whatever_meets_whatever_no_seat_is_lost_and_none_is_too_many(
        self, tmp_path: Path, seed: int
    ) -> None:
        """L1, L2, L4, L5, L6, L8, L11."""
        print(f"seed {seed}")  # noqa: T201 - shown when it fails
        licence = Licence(tmp_path / "licet.db", seed)
        lanes: Sequence[Submitting] = [_lane(store) for store in licence.stores]
        try:
            for _ in range(ROUNDS):
                await _one_round(licence, lanes)
        finally:
            for lane in lanes:
                await lane.close()
            licence.close()


async def _one_round(licence: Licence, lanes: Sequence[Submitting]) -> None:
    seeds = [licence.dice.getrandbits(32) for _ in range(ACTORS + 2)]
    dice = [random.Random(seed) for seed in seeds]  # noqa: S311 - must be repeatable
    actors = [
        licence.act(lanes[number % 2], licence.stores[number % 2], dice[number]) for number in range(ACTORS)
    ]
    await asyncio.gather(
        *actors,
        _let_time_go_by(licence, lanes[0], dice[-1]),
        asyncio.to_thread(licence.administrate, dice[-2]),
    )
    await licence.verify(lanes[1])
    for store in licence.stores:  # as each server does several times a second
        store.refresh_tenants()
