"""Signed pools in a store: a vendor that is trusted there, and licences as if they had been installed."""

import json
from collections.abc import Iterable
from functools import cache
from typing import Any

from sqlalchemy import Connection, delete, insert, update

from licet.licences.armour import armoured
from licet.store import schema
from support.examples import bump
from support.licences.vendors import TestVendor

ISSUED_S = 1_600_000_000  # before any test begins


@cache
def the_vendor() -> TestVendor:
    """The same for all tests of a process."""
    return TestVendor()


def vendor_file(vendor: TestVendor) -> str:
    """Its `vendor.json`."""
    keys = [it.jwk() for it in vendor.vendor.keys.values()]
    return json.dumps({"vendor": vendor.vendor.name, "product": vendor.vendor.product, "keys": keys})


def text_of(pool: str, scope: str, *, name: str = "C-1", serial: int = 1, **members: Any) -> str:
    """A licence of one pool; `nbf`, `exp` and `grace` are its own, other members the pool's."""
    own = {key: members.pop(key) for key in ("nbf", "exp", "grace", "tenant") if key in members}
    pools = {pool: {"scopes": [scope], **members}}
    vendor = the_vendor()
    return vendor.sign(vendor.claims(licence=name, serial=serial, iat=ISSUED_S, pools=pools, **own))


def file_of(*texts: str) -> bytes:
    """A file of licences, as a vendor sends it."""
    return "".join(map(armoured, texts)).encode()


def trust(connection: Connection, vendor: TestVendor | None = None) -> None:
    """Trust a vendor."""
    vendor = vendor or the_vendor()
    row = {"name": vendor.vendor.name, "product": vendor.vendor.product, "added_at_ms": 0}
    connection.execute(insert(schema.vendor).values(text=vendor_file(vendor), **row))


def put_licences(
    connection: Connection, pool_ids: Iterable[int], licences: Iterable[tuple[str, int, str]]
) -> None:
    """Put licences of the tenant 1, by id, serial and text, in the place of those that are there."""
    connection.execute(delete(schema.licence))
    vendor = the_vendor().vendor
    for name, serial, text in licences:
        row = {"vendor": vendor.name, "product": vendor.product, "licence": name, "serial": serial}
        connection.execute(insert(schema.licence).values(tenant_id=1, text=text, installed_at_ms=0, **row))
    connection.execute(update(schema.pool).where(schema.pool.c.id.in_([*pool_ids])).values(is_signed=True))
    bump(connection, 1)
