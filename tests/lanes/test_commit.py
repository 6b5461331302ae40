"""A batch that falls apart: each of its commands is answered for itself (L9)."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from licet.clock import ManualClock
from licet.lanes.commit import commit
from licet.ledger.commands import Command, Granted
from licet.store.contract import Purpose
from licet.store.errors import StoreUnavailable
from licet.store.sqlite.store import SqliteStore
from licet.store.sqlite.transaction import SqliteTransaction
from support.examples import add_tenant, grant, jim_test


class Leaving(SqliteStore):
    """A store that is out of reach after so many more transactions."""

    transactions_left = 1000

    @contextmanager
    def transaction(self, purpose: Purpose = Purpose.SETUP) -> Iterator[SqliteTransaction]:
        """As the store does, for as long as it is there."""
        self.transactions_left -= 1
        if self.transactions_left < 0:
            raise StoreUnavailable("gone")
        with super().transaction(purpose) as transaction:
            yield transaction


def test_what_was_committed_before_the_store_went_away_is_not_answered_as_failed(tmp_path: Path) -> None:
    """L9: a seat that nobody hears of would be held for twenty minutes."""
    store = Leaving(tmp_path / "licet.db", ManualClock(), create=True)
    with store.transaction() as transaction:
        add_tenant(transaction.connection, jim_test())
    faulty = cast("Command", "no command at all")
    store.transactions_left = 3  # the batch as a whole, then its first command and the faulty one alone
    answers = commit(store, [grant(1, 1), faulty, grant(2, 2), grant(3, 3)])
    store.close()
    assert isinstance(answers[0], Granted)
    assert isinstance(answers[1], AssertionError | AttributeError)
    assert [type(answer) for answer in answers[2:]] == [StoreUnavailable] * 2
