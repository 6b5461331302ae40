"""What a browser gets that opens the public listener, and what programs go on getting."""

import json
from collections.abc import Iterator

import pytest

from licet.web.welcome import welcome
from support.browser import Browser
from support.running import RunningServer

CHROMIUM = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server with a dashboard."""
    with RunningServer(tmp_path_factory.mktemp("welcome"), admin=True) as found:
        yield found


def refused(server: RunningServer) -> list[str]:
    """The paths' errors that are in the log."""
    lines = (json.loads(line) for line in server.log().splitlines() if line.startswith("{"))
    return [line["detail"] for line in lines if line["event"] == "refused"]


def test_a_person_is_told_what_this_is_and_led_to_the_dashboard(
    server: RunningServer, browser: Browser
) -> None:
    """In a real browser on the same machine; nothing of it is an error in the log."""
    with browser.window() as page:
        page.goto(server.url)
        assert page.title() == "Licet"
        page.get_by_role("link", name=server.admin_url).click()
        page.get_by_role("heading", name="Sign in").wait_for()
    assert refused(server) == []


def test_what_a_browser_asks_for_by_itself_is_no_refusal(server: RunningServer) -> None:
    """There is no picture, and nobody made a mistake."""
    assert server.http.get("/favicon.ico").status_code == 404
    assert refused(server) == []


def test_programs_get_an_error_as_everywhere_where_nothing_is(server: RunningServer) -> None:
    """JSON, and a line in the log."""
    answer = server.http.get("/", headers={"accept": "application/json"})
    assert (answer.status_code, answer.json()["error"]) == (404, "invalid_request")
    assert server.http.post("/", headers={"accept": CHROMIUM}).status_code == 404
    assert refused(server) == ["There is nothing at this address."] * 2


def test_the_page_runs_nothing_and_stands_in_no_frame(server: RunningServer) -> None:
    """It has no script, no style and no picture."""
    answer = server.http.get("/", headers={"accept": CHROMIUM})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["vary"] == "accept"
    assert answer.headers["x-request-id"]


@pytest.mark.parametrize(
    ("url", "address", "is_told"),
    [
        ("http://127.0.0.1:8081", "127.0.0.1", True),
        ("http://[::1]:8081", "::1", True),
        ("http://127.0.0.1:8081", "192.0.2.1", False),
        ("http://10.0.0.1:8081", "127.0.0.1", False),
        ("https://licence-admin.example.com", "127.0.0.1", False),
        ("", "127.0.0.1", False),
    ],
)
def test_only_who_is_on_the_machine_is_told_where_the_dashboard_is(
    url: str, address: str, is_told: bool
) -> None:
    """Its address is nobody else's business."""
    page = welcome(url, address).body.decode()
    assert ("href" in page) == is_told
    assert (url in page) == is_told or url == ""
