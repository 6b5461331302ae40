"""Groups on the dashboard: added, changed, removed, found; who may, and two who edit at once."""

import csv
from collections.abc import Iterator

import pytest

from licet.options import Group, Share
from support.admin.dashboard import DashboardSite, Reader, heading
from support.admin.filling import form_of, resend, send, wrong
from support.admin.pages import text_of
from support.admin.setup_forms import HERE, done, edit, removal, tenant_of
from support.store.older_names import rename


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DashboardSite]:
    """One server for all; each test has groups of its own. `otto` owns the tenant alone."""
    with DashboardSite(tmp_path_factory.mktemp("site")) as site:
        site.add_owner("otto", "Jim_Test")
        yield site


def groups(site: DashboardSite) -> dict[str, Group]:
    return dict(tenant_of(site).groups)


def test_a_group_is_added_changed_and_removed(site: DashboardSite, ada: Reader) -> None:
    page = send(ada, f"/set-up/groups/add{HERE}", name="sales", users="TC\r\n\r\n TC ", clients="Client6")
    done(page, "/set-up/groups")
    assert groups(site)["sales"] == Group(
        name="sales", users=frozenset({"TC"}), clients=frozenset({"Client6"})
    )
    listed = ada.get(f"/set-up/groups{HERE}")
    assert "sales" in text_of(listed)
    assert "added group sales" in text_of(listed)
    done(send(ada, edit("groups", "sales"), clients=""), "/set-up/groups")
    assert groups(site)["sales"].clients == frozenset()
    rows = csv.DictReader(ada.get(f"/set-up/groups/download.csv{HERE}").text.splitlines())
    sales = next(row for row in rows if row["name"] == "sales")
    assert (sales["tenant"], sales["users"], sales["clients"]) == ("Jim_Test", "TC", "")
    assert "its list of 1 user" in text_of(ada.get(removal("groups", "sales")))
    done(send(ada, removal("groups", "sales")), "/set-up/groups")
    assert "sales" not in groups(site)


def test_a_client_whose_id_has_a_character_that_looks_like_a_line_end_is_one_member(
    site: DashboardSite, ada: Reader
) -> None:
    name = "App\N{LINE SEPARATOR}2"
    with site.changing() as change:
        change.tenant("Jim_Test").add_client("Odd", user="TC")
        rename(change, "Odd", name)
    done(
        send(ada, f"/set-up/groups/add{HERE}", name="odd", users="", clients=f"{name}\r\n"), "/set-up/groups"
    )
    assert groups(site)["odd"].clients == frozenset({name})


def test_a_member_that_is_not_there_is_refused_beside_its_field(site: DashboardSite, ada: Reader) -> None:
    page = send(ada, f"/set-up/groups/add{HERE}", name="typing", users="TC\nXX", clients="")
    assert page.status_code == 422
    assert wrong(page)["users"].startswith("There is no user XX")
    assert form_of(page)["name"] == ["typing"]  # as it was typed
    assert "typing" not in groups(site)


@pytest.mark.parametrize("name", ["", "two words", "-x", "x" * 65, "<b>"])
def test_a_name_that_is_none_is_refused(site: DashboardSite, ada: Reader, name: str) -> None:
    page = send(ada, f"/set-up/groups/add{HERE}", name=name, users="", clients="")
    assert "letters, digits" in wrong(page)["name"]
    assert name not in groups(site)


def test_a_group_that_a_pool_names_is_kept_and_the_page_leads_to_the_pool(
    site: DashboardSite, ada: Reader
) -> None:
    with site.changing() as change:
        setup = change.tenant("Jim_Test")
        setup.add_group("kept", users=frozenset({"TC"}))
        setup.set_pool("full", max=(Share(who="group:kept", seats=2),))
    page = ada.get(removal("groups", "kept"))
    assert page.status_code == 409
    assert "named by max of pool full" in text_of(page)
    assert "/set-up/pools/edit?tenant=Jim_Test&amp;name=full" in page.text
    assert "full" in text_of(ada.get(f"/set-up/groups{HERE}"))
    with site.changing() as change:
        change.tenant("Jim_Test").set_pool("full", max=())


def test_of_two_who_edit_the_second_sees_both_versions_and_nothing_is_lost(
    site: DashboardSite, ada: Reader
) -> None:
    with site.changing() as change:
        change.tenant("Jim_Test").add_group("both")
    path = edit("groups", "both")
    with site.reader("otto") as otto:
        opened = otto.get(path)
        done(send(ada, path, users="TC"), "/set-up/groups")
        page = resend(otto, opened, path, clients="TestClientId")
    assert page.status_code == 409
    assert "Somebody else was first." in text_of(page)
    assert form_of(page)["users"] == ["TC"]
    assert groups(site)["both"] == Group(name="both", users=frozenset({"TC"}))


def test_an_owner_of_the_tenant_adds_a_group_and_who_looks_only_does_not(site: DashboardSite) -> None:
    with site.reader("otto") as otto:
        done(send(otto, f"/set-up/groups/add{HERE}", name="otto.s", users="TC", clients=""), "/set-up/groups")
    for name in ("oscar", "vera"):
        with site.reader(name) as reader:
            assert reader.get(f"/set-up/groups{HERE}").status_code == 200
            assert reader.get(f"/set-up/groups/add{HERE}").status_code == 403
            assert reader.post(f"/set-up/groups/add{HERE}", name="no", users="").status_code == 403
            assert reader.post(removal("groups", "otto.s")).status_code == 403
    assert "otto.s" in groups(site)
    assert "no" not in groups(site)


def test_the_search_finds_a_group_and_leads_to_it(site: DashboardSite, ada: Reader) -> None:
    with site.changing() as change:
        change.tenant("Jim_Test").add_group("Zebra.Users", users=frozenset({"TC"}))
    found = ada.get("/search?q=zebra")
    assert found.status_code == 303
    assert found.headers["location"] == "/set-up/groups/edit?tenant=Jim_Test&name=Zebra.Users"
    profile = ada.get("/client?tenant=Jim_Test&name=TestClientId")
    assert "Zebra.Users" in text_of(profile)
    assert "Zebra.Users" in text_of(ada.get("/user?tenant=Jim_Test&name=TC"))


def test_a_group_that_is_gone_has_no_page(ada: Reader) -> None:
    assert ada.get(edit("groups", "nobody")).status_code == 404
    assert heading(ada.get(f"/set-up/groups/add{HERE}")) == "A new group in Jim_Test"
