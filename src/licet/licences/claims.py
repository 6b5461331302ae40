"""Reads the claims of a licence: each within its bounds, or the licence is refused.

The rules:

- A member of a pool that is not known refuses the licence, as what limits must not be overlooked.
- Any other claim that is not known is passed over, unless `must` names it: so a vendor can add to what a
  licence says, and says itself what an older reader may not miss.
- A bound is the same for whoever signs (`licet.vendor`) and whoever reads.
"""

import re
from collections.abc import Callable, Mapping
from datetime import date
from types import MappingProxyType
from typing import Any, Final, TypeVar

from licet.licences.errors import LicenceCode, LicenceRefused, shown
from licet.licences.jws import Jws, decode
from licet.licences.licence import SECOND_MS, SignedLicence, SignedPool
from licet.licences.strict_json import read_object
from licet.licences.syntax import DAY, HASH, ID, ID_IS, NAME, NAME_IS, TEXT, TEXT_IS, WORD, WORD_IS

POOLS_MAX: Final = 64
SEATS_MAX: Final = 1_000_000  # as of a pool of Licet
SCOPES_MAX: Final = 32
FEATURES_MAX: Final = 64
MUST_MAX: Final = 64
SERIAL_MAX: Final = 2**31 - 1
SECONDS_MAX: Final = 253_370_764_799  # the last second that Licet can write, in the year 9998
GRACE_S_MAX: Final = 90 * 86_400
HOLD_S_MIN, HOLD_S_MAX = 1, 86_400  # with 0 nothing would be counted
ACCESS_TTL_S_MIN, ACCESS_TTL_S_MAX = 60, 86_400
COUNTED_FOR: Final = frozenset({"client", "user"})

KNOWN: Final = frozenset(
    {
        "iss",
        "product",
        "tenant",
        "licence",
        "serial",
        "iat",
        "nbf",
        "exp",
        "grace",
        "installation",
        "customer",
        "updates_until",
        "features",
        "must",
        "pools",
    }
)
POOL_MEMBERS: Final = frozenset({"seats", "scopes", "overdraft", "hold", "access_ttl_max", "duplicates"})

Read = TypeVar("Read")


def read_claims(jws: Jws, text: str) -> SignedLicence:
    """What a licence says; `text` is the licence as it travels.

    Raises LicenceRefused.
    """
    claims = read_object(jws.payload, "the content of the licence")
    _must_be_known(claims)
    issued_s = _number(claims, "iat", 0, SECONDS_MAX)
    begins_s = _number(claims, "nbf", 0, SECONDS_MAX, issued_s)
    expires_s = _number(claims, "exp", 0, SECONDS_MAX) if "exp" in claims else None
    grace_s = _number(claims, "grace", 0, GRACE_S_MAX, 0)
    if expires_s is not None and expires_s <= begins_s:
        raise _apart("exp", "exp is after nbf, or the licence would never count")
    if grace_s and expires_s is None:
        raise _apart("grace", "grace needs exp: a perpetual licence has no end to follow")
    return SignedLicence(
        vendor=_text(claims, "iss"),
        product=_text(claims, "product"),
        tenant=_matching(claims, "tenant", NAME, NAME_IS),
        licence=_matching(claims, "licence", ID, ID_IS),
        serial=_number(claims, "serial", 1, SERIAL_MAX),
        issued_at_ms=issued_s * SECOND_MS,
        begins_at_ms=begins_s * SECOND_MS,
        expires_at_ms=None if expires_s is None else expires_s * SECOND_MS,
        grace_s=grace_s,
        installation=_if_there(claims, "installation", _installation),
        customer=_if_there(claims, "customer", _text),
        updates_until=_if_there(claims, "updates_until", _date),
        features=_words(claims, "features", WORD, WORD_IS, 0, FEATURES_MAX),
        pools=_pools(claims),
        kid=jws.kid,
        text=text,
    )


def _must_be_known(claims: Mapping[str, Any]) -> None:
    """RFC 7515 4.1.11 does the same for headers: `crit` names what is there and has to be understood."""
    for name in _words(claims, "must", WORD, WORD_IS, 0, MUST_MAX):
        if name not in KNOWN:
            problem = f"it may only be read by who knows the claim {shown(name)}, which is not known here"
            raise LicenceRefused(LicenceCode.UNKNOWN_MUST, problem, field=name)
        if name not in claims:
            raise _apart("must", f"must names the claim {name}, which is not there")


def _pools(claims: Mapping[str, Any]) -> Mapping[str, SignedPool]:
    found = _value(claims, "pools")
    if not isinstance(found, dict) or not found:
        raise _wrong("pools", "an object with at least one pool", found)
    if len(found) > POOLS_MAX:
        problem = f"a licence has {POOLS_MAX} pools at most, and this has {len(found)}"
        raise LicenceRefused(LicenceCode.TOO_MANY, problem, field="pools", limit=POOLS_MAX)
    for name in found:
        if not NAME.fullmatch(name):
            raise LicenceRefused(
                LicenceCode.WRONG_VALUE,
                f"a pool's name is {NAME_IS}; this is not: {shown(name)}",
                field="pools",
            )
    return MappingProxyType({name: _pool(f"pools.{name}", content) for name, content in found.items()})


def _pool(path: str, content: object) -> SignedPool:
    if not isinstance(content, dict):
        raise _wrong(path, "an object", content)
    if more := sorted(content.keys() - POOL_MEMBERS):
        problem = f"{path} has {shown(more[0])}, which is not known here"
        field = f"{path}.{more[0]}" if WORD.fullmatch(more[0]) else path
        raise LicenceRefused(LicenceCode.UNKNOWN_POOL_MEMBER, problem, field=field)
    plain = SignedPool(seats=0, scopes=frozenset())
    return SignedPool(
        seats=_number(content, "seats", 0, SEATS_MAX, path=path),
        scopes=frozenset(_words(content, "scopes", WORD, WORD_IS, 1, SCOPES_MAX, path=path)),
        overdraft=_number(content, "overdraft", 0, SEATS_MAX, plain.overdraft, path=path),
        hold_s=_number(content, "hold", HOLD_S_MIN, HOLD_S_MAX, plain.hold_s, path=path),
        access_ttl_max_s=_number(
            content, "access_ttl_max", ACCESS_TTL_S_MIN, ACCESS_TTL_S_MAX, plain.access_ttl_max_s, path=path
        ),
        duplicates=_duplicates(content, path) if "duplicates" in content else plain.duplicates,
    )


def _duplicates(content: Mapping[str, Any], path: str) -> frozenset[str]:
    found = _words(content, "duplicates", WORD, WORD_IS, 1, len(COUNTED_FOR), path=path)
    if not COUNTED_FOR.issuperset(found):
        raise _wrong(f"{path}.duplicates", "a list of client, user or both", list(found))
    return frozenset(found)


def _number(
    of: Mapping[str, Any], name: str, least: int, most: int, default: int | None = None, *, path: str = ""
) -> int:
    if default is not None and name not in of:
        return default
    found, where = _value(of, name, path), _path(path, name)
    if type(found) is not int:  # a bool is an int to Python alone
        raise _wrong(where, f"a whole number from {least} to {most}", found)
    if not least <= found <= most:
        limit = least if found < least else most
        problem = f"{where} is {least} to {most}, and not {found}"
        raise LicenceRefused(LicenceCode.OUT_OF_RANGE, problem, field=where, limit=limit)
    return found


def _words(  # noqa: PLR0917 - a member, what its words are, and how many
    of: Mapping[str, Any],
    name: str,
    pattern: re.Pattern[str],
    allowed: str,
    least: int,
    most: int,
    *,
    path: str = "",
) -> tuple[str, ...]:
    if not least and name not in of:
        return ()
    found, where = _value(of, name, path), _path(path, name)
    if not isinstance(found, list) or not all(isinstance(word, str) for word in found):
        raise _wrong(where, "a list of words", found)
    if not least <= len(found) <= most:
        problem = f"{where} has {least} to {most} words, and not {len(found)}"
        limit = most if len(found) > most else least
        raise LicenceRefused(LicenceCode.OUT_OF_RANGE, problem, field=where, limit=limit)
    for word in found:
        if not pattern.fullmatch(word):
            raise _wrong(where, f"a list of words, each {allowed}", word)
    if len(set(found)) != len(found):
        raise _wrong(where, "a list in which each word stands once", found)
    return tuple(found)


def _text(of: Mapping[str, Any], name: str) -> str:
    return _matching(of, name, TEXT, TEXT_IS)


def _installation(of: Mapping[str, Any], name: str) -> str:
    found = _matching(of, name, HASH, "43 characters of base64url, as the product shows them")
    try:
        decode(found)
    except LicenceRefused:
        raise _wrong(name, "the base64url of 32 bytes", found) from None
    return found


def _date(of: Mapping[str, Any], name: str) -> date:
    found = _matching(of, name, DAY, "a day, like 2027-12-31")
    try:
        return date.fromisoformat(found)
    except ValueError:
        raise _wrong(name, "a day of the calendar, like 2027-12-31", found) from None


def _matching(of: Mapping[str, Any], name: str, pattern: re.Pattern[str], allowed: str) -> str:
    found = _value(of, name)
    if not isinstance(found, str) or not pattern.fullmatch(found):
        raise _wrong(name, allowed, found)
    return found


def _if_there(
    of: Mapping[str, Any], name: str, read: Callable[[Mapping[str, Any], str], Read]
) -> Read | None:
    return read(of, name) if name in of else None


def _value(of: Mapping[str, Any], name: str, path: str = "") -> Any:
    if name not in of:
        where = _path(path, name)
        raise LicenceRefused(LicenceCode.MISSING_CLAIM, f"{where} is missing", field=where)
    return of[name]


def _path(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _wrong(field: str, allowed: str, found: object) -> LicenceRefused:
    problem = f"{field} is {allowed}; this is not: {shown(found)}"
    return LicenceRefused(LicenceCode.WRONG_VALUE, problem, field=field)


def _apart(field: str, why: str) -> LicenceRefused:
    return LicenceRefused(LicenceCode.NOT_TOGETHER, why, field=field)
