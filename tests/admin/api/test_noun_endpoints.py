"""The admin API, what the endpoints of all nouns have in common: one table of cases for all of them."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from fastapi.routing import APIRoute

from licet.admin.api import routers
from support.admin.admin_site import AdminSite, problem
from support.store.kinds import SqlitePlaces
from support.store.setup_site import JIM, START_MS

KEY = '{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}'
IN_JIM = f"/tenants/{JIM}"


class Case(NamedTuple):
    """A noun: its word, where its list is, and a new one; with `change` it has a tag."""

    word: str
    path: str
    new: dict[str, Any]
    change: dict[str, Any] | None = None


CASES = [
    Case("tenant", "/tenants", {"name": "new", "seats": 1}, {"no_seat_status": 429}),
    Case("pool", f"{IN_JIM}/pools", {"name": "new", "seats": 1}, {"duplicates": "user"}),
    Case("scope", f"{IN_JIM}/scopes", {"name": "a/b"}, {"read_only": True}),
    Case("user", f"{IN_JIM}/users", {"initials": "NN"}, {"name": "Somebody"}),
    Case("group", f"{IN_JIM}/groups", {"name": "new", "users": ["U1"]}, {"users": []}),
    Case("client", f"{IN_JIM}/clients", {"client_id": "a b/c", "user": "U1"}, {"enabled": False}),
    Case("secret", f"{IN_JIM}/clients/c1/secrets", {}),
    Case("key", f"{IN_JIM}/clients/c1/keys", {"key": KEY}),
    Case("administrator", "/admins", {"name": "new", "password": "correct horse"}, {"enabled": False}),
    Case("API key", "/api-keys", {"name": "new"}),
    Case("webhook", "/webhooks", {"url": "https://example.com/alerts"}, {"enabled": False}),
]
every_noun = pytest.mark.parametrize("case", CASES, ids=lambda case: case.word)
what_is_changed = pytest.mark.parametrize(
    "case", [case for case in CASES if case.change], ids=lambda case: case.word
)


@pytest.fixture(scope="module")
def site(sqlite_places: SqlitePlaces, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AdminSite]:
    """An admin listener that these tests share: each removes what it has added."""
    directory = tmp_path_factory.mktemp("nouns")
    found = AdminSite(sqlite_places.make(directory, START_MS), directory)
    yield found
    found.close()


def add(site: AdminSite, case: Case) -> str:
    """Where a new one is."""
    made = site.call("POST", case.path, json=case.new)
    assert made.status_code == 201, made.text
    return str(made.headers["location"]).removeprefix("/api/v1")


def test_every_noun_has_a_case_here() -> None:
    """By its endpoint that removes one."""
    routes = [route for part in routers.PARTS for route in part.routes if isinstance(route, APIRoute)]
    paths = {
        it.path.rpartition("/")[0]
        for it in routes
        if "DELETE" in (it.methods or ()) and it.path.endswith("}")
    }
    paths -= {"/trust/{vendor}", "/tenants/{tenant}/licences/{licence}"}  # files: test_licence_endpoints.py
    paths -= {"/tenants/{tenant}/pools/{pool}/queue"}  # nobody adds a place: test_queue_endpoints.py
    assert paths == {case.path.replace(JIM, "{tenant}").replace("c1", "{client_id}") for case in CASES}


@every_noun
def test_what_was_added_is_at_its_location_and_in_the_list_until_it_is_removed(
    case: Case, site: AdminSite
) -> None:
    """RFC 9110 10.2.2; 204 also when it is gone already."""
    before = site.get(case.path)["items"]
    at = add(site, case)
    shown = site.get(at)
    assert shown in site.get(case.path)["items"]
    assert len(site.get(case.path)["items"]) == len(before) + 1
    for _ in range(2):
        assert site.call("DELETE", at, if_match="*").status_code == 204
        assert site.get(case.path)["items"] == before
    problem(site.call("GET", at), 404, "not-found")


@every_noun
def test_what_never_was_is_not_found_and_is_removed_already(case: Case, site: AdminSite) -> None:
    """By its word and name; an encoded slash is one of the name."""
    told = problem(site.call("GET", f"{case.path}/no%2Fbody"), 404, "not-found")
    assert told["detail"].lower() == f"there is no {case.word} no/body.".lower()
    assert site.call("DELETE", f"{case.path}/no%2Fbody", if_match="*").status_code == 204
    if case.change:
        changed = site.call("PATCH", f"{case.path}/nobody", if_match="*", json=case.change)
        problem(changed, 404, "not-found")


@pytest.mark.parametrize("case", [case for case in CASES if "c1" in case.path], ids=lambda case: case.word)
def test_of_a_client_that_is_not_there_nothing_is_removed_already(case: Case, site: AdminSite) -> None:
    """404: a wrong client_id is told, and not taken for a removal that was done."""
    path = case.path.replace("c1", "nobody")
    for method, at in (("GET", path), ("POST", path), ("GET", f"{path}/x"), ("DELETE", f"{path}/x")):
        options: dict[str, Any] = {"json": case.new} if method == "POST" else {}
        told = problem(site.call(method, at, **options), 404, "not-found")
        assert told["detail"] == "There is no client nobody."


@what_is_changed
def test_a_change_shows_what_it_is_then_with_its_tag(case: Case, site: AdminSite) -> None:
    """Its tag before fits no more: RFC 9110 13.1.1."""
    at = add(site, case)
    before = site.call("GET", at)
    problem(site.call("PATCH", at, json=case.change), 428, "condition-needed")
    changed = site.call("PATCH", at, if_match=before.headers["etag"], json=case.change)
    after = site.call("GET", at)
    assert changed.json() == after.json() == before.json() | (case.change or {})
    assert changed.headers["etag"] == after.headers["etag"] != before.headers["etag"]
    problem(site.call("DELETE", at, if_match=before.headers["etag"]), 412, "changed-meanwhile")
    assert site.call("DELETE", at, if_match=after.headers["etag"]).status_code == 204


@every_noun
def test_a_dry_run_adds_and_removes_nothing_or_is_refused(case: Case, site: AdminSite) -> None:
    """Accounts and webhooks have none, and it is not done in earnest."""
    has_one = case.path.startswith("/tenants")
    before = site.get(case.path)
    tried = site.call("POST", f"{case.path}?dry_run=true", json=case.new)
    assert tried.status_code == (200 if has_one else 422)
    assert site.get(case.path) == before
    at = add(site, case)
    tried = site.call("DELETE", f"{at}?dry_run=true", if_match="*")
    assert tried.status_code == (200 if has_one else 422)
    site.get(at)
    site.call("DELETE", at, if_match="*")
