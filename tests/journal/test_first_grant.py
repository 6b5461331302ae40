"""The first token that was granted, as pages that wait for it read it."""

from collections.abc import Callable, Iterator

import pytest

from licet.journal.first_grant import FirstGrant, first_grant, grant_lately
from licet.journal.folding import fold_journal
from licet.model import Pool
from support.examples import end, grant, jim_test, view
from support.store.kinds import Place
from support.store.report_site import HOUR_S, NOON_MS, Site


@pytest.fixture
def place(make_place: Callable[[int], Place]) -> Iterator[Place]:
    """An empty store at noon."""
    place = make_place(NOON_MS)
    yield place
    place.close()


@pytest.fixture
def site(place: Place) -> Site:
    """`Jim_Test` with one seat."""
    return Site(place, jim_test(pools=[Pool(id=1, name="full", seats=1)]))


def first(site: Site, tenant_id: int = 1) -> FirstGrant | None:
    with site.store.reading() as connection:
        return first_grant(connection, tenant_id)


def lately(site: Site, key: int) -> FirstGrant | None:
    with site.store.reading() as connection:
        return grant_lately(connection, 1, site.tenant.clients_by_key[key].client_id, site.now_ms)


def test_the_first_grant_stays_the_first_whether_it_is_folded_or_not(site: Site) -> None:
    """L11: an entry is in one of two tables, and later ones come after it."""
    assert first(site) is None
    one, two = (site.tenant.clients_by_key[key].client_id for key in (1, 2))
    site.do(view(2, 1))
    granted = FirstGrant(client_id=two, at_ms=NOON_MS)
    assert first(site) == granted
    site.clock.advance(seconds=90)
    site.do(grant(1, 2))
    assert first(site) == granted
    while fold_journal(site.store):
        pass
    site.clock.advance(seconds=90)
    site.do(end(2), grant(1, 3))
    assert first(site) == granted
    assert lately(site, 1) == FirstGrant(client_id=one, at_ms=NOON_MS + 90_000)
    assert first(site, tenant_id=2) is None


def test_a_denial_is_no_grant(site: Site) -> None:
    """The client of a full pool still waits for its first token."""
    site.do(grant(1, 1), grant(2, 2))
    assert lately(site, 1) is not None
    assert lately(site, 2) is None


def test_a_grant_of_hours_ago_is_not_of_late(site: Site) -> None:
    """A page that waits says what happened while somebody looks at it."""
    site.do(view(1, 1))
    site.clock.advance(seconds=2 * HOUR_S)
    assert lately(site, 1) is None
    assert first(site) is not None
