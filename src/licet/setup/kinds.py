"""Defines the data types of settings: allowed values, and their form in the set-up file, API and events.

    Duration(0, HOLD_S_MAX).read("20m", UTC) == 1200
    Duration(0, HOLD_S_MAX).fact(1200) == "20m"

The rules:

- A kind knows no noun, no command and no page: these ask it which values are allowed and how they are
  written.
- A fact is a value as in the set-up file, where None is left out. `read` makes a value from a person's text.
  Dates and times without a zone are in the zone that is given.
"""

import json
from collections.abc import Iterable
from datetime import date, datetime, tzinfo
from enum import StrEnum
from typing import Any, ClassVar

from licet.formats import NEVER, duration, end_ms, instant, moment_of, read_duration_s, read_end_ms
from licet.model import TIME_ZONE, InvalidValue, PublicKey, User, Value, out_of_range, read_alerts, zone_named
from licet.refusal import Code

ALL = "all"  # of what vendors have signed
Fact = str | int | bool | datetime | list[str] | None


class Kind(Value, frozen=True, kw_only=False):
    """The base of all kinds, itself a text. Every method that reads raises InvalidValue."""

    types: ClassVar[tuple[type, ...]] = (str,)  # allowed in the set-up file
    written: ClassVar[str] = "a text"  # the same in words
    hint: ClassVar[str] = ""  # how a person writes one, after the word "like"
    nothing: ClassVar[str] = "none"  # the word for None
    is_of_rules: ClassVar[bool] = False  # a list of which a plan shows each member that comes or goes

    @property
    def allowed(self) -> str:
        """What is allowed, for a mistake about a value of another type."""
        return self.written

    def fact(self, value: Any) -> Fact:
        """A value as in the set-up file."""
        fact: Fact = value
        return fact

    def words(self, fact: Fact) -> str:
        """A fact as in an event."""
        return self.nothing if fact is None else str(fact) or "none"

    def shown(self, value: Any) -> Any:
        """A value as in the admin API's answers."""
        return value

    def taken(self, value: Any) -> Any:
        """The value of what was sent to the admin API."""
        return value

    def of_fact(self, fact: Any, zone: tzinfo) -> Any:  # noqa: ARG002 - only an instant needs it
        """The value of a fact of the set-up file."""
        return fact

    def read(self, text: str, zone: tzinfo) -> Any:
        """The value of a text."""
        return self.of_fact(text, zone)


class Line(Kind, frozen=True):
    """A text of one line."""

    chars_max: int

    def read(self, text: str, zone: tzinfo) -> str:  # noqa: ARG002 - as any kind
        """The text."""
        if not 0 < len(text) <= self.chars_max or not text.isprintable():
            allowed = f"1 to {self.chars_max} characters without control characters"
            raise InvalidValue(allowed, code=Code.MALFORMED, limit=self.chars_max)
        return text


class OptionalLine(Line, frozen=True):
    """A text of one line, or none."""

    def read(self, text: str, zone: tzinfo) -> str | None:  # type: ignore[override]  # it has a value more
        """The text; empty is none."""
        return super().read(text, zone) if text else None


class Whole(Kind, frozen=True):
    """A whole number."""

    types: ClassVar[tuple[type, ...]] = (int,)
    written = "a whole number"

    least: int
    most: int

    def read(self, text: str, zone: tzinfo) -> int:  # noqa: ARG002 - as any kind
        """The number."""
        digits = text.strip().replace(",", "").replace("\N{NARROW NO-BREAK SPACE}", "")
        allowed = f"a whole number from {self.least:,} to {self.most:,}"
        if not (digits.isascii() and digits.isdecimal() and len(digits) < len(str(self.most)) + 4):
            raise InvalidValue(allowed, code=Code.WRONG_TYPE)
        if not self.least <= int(digits) <= self.most:
            text = f"{allowed}, and not {int(digits):,}"
            raise out_of_range(text, "", int(digits), self.least, self.most)
        return int(digits)


class Limit(Whole, frozen=True):
    """A whole number that is the most there may be; None is all that vendors have signed."""

    types = (int, str)
    written = 'a whole number or "all"'
    hint = "5, or all"
    nothing = ALL

    def of_fact(self, fact: int | str, zone: tzinfo) -> int | None:  # noqa: ARG002 - as any kind
        """The number. The model checks the bounds of one from a file."""
        if isinstance(fact, str) and fact != ALL:
            raise InvalidValue(f"{self.written} is allowed, not {fact[:40]!r}", code=Code.WRONG_TYPE)
        return fact if isinstance(fact, int) else None

    def read(self, text: str, zone: tzinfo) -> int | None:  # type: ignore[override]  # it has a value more
        """The number; empty is all."""
        if text.strip() in {"", ALL}:
            return None
        try:
            return super().read(text, zone)
        except InvalidValue as fault:
            text = f"a whole number from {self.least:,} to {self.most:,}, or {ALL}"
            raise InvalidValue(text, code=fault.code, limit=fault.limit) from None


class Number(Kind, frozen=True):
    """One of a few numbers."""

    types = (int,)
    written = "a whole number"

    of: tuple[int, ...]

    def read(self, text: str, zone: tzinfo) -> int:  # noqa: ARG002 - as any kind
        """The number."""
        if text not in map(str, self.of):
            allowed = f"allowed: {', '.join(map(str, self.of))}; not {text[:40]!r}"
            raise InvalidValue(allowed, code=Code.UNKNOWN_CHOICE)
        return int(text)


class Duration(Kind, frozen=True):
    """A duration in whole seconds. The model checks the bounds of one from a file."""

    types = (int, str)
    written = 'a duration like "20m"'
    hint = "20m"

    least_s: int
    most_s: int

    def fact(self, value: int) -> str:
        """In its largest whole unit."""
        return duration(value)

    def of_fact(self, fact: int | str, zone: tzinfo) -> int:  # noqa: ARG002 - as any kind
        """Its seconds."""
        return fact if isinstance(fact, int) else read_duration_s(fact)

    def read(self, text: str, zone: tzinfo) -> int:
        """Its seconds."""
        seconds = self.of_fact(text, zone)
        if not self.least_s <= seconds <= self.most_s:
            text = f"{duration(self.least_s)} to {duration(self.most_s)}, and not {duration(seconds)}"
            raise out_of_range(text, "", seconds, self.least_s, self.most_s)
        return seconds


class ShortDuration(Duration, frozen=True):
    """A duration of seconds or a few minutes."""

    hint = "30s"


class End(Kind, frozen=True):
    """When something ends, in milliseconds; None is never."""

    types = (date, str)
    written = "a date, a datetime or 'never'"
    hint = "2027-01-31 (to the end of that day), or never"
    nothing = NEVER

    def fact(self, value: int | None) -> datetime | None:
        """The moment."""
        return None if value is None else moment_of(value)

    def words(self, fact: Fact) -> str:
        """In ISO 8601."""
        return instant(round(fact.timestamp() * 1000)) if isinstance(fact, datetime) else self.nothing

    def shown(self, value: int | None) -> str | None:
        """In ISO 8601."""
        return None if value is None else instant(value)

    def of_fact(self, fact: date | str, zone: tzinfo) -> int | None:
        """The instant."""
        return end_ms(fact, zone) if isinstance(fact, date) else read_end_ms(fact or NEVER, zone)


class Flag(Kind, frozen=True):
    """Yes or no."""

    types = (bool,)
    written = "true or false"

    def words(self, fact: Fact) -> str:
        """Yes or no."""
        return "yes" if fact else "no"


class Choice(Kind, frozen=True):
    """One of an enumeration."""

    of: type[StrEnum]

    @property
    def allowed(self) -> str:
        """All members."""
        return ", ".join(self.of)

    def fact(self, value: StrEnum) -> str:
        """Its text."""
        return value.value

    def of_fact(self, fact: str, zone: tzinfo) -> StrEnum:  # noqa: ARG002 - as any kind
        """The member."""
        try:
            return self.of(fact)
        except ValueError:
            allowed = f"allowed: {self.allowed}; not {fact[:40]!r}"
            raise InvalidValue(allowed, code=Code.UNKNOWN_CHOICE) from None


class Choices(Kind, frozen=True):
    """One or more of an enumeration."""

    types = (list,)
    written = "a list of texts"

    of: type[StrEnum]

    def fact(self, value: Iterable[StrEnum]) -> list[str]:
        """Their texts, in order."""
        return sorted(member.value for member in value)

    def words(self, fact: Fact) -> str:
        """All of them, as one word."""
        return _joined(fact)

    def shown(self, value: Iterable[StrEnum]) -> tuple[StrEnum, ...]:
        """In order."""
        return tuple(sorted(value))

    def taken(self, value: Iterable[StrEnum]) -> frozenset[StrEnum]:
        """The members."""
        return frozenset(value)

    def of_fact(self, fact: list[Any], zone: tzinfo) -> frozenset[StrEnum]:  # noqa: ARG002 - as any kind
        """The members."""
        names = _texts(fact)
        if not names or not names.issubset(set(self.of)):
            allowed = f"allowed: one or more of {', '.join(self.of)}; not {sorted(names)!r:.60}"
            raise InvalidValue(allowed, code=Code.UNKNOWN_CHOICE)
        return frozenset(map(self.of, names))


class Names(Kind, frozen=True):
    """The names of some parts of the tenant; None is all of them, also future ones."""

    types = (list,)
    written = "a list of texts"
    nothing = "every"

    of: str

    def fact(self, value: Iterable[str] | None) -> list[str] | None:
        """The names, in order."""
        return None if value is None else sorted(value)

    def words(self, fact: Fact) -> str:
        """All of them, as one word."""
        return self.nothing if fact is None else _joined(fact)

    def shown(self, value: Iterable[str] | None) -> tuple[str, ...] | None:
        """In order."""
        return None if value is None else tuple(sorted(value))

    def taken(self, value: Iterable[str] | None) -> frozenset[str] | None:
        """The names."""
        return None if value is None else frozenset(value)

    def of_fact(self, fact: list[Any], zone: tzinfo) -> frozenset[str]:  # noqa: ARG002 - as any kind
        """The names."""
        return _texts(fact)


class Reference(Kind, frozen=True):
    """One part of the tenant, by its name."""

    of: str

    def fact(self, value: User | str | None) -> str | None:
        """Its name."""
        return value.initials if isinstance(value, User) else value

    def shown(self, value: User | str | None) -> str | None:
        """Its name."""
        return self.fact(value)


class Alerts(Kind, frozen=True):
    """What alerts are raised at."""

    written = 'a text like "80 90 100 denied expires"'
    hint = "'80 90 100 denied expires', or none"

    def fact(self, value: tuple[str, ...]) -> str:
        """All of them in one text."""
        return " ".join(value)

    def taken(self, value: Iterable[str]) -> tuple[str, ...]:
        """All of them, in order."""
        return read_alerts(" ".join(value))

    def of_fact(self, fact: str, zone: tzinfo) -> tuple[str, ...]:  # noqa: ARG002 - as any kind
        """All of them, in order."""
        return read_alerts(fact)


class TimeZone(Kind, frozen=True):
    """A name of the IANA database."""

    def of_fact(self, fact: str, zone: tzinfo) -> str:  # noqa: ARG002 - as any kind
        """The name; none is UTC."""
        zone_named(fact or TIME_ZONE)
        return fact or TIME_ZONE


class Keys(Kind, frozen=True):
    """Public keys."""

    types = (list,)
    written = 'a list of JWKs like {kty = "EC", ...}'

    def fact(self, value: Iterable[PublicKey]) -> list[str]:
        """Each as the text of a JWK."""
        return [_jwk(key) for key in sorted(value, key=lambda key: key.kid or key.thumbprint)]

    def words(self, fact: Fact) -> str:
        """Their names, and until when each works."""
        return "+".join(map(_name_and_end, fact if isinstance(fact, list) else ())) or "none"


def _texts(found: list[Any]) -> frozenset[str]:
    if not all(isinstance(text, str) for text in found):
        raise InvalidValue(f"a list of texts is allowed, not {found!r:.40}", code=Code.WRONG_TYPE)
    return frozenset(found)


def _joined(fact: Fact) -> str:
    return "+".join(fact if isinstance(fact, list) else ()) or "none"


def _jwk(key: PublicKey) -> str:
    """A public key as a JWK with its `kid`, or its thumbprint as that, and with `expires` where it does."""
    members = json.loads(key.jwk) | {"kid": key.kid or key.thumbprint}
    if key.algorithm is not None:
        members["alg"] = key.algorithm
    if key.expires_at_ms is not None:
        members["expires"] = instant(key.expires_at_ms)
    return json.dumps(members, sort_keys=True)


def _name_and_end(jwk: str) -> str:
    members: dict[str, str] = json.loads(jwk)
    return members["kid"] + (f" until {members['expires']}" if "expires" in members else "")
