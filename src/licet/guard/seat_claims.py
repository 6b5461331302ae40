"""Reads the seat claims of a token: its number and holder, which the guard does not trust yet.

    "seat": {"number": 7, "counted_for": "client"}, "iat": 1795824000, "exp": 1795824600

`seat_of` and `who_has` make the two texts that a memory works with; guards in other languages that share its
table have to make the same.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from hashlib import sha256
from typing import Any, NamedTuple

from licet.guard.identity import Identity
from licet.licences.jws import encode


class Seat(NamedTuple):
    """A seat as a token has it, of the right types."""

    number: int
    counted_for: str
    iat: int
    exp: int
    who: str


class Ticket:
    """What was found out about a token: the caller as the handler sees it, and until when that counts.

    `seat` is empty where nobody asked yet whether it may have one. `needed` are the scopes that it was asked
    with, and `needs_seat` is whether those need a seat whatever the method is.
    """

    __slots__ = ("hold_s", "iat", "identity", "needed", "needs_seat", "seat", "until_s", "who")

    def __init__(  # noqa: PLR0917 - as they are declared
        self,
        identity: Identity,
        until_s: float,
        seat: str = "",
        who: str = "",
        iat: int = 0,
        hold_s: int = 0,
        *,
        needed: frozenset[str] | None = None,
        needs_seat: bool = False,
    ) -> None:
        self.identity = identity
        self.until_s = until_s
        self.seat = seat
        self.who = who
        self.iat = iat
        self.hold_s = hold_s
        self.needed = needed
        self.needs_seat = needs_seat


class Slot:
    """Where the ticket of a token lies, as long as the token is remembered."""

    __slots__ = ("ticket",)

    def __init__(self) -> None:
        self.ticket: Ticket | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimant(Identity):
    """A live token's caller before its seat was counted; no handler sees it."""

    claims: Mapping[str, Any] = field(compare=False, repr=False)
    slot: Slot = field(compare=False, repr=False, default_factory=Slot)

    def seat(self) -> Seat | str:
        """The seat that the token says it has, or what is wrong with that."""
        said = self.claims["seat"]
        if not isinstance(said, dict):
            return "it has no seat"
        number, counted_for = said.get("number"), said.get("counted_for")
        iat, exp = self.claims["iat"], self.claims["exp"]
        # A bool is an int to Python alone, and 7.0 is 7 in some languages.
        if type(number) is not int or not isinstance(counted_for, str):
            return "its seat is none: number is a whole number, and counted_for a text"
        if type(iat) is not int or type(exp) is not int:
            return "its iat and exp are no whole seconds"
        who = who_has(counted_for, self.client, self.user)
        if who is None:
            return "it does not say who has its seat"
        return Seat(number, counted_for, iat, exp, who)


_FIELDS = [field.name for field in fields(Identity)]


def claimant(identity: Identity, content: Mapping[str, Any]) -> Claimant:
    """The caller with what its token, or the answer about it, says of the seat."""
    claims = {name: content.get(name) for name in ("seat", "iat", "exp")}
    return Claimant(**{name: getattr(identity, name) for name in _FIELDS}, claims=claims)


def seat_of(product: str, tenant: str, pool: str, number: int) -> str:
    """What a memory calls a seat; no tenant and no pool has a slash in its name."""
    return f"{product}/{tenant}/{pool}/{number}"


def who_has(counted_for: str, client: str | None, user: str | None) -> str | None:
    """Who has a seat: the user, or the client as this user; None where the token does not say it.

    It is a hash, so that a memory keeps no name, and as long for everybody. What is hashed has the length
    before each name, so that no two pairs of names are the same bytes.
    """
    if counted_for == "user":
        names = None if user is None else [user]
    else:
        names = None if client is None else [client] if user is None else [client, user]
    if names is None:
        return None
    hashed = sha256(counted_for.encode(errors="surrogatepass") + b":")
    for name in names:
        content = name.encode(errors="surrogatepass")
        hashed.update(b"%d:%b," % (len(content), content))
    return encode(hashed.digest())
