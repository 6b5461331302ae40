"""The ledger, the store and the commit together, against a model that only counts.

Hypothesis invents batches of commands, lets time go by to the very millisecond at which something expires,
and changes the set-up in between. After each step the outcomes and the tables must be those of the model.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from msgspec.structs import replace
from sqlalchemy import text, update

from licet.lanes.commit import apply_all, commit
from licet.ledger.commands import Command, Sweep
from licet.model import Duplicates, EndReason, Tenant, TokenFormat
from licet.setup.holds import recount
from licet.store import schema
from licet.store.contract import Transaction
from support.examples import add_tenant, bump, end, grant, refresh, sid
from support.ledger.counting import CLIENTS, POOLS, SCOPE_OF_POOL, TENANT, WITH_HOLDS, Model, Seen, seen
from support.store.journals import WHOLE_JOURNAL
from support.store.kinds import Place, PostgresPlaces, SqlitePlaces

START_MS = 1_700_000_000_000

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
# A seat as it is: its row may say less than its sessions.
TRUE_SEAT = """(
    SELECT pool_id, holder, taken_at_ms, max(expires_at_ms) AS expires_at_ms FROM (
        SELECT pool_id, holder, taken_at_ms, expires_at_ms FROM seat
        UNION ALL
        SELECT seat.pool_id, seat.holder, seat.taken_at_ms, session.expires_at_ms
        FROM seat JOIN session ON seat.pool_id = session.pool_id AND seat.holder = session.holder
    ) AS said GROUP BY pool_id, holder, taken_at_ms
) AS seat"""

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
        alive = self.stores[1].read_sessions([sid(number) for number in self.model.sessions]).sessions
        assert set(alive) == {sid(number) for number in self.model.live()}

    def _check_seats(self) -> None:
        """L2, L4, L5, L18."""
        rows = self._rows("SELECT pool_id, holder, expires_at_ms FROM TRUE_SEAT WHERE expires_at_ms > :now")
        for pool_id in self.model.pools:
            seats = {holder: until for id_, holder, until in rows if id_ == pool_id}
            assert seats == self.model.seats(pool_id)

    def _check_pools(self) -> None:
        """L6."""
        for pool_id, seats, in_use, overuse, rows, alive in self._rows(
            "SELECT id, seats, in_use, overuse, (SELECT count(*) FROM seat WHERE pool_id = id),"
            " (SELECT count(*) FROM TRUE_SEAT WHERE pool_id = id AND expires_at_ms > :now) FROM pool"
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
            " - taken_at_ms), 0) FROM TRUE_SEAT"
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
        """What the tables say; `:now` is the time, and `TRUE_SEAT` are the seats as they are."""
        with self.stores[0].reading() as connection:
            statement = statement.replace("TRUE_SEAT", TRUE_SEAT)
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
@pytest.mark.parametrize("examples", [8, pytest.param(100, marks=pytest.mark.wide)])
def test_the_licence_is_what_a_model_counts_whatever_happens(
    in_files: Callable[[int], Place], examples: int, tenant: Tenant
) -> None:
    """L1 to L8, L11, L12, L18."""
    run(machine(in_files, tenant), examples)


@pytest.mark.parametrize("tenant", TENANTS)
@pytest.mark.parametrize("examples", [2, pytest.param(25, marks=pytest.mark.wide)])
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
