"""The nodes: each writes that it is there, and those that are not are forgotten."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from licet.clock import wall_ms
from licet.credentials.keyring import new_keyring
from licet.store.contract import Store
from licet.store.migrate import HEAD
from licet.store.nodes import (
    FORGOTTEN_AFTER_MS,
    SILENT_AFTER_MS,
    Node,
    is_silent,
    key_marks,
    note_node,
    read_nodes,
    remove_node,
    signing_mark,
    store_now_ms,
)
from support.server.running import RunningServer
from support.store.kinds import Place, TurnedClock

START_MS = 1_700_000_000_000
KEYRING = new_keyring(START_MS).rotated(START_MS, signs_after_ms=3_600_000)


@pytest.fixture
def place(make_place: Callable[[int], Place]) -> Iterator[Place]:
    """Each kind of store in turn, empty."""
    place = make_place(START_MS)
    yield place
    place.close()


@pytest.fixture
def clock(place: Place) -> TurnedClock:
    return place.clock


@pytest.fixture
def store(place: Place) -> Store:
    return place.open()


def node(number: int, **changes: Any) -> Node:
    values: dict[str, Any] = {
        "id": f"{number:016x}",
        "name": f"licence{number}:8080",
        "version": "0.2.0",
        "schema": HEAD,
        "url": "https://licence.example.com",
        "token_keys": key_marks(KEYRING),
        "pepper": "77aa90b1",
    }
    return Node(**values | changes)


def nodes(store: Store) -> list[Node]:
    with store.reading() as connection:
        return read_nodes(connection)


def wall(*told_ms: int) -> Callable[[], int]:
    """A wall clock that tells these, one after the other."""
    return iter(told_ms).__next__


def test_what_a_node_tells_is_read(store: Store, clock: TurnedClock) -> None:
    note_node(store, node(1), clock.now_ms)
    assert nodes(store) == [node(1, started_at_ms=START_MS, seen_at_ms=START_MS)]


def test_it_is_seen_again_and_what_changed_is_kept(store: Store, clock: TurnedClock) -> None:
    note_node(store, node(1), clock.now_ms)
    clock.advance(seconds=5)
    changed = node(1, token_keys=key_marks(KEYRING.pruned(START_MS)), url="https://elsewhere.example.com")
    note_node(store, changed, clock.now_ms)
    (found,) = nodes(store)
    assert found.url == "https://elsewhere.example.com"
    assert (found.started_at_ms, found.seen_at_ms) == (START_MS, START_MS + 5000)


def test_a_node_that_stops_is_no_more(store: Store, clock: TurnedClock) -> None:
    for number in (1, 2):
        note_node(store, node(number), clock.now_ms)
    remove_node(store, node(1).id)
    assert [it.name for it in nodes(store)] == ["licence2:8080"]


def test_a_node_that_is_not_heard_of_is_silent_and_then_forgotten(store: Store, clock: TurnedClock) -> None:
    note_node(store, node(1), clock.now_ms)
    (found,) = nodes(store)
    assert not is_silent(found, START_MS + SILENT_AFTER_MS)
    assert is_silent(found, START_MS + SILENT_AFTER_MS + 1)
    clock.advance(seconds=FORGOTTEN_AFTER_MS / 1000)
    note_node(store, node(2), clock.now_ms)
    assert len(nodes(store)) == 2
    clock.advance(seconds=0.001)
    note_node(store, node(2), clock.now_ms)
    assert [it.name for it in nodes(store)] == ["licence2:8080"]


def test_a_node_that_was_killed_is_forgotten_when_it_starts_again(store: Store, clock: TurnedClock) -> None:
    note_node(store, node(1), clock.now_ms)
    clock.advance(seconds=1)
    again = node(2, name=node(1).name)
    note_node(store, again, clock.now_ms)
    assert len(nodes(store)) == 2  # They may be two machines of one name.
    clock.advance(seconds=SILENT_AFTER_MS / 1000)
    note_node(store, again, clock.now_ms)
    assert [it.id for it in nodes(store)] == [again.id]


@pytest.mark.parametrize(
    ("before_ms", "after_ms", "skew_ms"),
    [(0, 0, 0), (-3, 4000, 0), (1500, 1600, 1500), (-1600, -1500, -1500)],
)
def test_only_so_much_of_a_skew_is_told_as_is_certain(
    store: Store, before_ms: int, after_ms: int, skew_ms: int
) -> None:
    """Its wall clock is read before and after the store's: the transaction may have had to wait."""
    note_node(store, node(1), wall(START_MS + before_ms, START_MS + after_ms))
    assert [it.skew_ms for it in nodes(store)] == [skew_ms]


def test_the_mark_of_the_key_that_signs_is_that_of_the_keyring() -> None:
    marks = key_marks(KEYRING)
    for now_ms in (0, START_MS, START_MS + 500, START_MS + 3_599_999, START_MS + 3_600_000):
        assert signing_mark(marks, now_ms).id == KEYRING.signing(now_ms).id


def test_no_key_is_in_a_mark() -> None:
    for mark, key in zip(key_marks(KEYRING), KEYRING.token_keys, strict=True):
        assert len(mark.fingerprint) == 8
        assert mark.fingerprint not in key.key.hex()


def test_the_clock_of_a_store_can_be_asked_by_a_statement(store: Store) -> None:
    """A database's is its own, which the test has set; a file's is the machine's."""
    with store.reading() as connection:
        now_ms = store_now_ms(connection)
    assert now_ms == START_MS if store.differences.many_machines else abs(now_ms - wall_ms()) < 1000 * 60


def test_a_server_is_a_node_from_before_it_listens_until_it_stops(tmp_path: Path) -> None:
    with RunningServer(tmp_path) as server:
        with server.store() as store:
            (found,) = nodes(store)
            assert found.name.endswith(server.url.rpartition(":")[2])
            assert found.url == server.url
        server.terminate()
        with server.store() as store:
            assert nodes(store) == []
