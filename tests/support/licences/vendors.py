"""A vendor for tests, which signs anything, also invalid licences."""

import json
from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.hashes import SHA256

from licet.licences.jws import encode
from licet.licences.vendor_file import Vendor, read_key

ISSUED_S = 1_795_824_000  # 2026-11-28
CLAIMS: Mapping[str, Any] = {
    "iss": "acme",
    "product": "jim2-api",
    "tenant": "Jim_Test",
    "licence": "C-1",
    "serial": 1,
    "iat": ISSUED_S,
    "pools": {"full": {"seats": 25, "scopes": ["all"]}},
}


class TestVendor:
    """A vendor with one key. `header` and `claims` replace members of a licence; None removes one."""

    __test__ = False

    def __init__(self, name: str = "acme", product: str = "jim2-api") -> None:
        self.private = ec.generate_private_key(ec.SECP256R1())
        point = self.private.public_key().public_numbers()
        x, y = (encode(it.to_bytes(32, "big")) for it in (point.x, point.y))
        key = read_key({"kty": "EC", "crv": "P-256", "x": x, "y": y})
        self.kid = key.kid
        self.vendor = Vendor(name=name, product=product, keys={key.kid: key})

    def header(self, **members: Any) -> dict[str, Any]:
        """The header of a licence, with these members replaced."""
        return _with({"alg": "ES256", "kid": self.kid, "typ": "licet-licence+jws"}, members)

    def claims(self, **members: Any) -> dict[str, Any]:
        """The claims of a licence of 25 seats, with these members replaced."""
        return _with({**CLAIMS, "iss": self.vendor.name, "product": self.vendor.product}, members)

    def pool(self, **members: Any) -> dict[str, Any]:
        """The claims, with these members of the pool replaced."""
        return self.claims(pools={"full": _with({"seats": 25, "scopes": ["all"]}, members)})

    def sign(self, claims: Mapping[str, Any] | None = None, **header: Any) -> str:
        """Sign a licence."""
        payload = json.dumps(self.claims() if claims is None else claims).encode()
        return self.sign_bytes(json.dumps(self.header(**header)).encode(), payload)

    def sign_bytes(self, header: bytes, payload: bytes) -> str:
        """Sign bytes, which need not be JSON."""
        signed = f"{encode(header)}.{encode(payload)}"
        return f"{signed}.{encode(self.signature(signed.encode()))}"

    def signature(self, content: bytes) -> bytes:
        """The signature in the format of RFC 7518 3.4."""
        r, s = utils.decode_dss_signature(self.private.sign(content, ec.ECDSA(SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def _with(content: dict[str, Any], members: Mapping[str, Any]) -> dict[str, Any]:
    return {name: it for name, it in {**content, **members}.items() if it is not None}
