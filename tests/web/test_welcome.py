"""What a browser gets that opens the public listener, and what programs go on getting."""

import json
from base64 import b64encode
from collections.abc import Iterator
from hashlib import sha256
from importlib.metadata import version

import pytest

from licet.web.welcome import WelcomePages
from support.admin.browser import Browser
from support.server.running import RunningServer

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
    answer = server.http.get("/Jim_Test", headers={"accept": "*/*"})
    assert (answer.status_code, answer.json()["error"]) == (404, "invalid_request")
    assert refused(server) == ["There is nothing at this address."] * 2


def test_the_page_is_only_read(server: RunningServer) -> None:
    """RFC 9110 9.3.2: HEAD has the headers of GET and no body; anything else is 405."""
    head, got = (server.http.request(it, "/", headers={"accept": CHROMIUM}) for it in ("HEAD", "GET"))
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == got.headers["content-length"] == str(len(got.content))
    for method in ("POST", "PUT", "DELETE"):
        answer = server.http.request(method, "/", headers={"accept": CHROMIUM})
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")
        assert answer.json()["error"] == "invalid_request"


@pytest.mark.parametrize("path", ["/Jim_Test", "/Jim_Test/"])
def test_a_person_at_the_address_of_a_tenant_sees_its_endpoints(server: RunningServer, path: str) -> None:
    """As its metadata say them."""
    answer = server.http.get(path, headers={"accept": CHROMIUM})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    metadata = f"{server.url}/Jim_Test/.well-known/oauth-authorization-server"
    assert f'href="{metadata}"' in answer.text
    told = server.http.get(metadata).raise_for_status().json()
    assert told["token_endpoint"] in answer.text
    assert ":8081" not in answer.text


def test_a_tenant_that_is_not_there_is_told_as_anywhere_else(server: RunningServer) -> None:
    """In JSON: no page says more of which tenants there are than the metadata does."""
    for path in ("/Nobody", "/Nobody/", "/<b>", "/Jim_Test/more"):
        answer = server.http.get(path, headers={"accept": CHROMIUM})
        assert (answer.status_code, answer.json()["error"]) == (404, "invalid_request"), path


def test_the_page_runs_nothing_and_stands_in_no_frame(server: RunningServer) -> None:
    """It has no script and no picture, its style is allowed by its hash, and it tells no version."""
    answer = server.http.get("/", headers={"accept": CHROMIUM})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    style = answer.text.partition("<style>")[2].partition("</style>")[0]
    hashed = b64encode(sha256(style.encode()).digest()).decode()
    policy = answer.headers["content-security-policy"]
    assert policy.startswith(f"default-src 'none'; style-src 'sha256-{hashed}'; frame-ancestors 'none'")
    assert answer.headers["vary"] == "accept"
    assert version("licet") not in answer.text + str(answer.headers)
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
    answer = WelcomePages("https://licence.example.com", url).root(address)
    page = answer.body.decode()
    assert ("href" in page) == is_told
    assert (url in page) == is_told or url == ""
    kept = dict(answer.headers)[b"cache-control"]  # what everybody gets may be kept by a proxy
    assert kept == (b"no-store" if is_told else b"public, max-age=3600")
