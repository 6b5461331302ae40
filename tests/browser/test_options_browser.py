"""The options of pools in a browser: the form, who waits in line, and what a client would be answered."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from licet.options import Priority, Share
from support.admin.browser import Browser
from support.admin.dashboard import DashboardSite
from support.many import few

HERE = "?tenant=Jim_Test"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DashboardSite]:
    """A pool with every option, one of whose reserved seats is in use; three clients wait."""
    with DashboardSite(tmp_path_factory.mktemp("site"), manual_clock=True) as site:
        with site.changing() as change:
            tenant = change.tenant("Jim_Test")
            tenant.add_group("sales", users=frozenset({"TC", "C1"}), clients=frozenset({"Client6"}))
            tenant.add_group("everybody.else", users=frozenset({"C2", "C3", "C4"}))
            tenant.add_pool("named", seats=1, named=("AP",))
            tenant.set_pool(
                "full",
                seats=3,
                queue=20,
                queue_hold_s=300,
                exclude=("client:Client5",),
                reserve=(Share(who="group:sales", seats=1),),
                max=(Share(who="group:sales", seats=2), Share(who="user:C2", seats=1)),
                max_per_user=2,
                priority=(Priority(who="group:sales", level=5),),
            )
            tenant.set_scope("all", pools=("named", "full"))
        for client_id in ("Client1", "Client2", "Client3"):
            site.take(client_id).raise_for_status()
        for client_id in ("Client4", "Client6", "TestClientId"):
            assert site.take(client_id, queue="true").json()["reason"] == "queued"
        assert site.take("Client5").status_code == 400
        yield site


def test_a_rule_is_typed_and_two_that_contradict_each_other_are_shown_at_both(
    browser: Browser, site: DashboardSite
) -> None:
    with browser.person(site) as page:
        page.goto(f"{site.admin_url}/set-up/pools/edit{HERE}&name=full")
        page.get_by_label("RESERVE").fill("user:C2 2")
        page.get_by_role("button", name="Save").click()
        alert = page.get_by_role("alert")
        expect(alert).to_contain_text("2 fields have to be corrected; nothing is saved yet.")
        for label in ("RESERVE", "MAX"):
            field = page.get_by_label(label, exact=True)
            expect(field).to_have_attribute("aria-invalid", "true")
            expect(page.locator(f"#e-{label.lower()}")).to_contain_text("user:C2")
        alert.get_by_role("link", name="MAX").click()
        expect(page.get_by_label("MAX", exact=True)).to_be_in_viewport()


@pytest.mark.wide
def test_an_open_line_follows_when_a_place_is_removed(browser: Browser, site: DashboardSite) -> None:
    """Another administrator removes it; the page has it without a click."""
    with browser.person(site) as page:
        page.goto(f"{site.admin_url}/queue{HERE}&pool=full")
        expect(page.locator("h1")).to_have_text("3 clients wait for a seat of full in Jim_Test")
        expect(page.get_by_role("row").nth(1)).to_contain_text("Client6")
        with site.reader("oscar") as oscar:
            assert oscar.post(f"/queue/remove{HERE}&pool=full&client=Client6").status_code == 303
        expect(page.locator("h1")).to_have_text("2 clients wait for a seat of full in Jim_Test")
        assert site.take("Client6", queue="true").json()["queue_position"] == 2


@pytest.mark.wide
def test_other_options_are_tried_beside_those_of_today(browser: Browser, site: DashboardSite) -> None:
    """The form has today's rules; a mistake is at its field, and what is right is replayed."""
    with browser.person(site) as page:
        page.goto(f"{site.admin_url}/usage/what-if{HERE}&pool=full")
        exclude = page.get_by_label("EXCLUDE", exact=True)
        expect(exclude).to_have_value("client:Client5")
        exclude.fill("client:Client5\ngroup:nobody")
        page.get_by_role("button", name="Replay").click()
        expect(page.locator("#e-exclude")).to_contain_text("nobody")
        expect(exclude).to_have_attribute("aria-invalid", "true")
        expect(exclude).to_have_value("client:Client5\ngroup:nobody")
        exclude.fill("client:Client5\nuser:C3")
        page.get_by_label("RESERVE", exact=True).fill("")
        page.get_by_role("button", name="Replay").click()
        row = page.get_by_role("row").filter(has_text="What if")
        expect(row).to_contain_text("exclude client:Client5 user:C3")
        expect(row).not_to_contain_text("reserve")
        page.get_by_label("Pool", exact=True).select_option("named")
        page.get_by_role("button", name="Replay").click()
        expect(page.get_by_label("Named users", exact=True)).to_have_value("AP")
        expect(exclude).to_have_value("")


PAGES = {
    "what-if-options": f"/usage/what-if{HERE}&pool=full&max=user:C2 1&exclude=client:Client5",
    "what-if-options-wrong": f"/usage/what-if{HERE}&pool=full&exclude=Client5",
    "pool-options": f"/set-up/pools/edit{HERE}&name=full",
    "pools-options": f"/set-up/pools{HERE}",
    "queue": f"/queue{HERE}&pool=full",
    "queue-remove": f"/queue/remove{HERE}&pool=full&client=Client4",
    "queue-none": f"/queue{HERE}&pool=named",
    "client-asked": f"/client{HERE}&name=Client4",
    "seats-options": f"/seats{HERE}",
    "overview-options": f"/{HERE}",
    "groups": f"/set-up/groups{HERE}",
    "group": f"/set-up/groups/edit{HERE}&name=sales",
    "group-kept": f"/set-up/groups/remove{HERE}&name=sales",
    "scope-pools": f"/set-up/scopes/edit{HERE}&name=all",
    "denials-options": f"/denials{HERE}",
}


@pytest.mark.parametrize("name", few(PAGES, 0))
def test_every_page_of_options_is_for_everybody(browser: Browser, site: DashboardSite, name: str) -> None:
    """Axe finds nothing in light and dark, and on a phone nothing is wider than the screen.

    `make test` looks so at a page of tests/browser/test_dashboard.py.
    """
    with browser.person(site, timezone_id="America/St_Johns") as page:
        page.goto(f"{site.admin_url}{PAGES[name]}")
        expect(page.locator("h1")).to_be_visible()
        browser.check_access(page)
        browser.show(page, name)
