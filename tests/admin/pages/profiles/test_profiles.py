"""The pages of one client and one user, with links to them, and who may see which."""

from collections.abc import Iterator

import pytest

from support.admin.dashboard import DashboardSite, Reader, heading
from support.admin.pages import links_of, text_of
from support.server.running import PASSWORD_HASH
from support.waiting import until

HERE = "?tenant=Jim_Test"
GRANT = {"grant_type": "client_credentials"}
CLIENT, USER = f"/client{HERE}&name=Client1", f"/user{HERE}&name=C1"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DashboardSite]:
    """Two tenants with a client and a user of the same names; all that can happen did in `Jim_Test`."""
    with DashboardSite(tmp_path_factory.mktemp("site"), manual_clock=True) as site:
        with site.changing() as change:
            other = change.add_tenant("Other", seats=1)
            other.add_user("C1", name="Olga Other", password_hash=PASSWORD_HASH)
            other.add_client("Client1", user="C1")
            other.add_client("OthersClient", user="C1")
            jim = change.tenant("Jim_Test")
            jim.set_pool("full", seats=2)
            jim.add_user("ON", name="Once Here", password_hash=PASSWORD_HASH)
            jim.add_client("Once", user="ON")
            jim.add_client('"><b>odd', user="C1")
        site.add_owner("olga", "Other")
        happen(site)
        yield site


def happen(site: DashboardSite) -> None:
    """A seat of each client came back, a wrong secret, a denial, a seat that is held, and one was removed."""
    for client_id in ("Client1", "Once"):
        token = site.take(client_id).json()["access_token"]
        site.advance(seconds=540)
        left = site.http.post("/Jim_Test/logoff", headers={"authorization": f"Bearer {token}"})
        assert left.json()["seat_released"]
        site.advance(seconds=60)
    assert site.ask("Jim_Test/token", "Client1", "wrong", **GRANT).status_code == 401
    for client_id in ("Client2", "Client3"):
        site.take(client_id).raise_for_status()
    assert site.take("Client1").json()["reason"] == "all_in_use"
    site.advance(seconds=1300)
    site.take("Client1").raise_for_status()
    site.take("Client1", scope="view").raise_for_status()
    site.advance(seconds=60)
    site.ask("Other/token", "OthersClient", **GRANT).raise_for_status()
    assert site.ask("Other/token", "Client1", "wrong", **GRANT).status_code == 401
    with site.changing() as change:
        change.tenant("Jim_Test").set_client("Client1", scopes=frozenset({"all", "view"}))
        change.tenant("Jim_Test").remove_client("Once")
    with site.reader("ada") as ada:
        until(lambda: "wrong password or secret" in ada.get(CLIENT).text)
        until(lambda: "wrong password or secret" in ada.get("/client?tenant=Other&name=Client1").text)


def part(reader: Reader, path: str, title: str) -> str:
    """What a part of a page says, in one line."""
    page = text_of(reader.get(path))
    assert f" {title} " in page, page
    return page.partition(f" {title} ")[2][:400]


def test_a_client_s_page_says_what_it_holds_and_when_it_was_used(ada: Reader) -> None:
    page = ada.get(CLIENT)
    assert heading(page).startswith("Client Client1 holds 1 seat, and has 1 session without one, last used ")
    said = text_of(page)
    assert "all a seat of full , which has 2 seats" in said
    assert "view needs no seat" in said
    assert "Authenticates by password" in said
    assert "full all" in part(ada, CLIENT, "Seats now")
    assert "127.0.0.1" in part(ada, CLIENT, "Seats now")


def test_it_says_why_it_was_refused_and_what_it_held_before(ada: Reader) -> None:
    assert "all 2 seats in use 1 127.0.0.1" in part(ada, CLIENT, "Denials All denials")
    assert "wrong password or secret 1 127.0.0.1" in part(ada, CLIENT, "Failed authentications All failures")
    assert "9 min 00 s 1" in part(ada, CLIENT, "Seats held before CSV Its journal")
    assert "a test changed client Client1" in part(ada, CLIENT, "What administrators did All of it")


def test_a_user_s_page_has_all_of_its_clients(ada: Reader) -> None:
    page = ada.get(USER)
    assert heading(page).startswith("User C1 holds 1 seat, and has 1 session without one, last used ")
    said = text_of(page)
    assert "2 clients that stand for it" in said
    assert "Its clients may use full" in said
    assert f"/client{HERE}&name=Client1" in links_of(page)
    assert "9 min 00 s 1" in part(ada, USER, "Seats held before CSV Its journal")
    assert "wrong password or secret 1" in part(ada, USER, "Failed authentications All failures")


def test_every_link_of_the_pages_leads_somewhere(ada: Reader) -> None:
    for path in (CLIENT, USER):
        for to in links_of(ada.get(path)):
            assert ada.get(to).status_code == 200, (path, to)


def test_one_that_was_removed_is_known_as_long_as_the_journal(ada: Reader) -> None:
    page = ada.get(f"/client{HERE}&name=Once")
    assert heading(page).startswith("Client Once holds no seat, last used ")
    said = text_of(page)
    assert "This client was removed from Jim_Test" in said
    assert "9 min 00 s" in said
    assert "removed client Once" in said
    assert "/set-up/clients/edit" not in page.text.partition("<main")[2]


@pytest.mark.parametrize(
    "path",
    [
        f"/client{HERE}&name=Nobody",
        f"/client{HERE}",
        f"/user{HERE}&name=ZZ",
        f"/client{HERE}&name=%00%07",
        f"/client{HERE}&name=" + "x" * 5000,
        f"/client{HERE}&name=client1",
        "/client?name=Client1",
        f"{CLIENT}&after=AAAA",
        f"{CLIENT}&after=" + "A" * 5000,
    ],
)
def test_one_that_never_was_is_not_there(ada: Reader, path: str) -> None:
    assert ada.get(path).status_code == 404


def test_a_page_is_of_one_tenant_only(site: DashboardSite, ada: Reader) -> None:
    """The same names in two tenants have nothing in common."""
    other = ada.get("/client?tenant=Other&name=Client1")
    assert heading(other).startswith("Client Client1 holds no seat")
    assert "all 2 seats in use" not in other.text
    assert "9 min 00 s" not in other.text
    assert "Jim_Test" not in other.text.partition("<main")[2]
    assert "OthersClient" in ada.get("/user?tenant=Other&name=C1").text
    with site.reader("olga") as olga:
        for path in ("/client", "/user"):
            for name in ("Client1", "C1", "Client2", "C2", "Nobody"):
                page = olga.get(f"{path}{HERE}&name={name}")
                assert page.status_code == 404, (path, name)
                assert "all 2 seats" not in page.text
        assert heading(olga.get("/client?name=Client1")).startswith("Client Client1 holds no seat")
        assert "Olga Other" in olga.get("/user?name=C1").text
        assert olga.get("/client?name=Client2").status_code == 404


def test_who_may_do_more_finds_more_links(site: DashboardSite) -> None:
    """A viewer looks, an operator ends, an owner changes; a stranger signs in first."""
    with site.reader("vera") as vera, site.reader("oscar") as oscar, site.reader(None) as nobody:
        assert "/seats/end" not in vera.get(CLIENT).text
        assert "Change its settings" not in vera.get(CLIENT).text
        assert any("/seats/end" in it for it in links_of(oscar.get(CLIENT)))
        assert "Change its settings" not in oscar.get(CLIENT).text
        for path in (CLIENT, USER):
            assert nobody.get(path).headers["location"].startswith("/sign-in")


def test_names_lead_to_the_pages(ada: Reader) -> None:
    """In every list of what happened, and from the settings."""
    client, user = f"/client{HERE}&name=Client1", f"/user{HERE}&name=C1"
    lists = (
        f"/{HERE}",
        f"/seats{HERE}",
        f"/seats{HERE}&kind=without-seat",
        f"/denials{HERE}&within=all",
        f"/failures{HERE}&within=all",
        f"/journal{HERE}&within=all",
        f"/usage{HERE}",
    )
    for path in lists:
        links = links_of(ada.get(path))
        assert client in links, path
        assert user in links, path
    assert client in links_of(ada.get(f"/set-up/clients/edit{HERE}&name=Client1"))
    assert user in links_of(ada.get(f"/set-up/users/edit{HERE}&name=C1"))


def test_a_page_that_is_not_for_a_reader_has_the_navigation(site: DashboardSite) -> None:
    """Who is signed in goes on from there."""
    with site.reader("vera") as vera:
        page = vera.get("/set-up/keys")
        assert page.status_code == 403
        assert 'aria-label="Pages"' in page.text
    with site.reader(None) as nobody:
        assert 'aria-label="Pages"' not in nobody.get("/nowhere").text


def test_the_journal_leads_from_a_removal_to_what_is_known(ada: Reader) -> None:
    assert f"/client{HERE}&name=Once" in links_of(ada.get(f"/journal{HERE}&kind=event&action=remove"))


def test_a_name_is_text_and_nothing_else(ada: Reader) -> None:
    page = ada.get(f"/client{HERE}&name=%22%3E%3Cb%3Eodd")
    assert page.status_code == 200
    assert "<b>odd" not in page.text
