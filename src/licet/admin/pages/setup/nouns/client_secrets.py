"""Describes the pages that add, rotate and remove the generated secrets of a client, which are shown once."""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from licet.admin.context import AdminContext
from licet.admin.pages.forms import Field, Form, Kind, Texts
from licet.admin.pages.frame import Visit, link
from licet.admin.pages.setup.connect import SECRET, connect
from licet.admin.pages.setup.error_links import ROOT
from licet.admin.pages.setup.noun import Secret
from licet.admin.pages.setup.owners import OfClient
from licet.admin.pages.setup.settings import NO, dated
from licet.credentials.generated import NewClientSecret
from licet.formats import read_duration_s
from licet.model import ClientSecret, Tenant
from licet.setup.tenant import TenantSetup

EXPIRES = Field(name="expires", label="The secret expires", kind=Kind.END)
NO_PASSWORD = Field(
    name="no_password", label="From now on the user's password does not work for this client", kind=Kind.MARK
)
_OVERLAPS = "The others go on working, so that a new one and an old one overlap."
_OVERLAP = Field(
    name="overlap",
    label="The others work on for",
    help="24h, 7d or 0: time to bring the new one to all that use them. None works longer than it did.",
    read=read_duration_s,
    placeholder="24h",
    width="short",
)


def shown_once(
    context: AdminContext, visit: Visit, tenant: Tenant, client_id: str, made: NewClientSecret
) -> Secret:
    """What shows a new secret of a client."""
    found = context.store.tenant(tenant.name)  # with the client as it is now
    client = found.clients.get(client_id) if found else None
    return Secret(
        f"The secret of client {client_id} in {tenant.name}",
        made.secret,
        "Client secret",
        "Licet keeps only what checks it. When it is lost, generate another and remove this one.",
        link(visit, f"{ROOT}/clients/edit", name=client_id),
        connect=connect(context.public_url, found, client, visit.now_ms, by=SECRET)
        if found and client
        else None,
    )


class ClientSecrets(OfClient[ClientSecret]):
    """The secrets of a client."""

    path, word = "clients/secrets", "secret"
    asked = "secret"
    columns = ("Created", "Expires", "Last used")
    add_button = "Generate it"

    def called(self, name: str) -> str:
        """By what it begins with."""
        return f"secret lcs_{name}…"

    def short(self, part: ClientSecret) -> str:
        """What it begins with."""
        return f"lcs_{part.secret_id}"

    def headline(self, _: str | None) -> str:
        """Whose it is."""
        return f"A new secret for client {self.client.client_id} in {self.tenant.name}"

    def parts(self) -> Mapping[str, ClientSecret]:
        """All secrets by id."""
        return {secret.secret_id: secret for secret in self.client.secrets}

    def fields(self, _: ClientSecret | None) -> tuple[Field, ...]:
        """When it is to expire."""
        return dated((replace(EXPIRES, help=_OVERLAPS), NO_PASSWORD), self.tenant)

    def texts(self, _: ClientSecret | None) -> Texts:
        """Never."""
        return {"expires": ("",), "no_password": NO}

    def prepare(self, _form: Form, values: dict[str, Any], _part: ClientSecret | None) -> None:
        """Generate it."""
        values["made"] = self.context.client_secrets().generate()

    def add(self, change: TenantSetup, values: dict[str, Any]) -> None:
        """A new secret, beside which the user's password may work no more."""
        change.add_secret(self.client.client_id, values["made"], values["expires"])
        if values["no_password"]:
            change.set_client(self.client.client_id, password_allowed=False)

    def secret(self, values: Mapping[str, Any]) -> Secret:
        """Shown once."""
        return shown_once(self.context, self.visit, self.tenant, self.client.client_id, values["made"])

    def remove(self, change: TenantSetup, name: str) -> None:
        """Remove a secret."""
        change.remove_secret(self.client.client_id, name)

    def goes(self, part: ClientSecret) -> Sequence[str]:
        """What is lost with the last one."""
        others = tuple(secret for secret in self.client.secrets if secret is not part)
        return self.lost_without(replace(self.client, secrets=others))


class ClientSecretRotation(ClientSecrets):
    """A new secret in the place of all others, which work on for a while."""

    actions = ("rotate",)

    def headline(self, name: str | None) -> str:
        """That it replaces the others."""
        return f"{super().headline(name)} in the place of all others"

    def fields(self, _: ClientSecret | None) -> tuple[Field, ...]:
        """How long the others work on."""
        return dated((_OVERLAP, EXPIRES), self.tenant)

    def texts(self, _: ClientSecret | None) -> Texts:
        """A day."""
        return {"overlap": ("24h",), "expires": ("",)}

    def add(self, change: TenantSetup, values: dict[str, Any]) -> None:
        """Rotate the secret."""
        change.rotate_secret(self.client.client_id, values["made"], values["overlap"], values["expires"])
