"""Runs `licet client key`: manages the public keys of a client (RFC 7523 2.2), and makes key pairs.

A key pair is made where the client runs, by `new` or by OpenSSL; only its public half comes here.
"""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from msgspec.structs import replace

from licet.cli.change import change_tenant
from licet.cli.errors import Refused, WrongUse
from licet.cli.options import Data, Expires, TenantName, read_end
from licet.cli.output import Instant, Record, ends, note, when
from licet.cli.set_up.owners import ClientId, NoPassword, OfClient
from licet.cli.set_up.verbs import SetUpNoun, method
from licet.clock import SystemClock
from licet.credentials.public_keys import TEXT_BYTES_MAX, kind_of, name_of, read_keys, to_jwk
from licet.model import Client, Tenant
from licet.platforms import files

if TYPE_CHECKING:
    from licet.setup.tenant import TenantSetup

Key = Annotated[str, typer.Argument(metavar="KEY", help="As the list shows it.")]

key_app = SetUpNoun(
    "key",
    OfClient,
    Key,
    "Public keys of a client, which then signs an assertion instead of sending a secret.",
    command="client key",
)


@key_app.verb("add")
def add(
    client_id: ClientId,
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="A JWK, a JWKS or PEM; - is standard input.")
    ] = "-",
    *,
    kid: Annotated[
        str | None,
        typer.Option("--kid", metavar="NAME", help="The client's name for the key, if it has one."),
    ] = None,
    expires: Expires = None,
    no_password: NoPassword = False,
    tenant: TenantName = None,
    data: Data = None,
) -> None:
    """Add the public keys of a file, and show their thumbprints (RFC 7638). Others still work.

    Example: [bold]licet client key add TestClientId public.pem --expires 2027-01-31[/]
    """
    keys = read_keys(_text(file))
    expires_at_ms = read_end("--expires", expires, data, tenant)
    if kid is not None:
        if len(keys) > 1:
            raise WrongUse(f"--kid names one key, and these are {len(keys)}")
        keys = [replace(keys[0], kid=None if kid == keys[0].thumbprint else kid)]

    def change(setup: "TenantSetup") -> bool:
        for key in keys:
            setup.add_key(client_id, key, expires_at_ms)
        if no_password:
            setup.set_client(client_id, password_allowed=False)
        return True

    what = "Key" if len(keys) == 1 else f"{len(keys)} keys"
    change_tenant(data, tenant, f"{what} of client {client_id} added", change, report=note)
    for key in keys:
        typer.echo(key.thumbprint)


@key_app.lists("kid algorithm created_at expires_at last_used_at", first="FILE")
def records(client: Client, tenant: Tenant) -> Iterator[Record]:
    """List a client's public keys.

    Example: [bold]licet client key list TestClientId[/]
    """
    for key in sorted(client.keys, key=lambda kept: kept.created_at_ms):
        yield {
            "kid": name_of(key),
            "thumbprint": key.thumbprint,
            "algorithm": kind_of(key),
            "created_at": Instant(key.created_at_ms),
            "expires_at": ends(key.expires_at_ms, tenant.zone),
            "last_used_at": when(key.last_used_at_ms),
            "expired": not key.is_live(SystemClock().now_ms()),
        }


key_app.removes(
    method("remove_key"),
    "Remove a public key. Its sessions go on until they have to be renewed.",
    "TestClientId 2026-11",
)


@key_app.verb("new")
def new(
    *,
    out: Annotated[
        Path, typer.Option("--out", metavar="FILE", help="Where the private key goes; a new file.")
    ],
) -> None:
    """Make a key pair. Only you can read the file of the private key; the public key is printed as a JWK.

    It needs no store and no server: run it where the client runs.

    Example: [bold]licet client key new --out private.pem > public.jwk[/]
    """
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        PublicFormat,
    )

    while True:
        pair = ec.generate_private_key(ec.SECP256R1())
        public = pair.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        [key] = read_keys(public.decode())
        if not key.thumbprint.startswith("-"):  # which `remove` would take for an option
            break
    _keep(out, pair.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    note(f"The private key is in {out}; it stays on this machine.")
    typer.echo(json.dumps({**to_jwk(key), "kid": key.thumbprint, "alg": "ES256", "use": "sig"}, indent=2))


def _text(file: str) -> str:
    try:
        if file == "-":
            if sys.stdin.isatty():
                note("Paste the public key; Ctrl-D on a line of its own ends it.")
            content = sys.stdin.buffer.read(TEXT_BYTES_MAX + 1)
        else:
            with Path(file).open("rb") as opened_file:
                content = opened_file.read(TEXT_BYTES_MAX + 1)
    except OSError as fault:
        raise Refused(f"{file} cannot be read: {fault.strerror}") from None
    return content.decode(errors="replace")


def _keep(path: Path, private: bytes) -> None:
    try:
        descriptor = files.create(path)
    except FileExistsError:
        raise Refused(f"{path} is there already, and may be a key that is in use; name a new file") from None
    except OSError as fault:
        raise Refused(f"{path} cannot be written: {fault.strerror}") from None
    with os.fdopen(descriptor, "wb") as file:
        file.write(private)
