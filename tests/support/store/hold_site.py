"""A pool of one seat that stays its holder's for a minute, and what a test does with it."""

from collections.abc import Iterator
from contextlib import contextmanager

from licet.ledger.commands import Denied, End, Ended, Granted
from licet.model import EndReason, NoSeatReason
from licet.setup.change import changing
from support.store.kinds import Place
from support.store.setup_site import ADA, JIM, Site

HOLD_S = 60


@contextmanager
def site_with_hold(place: Place) -> Iterator[Site]:
    """A pool of one seat with a hold of a minute, and three clients; when it ends, all adds up."""
    site = Site(place)
    site.begin(seats=1, clients=3)
    set_pool(site, hold_s=HOLD_S)
    yield site
    site.check()
    site.close()


def set_pool(site: Site, **changes: object) -> None:
    """Change the pool."""
    with changing(site.store, ADA) as change:
        change.tenant(JIM).set_pool("full", **changes)


def end(site: Site, granted: Granted, reason: EndReason = EndReason.LOGOFF) -> Ended:
    """End a session."""
    session = granted.session
    outcome = site.commit(End(tenant_id=session.tenant_id, sid=session.sid, reason=reason))
    assert isinstance(outcome, Ended)
    return outcome


def denied(site: Site, client_id: str = "c2") -> Denied:
    """Ask for a session of a client, which must be denied: the seat is in use."""
    outcome = site.ask(client_id)
    assert isinstance(outcome, Denied), outcome
    assert outcome.reason is NoSeatReason.ALL_IN_USE
    return outcome


def wait(site: Site, seconds: float) -> None:
    """Let time go by."""
    site.clock.advance(seconds=seconds)


def answered(ended: Ended) -> tuple[bool, int | None]:
    """Whether a seat came back, or in how many seconds it will."""
    return ended.seat_released, ended.seat_released_in_s
