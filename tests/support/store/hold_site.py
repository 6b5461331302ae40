"""A store with a pool of one seat and a hold of a minute, and actions of a test on it."""

from collections.abc import Iterator
from contextlib import contextmanager

from licet.ledger.commands import Denied, End, Ended, Granted
from licet.model import EndReason, NoSeatReason
from licet.setup.change import changing
from support.store.filling_again import filled
from support.store.kinds import Place
from support.store.setup_site import ADA, JIM, Site

HOLD_S = 60


@contextmanager
def site_with_hold(place: Place) -> Iterator[Site]:
    """A pool of one seat with a hold of a minute, and three clients; it must be consistent at the end."""
    site = Site(place)
    filled(site.store, site.clock.now_ms(), "a hold", lambda: _begin(site))
    yield site
    site.check()
    site.close()


def _begin(site: Site) -> None:
    site.begin(seats=1, clients=3)
    set_pool(site, hold_s=HOLD_S)


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
    """A grant of a client, which must be denied because the seat is in use."""
    outcome = site.ask(client_id)
    assert isinstance(outcome, Denied), outcome
    assert outcome.reason is NoSeatReason.ALL_IN_USE
    return outcome


def wait(site: Site, seconds: float) -> None:
    """Let time pass."""
    site.clock.advance(seconds=seconds)


def answered(ended: Ended) -> tuple[bool, int | None]:
    """Whether the seat was released, and in how many seconds it will be."""
    return ended.seat_released, ended.seat_released_in_s
