"""Writes structured logs: one event a line, as JSON for machines or plain for a terminal.

A log never contains a secret, a token, a header, a body or a query; a name that a client sends is logged only
where it is a name that we know.

Writing never raises: no request fails, and no loop ends, because the disk with the log is full or who reads
the log has gone. What is lost is counted, and said when a line can be written again.
"""

import io
import logging
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, TextIO

from licet.log import Log


@contextmanager
def _without(name: str) -> Iterator[None]:
    """Have a module that is not imported yet count as missing, within the block."""
    is_imported = name in sys.modules
    if not is_imported:
        sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if not is_imported:
            del sys.modules[name]


with _without("rich"):  # 5 MB and a tenth of a second, for tracebacks that are never written
    import structlog

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


# Where a fault was, without the values of variables: a secret may be among them.
_tracebacks = structlog.processors.ExceptionRenderer(
    structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
)


def configure_logs(*, level: str, as_json: bool) -> Log:
    """The logger of this process, writing to standard error.

    An event below the level costs one method call.
    """
    logging.basicConfig(stream=sys.stderr, level=logging.ERROR)  # of libraries
    logging.getLogger("uvicorn").setLevel(logging.CRITICAL)  # it would log what clients sent
    renderer: structlog.types.Processor = (
        structlog.processors.JSONRenderer()
        if as_json
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    )
    processors: list[structlog.types.Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        *([_tracebacks] if as_json else []),
        renderer,
    ]
    log: Log = structlog.wrap_logger(
        _Lines(sys.stderr, partial(_of_lost, processors)),
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        cache_logger_on_first_use=True,
    )
    return log


class _Lines:
    """Writes lines to a stream, and never raises; a level is the name of a method."""

    def __init__(self, stream: TextIO, of_lost: Callable[[int], str]) -> None:
        self._write = _unbuffered(stream)
        self._of_lost = of_lost
        self._lock = threading.Lock()
        self._lost = 0
        self._is_cut = False  # a line was written in part

    def msg(self, line: str) -> None:
        """Write a line, or count it as lost."""
        with self._lock:
            if not self._written(line):
                self._lost += 1
            elif self._lost and self._written(self._of_lost(self._lost)):
                self._lost = 0

    debug = info = warning = error = msg

    def _written(self, line: str) -> bool:
        left = f"{chr(10) if self._is_cut else ''}{line}\n".encode(errors="replace")
        while left:
            try:
                count = self._write(left)
            except OSError:
                count = None
            if not count:  # None: a pipe that is full, and that nobody waits for
                return False
            left = left[count:]
            self._is_cut = bool(left)
        return True


def _unbuffered(stream: TextIO) -> Callable[[bytes], int | None]:
    """Writes bytes to a stream at once: a buffer that fails keeps what it has, and fails again."""
    with suppress(OSError, ValueError):  # it is no file: a test reads it
        if not stream.isatty():
            return io.FileIO(stream.fileno(), "w", closefd=False).write

    def write(line: bytes) -> int:
        stream.write(line.decode())
        stream.flush()
        return len(line)

    return write


def _of_lost(processors: Iterable[structlog.types.Processor], lines: int) -> str:
    """The line that says how many were lost."""
    event: Any = {"event": "log_lines_lost", "lines": lines}
    for process in processors:
        event = process(None, "warning", event)
    return str(event)
