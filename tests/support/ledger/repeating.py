"""Counts the grants, refreshes and denials that are decided again without a book."""

from collections import Counter
from collections.abc import Sequence

import pytest

from licet.ledger.again import Again
from licet.ledger.book import Change
from licet.ledger.denied_again import DeniedAgain
from licet.store.counters import count
from licet.store.postgres import store as postgres
from licet.store.sqlite import store as sqlite


def counted_again(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many sessions each commit from now on grants or renews without a book, where it does so."""
    found: list[int] = []

    def committed(
        counted: Counter[str],
        changes: Sequence[Change],
        again: Sequence[Again] = (),
        denied: Sequence[DeniedAgain] = (),
    ) -> None:
        found.extend([len(again)] if again else [])
        count(counted, changes, again, denied)

    for module in (postgres, sqlite):
        monkeypatch.setattr(module, "count", committed)
    return found


def counted_denied_again(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many grants each commit in PostgreSQL from now on denies without a book, where it does so."""
    found: list[int] = []

    def committed(
        counted: Counter[str],
        changes: Sequence[Change],
        again: Sequence[Again] = (),
        denied: Sequence[DeniedAgain] = (),
    ) -> None:
        found.extend([len(denied)] if denied else [])
        count(counted, changes, again, denied)

    monkeypatch.setattr(postgres, "count", committed)
    return found
