"""The admin API, the set-up: tenants, and their pools, scopes, users, clients and client secrets.

What may be and what ends with a change is decided by the model and `licet.setup.change`; an owner changes,
and everybody looks. Who is of one tenant adds and removes none, and does not change its licence.
"""

from collections.abc import Callable, Iterable
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import Response

from licet.admin.api import openapi, requests, responses
from licet.admin.api.call import (
    Call,
    Content,
    Licensing,
    NamePath,
    Operating,
    Owning,
    OwningAll,
    Paged,
    Reading,
    TenantPath,
    answer,
    at,
    created,
    must_match,
    represent,
    there,
)
from licet.admin.api.dry_run import rehearsable
from licet.credentials.passwords import about_user
from licet.formats import NEVER, read_end_ms
from licet.model import Client, GrantType, InvalidValue, Pool, Scope, Tenant, User, read_alerts
from licet.refusal import Code, of_field
from licet.setup.change import SetupChange
from licet.setup.tenant import TenantSetup

_CANNOT_AUTHENTICATE = (
    "It has no way to authenticate: no secret, no public key, and its user's password does not work for it."
    " Add a secret or a key, or give the user a password and allow it."
)

tenants = APIRouter(prefix="/tenants", tags=["Tenants"])
pools = APIRouter(prefix="/tenants/{tenant}/pools", tags=["Pools"])
scopes = APIRouter(prefix="/tenants/{tenant}/scopes", tags=["Scopes"])
users = APIRouter(prefix="/tenants/{tenant}/users", tags=["Users"])
clients = APIRouter(prefix="/tenants/{tenant}/clients", tags=["Clients"])

OfUser = Annotated[
    str | None, Query(pattern=r"^[A-Za-z0-9.]{2,3}$", description="Those of this user only (initials).")
]
OnlyEnabled = Annotated[bool | None, Query(description="Only those that are, or are not.")]
Matching = Annotated[
    str | None,
    Query(
        min_length=1,
        max_length=128,
        pattern=r"^[^\x00-\x1f\x7f]*$",
        description="Those with this in their name, whatever the case.",
    ),
]


# Tenants


@tenants.get("", operation_id="listTenants", **openapi.listed(responses.Tenant))
async def list_tenants(call: Reading, page: Paged, matching: Matching = None) -> Response:
    """The tenants that you see."""

    def found() -> list[Tenant]:
        every = call.desk.tenants_now(call.identity)
        return [tenant for tenant in every if _has(tenant.name, matching)]

    return await call.show_list(found, lambda tenant: tenant.name, responses.tenant, page)


@tenants.post("", operation_id="addTenant", **rehearsable(openapi.added(responses.Tenant)))
async def add_tenant(call: OwningAll, body: requests.TenantNew) -> Response:
    """Add a tenant."""
    given = call.given(body)

    def work(change: SetupChange) -> Tenant:
        return change.add_tenant(given.pop("name"), **given).tenant

    made = await call.change_setup(work)
    return created(represent(responses.tenant(made)), at("tenants", made.name))


@tenants.get("/{tenant}", operation_id="getTenant", **openapi.shown(responses.Tenant))
async def get_tenant(call: Reading, tenant: TenantPath) -> Response:
    """A tenant itself."""
    return await call.show_edited(lambda: (responses.tenant(call.tenant(tenant)), b""))


@tenants.patch("/{tenant}", operation_id="changeTenant", **rehearsable(openapi.edited(responses.Tenant)))
async def change_tenant(call: Owning, tenant: TenantPath, body: requests.TenantPatch) -> Response:
    """Change it. An owner of one tenant changes neither a life nor the token format."""
    given = call.given(body)
    if "default_scope" in given:
        given["scope_default"] = given.pop("default_scope")
    return await call.edit(
        tenant, lambda setup: (responses.tenant(setup.tenant), b""), lambda setup: setup.set(**given)
    )


@tenants.delete(
    "/{tenant}",
    operation_id="removeTenant",
    **rehearsable(openapi.removed()),
)
async def remove_tenant(call: OwningAll, tenant: TenantPath) -> Response:
    """Remove it with all that it has, its journal too."""
    condition = call.condition()

    def work(change: SetupChange) -> None:
        if (there := change.tenants().get(tenant)) is not None:
            must_match(condition, represent(responses.tenant(there)))
            change.remove_tenant(tenant)

    await call.change_setup(work)
    return Response(status_code=204)


# Pools


@pools.get("", operation_id="listPools", **openapi.listed(responses.Pool, 404))
async def list_pools(call: Reading, tenant: TenantPath, page: Paged) -> Response:
    """The pools of a tenant."""

    def found() -> Iterable[responses.Pool]:
        of = call.tenant(tenant)
        return [responses.pool(pool, of) for pool in of.pools.values()]

    return await call.show_list(found, lambda pool: pool.name, lambda pool: pool, page)


@pools.post("", operation_id="addPool", **rehearsable(openapi.added(responses.Pool)))
async def add_pool(call: Licensing, tenant: TenantPath, body: requests.PoolNew) -> Response:
    """Add a pool."""
    given = _of_pool(call.given(body))
    name = given.pop("name")

    def do(setup: TenantSetup) -> TenantSetup:
        setup.add_pool(name, **_with_end(given, setup.tenant))
        return setup

    return await call.add(tenant, do, _pool(name), at("tenants", tenant, "pools", name))


@pools.get("/{pool}", operation_id="getPool", **openapi.shown(responses.Pool))
async def get_pool(call: Reading, tenant: TenantPath, pool: NamePath) -> Response:
    """A pool."""

    def found() -> Content:
        of = call.tenant(tenant)
        return _shown_pool(of, of.pool_named(pool), pool)

    return await call.show_edited(found)


@pools.patch(
    "/{pool}",
    operation_id="changePool",
    **rehearsable(openapi.edited(responses.Pool)),
)
async def change_pool(call: Owning, tenant: TenantPath, pool: NamePath, body: requests.PoolPatch) -> Response:
    """Change a pool. Fewer seats end no session; an earlier expiry does. A tenant's owner sets `alerts`."""
    given = _of_pool(call.given(body))
    return await call.edit(
        tenant, _pool(pool), lambda setup: setup.set_pool(pool, **_with_end(given, setup.tenant))
    )


@pools.delete(
    "/{pool}",
    operation_id="removePool",
    **rehearsable(openapi.removed()),
)
async def remove_pool(call: Licensing, tenant: TenantPath, pool: NamePath) -> Response:
    """Remove it, when no scope draws on it."""
    return await call.remove(tenant, _pool(pool), lambda setup: setup.remove_pool(pool))


def _pool(name: str) -> Callable[[TenantSetup], Content]:
    return lambda setup: _shown_pool(setup.tenant, setup.pools.get(name), name)


def _shown_pool(of: Tenant, found: Pool | None, name: str) -> Content:
    return responses.pool(there(found, "pool", name), of), b""


def _of_pool(given: dict[str, Any]) -> dict[str, Any]:
    if "alerts" in given:
        given["alerts"] = read_alerts(" ".join(given["alerts"]))
    if "expires_at" in given and "expires_at_ms" in given:
        text = "say expires_at or expires_at_ms, and not both"
        raise InvalidValue(text, code=Code.NOT_TOGETHER, field="expires")
    return given


def _with_end(given: dict[str, Any], of: Tenant) -> dict[str, Any]:
    """A date or time that names no zone is meant in the tenant's."""
    if "expires_at" not in given:
        return given
    rest = {name: value for name, value in given.items() if name != "expires_at"}
    with of_field("expires"):
        return {**rest, "expires_at_ms": read_end_ms(given["expires_at"] or NEVER, of.zone)}


# Scopes


@scopes.get("", operation_id="listScopes", **openapi.listed(responses.Scope, 404))
async def list_scopes(call: Reading, tenant: TenantPath, page: Paged) -> Response:
    """The scopes of a tenant."""

    def found() -> Iterable[Scope]:
        return call.tenant(tenant).scopes.values()

    return await call.show_list(found, lambda scope: scope.name, responses.scope, page)


@scopes.post("", operation_id="addScope", **rehearsable(openapi.added(responses.Scope)))
async def add_scope(call: Licensing, tenant: TenantPath, body: requests.ScopeNew) -> Response:
    """Add a scope."""
    given = call.given(body)
    name = given.pop("name")

    def do(setup: TenantSetup) -> Scope:
        setup.add_scope(name, **given)
        return setup.scopes[name]

    return await call.add(
        tenant, do, lambda scope: _shown_scope(scope, name), at("tenants", tenant, "scopes", name)
    )


@scopes.get("/{scope}", operation_id="getScope", **openapi.shown(responses.Scope))
async def get_scope(call: Reading, tenant: TenantPath, scope: NamePath) -> Response:
    """A scope."""
    return await call.show_edited(lambda: _shown_scope(call.tenant(tenant).scopes.get(scope), scope))


@scopes.patch(
    "/{scope}",
    operation_id="changeScope",
    **rehearsable(openapi.edited(responses.Scope)),
)
async def change_scope(
    call: Licensing, tenant: TenantPath, scope: NamePath, body: requests.ScopePatch
) -> Response:
    """Change it; with another pool its sessions end."""
    given = call.given(body)
    return await call.edit(tenant, _scope(scope), lambda setup: setup.set_scope(scope, **given))


@scopes.delete("/{scope}", operation_id="removeScope", **rehearsable(openapi.removed()))
async def remove_scope(call: Licensing, tenant: TenantPath, scope: NamePath) -> Response:
    """Remove it; its sessions end."""
    return await call.remove(tenant, _scope(scope), lambda setup: setup.remove_scope(scope))


def _scope(name: str) -> Callable[[TenantSetup], Content]:
    return lambda setup: _shown_scope(setup.scopes.get(name), name)


def _shown_scope(found: Scope | None, name: str) -> Content:
    return responses.scope(there(found, "scope", name)), b""


# Users


@users.get("", operation_id="listUsers", **openapi.listed(responses.User, 404))
async def list_users(
    call: Reading,
    tenant: TenantPath,
    page: Paged,
    matching: Matching = None,
    enabled: OnlyEnabled = None,
) -> Response:
    """The users of a tenant."""

    def found() -> list[User]:
        return [
            user
            for user in call.tenant(tenant).users.values()
            if enabled in {None, user.enabled} and _has(f"{user.initials} {user.name}", matching)
        ]

    return await call.show_list(found, lambda user: user.initials, responses.user, page)


@users.post("", operation_id="addUser", **rehearsable(openapi.added(responses.User)))
async def add_user(call: Owning, tenant: TenantPath, body: requests.UserNew) -> Response:
    """Add a user."""
    given = call.given(body)
    initials = given.pop("initials")
    given = await _hashed(call, tenant, initials, {name: it for name, it in given.items() if it is not None})

    def do(setup: TenantSetup) -> User:
        setup.add_user(initials, **given)
        return setup.users[initials]

    return await call.add(
        tenant, do, lambda user: _shown_user(user, initials), at("tenants", tenant, "users", initials)
    )


@users.get("/{initials}", operation_id="getUser", **openapi.shown(responses.User))
async def get_user(call: Reading, tenant: TenantPath, initials: NamePath) -> Response:
    """A user."""
    return await call.show_edited(lambda: _shown_user(call.tenant(tenant).users.get(initials), initials))


@users.patch(
    "/{initials}",
    operation_id="changeUser",
    **rehearsable(openapi.edited(responses.User)),
)
async def change_user(
    call: Owning, tenant: TenantPath, initials: NamePath, body: requests.UserPatch
) -> Response:
    """Change it; disabled, it ends the sessions of its clients."""
    given = await _hashed(call, tenant, initials, call.given(body))
    return await call.edit(tenant, _user(initials), lambda setup: setup.set_user(initials, **given))


@users.delete(
    "/{initials}",
    operation_id="removeUser",
    **rehearsable(openapi.removed()),
)
async def remove_user(call: Owning, tenant: TenantPath, initials: NamePath) -> Response:
    """Remove it, when no client stands for it."""
    return await call.remove(tenant, _user(initials), lambda setup: setup.remove_user(initials))


def _user(initials: str) -> Callable[[TenantSetup], Content]:
    return lambda setup: _shown_user(setup.users.get(initials), initials)


def _shown_user(found: User | None, initials: str) -> Content:
    """A user, and what of it is never shown: another password is another content."""
    user = there(found, "user", initials)
    return responses.user(user), (user.password_hash or "").encode()


async def _hashed(call: Call, tenant: str, initials: str, given: dict[str, Any]) -> dict[str, Any]:
    """A password as it is kept; it takes a while, before the transaction."""
    if "password" in given:
        password = given.pop("password")

        def hashed() -> str:
            about = about_user(call.tenant(tenant), initials, given.get("name"))
            return call.desk.passwords.hash_new(password, *about)

        given["password_hash"] = None if password is None else await call.desk.run(hashed)
    return given


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
            and _has(client.client_id, matching)
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
    """Add a client; a secret that is generated with it is told once."""
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
    if "max_sessions" in given:
        given["sessions_max"] = given.pop("max_sessions")
    if given.get("scopes") is not None:
        given["scopes"] = frozenset(given["scopes"])
    if "grant_types" in given:
        given["grant_types"] = frozenset(map(GrantType, given["grant_types"]))
    return given


# Client secrets


@clients.get(
    "/{client_id}/secrets",
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


@clients.post(
    "/{client_id}/secrets",
    operation_id="addSecret",
    **rehearsable(openapi.added(responses.NewSecret)),
)
async def add_secret(
    call: Owning, tenant: TenantPath, client_id: NamePath, body: requests.SecretNew
) -> Response:
    """Generate one more; it is told once, and the others go on working."""
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


@clients.get(
    "/{client_id}/secrets/{secret_id}",
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


@clients.delete(
    "/{client_id}/secrets/{secret_id}",
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


def _has(text: str, part: str | None) -> bool:
    return part is None or part.casefold() in text.casefold()
