"""Makes an ASGI application when the first request for it arrives; requests wait until it is made.

The rules:

- It is made once, however many requests wait for it, and nobody who goes away ends that.
- Where it cannot be made, that is logged, and every request is answered 503. A request that comes some time
  after that has it tried again: what is missing may be there by then.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, Final

from licet.log import Log

AGAIN_AFTER_S: Final = 10.0
"""From a failure until a request tries again: a try takes about a second of the processor."""

Application = Callable[[Any, Any, Any], Awaitable[None]]


class Late:
    """The application, whether it is made yet or not. `log` gets a failure as `admin_listener_failed`."""

    def __init__(
        self, make: Callable[[], Awaitable[Application]], log: Log, *, again_after_s: float = AGAIN_AFTER_S
    ) -> None:
        self._again_after_s = again_after_s
        self._make = make
        self._log = log
        self._made: Application | None = None
        self._making: asyncio.Task[None] | None = None
        self._failed_at_s = float("-inf")

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass a request on; make the application before, where it is not made yet."""
        if self._made is None:
            await self.prepare()
        await (self._made or _unavailable)(scope, receive, send)

    async def prepare(self) -> None:
        """Return when the application is made, or cannot be."""
        if self._making is None and self._is_due():
            self._making = asyncio.create_task(self._try())
        if self._making is not None:
            await asyncio.shield(self._making)

    async def settled(self) -> None:
        """Return when it is not being made: what a thread does for it is done to its end."""
        if self._making is not None:
            await asyncio.wait([self._making])

    def _is_due(self) -> bool:
        next_s = self._failed_at_s + self._again_after_s
        return self._made is None and asyncio.get_running_loop().time() >= next_s

    async def _try(self) -> None:
        try:
            self._made = await self._make()
        except Exception as fault:  # noqa: BLE001 - grants go on without it
            self._failed_at_s = asyncio.get_running_loop().time()
            self._log.error("admin_listener_failed", exc_info=fault)
        finally:
            self._making = None


async def _unavailable(scope: Any, receive: Any, send: Any) -> None:
    """Answer 503, as a problem (RFC 9457)."""
    del scope, receive
    problem = {
        "type": "tag:licet,2026:internal-error",
        "title": "Something went wrong here",
        "status": 503,
        "detail": "The dashboard and the admin API cannot be loaded; the log has the cause.",
    }
    headers = [
        (b"content-type", b"application/problem+json"),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
        (b"retry-after", b"%d" % AGAIN_AFTER_S),
    ]
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(problem).encode()})
