"""The page of the admin API in Chromium: it works under the site's policy, and what is tried out is done."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, Page, expect

from licet.accounts import administrators
from licet.credentials.generated import ApiKeys
from licet.credentials.keyring import FILE_NAME, read_keyring
from licet.model import Role
from support.admin.browser import Browser
from support.admin.dashboard import DashboardSite

PAGE = "/api/v1/docs"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DashboardSite]:
    """A server with administrators."""
    with DashboardSite(tmp_path_factory.mktemp("api-docs")) as found:
        yield found


def _try(page: Page, tag: str, operation: str, **parameters: str) -> Locator:
    """Open an operation, fill in its parameters and execute it; what was answered."""
    block = page.locator(f"#operations-{tag}-{operation}")
    if not block.is_visible():
        page.locator(f"#operations-tag-{tag}").click()
        block.locator(".opblock-summary-control").click()
    block.get_by_role("button", name="Try it out").click()
    for name, text in parameters.items():
        block.locator(f'tr[data-param-name="{name.replace("If_", "If-")}"] input').fill(text)
    block.get_by_role("button", name="Execute").click()
    return block.locator(".live-responses-table .response").first


@pytest.mark.wide
def test_who_is_signed_in_tries_out_as_that_administrator(browser: Browser, site: DashboardSite) -> None:
    """The cookie and the CSRF token of the sign-in; a reader and a change."""
    with browser.person(site, "ada") as page:
        page.goto(f"{site.admin_url}{PAGE}")
        expect(page.locator("header")).to_contain_text("You are signed in as ada")
        expect(_try(page, "Accounts", "getMe")).to_contain_text('"actor": "ada"')
        removed = _try(page, "Clients", "removeClient", tenant="Jim_Test", client_id="nobody", If_Match="*")
        expect(removed.locator(".response-col_status").first).to_contain_text("204")


@pytest.mark.wide
def test_without_a_sign_in_an_api_key_is_asked_for(browser: Browser, site: DashboardSite) -> None:
    """Until then nothing is answered."""
    made = ApiKeys(read_keyring(site.data / FILE_NAME).pepper).generate()
    with site.store() as store, administrators.changing(store, "a test") as change:
        change.add_api_key("docs", made, role=Role.VIEWER)
    with browser.window() as page:
        page.goto(f"{site.admin_url}/docs")
        expect(page).to_have_url(f"{site.admin_url}{PAGE}")
        page.get_by_role("button", name="Authorize").first.click()
        page.locator(".auth-container input").fill(made.key)
        page.locator(".auth-btn-wrapper").get_by_role("button", name="Apply").click()
        page.locator(".auth-btn-wrapper").get_by_role("button", name="Close").click()
        expect(_try(page, "Accounts", "getMe")).to_contain_text('"actor": "key docs"')


@pytest.mark.wide
def test_it_has_the_colours_that_the_reader_prefers_and_fits_on_a_phone(
    browser: Browser, site: DashboardSite
) -> None:
    """Also when the preference changes while it is read."""
    with browser.window() as page:
        page.goto(f"{site.admin_url}{PAGE}")
        expect(page.locator(".opblock-tag").first).to_be_visible()
        expect(page.locator("body")).to_have_css("background-color", "rgb(255, 255, 255)")
        page.emulate_media(color_scheme="dark")
        expect(page.locator("body")).to_have_css("background-color", "rgb(28, 32, 34)")
        browser.show(page, "api-docs")
