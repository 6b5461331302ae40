"""Runs the public listener under uvicorn, with its bounds by the settings, and logs its connections."""

import socket
from collections.abc import Callable
from typing import Any, cast

import uvicorn

from licet.protocol.errors import Refusal
from licet.server.parts import Parts
from licet.settings.model import Settings
from licet.telemetry.measures import Measures
from licet.web.http.certificate import Certificate
from licet.web.http.connections import Limits, share_of
from licet.web.http.direct import DirectHttpProtocol
from licet.web.http.repeated import RepeatedRequests
from licet.web.http.tls import GuardedServer
from licet.web.log_rate_limit import Kind, LogRateLimit
from licet.web.public import FAULT
from licet.web.request import Answering, Quick

_NO_ROOM = 503  # the answer when there are too many connections


def per_source_max(settings: Settings) -> int:
    """How many connections one source may have."""
    return settings.connections_per_source_max or share_of(settings.connections_max)


def public_config(answering: Answering, parts: Parts, quick: Quick | None = None) -> uvicorn.Config:
    """The configuration of uvicorn for the public application.

    `quick` answers requests that came before, where nothing before the application has to see each of them.
    """
    return uvicorn.Config(
        cast("Any", answering),  # which uvicorn hands to the protocol, whatever it is
        interface="asgi3",
        http=_protocol(parts.settings, parts.measures, parts.refusals, quick),
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=parts.settings.shutdown_grace_s,
    )


def _protocol(
    settings: Settings, measures: Measures, refusals: LogRateLimit, quickly: Quick | None = None
) -> type[DirectHttpProtocol]:
    class HttpProtocol(DirectHttpProtocol):
        repeated = RepeatedRequests()
        quick = quickly
        limits = Limits(
            connections_max=settings.connections_max,
            per_source_max=per_source_max(settings),
            trusted=settings.trusted_proxies,
        )

        @staticmethod
        def report(request_id: str, status: int, description: str, address: str) -> None:
            measures.refused(status)
            error = Refusal.UNAVAILABLE.error if status == _NO_ROOM else Refusal.INVALID_REQUEST.error
            kind = Kind("info", "refused", status, error)
            if refusals.admits(kind):
                refusals.write(
                    kind,
                    request_id=request_id,
                    status=status,
                    error=error,
                    detail=description,
                    address=address,
                )

        @staticmethod
        def report_fault(request_id: str, fault: BaseException) -> None:
            if refusals.admits(FAULT):
                refusals.write(FAULT, request_id=request_id, exc_info=fault)

    return HttpProtocol


class PublicServer(GuardedServer):
    """The server, which says when it listens, and when it begins to stop.

    `is_asked_to_stop`: a signal came before uvicorn looked for one.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        certificate: Certificate | None,
        started: Callable[[], None],
        stopping: Callable[[], None],
        *,
        is_asked_to_stop: Callable[[], bool],
    ) -> None:
        super().__init__(config, certificate)
        self._started = started
        self._stopping = stopping
        self._is_asked_to_stop = is_asked_to_stop

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and call back."""
        await super().startup(sockets)
        self._started()

    async def main_loop(self) -> None:
        """Serve until a signal asks to stop."""
        self.should_exit = self.should_exit or self._is_asked_to_stop()
        await super().main_loop()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop, and call back."""
        self._stopping()
        await super().shutdown(sockets)
