"""Writes and reads the options of a pool as texts with a rule a line: `group:sales 2`.

The number stands behind whom it is for; `2:group:sales`, as on the command line, is read as well. A line that
cannot be read is refused with its number.
"""

import re
from collections.abc import Iterable

from licet.model import InvalidValue
from licet.refusal import Code
from licet.setup.options.kinds import Levels, Several, Shares

_WHO_FIRST = re.compile(r"((?:user|client|group):.*\S)\s+\+?(-?[0-9]+)")
_NUMBER_FIRST = re.compile(r"-?[0-9]+:")
_LINE_END = re.compile(r"\r\n|\r|\n")  # and no other: a client_id may have U+2028


def rules_text(kind: Several, value: Iterable[object]) -> str:
    """Rules as a text, one a line."""
    facts = kind.fact(value) or []
    if not isinstance(kind, Shares | Levels):
        return "\n".join(facts)
    pairs = (fact.partition(":") for fact in facts)
    return "\n".join(f"{who} {number}" for number, _, who in pairs)


def read_rules(kind: Several, text: str) -> tuple[object, ...]:
    """The rules of such a text.

    Raises InvalidValue.
    """
    lines = lines_of(text)
    facts = []
    for number, line in enumerate(lines, 1):
        try:
            facts.append(_as_fact(kind, line))
            kind.of_texts(facts[-1:])
        except InvalidValue as wrong:
            where = f"line {number}: " if len(lines) > 1 else ""
            raise InvalidValue(f"{where}{wrong}", code=wrong.code, limit=wrong.limit) from None
    rules: tuple[object, ...] = kind.of_texts(facts)
    return rules


def lines_of(text: str) -> list[str]:
    """The lines of a text that are not empty, each once."""
    lines = (line.strip() for line in _LINE_END.split(text))
    return list(dict.fromkeys(line for line in lines if line))


def _as_fact(kind: Several, line: str) -> str:
    """A line as the command line takes it.

    Raises InvalidValue.
    """
    if not isinstance(kind, Shares | Levels):
        return line
    if (found := _WHO_FIRST.fullmatch(line)) is not None:
        return f"{found[2]}:{found[1]}"
    if _NUMBER_FIRST.match(line) is None:
        text = f"for whom and a number is allowed, like group:sales 2; not {line[:60]!r}"
        raise InvalidValue(text, code=Code.MALFORMED)
    return line
