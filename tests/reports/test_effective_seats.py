"""What reports say of the seats of a signed pool: those that are signed, whatever somebody typed."""

from collections.abc import Callable, Iterator

import pytest

from licet.licences.armour import armoured
from licet.reports.live import seats
from licet.reports.overview import overview
from licet.setup.change import changing
from licet.setup.licences import install, trust
from support.licences.signed_pools import text_of, the_vendor, vendor_file
from support.store.hold_site import set_pool, site_with_hold
from support.store.kinds import Place
from support.store.setup_site import ADA, JIM, START_MS, Site


@pytest.fixture
def site(make_place: Callable[[int], Place]) -> Iterator[Site]:
    """Ten seats were typed; two are signed, and one of overdraft, until a minute from now."""
    with site_with_hold(make_place(START_MS)) as made:
        set_pool(made, hold_s=0, seats=10)
        text = text_of("full", "all", seats=2, overdraft=1, hold=60, exp=START_MS // 1000 + 60)
        with changing(made.store, ADA) as change:
            trust(change, vendor_file(the_vendor()).encode())
            install(change, JIM, armoured(text).encode())
        made.store.refresh_tenants()
        yield made


def test_a_report_has_the_seats_that_are_signed_at_its_time(site: Site) -> None:
    """Then none; overdraft is not overuse."""
    for client in ("c1", "c2", "c3"):
        site.grant(client)
    tenant = site.store.tenant(JIM)
    assert tenant is not None
    with site.store.reading() as connection:
        for at_ms, expected in ((START_MS, (2, 0)), (START_MS + 60_000, (0, 0))):
            [live] = seats(connection, tenant, at_ms).pools
            assert (live.seats, live.overuse) == expected
            [shown] = overview(connection, at_ms, known=site.store.tenant).tenants[0].pools
            assert (shown.seats, shown.overuse) == expected
            assert shown.overdraft == (1 if at_ms == START_MS else 0)
            assert shown.points[-1].seats == expected[0]
