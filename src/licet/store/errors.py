"""Defines what a store raises: it is out of reach, contradictory, or a change of the set-up is refused."""

from collections.abc import Iterable

from licet.refusal import OTHERS_MAX, Code, Refusal, Subject, names_of


class SetupError(Refusal):
    """The set-up cannot be changed like this."""


class NotFound(SetupError):
    """There is nothing of this name. It is a value's when there is a `field`, else that of whoever asks."""


class AlreadyThere(SetupError):
    """The name is taken."""


class StillInUse(SetupError):
    """It cannot be as things are: something depends on it, or there are as many as there may be."""


def unknown(
    subject: Subject, there: Iterable[str] | None = None, *, field: str = "", of: str = ""
) -> NotFound:
    """What to raise when there is nothing of this kind and name; `there` are the names that there are."""
    is_part = subject.kind != "tenant" and subject.tenant
    where = f" in tenant {subject.tenant}" if is_part else ""
    text = f"there is no {subject.kind}{f' of {of}' if of else ''} {subject.name}{where}"
    if there is None:
        return NotFound(text, code=Code.NOT_FOUND, field=field, subject=subject)
    names = sorted(there)
    text += f"; there is: {names_of(names)}" if names else "; there is none yet"
    others = tuple(
        Subject(subject.kind, name, subject.tenant if is_part else name, subject.client)
        for name in names[:OTHERS_MAX]
    )
    return NotFound(text, code=Code.NOT_FOUND, field=field, subject=subject, others=others)


class StoreUnavailable(Exception):
    """The store does not answer, or did not keep what it was given; nothing of the transaction holds."""


class SchemaOutdated(StoreUnavailable):
    """The tables are not those of this version; `licet migrate` mends it."""


class SchemaUnknown(StoreUnavailable):
    """The tables are those of a later version, which alone may touch them."""


class SetupDamaged(StoreUnavailable):
    """A row of the set-up was changed by hand into something that cannot be; `licet check` tells which."""


class Collided(StoreUnavailable):
    """Two transactions were in each other's way, and the store took this one back: it may be tried again."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(text)
        self.name = name


class Contradiction(AssertionError):
    """The tables refuse what the ledger decided: a bug, and never a seat too many."""
