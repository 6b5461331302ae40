"""What a batch needs (`licet.ledger.prefetch`) is enough, and nothing of it is too much.

Batches are decided twice: on the book that a store loads for them, and on one that holds all that the store
has. Outcomes, rows to write and journal must be the same. And if one clause is left out, they are not.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import update

from licet.ledger.book import Book, Counts, SeatFreed, SeatKey, SeatTaken
from licet.ledger.commands import Command, Grant, Outcome, Sweep
from licet.ledger.prefetch import SPARE, Need, Sharing
from licet.ledger.rules import apply, free_expired
from licet.model import Duplicates, Pool, Scope, Seat, Session, Tenant
from licet.options import Share
from licet.store import schema
from licet.store.contract import Purpose, Store
from licet.store.postgres import batch as postgres_batch
from licet.store.postgres import book as postgres_book
from licet.store.postgres import load_statements
from licet.store.rows import rows_of
from licet.store.sqlite import book as sqlite_book
from support.examples import VIEW, add_tenant, bump, client, end, grant, jim_test, refresh, used
from support.ledger.whole_book import Everything
from support.licences.signed_pools import put_licences, text_of, trust
from support.many import one_in
from support.store.kinds import KINDS, Place
from support.store.loading import STATEMENTS, changed, same_by_smaller_statement

START_MS = 1_700_000_000_000
# So few seats and so low limits that they are reached most of the time; two pools hold their seats (L18).
POOLS = (
    Pool(id=1, name="installed", seats=2),
    Pool(id=2, name="people", seats=2, duplicates=Duplicates.USER),
    Pool(id=3, name="each", seats=2, duplicates=Duplicates.NONE),
    Pool(id=4, name="held", seats=2, duplicates=Duplicates.USER, hold_s=60),
    Pool(id=5, name="kept", seats=2, hold_s=60),
    Pool(id=6, name="signed", seats=5),
    Pool(id=7, name="queued", seats=2, queue=2, max=(Share(who="user:TC", seats=1),)),
    Pool(id=8, name="reserved", seats=3, reserve=(Share(who="user:TC", seats=1),), max_per_user=1),
)
# Of the pool 6: one seat for good, and one with a gap of half a minute, which is shorter than its hold.
LICENCES: tuple[tuple[str, int, dict[str, int]], ...] = (
    ("A", 1, {"nbf": START_MS // 1000 - 1, "exp": START_MS // 1000 + 1500}),
    ("A", 2, {"nbf": START_MS // 1000 + 1530}),
    ("B", 1, {}),
)
CLIENTS = (
    client(1, "Desktop", "TC", sessions_max=1),
    client(2, "Phone", "TC", sessions_max=3),
    client(3, "Robot", "C1", sessions_max=2),
    client(4, "Till", "C2", sessions_max=100),
)
SCOPES = (VIEW, *(Scope(name=pool.name, licensed=True, read_only=False, pool=pool.name) for pool in POOLS))
SCOPE_OF_POOL = {None: "view"} | {it.id: it.name for it in POOLS}
OTHER_POOL = Pool(id=9, name="full", seats=1)
TENANT = jim_test(pools=POOLS, scopes=SCOPES, clients=CLIENTS, scope_default="view", access_ttl_s=60)
OTHER = jim_test(id=2, name="Other", pools=(OTHER_POOL,), clients=(client(11, "Single", "OT"),))
UNKNOWN = 1_000_000  # a client and a session that there are not

KEYS = st.sampled_from([1, 1, 2, 2, 3, 4])
POOL_IDS = st.sampled_from([None, 1, 2, 2, 3, 4, 5, 6, 6, 7, 7, 8])
QUEUED = 7  # the pool whose clients wait in line
PICKED = st.integers(0, 4)  # the newest session that lives, the one before it, ...
COMMANDS = st.one_of(
    st.tuples(st.just("grant"), KEYS, POOL_IDS),
    st.tuples(st.just("refresh"), PICKED),
    st.tuples(st.just("end"), PICKED),
    st.tuples(st.just("use"), KEYS, st.integers(0, 2)),
    st.tuples(st.just("carry"), KEYS, POOL_IDS, st.integers(0, 2)),
    st.tuples(st.just("other"), st.booleans()),
)
RENEWED_AND_ENDED = st.lists(PICKED, min_size=1, max_size=3).map(
    lambda picked: [(kind, it) for kind in ("refresh", "end") for it in picked]
)
RENEWED_AND_SUPERSEDED = st.tuples(PICKED, KEYS).map(
    lambda drawn: [("refresh", drawn[0]), *[("grant", drawn[1], None)] * 2]
)
RENEWED_AND_ASKED = st.tuples(st.lists(PICKED, min_size=1, max_size=3), KEYS, POOL_IDS).map(
    lambda drawn: [*[("refresh", picked) for picked in drawn[0]], ("grant", drawn[1], drawn[2])]
)
BURST = st.tuples(KEYS, st.lists(POOL_IDS, min_size=2, max_size=4)).map(
    lambda drawn: [("grant", drawn[0], pool_id) for pool_id in drawn[1]]
)
BATCHES = st.one_of(
    st.lists(COMMANDS, min_size=1, max_size=6),
    RENEWED_AND_ENDED,
    RENEWED_AND_SUPERSEDED,
    RENEWED_AND_ASKED,
    BURST,
    st.just([("sweep",)]),
)
WAITS = st.sampled_from([0, *[1000] * 9, 30_000, 61_000, 1_198_000, 1_201_000])
CHANGES = st.one_of(
    st.none(),
    st.none(),
    st.none(),
    st.tuples(st.just("life"), st.sampled_from([60, 1200])),
    st.tuples(st.just("limit"), st.sampled_from([1, 3])),
)
Asked = tuple[Any, ...]
Step = tuple[Asked | None, int, Sequence[Asked]]
STEPS = st.lists(st.tuples(CHANGES, WAITS, BATCHES), min_size=4, max_size=12)


def steps(*batches: Sequence[Asked]) -> list[Step]:
    """These batches, a second apart."""
    return [(None, 1000, batch) for batch in batches]


# What is rare among those that are drawn: it is tried first.
EXAMPLES = (
    # An assertion that was used before; both seats of a pool expired, and one is asked for; a sweep.
    steps([("use", 1, 0)], [("use", 1, 0)]),
    steps([("carry", 1, 1, 0)], [("carry", 1, 1, 0)], [("use", 1, 1)], [("carry", 1, None, 1)]),
    [*steps([("grant", 2, 1)], [("grant", 3, 1)]), (None, 1_201_000, [("grant", 4, 1)])],
    [*steps([("grant", 1, None), ("grant", 2, 1)]), (None, 1_201_000, [("sweep",)])],
    # Phone is on the seat of a session of Desktop that begins and ends in one batch.
    steps([("grant", 2, 2)], [("grant", 1, 2), ("grant", 1, None)]),
    # The seat that expires first is renewed, and then somebody asks when the first one expires.
    steps([("grant", 2, 1)], [("grant", 3, 1)], [("refresh", 1), ("grant", 4, 1)]),
    # The last to expire ends, by name, and by the limit of its client.
    steps([("grant", 1, 2)], [("grant", 2, 2)], [("end", 0)]),
    steps([("grant", 2, 2)], [("grant", 1, 2)], [("grant", 1, None)]),
    # What is not the last to expire is when it is renewed, and then it ends, by name and by the limit.
    steps([("grant", 1, 2)], [("grant", 2, 2)], [("refresh", 1), ("end", 1)]),
    steps([("grant", 1, 2)], [("grant", 2, 2)], [("refresh", 1), ("grant", 1, None)]),
    # The same on a seat whose row was written when the second one began.
    [
        *steps([("grant", 1, 2)]),
        (None, 700_000, [("grant", 2, 2)]),
        *steps([("refresh", 1), ("end", 1)]),
    ],
    [
        *steps([("grant", 1, 2)]),
        (None, 700_000, [("grant", 2, 2)]),
        *steps([("refresh", 1), ("grant", 1, None)]),
    ],
    # Not the last one ends on a seat that is held.
    steps([("grant", 1, 4)], [("grant", 2, 4)], [("end", 1)]),
    # Two numbers that came back are asked for at once.
    [
        *steps([("grant", 3, 6), ("grant", 4, 6)], [("end", 0), ("end", 1)]),
        (None, 61_000, [("sweep",)]),
        (None, 1000, [("grant", 3, 6), ("grant", 4, 6)]),
    ],
    # A number that a gap took is signed again before it may be given.
    [
        (None, 1_490_000, [("grant", 3, 6), ("grant", 4, 6)]),
        (None, 20_000, [("grant", 1, 6)]),
        (None, 25_000, [("grant", 1, 6)]),
    ],
    # Where fewer are signed than the administrator set, the pool is full with these.
    steps([("grant", 3, 6)], [("grant", 4, 6)], [("grant", 1, 6)]),
    # A client is denied by a limit, before its pool is full.
    steps([("grant", 1, 7)], [("grant", 2, 7)]),
    # Phone waits in line, and is at its limit when Robot asks.
    steps(
        *([("grant", key, 7)] for key in (3, 4, 1, 2)),
        [("end", 1)],
        [("grant", 1, 7)],
        [("end", 1)],
        [("grant", 3, 7)],
    ),
    # The second of two clients of a user is denied by its limit; so is one of others by what is reserved.
    steps([("grant", 1, 8), ("grant", 2, 8)], [("grant", 3, 8)], [("end", 0), ("grant", 2, 8)]),
    steps([("grant", 3, 8)], [("grant", 4, 8), ("grant", 1, 8)]),
    # Nobody who waits asks again.
    [*steps([("grant", 3, 7)], [("grant", 4, 7)], [("grant", 1, 7)]), (None, 61_000, [("sweep",)])],
)


class Decided(NamedTuple):
    """What became of a batch: the outcomes, and what is written, without the order of the rows of a kind."""

    outcomes: list[Outcome]
    written: dict[str, list[str]]


class Licence:
    """A store, and the batches that it is asked."""

    def __init__(self, place: Place) -> None:
        self._clock = place.clock
        self._store: Store = place.open()
        self._granted = 0
        with self._store.transaction() as transaction:
            add_tenant(transaction.connection, TENANT)
            add_tenant(transaction.connection, OTHER)
            trust(transaction.connection)
            texts = [
                text_of("signed", "signed", name=it[0], serial=it[1], seats=1, **it[2]) for it in LICENCES
            ]
            licences = [(*it[:2], text) for it, text in zip(LICENCES, texts, strict=True)]
            put_licences(transaction.connection, [6], licences)

    def step(self, change: Asked | None, wait_ms: int, asked: Sequence[Asked]) -> None:
        """Change the set-up, let time go by, and decide a batch twice."""
        if change is not None:
            self._change(*change)
        self._clock.advance(seconds=wait_ms / 1000)
        self._store.refresh_tenants()
        now_ms = self._clock.now_ms()
        with self._store.reading() as connection:
            everything = Everything(connection, self._store.tenants(), now_ms)
        commands = [self._command(everything, *it) for it in asked]
        with self._store.transaction(Purpose.BATCH) as transaction:
            book = transaction.load(commands)
            if isinstance(transaction, postgres_batch.Batch):
                same_by_smaller_statement(transaction, commands, self._store.tenants())
            counted = {*book.in_use}
            found = decided(book, commands, now_ms)
            # What has expired in a pool that a batch has nothing to do with may wait for another one.
            touched = concerned(everything, commands, now_ms) | counted
            whole = everything.book(
                without_expired_of=everything.pools - touched,
                without_lapsed_of=everything.pools - asked_of(everything, commands),
            )
            expected = decided(whole, commands, now_ms)
            assert found.outcomes == expected.outcomes
            for kind, rows in expected.written.items():
                assert (kind, found.written[kind]) == (kind, rows)
            transaction.save(book)

    def _change(self, kind: str, value: int) -> None:
        with self._store.transaction() as transaction:
            if kind == "life":
                change = update(schema.tenant).filter_by(id=1).values(session_ttl_s=value)
            else:
                change = update(schema.client).filter_by(key=2).values(sessions_max=value)
            transaction.connection.execute(change)
            bump(transaction.connection, TENANT.id)

    def _command(self, everything: Everything, kind: str, *what: Any) -> Command:
        if kind in {"grant", "carry"}:
            self._granted += 1
            key, pool_id, *numbers = what
            more = {"queue": pool_id == QUEUED, "assertion": used(key, *numbers) if numbers else None}
            return grant(key, self._granted, scope=SCOPE_OF_POOL[pool_id], pool_id=pool_id, **more)
        if kind == "other":
            self._granted += 1
            key, tenant_id = (11, 2) if what[0] else (UNKNOWN, 1)
            return grant(key, self._granted, scope="all", pool_id=9, tenant_id=tenant_id)
        if kind == "use":
            return used(*what)
        if kind == "sweep":
            return Sweep(sessions_max=1000)
        live = everything.live(TENANT.id)
        if what[0] >= len(live):
            return end(UNKNOWN) if kind == "end" else refresh(1, UNKNOWN)
        number, key = int.from_bytes(live[what[0]].sid), live[what[0]].client_key
        return end(number) if kind == "end" else refresh(key, number)


def decided(book: Book, commands: Sequence[Command], now_ms: int) -> Decided:
    """What the ledger makes of it, as a commit does."""
    free_expired(book, now_ms)
    outcomes = [apply(book, command, now_ms) for command in commands]
    return Decided(
        outcomes, {kind: sorted(map(repr, rows)) for kind, rows in rows_of(book)._asdict().items()}
    )


def asked_of(everything: Everything, commands: Sequence[Command]) -> set[int]:
    """The pools of which seats are asked: those of whose queues it matters who is still there."""
    if any(isinstance(it, Sweep) for it in commands):
        return everything.pools
    return {it.pool_id for it in commands if isinstance(it, Grant) and it.pool_id is not None}


def concerned(everything: Everything, commands: Sequence[Command], now_ms: int) -> set[int]:
    """The pools of which known clients ask for seats, or of which lasting seats are taken and given back."""
    if any(isinstance(it, Sweep) for it in commands):
        return everything.pools
    book = everything.book(without_expired_of=set())
    decided(book, commands, now_ms)
    moved = {
        change.seat.pool_id
        for change in book.changes
        if isinstance(change, SeatTaken)
        or (isinstance(change, SeatFreed) and change.seat.expires_at_ms > now_ms)
    }
    grants = [command for command in commands if isinstance(command, Grant) and command.client_key != UNKNOWN]
    return moved | {it.pool_id for it in grants if it.pool_id is not None}


def compare(make_place: Callable[[int], Place], examples_max: int) -> None:
    """Decide batches twice: first those of the examples, then random ones, the same at every run."""

    @settings(
        derandomize=True,
        max_examples=examples_max,
        report_multiple_bugs=False,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(taken=STEPS)
    def run(taken: Sequence[Step]) -> None:
        place = make_place(START_MS)
        try:
            licence = Licence(place)
            for step in taken:
                licence.step(*step)
        finally:
            place.close()

    for taken in EXAMPLES:
        run = example(taken=taken)(run)
    run()


@pytest.mark.parametrize(
    "examples", [5, pytest.param(200, marks=[pytest.mark.wide, pytest.mark.timeout(900)])]
)
def test_what_a_batch_needs_is_enough(
    make_place: Callable[[int], Place], monkeypatch: pytest.MonkeyPatch, examples: int
) -> None:
    """With all that the store has, a batch would have been decided, written and noted in the same way.

    Each batch of grants is loaded by the smaller statement first, also where the one before had to end one.
    """
    monkeypatch.setattr(postgres_batch, "_WHOLE_LOADS", 0)
    compare(make_place, examples)


class Omission(NamedTuple):
    """A clause that is left out, or a part of it: of `Need` itself, or where one of the stores says it."""

    attribute: str = ""  # which is empty
    method: Callable[..., object] | None = None  # instead of that of the same name
    sqlite: tuple[str, str, str] | None = None  # in a statement, by its name: a text, and another instead
    postgres: tuple[str, str, str] | None = None
    both: tuple[str, str, str] | None = None  # in a statement that both have, by one name

    def plant(self, patch: pytest.MonkeyPatch) -> None:
        """Leave it out."""
        if self.attribute:
            patch.setattr(Need, "__init__", _without(self.attribute))
        if self.method is not None:
            patch.setattr(Need, self.method.__name__, self.method)
        if self.both is not None:
            name, *texts = self.both
            for module in (sqlite_book, postgres_book):
                patch.setattr(module, name, changed(getattr(module, name), *texts))
        if self.sqlite is not None:
            name, *texts = self.sqlite
            patch.setattr(sqlite_book, name, changed(getattr(sqlite_book, name), *texts))
        if self.postgres is not None:
            name, *texts = self.postgres
            assert texts[0] in load_statements.PARTS[name]
            for statement, parts in STATEMENTS.items():
                of_statement = dict(parts)
                if name in parts and texts[0] in parts[name]:
                    of_statement[name] = changed(parts[name], *texts)
                patch.setattr(load_statements, statement, load_statements.statement_of(of_statement))


def _without(attribute: str) -> Callable[[Need, Sequence[Command], Mapping[int, Tenant]], None]:
    begin = Need.__init__

    def begin_without(need: Need, commands: Sequence[Command], tenants: Mapping[int, Tenant]) -> None:
        begin(need, commands, tenants)
        setattr(need, attribute, type(getattr(need, attribute))())

    return begin_without


def oldest(_: Need, client_key: int, live: int) -> int:
    """None."""
    return 0


def held(need: Need, _: object) -> set[SeatKey]:
    """Those of the holders that ask, and of no session."""
    return need.holders


def counted(need: Need, _: object) -> set[int]:
    """The pools that seats are asked of, and none that a session may give one back to."""
    return set(need.grants)


def earliest(need: Need, in_use: Mapping[int, int], *_: object) -> dict[int, int]:
    """One seat of each pool."""
    return dict.fromkeys(need.grants.keys() & in_use.keys(), 1)


def matter_unless(left_out: str) -> Callable[[Need, Session, Seat], bool]:
    """`Need.others_matter` without one of its three cases."""

    def others_matter(need: Need, ending: Session, seat: Seat) -> bool:
        cases = {
            "last": ending.expires_at_ms >= seat.expires_at_ms,
            "renewed": ending.sid in need.renewed,
            "on hold": ending.sid in need.ended and need.has_hold(seat.tenant_id, seat.pool_id),
        }
        return any(it for name, it in cases.items() if name != left_out)

    return others_matter


SHARING = Need.sharing


def sharing(need: Need, ending: Iterable[Session], seats: Mapping[SeatKey, Seat]) -> list[Sharing]:
    """One session of each seat."""
    return [it._replace(sessions_max=1) for it in SHARING(need, ending, seats)]


def exceeded(need: Need, counts: Counts, _: int) -> dict[int, set[str]]:
    """Nothing."""
    del need
    return {pool_id: set() for pool_id in counts}


def _explains(*_: object) -> bool:
    """Nothing."""
    return False


def waiting(*_: object) -> dict[int, set[str]]:
    """Nothing of those who wait."""
    return {}


NOTHING = "WHERE false AND"
LATER = ("AND from_ms > ", "AND false AND from_ms > ")
OMISSIONS = {
    "numbers": Omission("numbers"),
    "numbers, as many as are asked": Omission(
        sqlite=("_NUMBERS", "LIMIT ?3", "LIMIT min(1, ?3)"),
        postgres=("numbers", "LIMIT counted.numbers", "LIMIT 1"),
    ),
    "numbers, the next": Omission(sqlite=("_NUMBERS", *LATER), postgres=("numbers", *LATER)),
    "counts": Omission("counts"),
    "exceeded": Omission(method=exceeded),
    "counts of those who wait": Omission(method=waiting),
    "queues": Omission("queues"),
    "queues of a sweep": Omission(both=("_LAPSED", "WHERE", NOTHING)),
    "explained by what is counted": Omission(method=_explains),
    "renewed": Omission("renewed"),
    "ended": Omission("ended"),
    "rooms": Omission("rooms"),
    "oldest": Omission(method=oldest, postgres=("oldest", "WHERE", NOTHING)),
    "holders": Omission("holders"),
    "grants": Omission("grants"),
    "crowded": Omission("crowded"),
    "assertions": Omission("assertions"),
    "sweep": Omission(sqlite=("_SWEEP", "WHERE", NOTHING), postgres=("sweep", "WHERE", NOTHING)),
    "pools of a sweep": Omission(
        sqlite=("_SWEEP_POOLS", "WHERE in_use", "WHERE false AND in_use"),
        postgres=("sweep_pools", "AND in_use > 0", "AND false"),
    ),
    "held, of a session": Omission(
        method=held, postgres=("held", "FROM touched", "FROM touched WHERE false")
    ),
    "counted, of what ends": Omission(method=counted, postgres=("counted", "WHERE ending", "WHERE false")),
    "counted, what has expired": Omission(
        sqlite=("_COUNTED_EXPIRED", "WHERE", NOTHING), postgres=("counted_expired", "WHERE", NOTHING)
    ),
    "earliest": Omission(
        method=earliest,
        postgres=("earliest", "(SELECT count(*) FROM held WHERE pool_id = counted.id) +", f"-{SPARE} +"),
    ),
    "others matter, last": Omission(
        method=matter_unless("last"), postgres=("others_matter", "expires_at_ms >= (", "0 >= (")
    ),
    "others matter, renewed": Omission(
        method=matter_unless("renewed"), postgres=("others_matter", "OR renewed", "")
    ),
    "others matter, on hold": Omission(
        method=matter_unless("on hold"), postgres=("others_matter", "OR (ended AND", "OR (false AND")
    ),
    "sharing": Omission(method=sharing, postgres=("others_matter", "1 + count(*)", "1 + 0 * count(*)")),
}


@pytest.mark.parametrize(
    ("make_place", "left_out"),
    one_in(9, [pytest.param(kind, left_out) for kind in KINDS for left_out in OMISSIONS]),
    indirect=["make_place"],
)
def test_what_a_batch_needs_is_not_too_much(
    make_place: Callable[[int], Place],
    monkeypatch: pytest.MonkeyPatch,
    left_out: str,
) -> None:
    """Without one clause, a batch is decided in another way, or not at all."""
    OMISSIONS[left_out].plant(monkeypatch)
    # Another outcome, or a row that is missing.
    with pytest.raises((AssertionError, KeyError, ValueError, IndexError)):
        compare(make_place, 400)
