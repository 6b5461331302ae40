"""A file of licences that is refused is an event: who sent it, and why it was refused."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import select

from licet.journal.history import EventEntry, HistoryFilter, history
from licet.licences.armour import armoured
from licet.licences.errors import LicenceRefused
from licet.setup.change import changing
from licet.setup.consequences import attempt
from licet.setup.licences import install, trust
from licet.setup.refused_events import REFUSED_MAX, WITHIN_MS
from licet.store import schema
from licet.store.errors import SetupError
from support.licences.signed_pools import text_of, the_vendor, vendor_file
from support.licences.vendors import TestVendor
from support.store.kinds import Place
from support.store.setup_site import ADA, JIM, START_MS, Site


@pytest.fixture
def site(make_place: Callable[[int], Place]) -> Iterator[Site]:
    """A tenant whose vendor is trusted."""
    made = Site(make_place(START_MS))
    made.begin()
    with changing(made.store, ADA) as change:
        trust(change, vendor_file(the_vendor()).encode())
    yield made
    made.close()


def refuse(site: Site, content: bytes, tenant: str = JIM) -> None:
    """Send a file that is refused."""
    with pytest.raises((LicenceRefused, SetupError)), changing(site.store, ADA) as change:
        install(change, tenant, content)


def refused(site: Site) -> list[tuple[str, str, str, str]]:
    """Who was refused what, and why."""
    row = schema.event.c
    query = (
        select(row.actor, row.tenant, row.target, row.detail).where(row.action == "refuse").order_by(row.id)
    )
    with site.store.reading() as connection:
        return [(it.actor, it.tenant, it.target, it.detail) for it in connection.execute(query)]


def file_of(**members: Any) -> bytes:
    """A licence that is right, but for these members."""
    return armoured(text_of("full", "all", **({"seats": 2} | members))).encode()


def test_a_refused_file_is_an_event_that_says_of_which_licence_and_why(site: Site) -> None:
    """By whom, and in which tenant; the set-up is as it was, and what is no licence has no name."""
    version = site.version()
    refuse(site, file_of(tenant="Other", name="C-7"))
    refuse(site, b"hello")
    refuse(site, armoured(TestVendor().sign()).encode())
    refuse(site, armoured(text_of("other", "all", seats=2)).encode())
    codes = [
        (actor, tenant, target, detail.partition(":")[0]) for actor, tenant, target, detail in refused(site)
    ]
    assert codes == [
        (ADA, JIM, "licence C-7", "other_tenant"),
        (ADA, JIM, "licence", "not_a_licence"),
        (ADA, JIM, "licence C-1", "unknown_key"),
        (ADA, JIM, "licence C-1", "not_found"),
    ]
    assert (site.version(), site.rows(schema.licence)) == (version, [])


def test_a_file_that_is_refused_while_it_is_only_looked_at_is_an_event_as_well(site: Site) -> None:
    """A page shows first what it would do."""

    def change_it(work: Callable[[Any], None]) -> None:
        with changing(site.store, ADA) as change:
            work(change)

    with pytest.raises(LicenceRefused):
        attempt(change_it, lambda change: install(change, JIM, b""), agrees=lambda _: False)
    assert len(refused(site)) == 1
    attempt(change_it, lambda change: install(change, JIM, file_of()), agrees=lambda _: False)
    assert len(refused(site)) == 1


def test_a_flood_of_refused_files_does_not_fill_the_store(site: Site) -> None:
    """So many an hour of a tenant; the last one says so, and the next hour begins anew."""
    with changing(site.store, ADA) as change:
        change.add_tenant("Other", seats=1)
    for _ in range(REFUSED_MAX + 3):
        refuse(site, b"x" * 1000)
    found = refused(site)
    assert len(found) == REFUSED_MAX
    assert [detail.endswith("; others of this hour are not recorded") for *_, detail in found] == [
        *[False] * (REFUSED_MAX - 1),
        True,
    ]
    refuse(site, b"x", "Other")
    assert len(refused(site)) == REFUSED_MAX + 1
    site.clock.advance(seconds=WITHIN_MS // 1000)
    refuse(site, b"x")
    assert len(refused(site)) == REFUSED_MAX + 2


def test_the_journal_finds_the_events_of_a_licence_and_those_of_one_kind(site: Site) -> None:
    """With what happened to it, and no grants."""
    site.grant("c1")
    with changing(site.store, ADA) as change:
        install(change, JIM, file_of())
    refuse(site, file_of(seats=3))
    refuse(site, file_of(name="C-2", tenant="Other"))

    def found(**only: Any) -> list[tuple[str, str]]:
        with site.store.reading() as connection:
            entries = history(connection, None, only=HistoryFilter(**only)).entries
        return [(it.action, it.target) for it in entries if isinstance(it, EventEntry)]

    assert found(licence="C-1") == [("refuse", "licence C-1"), ("install", "licence C-1")]
    assert found(action="refuse") == [("refuse", "licence C-2"), ("refuse", "licence C-1")]
    assert found(action="trust") == [("trust", "vendor acme")]
    assert found(licence="C-1", action="install") == [("install", "licence C-1")]
    with site.store.reading() as connection:
        assert len(history(connection, None, only=HistoryFilter(licence="C-1")).entries) == 2
