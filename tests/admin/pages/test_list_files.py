"""The lists as CSV files: what is in them, with which filters, for whom, and how many rows at most."""

import csv
import re
from collections.abc import Iterator
from io import StringIO
from itertools import count

import httpx
import pytest
from sqlalchemy import insert, select

from licet.accounts import api_keys
from licet.accounts.administrators import changing
from licet.admin.pages import downloads
from licet.admin.pages.downloads import csv_file
from licet.alerts import webhooks
from licet.credentials.generated import ApiKeys
from licet.credentials.keyring import read_keyring
from licet.model import Role
from licet.store import schema
from support.admin.dashboard import DashboardSite, Reader
from support.admin.pages import links_of
from support.server.running import PASSWORD_HASH
from support.waiting import until

HERE = "?tenant=Jim_Test"
FORMULA = "=HYPERLINK(0)"
# Each with the headings of its first columns.
FILES = {
    "/seats": "tenant,pool,client_id,user,user_name,state",
    "/denials": "tenant,pool,client_id,user,user_name,reason",
    "/failures": "tenant,who,name,user,user_name,cause",
    "/journal": "tenant,kind,first,last,who,user,what,times",
    "/alerts": "tenant,pool,alert,text,in_use,seats",
    "/alerts/messages": "message,created,type,about,to,state",
    "/licences": "tenant,licence,serial,state,gives",
    "/overview": "tenant,pool,in_use,seats,on_hold,peak_today",
    "/set-up/tenants": "name,pools,users,clients",
    "/set-up/pools": "tenant,name,seats",
    "/set-up/scopes": "tenant,name,seat_of_pool",
    "/set-up/users": "tenant,initials,name,state,password,clients",
    "/set-up/clients": "tenant,client_id,user,state,scopes,authenticates_by",
    "/set-up/webhooks": "name,sent_to,alerts_of,state",
}
OWNERS_FILES = {
    "/set-up/administrators": "name,role,of,state",
    "/set-up/keys": "name,role,of,made_by,expires",
}
OF_ONE_TENANT = {
    "/seats",
    "/denials",
    "/licences",
    *(f"/set-up/{it}" for it in ("pools", "scopes", "users", "clients")),
}
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+\d\d:\d\d")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DashboardSite]:
    """Something in every list of `Jim_Test`, with a name that is a formula; and an owner of `Other`."""
    with DashboardSite(tmp_path_factory.mktemp("site"), manual_clock=True) as site:
        with site.changing() as change:
            other = change.add_tenant("Other", seats=1)
            other.add_user("OO", name="Olga Other", password_hash=PASSWORD_HASH)
            other.add_client("OthersClient", user="OO")
            jim = change.tenant("Jim_Test")
            jim.add_user("FO", name="+1+1", password_hash=PASSWORD_HASH)
            jim.add_client(FORMULA, user="FO")
            for number in range(4):
                jim.add_client(f"More{number}", user="FO")
            jim.set_pool("full", seats=1)
        site.add_owner("olga", "Other")
        with site.store() as store:
            made = ApiKeys(read_keyring(site.data / "secrets.json").pepper).generate()
            with changing(store, "ada") as change:
                change.add_api_key("deploy", made, role=Role.VIEWER, tenant_id=None, expires_at_ms=None)
            site.key = made.key  # type: ignore[attr-defined]
        token = site.take("Client2").json()["access_token"]
        site.advance(seconds=60)
        site.http.post("/Jim_Test/logoff", headers={"authorization": f"Bearer {token}"}).raise_for_status()
        site.take(FORMULA).raise_for_status()
        site.take("Client1", scope="view").raise_for_status()
        assert site.take("Client1").status_code == 400
        assert (
            site.ask("Jim_Test/token", FORMULA, "wrong", grant_type="client_credentials").status_code == 401
        )
        _alert(site)
        site.advance(seconds=60)
        with site.reader("ada") as ada:
            until(lambda: FORMULA in ada.get(f"/failures/download.csv{HERE}").text)
        yield site


def _alert(site: DashboardSite) -> None:
    """An alert of the full pool, and a message about it that was given up."""
    with site.store() as store:
        with webhooks.changing(store, "a test") as change:
            hook = change.add("https://example.com/1", tenant_id=None)
        with store.transaction() as transaction:
            connection, now_ms = transaction.connection, transaction.now_ms
            pool = connection.execute(select(schema.pool).where(schema.pool.c.name == "full")).first()
            assert pool is not None
            raised = {
                "pool_id": pool.id,
                "tenant_id": pool.tenant_id,
                "threshold": "100",
                "raised_at_ms": now_ms,
            }
            # On a busy machine the server has looked meanwhile, and raised it by itself.
            connection.execute(insert(schema.alert).prefix_with("OR IGNORE"), [raised])
            message = {
                "id": "msg_1",
                "webhook_id": hook.id,
                "tenant_id": pool.tenant_id,
                "type": "pool.threshold_reached",
                "payload": '{"data": {"tenant": "Jim_Test", "pool": "full"}}',
                "created_at_ms": now_ms,
                "attempts": 10,
                "last_at_ms": now_ms,
                "last_error": "-connection refused",
            }
            connection.execute(insert(schema.delivery), [message])


@pytest.fixture(scope="module")
def ada(site: DashboardSite) -> Iterator[Reader]:
    """An owner of all tenants, whose clocks are those of Auckland."""
    with site.reader("ada") as reader:
        reader.http.cookies.set("licet-zone", "Pacific%2FAuckland", domain="127.0.0.1")
        yield reader


def file_of(reader: Reader, path: str, query: str = HERE) -> httpx.Response:
    """The file of a list."""
    return reader.get(f"{path}/download.csv{query}")


def rows_of(answer: httpx.Response) -> list[dict[str, str]]:
    """Its rows."""
    assert answer.status_code == 200, answer.text
    return list(csv.DictReader(StringIO(answer.text)))


@pytest.fixture(scope="module")
def files(ada: Reader) -> dict[str, httpx.Response]:
    """The files of all lists, as an owner of all tenants gets them."""
    return {path: file_of(ada, path) for path in (*FILES, *OWNERS_FILES)}


@pytest.mark.parametrize("path", [*FILES, *OWNERS_FILES])
def test_every_list_is_a_file_too(files: dict[str, httpx.Response], path: str) -> None:
    """It is attached, and never kept by a cache."""
    answer = files[path]
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert re.fullmatch(r'attachment; filename="licet-[\w.-]+\.csv"', answer.headers["content-disposition"])
    assert answer.headers["cache-control"] == "no-store"
    assert answer.text.startswith((FILES | OWNERS_FILES)[path])


@pytest.mark.parametrize(
    "path", [it for it in (*FILES, *OWNERS_FILES) if it not in {"/licences", "/overview"}]
)
def test_the_page_of_a_list_that_has_rows_leads_to_its_file(ada: Reader, path: str) -> None:
    page = path.removesuffix("/messages")
    [link] = {it for it in links_of(ada.get(f"{page}{HERE}")) if it.startswith(f"{path}/download.csv")}
    assert rows_of(ada.get(link)), link


def test_the_tables_without_filters_are_files_too(site: DashboardSite, ada: Reader) -> None:
    """All pools as of now; the seats that somebody held; who held them at a denial."""
    assert "/overview/download.csv" in links_of(ada.get("/"))
    assert [(it["tenant"], it["in_use"]) for it in rows_of(file_of(ada, "/overview", ""))] == [
        ("Jim_Test", "1"),
        ("Other", "0"),
    ]
    for path, name in (("/client", "Client2"), ("/user", "C2")):
        [link] = [it for it in links_of(ada.get(f"{path}{HERE}&name={name}")) if "download.csv" in it]
        [held] = rows_of(ada.get(link))
        assert (held["pool"], held["client_id"], held["user"], held["seconds"]) == (
            "full",
            "Client2",
            "C2",
            "60",
        )
        assert INSTANT.fullmatch(held["until"])
        for wrong in (HERE, f"{HERE}&name=", f"{HERE}&name=%00", f"?name={name}"):
            assert file_of(ada, path, wrong).status_code == 404, wrong
    [denied] = {it for it in links_of(ada.get(f"/denials{HERE}")) if "/denials/holders" in it}
    [link] = [it for it in links_of(ada.get(denied)) if "download.csv" in it]
    assert [it["client_id"] for it in rows_of(ada.get(link))] == [f"'{FORMULA}"]
    assert file_of(ada, "/denials/holders").status_code == 404
    with site.reader("olga") as olga:
        for path in (link, f"/client/download.csv{HERE}&name=Client2", f"/user/download.csv{HERE}&name=C2"):
            assert olga.get(path).status_code == 404, path
        assert "Jim_Test" not in file_of(olga, "/overview", "").text
        assert rows_of(file_of(olga, "/client", "?name=Client2")) == []


def test_a_file_has_what_its_list_shows_with_the_same_filters(ada: Reader) -> None:
    for page, is_there in {
        "/seats": ("q=hyper", "q=nobody"),
        "/journal": ("kind=granted", "client=nobody"),
        "/set-up/clients": ("q=more", "q=nobody"),
    }.items():
        for query, number in zip(is_there, (True, False), strict=True):
            found = rows_of(file_of(ada, page, f"{HERE}&{query}"))
            assert bool(found) is number, (page, query)
            links = [it for it in links_of(ada.get(f"{page}{HERE}&{query}")) if "download.csv" in it]
            assert all(query in it for it in links), (page, query)
    assert {it["client_id"] for it in rows_of(file_of(ada, "/set-up/clients", f"{HERE}&q=more"))} == {
        f"More{number}" for number in range(4)
    }
    [without] = rows_of(file_of(ada, "/seats", f"{HERE}&kind=without-seat"))
    assert (without["client_id"], without["scope"], without["state"]) == ("Client1", "view", "no seat")
    assert {it["kind"] for it in rows_of(file_of(ada, "/journal", f"{HERE}&kind=granted"))} == {"granted"}


def test_numbers_are_numbers_names_are_whole_and_times_are_the_reader_s(ada: Reader) -> None:
    """ISO 8601 with the offset of the reader's zone."""
    [seat] = rows_of(file_of(ada, "/seats"))
    for column in ("since", "last_token", "expires"):
        assert INSTANT.fullmatch(seat[column]), column
        assert seat[column].endswith("+13:00")
    assert (seat["sessions"], seat["addresses"], seat["address"]) == ("1", "1", "127.0.0.1")
    [user] = [it for it in rows_of(file_of(ada, "/set-up/users")) if it["initials"] == "FO"]
    assert user["clients"] == f"'{', '.join(sorted([FORMULA, *(f'More{it}' for it in range(4))]))}"
    [scope] = [it for it in rows_of(file_of(ada, "/set-up/scopes")) if it["name"] == "all"]
    assert scope["given_to"].isdecimal()
    [event] = [it for it in rows_of(file_of(ada, "/journal", f"{HERE}&kind=event")) if "full" in it["what"]][
        :1
    ]
    assert event["detail"] == "seats 5 -> 1"


@pytest.mark.parametrize("path", [*FILES, *OWNERS_FILES])
def test_no_cell_is_a_formula(files: dict[str, httpx.Response], path: str) -> None:
    """Whoever names a client must not run anything on the machine of who opens the file."""
    for row in rows_of(files[path]):
        for cell in row.values():
            assert not cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n")), (path, cell)


def test_the_names_that_could_be_one_are_in_the_files(files: dict[str, httpx.Response]) -> None:
    """Else the test above would prove nothing."""
    for path in ("/seats", "/failures", "/journal", "/set-up/clients"):
        assert f"'{FORMULA}" in files[path].text, path
    assert "'+1+1" in files["/set-up/users"].text


@pytest.mark.parametrize("text", ["=1", "+1", "-1", "@x", "\t=1", "\r=1", "\n=1", "\uff1d1", "\uff0b1"])
def test_a_text_that_begins_like_a_formula_gets_an_apostrophe(text: str) -> None:
    """Numbers stay numbers."""
    body = bytes(csv_file("x", ["a", "b"], [[text, -1]]).body).decode()
    assert list(csv.reader(StringIO(body, newline=""))) == [
        ["a", "b"],
        [f"'{text}".replace("\r", "\n"), "-1"],
    ]


def test_a_file_is_cut_where_its_bound_is_and_its_name_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """No row is read beyond the one that shows that there are more."""
    monkeypatch.setattr(downloads, "ROWS_MAX", 3)
    read = []

    def rows() -> Iterator[list[int]]:
        for number in count():
            read.append(number)
            yield [number]

    whole = csv_file("licet-x", ["n"], [[0], [1], [2]])
    assert whole.headers["content-disposition"] == 'attachment; filename="licet-x.csv"'
    cut = csv_file("licet-x", ["n"], rows())
    assert cut.headers["content-disposition"] == 'attachment; filename="licet-x-first-3.csv"'
    assert bytes(cut.body) == bytes(whole.body) == b"n\n0\n1\n2\n"
    assert read == [0, 1, 2, 3]


def test_a_file_of_one_tenant_is_for_who_may_see_it(site: DashboardSite) -> None:
    """What is of another is as if it were not there; where none is named, it is the reader's own."""
    with site.reader("olga") as olga:
        for path in (*FILES, *OWNERS_FILES):
            assert file_of(olga, path).status_code == 404, path
            own = file_of(olga, path, "")
            assert own.status_code == 200, path
            for word in ("Jim_Test", FORMULA, "Client1", "ada", "deploy"):
                assert word not in own.text, (path, word)
        assert "OthersClient" in file_of(olga, "/set-up/clients", "").text
    with site.reader("ada") as ada:
        for path in OF_ONE_TENANT:
            assert file_of(ada, path, "").status_code == 404, path


def test_who_may_not_see_a_list_gets_no_file(site: DashboardSite) -> None:
    with site.reader("vera") as vera, site.reader(None) as nobody:
        for path in FILES:
            assert file_of(vera, path).status_code == 200, path
        for path in OWNERS_FILES:
            assert file_of(vera, path).status_code == 403, path
        for path in (*FILES, *OWNERS_FILES):
            assert file_of(nobody, path).headers["location"].startswith("/sign-in"), path


def test_no_secret_is_in_a_file(site: DashboardSite, files: dict[str, httpx.Response]) -> None:
    """Nor the hash of one."""
    key: str = site.key  # type: ignore[attr-defined]
    with site.store() as store, store.reading() as connection:
        [found] = api_keys.read_api_keys(connection, None)
    for path in (*FILES, *OWNERS_FILES):
        text = files[path].text
        for secret in (key, key[-20:], "argon2", "lcs_", PASSWORD_HASH):
            assert secret not in text, path
    assert found.name in files["/set-up/keys"].text
