"""The set-up's forms, against a server: wrong values, two who edit at once, and what is kept."""

import re
from collections.abc import Iterator

import pytest

from licet.store.opening import SQLITE_NAME
from support.admin.dashboard import DashboardSite, Reader, heading, hidden
from support.admin.filling import form_of, resend, send, wrong
from support.admin.setup_forms import HERE, PASSWORD_TYPED, done, edit, removal, tenant_of


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DashboardSite]:
    """One server for all; each test has parts of the set-up of its own."""
    with DashboardSite(tmp_path_factory.mktemp("site")) as site:
        yield site


# A wrong value has a message beside its field, and all that was typed is kept.


@pytest.mark.parametrize(
    ("noun", "typed", "expected"),
    [
        ("pools", {"name": "no spaces", "seats": "5"}, {"name": "A pool's name is 1 to 64"}),
        ("pools", {"name": "p", "seats": "many"}, {"seats": "A whole number from 0 to 1,000,000, or all."}),
        ("pools", {"name": "p", "seats": "1000001"}, {"seats": "A whole number from 0 to 1,000,000"}),
        ("pools", {"name": "p", "seats": "9" * 5000}, {"seats": "At most 4,096 characters"}),
        ("pools", {"name": "p", "expires": "soon"}, {"expires": "A moment is written 2027-01-31"}),
        ("pools", {"name": "p", "alerts": "101"}, {"alerts": "Alerts are up to 10 percentages"}),
        ("pools", {"name": "p", "duplicates": "all"}, {"duplicates": "Choose one of the list."}),
        ("pools", {"name": "full"}, {"name": "There is a pool full already."}),
        ("scopes", {"name": 'a"b'}, {"name": "A scope is 1 to 64 printable ASCII characters"}),
        ("scopes", {"name": "s", "pool": "none such"}, {"pool": "Choose one of the list."}),
        ("users", {"initials": "TOOLONG", "name": "x"}, {"initials": "Initials are 2 or 3"}),
        ("users", {"initials": "ZZ", "name": ""}, {"name": "1 to 100 characters"}),
        ("users", {"initials": "ZZ", "name": "a\u0000b"}, {"name": "1 to 100 characters without"}),
        ("users", {"initials": "ZZ", "name": "x", "password": "short"}, {"password": "A password is 8"}),
        ("clients", {"client_id": "c", "user": ""}, {"user": "Say whom it stands for, by initials."}),
        ("clients", {"client_id": "c", "user": "QQ"}, {"user": "There is no user QQ in Jim_Test"}),
        ("clients", {"client_id": "a\x07b", "user": "TC"}, {"client_id": "A client_id is 1 to 128"}),
        ("clients", {"client_id": "c", "user": "TC", "max_sessions": "0"}, {"max_sessions": "A whole"}),
        (
            "clients",
            {"client_id": "c", "user": "TC", "grant_types": None},
            {"grant_types": "Client c: a"},
        ),
        (
            "clients",
            {"client_id": "c", "user": "TC", "secret_expires": "2001-01-01"},
            {"secret_expires": "A new secret expires later than now"},
        ),
    ],
)
def test_it_stands_beside_the_field(
    ada: Reader, noun: str, typed: dict[str, str | None], expected: dict[str, str]
) -> None:
    page = send(ada, f"/set-up/{noun}/add{HERE}", **typed)
    assert page.status_code == 422, page.text[:1000]
    found = wrong(page)
    assert found.keys() == expected.keys(), found
    for name, text in expected.items():
        assert found[name].startswith(text), found
        assert re.search(f'aria-describedby="[^"]*e-{name}"', page.text)
    kept = form_of(page)
    for name, value in typed.items():
        if value is not None and name not in {"password", "duplicates", "pool"}:
            assert kept[name][0] == value.strip()


def test_several_at_once_are_all_told(ada: Reader) -> None:
    page = send(ada, "/set-up/tenants/add", name="", seats="-1", session_ttl="soon", access_ttl="0")
    assert wrong(page).keys() == {"name", "seats", "session_ttl", "access_ttl"}
    assert "4 fields have to be corrected; nothing is saved yet." in page.text


def test_lives_that_do_not_fit_each_other(ada: Reader) -> None:
    """L3: an access token never outlives its session."""
    page = send(ada, f"/set-up/tenants/edit{HERE}", session_ttl="5m", access_ttl="10m")
    assert wrong(page).keys() == {"access_ttl"}
    assert form_of(page)["session_ttl"] == ["5m"]


@pytest.mark.parametrize("action", ["add", "rotate"])
def test_the_expiry_of_a_secret_that_is_over_stands_beside_its_field(ada: Reader, action: str) -> None:
    """By the name that the refusal has for it."""
    page = send(ada, f"/set-up/clients/secrets/{action}{HERE}&name=TestClientId", expires="2001-01-01")
    assert page.status_code == 422
    assert wrong(page)["expires"].startswith("A new secret expires later than now")


def test_a_password_is_never_shown_again(ada: Reader) -> None:
    page = send(ada, f"/set-up/users/add{HERE}", initials="?", name="x", password=PASSWORD_TYPED)
    assert page.status_code == 422
    assert PASSWORD_TYPED not in page.text
    assert "Type it again: a password is never kept." in page.text


def test_a_seen_that_is_no_form_s_harms_nothing(site: DashboardSite, ada: Reader) -> None:
    for seen in ("", "[]", "{", '{"seats": 5}', '{"seats": ["' + "9" * 50 + '"]}'):
        page = send(ada, edit("pools", "full"), seen=seen, seats="5")
        assert page.status_code in {303, 409}, page.status_code


def test_markup_that_was_typed_is_text(ada: Reader) -> None:
    page = send(ada, f"/set-up/users/add{HERE}", initials="<b>", name='"><script>alert(1)</script>')
    assert page.status_code == 422
    assert "<script>alert" not in page.text
    assert form_of(page)["name"] == ['"><script>alert(1)</script>']


def test_what_is_not_there_is_a_page_that_says_so(ada: Reader) -> None:
    for path in (
        edit("pools", "gone"),
        removal("users", "QQ"),
        "/set-up/pools/edit?tenant=None&name=full",
    ):
        assert ada.get(path).status_code == 404


# Somebody edited first: both versions are shown, and the person chooses.


def test_both_versions_are_shown_and_nothing_is_saved(site: DashboardSite, ada: Reader) -> None:
    with site.changing() as change:
        change.tenant("Jim_Test").add_pool("raced", seats=5)
    path = edit("pools", "raced")
    opened = ada.get(path)
    with site.reader("ada") as other:
        done(send(other, path, seats="9", alerts="50"), "/set-up/pools")
    page = resend(ada, opened, path, seats="7", expires="2031-01-31")
    assert page.status_code == 409
    assert "Somebody else was first." in page.text
    assert "<bdi>ada</bdi> saved this" in page.text
    assert re.search(r'<p class="fixed">\s*<bdi>raced</bdi>\s*</p>', page.text)
    versions = "".join(re.split(r"\s*\n\s*", page.text))
    assert (
        '<bdi>5</bdi></td><td data-label="Saved now"><bdi>9</bdi></td><td data-label="Yours"><bdi>7</bdi>'
        in versions
    )
    pool = tenant_of(site).pool_named("raced")
    assert pool is not None
    assert (pool.seats, pool.alerts) == (9, ("50",))
    # Mine is kept where both changed it, and theirs is taken over where I did not touch it.
    form = form_of(page)
    assert (form["seats"], form["alerts"], form["expires"]) == (["7"], ["50"], ["2031-01-31", ""])
    done(resend(ada, page, path), "/set-up/pools")
    pool = tenant_of(site).pool_named("raced")
    assert pool is not None
    assert (pool.seats, pool.alerts) == (7, ("50",))


def test_the_same_change_twice_is_no_race(site: DashboardSite, ada: Reader) -> None:
    path = edit("users", "C5")
    opened = ada.get(path)
    done(resend(ada, opened, path, name="Fifth"), "/set-up/users")
    page = resend(ada, opened, path, name="Fifth")
    assert page.status_code == 409  # it was changed since, if by the same person
    done(resend(ada, page, path), "/set-up/users")
    assert tenant_of(site).users["C5"].name == "Fifth"


def test_what_was_removed_meanwhile_is_not_made_again(site: DashboardSite, ada: Reader) -> None:
    with site.changing() as change:
        change.tenant("Jim_Test").add_user("GO", name="Gone")
    opened = ada.get(edit("users", "GO"))
    with site.changing() as change:
        change.tenant("Jim_Test").remove_user("GO")
    page = resend(ada, opened, edit("users", "GO"), name="Back")
    assert page.status_code == 404
    assert "GO" not in tenant_of(site).users


def test_two_that_add_the_same_name(site: DashboardSite, ada: Reader) -> None:
    opened = ada.get(f"/set-up/pools/add{HERE}")
    with site.changing() as change:
        change.tenant("Jim_Test").add_pool("same", seats=1)
    page = resend(ada, opened, f"/set-up/pools/add{HERE}", name="same", seats="2")
    assert wrong(page) == {"name": "There is a pool same already."}


def test_a_tenant_is_raced_alike(site: DashboardSite, ada: Reader) -> None:
    with site.changing() as change:
        change.add_tenant("Raced", seats=1)
    path = "/set-up/tenants/edit?tenant=Raced"
    opened = ada.get(path)
    with site.changing() as change:
        change.tenant("Raced").set(no_seat_status=503)
    page = resend(ada, opened, path, session_ttl="1h")
    assert page.status_code == 409
    done(resend(ada, page, path), "/set-up/tenants")
    tenant = tenant_of(site, "Raced")
    assert (tenant.no_seat_status, tenant.session_ttl_s) == (503, 3600)


# What was typed comes back after the sign-in; a password does not.


def test_what_was_typed_is_in_the_form(site: DashboardSite) -> None:
    with site.reader("ada") as reader:
        path = f"/set-up/users/add{HERE}"
        opened = reader.get(path)
        reader.http.cookies.clear()
        typed = {"initials": "KP", "name": "Kept Person", "password": PASSWORD_TYPED}
        page = resend(reader, opened, path, **typed)
        assert page.status_code == 401
        assert PASSWORD_TYPED not in page.text
        fields = {name: text for name, text in hidden(page).items() if name != "password"}
        page = reader.sign_in("ada", **fields)
        assert page.status_code == 200
        form = form_of(page)
        assert (form["initials"], form["name"]) == (["KP"], ["Kept Person"])
        assert PASSWORD_TYPED not in page.text
        done(resend(reader, page, path), "/set-up/users")
    assert tenant_of(site).users["KP"].name == "Kept Person"


def test_what_is_said_of_a_password_or_a_secret_comes_back_as_well(site: DashboardSite) -> None:
    """Marks and a date are no secrets, whatever their names: one that was lost would be another client."""
    typed = {"client_id": "Kept", "user": "TC", "secret_expires": "2099-01-31", "password_allowed": "yes"}
    with site.reader("ada") as reader:
        path = f"/set-up/clients/add{HERE}"
        opened = reader.get(path)
        reader.http.cookies.clear()
        page = resend(reader, opened, path, **typed, generate_secret=None)
        page = reader.sign_in("ada", **hidden(page))
        form = form_of(page)
        assert {name: form[name][0] for name in typed} == typed
        assert "generate_secret" not in form
        done(resend(reader, page, path, user="TC"), "/set-up/clients")
    assert tenant_of(site).clients["Kept"].password_allowed


def test_a_form_that_changes_something_knows_what_it_showed(site: DashboardSite) -> None:
    """A race that was lost while nobody was signed in is a lost race."""
    with site.changing() as change:
        change.tenant("Jim_Test").add_pool("waits", seats=5)
    with site.reader("ada") as reader:
        path = edit("pools", "waits")
        opened = reader.get(path)
        reader.http.cookies.clear()
        page = resend(reader, opened, path, seats="6")
        with site.changing() as change:
            change.tenant("Jim_Test").set_pool("waits", seats=8)
        page = reader.sign_in("ada", **hidden(page))
        assert form_of(page)["seats"] == ["6"]
        assert resend(reader, page, path).status_code == 409


def test_a_long_list_is_found_in_and_read_in_pages(site: DashboardSite, ada: Reader) -> None:
    """Names are the place in a list: it stays right while others are added."""
    with site.changing() as change:
        tenant = change.add_tenant("Long", seats=1)
        tenant.add_user("TC", name="All of them")
        for number in range(230):
            tenant.add_client(f"client-{number:03}", user="TC")
    first = ada.get("/set-up/clients?tenant=Long")
    assert heading(first) == "230 clients in Long"
    assert "1 to 100 of 230" in first.text
    second = ada.get("/set-up/clients?tenant=Long&after=client-099")
    assert "101 to 200 of 230" in second.text
    assert "client-100" in second.text
    found = ada.get("/set-up/clients?tenant=Long&q=CLIENT-22")
    assert "1 to 10 of 10" in found.text
    nothing = ada.get("/set-up/clients?tenant=Long&q=nobody")
    assert "Nothing here is called like this." in nothing.text
    odd = ada.get("/set-up/clients?tenant=Long&after=%00%FF&q=%00")
    assert odd.status_code == 200


def test_a_store_that_is_down_keeps_nothing_half(site: DashboardSite, ada: Reader) -> None:
    """A plain page with the request's id, and the form is not half done."""
    opened = ada.get(edit("pools", "full"))
    file, away = site.data / SQLITE_NAME, site.data / "away.db"
    file.rename(away)
    try:
        page = resend(ada, opened, edit("pools", "full"), seats="77")
    finally:
        away.rename(file)
    assert page.status_code == 503
    assert "equest" in page.text
    pool = tenant_of(site).pool_named("full")
    assert pool is not None
    assert pool.seats == 5
    assert ada.get(edit("pools", "full")).status_code == 200
