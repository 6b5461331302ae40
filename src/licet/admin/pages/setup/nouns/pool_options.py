"""Describes the part of a pool's form that has its options, in the words of FlexNet's options file."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from msgspec.structs import replace

from licet.admin.pages.forms import Field, Texts
from licet.admin.pages.setup.rule_texts import read_rules, rules_text
from licet.model import Pool
from licet.setup.nouns import POOL
from licet.setup.options.kinds import Several

SECTION = "Options: who may have a seat, how many, and who is first"
RULES_CHARS_MAX = 16_000  # of a field: a hundred rules with the longest names
_ROWS = 4


class _Words(NamedTuple):
    label: str
    help: str
    usual: str = ""


_WHO = "user:TC, client:App or group:sales, one a line"

# By the names of settings, in the order in which a grant is decided.
_WORDS: Mapping[str, _Words] = MappingProxyType(
    {
        "exclude": _Words("EXCLUDE", f"Who gets no seat, whatever else is set: {_WHO}."),
        "include": _Words(
            "INCLUDE", f"Who may have a seat: {_WHO}. Empty is everybody. Whom RESERVE names is included."
        ),
        "named": _Words(
            "Named users",
            "The only users who get a seat, by initials, one a line: at most as many as seats, and not with"
            " INCLUDE. A name that is taken off counts for 24 hours more, so that names do not rotate.",
        ),
        "max": _Words(
            "MAX",
            "How many seats a user, a client or a whole group has at most: group:sales 2, one a line. It"
            " limits RESERVE, too.",
        ),
        "max_per_user": _Words(
            "MAX for each user",
            "How many seats each user has at most who has no line above; empty is no limit.",
        ),
        "max_per_client": _Words(
            "MAX for each client",
            "How many seats each client has at most that has no line above; empty is no limit. It matters"
            " where nobody shares a seat.",
        ),
        "reserve": _Words(
            "RESERVE",
            "Seats that nobody else gets, also when they are idle: group:sales 2, one a line. Together they"
            " are at most as many as seats.",
        ),
        "queue": _Words(
            "Places in the queue",
            "How many clients may wait in line that ask with queue=true, at most 1,000; 0 is no queue.",
            "0",
        ),
        "queue_hold": _Words(
            "A place is kept for",
            "For a client in line that does not ask again: 5s to 5m.",
            "30s",
        ),
        "priority": _Words(
            "Priority in the queue",
            "Who is first in line, from 9 to -9: group:sales 5, one a line; 0 without one. Of the same"
            " priority, who came first.",
        ),
    }
)


def option_fields(fields: Mapping[str, Field]) -> tuple[Field, ...]:
    """The fields of the options, of those of a pool by name, under their heading."""
    return tuple(_as_option(fields[name], words) for name, words in _WORDS.items())


def option_texts(pool: Pool) -> Texts:
    """What the fields hold that have a rule a line."""
    return {
        setting.name: (rules_text(setting.kind, getattr(pool, setting.field)),)
        for setting in POOL.settings
        if isinstance(setting.kind, Several)
    }


def is_option(field: Field) -> bool:
    """Whether a field of a pool is one of its options."""
    return field.name in _WORDS


def _as_option(field: Field, words: _Words) -> Field:
    found = replace(field, label=words.label, help=words.help, usual=words.usual, section=SECTION)
    kind = next(setting.kind for setting in POOL.settings if setting.name == field.name)
    if not isinstance(kind, Several):
        return found
    return replace(found, read=lambda text: read_rules(kind, text), rows=_ROWS, chars_max=RULES_CHARS_MAX)
