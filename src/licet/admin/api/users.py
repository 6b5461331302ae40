"""Serves the users of a tenant: lists, adds, shows, changes and removes them."""

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from licet.admin.api import openapi, requests, responses
from licet.admin.api.call import Call, Content, NamePath, Owning, Paged, Reading, TenantPath, at, there
from licet.admin.api.dry_run import rehearsable
from licet.admin.api.queries import Matching, OnlyEnabled, has_part
from licet.credentials.passwords import about_user
from licet.model import User
from licet.setup.tenant import TenantSetup

users = APIRouter(prefix="/tenants/{tenant}/users", tags=["Users"])


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
            if enabled in {None, user.enabled} and has_part(f"{user.initials} {user.name}", matching)
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
