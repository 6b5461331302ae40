"""What becomes of lines of the log that cannot be written."""

import json
import os
import sys

import pytest

from licet.telemetry.logs import configure_logs


def test_lines_that_cannot_be_written_are_counted_and_told_of_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe that nobody reads is full, as a disk is; the line that it has in part ends before the next."""
    reads, writes = os.pipe()
    os.set_blocking(writes, False)
    os.set_blocking(reads, False)
    with os.fdopen(reads, "rb", buffering=0) as reader, os.fdopen(writes, "w", encoding="utf-8") as stderr:
        monkeypatch.setattr(sys, "stderr", stderr)
        log = configure_logs(level="info", as_json=True)
        for number in range(5000):
            log.info("one of many", number=number)
        written = reader.read(1_000_000)
        assert written is not None
        log.info("one more")
        log.warning("the last")
        after = reader.read(1_000_000)
    whole, cut = written.rsplit(b"\n", 1)
    kept = len(whole.splitlines())
    assert 0 < kept < 5000
    events = [json.loads(line) for line in (after or b"").splitlines() if line]
    assert [it["event"] for it in events] == ["one more", "log_lines_lost", "the last"]
    assert (events[1]["lines"], events[1]["level"]) == (5000 - kept, "warning")
    assert (after or b"").startswith(b"\n") == bool(cut)
