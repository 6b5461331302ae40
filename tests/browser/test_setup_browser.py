"""The set-up and the reports in a real Chromium: a denial is read, a pool is widened, a client is let in."""

import csv
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest
from msgspec.structs import replace
from playwright.sync_api import expect

from licet.alerts import webhooks
from licet.credentials.generated import ClientSecrets
from support.admin.browser import Browser
from support.admin.dashboard import DashboardSite
from support.many import few
from support.web.signing import Signer

HERE = "?tenant=Jim_Test"
ODD = "تطبيق المخزن"
LONG = "scanner-of-the-northernmost-storage-hall-" * 3


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DashboardSite]:
    """Five clients hold the five seats, a sixth was refused; names of every kind; an alert's webhook."""
    # Time stands still: what is told of an hour is not of another one by the time it is read.
    with DashboardSite(tmp_path_factory.mktemp("site"), manual_clock=True) as site:
        with site.changing() as change:
            tenant = change.tenant("Jim_Test")
            tenant.add_pool("mobile", seats=2, expires_at_ms=1_927_584_000_000)
            tenant.add_scope("orders", pool="mobile")
            tenant.add_user("AR", name="ليلى المنصوري")
            for client_id in (ODD, LONG):
                tenant.add_client(client_id, user="AR", scopes=frozenset({"view"}))
            tenant.add_client("Signs", ClientSecrets(b"pepper").generate(), user="AR")
            tenant.add_key("Signs", replace(Signer.new("ES256").key, kid="2026-11"), 1_927_584_000_000)
            tenant.add_key("Signs", Signer.new("RS256").key)
            change.add_tenant("Empty", seats=0)
        with site.store() as store, webhooks.changing(store, "ada") as change:
            change.add("https://example.com/alerts", tenant_id=None)
        for number in range(1, 6):
            site.take(f"Client{number}").raise_for_status()
        assert site.take("Client6").status_code == 400
        yield site


@pytest.mark.wide
def test_a_denial_is_read_with_who_held_the_seats(browser: Browser, site: DashboardSite) -> None:
    with browser.person(site) as page:
        page.goto(f"{site.admin_url}/denials{HERE}")
        expect(page.locator("h1")).to_contain_text("1 denial of 1 client in Jim_Test")
        row = page.locator("summary.denial", has_text="Client6")
        expect(row).to_contain_text("all 5 seats in use")
        row.click()
        holders = page.locator(".holders-here")
        expect(holders.get_by_role("row")).to_have_count(6)
        for number in range(1, 6):
            expect(holders).to_contain_text(f"Client{number}")
        expect(holders.get_by_role("link", name="Client1", exact=True)).to_be_visible()
        browser.check_access(page)
        browser.show(page, "denials")


@pytest.mark.wide
def test_usage_answers_how_many_seats_while_the_slider_moves(browser: Browser, site: DashboardSite) -> None:
    with browser.person(site, "vera") as page:
        page.goto(f"{site.admin_url}/usage{HERE}")
        expect(page.locator("#usage-chart canvas")).to_be_visible()
        answer = page.locator("#answer")
        expect(answer).to_have_text("With 6 seats you would have had 0 denials in these 7 days.")
        page.get_by_role("slider").press("ArrowLeft")
        expect(answer).to_have_text("With 5 seats you would have had 1 denial in these 7 days.")
        expect(page.get_by_role("spinbutton")).to_have_value("5")
        expect(page.get_by_role("button", name="Reckon")).to_be_hidden()
        box = page.locator("#usage-chart .u-over").bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + box["width"] - 3, box["y"] + 20)
        expect(page.locator("#usage-chart .readout")).to_contain_text("peak 5, seats 5, denials 1")
        page.mouse.move(0, 0)
        browser.check_access(page)
        browser.show(page, "usage")


@pytest.mark.wide
def test_the_peaks_are_downloaded_as_the_command_line_writes_them(
    browser: Browser, site: DashboardSite, tmp_path: Path
) -> None:
    with browser.person(site, "vera") as page:
        page.goto(f"{site.admin_url}/usage{HERE}")
        with page.expect_download() as started:
            page.get_by_role("link", name="CSV").click()
        started.value.save_as(tmp_path / "usage.csv")
        with page.expect_download() as started:
            page.get_by_role("link", name="SVG").click()
        started.value.save_as(tmp_path / "usage.svg")
    rows = list(csv.DictReader(StringIO((tmp_path / "usage.csv").read_text(encoding="utf-8"))))
    assert {"tenant", "pool", "from", "until", "peak", "seats", "denials"} <= rows[0].keys()
    last = [row for row in rows if row["pool"] == "full"][-1]
    assert (last["peak"], last["seats"], last["denials"]) == ("5", "5", "1")
    assert "<svg" in (tmp_path / "usage.svg").read_text(encoding="utf-8")


def test_a_pool_is_widened_and_the_server_honours_it(browser: Browser, site: DashboardSite) -> None:
    with browser.person(site) as page:
        page.goto(f"{site.admin_url}/set-up/pools{HERE}")
        page.get_by_role("link", name="mobile").click()
        page.get_by_label("Seats").fill("many")
        page.get_by_role("button", name="Save").click()
        expect(page.locator("#e-seats")).to_have_text("A whole number from 0 to 1,000,000, or all.")
        expect(page.get_by_label("Seats")).to_have_value("many")
        expect(page.locator("#mistakes")).to_be_focused()
        browser.check_access(page)
        browser.show(page, "pool-mistake")
        page.locator("#mistakes").get_by_role("link", name="Seats").click()
        page.get_by_label("Seats").fill("1")
        page.get_by_role("button", name="Save").click()
        expect(page.locator(".notice")).to_have_text("Pool mobile saved.")
        expect(page.locator(".changes li").first).to_contain_text("ada changed pool mobile seats 2 → 1")
        browser.show(page, "pools")
    assert site.take("Client1", scope="orders").status_code == 200
    assert site.take("Client2", scope="orders").json()["seats"] == 1


@pytest.mark.wide
def test_a_client_is_added_with_a_secret_that_is_copied_and_works(
    browser: Browser, site: DashboardSite
) -> None:
    with browser.person(site, permissions=["clipboard-read", "clipboard-write"]) as page:
        page.goto(f"{site.admin_url}/set-up/clients{HERE}")
        page.get_by_role("link", name="Add a client").click()
        page.get_by_label("client_id").fill("Robot")
        page.get_by_label("User", exact=True).fill("AR")
        browser.check_access(page)
        browser.show(page, "client-add")
        page.get_by_role("button", name="Add this client").click()
        expect(page.locator("main")).to_contain_text("You will not see this again.")
        secret = page.get_by_label("Client secret").inner_text()
        page.get_by_role("button", name="Copy", exact=True).click()
        expect(page.get_by_role("button", name="Copied")).to_be_visible()
        assert page.evaluate("navigator.clipboard.readText()") == secret
        page.get_by_text("Python", exact=True).click()
        page.get_by_role("button", name="Copy the lines for Python").click()
        page.wait_for_function("navigator.clipboard.readText().then(it => it.startsWith('import os'))")
        browser.check_access(page)
        page.get_by_label("Client secret").evaluate(
            "it => it.textContent = 'lcs_' + '0123456789ab'.repeat(4)"
        )
        browser.show(page, "client-secret")
        page.get_by_role("link", name="I have kept it").click()
        expect(page.locator("h1")).to_have_text("Client Robot in Jim_Test")
        assert secret not in page.content()
    asked = site.ask("Jim_Test/token", "Robot", secret, grant_type="client_credentials", scope="view")
    assert asked.status_code == 200


@pytest.mark.wide
def test_who_was_second_sees_both_versions_and_chooses(browser: Browser, site: DashboardSite) -> None:
    path = f"{site.admin_url}/set-up/users/edit{HERE}&name=C5"
    with browser.person(site) as page:
        page.goto(path)
        with site.changing() as change:
            change.tenant("Jim_Test").set_user("C5", name="Theirs")
        page.get_by_label("Name in full").fill("Mine")
        page.get_by_role("button", name="Save").click()
        box = page.locator("#meanwhile")
        expect(box).to_contain_text("Somebody else was first. a test saved this")
        expect(box.get_by_role("row").nth(1)).to_contain_text("Name in full")
        for version in ("Client5", "Theirs", "Mine"):
            expect(box).to_contain_text(version)
        browser.check_access(page)
        browser.show(page, "lost-race")
        box.get_by_role("link", name="take what is saved").click()
        expect(page.get_by_label("Name in full")).to_have_value("Theirs")


@pytest.mark.wide
def test_what_ends_with_a_removal_is_said_before(browser: Browser, site: DashboardSite) -> None:
    with browser.person(site) as page:
        page.goto(f"{site.admin_url}/set-up/clients/edit{HERE}&name=Client5")
        page.get_by_role("link", name="Remove…").click()
        expect(page.locator("main")).to_contain_text("1 session: their tokens stop working")
        browser.check_access(page)
        browser.show(page, "client-remove")
        page.get_by_role("button", name="Remove client and end 1 session").click()
        expect(page.locator(".notice")).to_have_text("Client Client5 removed, and 1 session ended.")
    assert site.take("Client6").status_code == 200  # its seat is free


PAGES = {
    "journal": f"/journal{HERE}",
    "alerts": "/alerts",
    "clients": f"/set-up/clients{HERE}",
    "client-keys": f"/set-up/clients/edit{HERE}&name=Signs",
    "client-key-new": f"/set-up/clients/keys/add{HERE}&name=Signs",
    "client-secret-rotate": f"/set-up/clients/secrets/rotate{HERE}&name=Signs",
    "user": f"/set-up/users/edit{HERE}&name=TC",
    "tenants": "/set-up/tenants",
    "tenant": "/set-up/tenants/edit?tenant=Jim_Test",
    "administrator": "/set-up/administrators/edit?name=vera",
    "keys": "/set-up/keys",
    "webhooks": "/set-up/webhooks",
    "usage-empty": "/usage?tenant=Empty",
    "denials-empty": "/denials?tenant=Empty",
    "choose": "/usage",
}


@pytest.mark.parametrize("name", few(PAGES, 0))
def test_every_page_is_for_everybody(browser: Browser, site: DashboardSite, name: str) -> None:
    """Axe finds nothing in light and dark, and on a phone nothing is wider than the screen.

    `make test` looks so at a page of tests/browser/test_dashboard.py.
    """
    with browser.person(site) as page:
        page.goto(f"{site.admin_url}{PAGES[name]}")
        expect(page.locator("h1")).to_be_visible()
        browser.check_access(page)
        browser.show(page, name)
