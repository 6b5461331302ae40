"""Serves what a client authenticates by: its generated secrets and its public keys.

What a secret is, is in the one answer that made it, and in no other.
"""

from collections.abc import Callable

from fastapi.responses import Response
from msgspec.structs import replace

from licet.admin.api import openapi, requests
from licet.admin.api.call import OWNING, Call, Owning, answer, at
from licet.admin.api.collection import OfClient
from licet.admin.api.dry_run import rehearsable
from licet.admin.api.moments import end_of
from licet.admin.api.noun_endpoints import Endpoints
from licet.admin.api.parameters import NamePath, TenantPath
from licet.admin.api.responses import setup as shapes
from licet.admin.api.setup.clients import clients
from licet.credentials.generated import NewClientSecret
from licet.credentials.public_keys import read_keys
from licet.model import Client, InvalidValue, PublicKey
from licet.refusal import Code
from licet.setup.tenant import TenantSetup

# Secrets

secrets = Endpoints(
    "Secret",
    OfClient(lambda client: {secret.secret_id: secret for secret in client.secrets}),
    path="/tenants/{tenant}/clients/{client_id}/secrets",
    tag="Clients",
    key="secret_id",
    word="secret",
    shape=shapes.Secret,
    show=lambda _, secret: shapes.secret(secret),
    order=lambda secret: f"{secret.created_at_ms:020} {secret.secret_id}",
    has_tag=False,
)
secrets.lists("Its generated secrets, without the secrets themselves.")


@secrets.router.post("", operation_id="addSecret", **rehearsable(openapi.added(shapes.NewSecret)))
async def add_secret(
    call: Owning, tenant: TenantPath, client_id: NamePath, body: requests.SecretNew
) -> Response:
    """Generate one more; it is shown once, and the others still work."""

    def do(setup: TenantSetup, secret: NewClientSecret, expires_at_ms: int | None) -> None:
        setup.add_secret(client_id, secret, expires_at_ms)

    return await _generate(call, tenant, client_id, body, do)


secrets.shows("One of its generated secrets, without the secret itself.")
secrets.removes(
    "Remove one; its sessions continue until they have to be renewed.", OWNING, TenantSetup.remove_secret
)


@secrets.router.post("/rotate", operation_id="rotateSecret", **rehearsable(openapi.added(shapes.NewSecret)))
async def rotate_secret(
    call: Owning, tenant: TenantPath, client_id: NamePath, body: requests.SecretRotation
) -> Response:
    """Generate a secret that replaces all others, which still work for a while; it is shown once."""

    def do(setup: TenantSetup, secret: NewClientSecret, expires_at_ms: int | None) -> None:
        setup.rotate_secret(client_id, secret, body.overlap_s, expires_at_ms)

    return await _generate(call, tenant, client_id, body, do)


async def _generate(
    call: Call,
    tenant: str,
    client_id: str,
    body: requests.SecretNew | requests.SecretRotation,
    do: Callable[[TenantSetup, NewClientSecret, int | None], None],
) -> Response:
    """Generate a secret, have it kept, and show it."""
    call.given(body)
    made = (await call.context.run(call.context.client_secrets)).generate()

    def work(setup: TenantSetup, _: str) -> int | None:
        expires_at_ms = end_of(body.expires_at, setup.tenant.zone)
        do(setup, made, expires_at_ms)
        return expires_at_ms

    expires_at_ms = await clients.change_one(call, (tenant,), client_id, work)
    where = at("tenants", tenant, "clients", client_id, "secrets", made.secret_id)
    return answer(shapes.new_secret(made, expires_at_ms), 201, {"Location": where})


# Public keys


def _keys(client: Client) -> dict[str, PublicKey]:
    """By the kid as well as by the thumbprint."""
    return {name: key for key in client.keys for name in (key.thumbprint, key.kid) if name is not None}


keys = Endpoints(
    "ClientKey",
    OfClient(_keys),
    path="/tenants/{tenant}/clients/{client_id}/keys",
    tag="Clients",
    key="kid",
    word="key",
    shape=shapes.ClientKey,
    show=lambda _, key: shapes.client_key(key),
    order=lambda key: f"{key.created_at_ms:020} {key.thumbprint}",
    has_tag=False,
)
keys.lists("Its public keys.")


@keys.router.post("", operation_id="addClientKey", **rehearsable(openapi.added(shapes.ClientKey)))
async def add_key(
    call: Owning, tenant: TenantPath, client_id: NamePath, body: requests.ClientKeyNew
) -> Response:
    """Add a public key with which it can authenticate (`private_key_jwt`, RFC 7523)."""
    call.given(body)
    key = await call.context.run(_read_one, body)

    def do(setup: TenantSetup, _: str) -> PublicKey:
        setup.add_key(client_id, key, end_of(body.expires_at, setup.tenant.zone))
        return _keys(setup.clients[client_id])[key.thumbprint]

    made = await clients.change_one(call, (tenant,), client_id, do)
    return answer(shapes.client_key(made), 201, {"Location": call.below(made.thumbprint)})


def _read_one(body: requests.ClientKeyNew) -> PublicKey:
    found = read_keys(body.key)
    if len(found) > 1:
        text = f"these are {len(found)} keys; add them one by one"
        raise InvalidValue(text, code=Code.TOO_MANY, field="key", limit=1)
    kid = body.kid if body.kid is not None else found[0].kid
    return replace(found[0], kid=None if kid == found[0].thumbprint else kid)


keys.shows("One of its keys, by its kid or its thumbprint.")
keys.removes(
    "Remove one; its sessions continue until they have to be renewed.", OWNING, TenantSetup.remove_key
)
