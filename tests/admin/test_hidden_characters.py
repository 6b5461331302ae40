"""Names with characters that cannot be seen: no new one is taken, and an older one is shown escaped."""

from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from licet.setup.change import changing
from support.admin.admin_site import AdminSite, mistakes
from support.admin.dashboard import DashboardSite, Reader
from support.admin.filling import send
from support.admin.pages import text_of
from support.store.kinds import Place
from support.store.older_names import rename
from support.store.setup_site import ADA, JIM, START_MS

HERE = "?tenant=Jim_Test"
CLIENTS = f"/tenants/{JIM}/clients"
TURNED = "Fron\N{RIGHT-TO-LEFT OVERRIDE}ksed"  # it is shown as Frondesk
SHOWN = "Fron\\u202eksed"
SAID = "a new client_id has only characters that can be seen; this one has U+202E (RIGHT-TO-LEFT OVERRIDE)"


@pytest.fixture
def site(make_place: Callable[[int], Place], tmp_path: Path) -> Iterator[AdminSite]:
    """An admin listener on each kind of store."""
    found = AdminSite(make_place(START_MS), tmp_path)
    yield found
    found.close()


@pytest.fixture(scope="module")
def dashboard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DashboardSite]:
    """A client whose name was taken before."""
    with DashboardSite(tmp_path_factory.mktemp("site")) as found:
        with found.changing() as change:
            change.tenant("Jim_Test").add_client("Older", user="TC")
            rename(change, "Older", TURNED)
        yield found


@pytest.fixture
def ada(dashboard: DashboardSite) -> Iterator[Reader]:
    """An owner of all tenants."""
    with dashboard.reader("ada") as reader:
        yield reader


@pytest.mark.parametrize(
    ("hidden", "name"),
    [
        ("\N{RIGHT-TO-LEFT OVERRIDE}", "U+202E (RIGHT-TO-LEFT OVERRIDE)"),
        ("\N{ZERO WIDTH SPACE}", "U+200B (ZERO WIDTH SPACE)"),
        ("\N{LINE SEPARATOR}", "U+2028 (LINE SEPARATOR)"),
        ("\N{PARAGRAPH SEPARATOR}", "U+2029 (PARAGRAPH SEPARATOR)"),
        ("\N{TAG LATIN SMALL LETTER A}", "U+E0061 (TAG LATIN SMALL LETTER A)"),
    ],
)
def test_the_api_takes_no_new_client_with_a_hidden_character(site: AdminSite, hidden: str, name: str) -> None:
    """It says which one it is; letters of any script are taken."""
    body = {"client_id": f"Fr{hidden}ont", "user": "U1"}
    wrong = mistakes(site.call("POST", CLIENTS, json=body))
    assert wrong.keys() == {"#/client_id"}
    assert name in wrong["#/client_id"]
    assert site.call("POST", CLIENTS, json=body | {"client_id": "دفتر é"}).status_code == 201


def test_the_api_shows_changes_and_removes_a_client_of_before(site: AdminSite) -> None:
    """By its name in the address."""
    with changing(site.store, ADA) as change:
        change.tenant(JIM).set_client("c1", sessions_max=9)
        rename(change, "c1", TURNED)
    at = f"{CLIENTS}/{quote(TURNED)}"
    assert site.get(at)["client_id"] == TURNED
    assert site.call("PATCH", at, if_match="*", json={"max_sessions": 7}).status_code == 200
    assert site.call("DELETE", at, if_match="*").status_code == 204
    assert TURNED not in {it["client_id"] for it in site.get(CLIENTS)["items"]}


def test_the_dashboard_takes_no_new_client_with_a_hidden_character(ada: Reader) -> None:
    """It says at the field which one it is; what was typed stays in the field."""
    page = send(ada, f"/set-up/clients/add{HERE}", client_id=f"{TURNED}2", user="TC")
    assert page.status_code == 422
    assert SAID.removeprefix("a") in text_of(page)
    assert f'value="{TURNED}2"' in page.text


def test_the_dashboard_shows_a_client_of_before_escaped_and_removes_it(
    dashboard: DashboardSite, ada: Reader
) -> None:
    """Where it is read, and as a label; the address and the fields of forms have the name itself."""
    for path in (f"/set-up/clients{HERE}", f"/client{HERE}&name={quote(TURNED)}"):
        page = ada.get(path)
        assert page.status_code == 200
        assert SHOWN in text_of(page)
        assert TURNED not in text_of(page)
        assert f'title="{TURNED}"' not in page.text
    path = f"/set-up/clients/remove{HERE}&name={quote(TURNED)}"
    assert SHOWN in text_of(ada.get(path))
    assert ada.post(path, sure="1").status_code == 303
    with dashboard.store() as store:
        assert all(TURNED not in tenant.clients for tenant in store.tenants().values())
