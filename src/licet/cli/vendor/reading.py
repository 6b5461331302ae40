"""Runs `licet vendor read`: shows what licences and usage statements say, and whether they were changed."""

import sys
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from licet.cli.errors import REFUSED, Refused
from licet.cli.options import AsJson
from licet.cli.output import note, show_json, show_one
from licet.cli.vendor.formatting import as_json as plain
from licet.cli.vendor.formatting import record
from licet.cli.vendor.options import VENDOR
from licet.cli.vendor.statements import known_keys, read_statements, show_statements
from licet.formats import counted
from licet.licences.armour import split
from licet.licences.errors import LicenceRefused
from licet.licences.licence import SignedLicence
from licet.licences.reading import read as read_signed
from licet.licences.reading import read_unverified
from licet.licences.vendor_file import Vendor
from licet.vendor.directory import VENDOR_FILE, read_directory
from licet.vendor.errors import VendorCode, VendorRefused
from licet.vendor.files import read_bounded
from licet.vendor.statements import FILE_BYTES_MAX as STATEMENTS_BYTES_MAX
from licet.vendor.statements import Statement, is_statement

UNVERIFIED = "not verified"


class _Found(NamedTuple):
    licence: SignedLicence
    signature: str


def read(
    files: Annotated[
        list[str],
        typer.Argument(metavar="FILE", help="Files with licences or usage statements; - is standard input."),
    ],
    *,
    key: Annotated[
        Path | None,
        typer.Option(
            "--key",
            metavar="DIR",
            readable=False,
            help="The vendor's directory, or a vendor.json; by default vendor, if it exists.",
        ),
    ] = None,
    keys: Annotated[
        list[Path] | None,
        typer.Option(
            "--keys",
            metavar="FILE",
            readable=False,
            help="A key set (jwks.json) of the tenant of these usage statements; repeatable.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show the content of licences or usage statements. Files changed after signing are refused.

    For the usage statements of a tenant it also reports which are missing, and which contradict each other.

    Example: [bold]licet vendor read c1.licence[/]

    Example: [bold]licet vendor read --keys jwks.json may.statement june.statement[/]
    """
    vendor, known = _vendor(key), known_keys(keys or ())
    found: list[_Found] = []
    stated: list[Statement] = []
    refused = False
    for file in files:
        try:
            content = sys.stdin.buffer.read(STATEMENTS_BYTES_MAX + 1) if file == "-" else _content(file)
            if is_statement(content):
                stated += read_statements(content, known)
            else:
                found += _read(content, vendor)
        except (LicenceRefused, VendorRefused, Refused) as fault:
            refused = True
            note(f"licet: {'' if _names_its_file(fault) else f'{file}: '}{fault}")
    if stated:
        refused = show_statements(stated, as_json=as_json) or refused
    if found or not stated:
        _show(found, as_json=as_json)
    if vendor is None and found:
        note(
            "No signature was verified, so anybody may have written this: say --key DIR or --key vendor.json"
        )
    for line in _added_up([one.licence for one in found]):
        note(line)
    if refused:
        raise typer.Exit(REFUSED)


def _vendor(key: Path | None) -> Vendor | None:
    """Whose licences these are to be; None where nobody said it and no vendor is here."""
    if key is None and not (VENDOR / VENDOR_FILE).exists():
        return None
    return read_directory(VENDOR if key is None else key).vendor


def _names_its_file(fault: Exception) -> bool:
    return isinstance(fault, VendorRefused) and fault.code is VendorCode.UNREADABLE


def _read(content: bytes, vendor: Vendor | None) -> Iterator[_Found]:
    for text in split(content):
        if vendor is None:
            yield _Found(read_unverified(text), UNVERIFIED)
        else:
            licence = read_signed(text, [vendor])
            yield _Found(licence, f"of {licence.vendor}, by key {licence.kid}")


def _content(file: str) -> bytes:
    return read_bounded(Path(file), STATEMENTS_BYTES_MAX)


def _show(found: Sequence[_Found], *, as_json: bool) -> None:
    if as_json:
        show_json([plain(*one, is_verified=one.signature != UNVERIFIED) for one in found])
        return
    for number, one in enumerate(found):
        if number:
            typer.echo()
        show_one(record(*one), as_json=False)


def _added_up(licences: Sequence[SignedLicence]) -> Iterator[str]:
    """What adds up: two licences of one purchase under two ids would double it."""
    newest = {
        (one.tenant, *one.key): one for one in sorted(licences, key=lambda one: (one.licence, one.serial))
    }
    for one, other in combinations(newest.values(), 2):
        if (one.tenant, one.customer) != (other.tenant, other.customer):
            continue
        for pool in sorted(one.pools.keys() & other.pools.keys()):
            seats = one.pools[pool].seats + other.pools[pool].seats
            yield (
                f"Licences {one.licence} and {other.licence} both give pool {pool} seats in {one.tenant};"
                f" they add up to {counted(seats, 'seat')}."
            )
