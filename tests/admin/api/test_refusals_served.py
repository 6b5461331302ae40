"""A refusal of the admin API as a program gets it, by HTTP from a server: code, pointer, what helps."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from licet.accounts import administrators
from licet.credentials.generated import ApiKeys
from licet.credentials.keyring import FILE_NAME, read_keyring
from licet.model import Role
from licet.setup.parts.client_secrets_and_keys import SECRETS_MAX
from support.admin.admin_site import PASSWORD, PASSWORD_HASH, problem
from support.server.running import PATIENCE_S, RunningServer

TENANT = "Jim_Test"
SECRETS = f"/tenants/{TENANT}/clients/TestClientId/secrets"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server with an admin listener, and one administrator, who is an owner of all tenants."""
    with RunningServer(tmp_path_factory.mktemp("refusals"), admin=True) as running:
        with running.store() as store, administrators.changing(store, "a test") as change:
            change.add_admin("ada", password_hash=PASSWORD_HASH, role=Role.OWNER)
        yield running


def asking(server: RunningServer, name: str, *, of_tenant: bool = False) -> httpx.Client:
    """A program with a new API key of an owner, of all tenants or of one."""
    made = ApiKeys(read_keyring(server.data / FILE_NAME).pepper).generate()
    with server.store() as store, administrators.changing(store, "a test") as change:
        tenant = store.tenant(TENANT)
        assert tenant is not None
        change.add_api_key(name, made, role=Role.OWNER, tenant_id=tenant.id if of_tenant else None)
    return httpx.Client(
        base_url=f"{server.admin_url}/api/v1",
        headers={"authorization": f"Bearer {made.key}", "if-match": "*"},
        timeout=PATIENCE_S,
    )


@pytest.fixture(scope="module")
def api(server: RunningServer) -> Iterator[httpx.Client]:
    """A program of an owner of all tenants."""
    with asking(server, "of-all") as client:
        yield client


def pointed_at(told: dict[str, Any]) -> list[tuple[str, str]]:
    """Where in the body what is wrong stands, and with which code."""
    return [(it["pointer"], it["code"]) for it in told.get("errors", ())]


def test_a_webhook_that_is_disabled_is_not_tried_and_the_answer_says_what_enables_it(
    api: httpx.Client,
) -> None:
    """409 `disabled`, about that webhook; the request has no body to point at."""
    webhook = api.post("/webhooks", json={"url": "https://example.com/alerts"}).json()["id"]
    assert api.patch(f"/webhooks/{webhook}", json={"enabled": False}).is_success
    told = problem(api.post(f"/webhooks/{webhook}/test"), 409, "not-possible")
    assert (told["code"], told["subject"]) == ("disabled", {"kind": "webhook", "name": webhook})
    assert pointed_at(told) == []
    assert told["detail"].endswith("is disabled; enable it first. changeWebhook with enabled true does.")


@pytest.mark.parametrize(
    ("method", "body"),
    [("DELETE", None), ("PATCH", {"role": "viewer"}), ("PATCH", {"enabled": False})],
)
def test_the_last_owner_stays_and_the_answer_says_how_another_is_made(
    api: httpx.Client, method: str, body: dict[str, Any] | None
) -> None:
    """409 `last_owner`: nobody would be left who may change the accounts."""
    told = problem(api.request(method, "/admins/ada", json=body), 409, "not-possible")
    assert (told["code"], told["subject"]) == ("last_owner", {"kind": "administrator", "name": "ada"})
    assert told["detail"].endswith("addAdmin with the role owner and no tenant adds one.")
    assert api.get("/admins/ada").json()["enabled"]


def test_a_secret_too_many_is_refused_with_how_many_there_may_be_and_what_makes_room(
    api: httpx.Client,
) -> None:
    """409 `too_many`, with the `limit`."""
    for _ in range(SECRETS_MAX):
        assert api.post(SECRETS, json={}).status_code == 201
    told = problem(api.post(SECRETS, json={}), 409, "not-possible")
    assert (told["code"], told["limit"]) == ("too_many", SECRETS_MAX)
    assert told["subject"] == {"kind": "secret", "tenant": TENANT, "client": "TestClientId"}
    assert told["detail"].endswith("removeSecret makes room.")
    assert len(api.get(SECRETS).json()["items"]) == SECRETS_MAX


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/admins", {"name": "eve", "password": PASSWORD, "role": "owner"}),
        ("/api-keys", {"name": "eve", "role": "owner"}),
    ],
)
def test_who_looks_after_one_tenant_gives_out_no_account_of_all(
    server: RunningServer, path: str, body: dict[str, Any]
) -> None:
    """403 `not_yours`, at the tenant in the body, which null is for all of them."""
    name = f"of-one-{path.strip('/')}"
    with asking(server, name, of_tenant=True) as api:
        told = problem(api.post(path, json={**body, "tenant": None}), 403, "not-allowed")
        assert told["code"] == "not_yours"
        assert pointed_at(told) == [("#/tenant", "not_yours")]
        assert "of that tenant only" in told["detail"]
