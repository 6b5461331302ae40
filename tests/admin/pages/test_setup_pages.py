"""The set-up's forms, against a server: what they do and refuse, and what is kept of what was typed."""

import re
from collections.abc import Iterator
from html import unescape
from urllib.parse import quote

import httpx
import pytest

from licet.model import Duplicates, Tenant, TokenFormat
from licet.store.opening import SQLITE_NAME
from support.dashboard import DashboardSite, Reader, heading, hidden
from support.filling import form_of, resend, secret_on, send, wrong

HERE = "?tenant=Jim_Test"
PASSWORD_TYPED = "a brand new password"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DashboardSite]:
    """One server for all; each test has parts of the set-up of its own."""
    with DashboardSite(tmp_path_factory.mktemp("site")) as site:
        yield site


@pytest.fixture
def ada(site: DashboardSite) -> Iterator[Reader]:
    """An owner of all tenants."""
    with site.reader("ada") as reader:
        yield reader


def tenant_of(site: DashboardSite, name: str = "Jim_Test") -> Tenant:
    """A tenant as it is now."""
    with site.store() as store:
        tenant = store.tenant(name)
        assert tenant is not None
        return tenant


def edit(noun: str, name: str) -> str:
    """Where something of Jim_Test is changed."""
    return f"/set-up/{noun}/edit{HERE}&name={quote(name, safe='')}"


def removal(noun: str, name: str) -> str:
    """Where something of Jim_Test is removed."""
    return f"/set-up/{noun}/remove{HERE}&name={quote(name, safe='')}"


def places(page: httpx.Response) -> dict[str, str]:
    """The buttons that lead to what stands in the way, or is there already."""
    found = re.findall(r'<a class="button" href="([^"]*)"><bdi>([^<]*)</bdi></a>', page.text)
    return {unescape(text): unescape(href) for href, text in found}


def done(page: httpx.Response, to: str) -> None:
    """It is saved, and the reader is sent on."""
    assert page.status_code == 303, page.text[:2000]
    assert page.headers["location"].startswith(to)


# What is added is there, with what was typed, and the page tells who did it.


def test_a_pool_with_all_that_it_can_have(site: DashboardSite, ada: Reader) -> None:
    page = send(
        ada,
        f"/set-up/pools/add{HERE}",
        name="mobile.1",
        seats="1,250",
        duplicates="user",
        expires="2031-01-31",
        alerts="denied, 75%",
    )
    done(page, "/set-up/pools")
    pool = tenant_of(site).pool_named("mobile.1")
    assert pool is not None
    assert (pool.seats, pool.duplicates, pool.alerts) == (1250, Duplicates.USER, ("75", "denied"))
    assert pool.expires_at_ms == 1_927_670_400_000  # the end of that day
    listed = ada.get(f"/set-up/pools{HERE}").text
    assert "mobile.1" in listed
    assert "1,250" in listed
    assert re.search(r'class="who-did">ada</bdi>\s+<bdi>added pool mobile.1</bdi>', listed)


def test_a_scope_a_user_and_a_client_of_it(site: DashboardSite, ada: Reader) -> None:
    done(send(ada, f"/set-up/scopes/add{HERE}", name="orders", pool="full", read_only="yes"), "/set-up")
    page = send(ada, f"/set-up/users/add{HERE}", initials="AL", name="Ada Lovelace", password=PASSWORD_TYPED)
    done(page, "/set-up/users")
    page = send(
        ada,
        f"/set-up/clients/add{HERE}",
        client_id="Engine",
        user="AL",
        generate=None,
        by_user="yes",
        scopes_all="some",
        scopes=["orders", "view"],
    )
    done(page, "/set-up/clients")
    client = tenant_of(site).clients["Engine"]
    assert client.scopes == frozenset({"orders", "view"})
    assert tenant_of(site).scopes["orders"].read_only
    granted = site.ask(
        "Jim_Test/token", "Engine", PASSWORD_TYPED, grant_type="client_credentials", scope="view"
    )
    assert granted.status_code == 200, granted.text


def test_a_client_with_a_generated_secret_shows_it_once(site: DashboardSite, ada: Reader) -> None:
    page = send(ada, f"/set-up/clients/add{HERE}", client_id="Robot", user="TC")
    assert page.status_code == 200
    assert heading(page) == "The secret of client Robot in Jim_Test"
    assert "You will not see this again." in page.text
    assert page.headers["cache-control"] == "no-store"
    secret = secret_on(page)
    granted = site.ask("Jim_Test/token", "Robot", secret, grant_type="client_credentials", scope="view")
    assert granted.status_code == 200
    again = ada.get(edit("clients", "Robot"))
    assert secret not in again.text
    assert secret[:16] in again.text  # what it begins with, to tell it from others
    assert "password" not in site.ask("Jim_Test/token", "Robot", grant_type="client_credentials").text


def test_one_more_secret_and_one_less(site: DashboardSite, ada: Reader) -> None:
    with site.changing() as change:
        change.tenant("Jim_Test").add_client("Twice", user="TC")
    path = f"/set-up/clients/secrets/add{HERE}&name=Twice"
    secret = secret_on(send(ada, path, made_expires="2031-01-31", no_other="yes"))
    client = tenant_of(site).clients["Twice"]
    assert not client.password_allowed
    (kept,) = client.secrets
    assert secret[4:16] == kept.secret_id
    path = f"/set-up/clients/secrets/remove{HERE}&name=Twice&secret={kept.secret_id}"
    assert "the only thing by which the client can authenticate" in ada.get(path).text
    done(send(ada, path), "/set-up/clients/edit")
    assert not tenant_of(site).clients["Twice"].secrets
    assert ada.get(path).status_code == 404


def test_a_tenant_with_its_first_pool(site: DashboardSite, ada: Reader) -> None:
    page = send(ada, "/set-up/tenants/add", name="New_One", seats="3", session_ttl="1h", access_ttl="5m")
    done(page, "/set-up/users/add?tenant=New_One")
    tenant = tenant_of(site, "New_One")
    assert (tenant.session_ttl_s, tenant.access_ttl_s) == (3600, 300)
    pool = tenant.pool_named("full")
    assert pool is not None
    assert pool.seats == 3


def test_a_tenant_is_to_take_strict_assertions_only(site: DashboardSite, ada: Reader) -> None:
    """A mark, which the form keeps when something else is changed."""
    done(send(ada, "/set-up/tenants/add", name="Strict", seats="1", strict_assertions="yes"), "/set-up/users")
    path = "/set-up/tenants/edit?tenant=Strict"
    done(send(ada, path, no_seat_status="429"), "/set-up/tenants")
    assert tenant_of(site, "Strict").strict_assertions
    done(send(ada, path, strict_assertions=None), "/set-up/tenants")
    assert not tenant_of(site, "Strict").strict_assertions


def test_a_tenant_whose_access_tokens_are_to_be_jwts(site: DashboardSite, ada: Reader) -> None:
    """The life that goes with them counts unless the field was changed as well."""
    done(send(ada, "/set-up/tenants/add", name="Signed", seats="1", token_format="jwt"), "/set-up/users/add")
    path = "/set-up/tenants/edit?tenant=Signed"
    assert tenant_of(site, "Signed").access_ttl_s == 60
    done(send(ada, path, access_ttl="2m"), "/set-up/tenants")
    assert tenant_of(site, "Signed").access_ttl_s == 120
    done(send(ada, path, token_format="reference"), "/set-up/tenants")
    assert tenant_of(site, "Signed").access_ttl_s == 600
    done(send(ada, path, token_format="jwt", access_ttl="90"), "/set-up/tenants")
    signed = tenant_of(site, "Signed")
    assert (signed.token_format, signed.access_ttl_s) == (TokenFormat.JWT, 90)
    assert wrong(send(ada, path, token_format="saml")).keys() == {"token_format"}


# What is changed is honoured at once, and nothing that was not touched changes.


def test_a_pool_that_is_lowered_gives_no_seat_any_more(site: DashboardSite, ada: Reader) -> None:
    """L6."""
    with site.changing() as change:
        change.tenant("Jim_Test").add_pool("small", seats=1)
        change.tenant("Jim_Test").add_scope("little", pool="small")
    assert site.take("Client1", scope="little").status_code == 200
    done(send(ada, edit("pools", "small"), seats="0"), "/set-up/pools")
    refused = site.take("Client2", scope="little")
    assert refused.status_code == 400
    assert (refused.json()["seats"], refused.json()["in_use"]) == (0, 1)


def test_a_form_that_is_sent_as_it_is_changes_nothing(site: DashboardSite, ada: Reader) -> None:
    before = tenant_of(site)
    for noun, name in (("pools", "full"), ("scopes", "all"), ("users", "TC"), ("clients", "Client3")):
        done(send(ada, edit(noun, name)), f"/set-up/{noun}")
    done(send(ada, f"/set-up/tenants/edit{HERE}"), "/set-up/tenants")
    assert tenant_of(site) == before


def test_a_password_that_is_left_empty_stays(site: DashboardSite, ada: Reader) -> None:
    before = tenant_of(site).users["C4"].password_hash
    done(send(ada, edit("users", "C4"), name="Fourth Client"), "/set-up/users")
    user = tenant_of(site).users["C4"]
    assert (user.name, user.password_hash) == ("Fourth Client", before)
    done(send(ada, edit("users", "C4"), none_works="yes"), "/set-up/users")
    assert tenant_of(site).users["C4"].password_hash is None


def test_a_name_with_every_letter_in_it_is_found_again(site: DashboardSite, ada: Reader) -> None:
    """A client_id has no bounds but control characters, and stands in addresses."""
    odd = 'a/b?c=d&e#f%2F "quoted" <i>עברית'
    page = send(ada, f"/set-up/clients/add{HERE}", client_id=odd, user="TC", generate=None)
    done(page, "/set-up/clients")
    page = ada.get(edit("clients", odd))
    assert page.status_code == 200
    assert "<i>" not in page.text
    assert heading(page) == f"Client {odd} in Jim_Test"
    done(send(ada, removal("clients", odd)), "/set-up/clients")
    assert odd not in tenant_of(site).clients


def test_a_client_that_is_kept_off_is_let_in_again(site: DashboardSite, ada: Reader) -> None:
    """L12."""
    with site.changing() as change:
        change.tenant("Jim_Test").add_client("Suspended", user="TC")
        change.tenant("Jim_Test").suspend("Suspended", change.transaction.now_ms + 3_600_000)
    path = edit("clients", "Suspended")
    assert "Suspended by an administrator until" in ada.get(path).text
    assert "suspended" in ada.get(f"/set-up/clients{HERE}").text
    to = path.replace("edit", "resume")
    with site.reader("vera") as vera:
        assert "Let it in again" not in vera.get(path).text
        assert vera.post(to).status_code == 403
    with site.reader("oscar") as oscar:
        done(oscar.post(to), path)
        assert oscar.get(to).status_code == 303
    assert "Suspended by" not in ada.get(path).text
    assert tenant_of(site).clients["Suspended"].suspended_until_ms is None
    assert ada.post(to.replace("Suspended", "NoSuch")).status_code == 404


# A change that ends sessions says how many, and does nothing before that is agreed to.


def test_disabling_a_client(site: DashboardSite, ada: Reader) -> None:
    with site.changing() as change:
        change.tenant("Jim_Test").add_client("Ends", user="TC")
    for _ in range(2):
        assert site.take("Ends", scope="view").status_code == 200
    page = send(ada, edit("clients", "Ends"), enabled=None)
    assert page.status_code == 409
    assert "2 sessions will end at once" in page.text
    assert tenant_of(site).clients["Ends"].enabled
    page = resend(ada, page, edit("clients", "Ends"))  # by the button that says so
    done(page, "/set-up/clients")
    assert not tenant_of(site).clients["Ends"].enabled
    assert "Client Ends saved, and 2 sessions ended." in ada.get(page.headers["location"]).text


def test_one_more_session_than_was_agreed_to_is_asked_again(site: DashboardSite, ada: Reader) -> None:
    with site.changing() as change:
        change.tenant("Jim_Test").add_client("Grows", user="TC")
    site.take("Grows", scope="view").raise_for_status()
    page = send(ada, removal("clients", "Grows"), ends="0")
    assert page.status_code == 200
    assert "1 session: their tokens stop working" in page.text
    assert "Grows" in tenant_of(site).clients
    done(resend(ada, page, removal("clients", "Grows")), "/set-up/clients")
    assert "Grows" not in tenant_of(site).clients


def test_what_stands_under_something_is_not_removed(site: DashboardSite, ada: Reader) -> None:
    page = ada.get(removal("pools", "full"))
    assert page.status_code == 409
    assert "Pool full is drawn on by scope all" in page.text
    assert "<button" not in page.text.partition("<main")[2]
    assert places(page)["Open scope all"] == f"/set-up/scopes/edit{HERE}&name=all"
    assert ada.get(places(page)["Open scope all"]).status_code == 200


@pytest.mark.parametrize(
    ("noun", "typed", "place", "leads_to"),
    [
        ("pools", {"name": "full", "seats": "1"}, "Open pool full", "pools/edit"),
        ("scopes", {"name": "view"}, "Open scope view", "scopes/edit"),
        ("users", {"initials": "TC", "name": "x"}, "Open user TC", "users/edit"),
        ("users", {"initials": "tc", "name": "x"}, "Open user TC", "users/edit"),
        ("clients", {"client_id": "TestClientId", "user": "TC"}, "Open client TestClientId", "clients/edit"),
    ],
)
def test_a_name_that_is_taken_leads_to_who_has_it(
    ada: Reader, noun: str, typed: dict[str, str], place: str, leads_to: str
) -> None:
    """The field is marked, and a button opens the other one."""
    page = send(ada, f"/set-up/{noun}/add{HERE}", **typed)
    assert page.status_code == 422
    assert len(wrong(page)) == 1
    assert list(places(page)) == [place]
    assert places(page)[place].startswith(f"/set-up/{leads_to}{HERE}&name=")
    assert ada.get(places(page)[place]).status_code == 200
    assert "licet " not in page.text.partition("<main")[2].partition("<form")[0]


def test_a_place_with_markup_in_its_name_is_text(site: DashboardSite, ada: Reader) -> None:
    """What somebody calls a scope is no part of a page, and no part of an address."""
    name = "<b>&x=1"
    with site.changing() as change:
        change.tenant("Jim_Test").add_scope(name, pool="full")
    page = ada.get(removal("pools", "full"))
    assert name not in page.text
    assert any("name=%3Cb%3E%26x%3D1" in it for it in places(page).values())
    with site.changing() as change:
        change.tenant("Jim_Test").remove_scope(name)


def test_a_tenant_goes_when_its_name_is_typed(site: DashboardSite, ada: Reader) -> None:
    with site.changing() as change:
        change.add_tenant("Leaving", seats=1)
    path = "/set-up/tenants/remove?tenant=Leaving"
    page = send(ada, path, typed="Leaving_")
    assert page.status_code == 422
    assert "This is not its name" in page.text
    done(send(ada, path, typed="Leaving"), "/set-up/tenants")
    assert ada.get(path).status_code == 404


# A wrong value has a message beside its field, and all that was typed is kept.


@pytest.mark.parametrize(
    ("noun", "typed", "expected"),
    [
        ("pools", {"name": "no spaces", "seats": "5"}, {"name": "A pool's name is 1 to 64"}),
        ("pools", {"name": "p", "seats": "many"}, {"seats": "A whole number from 0 to 1,000,000."}),
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
        ("clients", {"client_id": "c", "user": "TC", "sessions_max": "0"}, {"sessions_max": "A whole"}),
        (
            "clients",
            {"client_id": "c", "user": "TC", "grant_types": None},
            {"grant_types": "Client c: a"},
        ),
        (
            "clients",
            {"client_id": "c", "user": "TC", "made_expires": "2001-01-01"},
            {"made_expires": "A new secret expires later than now"},
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
    assert "4 fields have to be mended; nothing is saved yet." in page.text


def test_lives_that_do_not_fit_each_other(ada: Reader) -> None:
    """L3: an access token never outlives its session."""
    page = send(ada, f"/set-up/tenants/edit{HERE}", session_ttl="5m", access_ttl="10m")
    assert wrong(page).keys() == {"access_ttl"}
    assert form_of(page)["session_ttl"] == ["5m"]


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
