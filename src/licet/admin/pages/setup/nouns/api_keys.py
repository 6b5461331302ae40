"""Describes the pages of API keys: the programs that may use the admin API, with which role."""

from collections.abc import Mapping, Sequence
from typing import Any

from licet.accounts.administrators import AccountsChange
from licet.accounts.api_keys import ApiKey, read_api_keys
from licet.admin.pages.forms import Field, Form, Kind, Texts
from licet.admin.pages.setup.cells import Cell, expiry, last_use
from licet.admin.pages.setup.noun import Secret
from licet.admin.pages.setup.nouns.accounts import ROLE, name_field
from licet.admin.pages.setup.owners import OfAll
from licet.admin.pages.setup.settings import dated
from licet.credentials.generated import ApiKeys as GeneratedKeys
from licet.credentials.keyring import read_keyring
from licet.model import Role

_NAME = name_field("API key")
_EXPIRES = Field(name="expires", label="Expires", kind=Kind.END)


class ApiKeys(OfAll[ApiKey]):
    """What programs authenticate with."""

    path, word, plural, event = "keys", "API key", "API keys", "API key"
    actions = ("add", "remove")
    sees_list = sees_one = Role.OWNER
    about = "What programs use the admin API with. A key is shown once, and cannot be changed."
    empty = "No API key yet. Add the first one"
    command = "licet admin key add deploy --role owner"
    columns = ("Role", "Of", "Made by", "Expires", "Last used")
    add_button = "Generate it"
    after = "What was done with it stays in the journal."

    def parts(self) -> Mapping[str, ApiKey]:
        """All API keys by name."""
        return {
            key.name: key
            for key in self.context.read_now(lambda connection: read_api_keys(connection, self.within))
        }

    def row(self, part: ApiKey) -> Sequence[Cell]:
        """Role, tenant, who made it, its end, its last use."""
        return (
            Cell(part.role.value),
            Cell(self.tenant_name(part.tenant_id)),
            Cell(part.created_by),
            expiry(part.expires_at_ms, self.visit.now_ms),
            last_use(part.last_used_at_ms),
        )

    def fields(self, _: ApiKey | None) -> tuple[Field, ...]:
        """Name, role, tenant, end."""
        return (_NAME, ROLE, self.tenant_field(), *dated([_EXPIRES], self.visit.the_tenant))

    def texts(self, _: ApiKey | None) -> Texts:
        """As little as there is to give."""
        tenant = self.tenant_text(self.within)
        return {"name": ("",), "role": (Role.VIEWER.value,), "tenant": tenant, "expires": ("",)}

    def prepare(self, _form: Form, values: dict[str, Any], _part: ApiKey | None) -> None:
        """Generate it."""
        values["made"] = GeneratedKeys(read_keyring(self.context.keyring_path).pepper).generate()

    def add(self, change: AccountsChange, values: dict[str, Any]) -> None:
        """A new API key."""
        change.add_api_key(
            values["name"],
            values["made"],
            role=values["role"],
            tenant_id=self.tenant_id(values),
            expires_at_ms=values["expires"],
        )

    def secret(self, values: Mapping[str, Any]) -> Secret:
        """Shown once."""
        return Secret(
            f"The API key {values['name']}",
            values["made"].key,
            "API key",
            "Licet keeps only what checks it. When it is lost, add another and remove this one.",
            self.back,
            "How a program uses it, with the key in the place of KEY:",
            f"curl {self.context.base_url}/api/v1/tenants \\\n  -H 'Authorization: Bearer KEY'",
        )

    def remove(self, change: AccountsChange, name: str) -> None:
        """Remove an API key."""
        change.remove_api_key(name)

    def goes(self, _: ApiKey) -> Sequence[str]:
        """Its use."""
        return ("whatever is done with it, from the next request on",)
