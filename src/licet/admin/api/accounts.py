"""Serves the accounts of the admin listener: administrators, API keys, and who the caller is.

Only an owner sees and changes them: of all tenants, or those of its own tenant. An API key is shown once.
"""

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response
from sqlalchemy import Connection

from licet.accounts.administrators import AccountsChange, Admin, find_admin, read_admins
from licet.accounts.api_keys import ApiKey, read_api_keys
from licet.admin.api import openapi, requests, responses
from licet.admin.api.call import (
    Call,
    Content,
    NamePath,
    Owning,
    Paged,
    Reading,
    answer,
    at,
    created,
    edited,
    there,
)
from licet.admin.api.conditional import must_match, represent
from licet.credentials.generated import ApiKeys
from licet.credentials.keyring import read_keyring
from licet.refusal import Subject
from licet.store.errors import NotFound, unknown

me = APIRouter(tags=["Accounts"])
admins = APIRouter(prefix="/admins", tags=["Accounts"])
api_keys = APIRouter(prefix="/api-keys", tags=["Accounts"])


@me.get("/me", operation_id="getMe", **openapi.one(responses.Me))
async def get_me(call: Reading) -> Response:
    """Who asks, and what it may do."""

    def make() -> responses.Me:
        identity = call.identity
        own = call.desk.tenants_now(identity)[0].name if identity.tenant_id is not None else None
        return responses.Me(actor=identity.actor, role=identity.role, tenant=own)

    return await call.show(make)


# Administrators


@admins.get("", operation_id="listAdmins", **openapi.listed(responses.Administrator))
async def list_admins(call: Owning, page: Paged) -> Response:
    """The administrators."""
    return await call.show_list(
        lambda: call.desk.read_now(lambda connection: read_admins(connection, call.identity.tenant_id)),
        lambda admin: admin.name,
        lambda admin: responses.administrator(admin, call.desk.store.tenants()),
        page,
    )


@admins.post("", operation_id="addAdmin", **openapi.added(responses.Administrator))
async def add_admin(call: Owning, body: requests.AdminNew) -> Response:
    """Add an administrator."""
    given = await _changes(call, body)
    given.setdefault("role", body.role)
    given.setdefault("tenant_id", call.identity.tenant_id)
    name = given.pop("name")
    made = await call.change_accounts(lambda change: change.add_admin(name, **given))
    return created(represent(*_shown(call, made)), at("admins", name))


@admins.get("/{name}", operation_id="getAdmin", **openapi.shown(responses.Administrator))
async def get_admin(call: Owning, name: NamePath) -> Response:
    """An administrator."""

    def find(connection: Connection) -> Admin | None:
        found = find_admin(connection, name)
        return found if found is not None and call.identity.sees(found.tenant_id) else None

    return await call.show_edited(
        lambda: _shown(call, there(call.desk.read_now(find), "administrator", name))
    )


@admins.patch(
    "/{name}",
    operation_id="changeAdmin",
    **openapi.edited(responses.Administrator),
)
async def change_admin(call: Owning, name: NamePath, body: requests.AdminPatch) -> Response:
    """Change it; who may do less than before has to sign in again."""
    condition, given = call.condition(), await _changes(call, body, name)

    def do(change: AccountsChange) -> Content:
        must_match(condition, represent(*_shown(call, _admin(change, name))))
        change.set_admin(name, **given)
        return _shown(call, change.admin(name))

    return edited(represent(*await call.change_accounts(do)))


@admins.delete(
    "/{name}",
    operation_id="removeAdmin",
    **openapi.removed(),
)
async def remove_admin(call: Owning, name: NamePath) -> Response:
    """Remove it, but for the last owner of all tenants."""
    condition = call.condition()

    def do(change: AccountsChange) -> None:
        try:
            found = change.admin(name)
        except NotFound:
            return
        must_match(condition, represent(*_shown(call, found)))
        change.remove_admin(name)

    await call.change_accounts(do)
    return Response(status_code=204)


def _admin(change: AccountsChange, name: str) -> Admin:
    """Raises NotThere."""
    try:
        return change.admin(name)
    except NotFound:
        return there(None, "administrator", name)


def _shown(call: Call, admin: Admin) -> Content:
    """An administrator; another password is another content."""
    return responses.administrator(admin, call.desk.store.tenants()), admin.password_hash.encode()


async def _changes(
    call: Call, body: requests.AdminNew | requests.AdminPatch | requests.ApiKeyNew, name: str | None = None
) -> dict[str, Any]:
    """What is given, by the names of the store: a tenant by its id, a password hashed.

    Raises Problem, InvalidValue.
    """
    given = call.given(body)
    if "password" in given:
        given["password_hash"] = await call.desk.run(
            call.desk.passwords.hash_new, given.pop("password"), name or given.get("name", "")
        )
    if "tenant" in given:
        given["tenant_id"] = await call.desk.run(_tenant_id(call, given.pop("tenant")))
    return given


def _tenant_id(call: Call, name: str | None) -> Callable[[], int | None]:
    def find() -> int | None:
        if name is None:
            return None
        try:
            return call.tenant(name).id
        except NotFound:
            raise unknown(Subject("tenant", name), field="tenant") from None

    return find


# API keys


@api_keys.get("", operation_id="listApiKeys", **openapi.listed(responses.ApiKey))
async def list_api_keys(call: Owning, page: Paged) -> Response:
    """The API keys."""
    return await call.show_list(
        lambda: call.desk.read_now(lambda connection: read_api_keys(connection, call.identity.tenant_id)),
        lambda key: key.name,
        lambda key: responses.api_key(key, call.desk.store.tenants()),
        page,
    )


@api_keys.post(
    "",
    operation_id="addApiKey",
    **openapi.added(responses.NewApiKey),
)
async def add_api_key(call: Owning, body: requests.ApiKeyNew) -> Response:
    """Generate an API key; it is shown once."""
    given = await _changes(call, body)
    given.setdefault("role", body.role)
    given.setdefault("tenant_id", call.identity.tenant_id)
    name = given.pop("name")
    made = (await call.desk.run(_api_keys, call)).generate()
    kept = await call.change_accounts(lambda change: change.add_api_key(name, made, **given))
    members = responses.api_key_members(kept, call.desk.store.tenants())
    return answer(responses.NewApiKey(**members, key=made.key), 201, {"Location": at("api-keys", name)})


@api_keys.get("/{name}", operation_id="getApiKey", **openapi.one(responses.ApiKey, 404))
async def get_api_key(call: Owning, name: NamePath) -> Response:
    """An API key."""

    def make() -> responses.ApiKey:
        keys = call.desk.read_now(lambda connection: read_api_keys(connection, call.identity.tenant_id))
        found: ApiKey = there(next((key for key in keys if key.name == name), None), "API key", name)
        return responses.api_key(found, call.desk.store.tenants())

    return await call.show(make)


@api_keys.delete(
    "/{name}",
    operation_id="removeApiKey",
    **openapi.one(None, 404, status=204),
)
async def remove_api_key(call: Owning, name: NamePath) -> Response:
    """Remove it: nothing is done with it any more."""

    def do(change: AccountsChange) -> None:
        try:
            change.remove_api_key(name)
        except NotFound:
            return

    await call.change_accounts(do)
    return Response(status_code=204)


def _api_keys(call: Call) -> ApiKeys:
    return ApiKeys(read_keyring(call.desk.keyring_path).pepper)
