"""Defines what the lines of an options file say, whichever format they are written in.

Both formats are read into these statements (`flexnet.py`, `rlm.py`), and `translation.py` knows no format: so
one rule has one meaning. A feature or product of which only some licences are meant has its qualifier in its
name, `compile:VERSION=2.0`. A `feature` of None is every one.
"""

from enum import StrEnum

from licet.model import Value
from licet.options_files.lines import Line


class Option(StrEnum):
    """A rule of a pool, by its key in the set-up file."""

    EXCLUDE = "exclude"
    INCLUDE = "include"
    RESERVE = "reserve"
    MAX = "max"
    PRIORITY = "priority"


class Amount(StrEnum):
    """A number of a pool, or of all, by its key in the set-up file."""

    TIMEOUT = "session_ttl"
    LINGER = "hold"
    OVERDRAFT = "overdraft"


class Who(StrEnum):
    """Whom a rule is for."""

    USER = "user"
    GROUP = "group"
    EACH_USER = "each user"  # ALL_USERS
    EACH_GROUP = "each group"  # ALL_GROUPS


class Rule(Value, frozen=True, kw_only=True):
    """A rule for somebody; `count` is of seats, or the number of a priority."""

    option: Option
    feature: str | None
    who: Who
    name: str = ""
    count: int = 0


class Number(Value, frozen=True, kw_only=True):
    """A number that is set: seconds or seats."""

    what: Amount
    feature: str | None
    amount: int


class Members(Value, frozen=True, kw_only=True):
    """Users of a group; several lines of one group add up."""

    group: str
    users: tuple[str, ...]


class AnyCase(Value, frozen=True, kw_only=True):
    """Whether names in groups are the same in upper and lower case."""

    is_on: bool


class Nothing(Value, frozen=True, kw_only=True):
    """What Licet does anyway."""

    why: str


class Unmatched(Value, frozen=True, kw_only=True):
    """What has no counterpart in Licet, and why. If it `includes`, all may use the feature without it."""

    why: str
    includes: bool = False
    feature: str | None = None


class Wrong(Value, frozen=True, kw_only=True):
    """What is not written as the format demands."""

    why: str


Statement = Rule | Number | Members | AnyCase | Nothing | Unmatched | Wrong


class Said(Value, frozen=True, kw_only=True):
    """A line, and what it says; None for a blank line and a comment."""

    line: Line
    statement: Statement | None


class Reading(Value, frozen=True, kw_only=True):
    """A file that was read. With `any_case`, names are the same in upper and lower case, as RLM has it.

    With `first_counts`, a MAX line for a user counts only before the one for all users, as FlexNet has it.
    """

    format: str
    said: tuple[Said, ...]
    any_case: bool
    first_counts: bool
    lists_meet: bool  # who may use a product is named by INCLUDE and by INCLUDEALL, where there are both

    @property
    def mistakes(self) -> int:
        """How many lines are not written as the format demands."""
        return sum(isinstance(it.statement, Wrong) for it in self.said)
