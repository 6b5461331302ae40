"""Serves the public keys of a client, and replaces all its secrets by a new one."""

from fastapi import APIRouter
from fastapi.responses import Response
from msgspec.structs import replace

from licet.admin.api import openapi, requests, responses
from licet.admin.api.call import Call, NamePath, Owning, Paged, Reading, TenantPath, answer, at, there
from licet.admin.api.dry_run import rehearsable
from licet.credentials.public_keys import read_keys
from licet.model import Client, InvalidValue, PublicKey
from licet.refusal import Code
from licet.setup.tenant import TenantSetup

client_keys = APIRouter(prefix="/tenants/{tenant}/clients/{client_id}", tags=["Clients"])


@client_keys.get("/keys", operation_id="listClientKeys", **openapi.listed(responses.ClientKey, 404))
async def list_keys(call: Reading, tenant: TenantPath, client_id: NamePath, page: Paged) -> Response:
    """Its public keys."""

    def found() -> tuple[PublicKey, ...]:
        return _client(call, tenant, client_id).keys

    return await call.show_list(
        found, lambda key: f"{key.created_at_ms:020} {key.thumbprint}", responses.client_key, page
    )


@client_keys.post("/keys", operation_id="addClientKey", **rehearsable(openapi.added(responses.ClientKey)))
async def add_key(
    call: Owning, tenant: TenantPath, client_id: NamePath, body: requests.ClientKeyNew
) -> Response:
    """Add one more public key by which it may authenticate (`private_key_jwt`, RFC 7523)."""
    call.given(body)
    key = await call.desk.run(_read_one, body)

    def do(setup: TenantSetup, _: int) -> PublicKey:
        there(setup.clients.get(client_id), "client", client_id)
        setup.add_key(client_id, key, body.expires_at_ms)
        return _named(setup.clients[client_id], key.thumbprint)

    made = await call.change(tenant, do)
    where = at("tenants", tenant, "clients", client_id, "keys", made.thumbprint)
    return answer(responses.client_key(made), 201, {"Location": where})


@client_keys.get("/keys/{kid}", operation_id="getClientKey", **openapi.one(responses.ClientKey, 404))
async def get_key(call: Reading, tenant: TenantPath, client_id: NamePath, kid: NamePath) -> Response:
    """One of its keys, by its kid or its thumbprint."""
    return await call.show(lambda: responses.client_key(_named(_client(call, tenant, client_id), kid)))


@client_keys.delete(
    "/keys/{kid}", operation_id="removeClientKey", **rehearsable(openapi.one(None, 404, status=204))
)
async def remove_key(call: Owning, tenant: TenantPath, client_id: NamePath, kid: NamePath) -> Response:
    """Remove one; what it began lives on until it has to be renewed."""

    def do(setup: TenantSetup, _: int) -> None:
        client = there(setup.clients.get(client_id), "client", client_id)
        if any(kid in {key.thumbprint, key.kid} for key in client.keys):
            setup.remove_key(client_id, kid)

    await call.change(tenant, do)
    return Response(status_code=204)


@client_keys.post(
    "/secrets/rotate", operation_id="rotateSecret", **rehearsable(openapi.added(responses.NewSecret))
)
async def rotate_secret(
    call: Owning, tenant: TenantPath, client_id: NamePath, body: requests.SecretRotation
) -> Response:
    """Generate a secret in the place of all others, which work on for a while; it is shown once."""
    call.given(body)
    secret = (await call.desk.run(call.desk.client_secrets)).generate()

    def do(setup: TenantSetup, _: int) -> None:
        there(setup.clients.get(client_id), "client", client_id)
        setup.rotate_secret(client_id, secret, body.overlap_s, body.expires_at_ms)

    await call.change(tenant, do)
    made = responses.NewSecret(
        secret_id=secret.secret_id, secret=secret.secret, expires_at_ms=body.expires_at_ms
    )
    where = at("tenants", tenant, "clients", client_id, "secrets", secret.secret_id)
    return answer(made, 201, {"Location": where})


def _client(call: Call, tenant: str, client_id: str) -> Client:
    return there(call.tenant(tenant).clients.get(client_id), "client", client_id)


def _named(client: Client, kid: str) -> PublicKey:
    return there(next((it for it in client.keys if kid in {it.thumbprint, it.kid}), None), "key", kid)


def _read_one(body: requests.ClientKeyNew) -> PublicKey:
    keys = read_keys(body.key)
    if len(keys) > 1:
        text = f"these are {len(keys)} keys; add them one by one"
        raise InvalidValue(text, code=Code.TOO_MANY, field="key", limit=1)
    kid = body.kid if body.kid is not None else keys[0].kid
    return replace(keys[0], kid=None if kid == keys[0].thumbprint else kid)
