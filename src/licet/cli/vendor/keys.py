"""Runs `licet vendor key`: makes the keys that sign licences, and the file by which they are verified."""

from pathlib import Path
from typing import Annotated

import typer

from licet.cli.errors import WrongUse
from licet.cli.noun import Noun
from licet.cli.options import AsJson
from licet.cli.output import Record, note, say, show_list
from licet.cli.vendor.options import VENDOR, Key, PassphraseStdin, Public, ask_passphrase
from licet.licences.errors import LicenceRefused
from licet.licences.vendor_file import Vendor, VendorKey, read_vendor, vendor_file
from licet.vendor.directory import (
    VENDOR_FILE,
    keep_another,
    keep_new,
    must_be_new,
    must_have_room,
    read_directory,
)
from licet.vendor.private_keys import check_new_passphrase, new_private_key, read_public_key

key_app = Noun("The keys that sign licences: one signs, all are accepted.")

_HEADINGS = {"kid": "key", "private_key": "private key", "signs": "signs"}


@key_app.verb("new")
def new(
    *,
    vendor: Annotated[
        str, typer.Option("--vendor", metavar="NAME", help="Your name as a vendor, such as acme.")
    ],
    product: Annotated[
        str, typer.Option("--product", metavar="NAME", help="The API that the licences are for.")
    ],
    out: Annotated[
        Path,
        typer.Option("-o", "--out", metavar="DIR", show_default=False, help="The directory to make: vendor."),
    ] = VENDOR,
    public: Public = None,
    passphrase_stdin: PassphraseStdin = False,
) -> None:
    """Make a key, encrypted with a passphrase, and vendor.json, with which anybody can verify its signatures.

    Keep the private key secret, and keep a copy of it and of the passphrase where you will find them in
    years. vendor.json is not secret: compile it into your API, and send it to your customers.

    Example: [bold]licet vendor key new --vendor acme --product jim2-api -o vendor[/]
    """
    must_be_new(out)
    _must_be_names(vendor, product)
    key, encrypted = _made(vendor, product, public, from_stdin=passphrase_stdin)
    kept = keep_new(out, Vendor(name=vendor, product=product, keys={key.kid: key}), encrypted)
    say(f"Made {out / VENDOR_FILE} for your API and your customers.")
    if encrypted is not None:
        say(f"Made {kept.key_file(key)}, encrypted, for you alone; keep a copy of it and of its passphrase.")


@key_app.verb("add")
def add(*, key: Key = VENDOR, public: Public = None, passphrase_stdin: PassphraseStdin = False) -> None:
    """Add a key that can replace the first one. It signs only if --kid names it.

    First compile the new vendor.json into your API and send it to your customers: without it, licences signed
    with the new key are refused. Licences signed with older keys still count.

    Example: [bold]licet vendor key add --key vendor[/]
    """
    before = read_directory(key)
    must_have_room(before)
    name, product = before.vendor.name, before.vendor.product
    made, encrypted = _made(name, product, public, from_stdin=passphrase_stdin)
    kept = keep_another(before, made, encrypted)
    say(f"Added to {kept.path / VENDOR_FILE}; sign with it by: --kid {made.kid}")
    if encrypted is not None:
        say(f"Made {kept.key_file(made)}, encrypted, for you alone; keep a copy of it and of its passphrase.")


@key_app.verb("list")
def list_(*, key: Key = VENDOR, as_json: AsJson = False) -> None:
    """List the keys of a vendor by their thumbprints (RFC 7638).

    Example: [bold]licet vendor key list --key vendor[/]
    """
    kept = read_directory(key)
    first = kept.key(None)
    records: list[Record] = [
        {
            "kid": it.kid,
            "private_key": "here" if kept.key_file(it).exists() else "elsewhere",
            "signs": it is first,
        }
        for it in kept.vendor.keys.values()
    ]
    if not as_json:
        note(f"Vendor {kept.vendor.name}, product {kept.vendor.product}")
    show_list(records, _HEADINGS, as_json=as_json, empty="")


def _made(
    vendor: str, product: str, public: Path | None, *, from_stdin: bool
) -> tuple[VendorKey, bytes | None]:
    """A new key and its encrypted private half, or the key of an HSM."""
    if public is not None:
        if from_stdin:
            raise WrongUse("--public has no passphrase: its private key stays where it is")
        return read_public_key(public), None
    passphrase = ask_passphrase("the new key", is_new=True, from_stdin=from_stdin)
    check_new_passphrase(passphrase, vendor, product)
    made = new_private_key()
    return made.public, made.encrypted(passphrase)


def _must_be_names(vendor: str, product: str) -> None:
    """As whoever reads the file will read them."""
    some_key = new_private_key().public
    try:
        read_vendor(vendor_file(Vendor(name=vendor, product=product, keys={some_key.kid: some_key})))
    except (LicenceRefused, UnicodeEncodeError) as refused:
        raise WrongUse(refused.text if isinstance(refused, LicenceRefused) else "a name is text") from None
