"""The search over everything: what it finds, where it leads, and that it stays within a reader's tenants."""

import csv
from collections.abc import Iterator
from io import StringIO

import pytest
from playwright.sync_api import expect

from licet.admin.pages.search.names import Kind, find_names
from support.admin.browser import Browser
from support.admin.dashboard import DashboardSite, Reader, heading
from support.admin.pages import links_of, text_of
from support.examples import CLIENTS, client, jim_test
from support.server.running import PASSWORD_HASH
from support.waiting import until

GRANT = {"grant_type": "client_credentials"}


class Site(DashboardSite):
    """With a second tenant, an id of a refused request in each, and of a session in each."""

    requests: dict[str, str]
    sessions: dict[str, str]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Names of both tenants that have a part in common."""
    with Site(tmp_path_factory.mktemp("site"), manual_clock=True) as site:
        with site.changing() as change:
            other = change.add_tenant("Hidden_Ltd", seats=1)
            other.add_user("OO", name="Olga Hidden", password_hash=PASSWORD_HASH)
            other.add_client("HiddenClient", user="OO")
            other.add_pool("hidden-pool", seats=1)
            change.tenant("Jim_Test").add_user("HI", name="Hilda Hiddensee", password_hash=PASSWORD_HASH)
            change.tenant("Jim_Test").add_client("Warehouse 7", user="HI")
        site.add_owner("olga", "Hidden_Ltd")
        site.add_owner("jim", "Jim_Test")
        refused = {
            "jim": site.ask("Jim_Test/token", "Client1", "wrong", **GRANT),
            "other": site.ask("Hidden_Ltd/token", "HiddenClient", "wrong", **GRANT),
        }
        site.requests = {name: answer.json()["request_id"] for name, answer in refused.items()}
        site.take("Client2").raise_for_status()
        site.advance(seconds=60)  # an id begins with the time
        site.ask("Hidden_Ltd/token", "HiddenClient", **GRANT).raise_for_status()
        with site.reader("ada") as ada:
            for request_id in site.requests.values():
                until(lambda id_=request_id: ada.get(f"/search?q={id_}").status_code == 303)  # type: ignore[misc]
            site.sessions = {
                "jim": sid_of(ada, "Jim_Test", "Client2"),
                "other": sid_of(ada, "Hidden_Ltd", "HiddenClient"),
            }
        yield site


def sid_of(reader: Reader, tenant: str, client_id: str) -> str:
    """The id of a client's session."""
    file = reader.get(f"/seats/download.csv?tenant={tenant}&q={client_id}").text
    [row] = csv.DictReader(StringIO(file))
    return row["session"]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("Warehouse", "/client?tenant=Jim_Test&name=Warehouse+7"),
        ("7 WARE", "/client?tenant=Jim_Test&name=Warehouse+7"),
        ("hilda", "/user?tenant=Jim_Test&name=HI"),
        ("Jim_T", "/?tenant=Jim_Test"),
        ("hidden-p", "/seats?tenant=Hidden_Ltd&pool=hidden-pool"),
    ],
)
def test_the_only_thing_that_is_found_is_opened(ada: Reader, text: str, place: str) -> None:
    """By any words of its name, whatever their case."""
    answer = ada.get(f"/search?q={text}")
    assert answer.status_code == 303
    assert answer.headers["location"] == place
    assert ada.get(place).status_code == 200


def test_several_are_listed_by_kind_with_their_tenants(ada: Reader) -> None:
    page = ada.get("/search?q=hidden")
    assert (
        heading(page) == "5 results for \N{LEFT DOUBLE QUOTATION MARK}hidden\N{RIGHT DOUBLE QUOTATION MARK}"
    )
    said = text_of(page)
    for title in ("1 tenant", "1 pool", "2 users", "1 client"):
        assert title in said
    assert "HI Hilda Hiddensee Jim_Test" in said
    for to in links_of(page):
        assert ada.get(to).status_code == 200, to


def test_a_session_is_found_by_the_begin_of_its_id(site: Site, ada: Reader) -> None:
    for chars in (6, 7, 12, 40):
        answer = ada.get(f"/search?q={site.sessions['jim'][:chars].upper()}")
        assert answer.headers["location"] == "/client?tenant=Jim_Test&name=Client2", chars
    assert heading(ada.get(f"/search?q={site.sessions['jim'][:5]}")).startswith("Nothing was found")
    assert heading(ada.get(f"/search?q={site.sessions['jim']}0")).startswith("Nothing was found")


def test_a_refused_request_is_found_by_its_id(site: Site, ada: Reader) -> None:
    answer = ada.get(f"/search?tenant=Jim_Test&q={site.requests['jim']}")
    place = answer.headers["location"]
    assert place == f"/denials/request?tenant=Jim_Test&id={site.requests['jim']}"
    assert heading(ada.get(place)) == "Client1 did not get in: wrong password or secret"


@pytest.mark.parametrize(
    "text", ["", "zzz", "%", "a_b", "*", "<b>x</b>", "%00%07", "x" * 5000, "\N{PILE OF POO}"]
)
def test_where_nothing_is_found_the_page_says_what_was_searched(ada: Reader, text: str) -> None:
    """It is text and no pattern."""
    page = ada.http.get("/search", params={"q": text})
    assert page.status_code == 200
    said = text_of(page)
    assert "sessions that are open, by the begin of their ids" in said
    assert "<b>x" not in page.text
    assert heading(page).startswith(("Nothing was found for", "Search for anything"))


def test_a_reader_of_one_tenant_finds_nothing_of_another(site: Site) -> None:
    """Nor does it differ from what is nowhere, but for the text."""

    def without(text: str, page: str) -> str:
        return page.partition("<main")[2].replace(text, "TEXT")

    theirs = [
        "Hidden_Ltd",
        "HiddenClient",
        "hidden-pool",
        "Olga",
        site.sessions["other"],
        site.sessions["other"][:8],
        site.requests["other"],
    ]
    with site.reader("jim") as jim:
        for text in theirs:
            nowhere = "".join("0" if char in "123456789abcdef" else char for char in text) + "q"
            page, other = jim.get(f"/search?q={text}"), jim.get(f"/search?q={nowhere}")
            assert page.status_code == other.status_code == 200, text
            assert heading(page).startswith("Nothing was found"), text
            assert "OO" not in text_of(page), text
        assert jim.get("/search?q=hidden").headers["location"] == "/user?tenant=Jim_Test&name=HI"
        assert jim.get("/search?tenant=Hidden_Ltd&q=Client").status_code == 404
        assert jim.get(f"/search?q={site.sessions['jim']}").status_code == 303
    with site.reader("olga") as olga:
        assert "Jim_Test" not in olga.get("/search?q=client").headers["location"]
        assert heading(olga.get(f"/search?q={site.requests['jim']}")).startswith("Nothing was found")
    with site.reader(None) as nobody:
        assert nobody.get("/search?q=Client1").headers["location"].startswith("/sign-in")


def test_the_chosen_tenant_comes_first_and_the_whole_name_before_parts_of_it() -> None:
    one = jim_test(id=1, name="One", clients=[*CLIENTS, client(20, "Client", "CL")])
    two = jim_test(id=2, name="Two", clients=[client(21, "A Client1", "XX")])
    found = find_names([one, two], "client1").of_kind[Kind.CLIENT]
    assert [(it.tenant, it.name) for it in found.shown] == [("One", "Client1"), ("Two", "A Client1")]
    assert find_names([one], "client").of_kind[Kind.CLIENT].shown[0].name == "Client"


def test_a_search_is_bounded_in_what_it_reads_and_in_what_it_shows() -> None:
    """All that fit are counted; where not every name was looked at, that is known."""
    many = jim_test(clients=[client(number, f"Desk-{number:05}", "DE") for number in range(1, 3000)])
    found = find_names([many], "desk")
    assert not found.is_cut
    assert found.of_kind[Kind.CLIENT].total == 2999
    assert [it.name for it in found.of_kind[Kind.CLIENT].shown] == [f"Desk-{it:05}" for it in range(1, 21)]
    cut = find_names([many], "desk", names_max=1000)
    assert cut.is_cut
    assert cut.of_kind[Kind.CLIENT].total < 1000
    assert find_names([many], "").of_kind == {}


@pytest.mark.wide
def test_a_person_searches_by_keyboard_from_any_page(browser: Browser, site: Site) -> None:
    """`/` leads to the field, also where a list has a filter of its own."""
    with browser.person(site) as page:
        for path in ("/seats?tenant=Jim_Test", "/set-up/clients?tenant=Jim_Test", "/help", "/nowhere"):
            page.goto(f"{site.admin_url}{path}")
            page.keyboard.press("/")
            expect(page.get_by_role("search", name="Everything").get_by_role("searchbox")).to_be_focused()
        page.keyboard.type("hidden")
        page.keyboard.press("Enter")
        expect(page.locator("h1")).to_contain_text("5 results for")
        expect(page.locator("#search")).to_have_value("hidden")
        browser.check_access(page)
        browser.show(page, "search")
        page.keyboard.press("/")
        page.keyboard.type("Warehouse")
        page.keyboard.press("Enter")
        expect(page.locator("h1")).to_contain_text("Client Warehouse 7 holds no seat")
