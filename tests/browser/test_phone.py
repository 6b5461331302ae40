"""On a phone, and in a usual window, no part of a table lies beyond the edge of the screen."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import expect

from licet.alerts.evaluation import look
from licet.credentials.generated import ClientSecrets
from support.admin.browser import WIDE, Browser
from support.admin.dashboard import DashboardSite
from support.licences.licensed_site import DAY_S, days, put, signed, trust_vendor
from support.web.signing import Signer

HERE = "?tenant=Jim_Test"
PHONE = (390, 844)
DAY_MS = 86_400_000
LONG = "Kauri_Timber_and_Joinery_Holdings"
PAGES = {
    "overview-all": "/",
    "seats": f"/seats{HERE}",
    "seats-all": "/seats",
    "denials": f"/denials{HERE}",
    "failures": f"/failures{HERE}",
    "usage": f"/usage{HERE}",
    "true-up": f"/usage/true-up{HERE}",
    "idle": f"/usage/idle{HERE}",
    "costs": f"/usage/costs{HERE}&price=120000",
    "what-if": f"/usage/what-if{HERE}&pool=full&seats=1&hold_s=60s",
    "export": f"/usage/export{HERE}",
    "licences": f"/licences{HERE}",
    "licences-none": f"/licences?tenant={LONG}",
    "journal": "/journal",
    "alerts": "/alerts",
    "tenants": "/set-up/tenants",
    "pools": f"/set-up/pools{HERE}",
    "scopes": f"/set-up/scopes{HERE}",
    "users": f"/set-up/users{HERE}",
    "groups": f"/set-up/groups{HERE}",
    "pool": f"/set-up/pools/edit{HERE}&name=full",
    "clients": f"/set-up/clients{HERE}",
    "client": f"/set-up/clients/edit{HERE}&name=TestClientId",
    "client-page": f"/client{HERE}&name=Client2",
    "user-page": f"/user{HERE}&name=C2",
    "search": "/search?q=c",
    "administrators": "/set-up/administrators",
    "webhooks": "/set-up/webhooks",
}
# What is wider than the place that it is scrolled in, also where it is to be opened first.
BEYOND = """
[...document.querySelectorAll(".scroll")]
  .filter((it) => it.scrollWidth > it.clientWidth + 1)
  .map((it) => `${it.getAttribute("aria-label")}: ${it.scrollWidth} in ${it.clientWidth}`)
"""

OPENED = "for (const it of document.querySelectorAll('main .figures')) it.open = true"
UNNAMED = """
[...document.querySelectorAll("table.cards tbody td:not([data-label])")]
  .filter((it) => it.textContent.trim() && !it.querySelector(".button, button, input"))
  .map((it) => it.textContent.trim())
"""
COVERED = """
[...document.querySelectorAll("table.cards [data-label]")]
  .filter((it) => parseFloat(getComputedStyle(it, "::before").width)
    > parseFloat(getComputedStyle(it).paddingInlineStart))
  .map((it) => it.dataset.label)
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DashboardSite]:
    """Long names, a licence that ends and one that has ended, denials, alerts, a secret and a key."""
    with DashboardSite(tmp_path_factory.mktemp("site"), manual_clock=True) as site:
        now_ms = site.clock.now_ms()
        with site.changing() as change:
            tenant = change.tenant("Jim_Test")
            tenant.set_user("C2", name="Emma-Louise Featherstonehaugh")
            tenant.add_pool("stock-control", seats=2, expires_at_ms=now_ms + 2 * DAY_MS)
            tenant.add_scope("stock", pool="stock-control")
            tenant.set_pool("full", seats=2)
            tenant.add_secret("TestClientId", ClientSecrets(b"p" * 32).generate(), now_ms + 40 * DAY_MS)
            tenant.add_key("TestClientId", Signer.new("ES256").key, now_ms + 400 * DAY_MS)
            change.add_tenant(LONG, seats=3)
            change.tenant(LONG).set_pool("full", expires_at_ms=now_ms - DAY_MS)
        for client_id in ("Client1", "Client2", "Client3", "Client4"):
            site.take(client_id)
        site.take("Client5", scope="stock")
        for client_id in ("Client2", "Client3"):
            site.ask("Jim_Test/token", client_id, "wrong", grant_type="client_credentials")
        trust_vendor(site)
        more: dict[str, Any] = {"seats": 1, "exp": days(site, 20), "grace": 9 * DAY_S}
        put(site, "Jim_Test", signed(seats=1), signed(name=f"{LONG}.emergency", **more))
        with site.store() as store:
            look(store)
        yield site


USUAL = ("usage", "clients")
"""What `make test` opens: a report and a page of cards; the others are for `make test-wide`."""


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, id=name, marks=() if name in USUAL else pytest.mark.wide)
        for name, path in PAGES.items()
    ],
)
def test_no_table_is_wider_than_the_screen_and_a_row_on_a_phone_names_its_cells(
    browser: Browser, site: DashboardSite, path: str
) -> None:
    """Every cell of a card, but for those that hold a button or a mark to choose it; the name covers nothing.

    The last page is that of a phone.
    """
    with browser.person(site, "ada", timezone_id="Pacific/Auckland") as page:
        for width, height in (WIDE, PHONE):
            page.set_viewport_size({"width": width, "height": height})
            page.goto(f"{site.admin_url}{path}")
            expect(page.locator("h1")).to_be_visible()
            page.evaluate(OPENED)
            assert page.evaluate(BEYOND) == [], width
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert page.evaluate(UNNAMED) == []
        assert page.evaluate(COVERED) == []


@pytest.mark.wide
def test_a_long_name_leaves_its_place_to_the_mark_that_chooses_it(
    browser: Browser, site: DashboardSite
) -> None:
    """The mark stands in the line of the name, at its end."""
    with browser.person(site, "ada", size=PHONE) as page:
        page.goto(f"{site.admin_url}/seats{HERE}")
        row = page.locator("tbody", has=page.get_by_text("Emma-Louise"))
        mark, name = row.get_by_role("checkbox").bounding_box(), row.locator(".person").bounding_box()
        assert mark is not None
        assert name is not None
        assert name["y"] <= mark["y"] + mark["height"] / 2 <= name["y"] + name["height"]
        assert name["x"] + name["width"] <= mark["x"]


@pytest.mark.wide
def test_the_tab_that_is_open_and_its_neighbours_are_all_on_a_phone(
    browser: Browser, site: DashboardSite
) -> None:
    with browser.person(site, "ada", size=PHONE) as page:
        page.goto(f"{site.admin_url}/set-up/administrators")
        for link in page.get_by_role("navigation", name="Parts of the set-up").get_by_role("link").all():
            box = link.bounding_box()
            assert box is not None
            assert box["x"] + box["width"] <= PHONE[0]


@pytest.mark.wide
def test_the_word_before_a_field_stands_in_its_line(browser: Browser, site: DashboardSite) -> None:
    """Date and time of an end wrap together with what they are called."""
    with browser.person(site, "ada", size=PHONE) as page:
        page.goto(f"{site.admin_url}/set-up/pools/edit{HERE}&name=stock-control")
        for label in ("Date", "Time"):
            word, field = (
                page.get_by_text(label, exact=True).bounding_box(),
                page.get_by_label(label).bounding_box(),
            )
            assert word is not None
            assert field is not None
            assert field["y"] <= word["y"] + word["height"] / 2 <= field["y"] + field["height"]
