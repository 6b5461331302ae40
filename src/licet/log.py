"""Defines the interface of a log: an event, and fields that never hold a secret, nor what a client sent."""

from typing import Any, Protocol


class Log(Protocol):
    """A structured log, as `licet.telemetry.logs` makes one."""

    def info(self, event: str, **fields: Any) -> object:
        """Something worth recording happened."""

    def warning(self, event: str, **fields: Any) -> object:
        """An administrator should change something."""

    def error(self, event: str, **fields: Any) -> object:
        """Something failed."""

    def exception(self, event: str, **fields: Any) -> object:
        """A bug showed; the traceback is logged."""
