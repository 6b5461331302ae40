"""What every page has around it, and what pages say where there is nothing yet."""

from collections.abc import Iterator
from importlib.metadata import version

import pytest
from playwright.sync_api import expect

from licet.admin.pages.frame import text_parts
from licet.alerts.evaluation import look
from support.admin.browser import PHONE, Browser
from support.admin.dashboard import DashboardSite, Reader, heading
from support.admin.pages import text_of

HERE = "?tenant=Jim_Test"
DAY_MS = 86_400_000


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DashboardSite]:
    """A full pool, a client that was denied, one that an administrator keeps off, and a tenant of nothing."""
    with DashboardSite(tmp_path_factory.mktemp("site"), manual_clock=True) as site:
        with site.changing() as change:
            change.add_tenant("Empty_Ltd", seats=3)
            change.tenant("Jim_Test").set_pool("full", seats=1)
        site.take("Client1").raise_for_status()
        assert site.take("Client2").status_code == 400
        with site.changing() as change:
            change.tenant("Jim_Test").suspend("Client3", site.clock.now_ms() + 3_600_000)
        for _ in range(3):
            assert site.take("Client3").status_code == 400
        with site.changing() as change:
            expires_at_ms = site.clock.now_ms() + 400 * DAY_MS
            change.tenant("Jim_Test").set_pool("full", expires_at_ms=expires_at_ms)
        site.advance(seconds=60)
        yield site


def test_every_page_has_the_version_and_leads_to_help(ada: Reader) -> None:
    for path in ("/", "/seats", "/usage" + HERE, "/set-up/pools" + HERE, "/journal", "/alerts"):
        page = ada.get(path).text
        assert f"Licet {version('licet')}</span>" in page
        tenant, place = HERE if HERE in path else "", path.partition("?")[0].strip("/") or "overview"
        place = "set-up" if place.startswith("set-up") else place
        assert f'<a data-help href="/help{tenant}#{place}">Help</a>' in page
        assert f'<dt id="{place}">' in ada.get("/help").text
    said = text_of(ada.get("/help"))
    assert "/api/v1/docs" in said
    assert "Your role is owner" in said


def test_a_countdown_is_none_without_a_script_either(ada: Reader) -> None:
    """Minutes are never a time of day: `within 19 min (by ...)`."""
    said = text_of(ada.get(f"/{HERE}"))
    assert "a seat is free within 19 min (by 2023-11-14 22:33 UTC" in said
    assert "19 min left" in said
    assert " 19 min 127.0.0.1" in text_of(ada.get(f"/seats{HERE}"))


def test_help_is_for_who_is_signed_in(site: DashboardSite) -> None:
    with site.reader(None) as nobody:
        assert nobody.get("/help").status_code == 303


def test_a_page_that_is_not_there_leads_on(site: DashboardSite, ada: Reader) -> None:
    """With the navigation for who is signed in; asking again would change nothing."""
    for path in ("/nothing/here", "/seats?tenant=Nope", "/set-up/pools/edit" + HERE + "&name=nope"):
        page = ada.get(path)
        assert page.status_code == 404
        assert 'aria-label="Pages"' in page.text
        assert "Try again" not in page.text
        assert '<a class="button first" href="/">Overview</a>' in page.text
    with site.reader(None) as nobody:
        page = nobody.get("/nothing/here")
        assert page.status_code == 404
        assert 'aria-label="Pages"' not in page.text


def test_an_empty_tenant_says_what_to_do_first(ada: Reader) -> None:
    """A client needs a user, and where there are several tenants a command names its own."""
    clients = ada.get("/set-up/clients?tenant=Empty_Ltd")
    assert "A client stands for a user. Add a user first" in text_of(clients)
    assert 'licet user add TC --name "Test Client" --tenant Empty_Ltd' in text_of(clients)
    assert 'href="/set-up/users/add?tenant=Empty_Ltd">Add a user</a>' in clients.text
    assert "--tenant Empty_Ltd" in text_of(ada.get("/set-up/users?tenant=Empty_Ltd"))


def test_what_no_seat_avoids_is_left_out_and_told(ada: Reader) -> None:
    """Three denials of a client that is suspended: with any number of seats they would have been there."""
    page = ada.get(f"/usage{HERE}&span=7d")
    said = text_of(page)
    assert "3: an administrator suspended the client" in said
    assert "Seats Denials More seats avoid No seat avoids Mark 1 4 1 3 now 2 3 0 3 advised" in said
    assert [page.text.count(f'<rect class="{kind}"') for kind in ("avoidable", "never")] == [1, 1]
    assert "1 now</text>" in page.text
    assert "2 advised</text>" in page.text
    assert (
        "With 2 seats you would have had 0 denials in these 7 days, beside 3 that no seat avoids"
        " (an administrator suspended the client)."
    ) in said
    assert "assumes each refused client would have kept its seat for one whole session" in said


def test_an_event_is_told_in_words_and_by_the_reader_s_clock(ada: Reader) -> None:
    page = ada.get(f"/journal{HERE}&kind=event&within=all")
    assert "expires never \N{RIGHTWARDS ARROW} <time datetime=" in page.text
    assert "->" not in text_of(page)
    assert text_parts("seats 5 -> 2") == [("seats 5 \N{RIGHTWARDS ARROW} 2", None, "")]
    assert text_parts("a 1970-01-01T00:00:01Z b") == [
        ("a ", None, ""),
        ("1970-01-01T00:00:01Z", 1000, "moment"),
        (" b", None, ""),
    ]
    assert text_parts("2026-99-99 <b>") == [("2026-99-99 <b>", None, "")]


@pytest.mark.parametrize(
    ("detail", "forms"),
    [
        ("expires never -> 2035-02-01T00:00:00Z", ["last"]),
        ("expires 2034-02-01T00:00:00Z -> 2035-02-01T00:00:00Z, seats 1 -> 2", ["last", "last"]),
        ("abc, expires 2035-02-01T00:00:00Z", ["last"]),
        ("no seat until 2035-02-01T00:00:00Z", ["moment"]),
        ("expires never, no seat until 2035-02-01T00:00:00Z", ["moment"]),
    ],
)
def test_an_event_shows_the_last_day_of_what_expires(detail: str, forms: list[str]) -> None:
    assert [form for _, at_ms, form in text_parts(detail) if at_ms is not None] == forms


def test_headings_count_as_people_do(ada: Reader) -> None:
    assert heading(ada.get(f"/seats{HERE}&q=Client1")) == "1 matching seat in use in Jim_Test"
    assert heading(ada.get("/denials")) == "Denials of which tenant?"
    assert "highest 1 of 1 seat&" in ada.get(f"/{HERE}").text.replace("&#34;", "&")


def test_alerts_have_a_row_for_a_pool_and_say_who_heard_of_them(site: DashboardSite, ada: Reader) -> None:
    """Of 80, 90 and 100 per cent the highest; without a receiver nobody was told."""
    with site.store() as store:
        look(store)
    page = ada.get("/alerts")
    assert heading(page) == "1 pool has an alert"
    rows = page.text.partition("<tbody>")[2].partition("</tbody>")[0]
    assert rows.count("<tr>") == 1
    assert "100 % reached" in rows
    assert "a seat was denied" in rows
    assert "80 %" not in rows
    assert "to nobody: there is no receiver" in rows
    assert "alerts are reported to nobody." in text_of(page)
    badge = '<span class="badge">1<span class="hidden"> pool has an alert</span></span>'
    assert ada.get("/alerts/badge").text == badge
    assert ada.get("/alerts/badge?tenant=Empty_Ltd").text == ""


@pytest.mark.wide
def test_the_navigation_shows_how_many_pools_have_an_alert(browser: Browser, site: DashboardSite) -> None:
    with site.store() as store:
        look(store)
    with browser.person(site, "ada", timezone_id="Asia/Kathmandu") as page:
        page.goto(f"{site.admin_url}/{HERE}")
        expect(page.locator(".pages .badge")).to_contain_text("1")
        page.locator("#search").press("?")
        expect(page.locator("#search")).to_have_value("?")  # typed, and nothing else
        page.locator("h1").click()
        page.keyboard.press("?")
        expect(page.locator("h1")).to_have_text("Help")
        expect(page).to_have_url(f"{site.admin_url}/help{HERE}#overview")
        browser.check_access(page)
        browser.show(page, "help")
        page.goto(f"{site.admin_url}/alerts")
        browser.show(page, "alerts-raised")


@pytest.mark.wide
def test_on_a_phone_rows_are_cards_and_all_pages_are_in_the_navigation(
    browser: Browser, site: DashboardSite
) -> None:
    with browser.person(site, "ada", size=PHONE, timezone_id="Asia/Kathmandu") as page:
        for name, path in {
            "seats-cards": f"/seats{HERE}",
            "journal-cards": f"/journal{HERE}&within=all",
        }.items():
            page.goto(f"{site.admin_url}{path}")
            for link in ("Journal", "Alerts"):
                expect(page.locator(".pages").get_by_role("link", name=link)).to_be_in_viewport()
            browser.check_access(page)
            browser.show(page, name)
        page.goto(f"{site.admin_url}/seats{HERE}")
        expect(page.get_by_role("link", name="End Client1")).to_be_in_viewport()
        for cell in page.locator("table.seats tbody td:visible").all():
            box = cell.bounding_box()
            assert box is not None
            assert box["x"] + box["width"] <= PHONE[0]


def test_scopes_are_asked_for_only_where_they_count(browser: Browser, site: DashboardSite) -> None:
    with browser.person(site, "ada", timezone_id="Asia/Kathmandu") as page:
        page.goto(f"{site.admin_url}/set-up/clients/add{HERE}")
        scopes = page.locator("#f-scopes")
        expect(scopes).to_be_hidden()
        page.locator('input[name="scopes_all"][value="some"]').check()
        expect(scopes).to_be_visible()
        assert "With another user its sessions end" not in page.content()
        browser.show(page, "client-form")
