"""What a test says of a store that fails, and of one that works again."""

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any

import pytest

from licet.lanes.commit import commit
from licet.ledger.commands import Command
from licet.store.contract import Store
from licet.store.errors import StoreUnavailable

ANSWERED_WITHIN_S = 20.0  # the store takes 2 s; a machine that is busy with other things takes the rest


def answers(store: Store, *commands: Command) -> list[type[Any]]:
    """What sort of answer each command gets."""
    return [type(it) for it in commit(store, commands)]


def works(store: Store, command: Command) -> bool:
    """Whether a command is answered."""
    try:
        return not isinstance(commit(store, [command])[0], Exception)
    except StoreUnavailable:
        return False


@contextmanager
def unavailable(match: str | None = None) -> Iterator[None]:
    """It fails in the one way there is, in time and in one line."""
    start_s = monotonic()
    with pytest.raises(StoreUnavailable, match=match) as raised:
        yield
    assert monotonic() - start_s < ANSWERED_WITHIN_S
    assert "\n" not in str(raised.value)
