"""Lets no thread be started, as where the system has none left."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def no_thread_starts() -> Iterator[None]:
    """Refuse each start of a thread during a `with` block."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(threading.Thread, "start", _refuse)
        yield


def _refuse(_: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")
