"""Defines the data types of the options of pools: whom a rule is for, with how many seats, at which level.

    Shares().of_texts(["2:group:sales"]) == (Share(who="group:sales", seats=2),)
    Shares().fact(...) == ["2:group:sales"]

The rules:

- Rules are in the order of their names, whatever order they are given in: two set-ups that mean the same are
  the same.
- A fact of a rule is the text that the command line takes, `2:group:sales`. The set-up file and the admin API
  have a table for it, `{for = "group:sales", seats = 2}`: `table` and `taken`.
- A kind reads what one value allows. That names exist, and do not contradict each other, is checked when the
  set-up changes: `licet.setup.options.contradictions`.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import tzinfo
from typing import Any, ClassVar, TypeVar

from licet.model import InvalidValue, Value, out_of_range
from licet.options import LEVEL_MAX, POOLS_MAX, SEATS_MAX, Priority, Share, check_who
from licet.refusal import Code
from licet.setup.kinds import Fact, Kind, Whole

Rule = TypeVar("Rule", bound=Value)
_NUMBER_CHARS_MAX = 18  # of a number in a text: one that has more is out of bounds with these, too


class Bound(Whole, frozen=True):
    """A whole number that is the most there may be; None is no limit. The model checks one from a file."""

    hint = "2, or none"
    nothing = "none"

    def read(self, text: str, zone: tzinfo) -> int | None:  # type: ignore[override]  # it has a value more
        """The number; empty is no limit."""
        return None if text.strip() in {"", self.nothing} else super().read(text, zone)


class Several(Kind, frozen=True):
    """Several texts; an empty list is none."""

    types: ClassVar[tuple[type, ...]] = (list,)
    written: ClassVar[str] = "a list of texts"
    is_of_rules = True

    def fact(self, value: Iterable[Any]) -> list[str] | None:
        """Each as a text, in order."""
        return list(value)

    def words(self, fact: Fact) -> str:
        """All of them, as one word."""
        return "+".join(fact if isinstance(fact, list) else ()) or self.nothing

    def shown(self, value: Iterable[Any]) -> Any:
        """In order."""
        return tuple(value)

    def taken(self, value: Iterable[Any]) -> Any:
        """The value of a list that was sent."""
        return self.of_fact(list(value), None)

    def of_fact(self, fact: list[Any], zone: tzinfo | None) -> Any:  # noqa: ARG002 - as any kind
        """The value of a list of the file."""
        wrong = next((one for one in fact if not isinstance(one, str)), None)
        if wrong is not None:
            raise InvalidValue(f"{self.written} is allowed, not {wrong!r:.40}", code=Code.WRONG_TYPE)
        return self.of_texts(fact)

    def of_texts(self, texts: Sequence[str]) -> Any:
        """The value of texts as a person types them, one for each.

        Raises InvalidValue.
        """
        return tuple(sorted(texts))

    def read(self, text: str, zone: tzinfo) -> Any:  # noqa: ARG002 - as any kind
        """The value of a text with one a line."""
        lines = [line.strip() for line in text.splitlines()]
        return self.of_texts([line for line in lines if line])

    def in_order(self, rules: Iterable[Rule]) -> tuple[Rule, ...]:
        """Rules, in the order of their names."""
        return tuple(sorted(rules, key=lambda rule: rule.who))  # type: ignore[attr-defined]  # all have it


class Whos(Several, frozen=True):
    """Users, clients and groups that a rule is for."""

    written = 'a list of texts like "user:TC"'
    hint = "user:TC, client:App or group:sales"

    def of_texts(self, texts: Sequence[str]) -> tuple[str, ...]:
        """Each is a `user:`, `client:` or `group:`."""
        return tuple(sorted(map(check_who, texts)))


class Listed(Several, frozen=True):
    """The names of some parts of the tenant, without an order."""

    of: str


class InOrder(Several, frozen=True):
    """The names of some parts of the tenant, the first one first; a fact only where there are several."""

    written = 'a list of texts like ["named", "full"]'
    hint = "named,full"
    is_of_rules = False

    of: str

    def fact(self, value: Iterable[str]) -> list[str] | None:
        """All of them; None where one is enough, which has a setting of its own."""
        names = list(value)
        return names if len(names) > 1 else None

    def of_texts(self, texts: Sequence[str]) -> tuple[str, ...]:
        """As they stand."""
        if len(texts) > POOLS_MAX or len(set(texts)) < len(texts):
            text = f"a scope draws on {POOLS_MAX} pools at most, each once; these are not: {', '.join(texts)}"
            raise InvalidValue(text[:200], code=Code.MALFORMED, limit=POOLS_MAX)
        return tuple(texts)

    def read(self, text: str, zone: tzinfo) -> tuple[str, ...]:  # noqa: ARG002 - as any kind
        """Names that are separated by commas, spaces or lines."""
        return self.of_texts(text.replace(",", " ").split())


class _Numbered(Several, frozen=True):
    """Rules with a number: `{for = "group:sales", seats = 2}`, or `2:group:sales` in one text."""

    number: ClassVar[str]
    least: ClassVar[int]
    most: ClassVar[int]
    rule: ClassVar[type[Value]]

    def fact(self, value: Iterable[Any]) -> list[str]:
        """Each as `2:group:sales`."""
        return [f"{getattr(rule, self.number)}:{rule.who}" for rule in value]

    def table(self, text: str) -> dict[str, str | int]:
        """A fact as the set-up file has it."""
        number, _, who = text.partition(":")
        return {"for": who, self.number: int(number)}

    def shown(self, value: Iterable[Any]) -> tuple[dict[str, str | int], ...]:
        """Each as an object of the admin API."""
        return tuple(self.table(text) for text in self.fact(value))

    def of_fact(self, fact: list[Any], zone: tzinfo | None) -> Any:  # noqa: ARG002 - as any kind
        """The rules of tables."""
        return self.in_order([self._of_table(one) for one in fact])

    def of_texts(self, texts: Sequence[str]) -> Any:
        """The rules of texts like `2:group:sales`."""
        return self.in_order([self._of_text(text) for text in texts])

    def _of_table(self, table: Any) -> Value:
        if not isinstance(table, Mapping) or set(table) != {"for", self.number}:
            raise InvalidValue(f"{self.written} is allowed, not {table!r:.60}", code=Code.WRONG_TYPE)
        who, number = table["for"], table[self.number]
        if not isinstance(who, str) or not isinstance(number, int) or isinstance(number, bool):
            raise InvalidValue(f"{self.written} is allowed, not {table!r:.60}", code=Code.WRONG_TYPE)
        return self._made(who, number)

    def _of_text(self, text: str) -> Value:
        number, _, who = text.partition(":")
        digits = number.strip().removeprefix("-")
        if not (digits.isascii() and digits.isdecimal()):
            allowed = f"{self.number}, a colon and for whom is allowed, like {self.hint}"
            raise InvalidValue(f"{allowed}; not {text[:60]!r}", code=Code.MALFORMED)
        return self._made(who.strip(), int(number[:_NUMBER_CHARS_MAX]))

    def _made(self, who: str, number: int) -> Value:
        if not self.least <= number <= self.most:
            text = f"{self.number} for {check_who(who)}: {self.least:,} to {self.most:,}, and not {number:,}"
            raise out_of_range(text, "", number, self.least, self.most)
        return self.rule(who=check_who(who), **{self.number: number})


class Shares(_Numbered, frozen=True):
    """Numbers of seats, each for somebody."""

    written = 'a list of tables like {for = "group:sales", seats = 2}'
    hint = "2:group:sales"
    number = "seats"
    least = 1
    most = SEATS_MAX
    rule = Share


class Levels(_Numbered, frozen=True):
    """Levels in the queue, each for somebody."""

    written = 'a list of tables like {for = "group:sales", level = 5}'
    hint = "5:group:sales"
    number = "level"
    least = -LEVEL_MAX
    most = LEVEL_MAX
    rule = Priority
