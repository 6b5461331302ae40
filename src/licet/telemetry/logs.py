"""Writes structured logs: one event a line, as JSON for machines or plain for a terminal.

A log never holds a secret, a token, a header, a body or a query; what a client sends is named only
where it is known to be a name of ours.
"""

import logging
import sys

import structlog

from licet.log import Log

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


# Where a fault was, and not what the variables there held: a secret may be among them.
_tracebacks = structlog.processors.ExceptionRenderer(
    structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
)


def configure_logs(*, level: str, as_json: bool) -> Log:
    """The logger of this process, writing to standard error.

    What a level leaves out costs a method call and nothing more.
    """
    logging.basicConfig(stream=sys.stderr, level=logging.ERROR)  # what libraries have to say
    logging.getLogger("uvicorn").setLevel(logging.CRITICAL)  # it would print what the network sent
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
