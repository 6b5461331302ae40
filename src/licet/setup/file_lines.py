"""Finds the line of a set-up file on which a key stands, for a mistake that two of its lines make together.

    Lines(text).of(("tenant", "T", "pool", "full", "reserve"), "user:TC") == 14

It follows tables, keys and the lines of a list. A key within an inline table is found as the table. What is
in a text of several lines may be taken for keys: then another line is named, and nothing else is wrong.
"""

import re
import tomllib
from collections.abc import Iterator, Sequence
from typing import Any

_TABLE = re.compile(r"\[([^\[\]]+)\](?:\s*#.*)?")
_PART = r"""(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')"""
_KEY = re.compile(rf"({_PART}(?:\s*\.\s*{_PART})*)\s*=")

Path = tuple[str, ...]


class Lines:
    """The lines of a TOML text; the first is 1."""

    def __init__(self, text: str) -> None:
        self._lines = [line.strip() for line in text.split("\n")]
        self._at: dict[Path, int] = {}
        table: Path = ()
        for number, line in enumerate(self._lines, 1):
            if found := _TABLE.fullmatch(line):
                table = _path(found[1])
                self._at.setdefault(table, number)
            elif found := _KEY.match(line):
                self._at.setdefault((*table, *_path(found[1])), number)

    def of(self, path: Sequence[str], word: str = "") -> int | None:
        """The line of a key, or of the nearest table around it; with a word, that of its list that has it."""
        for length in range(len(path), 0, -1):
            if (number := self._at.get(tuple(path[:length]))) is not None:
                return next(self._with(word, number), number) if word and length == len(path) else number
        return None

    def all_of(self, path: Sequence[str], word: str) -> list[int]:
        """The lines of a list that have a word: a line twice that has it twice."""
        number = self._at.get(tuple(path))
        return [] if number is None else list(self._with(word, number))

    def _with(self, word: str, first: int) -> Iterator[int]:
        """The lines with this text between quotes, before the next key."""
        quoted = re.compile(rf"""(["']){re.escape(word)}\1""")
        for number in range(first, len(self._lines) + 1):
            line = self._lines[number - 1]
            if number > first and (_KEY.match(line) or _TABLE.fullmatch(line)):
                break
            yield from (number for _ in quoted.finditer(line))


def _path(dotted: str) -> Path:
    """The names of a dotted key; none where it is none."""
    try:
        content: Any = tomllib.loads(f"{dotted} = 0")
    except tomllib.TOMLDecodeError:
        return ()
    names = []
    while isinstance(content, dict):
        [(name, content)] = content.items()
        names.append(name)
    return tuple(names)
