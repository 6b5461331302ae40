"""Turns an order, from a template and from options, into the claims of a licence.

A template is TOML with the names of the claims; times are written as people write them:

    grace = "14d"
    features = ["export"]

    [pool.full]
    seats = 25
    scopes = ["all", "reports"]
    overdraft = 3
    hold = "60s"

An option replaces a value of the template, each member of a pool by itself. Only the spelling of a value is
changed here; its bounds are checked where licences are read (`licences/claims.py`).
"""

import tomllib
from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any, Final

from licet.formats import read_duration_s, read_end_ms
from licet.model import InvalidValue
from licet.vendor.errors import VendorCode, VendorRefused
from licet.vendor.files import read_bounded

TEMPLATE_BYTES_MAX: Final = 65_536
PLAIN: Final = ("tenant", "customer", "licence", "installation", "features", "must")
POOL_PLAIN: Final = ("seats", "scopes", "overdraft", "duplicates")
POOL_DURATIONS: Final = ("hold", "access_ttl_max")
_SECOND_MS = 1000

Members = Mapping[str, Any]


def read_template(path: Path) -> tuple[Members, Mapping[str, Members]]:
    """The members of a template, unchanged, and those of each of its pools.

    Raises VendorRefused.
    """
    content = read_bounded(path, TEMPLATE_BYTES_MAX)
    if len(content) > TEMPLATE_BYTES_MAX:
        raise _bad(f"{path} has more than {TEMPLATE_BYTES_MAX} bytes, which no template has")
    try:
        found = tomllib.loads(content.decode())
    except ValueError as fault:  # UnicodeDecodeError and TOMLDecodeError
        raise _bad(f"{path} is no TOML: {fault}") from None
    pools = found.pop("pool", {})
    if not isinstance(pools, dict) or not all(isinstance(pool, dict) for pool in pools.values()):
        raise _bad(f"{path}: a pool of a template is a table, like [pool.full]")
    known = {*PLAIN, "begins", "expires", "grace", "updates_until"}
    _must_be_known(found, known, str(path))
    for name, pool in pools.items():
        _must_be_known(pool, {*POOL_PLAIN, *POOL_DURATIONS}, f"{path}: pool {name}")
    return found, pools


def claims_of(
    vendor: tuple[str, str], members: Members, pools: Mapping[str, Members], *, now_s: int
) -> dict[str, Any]:
    """The claims of what is ordered, issued now, of serial 1; `vendor` is its name and product.

    A pool `full` without scopes gets `all`, as in a new tenant of Licet; another pool has to name its scopes.
    Raises VendorRefused.
    """
    claims: dict[str, Any] = {"iss": vendor[0], "product": vendor[1], "serial": 1, "iat": now_s}
    claims |= {name: members[name] for name in PLAIN if name in members}
    if "begins" in members:
        claims["nbf"] = _begins_s(members["begins"])
    if (expires_s := _expires_s(members.get("expires"))) is not None:
        claims["exp"] = expires_s
    if "grace" in members:
        claims["grace"] = _duration_s(members["grace"], "grace")
    if "updates_until" in members:
        claims["updates_until"] = str(members["updates_until"])  # a day of TOML is written as ours is
    claims["pools"] = {name: _pool(name, pool) for name, pool in pools.items()}
    return claims


def _pool(name: str, members: Members) -> dict[str, Any]:
    pool = {key: members[key] for key in POOL_PLAIN if key in members}
    pool |= {
        key: _duration_s(members[key], f"{key} of pool {name}") for key in POOL_DURATIONS if key in members
    }
    if "scopes" not in pool:
        if name != "full":
            raise _bad(f"pool {name}: say which scopes may draw on it")
        pool["scopes"] = ["all"]
    if "seats" not in pool:
        raise _bad(f"pool {name}: say how many seats it has")
    return pool


def _duration_s(value: object, what: str) -> int:
    try:
        return read_duration_s(str(value))
    except InvalidValue as refused:
        raise _bad(f"{what}: {refused}") from None


def _begins_s(value: object) -> int:
    """A date is the beginning of that day, UTC."""
    try:
        moment = _moment(value)
    except ValueError:
        raise _bad(
            f"begins: a moment is written 2027-01-31 or 2027-01-31T18:00; this is not: {str(value)[:40]!r}"
        ) from None
    return int(moment.timestamp())


def _moment(value: object) -> datetime:
    """Raises ValueError."""
    match value:
        case datetime():
            moment = value
        case date():
            moment = datetime.combine(value, time())
        case _:
            moment = datetime.fromisoformat(str(value))
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _expires_s(value: object) -> int | None:
    """A date is the end of that day, UTC; None for never."""
    if value is None:
        return None
    text = value.isoformat() if isinstance(value, date) else str(value)
    try:
        ms = read_end_ms(text, UTC)
    except InvalidValue as refused:
        raise _bad(f"expires: {refused}") from None
    return None if ms is None else ms // _SECOND_MS


def _must_be_known(members: Members, known: set[str], where: str) -> None:
    if more := sorted(members.keys() - known):
        raise _bad(f"{where}: there is no {more[0]}; there is: {', '.join(sorted(known))}")


def _bad(problem: str) -> VendorRefused:
    return VendorRefused(VendorCode.BAD_ORDER, problem)
