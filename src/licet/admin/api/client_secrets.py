"""Serves the generated secrets of a client: lists, adds and removes them."""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from licet.admin.api import openapi, requests, responses
from licet.admin.api.call import NamePath, Owning, Paged, Reading, TenantPath, answer, at, there
from licet.admin.api.dry_run import rehearsable
from licet.setup.tenant import TenantSetup

client_secrets = APIRouter(prefix="/tenants/{tenant}/clients/{client_id}", tags=["Clients"])


@client_secrets.get(
    "/secrets",
    operation_id="listSecrets",
    **openapi.listed(responses.Secret, 404),
)
async def list_secrets(call: Reading, tenant: TenantPath, client_id: NamePath, page: Paged) -> Response:
    """Its generated secrets, without what they are."""

    def found() -> tuple[Any, ...]:
        return there(call.tenant(tenant).clients.get(client_id), "client", client_id).secrets

    return await call.show_list(
        found,
        lambda secret: f"{secret.created_at_ms:020} {secret.secret_id}",
        responses.secret,
        page,
    )


@client_secrets.post(
    "/secrets",
    operation_id="addSecret",
    **rehearsable(openapi.added(responses.NewSecret)),
)
async def add_secret(
    call: Owning, tenant: TenantPath, client_id: NamePath, body: requests.SecretNew
) -> Response:
    """Generate one more; it is shown once, and the others go on working."""
    call.given(body)
    secret = (await call.desk.run(call.desk.client_secrets)).generate()

    def do(setup: TenantSetup, _: int) -> None:
        there(setup.clients.get(client_id), "client", client_id)
        setup.add_secret(client_id, secret, body.expires_at_ms)

    await call.change(tenant, do)
    made = responses.NewSecret(
        secret_id=secret.secret_id, secret=secret.secret, expires_at_ms=body.expires_at_ms
    )
    where = at("tenants", tenant, "clients", client_id, "secrets", secret.secret_id)
    return answer(made, 201, {"Location": where})


@client_secrets.get(
    "/secrets/{secret_id}",
    operation_id="getSecret",
    **openapi.one(responses.Secret, 404),
)
async def get_secret(call: Reading, tenant: TenantPath, client_id: NamePath, secret_id: NamePath) -> Response:
    """One of its secrets, without what it is."""

    def make() -> responses.Secret:
        client = there(call.tenant(tenant).clients.get(client_id), "client", client_id)
        found = next((it for it in client.secrets if it.secret_id == secret_id), None)
        return responses.secret(there(found, "secret", secret_id))

    return await call.show(make)


@client_secrets.delete(
    "/secrets/{secret_id}",
    operation_id="removeSecret",
    **rehearsable(openapi.one(None, 404, status=204)),
)
async def remove_secret(
    call: Owning, tenant: TenantPath, client_id: NamePath, secret_id: NamePath
) -> Response:
    """Remove one; what it began lives on until it has to be renewed."""

    def do(setup: TenantSetup, _: int) -> None:
        client = there(setup.clients.get(client_id), "client", client_id)
        if any(secret.secret_id == secret_id for secret in client.secrets):
            setup.remove_secret(client_id, secret_id)

    await call.change(tenant, do)
    return Response(status_code=204)
