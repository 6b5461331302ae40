"""Defines the rows and cells of a set-up table, and formats counts, states and expiry dates for them."""

from collections.abc import Sequence
from typing import NamedTuple

from licet.formats import NEVER


class Cell(NamedTuple):
    """One cell of a list. `state` is `ok`, `warn` or `off`, which the text says as well.

    `whole` is what a file has in its place, where the text is shortened or made for people.
    """

    text: str
    state: str = ""
    is_number: bool = False
    at_ms: int | None = None
    form: str = "day"  # how the instant is shown; `last` is the last day before an expiry
    whole: int | str | None = None


class Row(NamedTuple):
    """One row of a list, and the link to its page; `label` is shown instead of its name."""

    name: str
    href: str
    cells: Sequence[Cell]
    label: str = ""


def number(count: int) -> Cell:
    """A count."""
    return Cell(f"{count:,}", is_number=True, whole=count)


def state_of(*, is_on: bool, off: str = "") -> Cell:
    """Whether something is enabled; `off` is why it does not work although it is."""
    if not is_on:
        return Cell("disabled", state="warn")
    return Cell(off, state="warn") if off else Cell("enabled", state="ok")


def expiry(expires_at_ms: int | None, now_ms: int) -> Cell:
    """When something expires, and whether it has."""
    if expires_at_ms is None:
        return Cell(NEVER, state="off")
    state = "warn" if expires_at_ms <= now_ms else ""
    return Cell("expired" if state else "", state, at_ms=expires_at_ms, form="last")


def last_use(at_ms: int | None, form: str = "day") -> Cell:
    """When something was used last, if it was."""
    return Cell("not yet", state="off") if at_ms is None else Cell("", at_ms=at_ms, form=form)


def few(names: Sequence[str]) -> Cell:
    """The first names, and how many more there are; a file has all."""
    text = ", ".join(names[:3]) or "none"
    if len(names) > 3:  # noqa: PLR2004
        text += f" and {len(names) - 3:,} more"
    return Cell(text, state="" if names else "off", whole=", ".join(names))
