"""The path from an empty store to the first token, as the dashboard shows it at each step."""

import re
import shlex
from collections.abc import Iterator
from html import unescape

import httpx
import pytest

from support.admin.dashboard import PASSWORD, DashboardSite, Reader, reader_of
from support.cli.command_line import run
from support.server.running import PASSWORD_HASH

_NEXT = re.compile(r'<li class="next" aria-current="step">.*?<h2>([^<]*)<.*?</li>', re.DOTALL)
_HREF = re.compile(r'<a class="button first" href="([^"]*)">([^<]*)</a>')
WAITS = 'hx-trigger="every 2s"'


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DashboardSite]:
    """One server for all; each test has a tenant of its own."""
    with DashboardSite(tmp_path_factory.mktemp("site")) as site:
        yield site


def next_of(page: httpx.Response) -> tuple[str, str]:
    """The step that is next, and where its button leads."""
    found = _NEXT.search(page.text)
    assert found, page.text
    button = _HREF.search(found[0])
    return found[1].strip(), unescape(button[1]) if button else ""


def ready(site: DashboardSite, name: str) -> None:
    """A tenant whose client `Robot` lacks nothing but its first token."""
    with site.changing() as change:
        tenant = change.add_tenant(name, seats=1)
        tenant.add_user("RO", password_hash=PASSWORD_HASH)
        tenant.add_client("Robot", user="RO")


def test_each_step_is_next_when_the_one_before_it_is_done(site: DashboardSite, ada: Reader) -> None:
    """Computed from the set-up, by whatever means that was made; its button leads to the right form."""
    with site.changing() as change:
        tenant = change.add_tenant("Steps")
        tenant.add_scope("all")  # which takes no seat yet

    def look() -> tuple[str, str]:
        return next_of(ada.get("/first-steps?tenant=Steps"))

    assert look() == ("Pool", "/set-up/pools/add?tenant=Steps")
    with site.changing() as change:
        change.tenant("Steps").add_pool("full", seats=2)
    assert look() == ("Scope", "/set-up/scopes/edit?tenant=Steps&name=all")
    with site.changing() as change:
        change.tenant("Steps").set_scope("all", pool="full")
    assert look() == ("User", "/set-up/users/add?tenant=Steps")
    with site.changing() as change:
        change.tenant("Steps").add_user("RO")
    assert look() == ("Client", "/set-up/clients/add?tenant=Steps")
    with site.changing() as change:
        change.tenant("Steps").add_client("Robot", user="RO")
    assert look() == ("Credential", "/set-up/clients/secrets/add?tenant=Steps&name=Robot")
    page = ada.get("/first-steps?tenant=Steps").text
    assert "full with 2 seats" in page
    assert 'id="connect"' not in page
    with site.changing() as change:
        change.tenant("Steps").set_user("RO", password_hash=PASSWORD_HASH)
    assert look() == ("First token", "")
    page = ada.get("/first-steps?tenant=Steps").text
    assert f"{site.url}/Steps/token" in unescape(page)
    assert "6 of 7 steps" in page


def test_every_button_of_the_path_leads_to_a_form(site: DashboardSite, ada: Reader) -> None:
    """Of one who has only a client that authenticates by nothing, the links are all there."""
    with site.changing() as change:
        tenant = change.add_tenant("Forms", seats=1)
        tenant.add_user("RO")
        tenant.add_client("Robot", user="RO")
    for path in ("tenants/add", "pools/add", "scopes/edit", "users/add", "clients/add"):
        assert ada.get(f"/set-up/{path}?tenant=Forms&name=all").status_code == 200
    assert ada.get(next_of(ada.get("/first-steps?tenant=Forms"))[1]).status_code == 200


def test_the_first_token_is_noticed_and_the_page_asks_no_more(site: DashboardSite, ada: Reader) -> None:
    """The page, the line that waits for one client, and the overview."""
    ready(site, "Tokens")
    line = "/first-steps/token?tenant=Tokens&name=Robot"
    assert WAITS in ada.get("/first-steps?tenant=Tokens").text
    assert "Waiting for a token of" in ada.get(line).text
    assert "/first-steps?tenant=Tokens" in ada.get("/?tenant=Tokens").text
    site.ask("Tokens/token", "Robot", grant_type="client_credentials").raise_for_status()
    page = ada.get("/first-steps?tenant=Tokens").text
    assert re.search(r"Your client <bdi>Robot</bdi> got its first token at\s+<time", page)
    assert "All steps are done" in page
    assert WAITS not in page
    told = ada.get(line).text
    assert "Your client <bdi>Robot</bdi> got a token at" in told
    assert WAITS not in told
    assert "/first-steps" not in ada.get("/?tenant=Tokens").text


def test_what_the_page_asks_by_itself_keeps_nobody_signed_in(site: DashboardSite, ada: Reader) -> None:
    """As each request that no reader made."""
    ready(site, "Asks")
    for path in ("/first-steps?tenant=Asks", "/first-steps/token?tenant=Asks&name=Robot"):
        assert 'hx-headers=\'{"X-Licet-Follows": "1"}\'' in ada.get(path).text


def test_a_denied_client_has_had_no_token(site: DashboardSite, ada: Reader) -> None:
    """A denial is no step."""
    with site.changing() as change:
        tenant = change.add_tenant("Denied", seats=0)
        tenant.add_user("RO", password_hash=PASSWORD_HASH)
        tenant.add_client("Robot", user="RO")
    assert site.ask("Denied/token", "Robot", grant_type="client_credentials").status_code == 400
    assert next_of(ada.get("/first-steps?tenant=Denied"))[0] == "First token"


def test_the_lists_of_the_set_up_say_what_is_next(site: DashboardSite, ada: Reader) -> None:
    """Until a client can authenticate; then they say it no more."""
    with site.changing() as change:
        change.add_tenant("Lists", seats=1)
    page = unescape(ada.get("/set-up/users?tenant=Lists").text)
    assert "3 of 7 steps are done on the way to the first token. Next: user." in page
    assert 'href="/set-up/users/add?tenant=Lists"' in page
    ready(site, "Listed")
    assert "/first-steps" not in ada.get("/set-up/users?tenant=Listed").text


def test_who_may_not_add_has_no_button(site: DashboardSite) -> None:
    """A viewer, and an owner of one tenant at what only an owner of all may add."""
    with site.changing() as change:
        tenant = change.add_tenant("Rights")
        tenant.add_scope("all")
    with site.reader("vera") as vera:
        page = vera.get("/first-steps?tenant=Rights")
        assert next_of(page) == ("Pool", "")
        assert "An owner does this." in page.text
    site.add_owner("rita", "Rights")
    with reader_of(site) as rita:
        assert rita.sign_in("rita", PASSWORD).status_code == 303
        page = rita.get("/first-steps")
        assert next_of(page) == ("Pool", "")
        assert "An owner of all tenants does this." in page.text
        assert rita.get("/first-steps?tenant=Jim_Test").status_code == 404
        assert rita.get("/first-steps/token?tenant=Jim_Test&name=TestClientId").status_code == 404


def command_on(page: httpx.Response) -> list[str]:
    """The arguments of the command that a page offers for what is next."""
    found = re.search(r"On the command line: <code>licet ([^<]*)</code>", page.text)
    assert found, page.text
    return shlex.split(unescape(found[1]))


def test_the_command_of_each_step_works_as_it_stands(site: DashboardSite, ada: Reader) -> None:
    """Pasted one after the other, they lead to the last step; no question is asked."""
    with site.changing() as change:
        change.add_tenant("Pasted").add_scope("all")

    for step in ("Pool", "Scope", "User", "Client"):
        page = ada.get("/first-steps?tenant=Pasted")
        assert next_of(page)[0] == step
        run(*command_on(page), LICET_DATA=str(site.data))
    run("client", "secret", "list", "TestClientId", "--tenant", "Pasted", LICET_DATA=str(site.data))
    assert next_of(ada.get("/first-steps?tenant=Pasted"))[0] == "First token"


def test_the_command_for_a_secret_works_as_it_stands(site: DashboardSite, ada: Reader) -> None:
    """Also where the client's name needs quotes."""
    with site.changing() as change:
        tenant = change.add_tenant("Secret", seats=1)
        tenant.add_user("RO")
        tenant.add_client("A 'robot'", user="RO")
    run(*command_on(ada.get("/first-steps?tenant=Secret")), LICET_DATA=str(site.data))
    assert next_of(ada.get("/first-steps?tenant=Secret"))[0] == "First token"


def test_an_empty_store_begins_with_a_tenant(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The overview leads there, and so does the set-up."""
    with DashboardSite(tmp_path_factory.mktemp("empty")) as site:
        with site.changing() as change:
            change.remove_tenant("Jim_Test")
        with site.reader("ada") as ada:
            assert '<a class="button first" href="/first-steps">First steps</a>' in ada.get("/").text
            page = ada.get("/first-steps")
            assert next_of(page) == ("Tenant", "/set-up/tenants/add")
            assert "Next: tenant." in ada.get("/set-up/tenants").text
            run(*command_on(page), LICET_DATA=str(site.data))
            assert next_of(ada.get("/first-steps"))[0] == "User"
