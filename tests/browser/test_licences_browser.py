"""Licences in a real Chromium: a file is chosen, agreed to, and counts; a refused text stays; the picture."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from licet.model import SEATS_MAX
from support.admin.browser import Browser
from support.admin.dashboard import DashboardSite
from support.licences.licensed_site import DAY_S, days, file_of, put, signed, trust_vendor
from support.licences.signed_pools import the_vendor, vendor_file
from support.licences.vendors import TestVendor

HERE = "?tenant=Jim_Test"
END_S = 1_735_689_600  # the end of 31 December 2024, UTC


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DashboardSite]:
    """Three clients have seats of a pool that is not signed; another tenant has a licence in its grace."""
    with DashboardSite(tmp_path_factory.mktemp("site"), manual_clock=True) as site:
        trust_vendor(site)
        with site.changing() as change:
            change.tenant("Jim_Test").set_pool("full", seats=SEATS_MAX)
            change.add_tenant("Grace", seats=SEATS_MAX)
        gap = signed("Grace", name="next", nbf=days(site, 60), exp=days(site, 300))
        put(site, "Grace", signed("Grace", exp=days(site, -3), grace=14 * DAY_S), gap)
        for client in ("Client1", "Client2", "Client3"):
            site.take(client).raise_for_status()
            site.advance(seconds=1)
        yield site


@pytest.mark.wide
def test_a_licence_is_chosen_agreed_to_and_counts(
    browser: Browser, site: DashboardSite, tmp_path: Path
) -> None:
    """By its file, in Auckland, where the last day of a licence ends at one in the afternoon of the next."""
    file = tmp_path / "c1.licence"
    file.write_bytes(file_of(signed(seats=2, overdraft=0, exp=END_S, grace=14 * DAY_S)))
    with browser.person(site, timezone_id="Pacific/Auckland") as page:
        page.goto(f"{site.admin_url}/licences{HERE}")
        expect(page.locator("h1")).to_have_text("No licence is installed in Jim_Test")
        browser.check_access(page)
        browser.show(page, "licences-none")
        page.get_by_role("link", name="Install a licence").click()
        browser.show(page, "licences-install")
        page.get_by_label("The file that the vendor sent").set_input_files(file)
        page.get_by_role("button", name="Show what it does").click()
        expect(page.locator("h1")).to_have_text("Install licence C-1, serial 1, in Jim_Test?")
        expect(page.locator("#ending")).to_contain_text("1 session will end at once")
        expect(page.locator("#ending")).to_contain_text("Client3")
        expect(page.locator(".steps-plot .given").first).to_be_visible()
        browser.check_access(page)
        browser.show(page, "licences-question")
        page.get_by_role("button", name="Install and end 1 session").click()
        expect(page.get_by_role("status").first).to_have_text(
            "Licence C-1 (serial 1) installed, and 1 session ended."
        )
        expect(page.locator("h1")).to_contain_text(
            "2 seats of full signed in Jim_Test; next change on 1 Jan 2025 at 13:00"
        )
        browser.check_access(page)
        browser.show(page, "licences")
    assert site.take("Client4").json()["reason"] == "all_in_use"
    assert site.take("Client1").status_code == 200


@pytest.mark.wide
def test_a_text_that_is_refused_stays_in_the_form(browser: Browser, site: DashboardSite) -> None:
    """With what is wrong above it, which gets the focus."""
    stranger = TestVendor("kauri", "stock")
    text = file_of(stranger.sign(stranger.claims())).decode().strip()
    with browser.person(site) as page:
        page.goto(f"{site.admin_url}/licences/install{HERE}")
        page.get_by_label("Or its text").fill(text)
        page.get_by_role("button", name="Show what it does").click()
        mistake = page.get_by_role("alert")
        expect(mistake).to_contain_text("which is of no vendor that is trusted here")
        expect(mistake).to_be_focused()
        expect(page.get_by_label("Or its text")).to_have_value(text)
        browser.check_access(page)
        browser.show(page, "licences-refused")
        mistake.get_by_role("link", name="Trust the vendor").click()
        page.get_by_label("Or its text").fill(vendor_file(stranger))
        page.get_by_role("button", name="Show its keys").click()
        expect(page.locator("h1")).to_have_text("Trust kauri for stock?")
        expect(page.get_by_role("code").filter(has_text=stranger.kid)).to_be_visible()
        browser.show(page, "licences-trust")
        page.get_by_role("button", name="Trust it").click()
        expect(page.get_by_role("status").first).to_have_text("Vendor kauri is trusted for stock.")


@pytest.mark.wide
def test_a_gap_and_a_grace_are_seen_and_read(browser: Browser, site: DashboardSite) -> None:
    """The table beside the picture has every step, for who cannot see it."""
    with browser.person(site, "vera") as page:
        page.goto(f"{site.admin_url}/licences?tenant=Grace")
        expect(page.locator(".licence.last-day")).to_contain_text("A licence of full has expired")
        expect(page.locator(".steps-plot .grace")).to_be_visible()
        assert the_vendor().kid in page.content()
        page.get_by_text("Steps of full as a table").click()
        rows = page.get_by_role("region", name="Steps of full").get_by_role("row")
        expect(rows).to_have_count(6)
        expect(rows.nth(2)).to_contain_text("now")
        expect(rows.nth(3)).to_contain_text("5 seats end, and none is left")
        browser.check_access(page)
        browser.show(page, "licences-grace")
