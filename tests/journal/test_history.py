"""What happened: the journal and what administrators did, merged, newest first, in pages that stay right."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from licet.journal.history import By, EventEntry, HistoryFilter, HistoryPage, JournalEntry, Kind, history
from licet.journal.refusals import Failure, FailureKey, write_refusals
from licet.model import Pool
from licet.setup.change import changing
from licet.store.paging import InvalidCursor, write_cursor
from support.examples import add_tenant, client, end, grant, jim_test, view
from support.store.kinds import Place
from support.store.report_site import NOON_MS, Site
from support.store.store_site import folded


@pytest.fixture
def site(make_place: Callable[[int], Place]) -> Iterator[Site]:
    """`Jim_Test` and `Other` at noon, where this and that happens."""
    place = make_place(NOON_MS)
    site = Site(place, jim_test(pools=[Pool(id=1, name="full", seats=1)]))
    other = jim_test(
        id=2,
        name="Other",
        pools=[Pool(id=2, name="full", seats=1)],
        clients=[client(20, "TestClientId", "TC")],
    )
    with site.store.transaction() as transaction:
        add_tenant(transaction.connection, other)
    site.do(grant(1, 1), grant(2, 2), view(3, 3), grant(20, 20, tenant_id=2, pool_id=2))
    with changing(site.store, "ada") as change:
        change.tenant("Jim_Test").set_pool("full", seats=2)
    site.clock.advance(seconds=1)
    site.do(grant(2, 4), grant(3, 5), grant(3, 6))
    site.clock.advance(seconds=60)
    with changing(site.store, "key deploy") as change:
        change.tenant("Jim_Test").set_client("Client1", enabled=False)
    site.clock.advance(seconds=60)
    site.do(end(1))
    yield site
    place.close()


def look(
    site: Site, after: str | None = None, limit: int = 50, by: By = By.FIRST, **only: object
) -> HistoryPage:
    """A page of what happened in `Jim_Test`."""
    wanted = HistoryFilter(**only)  # type: ignore[arg-type]
    with site.store.reporting() as connection:
        return history(connection, site.tenant, only=wanted, by=by, after=after, limit=limit)


def told(page: HistoryPage) -> list[str]:
    """What happened, in words."""
    return [_words(it) for it in page.entries]


def _words(happened: JournalEntry | EventEntry) -> str:
    if isinstance(happened, EventEntry):
        return f"{happened.actor} {happened.action} {happened.target}"
    return f"{happened.client_id} {happened.kind} {happened.reason} {happened.times}".replace("  ", " ")


ALL_OF_IT = [
    "TestClientId ended logoff 1",
    "Client1 ended disabled 1",
    "key deploy set client Client1",
    "Client2 denied all_in_use 2",
    "Client1 granted 1",
    "TestClientId granted 1",
    "Client2 granted 1",
    "ada set pool full",
    "Client1 denied all_in_use 1",
]


def test_the_journal_and_events_are_one_list_the_newest_first(site: Site) -> None:
    """With all that is known of each."""
    page = look(site)
    found = told(page)
    assert found[:2] == ["TestClientId ended logoff 1", "key deploy set client Client1"] or set(
        found[:3]
    ) == set(ALL_OF_IT[:3])
    assert sorted(found) == sorted(ALL_OF_IT)
    instants = [entry.at_ms if isinstance(entry, EventEntry) else entry.first_at_ms for entry in page.entries]
    assert instants == sorted(instants, reverse=True)
    assert page.next is None
    denied = next(it for it in page.entries if isinstance(it, JournalEntry) and it.times == 2)
    assert (denied.tenant, denied.pool, denied.initials, denied.seats, denied.in_use) == (
        "Jim_Test",
        "full",
        "C2",
        2,
        2,
    )
    assert denied.first_at_ms == denied.last_at_ms == NOON_MS + 1000


@pytest.mark.parametrize("limit", [1, 2, 4])
def test_pages_tell_each_entry_once_while_new_ones_come(site: Site, limit: int) -> None:
    """Also those of one millisecond, and where an old entry counts one more."""
    expected = told(look(site))
    page = look(site, limit=limit)
    found = told(page)
    for number in range(100):
        if page.next is None:
            break
        site.do(view(4, 1000 + number))
        page = look(site, page.next, limit)
        found += told(page)
    assert found == expected


@pytest.mark.parametrize("limit", [1, 2, 4])
@pytest.mark.parametrize("is_folded", [False, True])
def test_by_the_last_time_each_entry_is_once_on_the_pages(site: Site, limit: int, *, is_folded: bool) -> None:
    """Each as late as its last time, also where some wait to be folded into a row of the same minute."""
    site.do(grant(2, 7))
    site.clock.advance(seconds=5)
    folded(site.store)
    site.do(grant(3, 8), view(3, 9))
    site.clock.advance(seconds=5)
    site.do(grant(2, 10))
    if is_folded:
        folded(site.store)
    pages = [look(site, limit=limit, by=By.LAST)]
    while pages[-1].next is not None:
        pages.append(look(site, pages[-1].next, limit, by=By.LAST))
    entries = [entry for page in pages for entry in page.entries]
    assert {len(page.entries) for page in pages[:-1]} == {limit}
    assert sorted(map(_words, entries)) == sorted(told(look(site)))
    instants = [it.at_ms if isinstance(it, EventEntry) else it.last_at_ms for it in entries]
    assert instants == sorted(instants, reverse=True)


def test_filters_leave_what_was_asked_for(site: Site) -> None:
    """By kind, reason, pool, client, user, actor and time."""
    granted = look(site, kinds=frozenset({Kind.GRANTED}))
    assert sorted(told(granted)) == ["Client1 granted 1", "Client2 granted 1", "TestClientId granted 1"]
    denied = look(site, kinds=frozenset({Kind.DENIED}))
    assert told(denied) == ["Client2 denied all_in_use 2", "Client1 denied all_in_use 1"]
    both = look(site, kinds=frozenset({Kind.ENDED, Kind.EVENT}))
    assert len(both.entries) == 4
    assert told(look(site, reason="logoff")) == ["TestClientId ended logoff 1"]
    assert told(look(site, actor="ada")) == ["ada set pool full"]
    assert "key deploy set client Client1" in told(look(site, client="Client1"))
    assert {it.split()[0] for it in told(look(site, user="C2"))} == {"Client2"}
    of_pool = told(look(site, pool="full"))
    assert "ada set pool full" in of_pool
    assert "Client2 granted 1" not in of_pool  # by `view`, which needs none
    late = look(site, from_ms=NOON_MS + 121_000)
    assert told(late) == ["TestClientId ended logoff 1"]
    early = told(look(site, until_ms=NOON_MS + 1000))
    assert len(early) == 4
    assert look(site, client="nobody").entries == ()


def test_all_tenants_are_told_together_for_who_may_see_them(site: Site) -> None:
    """With the name of each, also in pages."""
    with site.store.reporting() as connection:
        whole = history(connection, None)
        assert {it.tenant for it in whole.entries} == {"Jim_Test", "Other"}
        assert len(whole.entries) == len(ALL_OF_IT) + 1
        found: list[JournalEntry | EventEntry] = []
        after = None
        while True:
            page = history(connection, None, after=after, limit=2)
            found += page.entries
            if (after := page.next) is None:
                break
        assert found == list(whole.entries)
    with site.store.reporting() as connection:
        other = site.store.tenant("Other")
        assert told(history(connection, other)) == ["TestClientId granted 1"]


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "x",
        "W10",
        "WzEsMl0",
        "\N{SNOWMAN}",
        "A" * 2000,
        write_cursor(10**30, "event", "", "", "", 1),
        write_cursor(-(10**30), "event", "", "", "", 1),
        write_cursor(1, "denied", "a\0", "", "", 1),
    ],
)
def test_a_cursor_that_is_none_is_refused(site: Site, cursor: str) -> None:
    """It comes from outside."""
    with pytest.raises(InvalidCursor):
        look(site, cursor)


@pytest.mark.parametrize("at_ms", [-(2**62), -1, 2**45, 2**62])
def test_a_cursor_of_no_page_of_ours_harms_no_store(site: Site, at_ms: int) -> None:
    """Its numbers are taken as they are: what is before or behind all pages is all or nothing."""
    for kind in ("event", "denied"):
        found = look(site, write_cursor(at_ms, kind, "", "", "", 2**62))
        assert bool(found.entries) == (at_ms > 0)


def test_what_was_done_to_a_tenant_before_of_the_same_name_is_not_its_own(site: Site) -> None:
    """Events outlive a tenant, for who sees all; the next of this name may be another customer's."""
    with changing(site.store, "ada") as change:
        change.remove_tenant("Jim_Test")
        change.add_tenant("Jim_Test", seats=1)
    site.store.refresh_tenants()
    tenant = site.store.tenant("Jim_Test")
    with site.store.reporting() as connection:
        own, every = history(connection, tenant), history(connection, None)
    assert all(it.startswith("ada add ") for it in told(own))
    assert "key deploy set client Client1" not in told(own)
    assert "key deploy set client Client1" in told(every)


def fail(site: Site, name: str = "Client1", **changed: Any) -> None:
    """An authentication failed, as the server writes it."""
    at_ms = site.clock.now_ms()
    key = FailureKey(site.tenant.id, at_ms // 60_000, "client", "wrong_secret", name)._replace(**changed)
    write_refusals(site.store, {key: Failure("C1" if name else "", 2, at_ms, at_ms, "192.0.2.7")}, [])


def test_failed_authentications_stand_among_the_others(site: Site) -> None:
    """By their first instant in a minute, with their cause; pages tell each once."""
    for _ in range(3):
        fail(site)
        fail(site, cause="expired_secret")
        fail(site, tenant_id=2)
        site.clock.advance(seconds=60)
        site.do(grant(1, site.clock.now_ms() // 1000))
        fail(site, name="")
    expected = told(look(site))
    assert len(expected) == len(ALL_OF_IT) + 3 * 4
    assert expected.count("Client1 failed wrong_secret 2") == expected.count(" failed wrong_secret 2") == 3
    for limit in (1, 2, 5):
        page = look(site, limit=limit)
        found = told(page)
        while page.next is not None:
            page = look(site, page.next, limit)
            found += told(page)
        assert found == expected
    assert len(look(site, kinds=frozenset({Kind.FAILED})).entries) == 9
    assert len(look(site, kinds=frozenset({Kind.FAILED}), reason="expired_secret").entries) == 3
    assert look(site, kinds=frozenset({Kind.FAILED}), pool="full").entries == ()
    assert look(site, kinds=frozenset({Kind.FAILED}), until_ms=NOON_MS).entries == ()


def test_failures_of_no_tenant_and_of_administrators_are_in_the_list_of_all(site: Site) -> None:
    """Of administrators where they are asked for."""
    fail(site, name="", tenant_id=0, cause="unknown_tenant")
    fail(site, name="ada", tenant_id=0, who="administrator")

    def failed(**only: Any) -> list[tuple[str, str, str]]:
        wanted = HistoryFilter(kinds=frozenset({Kind.FAILED}), **only)
        with site.store.reporting() as connection:
            page = history(connection, None, only=wanted)
        return sorted(
            (entry.tenant, entry.who, entry.client_id)
            for entry in page.entries
            if isinstance(entry, JournalEntry)
        )

    assert look(site, kinds=frozenset({Kind.FAILED})).entries == ()
    assert failed() == [("", "client", "")]
    assert failed(with_administrators=True) == [("", "administrator", "ada"), ("", "client", "")]
