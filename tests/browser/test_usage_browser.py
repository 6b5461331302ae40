"""Reports of usage in a real Chromium, in another time zone: days are the reader's, forms keep the span."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from support.admin.browser import Browser
from support.admin.dashboard import DashboardSite

HERE = "?tenant=Jim_Test"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DashboardSite]:
    """A pool whose seats one client holds."""
    with DashboardSite(tmp_path_factory.mktemp("site")) as site:
        site.take("Client1").raise_for_status()
        yield site


@pytest.mark.wide
def test_reports_are_walked_through_and_a_statement_is_downloaded(
    browser: Browser, site: DashboardSite
) -> None:
    """By tabs and forms, without a word of the address."""
    with browser.person(site, "ada", timezone_id="Pacific/Auckland") as page:
        page.goto(f"{site.admin_url}/usage{HERE}")
        reports = page.get_by_role("navigation", name="Reports")
        reports.get_by_role("link", name="True-up").click()
        today = page.evaluate("new Intl.DateTimeFormat('en-GB', {day: 'numeric', month: 'short'}).format()")
        expect(page.locator("tbody th").first).to_have_text(today)
        page.get_by_role("link", name="7 days").click()
        expect(page.locator("tbody tr")).to_have_count(7)
        reports.get_by_role("link", name="Costs").click()
        page.get_by_label("Price of a seat").fill("120")
        page.get_by_label("Split by").select_option("Group")
        page.get_by_role("button", name="Split").click()
        expect(page.locator("h1")).to_contain_text("by group in the last 7 days")
        expect(page.get_by_text("all of it costs")).to_be_visible()
        reports.get_by_role("link", name="What if").click()
        page.get_by_label("Seats", exact=True).fill("0")
        page.get_by_role("button", name="Replay").click()
        expect(page.locator("tbody tr").last).to_contain_text("0 seats by client")
        reports.get_by_role("link", name="Export").click()
        page.get_by_role("button", name="Make the next statement").click()
        expect(page.get_by_text("Statement 1 was made.")).to_be_visible()
        with page.expect_download() as download:
            page.get_by_role("link", name="Download", exact=True).click()
        assert download.value.suggested_filename == "licet-Jim_Test-usage-1.statement"
