"""Tests what a server learns from its store before it answers: whether it was restored a moment ago."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from licet.clock import ManualClock
from licet.journal.restores import keep_restore
from licet.store.errors import StoreUnavailable
from licet.store.snapshots import Ask
from licet.store.sqlite.store import SqliteStore
from licet.web import authentication
from support.once.made_once import empty_store
from support.web.authenticating import AuthenticatorHarness


class Busy(SqliteStore):
    """A store that is out of reach for the first readers."""

    refusals = 0

    @contextmanager
    def looking(self) -> Iterator[Ask]:
        """Refuse, or read."""
        if self.refusals:
            self.refusals -= 1
            raise StoreUnavailable("the store is locked")
        with super().looking() as ask:
            yield ask


@pytest.fixture
def harness(monkeypatch: pytest.MonkeyPatch) -> AuthenticatorHarness:
    monkeypatch.setattr(authentication, "RECALL_PAUSE_S", 0.0)
    return AuthenticatorHarness()


@pytest.fixture
def store(tmp_path: Path, harness: AuthenticatorHarness) -> Iterator[Busy]:
    kept = Busy(empty_store(tmp_path / "licet.db"), harness.clock)
    yield kept
    kept.close()


def restored_at(harness: AuthenticatorHarness, store: Busy, refusals: int) -> int:
    """From before when on assertions are refused, after the store was out of reach so often."""
    store.refusals = refusals
    asyncio.run(harness.authenticator.recall(store))
    return harness.authenticator._restored_at_ms


@pytest.mark.parametrize("refusals", range(authentication.RECALLS_MAX))
def test_a_store_that_is_busy_is_asked_again(
    harness: AuthenticatorHarness, store: Busy, refusals: int
) -> None:
    """So clients of a server that was killed need not wait until their assertions are newer."""
    assert restored_at(harness, store, refusals) == 0


def test_a_store_that_does_not_answer_counts_as_restored(harness: AuthenticatorHarness, store: Busy) -> None:
    """It fails closed: an assertion that may have been used before is refused (RFC 7523 3)."""
    assert restored_at(harness, store, authentication.RECALLS_MAX) == harness.clock.now_ms()


def test_a_store_that_was_restored_says_when(harness: AuthenticatorHarness, store: Busy) -> None:
    """Also where it was busy first."""
    keep_restore(store, "a test", "from a copy")
    at_ms = harness.clock.now_ms()
    assert isinstance(harness.clock, ManualClock)
    harness.clock.advance(seconds=5)
    assert restored_at(harness, store, 1) == at_ms
