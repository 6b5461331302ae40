"""Signed pools in every store against a model: grants, licences, holds and limits, in whatever order.

Hypothesis installs real licences by the set-up's own functions, lets time go by to the very millisecond of a
step or of the end of a hold, and commits batches from two processes' stores. After each step all outcomes and
all numbers of the tables must be those of the model.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from msgspec.structs import replace

from licet.lanes.commit import commit
from licet.ledger import rules, seat_decision, seat_life, signed_pools
from licet.ledger.book import Book
from licet.ledger.commands import Command, Sweep
from licet.ledger.numbers import Numbers
from licet.licences.armour import armoured
from licet.model import SEATS_MAX, Duplicates, Seat, Session
from licet.setup.change import changing
from licet.setup.licences import install, remove, trust
from licet.store import schema
from licet.store.errors import Contradiction, NotFound
from support.examples import FULL, add_tenant, client, end, grant, jim_test, refresh
from support.ledger.signed_counting import ACCESS_S, HOLD_S, SESSION_S, Given, Seen, SignedModel, seen
from support.licences.signed_pools import text_of, the_vendor, vendor_file
from support.store.kinds import Place, PostgresPlaces, SqlitePlaces
from support.store.store_site import rows

START_S = 1_700_000_000
NAMES = st.sampled_from(["L0", "L1"])
USERS = {1: "TC", 2: "TC", 3: "C1", 4: "C2", 5: "C3"}
CLIENTS = tuple(client(key, f"Client{key}", user) for key, user in USERS.items())
KEYS = st.sampled_from([*USERS])
PICKED = st.integers(0, 4)
COMMANDS = st.one_of(
    st.tuples(st.just("grant"), KEYS),
    st.tuples(st.just("grant"), KEYS),
    st.tuples(st.just("refresh"), PICKED),
    st.tuples(st.just("end"), PICKED),
)
NEAR_S = st.sampled_from([0, 20, 60, 70, 500, 1300])
LICENCES = st.fixed_dictionaries(
    {
        "from_s": NEAR_S,
        "to_s": st.one_of(st.none(), NEAR_S.map(lambda it: it + 1)),
        "grace_s": st.sampled_from([0, 30]),
        "seats": st.integers(0, 3),
        "overdraft": st.sampled_from([0, 0, 1]),
    }
)
WAITS = st.one_of(
    st.sampled_from([0, 1, 999, 59_999, 60_000]),
    st.tuples(st.integers(0, 3), st.sampled_from([-1, 0, 1])),
    st.sampled_from([1000, 1_199_999, 1_300_000]),
)


class SignedStoreMachine(RuleBasedStateMachine):
    """Two stores on one place, as two processes would have, and the model."""

    make_place: ClassVar[Callable[[int], Place]]
    duplicates: ClassVar[Duplicates]

    def __init__(self) -> None:
        super().__init__()
        self.place = type(self).make_place(START_S * 1000)
        self.stores = [self.place.open() for _ in range(2)]
        pool = replace(FULL, seats=SEATS_MAX, duplicates=type(self).duplicates)
        tenant = jim_test(pools=(pool,), clients=CLIENTS, session_ttl_s=SESSION_S, access_ttl_s=ACCESS_S)
        with self.stores[0].transaction() as transaction:
            add_tenant(transaction.connection, tenant)
        self.model = SignedModel(START_S * 1000, USERS)
        self.serials: dict[str, int] = {}
        self.granted = 0
        self.in_use = 0

    def teardown(self) -> None:
        """Leave nothing open."""
        self.place.close()

    @initialize(first=LICENCES)
    def begin(self, first: dict[str, Any]) -> None:
        """There is a licence, so that the pool is signed; it gives something now, as a rule."""
        self.stores[0].refresh_tenants()
        with changing(self.stores[0], "vendor") as change:
            trust(change, vendor_file(the_vendor()).encode())
        self.install("L0", first | {"from_s": 0})

    @rule(name=NAMES, drawn=LICENCES)
    def install(self, name: str, drawn: dict[str, Any]) -> None:
        """The next serial of a licence: more or fewer seats, now or later, perhaps with an end."""
        serial = self.serials[name] = self.serials.get(name, 0) + 1
        now_s = -(-self.model.now_ms // 1000)
        from_s = now_s + drawn["from_s"]
        to_s = None if drawn["to_s"] is None else from_s + drawn["to_s"]
        grace_s = 0 if to_s is None else drawn["grace_s"]
        given = Given(name, serial, from_s, to_s, grace_s, drawn["seats"], drawn["overdraft"])
        times = {"nbf": from_s, "grace": given.grace_s} | ({} if to_s is None else {"exp": to_s})
        members = {"seats": given.seats, "overdraft": given.overdraft, "hold": HOLD_S}
        text = text_of("full", "all", name=name, serial=serial, **times, **members)
        self._change(lambda change: install(change, "Jim_Test", armoured(text).encode()))
        self.model.licences.append(given)
        self.model.cut()

    @rule(name=NAMES)
    def remove(self, name: str) -> None:
        """The newest serial of a licence and all before it are removed."""
        with suppress(NotFound):
            self._change(lambda change: remove(change, "Jim_Test", name, self.serials.get(name, 1)))
        self.model.licences = [it for it in self.model.licences if it.name != name]
        self.model.cut()

    @rule(seats=st.sampled_from([0, 1, 2, 3, SEATS_MAX]))
    def limit(self, seats: int) -> None:
        """An administrator sets fewer seats; who is in stays."""
        self._change(lambda change: change.tenant("Jim_Test").set_pool("full", seats=seats))
        self.model.limit = seats

    @rule(hold_s=st.sampled_from([0, 30, 90, 2000]))
    def hold(self, hold_s: int) -> None:
        """An administrator sets a hold."""
        self._change(lambda change: change.tenant("Jim_Test").set_pool("full", hold_s=hold_s))
        self.model.set_hold(hold_s)

    @rule(
        node=st.integers(0, 1),
        wait=WAITS,
        asked=st.lists(COMMANDS, min_size=1, max_size=6),
        swept=st.booleans(),
    )
    def batch(
        self, node: int, wait: int | tuple[int, int], asked: list[tuple[str, int]], swept: bool
    ) -> None:
        """Some commands are committed together."""
        self._wait(wait)
        numbers = sorted(self.model.sessions, reverse=True)
        decided = [self._ask(kind, what, numbers) for kind, what in asked]
        self._commit(node, [it for it in decided if it is not None], swept=swept)

    @rule(node=st.integers(0, 1), first=st.integers(0, 2), second=st.integers(0, 2))
    def swap(self, node: int, first: int, second: int) -> None:
        """Two holders give their seats back when their holds are over, and take each other's in one batch."""
        self._wait(self.model.hold_s * 1000)
        holders = sorted(self.model.seats)[first : first + 1] + sorted(self.model.seats)[second : second + 1]
        theirs = [number for number, it in self.model.sessions.items() if it.holder in holders]
        keys = [self.model.sessions[number].key for number in theirs]
        ending = [(end(number), self.model.end(number)) for number in theirs]
        self._commit(node, ending + [self._grant(key) for key in reversed(keys)])

    def _ask(self, kind: str, what: int, numbers: list[int]) -> tuple[Command, Seen] | None:
        if kind == "grant":
            return self._grant(what)
        if what >= len(numbers):
            return None
        number = numbers[what]
        if kind == "end":
            return end(number), self.model.end(number)
        held = self.model.sessions.get(number)
        key = 1 if held is None else held.key
        return refresh(key, number), self.model.refresh(key, number)

    def _grant(self, key: int) -> tuple[Command, Seen]:
        self.granted += 1
        holder = f"user:{USERS[key]}" if type(self).duplicates is Duplicates.USER else f"client:Client{key}"
        return grant(key, self.granted), self.model.grant(key, holder, self.granted)

    def _commit(self, node: int, decided: list[tuple[Command, Seen]], *, swept: bool = False) -> None:
        if swept:
            decided = [*decided, (Sweep(sessions_max=1000), ("swept",))]
        before = self.model.tokens.copy()
        outcomes = commit(self.stores[node], [command for command, _ in decided])
        assert [seen(outcome) for outcome in outcomes] == [expected for _, expected in decided]
        for number, (who, at_ms) in self.model.tokens.items():
            last = before.get(number, (who, at_ms))
            assert last[0] == who or at_ms - last[1] >= HOLD_S * 1000, "tokens of two are a hold apart"

    def _change(self, do_it: Callable[[Any], object]) -> None:
        self.model.forget()
        with changing(self.stores[0], "test") as change:
            do_it(change)
        for store in self.stores:
            store.refresh_tenants()

    def _wait(self, wait: int | tuple[int, int]) -> None:
        """Let time go by: just so long, or until something ends, or a millisecond beside it."""
        model = self.model
        if isinstance(wait, tuple):
            moments = {*model.moments(), *model.free_ms.values()}
            moments |= {it.expires_ms for it in model.sessions.values()}
            moments |= {it.expires_ms for it in model.seats.values()}
            ahead = sorted(it for it in moments if it > model.now_ms)[wait[0] : wait[0] + 1]
            wait = ahead[0] + wait[1] - model.now_ms if ahead else 0
        self.place.clock.advance(seconds=wait / 1000)
        model.wait(wait)

    @invariant()
    def the_tables_are_those_of_the_model(self) -> None:
        """L6, L13, L14, L18: counters equal a count, numbers are distinct, a seat on hold is its holder's."""
        model, now_ms = self.model, self.model.now_ms
        [pool] = rows(self.stores[0], schema.pool)
        seats = rows(self.stores[0], schema.seat)
        live = {
            row.holder: (row.number, row.initials, row.expires_at_ms)
            for row in seats
            if row.expires_at_ms > now_ms
        }
        assert live == {holder: (it.number, it.user, it.expires_ms) for holder, it in model.seats.items()}
        numbers = [row.number for row in seats]
        free = {row.number: row.from_ms for row in rows(self.stores[0], schema.seat_free)}
        assert sorted([*numbers, *free]) == [*range(1, pool.numbers_used + 1)]
        assert pool.in_use == len(seats)
        assert len(live) <= max(model.room(), self.in_use), "overuse only shrinks"
        self.in_use = len(live)
        expected = {number: it for number, it in model.free_ms.items() if number in free}
        assert {number: free[number] for number in expected} == expected
        sessions = {
            int.from_bytes(row.sid): row.expires_at_ms for row in rows(self.stores[0], schema.session)
        }
        assert {it: at_ms for it, at_ms in sessions.items() if at_ms > now_ms} == {
            number: it.expires_ms for number, it in model.sessions.items()
        }


def run(
    make_place: Callable[[int], Place],
    duplicates: Duplicates,
    examples_max: int,
    *,
    is_random: bool = False,
    phases: Sequence[Phase] = (Phase.generate, Phase.shrink),
) -> None:
    """The machine on one kind of store; the same examples at every run, unless they are to be random."""
    parts = {"make_place": staticmethod(make_place), "duplicates": duplicates}
    run_state_machine_as_test(
        type("SignedStoreMachineOfAKind", (SignedStoreMachine,), parts),
        settings=settings(
            derandomize=not is_random,
            max_examples=examples_max,
            stateful_step_count=50 if is_random else 20,
            deadline=None,
            database=None,
            phases=phases,
            print_blob=is_random,
            report_multiple_bugs=False,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )


@pytest.fixture
def in_files(sqlite_places: SqlitePlaces, tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Place]:
    """What makes places of SQLite, each in a directory of its own."""
    return lambda now_ms: sqlite_places.make(tmp_path_factory.mktemp("signed"), now_ms)


KINDS = [Duplicates.CLIENT, Duplicates.USER]


@pytest.mark.parametrize("duplicates", KINDS)
@pytest.mark.parametrize("examples", [4, pytest.param(60, marks=pytest.mark.wide)])
def test_numbers_are_what_a_model_counts_whatever_happens(
    in_files: Callable[[int], Place], examples: int, duplicates: Duplicates
) -> None:
    """L6, L7, L13, L14, L18."""
    run(in_files, duplicates, examples)


@pytest.mark.parametrize("duplicates", KINDS)
@pytest.mark.parametrize("examples", [2, pytest.param(20, marks=pytest.mark.wide)])
def test_numbers_are_what_a_model_counts_in_a_database(
    postgres_places: PostgresPlaces, examples: int, duplicates: Duplicates
) -> None:
    """L6, L7, L13, L14, L18."""
    run(postgres_places.make, duplicates, examples)


# Omissions of the code that a machine has to find, or the database: each by the name of what is forgotten.
def _forget_a_hold_of_numbers(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(rules, "given_from_ms", lambda *_: 0)


def _forget_which_number_is_lowest(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Numbers, "lowest", lambda self, now_ms: None if now_ms < self.from_ms else self.used + 1)


def _forget_the_highest_number(patch: pytest.MonkeyPatch) -> None:
    truly = rules.SeatTaken  # type: ignore[attr-defined]
    patch.setattr(rules, "SeatTaken", lambda *, seat, **_: truly(seat=seat))


def _forget_a_number_of_a_seat(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(seat_decision, "number_for", lambda *_: 0)


def _forget_when_a_token_was_issued(patch: pytest.MonkeyPatch) -> None:
    truly = seat_life.with_token_of

    def with_token_of(book: Book, seat: Seat, session: Session, address: str) -> Seat:
        return replace(truly(book, seat, session, address), issued_at_ms=seat.issued_at_ms)

    patch.setattr(rules, "with_token_of", with_token_of)


def _forget_a_step(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(rules, "lives_until", lambda pool, *_: pool.expires_at_ms)
    patch.setattr(seat_life, "lives_until", lambda pool, *_: pool.expires_at_ms)


def _forget_the_counter(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(seat_decision, "room_of", lambda *_: SEATS_MAX)
    for module in (rules, signed_pools):
        patch.setattr(module, "is_beyond", lambda *_: False)


OMISSIONS = {
    "the hold of numbers": _forget_a_hold_of_numbers,
    "which number is the lowest": _forget_which_number_is_lowest,
    "the highest number ever used": _forget_the_highest_number,
    "the number of a seat": _forget_a_number_of_a_seat,
    "when a token was issued": _forget_when_a_token_was_issued,
    "a step of the licence": _forget_a_step,
    "how many are signed": _forget_the_counter,
}


@pytest.mark.parametrize(
    "forgotten",
    [pytest.param(it, marks=[pytest.mark.wide] if at else []) for at, it in enumerate(OMISSIONS)],
)
def test_what_is_forgotten_is_found(
    in_files: Callable[[int], Place], forgotten: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the machine, or by a check of the database."""
    OMISSIONS[forgotten](monkeypatch)
    with pytest.raises((AssertionError, Contradiction, ExceptionGroup)):
        run(in_files, Duplicates.CLIENT, 600, phases=[Phase.generate])


@pytest.mark.long
@pytest.mark.timeout(0)
@pytest.mark.parametrize("duplicates", KINDS)
@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_numbers_are_what_a_model_counts_for_a_long_time(
    kind: str, duplicates: Duplicates, request: pytest.FixtureRequest
) -> None:
    """L6, L7, L13, L14, L18. Other examples at every run; what failed belongs into a named test."""
    found = request.getfixturevalue({"sqlite": "in_files", "postgres": "postgres_places"}[kind])
    run(found.make if isinstance(found, PostgresPlaces) else found, duplicates, 1000, is_random=True)
