"""Runs `licet vendor list`: shows which licences were signed, from the register of their serials."""

from collections.abc import Iterator
from datetime import UTC

from licet.cli.options import AsJson
from licet.cli.output import Absent, Record, ends, show_list
from licet.cli.vendor.options import VENDOR, Key
from licet.licences.armour import armoured
from licet.licences.errors import LicenceRefused
from licet.licences.licence import SignedLicence
from licet.licences.reading import read_unverified
from licet.vendor.directory import read_directory
from licet.vendor.register import Entry, Register

_HEADINGS = {
    "licence": "licence",
    "serial": "serial",
    "tenant": "tenant",
    "customer": "customer",
    "pools": "pools",
    "expires_at": "expires",
    "state": "state",
}


def list_(*, key: Key = VENDOR, as_json: AsJson = False) -> None:
    """List the signed licences, each with its newest serial last.

    Example: [bold]licet vendor list --key vendor[/]
    """
    entries = Register(read_directory(key).register).entries()
    show_list(_records(list(entries)), _HEADINGS, as_json=as_json, empty="No licence was signed yet.")


def _records(entries: list[Entry]) -> Iterator[Record]:
    newest = {it.licence: it.serial for it in entries if it.text is not None}  # in the order of serials
    for entry in entries:
        licence = _licence(entry)
        yield {
            "licence": entry.licence,
            "serial": entry.serial,
            "tenant": entry.tenant,
            "customer": None if licence is None else licence.customer,
            "pools": []
            if licence is None
            else [f"{name}={given.seats}" for name, given in licence.pools.items()],
            "expires_at": Absent("-") if licence is None else ends(licence.expires_at_ms, UTC),
            "state": _state(entry, newest),
            "text": None if entry.text is None else armoured(entry.text),
        }


def _state(entry: Entry, newest: dict[str, int]) -> str:
    if entry.text is None:
        return "not signed"
    return "newest" if newest[entry.licence] == entry.serial else "replaced"


def _licence(entry: Entry) -> SignedLicence | None:
    try:
        return None if entry.text is None else read_unverified(entry.text)
    except LicenceRefused:  # of a version that allowed more
        return None
