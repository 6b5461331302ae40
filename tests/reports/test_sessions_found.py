"""Live sessions by the begin of their ids."""

from collections.abc import Callable, Iterator

import pytest

from licet.reports.sessions_found import is_prefix, sessions_that_begin
from support.examples import end, grant, jim_test, sid
from support.store.kinds import Place
from support.store.report_site import NOON_MS, Site


@pytest.fixture
def site(make_place: Callable[[int], Place]) -> Iterator[Site]:
    """`Jim_Test` at noon, with three sessions."""
    place = make_place(NOON_MS)
    site = Site(place, jim_test())
    site.do(grant(1, 1), grant(2, 2), grant(3, 0xABCDEF))
    yield site
    place.close()


def found(site: Site, prefix: str, tenant_id: int | None = None, limit: int = 20) -> list[str]:
    """Whose sessions begin with this."""
    with site.store.reporting() as connection:
        rows = sessions_that_begin(connection, prefix, site.now_ms, tenant_id=tenant_id, limit=limit)
    assert all(row.tenant == "Jim_Test" and row.session.sid.startswith(prefix.lower()) for row in rows)
    return [row.session.client_id for row in rows]


def test_a_prefix_of_any_length_finds_what_begins_with_it(site: Site) -> None:
    """Also of an odd number of digits, and in capitals."""
    whole = sid(0xABCDEF).hex()
    for chars in (35, 36, 39, 40):
        assert found(site, whole[:chars]) == ["Client2"], chars
    assert found(site, whole.upper()) == ["Client2"]
    assert found(site, whole[:10]) == ["TestClientId", "Client1", "Client2"]
    assert found(site, whole[:10], limit=2) == ["TestClientId", "Client1"]


def test_it_is_bound_to_a_tenant_and_to_what_is_alive(site: Site) -> None:
    whole = sid(1).hex()
    assert found(site, whole, tenant_id=1) == ["TestClientId"]
    assert found(site, whole, tenant_id=2) == []
    site.do(end(1))
    assert found(site, whole) == []
    site.clock.advance(seconds=1300)
    assert found(site, sid(2).hex()) == []


@pytest.mark.parametrize(
    "text", ["", "abcde", "x" * 8, "0" * 41, "%00000", "\N{ARABIC-INDIC DIGIT ZERO}" * 8, "0x00000"]
)
def test_what_is_no_begin_of_an_id_finds_nothing(site: Site, text: str) -> None:
    """Too short is none either."""
    assert not is_prefix(text)
    assert found(site, text) == []
