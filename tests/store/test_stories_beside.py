"""Stores that remember are beside one that remembers nothing, while all changes on which that depends.

Batches mix grants, refreshes, ends and sweeps; two stores take turns; a third one changes the set-up, as the
command line does; and transactions are lost at their end.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from itertools import product
from typing import Any, NamedTuple

import pytest
from msgspec.structs import replace

from licet.lanes import commit as committing
from licet.lanes.commit import apply_all
from licet.ledger.commands import Command, Outcome, Sweep
from licet.model import Pool, Tenant, TokenFormat
from licet.options import Group, Share
from licet.setup.change import changing
from licet.setup.tenant import TenantSetup
from licet.store import schema
from licet.store.contract import Purpose, Store
from licet.store.postgres import memory as postgres_memory
from licet.store.sqlite.memory import Memory
from licet.store.sqlite.store import SqliteStore
from support.examples import (
    ALL,
    BY_USER,
    CLIENTS,
    EACH,
    FULL,
    VIEW,
    client,
    end,
    grant,
    jim_test,
    refresh,
    view,
)
from support.ledger.repeating import counted_again
from support.many import few
from support.store.alike import are_alike
from support.store.kinds import Place, SqlitePlaces
from support.store.store_site import START_MS, Undone, begin, do, rows

# The users of the first two have two clients each.
SHARING = (*CLIENTS[:3], client(4, "Phone", "TC"), client(5, "Tablet", "C1"))
OTHER = Pool(id=2, name="other", seats=2)
EITHER = replace(ALL, name="either", pool="full", other_pools=("other",))
SWEEP = Sweep(sessions_max=1000)
LOST = "lost"  # a transaction that is rolled back when all is decided
LIFE_S = 1200  # of a session; one that outlives its hold, and a hold that outlives a session
KINDS: Sequence[tuple[Pool, dict[str, Any]]] = (
    (FULL, {}),
    (BY_USER, {}),
    (replace(BY_USER, hold_s=30), {}),
    (replace(BY_USER, hold_s=2 * LIFE_S), {}),
    (replace(FULL, hold_s=2 * LIFE_S), {}),
    (BY_USER, {"token_format": TokenFormat.JWT, "access_ttl_s": 60}),
    (FULL, {"session_ttl_s": 60, "access_ttl_s": 60}),
    (replace(FULL, max_per_user=2, queue=5), {}),
    (replace(FULL, reserve=(Share(who="group:desk", seats=1),), max=(Share(who="user:TC", seats=1),)), {}),
    (replace(BY_USER, queue=5, max=(Share(who="group:desk", seats=1),), hold_s=30), {}),
    (replace(EACH, queue=4, max_per_user=2, reserve=(Share(who="user:TC", seats=1),)), {}),
)

Change = Callable[[TenantSetup], object]


class _Forgetful(Memory):
    """Remembers nothing: before all that needs it, it forgets."""

    def recall(self, *_: Any) -> None:
        """Nothing."""
        self.forget()

    def repeat(self, *_: Any) -> tuple[()]:
        """Nothing."""
        self.forget()
        return ()


class Beside(NamedTuple):
    """A store that remembers nothing, and what the others decide out of turn: first what is granted again."""

    plain: Store
    again: list[Sequence[bool]]

    def do(self, store: Store, commands: Sequence[Command]) -> tuple[list[Outcome], list[Outcome]]:
        """What a store decides, and what is decided here in the same order."""
        self.again.clear()
        found = do(store, *commands)
        again = self.again[-1] or [False] * len(commands)
        order = sorted(range(len(commands)), key=lambda at: not again[at])
        decided = dict(zip(order, do(self.plain, *[commands[at] for at in order]), strict=True))
        return found, [decided[at] for at in range(len(commands))]


@pytest.fixture
def again(monkeypatch: pytest.MonkeyPatch) -> list[Sequence[bool]]:
    """Which of the commands are granted again, of each transaction from now on."""
    found: list[Sequence[bool]] = []
    decide = committing._repeated

    def repeated(*given: Any) -> Any:
        kept, others = decide(*given)
        found.append([it is not None for it in kept])
        return kept, others

    monkeypatch.setattr(committing, "_repeated", repeated)
    return found


@pytest.mark.parametrize(
    ("is_calm", "kind", "seed"), few(product((True, False), range(len(KINDS)), range(3)), 2)
)
def test_stores_that_remember_decide_as_one_that_does_not(  # noqa: PLR0917 - fixtures
    place: Place,
    sqlite_places: SqlitePlaces,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    again: list[Sequence[bool]],
    kind: int,
    seed: int,
    *,
    is_calm: bool,
) -> None:
    """L2, L4 to L6, L8, L16 to L20: the answers, and who has which seat until when."""
    repeated = counted_again(monkeypatch)
    # Else a node that takes turns with another one remembers a tenant in a few of forty batches only.
    monkeypatch.setattr(postgres_memory, "TURNS", 1)
    draw = random.Random(f"{is_calm} {kind} {seed}")  # noqa: S311 - a story, no secret
    tenant = _tenant(draw, *KINDS[kind])
    first = begin(place, tenant)
    stores, command_line = [first, place.open()], place.open()
    with closing(sqlite_places.make(tmp_path_factory.mktemp("plain"), START_MS)) as there:
        beside = Beside(begin(there, tenant), again)
        assert isinstance(beside.plain, SqliteStore)
        beside.plain._memory = _Forgetful()
        for step, event in enumerate(_story(draw, is_calm=is_calm)):
            store = stores[step % 40 > 34]
            if event == LOST:
                _lose(store, step)
            elif callable(event):
                for changed in (command_line, beside.plain):
                    _change(changed, event)
            else:
                found, wanted = beside.do(store, event)
                assert found == wanted, step
            seconds = draw.choice([0, 0, 0, 0, 0, 0, 1, 1, *([1] * 9 if is_calm else []), 10, 31, 200])
            for clock in (place.clock, there.clock):
                clock.advance(seconds=seconds)
            if step % 20 == 19:  # An expired seat is given back when somebody loads its pool, or by a sweep.
                beside.do(store, [SWEEP])
                are_alike(first, beside.plain, place.clock.now_ms())
                _each_session_has_its_seat(first, place.clock.now_ms())
    assert repeated or not is_calm or tenant.options


def _tenant(draw: random.Random, pool: Pool, settings: dict[str, Any]) -> Tenant:
    return jim_test(
        pools=(replace(pool, seats=draw.choice([1, 2, 3])), OTHER),
        groups=(Group(name="desk", users=frozenset({"TC", "C2"}), clients=frozenset({"Client1"})),),
        scopes=(VIEW, ALL, EITHER),
        clients=[replace(it, sessions_max=draw.choice([2, 3, 12])) for it in SHARING],
        **settings,
    )


def _lose(store: Store, step: int) -> None:
    with suppress(Undone), store.transaction(Purpose.BATCH) as transaction:
        apply_all(transaction, [grant(1, 5000 + step), grant(2, 6000 + step)])
        raise Undone


def _change(store: Store, change: Change) -> None:
    with changing(store, "a test") as setup:
        change(setup.tenant("Jim_Test"))


def _each_session_has_its_seat(store: Store, now_ms: int) -> None:
    seats = {(it.pool_id, it.holder) for it in rows(store, schema.seat)}
    for it in rows(store, schema.session):
        assert it.pool_id is None or it.expires_at_ms <= now_ms or (it.pool_id, it.holder) in seats
    for pool in rows(store, schema.pool):
        assert pool.in_use == len([key for key in seats if key[0] == pool.id])


def _story(draw: random.Random, *, is_calm: bool) -> Iterator[Any]:
    """Batches, changes of the set-up, and transactions that are lost; where it is calm, fewer and smaller."""
    begun: dict[int, int] = {}  # the clients of the sessions
    share = draw.choice([0.85, 0.3])  # of grants
    for number in range(0, 800, 6):
        kind = draw.random()
        if kind < (0.02 if is_calm else 0.04):
            yield _some_change(draw)
        elif kind < (0.03 if is_calm else 0.07):
            yield LOST
        else:
            sizes = [1, 1, 1, 2] if is_calm else [1, 1, 2, 3, 4]
            yield _batch(draw, begun, share, range(number, number + draw.choice(sizes)))


def _some_change(draw: random.Random) -> Change:
    name, at = draw.choice(SHARING).client_id, draw.randrange(4)

    def disable(tenant: TenantSetup) -> None:
        for enabled in (False, True):
            tenant.set_client(name, enabled=enabled)

    changes: Sequence[Change] = (
        disable,
        lambda tenant: tenant.set_pool("full", seats=at + 1),
        lambda tenant: tenant.set_pool("full", hold_s=(0, 0, 30, 2 * LIFE_S)[at]),
        lambda tenant: tenant.set(session_ttl_s=(60, 600, LIFE_S, 2 * LIFE_S)[at], access_ttl_s=60),
        lambda tenant: tenant.set_client(name, sessions_max=(1, 2, 3, 12)[at]),
    )
    return draw.choice(changes)


def _batch(draw: random.Random, begun: dict[int, int], share: float, numbers: range) -> list[Command]:
    """A client asks once in a batch: of sessions of the same millisecond, either may count as older."""
    batch: dict[object, Command] = {}
    for at in numbers:
        kind = draw.random()
        named = draw.choice([*begun][-8:]) if begun else None
        if kind < 0.06 and named is not None:
            batch[at] = end(named, client_key=draw.choice([None, begun[named]]))
        elif kind < 0.08:
            batch[at] = SWEEP
        elif named is None or draw.random() < share:
            asking = draw.choice([1, 1, 1, 2, 2, 3, 4, 4, 5])
            if ("grant", asking) not in batch:
                begun[at] = asking
                batch["grant", asking] = _grant(draw, asking, at)
        else:
            scope = ["all"] if draw.random() < 0.05 else []
            batch[at] = replace(refresh(begun[named], named, *scope), address=_address(draw, begun[named]))
    return [*batch.values()]


def _grant(draw: random.Random, asking: int, number: int) -> Command:
    kind = draw.random()
    if kind < 0.15:
        asked = view(asking, number)
    elif kind < 0.25:
        asked = grant(asking, number, scope="either", other_pool_ids=(OTHER.id,))
    else:
        asked = grant(asking, number, queue=draw.random() < 0.5)
    return replace(asked, address=_address(draw, asking))


def _address(draw: random.Random, key: int) -> str:
    return f"192.0.2.{draw.choice([1] * 9 + [key])}"
