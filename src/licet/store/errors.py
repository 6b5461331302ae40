"""Defines the exceptions of a store: unavailable, wrong schema, inconsistent, or a change is refused."""

from collections.abc import Iterable

from licet.refusal import OTHERS_MAX, Code, Refusal, Subject, names_of


class SetupError(Refusal):
    """A change of the set-up is refused."""


class NotFound(SetupError):
    """Nothing has this name: a value of `field` where that is given, else what the caller asked for."""


class AlreadyThere(SetupError):
    """The name is taken."""


class StillInUse(SetupError):
    """The change is not possible now: something depends on it, or a limit is reached."""


def unknown(
    subject: Subject, there: Iterable[str] | None = None, *, field: str = "", of: str = ""
) -> NotFound:
    """The error to raise when nothing has this kind and name; `there` are the names that exist."""
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
    """The store does not answer, or did not commit; nothing of the transaction is kept."""


class SchemaOutdated(StoreUnavailable):
    """The tables are not those of this version; `licet migrate` updates them."""


class SchemaUnknown(StoreUnavailable):
    """The tables are those of a later version, and only that version may use them."""


class SetupDamaged(StoreUnavailable):
    """A row of the set-up is invalid, because it was changed by hand; `licet check` names it."""


class Collided(StoreUnavailable):
    """Two transactions were in conflict, and the store rolled this one back: it can be tried again."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(text)
        self.name = name


class Outdated(Exception):
    """A batch was decided on what is true no more, and nothing was written: it has to be loaded."""


class Contradiction(AssertionError):
    """The tables refuse what the ledger decided: a bug, and never a seat too many."""
