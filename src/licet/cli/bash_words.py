"""Completes words of Bash that have a colon or an equals sign, such as `--exclude user:TC`.

Bash takes both characters for the end of a word (`COMP_WORDBREAKS`): of `user:T` it says that there are three
words, and replaces the last one. So the words are joined again before they are read, and of what completes
them only what stands behind the last such character is answered, as `__ltrim_colon_completions` of
bash-completion does. Where somebody has taken the characters out of `COMP_WORDBREAKS`, the words come whole,
and nothing is cut.

The script that is installed stays as it is: it passes on what Bash says.
"""

from collections.abc import Sequence
from typing import NamedTuple

from typer._click.shell_completion import add_completion_class
from typer._completion_classes import BashComplete

_BREAKS = frozenset(":=")


class Joined(NamedTuple):
    """The whole words before the cursor, the one at it up to there, and how much of that Bash keeps."""

    before: list[str]
    incomplete: str
    kept: str


def joined(words: Sequence[str], at: int) -> Joined:
    """The words of a line that Bash has split, of which the one with this number is at the cursor."""
    found: list[str] = []
    kept, is_behind_break = "", False
    for number, word in enumerate(words[: at + 1]):
        is_break = word != "" and _BREAKS.issuperset(word)
        if found and (is_break or is_behind_break):
            kept = found[-1] + word if is_break else found[-1]
            found[-1] += word
        else:
            found.append(word)
            kept = ""
        is_behind_break = is_break
        if number == at:
            return Joined(found[:-1], found[-1], _of_value(kept, found[-1]))
    return Joined(found, "", "")


def _of_value(kept: str, word: str) -> str:
    """What is kept of the value behind `--exclude=`: only that is completed."""
    option, equals, _ = word.partition("=")
    return kept[len(option) + 1 :] if equals and word.startswith("-") else kept


class WholeWords(BashComplete):
    """What Typer answers the script for Bash, with whole words."""

    def get_completion_args(self) -> tuple[list[str], str]:
        """The words behind the command up to the cursor, and the one at it."""
        args, incomplete = super().get_completion_args()
        # The words are in the environment, where an empty last one is missing.
        words = [*args, incomplete]
        line = joined(words, len(args)) if incomplete else joined(words[:-1], len(args))
        self._kept = line.kept
        return line.before, line.incomplete

    def format_completion(self, item: object) -> str:
        """What Bash puts in the place of the last of its words."""
        return super().format_completion(item).removeprefix(self._kept)  # type: ignore[arg-type]


def have_whole_words() -> None:
    """Answer the script for Bash with whole words, from now on."""
    add_completion_class(WholeWords, WholeWords.name)
