"""Stores that grant and renew again without a book are beside one that never does: they answer the same."""

import random
from collections.abc import Iterator, Sequence
from contextlib import closing

import pytest
from msgspec.structs import replace

from licet.ledger.commands import Command, Grant, Refresh
from licet.model import Pool
from support.examples import (
    BY_USER,
    CLIENTS,
    FULL,
    end,
    grant,
    jim_test,
    refresh,
    used,
    view,
)
from support.ledger.asking import without_standings
from support.ledger.repeating import counted_again
from support.many import few
from support.store.alike import are_alike
from support.store.kinds import Place, SqlitePlaces
from support.store.store_site import START_MS, begin, do


@pytest.fixture
def repeated(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many sessions are granted or renewed again from now on, of each commit in which some are."""
    return counted_again(monkeypatch)


@pytest.mark.parametrize("seed", few(range(30), 1))
@pytest.mark.parametrize(
    "pool",
    [FULL, BY_USER, replace(FULL, hold_s=30), replace(BY_USER, hold_s=30), replace(FULL, max_per_user=2)],
)
def test_stores_that_grant_again_answer_as_one_that_never_does(  # noqa: PLR0917 - fixtures
    place: Place,
    sqlite_places: SqlitePlaces,
    tmp_path_factory: pytest.TempPathFactory,
    repeated: list[int],
    pool: Pool,
    seed: int,
) -> None:
    """L2, L4, L5, L6, L8, L11: two stores in turns, with ends, limits and time."""
    draw = random.Random(seed)  # noqa: S311 - a story, no secret
    tenant = jim_test(
        pools=(replace(pool, seats=3),), clients=[replace(it, sessions_max=12) for it in CLIENTS[:5]]
    )
    first = begin(place, tenant)
    stores = [first, place.open()]
    with closing(sqlite_places.make(tmp_path_factory.mktemp("plain"), START_MS)) as beside:
        plain = without_standings(begin(beside, tenant))
        for step, asked in enumerate(_story(draw)):
            at = 1 if step % 40 > 34 else 0
            assert do(stores[at], *asked) == do(plain, *asked), step
            seconds = draw.choice([0, 0, 0, 0, 0, 0, 1, 1, 10, 200])
            for clock in (place.clock, beside.clock):
                clock.advance(seconds=seconds)
            if step % 10 == 9:
                are_alike(first, plain, place.clock.now_ms())
        are_alike(first, plain, place.clock.now_ms())
    assert sum(repeated) > 3 or pool.max_per_user  # where a grant needs a book each time


def _story(draw: random.Random) -> Iterator[Sequence[Command]]:
    """Batches of grants, mostly of the same few clients; a batch with an end is that alone.

    Some carry an assertion, of which some were used before.

    A client asks once in a batch: of sessions that begin in the same millisecond, either may count as older.
    """
    begun: dict[int, int] = {}
    share = draw.choice([0.85, 0.3])  # of grants, of what is asked
    for number in range(0, 600, 4):
        if draw.random() < 0.05 and begun:
            yield [end(draw.choice([*begun][-8:]))]
            continue
        batch: list[Grant | Refresh] = []
        for at in range(draw.choice([1, 1, 2, 3])):
            if draw.random() < share or not begun:
                asking = draw.choice([1, 1, 1, 2, 2, 3])
                if any(command.client_key == asking for command in batch):
                    continue
                begun[number + at] = asking
                make = view if draw.random() < 0.2 else grant
                asked: Grant | Refresh = make(begun[number + at], number + at)
            else:
                named = draw.choice([*begun][-8:])
                asked = refresh(begun[named], named, *(["all"] if draw.random() < 0.05 else []))
            # Each of three assertions is sent again by somebody, now or later.
            carried = used(asked.client_key, draw.choice([number + at] * 3 + [draw.randrange(number + 1)]))
            asked = replace(asked, assertion=carried if draw.random() < 0.3 else None)
            batch.append(replace(asked, address=f"192.0.2.{draw.choice([1] * 9 + [asked.client_key])}"))
        yield batch
