"""Writes structured logs: one event a line, as JSON for machines or plain for a terminal.

A log never contains a secret, a token, a header, a body or a query; a name that a client sends is logged only
where it is a name that we know.
"""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

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
    log: Log = structlog.wrap_logger(
        structlog.PrintLogger(sys.stderr),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *([_tracebacks] if as_json else []),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        cache_logger_on_first_use=True,
    )
    return log
