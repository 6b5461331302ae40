"""Signed pools in a store: writes a trusted vendor and licences into its tables directly."""

import json
from collections.abc import Iterable
from functools import cache
from typing import Any

from sqlalchemy import Connection, delete, insert, update

from licet.licences.armour import armoured
from licet.store import schema
from support.examples import bump
from support.licences.vendors import TestVendor

ISSUED_S = 1_600_000_000  # before the start of every test's clock


@cache
def the_vendor() -> TestVendor:
    """A vendor that all tests of a process share."""
    return TestVendor()


def vendor_file(vendor: TestVendor) -> str:
    """The content of the vendor's `vendor.json`."""
    keys = [it.jwk() for it in vendor.vendor.keys.values()]
    return json.dumps({"vendor": vendor.vendor.name, "product": vendor.vendor.product, "keys": keys})


def text_of(pool: str, scope: str, *, name: str = "C-1", serial: int = 1, **members: Any) -> str:
    """A licence of one pool. `nbf`, `exp` and `grace` belong to the licence, other members to the pool."""
    own = {key: members.pop(key) for key in ("nbf", "exp", "grace", "tenant") if key in members}
    pools = {pool: {"scopes": [scope], **members}}
    vendor = the_vendor()
    return vendor.sign(vendor.claims(licence=name, serial=serial, iat=ISSUED_S, pools=pools, **own))


def file_of(*texts: str) -> bytes:
    """A file with these licences, as a vendor sends it."""
    return "".join(map(armoured, texts)).encode()


def trust(connection: Connection, vendor: TestVendor | None = None) -> None:
    """Trust a vendor."""
    vendor = vendor or the_vendor()
    row = {"name": vendor.vendor.name, "product": vendor.vendor.product, "added_at_ms": 0}
    connection.execute(insert(schema.vendor).values(text=vendor_file(vendor), **row))


def put_licences(
    connection: Connection, pool_ids: Iterable[int], licences: Iterable[tuple[str, int, str]]
) -> None:
    """Replace the licences of the tenant 1 with these, given by id, serial and text."""
    connection.execute(delete(schema.licence))
    vendor = the_vendor().vendor
    for name, serial, text in licences:
        row = {"vendor": vendor.name, "product": vendor.product, "licence": name, "serial": serial}
        connection.execute(insert(schema.licence).values(tenant_id=1, text=text, installed_at_ms=0, **row))
    connection.execute(update(schema.pool).where(schema.pool.c.id.in_([*pool_ids])).values(is_signed=True))
    bump(connection, 1)
