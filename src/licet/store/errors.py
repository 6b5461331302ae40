"""What a store raises when it is out of reach or contradictory, and why a set-up cannot be changed."""


class SetupError(Exception):
    """The set-up cannot be changed like this; the text is one line that says why and what to do."""


class NotFound(SetupError):
    """There is nothing of this name."""


class AlreadyThere(SetupError):
    """The name is taken."""


class StillInUse(SetupError):
    """Something else stands on it."""


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
