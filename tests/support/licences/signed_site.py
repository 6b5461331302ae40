"""A store with a trusted vendor, and licences for the pool `full` of its tenant."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from licet.ledger.commands import Denied
from licet.setup.change import SetupChange, changing
from licet.setup.licences import install, trust
from licet.store import schema
from support.licences.signed_pools import file_of, text_of, the_vendor, vendor_file
from support.store.filling_again import filled
from support.store.hold_site import set_pool
from support.store.kinds import Place
from support.store.setup_site import ADA, JIM, Site

HOLD_S = 60


@contextmanager
def signed_site(place: Place, *, seats: int | None = 10) -> Iterator[Site]:
    """A site with three clients, a pool without hold and a trusted vendor; checks the tables at the end."""
    site = Site(place)
    filled(site.store, site.clock.now_ms(), ("a vendor", seats), lambda: _begin(site, seats))
    yield site
    site.check()
    site.close()


def _begin(site: Site, seats: int | None) -> None:
    site.begin(seats=1)
    set_pool(site, hold_s=0, seats=seats)
    with changing(site.store, ADA) as change:
        trust(change, vendor_file(the_vendor()).encode())


def licence(**members: Any) -> str:
    """A licence of two seats, or with other members of the pool."""
    return text_of("full", "all", **({"seats": 2, "hold": HOLD_S} | members))


def put(site: Site, *texts: str) -> SetupChange:
    """Install these licences from one file."""
    with changing(site.store, ADA) as change:
        install(change, JIM, file_of(*texts))
    site.store.refresh_tenants()
    return change


def denied(site: Site, client_id: str) -> Denied:
    """Request a session of a client, which must be denied."""
    outcome = site.ask(client_id)
    assert isinstance(outcome, Denied), outcome
    return outcome


def numbers(site: Site) -> dict[str, int]:
    """The seat number of each holder."""
    return {row.holder.partition(":")[2]: row.number for row in site.rows(schema.seat)}
