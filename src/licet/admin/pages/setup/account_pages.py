"""Renders what the pages of administrators and API keys share: fields, tenants, and how a change is made.

Who looks after one tenant sees and changes the accounts of that tenant only. The rules, as that there is
always an owner, are in `licet.accounts.administrators`; an account that was changed, removed or given another
password is signed out by it.
"""

from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection

from licet.accounts.account import check_name
from licet.accounts.administrators import AccountsChange, changing
from licet.admin.context import Desk
from licet.admin.pages.forms import Field, Kind, Option
from licet.admin.pages.frame import Visit, link
from licet.admin.pages.setup.frame import Around, changes_of
from licet.model import Role, Tenant
from licet.refusal import SubjectKind

ALL_TENANTS = ""
_ROLES = {
    Role.VIEWER: "sees everything, and changes nothing",
    Role.OPERATOR: "may also end sessions",
    Role.OWNER: "may also change the set-up and the accounts",
}


async def change_accounts(desk: Desk, visit: Visit, do: Callable[[AccountsChange], object]) -> None:
    """Change the accounts within the reader's reach.

    Raises SetupError, InvalidValue, StoreUnavailable.
    """

    def change() -> None:
        with changing(desk.store, visit.identity.actor, within=visit.identity.tenant_id) as made:
            do(made)

    await desk.run(change)


async def around(desk: Desk, visit: Visit, tab: str, word: str, name: str | None) -> Around:
    """What stands around such a page: its tab, and the latest changes."""
    tenant = _own_tenant(visit)

    def read(connection: Connection) -> Any:
        return changes_of(connection, tenant, word, name)

    # Who looks after one tenant sees what was done in it.
    if visit.identity.tenant_id is not None and tenant is None:
        return Around(tab)
    return Around(tab, await desk.read(read), link(visit, "/journal", kind="event", within="all"))


def _own_tenant(visit: Visit) -> Tenant | None:
    return next((it for it in visit.tenants if it.id == visit.identity.tenant_id), None)


def tenant_names(visit: Visit) -> dict[int, str]:
    """The names of the tenants that the reader sees, by id."""
    return {it.id: it.name for it in visit.tenants}


def tenant_id_of(visit: Visit, name: str) -> int | None:
    """The tenant that was chosen; who looks after one has no choice."""
    if visit.identity.tenant_id is not None or name == ALL_TENANTS:
        return visit.identity.tenant_id
    return next((it.id for it in visit.tenants if it.name == name), None)


def tenant_name(tenant_id: int | None, tenants: dict[int, str]) -> str:
    """The name of a tenant as a list shows it."""
    return "all tenants" if tenant_id is None else tenants.get(tenant_id, "a tenant that is new")


def name_field(what: SubjectKind) -> Field:
    """The field of a name."""

    def read(text: str) -> str:
        check_name(what, text)
        return text

    return Field(
        name="name",
        label="Name",
        help="1 to 64 small letters, digits, _ . @ + and -.",
        read=read,
        width="medium",
    )


def role_and_tenant(visit: Visit) -> tuple[Field, ...]:
    """The fields of the role, and of the tenant that is looked after."""
    role = Field(
        name="role",
        label="Role",
        kind=Kind.CHOICE,
        options=tuple(Option(value=it.value, label=it.value, help=text) for it, text in _ROLES.items()),
        read=Role,
    )
    if visit.identity.tenant_id is not None:
        return (role, Field(name="tenant", label="Of", kind=Kind.FIXED))
    tenants = tuple(Option(value=it.name, label=it.name) for it in visit.tenants)
    every = Option(value=ALL_TENANTS, label="all tenants")
    return (role, Field(name="tenant", label="Of", kind=Kind.CHOICE, options=(every, *tenants)))
