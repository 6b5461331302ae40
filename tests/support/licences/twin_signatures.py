"""The second valid form of an ES256 signature: (r, n - s) beside (r, s)."""

from base64 import urlsafe_b64decode, urlsafe_b64encode

_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # n of P-256


def twin(jws: str) -> str:
    """The compact JWS with the second form of its signature, which needs no key to compute."""
    signed, _, signature = jws.rpartition(".")
    numbers = urlsafe_b64decode(signature + "==")
    s = _ORDER - int.from_bytes(numbers[32:], "big")
    made = urlsafe_b64encode(numbers[:32] + s.to_bytes(32, "big")).rstrip(b"=").decode()
    assert made != signature
    return f"{signed}.{made}"
