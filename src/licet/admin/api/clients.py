"""Serves the clients of a tenant: lists, adds, shows, changes, suspends and removes them."""

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from licet.admin.api import openapi, requests, responses
from licet.admin.api.call import (
    Call,
    Content,
    NamePath,
    Operating,
    Owning,
    Paged,
    Reading,
    TenantPath,
    answer,
    at,
    there,
)
from licet.admin.api.conditional import represent
from licet.admin.api.dry_run import rehearsable
from licet.admin.api.queries import Matching, OfUser, OnlyEnabled, has_part
from licet.model import Client, GrantType, InvalidValue
from licet.refusal import Code
from licet.setup.nouns import CLIENT
from licet.setup.tenant import TenantSetup

_CANNOT_AUTHENTICATE = (
    "It has no way to authenticate: no secret, no public key, and its user's password does not work for it."
    " Add a secret or a key, or give the user a password and allow it."
)

clients = APIRouter(prefix="/tenants/{tenant}/clients", tags=["Clients"])


# Tenants


# Pools


# Scopes


# Users


# Clients


@clients.get("", operation_id="listClients", **openapi.listed(responses.Client, 404))
async def list_clients(  # noqa: PLR0917 - what is looked for
    call: Reading,
    tenant: TenantPath,
    page: Paged,
    matching: Matching = None,
    user: OfUser = None,
    enabled: OnlyEnabled = None,
) -> Response:
    """The clients of a tenant."""

    def found() -> list[Client]:
        return [
            client
            for client in call.tenant(tenant).clients.values()
            if user in {None, client.user.initials}
            and enabled in {None, client.enabled}
            and has_part(client.client_id, matching)
        ]

    now_ms = call.now_ms()
    return await call.show_list(
        found, lambda client: client.client_id, lambda client: responses.client(client, now_ms), page
    )


@clients.post(
    "",
    operation_id="addClient",
    **rehearsable(openapi.added(responses.NewClient)),
)
async def add_client(call: Owning, tenant: TenantPath, body: requests.ClientNew) -> Response:
    """Add a client; a secret that is generated with it is shown once."""
    given = _of_client(call.given(body))
    client_id, wants_secret = given.pop("client_id"), given.pop("generate_secret", False)
    expires_at_ms = given.pop("secret_expires_at_ms", None)
    if given.get("password_allowed", ...) is None:
        del given["password_allowed"]
    if expires_at_ms is not None and not wants_secret:
        text = "secret_expires_at_ms is about a generated secret"
        raise InvalidValue(text, code=Code.NOT_TOGETHER, field="secret_expires")
    secret = (await call.desk.run(call.desk.client_secrets)).generate() if wants_secret else None

    def do(setup: TenantSetup, _: int) -> Client:
        setup.add_client(client_id, secret, expires_at_ms, **given)
        return setup.clients[client_id]

    made = await call.change(tenant, do)
    told = None
    if secret is not None:
        told = responses.NewSecret(
            secret_id=secret.secret_id, secret=secret.secret, expires_at_ms=expires_at_ms
        )
    now_ms = call.now_ms()
    members = responses.client_members(made, now_ms)
    warnings = () if members["authenticates_by"] else (_CANNOT_AUTHENTICATE,)
    return answer(
        responses.NewClient(**members, secret=told, warnings=warnings),
        201,
        {
            "Location": at("tenants", tenant, "clients", client_id),
            "ETag": represent(responses.client(made, now_ms)).etag,
        },
    )


@clients.get("/{client_id}", operation_id="getClient", **openapi.shown(responses.Client))
async def get_client(call: Reading, tenant: TenantPath, client_id: NamePath) -> Response:
    """A client."""
    return await call.show_edited(
        lambda: _shown_client(call.tenant(tenant).clients.get(client_id), client_id, call.now_ms())
    )


@clients.patch(
    "/{client_id}",
    operation_id="changeClient",
    **rehearsable(openapi.edited(responses.Client)),
)
async def change_client(
    call: Owning, tenant: TenantPath, client_id: NamePath, body: requests.ClientPatch
) -> Response:
    """Change it; sessions that it could not get any more end."""
    given = _of_client(call.given(body))
    return await call.edit(
        tenant, _client(call, client_id), lambda setup: setup.set_client(client_id, **given)
    )


@clients.delete(
    "/{client_id}",
    operation_id="removeClient",
    **rehearsable(openapi.removed()),
)
async def remove_client(call: Owning, tenant: TenantPath, client_id: NamePath) -> Response:
    """Remove it with its secrets; its sessions end."""
    return await call.remove(tenant, _client(call, client_id), lambda setup: setup.remove_client(client_id))


@clients.put(
    "/{client_id}/suspension",
    operation_id="suspendClient",
    **rehearsable(openapi.one(responses.Client, 404, 422)),
)
async def suspend_client(
    call: Operating, tenant: TenantPath, client_id: NamePath, body: requests.Suspension
) -> Response:
    """Give it no seat for a while; what it holds it keeps."""
    call.given(body)

    def do(setup: TenantSetup, now_ms: int) -> responses.Client:
        there(setup.clients.get(client_id), "client", client_id)
        setup.suspend(client_id, now_ms + body.cool_down_s * 1000)
        return responses.client(setup.clients[client_id], now_ms)

    return answer(await call.change(tenant, do))


@clients.delete(
    "/{client_id}/suspension",
    operation_id="resumeClient",
    **rehearsable(openapi.one(None, 404, status=204)),
)
async def resume_client(call: Operating, tenant: TenantPath, client_id: NamePath) -> Response:
    """Let it have seats again."""

    def do(setup: TenantSetup, _: int) -> None:
        there(setup.clients.get(client_id), "client", client_id)
        setup.suspend(client_id, None)

    await call.change(tenant, do)
    return Response(status_code=204)


def _client(call: Call, client_id: str) -> Callable[[TenantSetup], Content]:
    return lambda setup: _shown_client(setup.clients.get(client_id), client_id, call.now_ms())


def _shown_client(found: Client | None, client_id: str, now_ms: int) -> Content:
    return responses.client(there(found, "client", client_id), now_ms), b""


def _of_client(given: dict[str, Any]) -> dict[str, Any]:
    """A client's settings by the model's names."""
    given = CLIENT.by_field(given)
    if given.get("scopes") is not None:
        given["scopes"] = frozenset(given["scopes"])
    if "grant_types" in given:
        given["grant_types"] = frozenset(map(GrantType, given["grant_types"]))
    return given


# Client secrets
