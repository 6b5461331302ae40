"""Whatever bytes come in, a licence is read or refused: nothing else happens."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from licet.licences.armour import armoured, split
from licet.licences.errors import LicenceRefused
from licet.licences.jws import take_apart
from licet.licences.reading import read_file, read_unverified
from licet.licences.vendor_file import read_vendor, vendor_file
from support.licences.vendors import TestVendor

ACME = TestVendor()
FILE = armoured(ACME.sign()).encode()

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=50),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=20), inner, max_size=4),
    max_leaves=8,
)


def refused(error: LicenceRefused) -> None:
    """What every refusal keeps to: it can be shown anywhere."""
    assert str(error).isprintable()
    assert error.field.isprintable()
    assert len(str(error)) < 500


@given(st.binary(max_size=300) | st.text(max_size=300).map(lambda text: text.encode(errors="surrogatepass")))
def test_any_bytes_are_refused(content: bytes) -> None:
    """As a file, as a licence and as a vendor's file."""
    for attempt in (
        lambda: split(content),
        lambda: split(FILE + content if content.strip() else b""),
        lambda: take_apart(content.decode(errors="replace")),
        lambda: read_vendor(content),
    ):
        try:
            attempt()
        except LicenceRefused as error:
            refused(error)
        else:
            raise AssertionError(content)


@given(st.sampled_from(sorted(ACME.claims())), JSON)
def test_any_value_of_a_claim_is_read_or_refused(name: str, value: object) -> None:
    """Those of a pool as well."""
    for claims in (ACME.claims() | {name: value}, ACME.claims() | {"pools": {"full": value}}):
        try:
            licence = read_unverified(ACME.sign(claims))
        except LicenceRefused as error:
            refused(error)
        else:
            assert licence.serial >= 1
            assert hash(licence) == hash(licence)


@given(st.sampled_from(["seats", "scopes", "overdraft", "hold", "access_ttl_max", "duplicates"]), JSON)
def test_any_value_of_a_pool_is_read_or_refused(name: str, value: object) -> None:
    """None of them is taken for another."""
    try:
        pool = read_unverified(
            ACME.sign(ACME.pool() | {"pools": {"full": {"seats": 1, "scopes": ["all"], name: value}}})
        )
    except LicenceRefused as error:
        refused(error)
    else:
        found = pool.pools["full"]
        assert all(
            type(it) is int for it in (found.seats, found.overdraft, found.hold_s, found.access_ttl_max_s)
        )


@given(st.dictionaries(st.sampled_from(["kty", "crv", "x", "y", "kid", "use", "alg", "d"]) | st.text(), JSON))
def test_any_key_of_a_vendor_is_read_or_refused(members: dict[str, Any]) -> None:
    """Beside the members of a good one."""
    content = json.loads(vendor_file(ACME.vendor))
    content["keys"][0] |= members
    try:
        vendor = read_vendor(json.dumps(content).encode())
    except LicenceRefused as error:
        refused(error)
    else:
        assert list(vendor.keys) == [ACME.kid]


@given(st.lists(st.tuples(st.integers(0, len(FILE) - 1), st.integers(0, 255)), min_size=1, max_size=8))
def test_any_bytes_changed_are_refused(changes: list[tuple[int, int]]) -> None:
    """Several at once: what is read is what was signed."""
    content = bytearray(FILE)
    for at, value in changes:
        content[at] = value
    try:
        [licence] = read_file(bytes(content), [ACME.vendor])
    except LicenceRefused as error:
        refused(error)
    else:
        assert armoured(licence.text).encode() == FILE
