"""Describes the pages of users: the persons and services that clients act for."""

from collections.abc import Mapping, Sequence
from typing import Any

from licet.admin.pages.forms import Field, Form, Kind, Texts
from licet.admin.pages.frame import link
from licet.admin.pages.setup.cells import Cell, few, state_of
from licet.admin.pages.setup.owners import OfTenant
from licet.admin.pages.setup.settings import NO, field_of, named_once, settings_of, texts_of
from licet.credentials.passwords import about_user
from licet.model import Tenant, User
from licet.setup.nouns import USER
from licet.setup.tenant import TenantSetup

_INITIALS = Field(
    name="initials",
    label="Initials",
    help="2 or 3 letters, digits or dots.",
    read=lambda text: User(initials=text, name="", password_hash=None).initials,
    width="short",
)


class Users(OfTenant[User]):
    """Persons and services, known by initials."""

    path, word, plural, event = "users", "user", "users", "user"
    key = "initials"
    about = "A user is a person or service. A client stands for one, and may authenticate with its password."
    empty = "No user yet. A client stands for a user: add the first one"
    command = 'licet user add TC --name "Test Client"'
    columns = ("Name", "State", "Password", "Clients")

    def parts_of(self, tenant: Tenant) -> Mapping[str, User]:
        """All users by initials."""
        return tenant.users

    def row(self, part: User) -> Sequence[Cell]:
        """Name, state, whether it has a password, and who stands for it."""
        clients = sorted(
            client.client_id
            for client in self.tenant.clients.values()
            if client.user.initials == part.initials
        )
        return (
            Cell(part.name),
            state_of(is_on=part.enabled),
            Cell("set" if part.password_hash else "no password", state="" if part.password_hash else "off"),
            few(clients),
        )

    def fields(self, part: User | None) -> tuple[Field, ...]:
        """Initials, name, password, cost centre, state."""
        password_help = (
            "Empty: it stays as it is. Sessions go on until they have to be renewed."
            if part and part.password_hash
            else "8 to 256 characters, not easy to guess. Empty: no password, and its clients need a secret."
        )
        name, enabled, cost_centre = (field_of(setting, self.tenant) for setting in USER.settings)
        fields = [
            named_once(_INITIALS, part),
            name,
            Field(name="password", label="Password", kind=Kind.PASSWORD, help=password_help),
        ]
        if part and part.password_hash:
            fields.append(
                Field(
                    name="no_password",
                    label="Take the password away",
                    kind=Kind.MARK,
                    help="The user has no password then. Clients with a secret of their own go on.",
                )
            )
        return (*fields, cost_centre, enabled) if part else (*fields, cost_centre)

    def texts(self, part: User | None) -> Texts:
        """A user's values, and never a password."""
        if part is None:
            return {"initials": ("",), "name": ("",), "password": ("",), "cost_centre": ("",)}
        own = texts_of(USER, part, self.tenant)
        return {"initials": (part.initials,), "password": ("",), "no_password": NO, **own}

    def prepare(self, form: Form, values: dict[str, Any], part: User | None) -> None:
        """Hash the password, if there is one."""
        values["password_hash"] = None
        if password := values.get("password"):
            initials = part.initials if part else values.get("initials") or ""
            about = about_user(self.tenant, initials, values.get("name"))
            values["password_hash"] = self.hashed(form, password, *about)

    def add(self, change: TenantSetup, values: dict[str, Any]) -> None:
        """A new user."""
        change.add_user(
            values["initials"],
            name=values["name"],
            password_hash=values["password_hash"],
            cost_centre=values["cost_centre"],
        )

    def set(self, change: TenantSetup, name: str, values: dict[str, Any]) -> None:
        """Change a user."""
        changes = settings_of(USER, values)
        if values.get("no_password"):
            changes["password_hash"] = None
        if values["password_hash"] is not None:
            changes["password_hash"] = values["password_hash"]
        change.set_user(name, **changes)

    def remove(self, change: TenantSetup, name: str) -> None:
        """Remove a user."""
        change.remove_user(name)

    def goes(self, part: User) -> Sequence[str]:
        """Its password."""
        return ("its password",) if part.password_hash else ()

    def profile(self, name: str) -> tuple[str, str]:
        """Its page."""
        return link(self.visit, "/user", tenant=self.tenant.name, name=name), "Its seats, denials and history"

    def sought(self, name: str, part: User) -> str:
        """Initials and name."""
        return f"{name} {part.name}"
