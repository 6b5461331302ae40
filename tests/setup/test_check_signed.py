"""What `licet check` finds of signed licences: ends to come, graces, and what gives no seats."""

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import update

from licet.setup.change import changing
from licet.setup.check import check
from licet.setup.licences import distrust, install, trust
from licet.store import schema
from support.licences.signed_pools import file_of, text_of, the_vendor, vendor_file
from support.store.kinds import Place
from support.store.setup_site import ADA, JIM, START_MS, Site

NOW_S = START_MS // 1000
DAY_S = 86_400


@pytest.fixture
def site(make_place: Callable[[int], Place]) -> Iterator[Site]:
    """A tenant whose vendor is trusted, and whose pool has all the seats that are signed."""
    site = Site(make_place(START_MS))
    site.begin(clients=1)
    with changing(site.store, ADA) as change:
        change.tenant(JIM).set_client("c1", introspects=True)
        change.tenant(JIM).set_pool("full", seats=None)
        trust(change, vendor_file(the_vendor()).encode())
    yield site
    site.close()


def put(site: Site, days: int | None = None, **members: object) -> None:
    """Install a licence of 5 seats that ends in so many days."""
    end = {} if days is None else {"exp": NOW_S + days * DAY_S}
    with changing(site.store, ADA) as change:
        install(change, JIM, file_of(text_of("full", "all", **({"seats": 5} | end | members))))  # type: ignore[arg-type]


def found(site: Site, days: float = 0) -> list[tuple[bool, str, str, str]]:
    """What is found after so many days: whether it is wrong, code, target and problem."""
    site.clock.advance(seconds=days * DAY_S)
    site.store.probe()
    site.store.refresh_tenants()
    with site.store.reading() as connection:
        findings = check(connection, site.store.tenants(), site.clock.now_ms())
    return [(it.is_wrong, it.code.value, it.target, it.problem) for it in findings if "c1" not in it.target]


def test_seats_that_end_are_found_in_time_in_the_grace_and_after_it(site: Site) -> None:
    """A hint, while there is time; then wrong."""
    put(site, 40, grace=2 * DAY_S)
    assert found(site) == []
    ends = "at 22:14 UTC; its grace ends on 2023-12-26 at 22:14 UTC, then 0 of 5 seats are left"
    assert found(site, 10) == [
        (False, "seats_expire", "pool full", f"licence C-1 expires on 2023-12-24 {ends}")
    ]
    assert found(site, 31) == [
        (True, "licence_in_grace", "pool full", f"licence C-1 expired on 2023-12-24 {ends}")
    ]
    assert found(site, 2) == [
        (
            True,
            "seats_expired",
            "pool full",
            "licence C-1 expired on 2023-12-24 at 22:14 UTC; 0 of 5 seats are left",
        )
    ]


def test_what_a_renewal_makes_up_for_is_not_found(site: Site) -> None:
    put(site, 5)
    assert [code for _, code, *_ in found(site)] == ["seats_expire"]
    put(site, 400, serial=2)
    assert found(site) == []
    assert found(site, 6) == []


def test_seats_that_are_lost_beside_others_are_a_hint_for_a_month(site: Site) -> None:
    put(site, 5)
    put(site, name="B", seats=2)
    assert found(site, 6) == [
        (
            False,
            "seats_expired",
            "pool full",
            "licence C-1 expired on 2023-11-19 at 22:14 UTC; 2 of 7 seats are left",
        )
    ]
    assert found(site, 30) == []


def test_a_row_that_was_changed_and_a_vendor_that_is_not_trusted_are_told_apart(site: Site) -> None:
    put(site)
    put(site, name="B")
    with site.store.transaction() as transaction:
        row = schema.licence.c
        transaction.connection.execute(update(schema.licence).where(row.licence == "B").values(text="x"))
    assert found(site) == [
        (True, "licence_not_counted", "licence B", "serial 1 gives no seats: its text was changed")
    ]
    with changing(site.store, ADA) as change:
        distrust(change, "acme", "jim2-api")
    assert [(is_wrong, code, target) for is_wrong, code, target, _ in found(site)] == [
        (True, "licence_not_counted", "licence B"),
        (True, "licence_not_counted", "licence C-1"),
    ]
    assert found(site)[1][3] == "serial 1 gives no seats: vendor acme is not trusted for jim2-api"


def test_a_serial_that_was_replaced_is_not_found(site: Site) -> None:
    """It gives no seats anyway."""
    put(site)
    put(site, serial=2)
    with site.store.transaction() as transaction:
        first = schema.licence.c.serial == 1
        transaction.connection.execute(update(schema.licence).where(first).values(text="x"))
    assert found(site) == []
