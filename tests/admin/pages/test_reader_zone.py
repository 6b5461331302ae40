"""The reader's time zone: where days begin on pages and in files, when the day is another one there."""

import csv
import re
from collections.abc import Iterator
from datetime import datetime
from html import unescape
from io import StringIO

import pytest
from playwright.sync_api import expect

from support.admin.browser import Browser
from support.admin.dashboard import DashboardSite, Reader, heading
from support.many import few
from support.waiting import until

HERE = "?tenant=Jim_Test"
HOSTILE = (
    "",
    "Nowhere/None",
    "..%2F..%2Fetc%2Fpasswd",
    "%2Fetc%2Fpasswd",
    "Europe",  # a folder of the database
    "tzdata.zi",
    "%00",
    "%FF%FE",
    "%E2%82%AC",
    "%",
    "%25252e",
    "x" * 4000,
    "Australia%252FSydney",  # encoded twice
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DashboardSite]:
    """Denials at 22:13 UTC on 14 Nov 2023, and now it is noon of the 15th: in UTC they were yesterday."""
    with DashboardSite(tmp_path_factory.mktemp("site"), manual_clock=True) as site:
        with site.changing() as change:
            change.tenant("Jim_Test").set_pool("full", seats=1)
        assert _of_day(site) // 60 == 22 * 60 + 13
        site.take("Client1").raise_for_status()
        for _ in range(5):
            assert site.take("Client3").status_code == 400
        site.advance(seconds=86_400 + 12 * 3600 - _of_day(site))
        # After the jump the last answer of the store is a day old, which pages would report.
        until(lambda: site.http.get("/health/ready").status_code == 200)
        yield site


def _of_day(site: DashboardSite) -> int:
    return site.clock.now_ms() // 1000 % 86_400


def of_zone(reader: Reader, cookie: str) -> dict[str, str]:
    """The header of somebody whose browser sends this cookie beside that of the sign-in."""
    held = "; ".join(f"{name}={text}" for name, text in reader.http.cookies.items() if name != "licet-zone")
    return {"cookie": f"{held}; licet-zone={cookie}"}


@pytest.mark.parametrize(
    ("cookie", "denials", "peak"),
    [
        ("Australia%2FSydney", 5, True),  # as app.js writes it: encodeURIComponent
        ("Asia%2FKathmandu", 5, True),
        ("Asia%2FKatmandu", 5, True),  # as Chromium calls it
        ("Australia/Sydney", 5, True),
        ("Europe%2FLondon", 0, False),
        ("UTC", 0, False),
    ],
)
def test_today_begins_at_the_reader_s_midnight(ada: Reader, cookie: str, denials: int, *, peak: bool) -> None:
    page = ada.get(f"/{HERE}", **of_zone(ada, cookie))
    assert heading(page).endswith(f"{denials} denials today")
    assert ("peak today" in page.text) == peak


@pytest.mark.parametrize("cookie", HOSTILE)
@pytest.mark.parametrize("path", few(["/usage", "/"], 1))
def test_a_zone_that_is_none_is_utc(ada: Reader, path: str, cookie: str) -> None:
    """What a browser sends is never an error, whatever it is."""
    page = ada.get(f"{path}{HERE}", **of_zone(ada, cookie))
    assert page.status_code == 200
    assert _without_noise(page.text) == _without_noise(ada.get(f"{path}{HERE}", **of_zone(ada, "UTC")).text)


def _without_noise(page: str) -> str:
    return re.sub(r'name="csrf" value="[^"]*"', "", page)


def test_the_list_of_all_tenants_counts_the_reader_s_day(ada: Reader, site: DashboardSite) -> None:
    with site.changing() as change:
        change.add_tenant("Other", seats=1)
    try:
        assert heading(ada.get("/", **of_zone(ada, "Asia%2FKathmandu"))).endswith("5 denials today")
        assert heading(ada.get("/", **of_zone(ada, "UTC"))).endswith("0 denials today")
    finally:
        with site.changing() as change:
            change.remove_tenant("Other")


@pytest.mark.parametrize(
    ("cookie", "hour"),
    [("Australia%2FSydney", "Wed 09:00"), ("Asia%2FKathmandu", "Wed 03:00"), ("UTC", "Tue 22:00")],
)
def test_the_heat_map_has_the_reader_s_weekdays_and_hours(ada: Reader, cookie: str, hour: str) -> None:
    page = ada.get(f"/usage{HERE}&span=7d", **of_zone(ada, cookie))
    denied = re.findall(r'title="([^"]*denials[^"]*)"', page.text)
    assert [unescape(it)[:9] for it in denied] == [hour]


@pytest.mark.parametrize(
    ("cookie", "begins"),
    [
        ("Australia%2FSydney", "2023-11-14T13:00:00Z"),
        ("Asia%2FKathmandu", "2023-11-14T18:15:00Z"),
        ("UTC", "2023-11-14T00:00:00Z"),
    ],
)
def test_days_of_the_chart_and_the_file_begin_at_the_reader_s_midnight(
    ada: Reader, cookie: str, begins: str
) -> None:
    file = ada.get(f"/usage/download.csv{HERE}&span=30d&pool=full", **of_zone(ada, cookie)).text
    rows = [it for it in csv.DictReader(StringIO(file)) if it["denials"] != "0"]
    assert [(it["from"], it["denials"]) for it in rows] == [(begins, "5")]
    page = ada.get(f"/usage{HERE}&span=30d", **of_zone(ada, cookie)).text
    chart = page.partition('data-chart="')[2].partition('"')[0]
    at = [int(word) for word in unescape(chart).partition('"at":[')[2].partition("]")[0].split(",")]
    assert round(datetime.fromisoformat(begins).timestamp()) in at


@pytest.mark.wide
def test_a_picture_is_drawn_by_the_reader_s_clocks(ada: Reader) -> None:
    path = f"/usage/download.svg{HERE}&span=24h&pool=full"
    sydney, utc = (ada.get(path, **of_zone(ada, it)).text for it in ("Australia%2FSydney", "UTC"))
    assert sydney != utc


@pytest.mark.parametrize(
    ("zone", "denied", "peak"),
    few([("Australia/Sydney", "09:13", "09:13"), ("Asia/Kathmandu", "03:58", "03:58")], 1),
)
def test_a_browser_shows_the_day_of_its_own_zone(
    browser: Browser, site: DashboardSite, zone: str, denied: str, peak: str
) -> None:
    """The cookie that the server reads is the one that a browser has set."""
    with browser.person(site, "ada", timezone_id=zone) as page:
        page.goto(f"{site.admin_url}/{HERE}")
        page.goto(f"{site.admin_url}/{HERE}")  # the first page told the server which zone it is
        (cookie,) = (it for it in page.context.cookies() if it.get("name") == "licet-zone")
        assert "%2F" in cookie.get("value", "")
        expect(page.locator("h1")).to_contain_text("5 denials today")
        expect(page.locator(".pool-facts")).to_contain_text(f"peak today 1 at {peak}")
        page.goto(f"{site.admin_url}/denials{HERE}")
        expect(page.locator(".denial .when").first).to_have_text(denied)
        page.goto(f"{site.admin_url}/journal{HERE}&kind=denied")
        expect(page.locator("tbody time").first).to_have_text(denied)
        page.goto(f"{site.admin_url}/usage{HERE}&span=30d")
        page.get_by_text("Peaks by day as a table").click()
        expect(page.locator(".figures tbody tr").first).to_contain_text("15 Nov")
        expect(page.locator(".figures tbody tr").first).to_contain_text("5")


@pytest.mark.parametrize(("zone", "says"), [("Australia%2FSydney", "5 denials"), ("UTC", "No denial")])
def test_the_denials_of_today_are_those_that_the_overview_counts(ada: Reader, zone: str, says: str) -> None:
    """Its number leads to them: since the reader's midnight, not of the last 24 hours or 30 days."""
    link = f"/denials{HERE}&pool=full&within=today"
    assert link.replace("&", "&amp;") in ada.get(f"/{HERE}", **of_zone(ada, zone)).text
    said = heading(ada.get(link, **of_zone(ada, zone)))
    assert said.startswith(says)
    assert "in Jim_Test today" in said


@pytest.mark.wide
def test_two_times_are_chosen_with_the_pickers_of_the_browser(browser: Browser, site: DashboardSite) -> None:
    """By the reader's clocks; the address has instants, so that the link shows another reader the same."""
    with browser.person(site, timezone_id="Pacific/Auckland") as page:
        page.goto(f"{site.admin_url}/denials{HERE}")
        page.reload()  # the server knows the zone now
        expect(page.get_by_label("From")).to_be_hidden()
        page.get_by_label("When").select_option("between two times")
        page.get_by_label("From").fill("2023-11-15T11:00")
        page.get_by_label("Until").fill("2023-11-15T12:00")
        page.get_by_role("button", name="Show").click()
        # 22:00 and 23:00 of UTC on the day before
        expect(page).to_have_url(re.compile("&from=1699999200000&until=1700002800000$"))
        expect(page.locator("h1")).to_contain_text("5 denials of 1 client")
        expect(page.locator(".chip", has_text="from")).to_contain_text(
            "from 15 Nov, 11:00 until 15 Nov, 12:00"
        )
        browser.check_access(page)
        browser.show(page, "denials-between")
        page.get_by_label("When").select_option("the last hour")
        page.get_by_role("button", name="Show").click()
        expect(page.locator("h1")).to_contain_text("No denial in Jim_Test in the last hour")
        page.goto(f"{site.admin_url}/usage{HERE}&from=1699999200000&until=1700002800000")
        expect(page.locator("h1")).to_contain_text("from 15 Nov, 11:00 until 15 Nov, 12:00, 5 denials")
        expect(page.get_by_label("From")).to_have_value("2023-11-15T11:00")
