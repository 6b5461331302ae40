"""The ledger, the store and the commit together, against a model that only counts.

Hypothesis invents batches of commands, lets time go by to the very millisecond at which something expires,
and changes the set-up in between. After each step the outcomes and the tables must be those of the model.
"""

import math
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, NamedTuple

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from msgspec.structs import replace
from sqlalchemy import text, update

from licet.lanes.commit import apply_all, commit
from licet.ledger.commands import (
    ClientRefused,
    Command,
    Denied,
    Ended,
    Granted,
    Outcome,
    SessionUnknown,
    Sweep,
    Swept,
)
from licet.model import Client, Duplicates, EndReason, Pool, Scope, Tenant, TokenFormat
from licet.setup.holds import recount
from licet.store import schema
from licet.store.contract import Transaction
from support.examples import ALL, VIEW, add_tenant, bump, client, end, grant, jim_test, refresh, sid
from support.journals import WHOLE_JOURNAL
from support.kinds import Place, PostgresPlaces, SqlitePlaces

START_MS = 1_700_000_000_000
# One pool of each kind, so small that it is full most of the time; no pool for what needs no seat.
POOLS = (
    Pool(id=1, name="full", seats=2),
    Pool(id=2, name="people", seats=1, duplicates=Duplicates.USER),
    Pool(id=3, name="each", seats=3, duplicates=Duplicates.NONE),
)
PERSON = Scope(name="person", licensed=True, read_only=False, pool="people")
SINGLE = Scope(name="single", licensed=True, read_only=False, pool="each")
SCOPE_OF_POOL = {None: VIEW.name, 1: ALL.name, 2: PERSON.name, 3: SINGLE.name}
# Users with several clients, and limits that are soon reached.
CLIENTS = (
    client(1, "Desktop", "TC", sessions_max=1),
    client(2, "Phone", "TC", sessions_max=2),
    client(3, "Robot", "C1", sessions_max=2),
    client(4, "Till", "C1", sessions_max=100),
)
TENANT = jim_test(
    pools=POOLS, scopes=(VIEW, ALL, PERSON, SINGLE), clients=CLIENTS, session_ttl_s=1200, access_ttl_s=60
)
# The same with seats that are held (L18): for less than a session, for longer, and for as long as a JWT.
WITH_HOLDS = replace(
    TENANT,
    pools={1: replace(POOLS[0], hold_s=60), 2: replace(POOLS[1], hold_s=2000), 3: POOLS[2]},
    token_format=TokenFormat.JWT,
)
Seen = tuple[object, ...]


class Held(NamedTuple):
    """A session of the model."""

    client_key: int
    pool_id: int | None
    holder: object
    expires_ms: int


class Model:
    """Whoever has a live session in a pool has a seat there, or had a token of it until its hold is over.

    `issued_ms` is when each holder's last one was given, as long as it has its seat; `tokens_ms` also after.
    """

    def __init__(self, tenant: Tenant, now_ms: int) -> None:
        self.now_ms = now_ms
        self.session_ttl_s = tenant.session_ttl_s
        self.token_format = tenant.token_format
        self.issued_ms: dict[tuple[int, object], int] = {}
        self.tokens_ms: dict[tuple[int, object], int] = {}
        self.pools = dict(tenant.pools)
        self.clients = dict(tenant.clients_by_key)
        self.sessions: dict[
            int, Held
        ] = {}  # In the order in which they began; dead ones until they are swept.
        self.counts: Counter[tuple[str, str]] = Counter()
        self.held_ms = 0

    def live(self, client_key: int | None = None) -> list[int]:
        """The sessions that live, of one client or all, the oldest first."""
        return [
            number
            for number, it in self.sessions.items()
            if it.expires_ms > self.now_ms and client_key in {None, it.client_key}
        ]

    def seats(self, pool_id: int, without: Collection[int] = ()) -> dict[object, int]:
        """The holders of a pool's seats, and until when each has its own (L2, L4)."""
        until: dict[object, int] = {}
        for (id_, holder), issued_ms in self.issued_ms.items():
            if id_ == pool_id and (held_ms := self.held_ms_of(pool_id, issued_ms)) > self.now_ms:
                until[holder] = held_ms
        for it in (self.sessions[number] for number in self.live() if number not in without):
            if it.pool_id == pool_id:
                until[it.holder] = max(until.get(it.holder, 0), it.expires_ms)
        return until

    def held_ms_of(self, pool_id: int, issued_ms: int) -> int:
        """Until when a seat is held for a token that was issued then (L18), and never past its pool (L7)."""
        pool = self.pools[pool_id]
        jwt_s = TENANT.access_ttl_s if self.token_format is TokenFormat.JWT else 0
        until_ms = issued_ms + max(pool.hold_s, jwt_s) * 1000
        return until_ms if pool.expires_at_ms is None else min(until_ms, pool.expires_at_ms)

    def issue(self, pool_id: int | None, holder: object) -> None:
        """Note that a token was issued."""
        if pool_id is not None:
            self.issued_ms[pool_id, holder] = self.tokens_ms[pool_id, holder] = self.now_ms

    def forget(self) -> None:
        """Whose seat is free is its holder's no more, also when a longer hold begins to count."""
        seats = {pool_id: self.seats(pool_id) for pool_id in self.pools}
        self.issued_ms = {key: it for key, it in self.issued_ms.items() if key[1] in seats[key[0]]}

    def begin_anew(self) -> None:
        """Count tokens from now on by another hold: those of seats that are held by it already."""
        self.forget()
        self.tokens_ms = self.issued_ms.copy()

    def believed(self, pool_id: int) -> int:
        """How many holders have a token that somebody may still believe."""
        of_pool = [it for key, it in self.tokens_ms.items() if key[0] == pool_id]
        return sum(self.held_ms_of(pool_id, it) > self.now_ms for it in of_pool)

    def wait(self, ms: int) -> None:
        """Let time go by, adding up how long seats are held meanwhile."""
        for pool_id in self.pools:
            self.held_ms += sum(min(ms, until - self.now_ms) for until in self.seats(pool_id).values())
        self.now_ms += ms
        self.forget()

    def expiry_ms(self, pool_id: int | None) -> int:
        """When a session that is granted or renewed now expires (L3, L7)."""
        expires_ms = self.now_ms + self.session_ttl_s * 1000
        pool_ms = self.pools[pool_id].expires_at_ms if pool_id else None
        return expires_ms if pool_ms is None else min(expires_ms, pool_ms)

    def denial(
        self, pool: Pool, holder: object, superseded: Sequence[int], suspended_ms: int | None
    ) -> Seen | None:
        """Why there is no seat, how many are in use, and when to come back (L6, L7, L12)."""
        seats = self.seats(pool.id)
        if suspended_ms is not None and suspended_ms > self.now_ms:
            return ("suspended", len(seats), math.ceil((suspended_ms - self.now_ms) / 1000))
        if pool.expires_at_ms is not None and pool.expires_at_ms <= self.now_ms:
            return ("licence_expired", len(seats), None)
        if holder in seats or len(self.seats(pool.id, without=superseded)) < pool.seats:
            return None
        if pool.seats == 0:
            return ("no_seats", len(seats), None)
        return ("all_in_use", len(seats), max(1, math.ceil((min(seats.values()) - self.now_ms) / 1000)))

    def grant(self, client_key: int, pool_id: int | None, number: int) -> Seen:
        """A client asks for a session."""
        asker = self.clients[client_key]
        if not asker.enabled:
            return ("refused",)
        mine = self.live(client_key)
        superseded = mine[: max(0, len(mine) + 1 - asker.sessions_max)]  # L8
        holder = self.holder(asker, pool_id, number)
        suspended_ms = asker.suspended_until_ms
        if pool_id and (denial := self.denial(self.pools[pool_id], holder, superseded, suspended_ms)):
            self.counts["denied", str(denial[0])] += 1
            return ("denied", *denial)
        for other in superseded:
            self.end(other, EndReason.SUPERSEDED)
        self.counts["granted", ""] += 1
        self.sessions[number] = Held(client_key, pool_id, holder, self.expiry_ms(pool_id))
        self.issue(pool_id, holder)
        return ("granted", self.sessions[number].expires_ms)

    def holder(self, asker: Client, pool_id: int | None, number: int) -> object:
        """Who a seat is counted for (L2)."""
        if pool_id is None:
            return None
        if self.pools[pool_id].duplicates is Duplicates.CLIENT:
            return f"client:{asker.client_id}"
        if self.pools[pool_id].duplicates is Duplicates.USER:
            return f"user:{asker.user.initials}"
        return f"session:{sid(number).hex()}"

    def refresh(self, client_key: int, number: int) -> Seen:
        """A client renews a session (L5)."""
        if number not in self.live(client_key):
            return ("unknown",)
        it = self.sessions[number]
        expires_ms = max(it.expires_ms, self.expiry_ms(it.pool_id))
        self.sessions[number] = it._replace(expires_ms=expires_ms)
        self.issue(it.pool_id, it.holder)
        return ("granted", expires_ms)

    def end(self, number: int, reason: EndReason, client_key: int | None = None) -> Seen:
        """A session is to end (L4)."""
        if number not in self.live():
            return ("ended", False, False, None)
        if number not in self.live(client_key):
            return ("unknown",)
        it = self.sessions.pop(number)
        self.counts["ended", reason] += 1
        if it.pool_id is None:
            return ("ended", True, False, None)
        until_ms = self.seats(it.pool_id).get(it.holder)
        self.forget()
        if until_ms is None or any(self.sessions[other][1:3] == it[1:3] for other in self.live()):
            return ("ended", True, until_ms is None, None)
        return ("ended", True, False, max(1, math.ceil((until_ms - self.now_ms) / 1000)))

    def sweep(self) -> Seen:
        """Forget what has expired."""
        dead = [number for number, it in self.sessions.items() if it.expires_ms <= self.now_ms]
        for number in dead:
            del self.sessions[number]
            self.counts["ended", EndReason.EXPIRED] += 1
        return ("swept", len(dead))


def seen(outcome: Outcome | Exception) -> Seen:
    """What the model says of an outcome."""
    match outcome:
        case Granted(session=session, at_ms=at_ms, access_expires_at_ms=access_ms):
            assert access_ms == min(at_ms + TENANT.access_ttl_s * 1000, session.expires_at_ms)
            return ("granted", session.expires_at_ms)
        case Denied(reason=reason, in_use=in_use, retry_after_s=retry_after_s):
            return ("denied", reason, in_use, retry_after_s)
        case ClientRefused():
            return ("refused",)
        case SessionUnknown():
            return ("unknown",)
        case Ended(session=session, seat_released=seat_released, seat_released_in_s=released_in_s):
            return ("ended", session is not None, seat_released, released_in_s)
        case Swept(sessions=sessions):
            return ("swept", sessions)
        case _:
            raise AssertionError(outcome)


# Which session a command is about: the newest, the one before it, ...; the last is one that never was.
PICKED = st.integers(0, 5)
CLIENT_KEYS = st.sampled_from([it.key for it in CLIENTS])
POOL_IDS = st.sampled_from([pool.id for pool in POOLS])
POOL_IDS_OR_NONE = st.one_of(POOL_IDS, st.none())
KEYS_OR_NONE = st.one_of(st.none(), CLIENT_KEYS)
COMMANDS = st.one_of(
    st.tuples(st.just("grant"), CLIENT_KEYS, POOL_IDS_OR_NONE),
    st.tuples(st.just("refresh"), KEYS_OR_NONE, PICKED),
    st.tuples(st.just("end"), KEYS_OR_NONE, PICKED),
)
Asked = tuple[str, int | None, Any]
BATCHES = st.lists(COMMANDS, min_size=1, max_size=8)
NODES = st.integers(0, 1)
CHANGES = st.one_of(
    st.tuples(st.just("seats"), POOL_IDS, st.integers(0, 4)),
    st.tuples(st.just("expiry"), POOL_IDS, st.sampled_from([None, 0, 1, 60_000, 1_100_000, 1_300_000])),
    st.tuples(st.just("hold"), POOL_IDS, st.sampled_from([0, 0, 1, 60, 1100, 2000])),
    st.tuples(st.just("format"), st.just(TENANT.id), st.sampled_from(TokenFormat)),
    st.tuples(st.just("duplicates"), POOL_IDS, st.sampled_from(Duplicates)),
    st.tuples(st.just("user"), CLIENT_KEYS, st.sampled_from(["TC", "C1"])),
    st.tuples(st.just("life"), st.just(TENANT.id), st.sampled_from([60, 600, 1200])),
    st.tuples(st.just("limit"), CLIENT_KEYS, st.sampled_from([1, 2, 3, 100])),
    st.tuples(st.just("enabled"), CLIENT_KEYS, st.booleans()),
    st.tuples(st.just("suspend"), CLIENT_KEYS, st.sampled_from([None, 0, 1, 60_000, 600_000])),
)
# Just so long, mostly so short that sessions live on; or up to one of the coming expiries, or a
# millisecond beside it.
WAITS = st.one_of(
    st.sampled_from([0, 1, 999, 60_000, 300_000, 599_999]),
    st.tuples(st.integers(0, 3), st.sampled_from([-1, 0, 1])),
    st.sampled_from([0, 1, 60_000, 1_200_000, 3_600_000]),
)


class LicenceMachine(RuleBasedStateMachine):
    """Two stores on one place, as two processes would have, and the model."""

    make_place: ClassVar[Callable[[int], Place]]
    tenant: ClassVar[Tenant]

    def __init__(self) -> None:
        super().__init__()
        self.place = type(self).make_place(START_MS)
        self.clock = self.place.clock
        self.stores = [self.place.open() for _ in range(2)]
        with self.stores[0].transaction() as transaction:
            add_tenant(transaction.connection, type(self).tenant)
        self.model = Model(type(self).tenant, self.clock.now_ms())
        self.granted = 0

    def teardown(self) -> None:
        """Leave nothing open."""
        self.place.close()

    @rule(node=NODES, wait=WAITS, asked=BATCHES, swept=st.booleans())
    def batch(self, node: int, wait: int | tuple[int, int], asked: list[Asked], swept: bool) -> None:
        """Some commands are committed together."""
        self._commit(node, wait, asked, swept=swept)

    @rule(node=NODES, wait=WAITS, picked=st.lists(PICKED, min_size=1, max_size=3))
    def visit(self, node: int, wait: int | tuple[int, int], picked: list[int]) -> None:
        """Some sessions are renewed, and ended in the same batch."""
        asked: list[Asked] = [(kind, None, it) for kind in ("refresh", "end") for it in picked]
        self._commit(node, wait, asked)

    @rule(node=NODES, wait=WAITS, client_key=CLIENT_KEYS, pools=st.lists(POOL_IDS_OR_NONE, min_size=2))
    def burst(self, node: int, wait: int | tuple[int, int], client_key: int, pools: list[int | None]) -> None:
        """One client asks again and again in one batch: it supersedes what that batch began."""
        self._commit(node, wait, [("grant", client_key, pool_id) for pool_id in pools[:4]])

    @rule(change=CHANGES)
    def change(self, change: tuple[str, int, Any]) -> None:
        """An administrator changes the set-up."""
        kind, *what = change
        getattr(self, f"_change_{kind}")(*what)

    def _change_seats(self, pool_id: int, seats: int) -> None:
        """L6. What is in use stays, and is overuse where it is more."""
        with self._set_up() as transaction:
            transaction.connection.execute(
                text(
                    "UPDATE pool SET seats = :seats,"
                    " overuse = CASE WHEN in_use > :seats THEN in_use - :seats ELSE 0 END WHERE id = :id"
                ),
                {"seats": seats, "id": pool_id},
            )
        self.model.pools[pool_id] = replace(self.model.pools[pool_id], seats=seats)

    def _change_expiry(self, pool_id: int, after_ms: int | None) -> None:
        """L7. Sessions and seats are cut where they would outlive the pool."""
        until_ms = None if after_ms is None else self.model.now_ms + after_ms
        with self._set_up() as transaction:
            for statement in (
                "UPDATE pool SET expires_at_ms = :until WHERE id = :id",
                "UPDATE session SET expires_at_ms = :until WHERE pool_id = :id AND expires_at_ms > :until",
                "UPDATE seat SET expires_at_ms = :until WHERE pool_id = :id AND expires_at_ms > :until",
            ):
                transaction.connection.execute(text(statement), {"until": until_ms, "id": pool_id})
            self.model.pools[pool_id] = replace(self.model.pools[pool_id], expires_at_ms=until_ms)
            self._recount(transaction, pool_id)
        for number, it in self.model.sessions.items():
            if it.pool_id == pool_id and until_ms is not None:
                self.model.sessions[number] = it._replace(expires_ms=min(it.expires_ms, until_ms))
        self.model.begin_anew()

    def _change_hold(self, pool_id: int, hold_s: int) -> None:
        """L18. It counts for every seat in use."""
        with self._set_up() as transaction:
            transaction.connection.execute(update(schema.pool).filter_by(id=pool_id).values(hold_s=hold_s))
            self.model.pools[pool_id] = replace(self.model.pools[pool_id], hold_s=hold_s)
            self._recount(transaction, pool_id)
        self.model.begin_anew()

    def _change_format(self, tenant_id: int, token_format: TokenFormat) -> None:
        """L18. Where access tokens are JWTs, a seat is held for their life at least."""
        with self._set_up() as transaction:
            transaction.connection.execute(
                update(schema.tenant).filter_by(id=tenant_id).values(token_format=token_format.value)
            )
            self.model.token_format = token_format
            for pool_id in self.model.pools:
                self._recount(transaction, pool_id)
        self.model.begin_anew()

    def _recount(self, transaction: Transaction, pool_id: int) -> None:
        pool = self.model.pools[pool_id]
        recount(transaction, replace(TENANT, token_format=self.model.token_format), pool)

    def _change_duplicates(self, pool_id: int, duplicates: Duplicates) -> None:
        """L2. It counts for new sessions; a seat on hold stays that of who had it."""
        with self._set_up() as transaction:
            transaction.connection.execute(
                update(schema.pool).filter_by(id=pool_id).values(duplicates=duplicates.value)
            )
        self.model.pools[pool_id] = replace(self.model.pools[pool_id], duplicates=duplicates)

    def _change_user(self, client_key: int, initials: str) -> None:
        """L4, L18. Who stands for another user begins anew; the seat of the former one is held for that."""
        before = self.model.clients[client_key]
        if before.user.initials == initials:
            return
        ended = self.model.live(client_key)
        with self._set_up() as transaction:
            outcomes = apply_all(transaction, [end(number, EndReason.ADMINISTRATOR) for number in ended])
            transaction.connection.execute(
                update(schema.client).filter_by(key=client_key).values(initials=initials)
            )
        assert [seen(it) for it in outcomes] == [self.model.end(it, EndReason.ADMINISTRATOR) for it in ended]
        self.model.clients[client_key] = replace(before, user=TENANT.users[initials])

    def _change_life(self, tenant_id: int, session_ttl_s: int) -> None:
        """L3. It counts from the next grant or refresh on."""
        with self._set_up() as transaction:
            transaction.connection.execute(
                update(schema.tenant).filter_by(id=tenant_id).values(session_ttl_s=session_ttl_s)
            )
        self.model.session_ttl_s = session_ttl_s

    def _change_limit(self, client_key: int, sessions_max: int) -> None:
        """L8. It counts from the next grant on."""
        with self._set_up() as transaction:
            transaction.connection.execute(
                update(schema.client).filter_by(key=client_key).values(sessions_max=sessions_max)
            )
        changed = replace(self.model.clients[client_key], sessions_max=sessions_max)
        self.model.clients[client_key] = changed

    def _change_enabled(self, client_key: int, enabled: bool) -> None:
        """L4. Disabling ends what the client has, in the same transaction."""
        ended = [] if enabled else self.model.live(client_key)
        with self._set_up() as transaction:
            outcomes = apply_all(transaction, [end(number, EndReason.DISABLED) for number in ended])
            transaction.connection.execute(
                update(schema.client).filter_by(key=client_key).values(enabled=enabled)
            )
        assert [seen(it) for it in outcomes] == [self.model.end(it, EndReason.DISABLED) for it in ended]
        self.model.clients[client_key] = replace(self.model.clients[client_key], enabled=enabled)

    def _change_suspend(self, client_key: int, for_ms: int | None) -> None:
        """L12. It counts for the next grant that needs a seat, and ends nothing."""
        until_ms = None if for_ms is None else self.model.now_ms + for_ms
        with self._set_up() as transaction:
            transaction.connection.execute(
                update(schema.client).filter_by(key=client_key).values(barred_until_ms=until_ms)
            )
        self.model.clients[client_key] = replace(self.model.clients[client_key], suspended_until_ms=until_ms)

    @invariant()
    def the_tables_are_those_of_the_model(self) -> None:
        """L1 to L8, L11, L18."""
        self._check_sessions()
        self._check_seats()
        self._check_pools()
        self._check_journal()
        self._check_usage()

    def _check_sessions(self) -> None:
        """L3, L4, L8."""
        rows = self._rows("SELECT sid, expires_at_ms FROM session")
        assert {sid(number): it.expires_ms for number, it in self.model.sessions.items()} == dict(rows)
        _, alive = self.stores[1].read_sessions([sid(number) for number in self.model.sessions])
        assert set(alive) == {sid(number) for number in self.model.live()}

    def _check_seats(self) -> None:
        """L2, L4, L5, L18."""
        rows = self._rows("SELECT pool_id, holder, expires_at_ms FROM seat WHERE expires_at_ms > :now")
        for pool_id in self.model.pools:
            seats = {holder: until for id_, holder, until in rows if id_ == pool_id}
            assert seats == self.model.seats(pool_id)

    def _check_pools(self) -> None:
        """L6."""
        for pool_id, seats, in_use, overuse, rows, alive in self._rows(
            "SELECT id, seats, in_use, overuse, (SELECT count(*) FROM seat WHERE pool_id = id),"
            " (SELECT count(*) FROM seat WHERE pool_id = id AND expires_at_ms > :now) FROM pool"
        ):
            assert in_use == rows <= seats + overuse
            assert overuse == max(0, in_use - seats)
            assert alive == len(self.model.seats(pool_id))
            assert self.model.believed(pool_id) <= seats + overuse, "L18"

    def _check_journal(self) -> None:
        """L11."""
        rows = self._rows(
            f"SELECT kind, reason, sum(times) FROM {WHOLE_JOURNAL} GROUP BY kind, reason"  # noqa: S608
        )
        assert {(kind, reason): times for kind, reason, times in rows} == +self.model.counts

    def _check_usage(self) -> None:
        """L11. What seats were held that came back, and those still held, is all that was held."""
        [[freed_ms]] = self._rows("SELECT coalesce(sum(held_ms), 0) FROM usage_hour")
        [[held_ms]] = self._rows(
            "SELECT coalesce(sum(CASE WHEN expires_at_ms < :now THEN expires_at_ms ELSE :now END"
            " - taken_at_ms), 0) FROM seat"
        )
        assert freed_ms + held_ms == self.model.held_ms
        for in_use, last, peak in self._rows(
            "SELECT pool.in_use, usage_minute.in_use, peak FROM pool JOIN usage_minute ON pool.name = pool"
            " WHERE minute = (SELECT max(minute) FROM usage_minute WHERE pool.name = pool)"
        ):
            assert in_use == last <= peak

    def _commit(
        self, node: int, wait: int | tuple[int, int], asked: list[Asked], *, swept: bool = False
    ) -> None:
        self._wait(wait)
        numbers = sorted(self.model.sessions, reverse=True)
        decided = [self._ask(numbers, *it) for it in asked]
        if swept:
            decided.append((Sweep(sessions_max=1000), self.model.sweep()))
        outcomes = commit(self.stores[node], [command for command, _ in decided])
        assert [seen(outcome) for outcome in outcomes] == [expected for _, expected in decided]

    def _ask(self, numbers: list[int], kind: str, key: int | None, what: Any) -> tuple[Command, Seen]:
        """A command, and what the model makes of it."""
        if kind == "grant":
            assert key is not None
            self.granted += 1
            command = grant(key, self.granted, scope=SCOPE_OF_POOL[what], pool_id=what)
            return command, self.model.grant(key, what, self.granted)
        number = numbers[what] if what < len(numbers) else 1_000_000
        if kind == "end":
            reason = EndReason.LOGOFF if key else EndReason.ADMINISTRATOR
            return end(number, reason, client_key=key), self.model.end(number, reason, key)
        owner = self.model.sessions[number].client_key if number in self.model.sessions else 1
        return refresh(key or owner, number), self.model.refresh(key or owner, number)

    def _wait(self, wait: int | tuple[int, int]) -> None:
        """Let time go by: just so long, or until something expires."""
        if isinstance(wait, tuple):
            moments = [it.expires_ms for it in self.model.sessions.values()]
            moments += [it for id_ in self.model.pools for it in self.model.seats(id_).values()]
            moments += [it.expires_at_ms for it in self.model.pools.values() if it.expires_at_ms is not None]
            moments += [it.suspended_until_ms for it in self.model.clients.values() if it.suspended_until_ms]
            ahead = sorted({it for it in moments if it > self.model.now_ms})[wait[0] : wait[0] + 1]
            wait = ahead[0] + wait[1] - self.model.now_ms if ahead else 0
        self.clock.advance(seconds=wait / 1000)
        self.model.wait(wait)

    @contextmanager
    def _set_up(self) -> Iterator[Transaction]:
        """A change of the set-up, which the other store hears of by the version only."""
        with self.stores[0].transaction() as transaction:
            yield transaction
            bump(transaction.connection, TENANT.id)

    def _rows(self, statement: str) -> list[Any]:
        """What the tables say; `:now` is the time."""
        with self.stores[0].reading() as connection:
            return [*connection.execute(text(statement), {"now": self.model.now_ms})]


def machine(make_place: Callable[[int], Place], tenant: Tenant) -> type[LicenceMachine]:
    """The machine, on stores of one kind."""
    parts = {"make_place": staticmethod(make_place), "tenant": tenant}
    return type("LicenceMachineOfAKind", (LicenceMachine,), parts)


@pytest.fixture
def in_files(sqlite_places: SqlitePlaces, tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Place]:
    """What makes places of SQLite, each in a directory of its own."""
    return lambda now_ms: sqlite_places.make(tmp_path_factory.mktemp("machine"), now_ms)


def run(kind: type[LicenceMachine], examples_max: int) -> None:
    """The same examples at every run."""
    run_state_machine_as_test(
        kind,
        settings=settings(
            derandomize=True,
            max_examples=examples_max,
            stateful_step_count=20,
            deadline=None,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )


TENANTS = [pytest.param(TENANT, id="without-holds"), pytest.param(WITH_HOLDS, id="with-holds")]


@pytest.mark.parametrize("tenant", TENANTS)
@pytest.mark.parametrize("examples", [30, pytest.param(100, marks=pytest.mark.wide)])
def test_the_licence_is_what_a_model_counts_whatever_happens(
    in_files: Callable[[int], Place], examples: int, tenant: Tenant
) -> None:
    """L1 to L8, L11, L12, L18."""
    run(machine(in_files, tenant), examples)


@pytest.mark.parametrize("tenant", TENANTS)
@pytest.mark.parametrize("examples", [8, pytest.param(25, marks=pytest.mark.wide)])
def test_the_licence_is_what_a_model_counts_in_a_database(
    postgres_places: PostgresPlaces, examples: int, tenant: Tenant
) -> None:
    """L1 to L8, L11, L12, L18. Fewer examples: each takes longer, and all stores share the ledger."""
    run(machine(postgres_places.make, tenant), examples)


@pytest.mark.long
@pytest.mark.timeout(0)
@pytest.mark.parametrize("tenant", TENANTS)
@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_the_licence_is_what_a_model_counts_for_a_long_time(
    kind: str, tenant: Tenant, request: pytest.FixtureRequest
) -> None:
    """L1 to L8, L11, L12, L18. Other examples at every run; what failed belongs into a named test."""
    places = {"sqlite": "in_files", "postgres": "postgres_places"}
    found = request.getfixturevalue(places[kind])
    run_state_machine_as_test(
        machine(found.make if isinstance(found, PostgresPlaces) else found, tenant),
        settings=settings(
            max_examples=1000,
            stateful_step_count=50,
            deadline=None,
            phases=[Phase.reuse, Phase.generate, Phase.shrink],
            print_blob=True,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
