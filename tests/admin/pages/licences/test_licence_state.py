"""A licence that has expired or expires soon looks like it, on every page that shows its pool."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from playwright.sync_api import expect

from licet.admin.pages.licence_state import LicenceState, licence_state
from licet.units import DAY_MS
from support.admin.browser import Browser
from support.admin.dashboard import DashboardSite, Reader, heading
from support.admin.pages import text_of
from support.many import few

HERE = "?tenant=Jim_Test"
NO_SEAT = "No seat can be had: the licence expired"


@pytest.mark.parametrize(
    ("left_ms", "state"),
    [
        (None, LicenceState.FAR),
        (30 * DAY_MS + 1, LicenceState.FAR),
        (30 * DAY_MS, LicenceState.SOON),
        (DAY_MS + 1, LicenceState.SOON),
        (DAY_MS, LicenceState.LAST_DAY),
        (1, LicenceState.LAST_DAY),
        (0, LicenceState.EXPIRED),
        (-400 * DAY_MS, LicenceState.EXPIRED),
    ],
)
def test_the_state_of_a_licence(left_ms: int | None, state: LicenceState) -> None:
    """It ends at its instant, which is not part of it any more."""
    now_ms = 1000 * DAY_MS
    assert licence_state(None if left_ms is None else now_ms + left_ms, now_ms) is state


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DashboardSite]:
    """A server whose clock a browser may have moved before: tests that need one come first."""
    with DashboardSite(tmp_path_factory.mktemp("site"), manual_clock=True) as site:
        yield site


@pytest.fixture(scope="module")
def two_seats(site: DashboardSite) -> None:
    """Two sessions on two seats."""
    ends_in(site, 40 * DAY_MS)
    for client_id in ("Client1", "Client2"):
        site.take(client_id).raise_for_status()


def ends_in(site: DashboardSite, left_ms: int | None) -> None:
    """Set the end of the licence so far from now."""
    with site.changing() as change:
        at_ms = None if left_ms is None else site.clock.now_ms() + left_ms
        change.tenant("Jim_Test").set_pool("full", expires_at_ms=at_ms)


def at(site: DashboardSite, left_ms: int) -> str:
    """How the instant so far from now is written."""
    return f"{datetime.fromtimestamp((site.clock.now_ms() + left_ms) // 1000, UTC):%Y-%m-%d %H:%M} UTC"


def test_an_end_that_is_far_away_is_quiet(site: DashboardSite, ada: Reader) -> None:
    ends_in(site, 40 * DAY_MS)
    assert f"licence expires {at(site, 40 * DAY_MS)}" in text_of(ada.get(f"/{HERE}"))
    for path in (f"/{HERE}", f"/seats{HERE}"):
        assert 'class="licence ' not in ada.get(path).text


@pytest.mark.usefixtures("two_seats")
def test_an_end_within_30_days_is_told_with_what_ends(site: DashboardSite, ada: Reader) -> None:
    ends_in(site, 12 * DAY_MS)
    for path in (f"/{HERE}", f"/seats{HERE}"):
        page = ada.get(path)
        assert 'class="licence soon"' in page.text
        assert "Now 2 sessions would end." in text_of(page)


@pytest.mark.usefixtures("two_seats")
def test_an_end_within_a_day_is_told_more_strongly(site: DashboardSite, ada: Reader) -> None:
    ends_in(site, DAY_MS // 2)
    for path in (f"/{HERE}", f"/seats{HERE}"):
        page = ada.get(path)
        assert 'class="licence last-day"' in page.text
        assert "The 2 sessions that are open end then." in text_of(page)


def test_a_licence_that_has_expired_has_no_seat_free(site: DashboardSite, ada: Reader) -> None:
    """It is said by words and a sign, not by a colour alone; and nowhere that seats are free."""
    with site.changing() as change:
        change.add_tenant("Other", seats=2)
        change.tenant("Other").set_pool("full", expires_at_ms=site.clock.now_ms() - DAY_MS)
    with site.reader("ada") as reader:
        for path in ("/?tenant=Other", "/seats?tenant=Other"):
            page = reader.get(path)
            assert 'class="licence ended"' in page.text
            assert NO_SEAT in text_of(page)
            assert "free" not in text_of(page)
        assert "licence of full has expired" in heading(reader.get("/?tenant=Other"))
        lists = [reader.get(path) for path in ("/", "/seats")]
    with site.changing() as change:
        change.remove_tenant("Other")
    assert f"licence expired {at(site, -DAY_MS)}" in text_of(lists[0])
    assert "2 seats free" not in text_of(lists[0])
    assert f"full : licence expired {at(site, -DAY_MS)}" in text_of(lists[1])
    assert all('class="state ended"' in page.text for page in lists)


@pytest.mark.parametrize(
    ("zone", "said"),
    few(
        [
            ("Australia/Sydney", "at the end of today"),
            ("Asia/Kathmandu", "today at 18:45"),
            ("UTC", "today at 13:00"),
        ],
        1,
    ),
)
def test_the_hour_is_that_of_the_reader(browser: Browser, site: DashboardSite, zone: str, said: str) -> None:
    """Midnight in Sydney is the end of the day there, and a quarter to seven in the evening in Kathmandu."""
    end_ms = 1_700_053_200_000  # 2023-11-15T13:00Z
    with site.changing() as change:
        change.tenant("Jim_Test").set_pool("full", expires_at_ms=end_ms)
    site.switches.clock.move_to(end_ms - 12 * 3_600_000)
    with browser.person(site, "ada", timezone_id=zone) as page:
        page.goto(f"{site.admin_url}/{HERE}")
        expect(page.locator(".licence.last-day")).to_contain_text(f"The licence expires {said}")
        expect(page.locator(".licence.last-day")).to_contain_text("in 12 h 00 min")
        browser.check_access(page)
        browser.show(page, "licence-last-day")
        page.goto(f"{site.admin_url}/seats{HERE}")
        expect(page.locator(".licence.last-day")).to_contain_text(f"The licence expires {said}")


EXPIRED = {
    "licence-expired": f"/{HERE}",
    "licence-expired-seats": f"/seats{HERE}",
    "licence-soon": "/?tenant=Soon",
    "licence-all": "/",
    "licence-all-seats": "/seats",
}


@pytest.fixture(scope="module")
def soon(site: DashboardSite) -> None:
    """One more tenant."""
    with site.changing() as change:
        change.add_tenant("Soon", seats=3)


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize("name", few(EXPIRED, 0))
def test_what_a_browser_shows_of_an_expired_licence(browser: Browser, site: DashboardSite, name: str) -> None:
    ends_in(site, 0)
    with site.changing() as change:
        change.tenant("Soon").set_pool("full", expires_at_ms=site.clock.now_ms() + 5 * DAY_MS)
    with browser.person(site, "ada", timezone_id="Asia/Kathmandu") as page:
        page.goto(f"{site.admin_url}{EXPIRED[name]}")
        browser.check_access(page)
        browser.show(page, name)
