"""Plays the vendor of a run: signs licences for the signed tenants, and computes their seats at each moment.

The seats are computed independently of Licet, in the simplest way, so that the checker does not rely on
Licet's own computation.
"""

import json
import time
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.hashes import SHA256

from chaos.history import ACCESS_TTL_S_MAX, POOL, TenantPlan
from licet.licences.armour import armoured
from licet.licences.jws import encode
from licet.licences.vendor_file import read_key

NAME, PRODUCT = "acme", "chaos-api"
FOREVER_S = 1 << 40


class Serial(NamedTuple):
    """A serial of a licence, with its seats, its beginning and its end in seconds since 1970."""

    licence: str
    serial: int
    seats: int
    begins_s: int = 0
    ends_s: int = FOREVER_S


def first(plan: TenantPlan) -> Serial:
    """The licence of a tenant at first: the planned seats, without an end."""
    return Serial("L", 1, plan.signed)


def signed_from(serials: list[Serial]) -> list[tuple[int, int]]:
    """The seats of these licences together, as steps: from which second on, and how many."""
    moments = sorted({0, *(it.begins_s for it in serials), *(it.ends_s for it in serials)} - {FOREVER_S})
    return [(moment, _at(serials, moment)) for moment in moments]


def _at(serials: list[Serial], moment: int) -> int:
    counting: dict[str, Serial] = {}
    for it in sorted(serials, key=lambda it: it.serial):
        if it.begins_s <= moment:
            counting[it.licence] = it
    return sum(it.seats for it in counting.values() if moment < it.ends_s)


class Vendor:
    """A vendor with one key."""

    def __init__(self) -> None:
        self._private = ec.generate_private_key(ec.SECP256R1())
        point = self._private.public_key().public_numbers()
        x, y = (encode(it.to_bytes(32, "big")) for it in (point.x, point.y))
        key = read_key({"kty": "EC", "crv": "P-256", "x": x, "y": y})
        self._kid = key.kid
        self.file = json.dumps({"vendor": NAME, "product": PRODUCT, "keys": [key.jwk()]}).encode()

    def file_of(self, plan: TenantPlan, *serials: Serial) -> bytes:
        """A file with licences of this tenant."""
        return "".join(armoured(self._sign(plan, it)) for it in serials).encode()

    def _sign(self, plan: TenantPlan, serial: Serial) -> str:
        pool = {
            "seats": serial.seats,
            "scopes": ["all"],
            "hold": plan.hold_s,
            "duplicates": [plan.duplicates],
            "access_ttl_max": ACCESS_TTL_S_MAX,
        }
        claims = {
            "iss": NAME,
            "product": PRODUCT,
            "tenant": plan.name,
            "licence": serial.licence,
            "serial": serial.serial,
            "iat": int(time.time()),
            "nbf": serial.begins_s,
            "pools": {POOL: pool},
        }
        if serial.ends_s != FOREVER_S:
            claims["exp"] = serial.ends_s
        header = {"alg": "ES256", "kid": self._kid, "typ": "licet-licence+jws"}
        content = ".".join(encode(json.dumps(it).encode()) for it in (header, claims))
        return f"{content}.{encode(self._signature(content.encode()))}"

    def _signature(self, content: bytes) -> bytes:
        """The signature as two integers of 32 bytes each (RFC 7518 3.4)."""
        r, s = utils.decode_dss_signature(self._private.sign(content, ec.ECDSA(SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")
