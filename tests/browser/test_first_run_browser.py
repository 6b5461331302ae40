"""From an empty store to the first token, in a real browser, with the lines that the page shows."""

import os
import subprocess
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from support.admin.browser import Browser
from support.admin.dashboard import DashboardSite
from support.server.running import PATIENCE_S


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DashboardSite]:
    """A server whose store is empty."""
    with DashboardSite(tmp_path_factory.mktemp("site")) as site:
        with site.changing() as change:
            change.remove_tenant("Jim_Test")
        yield site


def test_the_dashboard_leads_to_the_first_token_and_notices_it(browser: Browser, site: DashboardSite) -> None:
    """Each step by its button; the secret is shown once, and is in no line and no address."""
    with browser.person(site) as page:
        page.goto(site.admin_url)
        page.get_by_role("link", name="First steps").click()
        page.wait_for_url("**/first-steps")
        browser.check_access(page)
        browser.show(page, "first-steps")
        page.get_by_role("link", name="Add a tenant").click()
        page.locator("#f-name").fill("Jim_Test")
        page.get_by_role("button", name="Add this tenant").click()
        page.locator("#f-initials").fill("TC")
        page.locator("#f-name").fill("Test Client")
        page.get_by_role("button", name="Add this user").click()
        expect(page.locator("main")).to_contain_text("4 of 7 steps are done")
        page.get_by_role("link", name="First steps").click()
        page.get_by_role("link", name="Add a client").click()
        page.get_by_label("client_id").fill("TestClientId")
        page.get_by_label("User", exact=True).fill("TC")
        page.get_by_role("button", name="Add this client").click()
        secret = page.get_by_label("Client secret").inner_text()
        expect(page.locator(".waiting")).to_contain_text("Waiting for a token of TestClientId")
        page.get_by_role("link", name="I have kept it").click()
        page.goto(f"{site.admin_url}/first-steps")
        assert secret not in page.content()
        browser.check_access(page)
        browser.show(page, "first-steps-token")
        page.get_by_text("Python", exact=True).click()  # what is open stays open when the page asks again
        lines = page.locator("#connect-curl").text_content() or ""
        environment = {**os.environ, "CLIENT_SECRET": secret}
        done = subprocess.run(
            ["bash", "-c", lines],
            env=environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=True,
        )
        assert "access_token" in done.stdout
        expect(page.locator("main")).to_contain_text("Your client TestClientId got its first token at")
        expect(page.locator("main")).to_contain_text("All steps are done")
        browser.show(page, "first-steps-done")
        page.get_by_role("link", name="To the overview").click()
        expect(page.locator("h1")).to_have_text("1 of 5 seats in use in Jim_Test, 0 denials today")
