"""The set-up's forms, against a server: what is added, changed and removed, and what is asked before."""

import re
from collections.abc import Iterator
from html import unescape

import httpx
import pytest

from licet.model import Duplicates, TokenFormat
from support.admin.dashboard import DashboardSite, Reader, heading
from support.admin.filling import resend, secret_on, send, wrong
from support.admin.setup_forms import HERE, PASSWORD_TYPED, done, edit, removal, tenant_of


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DashboardSite]:
    """One server for all; each test has parts of the set-up of its own."""
    with DashboardSite(tmp_path_factory.mktemp("site")) as site:
        yield site


def places(page: httpx.Response) -> dict[str, str]:
    """The buttons that lead to what stands in the way, or is there already."""
    found = re.findall(r'<a class="button" href="([^"]*)"><bdi>([^<]*)</bdi></a>', page.text)
    return {unescape(text): unescape(href) for href, text in found}


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
        generate_secret=None,
        password_allowed="yes",
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
    secret = secret_on(send(ada, path, expires="2031-01-31", no_password="yes"))
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
    done(send(ada, edit("users", "C4"), no_password="yes"), "/set-up/users")
    assert tenant_of(site).users["C4"].password_hash is None


def test_a_name_with_every_letter_in_it_is_found_again(site: DashboardSite, ada: Reader) -> None:
    """A client_id has no bounds but control characters, and stands in addresses."""
    odd = 'a/b?c=d&e#f%2F "quoted" <i>עברית'
    page = send(ada, f"/set-up/clients/add{HERE}", client_id=odd, user="TC", generate_secret=None)
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
