"""The page of the licence file says what the code reads."""

import json
import re

import pytest

from licet.licences import armour, claims, jws, vendor_file
from licet.licences.errors import LicenceCode
from licet.licences.vendor_file import read_vendor
from support.paths import DOCS

PAGE = (DOCS / "reference" / "licence-file.md").read_text(encoding="utf-8")


def test_every_code_has_a_row() -> None:
    """Programs can depend on them."""
    rows = PAGE.partition("## Why a file is refused")[2]
    assert {it.value for it in LicenceCode} == set(re.findall(r"`([a-z_]+)`", rows)) - {
        "iss",
        "product",
    }


@pytest.mark.parametrize(
    ("begin", "names"), [("| claim |", claims.KNOWN), ("| member of a pool |", claims.POOL_MEMBERS)]
)
def test_every_claim_has_a_row(begin: str, names: frozenset[str]) -> None:
    """And no other."""
    table = PAGE.partition(begin)[2].partition("\n\n")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == names


@pytest.mark.parametrize(
    "bound",
    [
        jws.LICENCE_BYTES_MAX,
        armour.FILE_BYTES_MAX,
        claims.SEATS_MAX,
        claims.HOLD_S_MAX,
        vendor_file.VENDOR_BYTES_MAX,
    ],
)
def test_every_bound_is_named(bound: int) -> None:
    """As people write it."""
    assert f"{bound:,}" in PAGE


def test_other_bounds_are_those_of_the_code() -> None:
    """Those that are spelt out in a sentence."""
    assert f"1 to {claims.SERIAL_MAX}" in PAGE
    assert f"1 to {claims.POOLS_MAX} pools" in PAGE
    assert f"1 to {claims.SCOPES_MAX} words" in PAGE
    assert f"up to {claims.FEATURES_MAX} words" in PAGE
    assert f"1 to {armour.LICENCES_MAX} licences" in PAGE
    assert f"1 to {vendor_file.KEYS_MAX} keys" in PAGE
    assert f"{claims.GRACE_S_MAX // 86_400} days at most" in PAGE


def test_the_vendors_file_of_the_page_is_one() -> None:
    """Its key is that of RFC 7515 A.3."""
    example = next(it for it in re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL) if '"vendor"' in it)
    vendor = read_vendor(example.encode())
    assert list(vendor.keys) == [json.loads(example)["keys"][0]["kid"]]
