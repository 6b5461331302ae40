"""Licences without signatures, for tests of what licences grant."""

from typing import Any

from licet.licences.licence import SignedLicence, SignedPool


def licence(name: str = "A", serial: int = 1, *, begins_s: int = 0, **members: Any) -> SignedLicence:
    """A licence of 5 seats in the pool `full`. `ends_s` is its `exp`; `members` belong to the pool."""
    ends_s = members.pop("ends_s", None)
    own = ("vendor", "product", "features", "text")
    whose: dict[str, Any] = {key: members.pop(key) for key in own if key in members}
    pools = members.pop("pools", None)
    grace_s = members.pop("grace_s", 0)
    if pools is None:
        pools = {"full": SignedPool(**{"seats": 5, "scopes": frozenset({"all"}), **members})}
    values: dict[str, Any] = {"vendor": "acme", "product": "jim2-api", "features": (), "text": ""} | whose
    return SignedLicence(
        tenant="Jim_Test",
        licence=name,
        serial=serial,
        issued_at_ms=0,
        begins_at_ms=begins_s * 1000,
        expires_at_ms=None if ends_s is None else ends_s * 1000,
        grace_s=grace_s,
        installation=None,
        customer=None,
        updates_until=None,
        pools=pools,
        kid="",
        **values,
    )
