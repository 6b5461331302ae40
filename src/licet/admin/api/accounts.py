"""Serves the accounts of the admin listener: administrators, API keys, and who the caller is.

Only an owner sees and changes them: of all tenants, or those of its own tenant. An API key is shown once.
"""

from datetime import UTC

from fastapi import APIRouter
from fastapi.responses import Response

from licet.accounts.administrators import AccountsChange, changing, read_admins
from licet.accounts.api_keys import ApiKey, read_api_keys
from licet.admin.api import openapi, requests
from licet.admin.api.call import OWNING, Call, Owning, Reading, answer
from licet.admin.api.collection import OfStore, Owner
from licet.admin.api.moments import end_of
from licet.admin.api.noun_endpoints import Endpoints, Given
from licet.admin.api.responses import accounts as shapes
from licet.credentials.generated import ApiKeys
from licet.credentials.keyring import read_keyring
from licet.model import Role

me = APIRouter(tags=["Accounts"])


@me.get("/me", operation_id="getMe", **openapi.one(shapes.Me))
async def get_me(call: Reading) -> Response:
    """The caller, and its permissions."""

    def make() -> shapes.Me:
        identity = call.identity
        own = call.context.tenants_now(identity)[0].name if identity.tenant_id is not None else None
        return shapes.Me(actor=identity.actor, role=identity.role, tenant=own)

    return await call.show(make)


# What is sent, by the names of the store


async def _new(call: Call, owner: Owner, name: str, given: Given) -> Given:
    """One that may as little as can be, of the tenant of who makes it, unless something else is said."""
    least = {"role": Role.VIEWER, "tenant_id": call.identity.tenant_id}
    return least | await _kept(call, owner, name, given)


async def _kept(call: Call, owner: Owner, name: str, given: Given) -> Given:  # noqa: ARG001
    """A tenant by its id, a password hashed, before the transaction.

    Raises NotFound, InvalidValue.
    """
    if "password" in given:
        password = given.pop("password")
        given["password_hash"] = await call.context.run(call.context.passwords.hash_new, password, name)
    if "tenant" in given:
        given["tenant_id"] = await call.context.run(call.tenant_id, given.pop("tenant"))
    return given


# Administrators

admins = Endpoints(
    "Admin",
    OfStore(read_admins, lambda admin: admin.name, changing, AccountsChange.admin),
    path="/admins",
    tag="Accounts",
    key="name",
    word="administrator",
    shape=shapes.Administrator,
    show=lambda call, admin: shapes.administrator(admin, call.context.store.tenants()),
    hidden=lambda admin: admin.password_hash.encode(),
)
admins.lists("The administrators.", OWNING)
admins.adds("Add an administrator.", OWNING, requests.AdminNew, AccountsChange.add_admin, prepare=_new)
admins.shows("An administrator.", OWNING)
admins.changes(
    "Change it; with fewer permissions than before, it has to sign in again.",
    OWNING,
    requests.AdminPatch,
    AccountsChange.set_admin,
    prepare=_kept,
)
admins.removes("Remove it, except the last owner of all tenants.", OWNING, AccountsChange.remove_admin)


# API keys

api_keys = Endpoints(
    "ApiKey",
    OfStore(read_api_keys, lambda key: key.name, changing, AccountsChange.api_key),
    path="/api-keys",
    tag="Accounts",
    key="name",
    word="API key",
    shape=shapes.ApiKey,
    show=lambda call, key: shapes.api_key(key, call.context.store.tenants()),
    has_tag=False,
)
api_keys.lists("The API keys.", OWNING)


@api_keys.router.post("", operation_id="addApiKey", **openapi.added(shapes.NewApiKey))
async def add_api_key(call: Owning, body: requests.ApiKeyNew) -> Response:
    """Generate an API key; it is shown once."""
    given = call.given(body)
    name = given.pop("name")
    given = await _new(call, (), name, given)
    given["expires_at_ms"] = end_of(given.pop("expires_at", None), UTC)
    made = (await call.context.run(_api_keys, call)).generate()

    def do(change: AccountsChange) -> ApiKey:
        return change.add_api_key(name, made, **given)

    kept = await api_keys.collection.change(call, (), do)
    shown = shapes.new_api_key(shapes.api_key(kept, call.context.store.tenants()), made.key)
    return answer(shown, 201, {"Location": call.below(name)})


api_keys.shows("An API key.", OWNING)
api_keys.removes("Remove it: it no longer works.", OWNING, AccountsChange.remove_api_key)


def _api_keys(call: Call) -> ApiKeys:
    return ApiKeys(read_keyring(call.context.keyring_path).pepper)
