"""Runs `licet client`: adds, changes, lists and removes OAuth clients."""

from collections.abc import Iterator
from typing import Annotated

import typer

from licet.cli.change import change_tenant
from licet.cli.errors import WrongUse
from licet.cli.options import AsJson, Data, TenantName, read_end
from licet.cli.output import AnyOf, Instant, Record, note
from licet.cli.set_up.client_key import key_app
from licet.cli.set_up.client_secret import generated, secret_app, show_generated
from licet.cli.set_up.owners import ClientId, OfTenant
from licet.cli.set_up.settings import Given, read, sets, shown
from licet.cli.set_up.verbs import SetUpNoun, method
from licet.clock import SystemClock
from licet.model import Tenant
from licet.setup.nouns import CLIENT
from licet.store.contract import Store

app = SetUpNoun(
    CLIENT.word,
    OfTenant,
    ClientId,
    "OAuth clients. Each acts for one user, and authenticates with that user's password, a secret or a key.",
)
app.add_typer(secret_app, name="secret")
app.add_typer(key_app, name="key")


@app.verb("add")
@sets(CLIENT, needed=["user"], without=["password_allowed"], both_ways=False)
def add(
    client_id: ClientId,
    *,
    settings: Given,
    secret: Annotated[bool, typer.Option("--secret", help="Generate a secret, and show it once.")] = False,
    secret_expires: Annotated[
        str | None,
        typer.Option("--secret-expires", metavar="DATE", help="Its last day, like 2027-01-31, or never."),
    ] = None,
    password: Annotated[
        bool, typer.Option("--password", help="With --secret: the user's password works as well.")
    ] = False,
    tenant: TenantName = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Add a client. It authenticates with its user's password, or with a generated secret.

    Its id has 1 to 128 visible characters, and no space at either end.

    Example: [bold]licet client add TestClientId --user TC --secret[/]
    """
    values = read(CLIENT, settings, data, tenant)
    if password:
        values["password_allowed"] = True
    done = f"Client {client_id} added"
    if secret:
        expires_at_ms = read_end("--secret-expires", secret_expires, data, tenant)
        made = generated(data)
        change_tenant(
            data,
            tenant,
            done,
            lambda setup: setup.add_client(client_id, made, expires_at_ms, **values),
            report=note,
        )
        show_generated(client_id, made, expires_at_ms, as_json=as_json)
    elif secret_expires is not None or as_json:
        raise WrongUse("--secret-expires and --json are about a generated secret; say --secret with them")
    else:
        change_tenant(data, tenant, done, lambda setup: setup.add_client(client_id, **values))


app.sets(
    CLIENT,
    method("set_client"),
    "Change a client. Sessions that the new settings would not allow are ended; it asks first.",
    "TestClientId --scope view --scope all",
)
app.enables(method("set_client"), "Let a client authenticate again.", "TestClientId")
app.disables(
    method("set_client"),
    "Stop a client from authenticating, and end its sessions at once; it asks first.",
    "TestClientId",
)


@app.verb("resume")
def resume(client_id: ClientId, *, tenant: TenantName = None, data: Data = None) -> None:
    """Let a client get a seat again before its cool-down ends.

    Example: [bold]licet client resume TestClientId[/]
    """
    done = f"Client {client_id} may have a seat again"
    change_tenant(data, tenant, done, lambda setup: setup.suspend(client_id, None))


@app.lists("client_id user enabled scopes introspects authenticates_by", first="CLIENT_ID --user INITIALS")
def records(_: Store, tenant: Tenant) -> Iterator[Record]:
    """List the clients, and how each authenticates.

    Example: [bold]licet client list[/]
    """
    from licet.setup.check import authenticates_by

    now_ms = SystemClock().now_ms()
    for client_id, client in sorted(tenant.clients.items()):
        suspended_until_ms = client.suspended_at(now_ms)
        yield {
            "client_id": client_id,
            **shown(CLIENT, client, tenant.zone),
            "secrets": len(client.secrets),
            "keys": len(client.keys),
            "authenticates_by": AnyOf(authenticates_by(client, now_ms)),
            "suspended_until": None if suspended_until_ms is None else Instant(suspended_until_ms),
        }


app.shows("TestClientId")
app.removes(
    method("remove_client"), "Remove a client with its secrets, and end its sessions.", "TestClientId"
)
