"""A client that runs: it is asked a line and answers a line (README.md)."""

import json
import os
import subprocess
from contextlib import suppress
from pathlib import Path
from threading import Timer
from typing import Any, Self

from interop.manifest import Command

PATIENCE_S = 60.0  # for one answer: a JVM on a busy machine takes its time
_ROOT = Path(__file__).parent.parent  # from where Python's clients import their side of the protocol
_END_S = 10.0  # to end when its input does, with what it started
_SHOWN_CHARS = 2000  # of what a program said when it fails


class ProgramFailed(Exception):
    """The program ended, hung or does not keep to the protocol; the text has what it said."""


class Program:
    """A client in a process of its own, ended with its block."""

    def __init__(self, command: Command, folder: Path, errors: Path) -> None:
        self._errors = errors
        with errors.open("wb") as log:
            self._process = subprocess.Popen(
                command,
                cwd=folder,
                env=os.environ | {"PYTHONPATH": str(_ROOT)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                encoding="utf-8",
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def ask(self, do: str, **members: Any) -> dict[str, Any]:
        """Have it do something; its answer.

        Raises ProgramFailed.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        watch = Timer(PATIENCE_S, self._process.kill)
        watch.start()
        try:
            self._process.stdin.write(f"{json.dumps({'do': do, **members})}\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        finally:
            watch.cancel()
        return self._read(do, line)

    def _read(self, do: str, line: str) -> dict[str, Any]:
        try:
            answer = json.loads(line)
        except ValueError:
            answer = None
        if not isinstance(answer, dict) or not isinstance(answer.get("ok"), bool):
            self._end()
            said = self._errors.read_text(encoding="utf-8", errors="replace")[-_SHOWN_CHARS:]
            raise ProgramFailed(f"{do} was answered {line.strip() or 'by nothing'}\n{said}")
        return answer

    def _end(self) -> None:
        """Let it end, so that it has said all it has to say."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
