"""The admin API, alerts: what is raised, webhooks, and what became of the messages."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from licet.alerts.evaluation import look
from licet.alerts.outbox import Attempt, claim, record_attempt
from licet.formats import instant
from licet.setup.change import changing
from support.admin.admin_site import API, OTHER, AdminSite, mistakes, problem
from support.store.kinds import Place, SqlitePlaces
from support.store.setup_site import ADA, JIM, START_MS

URL = "https://example.com/hooks/t0ken"
NOBODY = "/webhooks/wh_000000000000"


@pytest.fixture(scope="module")
def shared(sqlite_places: SqlitePlaces, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AdminSite]:
    """For those who change nothing."""
    directory = tmp_path_factory.mktemp("webhooks")
    found = AdminSite(sqlite_places.make(directory, START_MS), directory)
    yield found
    found.close()


@pytest.fixture
def site(sqlite_places: SqlitePlaces, tmp_path: Path) -> Iterator[AdminSite]:
    place: Place = sqlite_places.make(tmp_path, START_MS)
    found = AdminSite(place, tmp_path)
    yield found
    found.close()


def add(site: AdminSite, who: str = "owner", **body: Any) -> dict[str, Any]:
    response = site.call("POST", "/webhooks", who, json={"url": URL, **body})
    assert response.status_code == 201, response.text
    made: dict[str, Any] = response.json()
    assert response.headers["location"] == f"{API}/webhooks/{made['id']}"
    return made


def test_a_webhook_is_added_changed_and_removed(site: AdminSite) -> None:
    made = add(site, tenant=JIM)
    path = f"/webhooks/{made['id']}"
    assert made == {
        "id": made["id"],
        "tenant": JIM,
        "place": "https://example.com",
        "url": URL,
        "enabled": True,
        "disabled_why": "",
        "secret_number": 1,
        "rotated_at": None,
        "created_at": instant(START_MS),
        "private_allowed": True,
    }
    assert site.get(path) == made
    assert site.get("/webhooks")["items"] == [made]
    etag = site.call("GET", path).headers["etag"]
    changed = site.call("PATCH", path, json={"enabled": False}, if_match=etag).json()
    assert changed == made | {"enabled": False}
    told = problem(site.call("DELETE", path, if_match=etag), 412, "changed-meanwhile")
    assert told["current"] == changed
    for _ in range(2):
        assert site.call("DELETE", path, if_match="*").status_code == 204
    problem(site.call("GET", path), 404, "not-found")


def test_a_secret_is_shown_to_owners_and_rotated(site: AdminSite) -> None:
    path = f"/webhooks/{add(site)['id']}"
    first = site.get(f"{path}/secret")
    assert first["secret"].startswith("whsec_")
    second = site.call("POST", f"{path}/rotate").json()
    assert (second["secret_number"], second["secret"] != first["secret"]) == (2, True)
    assert site.get(f"{path}/secret") == second
    assert site.get(path)["rotated_at"] == instant(START_MS)


def test_who_is_no_owner_sees_no_url(site: AdminSite) -> None:
    """What follows the host may be a secret."""
    add(site)
    [shown] = site.get("/webhooks", "operator")["items"]
    assert (shown["url"], shown["place"]) == (None, "https://example.com")
    problem(site.call("GET", f"/webhooks/{shown['id']}/secret", "operator"), 403, "not-allowed")


def test_who_is_of_one_tenant_has_the_webhooks_of_that_tenant(site: AdminSite) -> None:
    add(site)
    own = add(site, "owner of Other")
    assert own["tenant"] == OTHER
    assert site.get("/webhooks", "viewer of Other")["items"] == [own | {"url": None}]
    assert mistakes(site.call("POST", "/webhooks", "owner of Other", json={"url": URL, "tenant": JIM})) == {
        "#/tenant": f"There is no tenant {JIM}; there is: {OTHER}."
    }
    # null is all tenants, also here.
    problem(
        site.call("POST", "/webhooks", "owner of Other", json={"url": URL, "tenant": None}),
        403,
        "not-allowed",
    )


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "#/url"),
        ({"url": "http://example.com/"}, ""),
        ({"url": "https://a b/"}, "#/url"),
        ({"url": "x" * 2001}, "#/url"),
        ({"url": URL, "tenant": "Nobody"}, "#/tenant"),
        ({"url": URL, "secret": "mine"}, "#/secret"),
    ],
)
def test_a_wrong_value_is_told_with_its_place(shared: AdminSite, body: dict[str, Any], pointer: str) -> None:
    found = mistakes(shared.call("POST", "/webhooks", json=body))
    assert [it for it in found if pointer in it]
    assert shared.get("/webhooks")["items"] == []


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", NOBODY),
        ("PATCH", NOBODY),
        ("GET", f"{NOBODY}/secret"),
        ("POST", f"{NOBODY}/rotate"),
        ("POST", f"{NOBODY}/test"),
    ],
)
def test_a_webhook_that_is_not_there(shared: AdminSite, method: str, path: str) -> None:
    options: dict[str, Any] = {"json": {"enabled": True}} if method == "PATCH" else {}
    problem(shared.call(method, path, if_match="*", **options), 404, "not-found")


def test_what_is_raised_and_sent_is_shown(site: AdminSite) -> None:
    """And what was given up is sent again on demand."""
    webhook = add(site)
    assert site.get("/alerts", "viewer")["items"] == []
    with changing(site.store, ADA) as change:
        change.tenant(JIM).set_pool("full", seats=1, alerts=("80",))
    site.grant("c1")
    assert look(site.store) == 1
    [raised] = site.get("/alerts", "viewer")["items"]
    assert (raised["tenant"], raised["pool"], raised["threshold"]) == (JIM, "full", "80")
    assert site.get("/alerts", "viewer of Other")["items"] == []
    [message] = claim(site.store)
    record_attempt(site.store, message, Attempt("answered 410", is_gone=True))
    [shown] = site.get("/deliveries?state=given_up", "viewer")["items"]
    assert (shown["id"], shown["webhook"], shown["last_error"]) == (
        message.id,
        webhook["id"],
        "answered 410",
    )
    assert site.get("/deliveries", "viewer of Other") == {"items": [], "next": None}
    again: dict[str, Any] = {
        "path": "/deliveries/send-again",
        "who": "operator",
        "json": {"messages": [message.id]},
    }
    assert site.call("POST", **again).json() == {"messages": 0}
    site.call("PATCH", f"/webhooks/{webhook['id']}", json={"enabled": True}, if_match="*")
    assert site.call("POST", **again).json() == {"messages": 1}
    assert [it.id for it in claim(site.store)] == [message.id]


def test_a_test_message_is_queued(site: AdminSite) -> None:
    path = f"/webhooks/{add(site)['id']}"
    assert site.call("POST", f"{path}/test").status_code == 202
    [shown] = site.get("/deliveries")["items"]
    assert (shown["type"], shown["state"]) == ("webhook.test", "waiting")
    site.call("PATCH", path, json={"enabled": False}, if_match="*")
    problem(site.call("POST", f"{path}/test"), 409, "not-possible")
    problem(site.call("GET", "/deliveries?cursor=x"), 422, "invalid-value")


def test_an_owner_of_one_tenant_posts_nothing_to_this_machine(site: AdminSite) -> None:
    """What listens there only, and trusts who reaches it, is the business of an owner of all tenants."""
    local = "http://127.0.0.1:9000/"
    assert add(site, url=local, tenant=OTHER)["url"] == local
    refused = site.call("POST", "/webhooks", "owner of Other", json={"url": local})
    problem(refused, 422, "invalid-value")
    path = f"/webhooks/{add(site, 'owner of Other')['id']}"
    changed = site.call("PATCH", path, "owner of Other", json={"url": local}, if_match="*")
    problem(changed, 422, "invalid-value")
