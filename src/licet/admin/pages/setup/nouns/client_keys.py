"""Describes the pages that add and remove the public keys of a client."""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from licet.admin.pages.forms import Field, Form, Kind, Texts
from licet.admin.pages.setup.cells import Cell
from licet.admin.pages.setup.nouns.client_secrets import NO_PASSWORD
from licet.admin.pages.setup.owners import OfClient
from licet.admin.pages.setup.settings import NO, dated
from licet.credentials.public_keys import kind_of, name_of, read_keys
from licet.formats import counted
from licet.model import PublicKey
from licet.setup.tenant import TenantSetup

# Somebody may paste the wrong half of a pair: what a field with such a name holds is kept nowhere.
_KEY = "no_secret_key"
_FIELDS = (
    Field(
        name=_KEY,
        label="Public key",
        kind=Kind.AREA,
        help="A JWK, a JWKS or PEM. The private key stays with the program; the public one is made of it by"
        " openssl pkey -in FILE -pubout.",
        read=read_keys,
        about="key",
    ),
    Field(
        name="expires",
        label="The key expires",
        kind=Kind.END,
        help="Others go on working, so that a new one and an old one overlap.",
    ),
    NO_PASSWORD,
)


class ClientKeys(OfClient[PublicKey]):
    """The public keys of a client."""

    path, word = "clients/keys", "key"
    asked = "key"
    columns = ("Algorithm", "Created", "Expires", "Last used")
    add_button = "Add it"

    def called(self, name: str) -> str:
        """By its name."""
        return f"key {self.short(self.parts()[name])}"

    def short(self, part: PublicKey) -> str:
        """Its kid, or how its thumbprint begins."""
        return name_of(part)

    def row(self, part: PublicKey) -> Sequence[Cell]:
        """With its algorithm."""
        return Cell(kind_of(part)), *super().row(part)

    def headline(self, _: str | None) -> str:
        """Whose it is."""
        return f"A public key of client {self.client.client_id} in {self.tenant.name}"

    def parts(self) -> Mapping[str, PublicKey]:
        """All keys by thumbprint."""
        return {key.thumbprint: key for key in self.client.keys}

    def fields(self, _: PublicKey | None) -> tuple[Field, ...]:
        """What it is, and when it is to expire."""
        return dated(_FIELDS, self.tenant)

    def texts(self, _: PublicKey | None) -> Texts:
        """Nothing yet."""
        return {_KEY: ("",), "expires": ("",), "no_password": NO}

    def prepare(self, form: Form, _values: dict[str, Any], _part: PublicKey | None) -> None:
        """Forget what was pasted: it is not shown again."""
        form.texts[_KEY] = ()

    def add(self, change: TenantSetup, values: dict[str, Any]) -> None:
        """All keys of a set, beside which the user's password may work no more."""
        for key in values[_KEY]:
            change.add_key(self.client.client_id, key, values["expires"])
        if values["no_password"]:
            change.set_client(self.client.client_id, password_allowed=False)

    def added(self, values: Mapping[str, Any]) -> tuple[str, str]:
        """Back to the client."""
        return self.back, f"{counted(len(values[_KEY]), 'key')} added."

    def remove(self, change: TenantSetup, name: str) -> None:
        """Remove a key."""
        change.remove_key(self.client.client_id, name)

    def goes(self, part: PublicKey) -> Sequence[str]:
        """What is lost with the last one."""
        return self.lost_without(
            replace(self.client, keys=tuple(key for key in self.client.keys if key is not part))
        )
