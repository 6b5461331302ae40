"""The page of the journal has what happened to licences, and finds it."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from licet.licences.armour import armoured
from licet.setup.change import changing
from licet.setup.licences import install, trust
from support.admin.admin_site import PASSWORD, AdminSite
from support.licences.signed_pools import text_of, the_vendor, vendor_file
from support.store.kinds import SqlitePlaces
from support.store.setup_site import ADA, JIM, START_MS


@pytest.fixture
def site(sqlite_places: SqlitePlaces, tmp_path: Path) -> Iterator[AdminSite]:
    """A licence was installed, and another refused."""
    with closing(AdminSite(sqlite_places.make(tmp_path, START_MS), tmp_path)) as found:
        with changing(found.store, ADA) as change:
            trust(change, vendor_file(the_vendor()).encode())
            install(change, JIM, armoured(text_of("full", "all", seats=2)).encode())
        refused = armoured(text_of("full", "all", name="C-2", seats=2, tenant="Other"))
        found.call(
            "POST", f"/tenants/{JIM}/licences", content=refused, headers={"content-type": "text/plain"}
        )
        yield found


def page(site: AdminSite, query: str) -> str:
    """The page as ada sees it."""
    token = site.node.run(lambda: site.context.access.sign_in("ada", PASSWORD, "192.0.2.9"))
    shown = site.node.send("GET", f"/journal?{query}", headers={"cookie": f"licet={token}"})
    assert shown.status_code == 200
    return shown.text


def test_the_journal_says_what_happened_to_a_licence_and_leads_to_it(site: AdminSite) -> None:
    """By its id; and a file that was refused, with why."""
    text = page(site, "licence=C-1")
    assert "installed licence C-1" in text
    assert "was refused" not in text
    assert "/licences?tenant=Jim_Test" in text
    text = page(site, "action=refuse")
    assert "was refused a licence C-2" in text
    assert "installed licence" not in text
    assert "other_tenant: it is for tenant" in text


def test_the_form_has_a_field_for_the_licence(site: AdminSite) -> None:
    """And a chip takes the filter away."""
    text = page(site, "licence=C-1")
    assert 'name="licence"' in text
    assert 'value="C-1"' in text
