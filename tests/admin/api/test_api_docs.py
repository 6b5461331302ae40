"""The page of the admin API, and the ways to it; Chromium tries it out in test_api_docs_browser.py."""

import re
from collections.abc import Iterator
from urllib.parse import urljoin

import pytest

from support.admin.admin_site import PASSWORD, URL, AdminSite
from support.store.kinds import SqlitePlaces
from support.store.setup_site import START_MS

PAGE = "/api/v1/docs"
GUESSES = ["/docs", "/redoc", "/api/v1", "/api/v1/"]


@pytest.fixture(scope="module")
def site(sqlite_places: SqlitePlaces, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AdminSite]:
    """An admin listener."""
    directory = tmp_path_factory.mktemp("api-docs")
    site = AdminSite(sqlite_places.make(directory, START_MS), directory)
    yield site
    site.close()


@pytest.mark.parametrize("path", GUESSES)
def test_where_people_look_they_are_led_to_the_page(site: AdminSite, path: str) -> None:
    """By a relative address, so that a proxy may put a path before it."""
    answer = site.node.send("GET", path, headers={"accept": "text/html,*/*;q=0.8"})
    assert answer.status_code == 307
    for before in ("", "/licet"):
        assert urljoin(f"{URL}{before}{path}", answer.headers["location"]) == f"{URL}{before}{PAGE}"


@pytest.mark.parametrize("path", GUESSES)
def test_a_program_is_answered_with_the_addresses(site: AdminSite, path: str) -> None:
    """As JSON; a cache must not mix up both answers."""
    answer = site.node.send("GET", path)
    assert answer.json() == {"openapi": "/api/v1/openapi.json", "docs": PAGE}
    assert answer.headers["vary"] == "Accept"


def test_the_page_needs_no_sign_in_and_then_has_no_token(site: AdminSite) -> None:
    """It says what there is to be asked, and nothing of what is there."""
    answer = site.node.send("GET", PAGE)
    assert answer.status_code == 200
    assert "csrf" not in answer.text
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert "Jim_Test" not in answer.text


def test_who_is_signed_in_is_named_and_has_the_token_of_the_sign_in(site: AdminSite) -> None:
    """Which is never kept by a cache."""
    form = {"name": "ada", "password": PASSWORD}
    signed_in = site.node.send("POST", "/sign-in", data=form, headers={"origin": URL})
    cookie = signed_in.headers["set-cookie"].partition(";")[0]
    answer = site.node.send("GET", PAGE, headers={"cookie": cookie})
    assert "<bdi>ada</bdi></b>, owner" in answer.text
    assert re.search(r'<meta name="csrf" content="[^"]{20,}">', answer.text)
    assert answer.headers["cache-control"] == "no-store"


def test_all_that_the_page_loads_is_here_and_found_behind_a_path(site: AdminSite) -> None:
    """No other host is asked."""
    text = site.node.send("GET", PAGE).text
    loaded = re.findall(r'(?:src|href)="([^"]+)"', text)
    assert len(loaded) > 6
    for before in ("", "/licet"):
        for address in loaded:
            found = urljoin(f"{URL}{before}{PAGE}", address)
            assert found.startswith(f"{URL}{before}/")
            if "sign-in" not in address and address != "../../":
                assert site.node.send("GET", found.removeprefix(URL + before)).status_code == 200


def test_the_document_names_the_server_that_serves_it(site: AdminSite) -> None:
    """A client that is generated from it asks this server."""
    assert site.node.send("GET", "/api/v1/openapi.json").json()["servers"][0]["url"] == URL


def test_the_document_is_small_enough_to_be_read_by_a_browser(site: AdminSite) -> None:
    """Each problem stands in it once: it grows with the operations, and not faster than they do."""
    document = site.node.send("GET", "/api/v1/openapi.json")
    operations = sum(len(path) for path in document.json()["paths"].values())
    assert len(document.content) < 2_700 * operations  # a guess: a twentieth more than it takes
