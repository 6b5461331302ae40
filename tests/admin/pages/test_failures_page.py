"""The pages of what was refused: failed authentications, one request by its id, who most often, as files."""

import csv
import re
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from playwright.sync_api import expect

from licet.model import FailureCause
from support.admin.browser import Browser
from support.admin.dashboard import DashboardSite, Reader, heading
from support.admin.pages import links_of, text_of
from support.server.running import PASSWORD_HASH
from support.waiting import until

HERE = "?tenant=Jim_Test"
GRANT = {"grant_type": "client_credentials"}


class Site(DashboardSite):
    """With a second tenant, administrators of it, and request ids of what was refused."""

    ids: dict[str, str]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Failures of two clients of `Jim_Test`, of nobody, of no tenant, and of a client of `Other`."""
    limits = {"login_failures_per_client_max": 1000, "login_failures_per_source_max": 1000}
    with Site(tmp_path_factory.mktemp("site"), manual_clock=True, metrics_public=True, **limits) as site:
        with site.changing() as change:
            change.add_tenant("Other", seats=1)
            change.tenant("Other").add_user("OO", name="Olga Other", password_hash=PASSWORD_HASH)
            change.tenant("Other").add_client("OthersClient", user="OO")
            change.tenant("Jim_Test").add_client("=cmd()", user="C1")
            change.tenant("Jim_Test").set_pool("full", seats=0)
        site.add_owner("olga", "Other")
        for _ in range(3):
            for _ in range(4):
                site.ask("Jim_Test/token", "Client1", "wrong", **GRANT)
            site.advance(seconds=60)
        answers = {
            "wrong": site.ask("Jim_Test/token", "TestClientId", "wrong", **GRANT),
            "formula": site.ask("Jim_Test/token", "=cmd()", "wrong", **GRANT),
            "nobody": site.ask("Jim_Test/token", "Nobody-here", "x", **GRANT),
            "tenant": site.ask("Nowhere/token", "Nobody-here", "x", **GRANT),
            "other": site.ask("Other/token", "OthersClient", "wrong", **GRANT),
            "denied": site.take("Client2"),
        }
        site.take("Client2")
        site.take("Client3")
        site.ids = {name: answer.json()["request_id"] for name, answer in answers.items()}
        with site.reader("ada") as reader:
            for id_ in site.ids.values():
                until(lambda id_=id_: "is not among" not in heading(find(reader, id_)))  # type: ignore[misc]
        yield site


@pytest.fixture(scope="module")
def ada(site: Site) -> Iterator[Reader]:
    """An owner of all tenants."""
    with site.reader("ada") as reader:
        yield reader


def find(reader: Reader, request_id: str, tenant: str = "") -> Any:
    """The page of a request."""
    return reader.get(f"/denials/request?id={request_id}{'&tenant=' + tenant if tenant else ''}")


def test_minutes_of_a_client_that_fails_again_and_again_are_one_row(ada: Reader) -> None:
    """With who, why and how often; it opens to the address and to what can be done."""
    page = ada.get(f"/failures{HERE}")
    assert heading(page).startswith(
        "15 failed authentications of 3 clients in Jim_Test in the last 30 days, the last"
    )
    said = text_of(page)
    assert "wrong password or secret \N{MULTIPLICATION SIGN} 12" in said
    assert "no client of that name \N{MULTIPLICATION SIGN} 1" in said
    assert "from 127.0.0.1" in said
    assert "Give the program the right secret" in said
    assert "Nobody-here" not in page.text


def test_who_was_refused_most_often_stands_first(ada: Reader) -> None:
    """On both pages, as `licet usage` has it."""
    rows = re.findall(
        r'<th scope="row"><a [^>]*>.*?title="([^"]*)".*?<td class="number"[^>]*>(\d+)', most(ada, "/failures")
    )
    assert rows[0] == ("Client1", "12")
    assert {name for name, _ in rows} == {"Client1", "TestClientId", "=cmd()"}
    rows = re.findall(
        r'<th scope="row"><a [^>]*>.*?title="([^"]*)".*?<td class="number"[^>]*>(\d+)', most(ada, "/denials")
    )
    assert rows == [("Client2", "2"), ("Client3", "1")]


def most(reader: Reader, path: str) -> str:
    """The table of a page."""
    text = " ".join(reader.get(f"{path}{HERE}").text.split())
    return text.partition("Refused most often")[2].partition("</section>")[0]


def test_filters_narrow_the_list(ada: Reader) -> None:
    """By cause, client, user and time."""
    for query, times in {
        "cause=wrong_secret": "14",
        "cause=unknown_client": "1",
        "client=Client1": "12",
        "user=C1": "13",
        "cause=nonsense": "15",
    }.items():
        assert heading(ada.get(f"/failures{HERE}&{query}")).split()[0] == times, query
    assert heading(ada.get(f"/failures{HERE}&client=Client9")).startswith("No failed authentication")


def test_who_looks_at_all_tenants_sees_those_of_none(site: Site, ada: Reader) -> None:
    """Also where there is one tenant only; a tenant's administrator sees that tenant's."""
    said = text_of(ada.get("/failures"))
    assert "no tenant of that name" in said
    assert "in Other" in said
    assert "in Jim_Test" in said
    with site.reader("olga") as olga:
        page = olga.get("/failures")
        assert heading(page).startswith("1 failed authentication of 1 client in Other")
        assert "OthersClient" in page.text
        assert "Client1" not in page.text
        assert olga.get(f"/failures{HERE}").status_code == 404


def test_a_request_id_leads_to_what_happened(site: Site, ada: Reader) -> None:
    """Of denials and of failures, with a link to the list and to the client."""
    page = find(ada, site.ids["wrong"])
    assert heading(page) == "TestClientId did not get in: wrong password or secret"
    assert "/client?tenant=Jim_Test&name=TestClientId" in links_of(page)
    assert heading(find(ada, site.ids["nobody"])) == "Somebody unknown did not get in: no client of that name"
    denied = find(ada, site.ids["denied"])
    assert heading(denied) == "Client2 was refused a seat: the pool has no seats"
    for path in links_of(page) + links_of(denied):
        assert ada.get(path).status_code == 200, path


def test_what_is_not_kept_is_said_to_be_in_the_log(ada: Reader) -> None:
    """And no command is shown that could do anything else."""
    page = find(ada, "43e14aae-99")
    assert heading(page) == "Request 43e14aae-99 is not among the refusals that are kept"
    assert "grep 43e14aae-99" in text_of(page)
    assert "grep" not in text_of(find(ada, "$(reboot)"))
    assert heading(find(ada, "")) == "Which request?"


def test_a_request_id_of_another_tenant_is_not_found(site: Site) -> None:
    """As one that there is not, to the word."""
    with site.reader("olga") as olga:
        assert heading(find(olga, site.ids["other"])).startswith("OthersClient did not get in")
        for hidden in ("wrong", "tenant", "denied"):
            page = find(olga, site.ids[hidden])
            assert heading(page) == f"Request {site.ids[hidden]} is not among the refusals that are kept"


def test_the_lists_are_files_too(site: Site, ada: Reader) -> None:
    """CSV, narrowed as the page is, in the reader's zone; no cell is a formula."""
    ada.http.cookies.set("licet-zone", "Australia%2FSydney")
    answer = ada.get(f"/failures/download.csv{HERE}")
    assert answer.headers["content-disposition"] == 'attachment; filename="licet-Jim_Test-failures.csv"'
    rows = list(csv.DictReader(StringIO(answer.text)))
    assert [(row["name"], row["cause"], row["times"]) for row in rows if row["name"] == "Client1"] == [
        ("Client1", "wrong_secret", "12")
    ]
    assert all(it["first"].endswith("+11:00") for it in rows)
    assert "'=cmd()" in {it["name"] for it in rows}
    denied = list(csv.DictReader(StringIO(ada.get(f"/denials/download.csv{HERE}&client=Client2").text)))
    assert [(it["client_id"], it["reason"], it["times"]) for it in denied] == [("Client2", "no_seats", "2")]
    with site.reader("olga") as olga:
        assert "Client1" not in olga.get("/failures/download.csv").text
        assert olga.get(f"/denials/download.csv{HERE}").status_code == 404


def test_the_journal_has_failures_among_the_others(ada: Reader) -> None:
    """With a chip of their own."""
    said = text_of(ada.get(f"/journal{HERE}&kind=failed"))
    assert "did not get in: wrong password or secret" in said
    assert "was refused" not in said
    page = ada.get(f"/journal{HERE}")
    assert "did not get in" in text_of(page)
    assert "was refused: the pool has no seats" in text_of(page)
    for path in set(links_of(ada.get(f"/journal{HERE}&kind=failed"))):
        assert ada.get(path).status_code == 200, path


def test_the_overview_counts_todays_failures(ada: Reader) -> None:
    """And leads to them."""
    page = ada.get(f"/{HERE}")
    assert "15 failed authentications today" in text_of(page)
    assert "/failures?tenant=Jim_Test&within=today" in links_of(page)


def test_the_metrics_count_failures_by_cause(ada: Reader) -> None:
    """Each cause from the start, also at 0, and no label that a client chooses."""
    page = ada.get("/metrics").text
    counted = dict(re.findall(r'licet_authentication_failures_total\{cause="(\w+)"\} (\d+)', page))
    assert counted.keys() == set(FailureCause)
    assert (counted["wrong_secret"], counted["unknown_client"], counted["throttled"]) == ("15", "1", "0")


def test_an_administrators_failed_sign_in_is_for_owners_of_all_tenants(site: Site) -> None:
    """With the address; a viewer of all tenants does not see it."""
    with site.reader(None) as nobody:
        assert nobody.sign_in("vera", "wrong").status_code == 401
    with site.reader("ada") as ada:
        until(lambda: "vera" in ada.get("/failures").text.partition("<main")[2])
        assert "admin" in text_of(ada.get("/failures"))
        assert "vera" not in ada.get(f"/failures{HERE}").text.partition("<main")[2]
    for name in ("oscar", "olga"):
        with site.reader(name) as reader:
            assert "vera" not in reader.get("/failures").text.partition("<main")[2]


def test_pages_of_the_list_tell_each_range_once(site: Site, ada: Reader) -> None:
    """A cursor of another list is refused."""
    del site
    assert ada.get(f"/failures{HERE}&after=AAAA").status_code == 404


@pytest.mark.wide
def test_a_person_finds_a_request_and_reads_the_list(browser: Browser, site: Site) -> None:
    """In a browser: axe finds nothing, and nothing is wider than a telephone."""
    with browser.person(site, "ada") as page:
        page.goto(f"{site.admin_url}/denials{HERE}")
        browser.check_access(page)
        browser.show(page, "denials-most")
        page.get_by_role("link", name="Failed authentications").click()
        expect(page.get_by_role("heading", level=1)).to_contain_text("15 failed authentications")
        page.locator("summary.denial").first.click()
        browser.check_access(page)
        browser.show(page, "failures")
        page.get_by_label("Request id").fill(site.ids["wrong"])
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", level=1)).to_contain_text("TestClientId did not get in")
        browser.check_access(page)
        browser.show(page, "request")
        page.goto(f"{site.admin_url}/denials/request?id=43e14aae-99")
        browser.check_access(page)
        browser.show(page, "request-not-kept")
        page.goto(f"{site.admin_url}/failures")
        browser.check_access(page)
        browser.show(page, "failures-all")
        page.goto(f"{site.admin_url}/denials")
        browser.check_access(page)
