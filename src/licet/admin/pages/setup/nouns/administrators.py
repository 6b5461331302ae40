"""Describes the pages of administrators: who may sign in at the dashboard, with which role."""

from collections.abc import Mapping, Sequence
from typing import Any

from licet.accounts.administrators import AccountsChange, Admin, read_admins
from licet.admin.pages.forms import Field, Form, Kind, Texts
from licet.admin.pages.setup.cells import Cell, state_of
from licet.admin.pages.setup.nouns.accounts import ROLE, name_field
from licet.admin.pages.setup.owners import OfAll
from licet.admin.pages.setup.settings import NO, YES, named_once
from licet.admin.problems import not_found
from licet.model import Role

_NAME = name_field("administrator")
_ENABLED = Field(
    name="enabled",
    label="Enabled",
    kind=Kind.MARK,
    help="When it is not: it is signed out, and cannot sign in.",
)


class Administrators(OfAll[Admin]):
    """Who may sign in."""

    path, word, plural, event = "administrators", "administrator", "administrators", "admin"
    sees_list = sees_one = Role.OWNER
    about = "Who may sign in here. Administrators never need a seat."
    empty = "No administrator of this tenant yet. Add the first one"
    command = "licet admin add grace --role operator"
    columns = ("Role", "Of", "State")
    after = "What it did stays in the journal. Its API keys go on working: they are no part of it."

    def parts(self) -> Mapping[str, Admin]:
        """All administrators by name."""
        return {
            admin.name: admin
            for admin in self.context.read_now(lambda connection: read_admins(connection, self.within))
        }

    def find(self, name: str) -> Admin | None:
        """One, of a tenant that is known here: a form that does not know it could only offer all of them."""
        admin = super().find(name)
        if admin is not None and admin.tenant_id not in {None, *self.tenant_names}:
            self.context.tenants_now(self.visit.identity)
            raise not_found(f"The tenant of {name} is new here. Open the page again.")
        return admin

    def row(self, part: Admin) -> Sequence[Cell]:
        """Role, tenant, state."""
        return Cell(part.role.value), Cell(self.tenant_name(part.tenant_id)), state_of(is_on=part.enabled)

    def fields(self, part: Admin | None) -> tuple[Field, ...]:
        """Name, password, role, tenant, state."""
        text = "Empty: it stays. With another one it is signed out everywhere."
        new = "8 to 256 characters, not easy to guess."
        password = Field(name="password", label="Password", kind=Kind.PASSWORD, help=text if part else new)
        fields = (named_once(_NAME, part), password, ROLE, self.tenant_field())
        return (*fields, _ENABLED) if part else fields

    def texts(self, part: Admin | None) -> Texts:
        """An administrator's values, and never a password."""
        role, tenant_id = (part.role, part.tenant_id) if part else (Role.OPERATOR, self.within)
        texts = {"name": (part.name if part else "",), "password": ("",), "role": (role.value,)}
        enabled = YES if part is None or part.enabled else NO
        return {**texts, "tenant": self.tenant_text(tenant_id), "enabled": enabled}

    def prepare(self, form: Form, values: dict[str, Any], part: Admin | None) -> None:
        """Hash the password, which a new one has to have."""
        password = values.get("password")
        if password:
            name = part.name if part else values.get("name") or ""
            values["password_hash"] = self.hashed(form, password, name)
        elif part is None:
            form.refuse("a password is 8 to 256 characters", "password")

    def current(self, change: AccountsChange, name: str) -> Admin:
        """One as it is now."""
        return change.admin(name)

    def add(self, change: AccountsChange, values: dict[str, Any]) -> None:
        """A new administrator."""
        change.add_admin(
            values["name"],
            password_hash=values["password_hash"],
            role=values["role"],
            tenant_id=self.tenant_id(values),
        )

    def set(self, change: AccountsChange, name: str, values: dict[str, Any]) -> None:
        """Change an administrator."""
        new = {"password_hash": values["password_hash"]} if "password_hash" in values else {}
        changes: Any = {"role": values["role"], "enabled": values["enabled"], **new}
        change.set_admin(name, tenant_id=self.tenant_id(values), **changes)

    def remove(self, change: AccountsChange, name: str) -> None:
        """Remove an administrator."""
        change.remove_admin(name)

    def goes(self, _: Admin) -> Sequence[str]:
        """Its sign-ins."""
        return ("its sign-ins: it is signed out everywhere",)
