"""Serves the users of a tenant: lists, adds, shows, changes and removes them."""

from collections.abc import Callable

from licet.admin.api import requests
from licet.admin.api.call import OWNING, Call
from licet.admin.api.collection import OfTenant, Owner
from licet.admin.api.noun_endpoints import Endpoints, Given, New
from licet.admin.api.parameters import Matching, OnlyEnabled, has_part
from licet.admin.api.responses import setup as shapes
from licet.credentials.passwords import about_user
from licet.model import User
from licet.setup.tenant import TenantSetup


async def _wanted(matching: Matching = None, enabled: OnlyEnabled = None) -> Callable[[User], bool]:
    return lambda user: enabled in {None, user.enabled} and has_part(f"{user.initials} {user.name}", matching)


async def _new(call: Call, owner: Owner, initials: str, given: Given) -> Given:
    """What is null is as always: the initials for a name, and no password."""
    said = {name: value for name, value in given.items() if value is not None}
    return await _hashed(call, owner, initials, said)


async def _hashed(call: Call, owner: Owner, initials: str, given: Given) -> Given:
    """A password as it is kept; it takes a while, before the transaction."""
    if "password" in given:
        password = given.pop("password")

        def hashed() -> str:
            about = about_user(call.tenant(owner[0]), initials, given.get("name"))
            return call.context.passwords.hash_new(password, *about)

        given["password_hash"] = None if password is None else await call.context.run(hashed)
    return given


users = Endpoints(
    "User",
    OfTenant(lambda of: of.users),
    path="/tenants/{tenant}/users",
    tag="Users",
    key="initials",
    word="user",
    named_by="initials",
    shape=shapes.User,
    show=lambda _, user: shapes.user(user),
    hidden=lambda user: (user.password_hash or "").encode(),
)
users.lists("The users of a tenant.", only=_wanted)
users.adds(
    "Add a user.",
    OWNING,
    requests.UserNew,
    TenantSetup.add_user,
    prepare=_new,
    new=New(shapes.NewUser, shapes.new_user),
)
users.shows("A user.")
users.changes(
    "Change it; disabling it ends the sessions of its clients.",
    OWNING,
    requests.UserPatch,
    TenantSetup.set_user,
    prepare=_hashed,
)
users.removes("Remove it, if it has no clients.", OWNING, TenantSetup.remove_user)
