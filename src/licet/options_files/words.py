"""Takes the words of a line one by one, and says what is missing, too much or of the wrong kind."""

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from licet.nearest import or_rather
from licet.options_files.lines import Line
from licet.options_files.statements import Said, Statement, Unmatched, Wrong

NUMBER_MAX: Final = 2_147_483_647  # of both formats
_DIGITS_MAX: Final = 10
_SHOWN_CHARS_MAX: Final = 40


class NotWrittenSo(Exception):
    """The words do not fit the option; the text says how."""


class Words:
    """The words of a line behind its first, which are taken one by one."""

    def __init__(self, words: tuple[str, ...]) -> None:
        self.option = words[0].upper()
        self._words = words
        self._at = 1

    def take(self, what: str) -> str:
        """The next word; `what` it has to be is told when there is none."""
        if self._at == len(self._words):
            raise NotWrittenSo(f"{self.option} lacks {what}")
        self._at += 1
        return self._words[self._at - 1]

    def number(self, what: str) -> int:
        """The next word, which has to be a whole number."""
        word = self.take(what)
        if not (word.isascii() and word.isdigit()):
            raise NotWrittenSo(f"{what} is a whole number; this is not: {shown(word)}")
        if len(word) > _DIGITS_MAX or int(word) > NUMBER_MAX:
            raise NotWrittenSo(f"{what} is at most {NUMBER_MAX}; this is more: {shown(word)}")
        return int(word)

    def choice(self, what: str, known: Mapping[str, str]) -> str:
        """The next word, which has to be one of these, in upper or lower case; their values are returned."""
        word = self.take(what)
        if (found := known.get(word.upper())) is None:
            raise NotWrittenSo(f"{what} is {', '.join(known)}; this is not: {shown(word)}")
        return found

    def rest(self, what: str) -> tuple[str, ...]:
        """All words that are left, at least one."""
        first = self.take(what)
        self._at, others = len(self._words), self._words[self._at :]
        return (first, *others)

    def next_is(self, word: str) -> bool:
        """Whether the next word is this one, in upper or lower case."""
        return self.left() and self._words[self._at].lower() == word

    def skip_one(self) -> None:
        """Pass over the next word."""
        self._at += 1

    def skip(self) -> None:
        """Pass over all that is left."""
        self._at = len(self._words)

    def left(self) -> bool:
        """Whether there is another word."""
        return self._at < len(self._words)

    def end(self) -> None:
        """Return if nothing is left."""
        if self.left():
            raise NotWrittenSo(f"{self.option} has a word too many: {shown(self._words[self._at])}")


class Unmatchable(NamedTuple):
    """An option without counterpart: how many words it has at least and at most, and why there is none."""

    least: int
    most: int | None  # None for any number
    why: str

    def read(self, words: Words) -> Statement:
        """Its statement, if it is as long as it has to be."""
        for _ in range(self.least):
            words.take("a word that belongs to it")
        if self.most is None:
            words.skip()
        for _ in range(self.least, self.most or 0):
            if words.left():
                words.skip_one()
        return Unmatched(why=self.why)


def shown(word: str) -> str:
    """A word in a sentence."""
    return repr(word) if len(word) <= _SHOWN_CHARS_MAX else f"{word[:_SHOWN_CHARS_MAX]!r} and more"


Reader = Callable[[Words], Statement]


def said(line: Line, readers: Mapping[str, Reader], format_name: str) -> Said:
    """What a line says, in a format with these options."""
    if line.wrong:
        return Said(line=line, statement=Wrong(why=line.wrong))
    if not line.words:
        return Said(line=line, statement=None)
    words = Words(line.words)
    reader = readers.get(words.option)
    if reader is None:
        hint = or_rather(words.option, readers).removesuffix(".")
        return Said(
            line=line, statement=Wrong(why=f"{format_name} has no option {shown(line.words[0])}{hint}")
        )
    try:
        statement = reader(words)
        words.end()
    except NotWrittenSo as wrong:
        return Said(line=line, statement=Wrong(why=str(wrong)))
    return Said(line=line, statement=statement)
