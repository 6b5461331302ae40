"""The options of pools: ledger, store and recount together, against a model that only counts.

Hypothesis invents options, batches of grants, refreshes and endings by two stores, lets time go by up to the
millisecond at which something ends, and changes rules, groups, users and clients in between. After each step
the outcomes and the tables must be those of the model (L15 to L17, L19, L20).
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from msgspec.structs import replace
from sqlalchemy import Connection, case, delete, insert, select, update

from licet.lanes.commit import apply_all, commit
from licet.ledger.commands import Command, Sweep
from licet.model import Duplicates, EndReason, Group, Pool
from licet.options import COMMON, Priority, Share, names_counted
from licet.setup.recount_options import recount_options
from licet.store import schema
from licet.store.contract import Transaction
from licet.store.setup_rows import columns_of, rule_rows
from support.examples import add_tenant, bump, end, grant, members_of, refresh
from support.ledger.counting import Seen
from support.ledger.options_model import CLIENTS, GROUPS, SCOPES, TENANT, OptionsModel, seen
from support.store.kinds import Place, PostgresPlaces, SqlitePlaces

START_MS = 1_700_000_000_000

PICKED = st.integers(0, 5)
KEYS = st.sampled_from([it.key for it in CLIENTS])
ASKED = st.sampled_from([it.name for it in SCOPES if it.pools])
GRANTS = st.tuples(st.just("grant"), KEYS, st.tuples(ASKED, st.booleans()))
COMMANDS = st.one_of(
    *[GRANTS] * 5,
    *[st.tuples(st.just("grant"), KEYS, st.tuples(st.just("all"), st.just(value=True)))] * 3,
    st.tuples(st.just("refresh"), st.none(), PICKED),
    st.tuples(st.just("end"), st.none(), PICKED),
)
BATCHES = st.lists(COMMANDS, min_size=1, max_size=8)
WAITS = st.one_of(
    st.sampled_from([0, 1, 999, 5000, 5000, 16_000]),
    st.sampled_from([0, 1, 2000, 5000, 16_000]),
    st.tuples(st.integers(0, 3), st.sampled_from([-1, 0, 1])),
    st.sampled_from([0, 60_000, 599_999, 1_200_000]),
)
WHO = st.sampled_from(
    ["user:TC", "user:C1", "user:C2", "client:Desktop", "client:Till", "group:sales", "group:desk"]
)
FEW_WHO = st.lists(WHO, max_size=2, unique=True).map(tuple)


def shares(seats: st.SearchStrategy[int]) -> st.SearchStrategy[tuple[Share, ...]]:
    """So many seats, for some of them."""
    return st.dictionaries(WHO, seats, max_size=2).map(
        lambda found: tuple(Share(who=who, seats=found[who]) for who in sorted(found))
    )


PRIORITIES = st.dictionaries(WHO, st.sampled_from([-9, -1, 1, 5]), max_size=2).map(
    lambda found: tuple(Priority(who=who, level=found[who]) for who in sorted(found))
)
POOL_IDS = st.sampled_from(sorted(TENANT.pools))
OPTIONS = st.one_of(
    st.tuples(st.just("exclude"), st.one_of(st.just(()), FEW_WHO)),
    st.tuples(st.just("include"), st.one_of(st.just(()), FEW_WHO)),
    st.tuples(st.just("named"), st.sampled_from([(), ("TC",), ("C1", "TC")])),
    st.tuples(st.just("reserve"), shares(st.integers(1, 2))),
    st.tuples(st.just("reserve"), shares(st.integers(1, 2))),
    st.tuples(st.just("max"), shares(st.integers(1, 2))),
    st.tuples(st.just("max"), shares(st.integers(1, 2))),
    st.tuples(st.just("max_per_user"), st.sampled_from([None, 1, 2])),
    st.tuples(st.just("max_per_client"), st.sampled_from([None, 1, 2])),
    st.tuples(st.just("priority"), PRIORITIES),
    st.tuples(st.just("queue"), st.sampled_from([0, 1, 2, 5])),
    st.tuples(st.just("queue_hold_s"), st.sampled_from([5, 30])),
    st.tuples(st.just("seats"), st.integers(0, 4)),
    st.tuples(st.just("duplicates"), st.sampled_from(Duplicates)),
)
MEMBERS = st.tuples(
    st.sets(st.sampled_from(["TC", "C1", "C2"]), max_size=2),
    st.sets(st.sampled_from([it.client_id for it in CLIENTS]), max_size=2),
)
# The options that a machine begins with: so that most of what it draws meets some.
BEGUN = st.fixed_dictionaries(
    {
        pool_id: st.fixed_dictionaries(
            {
                "seats": st.sampled_from([2, 2, 3]),
                "queue": st.sampled_from([0, 2, 5]),
                "max": st.one_of(st.just(()), shares(st.sampled_from([1, 1, 2]))),
                "reserve": st.one_of(st.just(()), st.just(()), shares(st.just(1))),
                "priority": st.one_of(st.just(()), PRIORITIES),
                "max_per_user": st.sampled_from([None, None, 1]),
            }
        )
        for pool_id in TENANT.pools
    }
)


def counting(pool: Pool) -> tuple[object, ...]:
    """By what the seats of a pool are counted."""
    return (pool.reserve, pool.max, pool.max_per_user, pool.max_per_client, pool.duplicates, pool.seats)


class OptionsMachine(RuleBasedStateMachine):
    """Two stores on one place, as two processes would have, and the model."""

    make_place: ClassVar[Callable[[int], Place]]

    def __init__(self) -> None:
        super().__init__()
        self.place = type(self).make_place(START_MS)
        self.clock = self.place.clock
        self.stores = [self.place.open() for _ in range(2)]
        with self.stores[0].transaction() as transaction:
            add_tenant(transaction.connection, TENANT)
        self.model = OptionsModel(TENANT, self.clock.now_ms())
        self.granted = 0

    def teardown(self) -> None:
        """Leave nothing open."""
        self.place.close()

    @initialize(begun=BEGUN)
    def begin(self, begun: dict[int, dict[str, Any]]) -> None:
        """An administrator sets options."""
        for pool_id, options in begun.items():
            self._change_pool(pool_id, **options)

    @rule(node=st.integers(0, 1), wait=WAITS, asked=BATCHES, swept=st.booleans())
    def batch(self, node: int, wait: int | tuple[int, int], asked: list[Any], swept: bool) -> None:
        """Some commands are committed together."""
        self._wait(wait)
        numbers = sorted(self.model.sessions, reverse=True)
        decided = [self._ask(numbers, *it) for it in asked]
        if swept:
            decided.append((Sweep(sessions_max=1000), self.model.sweep()))
        outcomes = commit(self.stores[node], [command for command, _ in decided])
        assert [seen(it, self.model.pools) for it in outcomes] == [expected for _, expected in decided]

    @rule(pool_id=POOL_IDS, option=OPTIONS)
    def change_option(self, pool_id: int, option: tuple[str, Any]) -> None:
        """An administrator changes an option of a pool, which counts from the next new seat on."""
        self._change_pool(pool_id, **dict([option]))

    @rule(name=st.sampled_from([it.name for it in GROUPS]), members=MEMBERS)
    def change_group(self, name: str, members: tuple[set[str], set[str]]) -> None:
        """An administrator changes who is in a group."""
        group = Group(name=name, users=frozenset(members[0]), clients=frozenset(members[1]))
        with self._set_up() as transaction:
            connection, of_group = transaction.connection, {"tenant_id": TENANT.id, "name": name}
            connection.execute(delete(schema.group_member).filter_by(**of_group))
            rows = [{**of_group, "member": member} for member in members_of(group)]
            connection.execute(insert(schema.group_member), rows)
        is_changed = self.model.groups[name] != group
        self.model.groups = {**self.model.groups, name: group}
        self._recounted(self.model.pools if is_changed else [])

    @rule(client_key=KEYS, initials=st.sampled_from(["TC", "C1", "C2"]))
    def change_user(self, client_key: int, initials: str) -> None:
        """A client stands for another user: what it has ends, and what is held is its former user's."""
        before = self.model.clients[client_key]
        if before.user.initials == initials:
            return
        ended = self.model.live(client_key)
        with self._set_up() as transaction:
            outcomes = apply_all(transaction, [end(it, EndReason.ADMINISTRATOR) for it in ended])
            row = update(schema.client).filter_by(key=client_key).values(initials=initials)
            transaction.connection.execute(row)
        expected = [self.model.end(it, EndReason.ADMINISTRATOR) for it in ended]
        assert [seen(it, self.model.pools) for it in outcomes] == expected
        self.model.clients[client_key] = replace(before, user=TENANT.users[initials])
        self._recounted(self.model.pools)

    @rule(client_key=KEYS, enabled=st.booleans(), suspended_ms=st.sampled_from([None, 1, 60_000]))
    def change_client(self, client_key: int, enabled: bool, suspended_ms: int | None) -> None:
        """A client is disabled or not, and suspended for a while or not."""
        until_ms = None if suspended_ms is None else self.model.now_ms + suspended_ms
        ended = [] if enabled else self.model.live(client_key)
        with self._set_up() as transaction:
            apply_all(transaction, [end(it, EndReason.DISABLED) for it in ended])
            row = update(schema.client).filter_by(key=client_key)
            transaction.connection.execute(row.values(enabled=enabled, barred_until_ms=until_ms))
        for it in ended:
            self.model.end(it, EndReason.DISABLED)
        self.model.clients[client_key] = replace(
            self.model.clients[client_key], enabled=enabled, suspended_until_ms=until_ms
        )
        self._recounted([])

    @invariant()
    def the_tables_are_those_of_the_model(self) -> None:
        """L15 to L17, L19."""
        with self.stores[0].reading() as connection:
            for pool in self.model.pools.values():
                self._check_seats(connection, pool)
                self._check_counts(connection, pool)
                self._check_line(connection, pool)

    def _check_seats(self, connection: Connection, pool: Pool) -> None:
        """Who has a seat has it, whatever the options are by now (L5); and it is counted for its taker."""
        rows = list(connection.execute(select(schema.seat).filter_by(pool_id=pool.id)))
        [in_use] = connection.execute(select(schema.pool.c.in_use).filter_by(id=pool.id)).scalars()
        assert in_use == len(rows)
        seats = self.model.seats(pool.id)
        assert set(seats) <= {row.holder for row in rows}
        for row in (row for row in rows if row.holder in seats):
            taken = self.model.taken[pool.id, row.holder]
            assert (row.client_id, row.initials) == (taken.client_id, taken.initials)
            names = {it.partition("=")[2] for it in names_counted(row.counted) if it.startswith("reserve=")}
            assert names == ({taken.reserve} - {""})

    def _check_counts(self, connection: Connection, pool: Pool) -> None:
        """Counters are a count of seats."""
        rows = connection.execute(select(schema.seat.c.counted).filter_by(pool_id=pool.id)).scalars()
        counted = [name for row in rows for name in names_counted(row)]
        counts = {
            it.what: it for it in connection.execute(select(schema.seat_count).filter_by(pool_id=pool.id))
        }
        assert {what: it.in_use for what, it in counts.items() if it.in_use} == {
            what: counted.count(what) for what in counted
        }
        for what, it in counts.items():
            assert it.over == max(0, it.in_use - it.at_most), what
        reserved = sum(share.seats for share in pool.reserve)
        if COMMON in counts:
            assert counts[COMMON].in_use <= max(0, (pool.seats or 0) - reserved) + counts[COMMON].over

    def _check_line(self, connection: Connection, pool: Pool) -> None:
        """No holder has two places, and none outlives its hold."""
        now_ms = self.model.now_ms
        rows = connection.execute(select(schema.queue_place).filter_by(pool_id=pool.id))
        found = {
            row.holder: (row.client_key, row.level, row.until_ms) for row in rows if row.until_ms > now_ms
        }
        assert found == {
            key[1]: (it.client_key, it.level, it.until_ms)
            for key, it in self.model.line.items()
            if key[0] == pool.id
        }
        assert len(found) <= pool.queue

    def _change_pool(self, pool_id: int, **changes: Any) -> None:
        changed = replace(self.model.pools[pool_id], **changes)
        with self._set_up() as transaction:
            connection, in_use = transaction.connection, schema.pool.c.in_use
            over = case((in_use > changed.seats, in_use - changed.seats), else_=0)  # L6
            row = columns_of(changed, schema.pool) | {"overuse": over}
            connection.execute(update(schema.pool).filter_by(id=pool_id).values(row))
            connection.execute(delete(schema.pool_rule).filter_by(pool_id=pool_id))
            of_pool = {"pool_id": pool_id, "tenant_id": TENANT.id}
            if rules := [{**it, **of_pool} for it in rule_rows(changed)]:
                connection.execute(insert(schema.pool_rule), rules)
        before, self.model.pools[pool_id] = self.model.pools[pool_id], changed
        self._recounted([pool_id] if counting(before) != counting(changed) else [])

    def _recounted(self, pool_ids: Iterable[int]) -> None:
        """These pools are counted anew; and nobody waits in any who could have no seat."""
        for pool_id in pool_ids:
            self.model.recount(pool_id)
        for pool_id in self.model.pools:
            self.model.prune(pool_id)

    @contextmanager
    def _set_up(self) -> Iterator[Transaction]:
        """A change of the set-up, which the other store hears of by the version only."""
        self.stores[0].refresh_tenants()
        before = self.stores[0].tenants()[TENANT.id]
        with self.stores[0].transaction() as transaction:
            apply_all(transaction, [Sweep(sessions_max=1000)])
            yield transaction
            recount_options(transaction, before)
            bump(transaction.connection, TENANT.id)
        self.model.sweep()

    def _ask(self, numbers: list[int], kind: str, key: int | None, what: Any) -> tuple[Command, Seen]:
        """A command, and what the model makes of it."""
        if kind == "grant":
            assert key is not None
            self.granted += 1
            scope, queue = what
            ids = [
                next(i for i, it in TENANT.pools.items() if it.name == name)
                for name in TENANT.scopes[scope].pools
            ]
            command = grant(
                key, self.granted, scope=scope, pool_id=ids[0], other_pool_ids=tuple(ids[1:]), queue=queue
            )
            return command, self.model.ask(key, scope, self.granted, queue=queue)
        number = numbers[what] if what < len(numbers) else 1_000_000
        if kind == "end":
            return end(number, EndReason.ADMINISTRATOR), self.model.end(number, EndReason.ADMINISTRATOR)
        owner = self.model.sessions[number].client_key if number in self.model.sessions else 1
        expected = self.model.refresh(owner, number)
        if expected[0] == "granted":
            held = self.model.sessions[number]
            assert held.pool_id is not None
            expected = (*expected, self.model.pools[held.pool_id].name)
        return refresh(owner, number), expected

    def _wait(self, wait: int | tuple[int, int]) -> None:
        """Let time go by: just so long, or until something ends."""
        if isinstance(wait, tuple):
            moments = [it.expires_ms for it in self.model.sessions.values()]
            moments += [it for id_ in self.model.pools for it in self.model.seats(id_).values()]
            moments += [it.until_ms for it in self.model.line.values()] * 2
            ahead = sorted({it for it in moments if it > self.model.now_ms})[wait[0] : wait[0] + 1]
            wait = ahead[0] + wait[1] - self.model.now_ms if ahead else 0
        self.clock.advance(seconds=wait / 1000)
        self.model.wait(wait)


def run(make_place: Callable[[int], Place], examples_max: int) -> None:
    """The same examples at every run."""
    run_state_machine_as_test(
        type("OptionsMachineOfAKind", (OptionsMachine,), {"make_place": staticmethod(make_place)}),
        settings=settings(
            derandomize=True,
            max_examples=examples_max,
            stateful_step_count=20,
            deadline=None,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        ),
    )


@pytest.fixture
def in_files(sqlite_places: SqlitePlaces, tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Place]:
    """What makes places of SQLite, each in a directory of its own."""
    return lambda now_ms: sqlite_places.make(tmp_path_factory.mktemp("machine"), now_ms)


@pytest.mark.parametrize("examples", [6, pytest.param(80, marks=pytest.mark.wide)])
def test_seats_are_given_by_the_options_as_a_model_counts(
    in_files: Callable[[int], Place], examples: int
) -> None:
    """L15 to L17, L19, L20."""
    run(in_files, examples)


@pytest.mark.parametrize("examples", [2, pytest.param(30, marks=pytest.mark.wide)])
def test_seats_are_given_by_the_options_as_a_model_counts_in_a_database(
    postgres_places: PostgresPlaces, examples: int
) -> None:
    """L15 to L17, L19, L20. Fewer examples: each takes longer, and all stores share the ledger."""
    run(postgres_places.make, examples)


@pytest.mark.long
@pytest.mark.timeout(0)
@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_seats_are_given_by_the_options_as_a_model_counts_for_a_long_time(
    kind: str, request: pytest.FixtureRequest
) -> None:
    """L15 to L17, L19, L20. Other examples at every run; what failed belongs into a named test."""
    found = request.getfixturevalue({"sqlite": "in_files", "postgres": "postgres_places"}[kind])
    make_place = found.make if isinstance(found, PostgresPlaces) else found
    run_state_machine_as_test(
        type("OptionsMachineOfAKind", (OptionsMachine,), {"make_place": staticmethod(make_place)}),
        settings=settings(
            max_examples=1000,
            stateful_step_count=50,
            deadline=None,
            phases=[Phase.reuse, Phase.generate, Phase.shrink],
            print_blob=True,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        ),
    )
