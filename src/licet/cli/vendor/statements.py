"""Shows usage statements for `licet vendor read`: what each says, and what does not fit together."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import typer

from licet.cli.errors import Refused
from licet.cli.output import note, show_json, show_one
from licet.formats import counted, instant, seat_hours
from licet.vendor.errors import VendorCode, VendorRefused
from licet.vendor.files import read_bounded
from licet.vendor.statements import (
    FILE_BYTES_MAX,
    Statement,
    read_key_set,
    read_statement,
    split,
    troubles,
)


def known_keys(files: Sequence[Path]) -> frozenset[str] | None:
    """The names of all keys in these key sets; None where there is no key set.

    Raises Refused, VendorRefused.
    """
    found: set[str] = set()
    for file in files:
        try:
            found |= read_key_set(read_bounded(file, FILE_BYTES_MAX))
        except VendorRefused as fault:
            if fault.code is not VendorCode.BAD_STATEMENT:
                raise
            raise Refused(f"{file}: {fault}") from None
    return frozenset(found) if files else None


def read_statements(content: bytes, keys: frozenset[str] | None) -> Iterator[Statement]:
    """The statements of a file, by these keys.

    Raises VendorRefused.
    """
    for text in split(content):
        yield read_statement(text, keys)


def show_statements(found: list[Statement], *, as_json: bool) -> bool:
    """Print these statements, and what is wrong with them together; return whether anything is."""
    if as_json:
        show_json([_plain(one) for one in found])
    else:
        for number, one in enumerate(found):
            if number:
                typer.echo()
            show_one(_record(one), as_json=False)
    wrong = list(troubles(found))
    for line in wrong:
        note(f"licet: {line}")
    if any(not one.is_known for one in found):
        note("No key was compared with the key set of the tenant: say --keys jwks.json, as its server has it")
    return bool(wrong)


def _plain(one: Statement) -> dict[str, Any]:
    """The claims, with instants as in all output for programs; `made_at` is `iat`, as in the API."""
    claims = dict(one.claims)
    return {
        "made_at": _instant(claims.pop("iat")),
        **claims,
        "from": _instant(claims["from"]),
        "until": _instant(claims["until"]),
        "pools": [_plain_pool(pool) for pool in claims["pools"]],
        "restored": list(map(_instant, claims["restored"])),
        "hash": one.hash,
        "key_known": one.is_known,
    }


def _plain_pool(pool: dict[str, Any]) -> dict[str, Any]:
    days = [{**day, "from": _instant(day["from"]), "until": _instant(day["until"])} for day in pool["days"]]
    added = {"added": _instant(pool["added"])} if "added" in pool else {}
    return {**pool, **added, "days": days}


def _instant(at_s: int) -> str:
    return instant(at_s * 1000)


def _record(one: Statement) -> dict[str, Any]:
    claims = one.claims
    return {
        "statement": one.seq,
        "tenant": one.tenant,
        "from": _instant(claims["from"]),
        "until": _instant(claims["until"]),
        "signature": f"by key {one.kid}" + (" of the key set" if one.is_known else ""),
        "pools": "; ".join(map(_pool, claims["pools"])),
        "restored": list(map(_instant, claims["restored"])),
    }


def _pool(pool: dict[str, Any]) -> str:
    days = pool["days"]
    added = f", added {_instant(pool['added'])}" if "added" in pool else ""
    overdraft_ms = sum(day["overdraft_s"] for day in days) * 1000
    return (
        f"{pool['pool']}: {counted(max((day['seats'] for day in days), default=0), 'seat')},"
        f" peak {max((day['peak'] for day in days), default=0)},"
        f" overdraft {max((day['overdraft'] for day in days), default=0)},"
        f" {seat_hours(overdraft_ms)} overdraft hours,"
        f" {counted(sum(day['true_denials'] for day in days), 'true denial')}{added}"
    )
