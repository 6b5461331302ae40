"""Keeps what becomes of each line of an options file: kept, left out, or wrong."""

from collections.abc import Iterable
from enum import StrEnum

from licet.model import Value
from licet.options_files.lines import Line
from licet.options_files.statements import Said


class Fate(StrEnum):
    """What becomes of a line."""

    KEPT = "kept"
    LEFT_OUT = "left out"  # it has no counterpart
    WRONG = "wrong"  # it is not written as it has to be, or contradicts another
    NOTHING = "nothing"  # a blank line or a comment


class Outcome(Value, frozen=True, kw_only=True):
    """A line, what becomes of it, and why, or as what it is kept."""

    line: Line
    fate: Fate
    why: str = ""

    @property
    def option(self) -> str:
        """The first word of the line, as it is written in manuals."""
        return self.line.words[0].upper() if self.line.words else ""


class Fates:
    """What is known so far of the lines of a file. Of several reasons, that a line is wrong is told."""

    def __init__(self, said: Iterable[Said]) -> None:
        self._lines = [it.line for it in said]
        self._bad: dict[int, tuple[Fate, str]] = {}
        self._kept: dict[int, str] = {}

    def wrong(self, number: int, why: str) -> None:
        """The line is wrong."""
        if self._bad.get(number, (Fate.LEFT_OUT, ""))[0] is not Fate.WRONG:
            self._bad[number] = (Fate.WRONG, why)

    def disagree(self, one: int, other: int, what: str) -> None:
        """Both lines are wrong: they say two things of one."""
        self.wrong(one, f"{self.where(other)} says something else of {what}")
        self.wrong(other, f"{self.where(one)} says something else of {what}")

    def may_add_up(self, one: int, other: int, what: str) -> None:
        """Both lines are wrong: they reserve the same twice, or two times as much."""
        for line, beside in ((one, other), (other, one)):
            self.wrong(line, f"{self.where(beside)} reserves for {what} too; write one line, with all seats")

    def left_out(self, number: int, why: str) -> None:
        """The line has no counterpart."""
        self._bad.setdefault(number, (Fate.LEFT_OUT, why))

    def kept(self, number: int, what: str) -> None:
        """The line is kept, as this."""
        self._kept[number] = what

    def also(self, number: int, more: str) -> None:
        """Add something to why a line is not kept."""
        fate, why = self._bad[number]
        self._bad[number] = (fate, f"{why}; {more}")

    def stands(self, number: int) -> bool:
        """Whether nothing has been found against the line yet."""
        return number not in self._bad

    def is_left_out(self, number: int) -> bool:
        """Whether the line has no counterpart."""
        return number in self._bad and self._bad[number][0] is Fate.LEFT_OUT

    def where(self, number: int) -> str:
        """`line 3`."""
        return self._lines[number].where

    def outcomes(self) -> tuple[Outcome, ...]:
        """What becomes of each line, in order."""
        found = []
        for number, line in enumerate(self._lines):
            fate, why = self._bad.get(number, (Fate.KEPT, self._kept.get(number, "")))
            if not line.words and not line.wrong:
                fate = Fate.NOTHING
            found.append(Outcome(line=line, fate=fate, why=why))
        return tuple(found)
