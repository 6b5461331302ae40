"""Checks that a store fails as it should, and that it works again."""

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any

import pytest

from licet.lanes.commit import commit
from licet.ledger.commands import Command
from licet.store.contract import Store
from licet.store.errors import StoreUnavailable

ANSWERED_WITHIN_S = 20.0  # the store takes 2 s; a busy machine may take the rest


def answers(store: Store, *commands: Command) -> list[type[Any]]:
    """The type of the answer to each command."""
    return [type(it) for it in commit(store, commands)]


def works(store: Store, command: Command) -> bool:
    """Whether the store answers a command."""
    try:
        return not isinstance(commit(store, [command])[0], Exception)
    except StoreUnavailable:
        return False


@contextmanager
def unavailable(match: str | None = None) -> Iterator[None]:
    """Check that the block raises StoreUnavailable in time, with a message of one line."""
    start_s = monotonic()
    with pytest.raises(StoreUnavailable, match=match) as raised:
        yield
    assert monotonic() - start_s < ANSWERED_WITHIN_S
    assert "\n" not in str(raised.value)
