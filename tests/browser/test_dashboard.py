"""The dashboard in a real Chromium: watching seats, ending sessions, colours, keys, a telephone, axe.

Each test has a tenant of its own, named like what it tests, with the clients `Desk`, `Phone` and `Robot`.
"""

import re
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Page, expect

from support.admin.browser import PHONE, Browser, sign_in
from support.admin.dashboard import PASSWORD, DashboardSite, fill
from support.many import few
from support.server.running import PASSWORD_HASH

CLIENTS = {"Desk": "DE", "Phone": "PH", "Robot": "RO"}
TENANTS = ("Watch", "List", "Choose", "Keys", "Twice", "Late", "Fading")
ODD = {
    "A1": ("أحمد عبد الرحمن", "عميل-القاهرة"),
    "H1": ("יעל כהן", "לקוח ראשי"),
    "LO": ("Bartholomew Featherstonehaugh-Cholmondeley the Third of Somewhere", "x" * 128),
    "XS": ("<img src=x onerror=alert(1)>", '"><script>alert(1)</script>'),
}
MANY = 10_000


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DashboardSite]:
    """One server for all."""
    with DashboardSite(tmp_path_factory.mktemp("site")) as site:
        with site.changing() as change:
            for name in TENANTS:
                tenant = change.add_tenant(name, seats=2)
                for client_id, initials in CLIENTS.items():
                    tenant.add_user(initials, name=f"{client_id} at work", password_hash=PASSWORD_HASH)
                    tenant.add_client(client_id, user=initials)
            change.add_tenant("Nobody", seats=3)
            odd = change.add_tenant("Odd", seats=5)
            for initials, (name, client_id) in ODD.items():
                odd.add_user(initials, name=name, password_hash=PASSWORD_HASH)
                odd.add_client(client_id, user=initials)
            fill(change, "Many", MANY)
        for _, client_id in ODD.values():
            take(site, "Odd", client_id).raise_for_status()
        yield site


def take(site: DashboardSite, tenant: str, client_id: str, **form: str) -> httpx.Response:
    """A client asks for a token, as clients do."""
    return site.ask(f"{tenant}/token", client_id, grant_type="client_credentials", **form)


def heading(page: Page, text: str) -> None:
    """The page says this first; it is waited for."""
    expect(page.locator("h1")).to_have_text(text)


def test_a_seat_appears_counts_down_is_ended_and_its_client_is_refused(
    browser: Browser, site: DashboardSite
) -> None:
    """What an administrator does about a client that hangs; nothing is reloaded while he watches."""
    with browser.window() as page:
        sign_in(page, site, "oscar")
        page.goto(f"{site.admin_url}/?tenant=Watch")
        heading(page, "0 of 2 seats in use in Watch, 0 denials today")
        expect(page.get_by_text("Nobody has a seat.")).to_be_visible()
        page.evaluate("window.stayed = true")
        take(site, "Watch", "Desk").raise_for_status()
        heading(page, "1 of 2 seats in use in Watch, 0 denials today")
        row = page.locator(".in-now li", has_text="Desk")
        left = row.locator("time[data-time=in]")
        expect(left).to_have_text("20 min")
        page.evaluate("licet.hear(licet.now() + 61_000); licet.localise()")  # a minute later by the server
        expect(left).to_have_text("19 min")
        assert page.evaluate("window.stayed")
        row.get_by_role("link", name="End").click()
        heading(page, "End 1 session of Desk?")
        expect(page.locator("main")).to_contain_text("The tokens stop working at once; the seat is free.")
        page.get_by_label("Why").fill("It hangs")
        page.get_by_label("5 minutes").check()
        page.get_by_role("button", name="End 1 session").click()
        expect(page.locator(".notice")).to_have_text(
            "1 session ended, 1 seat came back. Desk may not come back for 5 minutes."
        )
        heading(page, "0 of 2 seats in use in Watch")
        refused = take(site, "Watch", "Desk")
        assert (refused.status_code, refused.json()["reason"]) == (400, "suspended")


def test_the_list_follows_by_itself_and_leaves_open_what_is_open(
    browser: Browser, site: DashboardSite
) -> None:
    """Shared sessions are under their holder, and what was chosen stays chosen while rows come and go."""
    take(site, "List", "Desk").raise_for_status()
    with browser.person(site) as page:
        page.goto(f"{site.admin_url}/seats?tenant=List")
        heading(page, "1 of 2 seats in use in List")
        take(site, "List", "Desk").raise_for_status()
        opener = page.get_by_role("button", name="2 sessions")
        opener.click()
        expect(page.locator("tr.more")).to_have_count(2)
        expect(page.locator("tr.more").first).to_be_visible()
        page.get_by_label("Choose Desk").check()
        with page.expect_request(lambda request: request.headers.get("x-licet-follows") == "1"):
            take(site, "List", "Phone").raise_for_status()
        heading(page, "2 of 2 seats in use in List")
        expect(page.locator("tr.more").first).to_be_visible()
        expect(opener).to_have_attribute("aria-expanded", "true")
        expect(page.get_by_label("Choose Desk")).to_be_checked()
        expect(page.get_by_role("button", name="End 1 chosen")).to_be_enabled()


@pytest.mark.wide
def test_some_are_found_chosen_and_ended_together(browser: Browser, site: DashboardSite) -> None:
    """Search narrows while typing, and goes into the address."""
    for client_id in ("Desk", "Phone"):
        take(site, "Choose", client_id).raise_for_status()
    with browser.person(site) as page:
        page.goto(f"{site.admin_url}/seats?tenant=Choose")
        expect(page.get_by_role("button", name="End chosen")).to_be_disabled()
        page.get_by_label("User, client or address").press_sequentially("phon")
        expect(page.locator("tbody")).to_have_count(1)
        heading(page, "1 matching seat in use in Choose")
        expect(page).to_have_url(re.compile("[?&]q=phon&"))
        page.get_by_role("link", name="has phon").click()
        expect(page.locator("tbody")).to_have_count(2)
        page.get_by_label("Choose all on this page").check()
        page.get_by_role("button", name="End 2 chosen").click()
        heading(page, "End 2 sessions of 2 clients?")
        page.get_by_role("button", name="End 2 sessions").click()
        expect(page.locator(".notice")).to_have_text("2 sessions ended, 2 seats came back.")
        expect(page.get_by_text("Nobody has a seat.")).to_be_visible()


def test_a_session_can_be_ended_with_the_keyboard_alone(browser: Browser, site: DashboardSite) -> None:
    """WCAG 2.1.1: from signing in to signing out, and it is seen where the focus is (2.4.7)."""
    take(site, "Keys", "Desk").raise_for_status()
    with browser.window() as page:
        page.goto(f"{site.admin_url}/sign-in?then=/seats%3Ftenant%3DKeys")
        expect(page.get_by_label("Name")).to_be_focused()
        page.keyboard.type("oscar")
        page.keyboard.press("Tab")
        page.keyboard.type(PASSWORD)
        page.keyboard.press("Enter")
        heading(page, "1 of 2 seats in use in Keys")
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
        page.keyboard.press("Enter")
        tab_to(page, "End Desk")
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid"
        page.keyboard.press("Enter")
        heading(page, "End 1 session of Desk?")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")  # the skip link
        tab_to(page, "Why (for the journal)")
        page.keyboard.type("It hangs")
        page.keyboard.press("Tab")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        expect(page.locator(".notice")).to_contain_text("Desk may not come back for 5 minutes.")
        tab_to(page, "Signed in as oscar")
        page.keyboard.press("Enter")
        expect(page.get_by_role("button", name="Sign out")).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.get_by_role("button", name="Sign out")).to_be_hidden()
        page.keyboard.press("Enter")
        tab_to(page, "Sign out")
        page.keyboard.press("Enter")
        heading(page, "Sign in")
        expect(page.locator(".notice")).to_have_text("You are signed out.")


def tab_to(page: Page, name: str) -> None:
    """Press Tab until what is called so has the focus."""
    for _ in range(60):
        page.keyboard.press("Tab")
        called = page.evaluate(
            "(it => it.ariaLabel || it.labels?.[0]?.innerText || it.innerText || '')(document.activeElement)"
        )
        if called.strip() == name:
            return
    pytest.fail(f"no Tab leads to {name}")


@pytest.mark.wide
def test_two_who_end_the_same_session_at_once_are_both_told_what_became_of_it(
    browser: Browser, site: DashboardSite
) -> None:
    """The second finds nothing to end, and nothing else is ended instead."""
    take(site, "Twice", "Desk").raise_for_status()
    take(site, "Twice", "Phone").raise_for_status()
    with browser.person(site, "ada") as first, browser.person(site, "oscar") as second:
        for page in (first, second):
            page.goto(f"{site.admin_url}/seats?tenant=Twice")
            page.get_by_role("link", name="End Desk").click()
            heading(page, "End 1 session of Desk?")
        for page in (first, second):
            page.get_by_role("button", name="End 1 session").click()
        expect(first.locator(".notice")).to_have_text("1 session ended, 1 seat came back.")
        expect(second.locator(".notice")).to_have_text(
            "Nothing was ended: what you chose had ended by itself."
        )
        heading(second, "1 of 2 seats in use in Twice")


@pytest.mark.wide
def test_a_form_that_comes_too_late_is_there_again_as_it_was_typed(
    browser: Browser, site: DashboardSite
) -> None:
    """At its own address, after signing in again."""
    take(site, "Late", "Desk").raise_for_status()
    with browser.window() as page:
        sign_in(page, site, "ada")
        page.goto(f"{site.admin_url}/seats?tenant=Late")
        page.get_by_role("link", name="End Desk").click()
        address = f"{site.admin_url}/seats/end?tenant=Late"
        page.get_by_label("Why").fill("Typed with care")
        page.context.clear_cookies(name="licet")  # what the end of a sign-in comes to
        page.get_by_role("button", name="End 1 session").click()
        heading(page, "Your sign-in has expired")
        browser.check_access(page)
        browser.show(page, "sign-in-again")
        page.get_by_label("Name").fill("ada")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        heading(page, "End 1 session of Desk?")
        expect(page.get_by_label("Why")).to_have_value("Typed with care")
        expect(page).to_have_url(address)
        page.get_by_role("button", name="End 1 session").click()
        heading(page, "0 of 2 seats in use in Late")


def test_a_countdown_that_reaches_zero_fades_its_row(browser: Browser, site: DashboardSite) -> None:
    """The next state comes from the server, which alone knows whether the session was renewed."""
    take(site, "Fading", "Desk").raise_for_status()
    with browser.person(site, is_kept=False) as page:
        page.clock.install()
        page.goto(f"{site.admin_url}/seats?tenant=Fading")
        row = page.locator("tbody", has_text="Desk")
        expect(row).not_to_have_class("fades gone")
        expect(page.locator(".pages [hx-get]")).to_have_count(0)  # nothing is asked for any more
        page.clock.fast_forward("20:01")
        expect(row).to_have_class("fades gone")
        expect(row.locator("time[data-time=in]")).to_have_text("0 s")


@pytest.mark.wide
def test_colours_follow_the_system_and_then_the_readers_choice(browser: Browser, site: DashboardSite) -> None:
    """And stay chosen on the next page."""
    with browser.person(site, "vera", color_scheme="dark") as page:
        page.goto(f"{site.admin_url}/?tenant=Odd")
        assert ground(page) == "rgb(18, 20, 23)"
        page.get_by_label("Signed in as vera").click()
        page.get_by_label("Light").check()
        assert ground(page) == "rgb(247, 247, 245)"
        page.goto(f"{site.admin_url}/seats?tenant=Odd")
        assert ground(page) == "rgb(247, 247, 245)"
        page.get_by_label("Signed in as vera").click()
        expect(page.get_by_label("Light")).to_be_checked()


def ground(page: Page) -> str:
    """The colour behind everything."""
    found: str = page.evaluate("getComputedStyle(document.body).backgroundColor")
    return found


@pytest.mark.wide
def test_times_are_in_the_readers_zone_with_the_exact_one_on_hover(
    browser: Browser, site: DashboardSite
) -> None:
    """The page carries UTC."""
    with browser.person(site, timezone_id="Asia/Kathmandu") as page:
        page.goto(f"{site.admin_url}/seats?tenant=Odd")
        since = page.locator("tbody time[data-time=clock]").first
        expect(since).not_to_contain_text("UTC")
        assert "GMT+5:45" in (since.get_attribute("title") or "")
        shown, there = page.evaluate(
            "it => [it.textContent, new Date(it.dateTime).toLocaleTimeString('en-GB', {timeStyle: 'short'})]",
            since.element_handle(),
        )
        assert shown == there


@pytest.mark.wide
def test_ten_thousand_seats_are_a_page_like_any_other(browser: Browser, site: DashboardSite) -> None:
    """100 rows of them at a time, and all of them can be ended."""
    with browser.person(site) as page:
        page.goto(f"{site.admin_url}/?tenant=Many")
        heading(page, "10,000 of 20,000 seats in use in Many, 0 denials today")
        browser.show(page, "overview-many")
        page.goto(f"{site.admin_url}/seats?tenant=Many")
        heading(page, "10,000 of 20,000 seats in use in Many")
        expect(page.locator("tbody")).to_have_count(100)
        browser.show(page, "seats-many")
        page.get_by_role("link", name="Next").click()
        expect(page.get_by_role("link", name="From the start")).to_be_visible()
        expect(page.locator("tbody")).to_have_count(100)
        page.get_by_role("link", name="End all 10,000").click()
        heading(page, "End 10,000 sessions of Machine?")
        expect(page.locator("main")).to_contain_text("10,000 seats are free")


@pytest.mark.wide
def test_a_link_on_another_site_finds_the_reader_signed_in(browser: Browser, site: DashboardSite) -> None:
    """A cookie that is SameSite=Strict is not sent with it; the page asks for itself once more."""
    with browser.person(site) as page:
        page.goto(f"{site.admin_url}/sign-in".replace("127.0.0.1", "localhost"))
        heading(page, "Sign in")
        page.evaluate("address => { location = address }", f"{site.admin_url}/seats?tenant=Nobody")
        heading(page, "0 of 3 seats in use in Nobody")


PAGES = {
    "overview": "/",
    "overview-one": "/?tenant=Odd",
    "overview-nobody": "/?tenant=Nobody",
    "seats": "/seats?tenant=Odd",
    "seats-tenants": "/seats",
    "seats-nobody": "/seats?tenant=Nobody",
    "seats-nothing-fits": "/seats?tenant=Odd&q=zzz",
    "seats-without": "/seats?tenant=Odd&kind=without-seat",
    "seats-end": "/seats/end?tenant=Odd&all=1",
    "nothing-to-end": "/seats/end?tenant=Odd",
    "not-there": "/nowhere",
    "client-page": "/client?tenant=Odd&name=" + "x" * 128,
    "user-page": "/user?tenant=Odd&name=A1",
    "search": "/search?q=a",
    "search-nothing": "/search?tenant=Odd&q=zzz",
}


@pytest.mark.parametrize("name", few(PAGES, 1))
def test_nothing_keeps_anybody_from_using_a_page(browser: Browser, site: DashboardSite, name: str) -> None:
    """WCAG 2.2 AA as far as axe can tell, in light and dark; no wider than a telephone; names of any kind."""
    with browser.person(site) as page:
        page.goto(f"{site.admin_url}{PAGES[name]}")
        page.locator("time[data-time]").first.or_(page.locator("h1")).first.wait_for()
        browser.check_access(page)
        browser.show(page, name)


@pytest.mark.wide
def test_nothing_keeps_anybody_from_signing_in(browser: Browser, site: DashboardSite) -> None:
    """Also after a wrong password."""
    with browser.window() as page:
        page.goto(f"{site.admin_url}/sign-in")
        browser.check_access(page)
        browser.show(page, "sign-in")
        page.get_by_label("Name").fill("ada")
        page.get_by_label("Password").fill("wrong")
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("alert")).to_have_text("The name or the password is wrong.")
        expect(page.get_by_label("Name")).to_have_value("ada")
        expect(page.get_by_label("Password")).to_be_focused()
        browser.check_access(page)
        browser.show(page, "sign-in-refused")


@pytest.mark.wide
def test_a_viewer_sees_all_and_can_end_nothing(browser: Browser, site: DashboardSite) -> None:
    """The pages have no button that would not work."""
    with browser.person(site, "vera", PHONE) as page:
        page.goto(f"{site.admin_url}/seats?tenant=Odd")
        expect(page.locator("tbody")).to_have_count(len(ODD))
        expect(page.get_by_role("link", name="End")).to_have_count(0)
        expect(page.get_by_role("checkbox")).to_have_count(0)
        page.goto(f"{site.admin_url}/seats/end?tenant=Odd&all=1")
        heading(page, "This is not for your role")
