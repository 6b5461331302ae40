"""The fault harness reads in a store which rows upkeep has to clear away, to fold or to remove."""

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import update

from chaos.checks.upkeep import DUE
from chaos.site.plans import ASKER
from chaos.site.upkeep import (
    AHEAD_S,
    OLD,
    SID_BYTES,
    leads,
    look,
    plant_expired_session,
    plant_old_rows,
    watch_upkeep,
)
from licet.journal.folding import fold_denials, fold_journal
from licet.journal.retention import remove_aged, remove_used_assertions
from licet.ledger.commands import Sweep
from licet.model import Pool
from licet.store import schema
from licet.store.postgres.store import PostgresStore
from licet.units import DAY_MS
from support.examples import CLIENTS, client, grant, jim_test, sid
from support.store.kinds import Place
from support.store.report_site import NOON_MS, Site
from support.waiting import PATIENCE_S, until

LIFE_S = 1200
ALL = frozenset(DUE)


@pytest.fixture
def place(make_place: Callable[[int], Place]) -> Iterator[Place]:
    """An empty store at noon."""
    place = make_place(NOON_MS)
    yield place
    place.close()


@pytest.fixture
def site(place: Place) -> Site:
    """Client 1 has the only seat, client 2 waits for it, and old rows are planted."""
    pool = Pool(id=1, name="full", seats=1, queue=2)
    site = Site(place, jim_test(pools=[pool], clients=(*CLIENTS, client(99, ASKER, "API"))))
    site.do(grant(1, 1), grant(2, 2, queue=True))
    plant_old_rows(site.store)
    return site


def due(site: Site, after_s: float = 0.0) -> dict[str, list[str]]:
    """The rows that are due then, by their tables."""
    now_ms, backlogs = look(site.store, site.now_ms + round(after_s * 1000))
    assert now_ms == site.now_ms
    assert {backlog.table for backlog in backlogs} == ALL
    assert all(backlog.rows == len(backlog.oldest) for backlog in backlogs)
    return {it.table: [row.name for row in it.oldest] for it in backlogs if it.rows}


def do_upkeep(site: Site) -> None:
    """Do what the leader does."""
    site.do(Sweep(sessions_max=10))
    remove_used_assertions(site.store)
    remove_aged(site.store, 400 * DAY_MS)
    while fold_journal(site.store) + fold_denials(site.store):
        pass


def test_all_that_is_due_is_found_until_upkeep_is_done(site: Site) -> None:
    """L4, L11, L19."""
    old = OLD.encode().hex()
    entries = {"journal_entry": ["TestClientId"], "denial_entry": ["Client1"]}
    planted = {"assertion_used": [old], "authentication_failure": [OLD]}
    assert due(site) == entries | planted
    site.clock.advance(seconds=LIFE_S)
    expired = {
        "session": [sid(1).hex()],
        "seat": ["client:TestClientId"],
        "queue_place": ["client:Client1"],
    }
    assert due(site) == entries | planted | expired
    do_upkeep(site)
    assert due(site) == {}


def test_what_upkeep_has_done_is_counted(site: Site) -> None:
    """Also what it did before the first look."""
    site.clock.advance(seconds=LIFE_S)
    do_upkeep(site)
    _, backlogs = look(site.store, site.now_ms)
    assert {it.table: it.done for it in backlogs if it.done} == {
        "assertion_used": 1,
        "authentication_failure": 1,
        "journal_entry": 2,
        "denial_entry": 1,
    }


def test_what_has_not_expired_is_not_due(site: Site) -> None:
    """Nor what will have by then, if it is asked for another moment."""
    do_upkeep(site)
    site.clock.advance(seconds=LIFE_S - 1)
    assert {*due(site)} == {"queue_place"}
    assert {*due(site, after_s=1)} == {"queue_place", "session", "seat"}


def test_a_seat_of_a_live_session_is_not_due_whatever_its_row_says(site: Site) -> None:
    """L4: the row may be behind its sessions."""
    do_upkeep(site)
    with site.store.transaction() as transaction:
        transaction.connection.execute(update(schema.seat).values(expires_at_ms=site.now_ms))
    assert due(site) == {}


def test_a_session_that_is_planted_at_the_end_of_a_run_is_cleared_away(site: Site) -> None:
    """L4: so there is always one to clear away."""
    do_upkeep(site)
    plant_expired_session(site.store)
    assert due(site) == {"session": [bytes(SID_BYTES).hex()]}
    site.do(Sweep(sessions_max=10))
    assert due(site) == {"journal_entry": [ASKER]}
    do_upkeep(site)
    assert due(site) == {}


def test_the_harness_gives_up_when_the_time_is_over(site: Site) -> None:
    """And keeps what is left, for the checker."""
    site.clock.advance(seconds=LIFE_S)
    watched = watch_upkeep(site.store, within_s=-AHEAD_S)
    assert {it.table for it in watched.left if it.rows} == ALL
    assert watched.due_ms == site.now_ms + AHEAD_S * 1000


def test_who_has_the_lock_is_the_leader_once_its_connection_is_old_enough(site: Site) -> None:
    """On SQLite every server leads, and there is no lock."""
    is_by_lock = isinstance(site.store, PostgresStore)
    assert leads(site.store, 0) is not is_by_lock
    site.store.watch()
    until(lambda: leads(site.store, 0))
    assert leads(site.store, DAY_MS) is not is_by_lock


def test_the_harness_looks_no_longer_than_until_nothing_is_left(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long upkeep might take."""
    monkeypatch.setattr("chaos.site.upkeep.STEADY_S", 0)
    site.store.watch()
    site.clock.advance(seconds=LIFE_S)
    do_upkeep(site)
    watched = watch_upkeep(site.store, within_s=PATIENCE_S)
    assert watched.is_led
    assert not any(it.rows for it in watched.left)
