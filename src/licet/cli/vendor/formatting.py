"""Formats a licence for output: as a table for people, as JSON, and as a phrase in a message."""

from collections.abc import Mapping
from datetime import UTC
from typing import Any

from licet.cli.output import Absent, Duration, End, Instant, Record
from licet.clock import SystemClock
from licet.formats import counted, duration, end_in_words
from licet.licences.licence import SignedLicence, SignedPool, Standing

STANDING: Mapping[Standing, str] = {
    Standing.NOT_YET: "not yet",
    Standing.VALID: "valid",
    Standing.GRACE: "expired, in its grace",
    Standing.OVER: "over",
}


def what_is_given(licence: SignedLicence) -> str:
    """`25 seats of full and 3 of overdraft`."""
    return ", ".join(
        f"{counted(pool.seats, 'seat')} of {name}"
        + (f" and {pool.overdraft} of overdraft" if pool.overdraft else "")
        for name, pool in licence.pools.items()
    )


def until(licence: SignedLicence) -> str:
    """`until the end of 2027-12-31`."""
    if licence.expires_at_ms is None:
        return "without end"
    return f"until {end_of(licence.expires_at_ms)}"


def end_of(ms: int) -> str:
    """`the end of 2027-12-31`."""
    return end_in_words(ms, UTC).removeprefix("on ").removeprefix("at ")


def record(licence: SignedLicence, signature: str) -> Record:
    """A line for each thing that it says."""
    shown: dict[str, Any] = {
        "licence": licence.licence,
        "serial": licence.serial,
        "state": STANDING[licence.standing(SystemClock().now_ms())],
        "signature": signature,
        "vendor": licence.vendor,
        "product": licence.product,
        "tenant": licence.tenant,
        "customer": licence.customer,
        "installation": licence.installation or Absent("any"),
        "issued_at": Instant(licence.issued_at_ms),
        "begins_at": Instant(licence.begins_at_ms),
        "expires_at": Absent("never") if licence.expires_at_ms is None else End(licence.expires_at_ms, UTC),
        "grace_s": Duration(licence.grace_s),
        "updates_until": Absent("always") if licence.updates_until is None else str(licence.updates_until),
        "features": licence.features,
    }
    return shown | {f"pool {name}": _pool(pool) for name, pool in licence.pools.items()}


def as_json(licence: SignedLicence, signature: str, *, is_verified: bool) -> dict[str, Any]:
    """The same for programs: all pools under one key."""
    plain = {key: value for key, value in record(licence, signature).items() if not key.startswith("pool ")}
    pools = {
        name: {
            "seats": pool.seats,
            "overdraft": pool.overdraft,
            "scopes": sorted(pool.scopes),
            "hold_s": pool.hold_s,
            "access_ttl_max_s": pool.access_ttl_max_s,
            "duplicates": sorted(pool.duplicates),
        }
        for name, pool in licence.pools.items()
    }
    state = licence.standing(SystemClock().now_ms()).value
    return {**plain, "state": state, "verified": is_verified, "key": licence.kid, "pools": pools}


def _pool(pool: SignedPool) -> str:
    parts = [
        counted(pool.seats, "seat"),
        *([f"{pool.overdraft} of overdraft"] if pool.overdraft else []),
        f"for {' '.join(sorted(pool.scopes))}",
        f"hold {duration(pool.hold_s)}",
        f"access tokens of {duration(pool.access_ttl_max_s)} at most",
        f"counted by {' or '.join(sorted(pool.duplicates))}",
    ]
    return ", ".join(parts)
