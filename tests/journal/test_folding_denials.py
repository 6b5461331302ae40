"""Denials are appended and folded later (L11): whoever reads sees each of them at once, and once."""

import random
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from sqlalchemy import func, insert, select

from licet.alerts.evaluation import look as look_for_alerts
from licet.journal.denials import DenialFilter, DenialRange, denials, denied_most
from licet.journal.folding import fold_denials
from licet.journal.history import HistoryFilter, Kind, history
from licet.journal.wants import wants
from licet.lanes.commit import commit
from licet.model import Pool
from licet.reports.overview import overview
from licet.store import schema, unfolded
from licet.store.contract import Store
from support.examples import grant, jim_test, refresh
from support.many import few
from support.store.kinds import Place
from support.store.report_site import HOUR_MS, NOON_MS, Site

MINUTE_MS = 60_000
KEY = ("tenant_id", "minute", "kind", "reason", "pool", "client_id")


@pytest.fixture
def place(make_place: Callable[[int], Place]) -> Iterator[Place]:
    """An empty store at noon."""
    place = make_place(NOON_MS)
    yield place
    place.close()


@pytest.fixture
def site(place: Place) -> Site:
    """`Jim_Test` with one seat, which `TestClientId` has."""
    site = Site(place, jim_test(pools=[Pool(id=1, name="full", seats=1)]))
    site.do(grant(1, 1))
    return site


def rows(store: Store, table: Any) -> list[dict[str, Any]]:
    """The rows of a table."""
    with store.reading() as connection:
        found = connection.execute(select(table).order_by(*table.primary_key))
        return [dict(row._mapping) for row in found]


def denied(store: Store) -> list[dict[str, Any]]:
    """The denials that are folded."""
    return [row for row in rows(store, schema.journal) if row["kind"] == "denied"]


def waiting(store: Store) -> int:
    """How many entries are not folded yet."""
    return len(rows(store, schema.denial_entry))


def total(store: Store) -> int:
    """How many denials there are, folded or not."""
    with store.reading() as connection:
        return int(connection.execute(select(func.sum(schema.whole_denials.c.times))).scalar_one() or 0)


def fold_all(store: Store) -> None:
    """Until nothing waits."""
    while fold_denials(store):
        pass


def all_denials(site: Site, limit: int = 500, **only: Any) -> list[DenialRange]:
    """All ranges, page by page."""
    found: list[DenialRange] = []
    after: str | None = None
    while True:
        with site.store.reporting() as connection:
            page = denials(connection, site.tenant, only=DenialFilter(**only), after=after, limit=limit)
        found += page.ranges
        after = page.next
        if after is None:
            return found


def everything(site: Site) -> tuple[object, ...]:
    """All that shows denials."""
    with site.store.reporting() as connection:
        return (
            denials(connection, site.tenant),
            denials(connection, site.tenant, only=DenialFilter(client="Client1", from_ms=NOON_MS + 70_000)),
            denied_most(connection, site.tenant),
            history(connection, site.tenant),
            history(connection, None, only=HistoryFilter(kinds=frozenset({Kind.DENIED}))),
            overview(connection, site.now_ms),
            wants(connection, site.tenant, NOON_MS, site.now_ms + 1, now_ms=site.now_ms),
            site.usage(NOON_MS - HOUR_MS, site.now_ms),
        )


def be_denied(site: Site, seed: int) -> int:
    """Clients are denied for some minutes, a part of that is folded; how often."""
    dice = random.Random(seed)  # noqa: S311 - an example, not a secret
    times = 0
    for number in range(12):
        keys = [dice.randrange(2, 6) for _ in range(dice.randrange(1, 6))]
        site.do(refresh(1, 1), *(grant(key, 100 * number + at) for at, key in enumerate(keys, 10)))
        times += len(keys)
        if dice.random() < 0.3:
            fold_denials(site.store, 3)
        site.clock.advance(seconds=dice.choice([1, 20, 61]))
    return times


def test_a_denial_only_appends_and_those_of_a_batch_that_are_alike_are_one_entry(site: Site) -> None:
    """With how often, and the pool at the last one."""
    site.do(grant(2, 2), grant(2, 3), grant(3, 4), grant(2, 5))
    assert denied(site.store) == []
    assert [
        (row["client_id"], row["reason"], row["pool"], row["times"], row["seats"], row["in_use"])
        for row in rows(site.store, schema.denial_entry)
    ] == [("Client1", "all_in_use", "full", 3, 1, 1), ("Client2", "all_in_use", "full", 1, 1, 1)]
    assert fold_denials(site.store) == 2
    assert waiting(site.store) == 0
    assert [(row["client_id"], row["times"], row["seats"]) for row in denied(site.store)] == [
        ("Client1", 3, 1),
        ("Client2", 1, 1),
    ]


@pytest.mark.parametrize("seed", few(range(4), 1))
def test_all_that_shows_denials_is_the_same_before_and_after_a_fold(site: Site, seed: int) -> None:
    """In whatever portions."""
    times = be_denied(site, seed)
    assert waiting(site.store) > 3
    before = everything(site)
    assert total(site.store) == times == sum(it.times for it in all_denials(site))
    while fold_denials(site.store, 2):
        assert everything(site) == before
    assert everything(site) == before
    assert total(site.store) == times


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_pages_of_denials_stay_right_across_a_fold(site: Site, limit: int) -> None:
    """Each range once, wherever its minutes are when the next page is read."""
    be_denied(site, 7)
    expected = all_denials(site)
    assert len(expected) > 3
    found: list[DenialRange] = []
    after: str | None = None
    while True:
        with site.store.reporting() as connection:
            page = denials(connection, site.tenant, after=after, limit=limit)
        found += page.ranges
        after = page.next
        if after is None:
            break
        fold_denials(site.store, 2)
    assert found == expected


def test_an_alert_sees_a_denial_at_once_and_is_not_raised_again_by_the_fold(site: Site) -> None:
    """It is evaluated every few seconds, as entries are folded."""
    with site.store.transaction() as transaction:
        transaction.connection.execute(schema.pool.update().values(alerts="denied"))
    site.do(grant(2, 2), grant(2, 3))
    look_for_alerts(site.store)
    told = rows(site.store, schema.alert)
    assert [(row["threshold"], row["told_times"]) for row in told] == [("denied", 2)]
    site.clock.advance(seconds=5)
    fold_all(site.store)
    look_for_alerts(site.store)
    assert rows(site.store, schema.alert) == told


def counted_at_once(dice: random.Random, at_ms: int) -> dict[str, Any]:
    """A row of the journal as a node of 0.2.0 writes it."""
    return {
        "tenant_id": 1,
        "minute": at_ms // MINUTE_MS,
        "kind": "denied",
        "reason": "all_in_use",
        "pool": "full",
        "client_id": dice.choice(["c1", "c2"]),
        "initials": dice.choice(["TC", "C1"]),
        "times": 1,
        "first_at_ms": at_ms,
        "last_at_ms": at_ms,
        "seats": dice.randrange(9),
        "in_use": dice.randrange(9),
        "address": f"192.0.2.{dice.randrange(256)}",
    }


def take_in(model: dict[tuple[Any, ...], dict[str, Any]], row: dict[str, Any]) -> None:
    """Count these in their row, which is as the last of all found the pool."""
    key = tuple(row[name] for name in KEY)
    before = model.get(key, row)
    model[key] = (row if row["last_at_ms"] >= before["last_at_ms"] else before) | {
        "times": row["times"] + (before["times"] if before is not row else 0),
        "first_at_ms": min(row["first_at_ms"], before["first_at_ms"]),
    }


@pytest.mark.parametrize("seed", few(range(6), 2))
def test_beside_a_node_that_counts_them_at_once_a_row_is_as_the_last_of_all(site: Site, seed: int) -> None:
    """A node of 0.2.0, or one that finds too many waiting, writes a row that is newer than what waits."""
    dice = random.Random(seed)  # noqa: S311 - an example, not a secret
    model: dict[tuple[Any, ...], dict[str, Any]] = {}
    for number in range(40):
        row = counted_at_once(dice, NOON_MS + number * 3000)
        with site.store.transaction() as transaction:
            connection = transaction.connection
            same = [schema.journal.c[name] == row[name] for name in KEY]
            if dice.random() < 0.3 and not connection.execute(select(schema.journal).where(*same)).all():
                connection.execute(insert(schema.journal).values(row))
            else:
                row["times"] = dice.randrange(1, 4)
                entry = {name: row[name] for name in row if name in schema.denial_entry.c}
                connection.execute(insert(schema.denial_entry).values(at_ms=row["last_at_ms"], **entry))
        take_in(model, row)
        if dice.random() < 0.2:
            fold_denials(site.store, dice.choice([1, 3, 100]))
        ranges = [(it.client_id, it.times) for it in all_denials(site)]
        assert sum(times for _, times in ranges) == sum(it["times"] for it in model.values())
    shown = {(it.client_id, it.last_at_ms): (it.seats, it.in_use, it.address) for it in all_denials(site)}
    fold_all(site.store)
    assert {tuple(row[name] for name in KEY): row for row in denied(site.store)} == model
    assert shown == {
        (it.client_id, it.last_at_ms): (it.seats, it.in_use, it.address) for it in all_denials(site)
    }


def test_two_fold_at_once_while_clients_are_denied_and_each_denial_is_seen_once(
    place: Place, site: Site
) -> None:
    """Two nodes, and somebody who looks after each commit."""
    over, faults = threading.Event(), list[Exception]()

    def fold(store: Store) -> None:
        try:
            while not over.is_set():
                fold_denials(store, 2)
        except Exception as fault:  # noqa: BLE001 - whatever it is
            faults.append(fault)

    folding = [threading.Thread(target=fold, args=(place.open(),)) for _ in range(2)]
    for thread in folding:
        thread.start()
    asked = 0
    for number in range(30):
        commands = [grant(key, 10 * number + key) for key in (2, 3, 2, 4)]
        assert not [it for it in commit(site.store, commands) if isinstance(it, Exception)]
        asked += len(commands)
        assert total(site.store) == asked
    over.set()
    for thread in folding:
        thread.join()
    assert not faults
    fold_all(site.store)
    assert sum(row["times"] for row in denied(site.store)) == asked


def deny(site: Site, numbers: Sequence[int]) -> None:
    """One batch for each number."""
    for number in numbers:
        site.do(grant(2, number), grant(3, number))


def test_where_too_many_wait_denials_are_counted_at_once_until_some_are_folded(
    place: Place, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is not filled though nobody folds, and no denial is lost: one row for each client a minute."""
    monkeypatch.setattr(unfolded, "UNFOLDED_MAX", 20)
    monkeypatch.setattr(unfolded, "LOOK_AFTER", 4)
    site.store = place.open()
    deny(site, range(100, 150))
    assert 20 <= waiting(site.store) <= 24
    assert [row["client_id"] for row in denied(site.store)] == ["Client1", "Client2"]
    assert total(site.store) == 100
    assert sorted((it.client_id, it.times) for it in all_denials(site)) == [("Client1", 50), ("Client2", 50)]
    fold_all(site.store)
    deny(site, [200])
    assert waiting(site.store) == 2
    assert total(site.store) == 102


def test_entries_of_a_tenant_that_is_gone_are_dropped(site: Site) -> None:
    """They would be of nobody."""
    site.do(grant(2, 2))
    with site.store.transaction() as transaction:
        transaction.connection.execute(schema.denial_entry.update().values(tenant_id=99))
    assert fold_denials(site.store) == 1
    assert (denied(site.store), waiting(site.store)) == ([], 0)
