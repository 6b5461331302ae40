"""Describes the pages of users: the persons and services that clients act for."""

from collections.abc import Mapping, Sequence
from typing import Any

from licet.admin.pages.forms import Field, Kind, Texts
from licet.admin.pages.setup.noun import NO, Cell, few, named_once, state_of
from licet.admin.pages.setup.settings import field_of, settings_of, texts_of
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


class Users:
    """Persons and services, known by initials."""

    path, word, plural, key = "users", "user", "users", "initials"
    about = "A user is a person or service. A client stands for one, and may authenticate with its password."
    empty = "No user yet. A client stands for a user: add the first one"
    command = 'licet user add TC --name "Test Client"'
    columns = ("Name", "State", "Password", "Clients")

    def parts(self, tenant: Tenant) -> Mapping[str, User]:
        """All users by initials."""
        return tenant.users

    def row(self, tenant: Tenant, part: User, now_ms: int) -> Sequence[Cell]:  # noqa: ARG002 - as any noun
        """Name, state, whether it has a password, and who stands for it."""
        clients = sorted(it.client_id for it in tenant.clients.values() if it.user.initials == part.initials)
        return (
            Cell(part.name),
            state_of(is_on=part.enabled),
            Cell("set" if part.password_hash else "no password", state="" if part.password_hash else "off"),
            Cell(few(clients), state="" if clients else "off"),
        )

    def fields(self, tenant: Tenant, part: User | None) -> tuple[Field, ...]:
        """Initials, name, password, state."""
        password_help = (
            "Empty: it stays as it is. Sessions go on until they have to be renewed."
            if part and part.password_hash
            else "8 to 256 characters, not easy to guess. Empty: no password, and its clients need a secret."
        )
        name, enabled = (field_of(it, tenant) for it in USER.settings)
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
        return (*fields, enabled) if part else tuple(fields)

    def texts(self, tenant: Tenant, part: User | None) -> Texts:
        """A user's values, and never a password."""
        if part is None:
            return {"initials": ("",), "name": ("",), "password": ("",)}
        own = texts_of(USER, part, tenant)
        return {"initials": (part.initials,), "password": ("",), "no_password": NO, **own}

    def add(self, setup: TenantSetup, name: str, values: dict[str, Any]) -> object:
        """A new user."""
        return setup.add_user(name, name=values["name"], password_hash=values["password_hash"])

    def set(self, setup: TenantSetup, name: str, values: dict[str, Any]) -> object:
        """Change a user."""
        changes = settings_of(USER, values)
        if values.get("no_password"):
            changes["password_hash"] = None
        if values["password_hash"] is not None:
            changes["password_hash"] = values["password_hash"]
        return setup.set_user(name, **changes)

    def remove(self, setup: TenantSetup, name: str) -> object:
        """Remove a user."""
        return setup.remove_user(name)

    def goes_with_it(self, part: User) -> Sequence[str]:
        """Its password."""
        return ("its password",) if part.password_hash else ()

    def words(self, part: User) -> str:
        """Initials and name."""
        return f"{part.initials} {part.name}"
