"""Finds the name that was probably meant: of the names that there are, the one that is spelt most alike."""

from collections.abc import Iterable
from difflib import get_close_matches

CHARS_MAX = 100  # of a name that is compared: what is longer is no slip of a finger


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The name that is most alike, whatever the case; None where none is."""
    by_folded = {it.casefold(): it for it in known}
    near = get_close_matches(name[:CHARS_MAX].casefold(), by_folded, n=1)
    return by_folded[near[0]] if near else None


def or_rather(name: str, known: Iterable[str]) -> str:
    """The end of a sentence that says that there is no such name: `; did you mean full?`, or a full stop."""
    near = nearest(name, known)
    return "." if near is None else f"; did you mean {near}?"
