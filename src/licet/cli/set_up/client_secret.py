"""Runs `licet client secret`: generates, rotates, lists and removes the generated secrets of a client.

A generated secret is shown once: on a terminal with a word about it, alone on stdout when that is piped.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from licet.cli.change import change_tenant
from licet.cli.options import AsJson, Data, Expires, TenantName, read_duration, read_end
from licet.cli.output import Instant, Record, ends, note, show_secret, when
from licet.cli.set_up.owners import ClientId, NoPassword, OfClient
from licet.cli.set_up.verbs import SetUpNoun, method
from licet.cli.stores import pepper
from licet.clock import SystemClock
from licet.credentials.generated import ClientSecrets, NewClientSecret
from licet.formats import duration
from licet.model import Client, Tenant

if TYPE_CHECKING:
    from licet.setup.tenant import TenantSetup

SecretId = Annotated[str, typer.Argument(metavar="SECRET_ID", help="As the list shows it.")]

secret_app = SetUpNoun(
    "secret",
    OfClient,
    SecretId,
    "Generated secrets of a client; several, so that an old one works until all use the new one.",
    command="client secret",
)


@secret_app.verb("add")
def add(
    client_id: ClientId,
    *,
    expires: Expires = None,
    tenant: TenantName = None,
    data: Data = None,
    no_password: NoPassword = False,
    as_json: AsJson = False,
) -> None:
    """Generate one more secret, and show it once. The others still work.

    Example: [bold]licet client secret add TestClientId --expires 2027-01-31[/]
    """
    expires_at_ms = read_end("--expires", expires, data, tenant)
    made = generated(data)

    def change(setup: "TenantSetup") -> bool:
        if no_password:
            setup.set_client(client_id, password_allowed=False)
        return setup.add_secret(client_id, made, expires_at_ms)

    change_tenant(data, tenant, f"Secret {made.secret_id} of client {client_id} added", change, report=note)
    show_generated(client_id, made, expires_at_ms, as_json=as_json)


@secret_app.verb("rotate")
def rotate(
    client_id: ClientId,
    *,
    overlap: Annotated[
        str, typer.Option("--overlap", metavar="TIME", help="How long the others still work: 24h, 7d, 0s.")
    ] = "24h",
    expires: Expires = None,
    tenant: TenantName = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Generate a secret that replaces all others, and show it once. The others work until the overlap ends.

    Example: [bold]licet client secret rotate TestClientId --overlap 24h[/]
    """
    overlap_s = read_duration("--overlap", overlap)
    expires_at_ms = read_end("--expires", expires, data, tenant)
    made = generated(data)
    change_tenant(
        data,
        tenant,
        f"Secret {made.secret_id} of client {client_id} added; the others work for"
        f" {duration(overlap_s)} more",
        lambda setup: setup.rotate_secret(client_id, made, overlap_s, expires_at_ms),
        report=note,
    )
    show_generated(client_id, made, expires_at_ms, as_json=as_json)


@secret_app.lists("secret_id created_at expires_at last_used_at")
def records(client: Client, tenant: Tenant) -> Iterator[Record]:
    """List a client's secrets by their ids. The secrets themselves are not stored.

    Example: [bold]licet client secret list TestClientId[/]
    """
    for secret in sorted(client.secrets, key=lambda kept: kept.created_at_ms):
        expires_at_ms = secret.expires_at_ms
        yield {
            "secret_id": secret.secret_id,
            "created_at": Instant(secret.created_at_ms),
            "expires_at": ends(expires_at_ms, tenant.zone),
            "last_used_at": when(secret.last_used_at_ms),
            "expired": expires_at_ms is not None and expires_at_ms <= SystemClock().now_ms(),
        }


secret_app.removes(
    method("remove_secret"),
    "Remove a secret. Its sessions go on until they have to be renewed.",
    "TestClientId ApfHy2FNBhRl",
)


def generated(data: Path | None) -> NewClientSecret:
    """A new secret of a client.

    Raises KeyringUnusable, SettingsError.
    """
    return ClientSecrets(pepper(data)).generate()


def show_generated(
    client_id: str, made: NewClientSecret, expires_at_ms: int | None, *, as_json: bool
) -> None:
    """Print a new secret, which nobody can show again."""
    record = {
        "client_id": client_id,
        "secret_id": made.secret_id,
        "client_secret": made.secret,
        "expires_at": when(expires_at_ms),
    }
    show_secret(made.secret, record, "Its secret, which nobody can show again:", as_json=as_json)
