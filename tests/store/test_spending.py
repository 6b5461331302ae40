"""Assertions that are good once: what the ledger says of them, and what every store keeps (RFC 7523 3, 7)."""

import re
import threading
from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import func, select, text

from licet.journal.retention import USED_MAX, remove_used_assertions
from licet.lanes.commit import commit
from licet.ledger.book import AssertionUsed, Book
from licet.ledger.commands import AssertionUse, Command, Granted, Outcome, UseAssertion
from licet.ledger.rules import decide
from licet.setup.change import changing
from licet.setup.last_used import note_keys_used
from licet.store import schema
from licet.store.contract import Purpose, Store
from licet.store.postgres import book as postgres_book
from licet.store.postgres import one_call
from licet.store.sqlite import book as sqlite_book
from licet.store.sqlite.store import SqliteStore
from support.examples import add_tenant, client, grant, jim_test
from support.store.kinds import Place
from support.web.signing import Signer

START_MS = 1_700_000_040_000
FIRST, AGAIN = AssertionUse(is_first=True), AssertionUse(is_first=False)


@pytest.fixture
def place(make_place: Callable[[int], Place]) -> Iterator[Place]:
    """Each kind of store in turn, empty."""
    place = make_place(START_MS)
    yield place
    place.close()


@pytest.fixture
def store(place: Place) -> Store:
    """A store with two tenants."""
    store = place.open()
    with store.transaction() as transaction:
        add_tenant(transaction.connection, jim_test())
        add_tenant(
            transaction.connection,
            jim_test(id=2, name="Other", pools=(), scopes=(), clients=(client(50, "X", "XX"),)),
        )
    store.refresh_tenants()
    return store


def spend(number: int, client_key: int = 1, tenant_id: int = 1, lives_s: int = 60) -> UseAssertion:
    jti = number.to_bytes(16, "big")
    return UseAssertion(
        tenant_id=tenant_id, client_key=client_key, jti=jti, until_ms=START_MS + lives_s * 1000
    )


def do(store: Store, *commands: Command) -> list[Outcome]:
    outcomes = []
    for outcome in commit(store, commands):
        assert not isinstance(outcome, Exception), outcome
        outcomes.append(outcome)
    return outcomes


def kept(store: Store) -> int:
    with store.reading() as connection:
        rows: int = connection.execute(select(func.count()).select_from(schema.assertion_used)).scalar_one()
        return rows


def test_the_ledger_lets_the_first_in_and_nobody_after_it() -> None:
    """RFC 7523 3, 7: within a batch as well."""
    book = Book(tenants={1: jim_test()}, assertions_used=[(1, spend(7).jti)])
    outcome, changes = decide(book, spend(8), START_MS)
    assert outcome == FIRST
    assert changes == [AssertionUsed(tenant_id=1, client_key=1, jti=spend(8).jti, until_ms=spend(8).until_ms)]
    book.apply(changes)
    for used in (spend(7), spend(8)):
        assert decide(book, used, START_MS) == (AGAIN, [])
    assert decide(book, spend(7, client_key=2), START_MS)[0] == FIRST


def test_each_is_good_once_in_one_batch_and_in_the_next(store: Store) -> None:
    """RFC 7523 3, 7."""
    assert do(store, spend(1), spend(1), spend(2)) == [FIRST, AGAIN, FIRST]
    assert do(store, spend(2), spend(1), spend(3)) == [AGAIN, AGAIN, FIRST]
    assert kept(store) == 3


def test_each_client_and_tenant_has_numbers_of_its_own(store: Store) -> None:
    """RFC 7519 4.1.7: it is for the issuer to make them unique."""
    every = [spend(1), spend(1, client_key=2), spend(1, client_key=50, tenant_id=2)]
    assert do(store, *every) == [FIRST] * 3
    assert do(store, *every) == [AGAIN] * 3


def test_it_travels_with_grants_and_in_any_number(store: Store) -> None:
    """One commit for all that wait."""
    commands = [it for number in range(200) for it in (spend(number), grant(1 + number % 5, number))]
    outcomes = do(store, *commands)
    assert outcomes[::2] == [FIRST] * 200
    assert all(isinstance(it, Granted) for it in outcomes[1::2])
    assert do(store, *(spend(number) for number in range(201))) == [AGAIN] * 200 + [FIRST]


def test_what_one_node_has_taken_no_other_takes(place: Place, store: Store) -> None:
    """RFC 7523 3, 7: also of two that share a store."""
    second = place.open()
    assert do(store, spend(1)) == [FIRST]
    assert do(second, spend(1), spend(2)) == [AGAIN, FIRST]
    assert do(store, spend(2)) == [AGAIN]


def test_of_two_nodes_at_once_one_wins(place: Place, store: Store) -> None:
    """RFC 7523 3, 7: whoever asks at the same moment."""
    nodes = [store, place.open(), place.open()]
    start = threading.Barrier(len(nodes))
    answers: list[list[Outcome]] = [[] for _ in nodes]

    def run(number: int) -> None:
        start.wait()
        for jti in range(20):
            answers[number] += do(nodes[number], spend(jti))

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(nodes))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for found in zip(*answers, strict=True):
        assert sorted(found, key=str) == sorted([FIRST, AGAIN, AGAIN], key=str)


def test_it_is_forgotten_when_it_has_expired_and_no_sooner(place: Place, store: Store) -> None:
    """In pieces, so that no grant waits for long."""
    do(store, *(spend(number, lives_s=10) for number in range(USED_MAX + 5)), spend(9999, lives_s=11))
    assert remove_used_assertions(store) == 0
    place.clock.advance(seconds=10)
    assert [remove_used_assertions(store) for _ in range(3)] == [USED_MAX, 5, 0]
    assert do(store, spend(9999)) == [AGAIN]
    place.clock.advance(seconds=1)
    assert remove_used_assertions(store) == 1
    assert kept(store) == 0


def test_when_a_key_was_last_used_is_kept_without_a_new_set_up(place: Place, store: Store) -> None:
    """No server needs to look at it again."""
    key = Signer.new("ES256").key
    with changing(store, "ada") as change:
        for client_id in ("TestClientId", "Client1"):
            change.tenant("Jim_Test").add_key(client_id, key)
    store.refresh_tenants()
    version = store.setup_version
    note_keys_used(store, {(1, key.thumbprint): START_MS + 5, (99, "gone"): START_MS})
    second = place.open()
    assert second.setup_version == version
    tenant = second.tenant("Jim_Test")
    assert tenant is not None
    assert [tenant.clients[it].keys[0].last_used_at_ms for it in ("TestClientId", "Client1")] == [
        START_MS + 5,
        None,
    ]


@pytest.mark.parametrize("is_called", [False, True])
def test_one_is_found_by_its_key_however_many_there_are(store: Store, is_called: bool) -> None:
    """A batch waits for it; on PostgreSQL before its load, or in the statement that commits it."""
    with store.transaction(Purpose.UPKEEP) as transaction:
        if isinstance(store, SqliteStore):
            explain = f"EXPLAIN QUERY PLAN {sqlite_book._ASSERTIONS}" % "(1, 1, x'00'), (1, 2, x'00')"
            wanted = "SEARCH it USING PRIMARY KEY (tenant_id=? AND client_key=? AND jti=?)"
        else:
            statement = re.sub("%s", "'{1}'", postgres_book._ASSERTIONS)
            if is_called:
                statement = one_call._statement(denies=True, uses=True)[1].decode()
                statement = re.sub(r"\$\d+::(\w+\[\])", r"'{1}'::\1", statement)
                statement = re.sub(r"\$\d+::", "1::", statement)
            explain, wanted = f"EXPLAIN {statement}", "using pk_assertion_used"
        rows = transaction.connection.execute(text(explain.replace(":", r"\:")))
        plan = "\n".join(str(row) for row in rows)
    assert wanted in plan
    assert "SCAN it" not in plan
    assert "Seq Scan on assertion_used" not in plan
