"""Checks the token of an open WebSocket again as messages pass, where the guard counts seats.

Else somebody could open it with a seat, hand the seat's number on, and stay. The rules:

- With each message, of either side, the token is checked as that of a request is, but not again within
  `every_s`. So a token that expires ends its WebSocket, and the client opens another with its next token.
- One that is refused is closed with 1008, or with 1013 where the client may try again soon. The message that
  came is not passed on, and to the application the client is gone.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from licet.guard.refusal import Refused

Message = MutableMapping[str, Any]

POLICY_VIOLATION: Final = 1008  # RFC 6455 7.4.1
TRY_AGAIN_LATER: Final = 1013  # of IANA's registry
_UNAVAILABLE: Final = 503


class Watched:
    """What the application gets in place of the server's `receive` and `send`."""

    def __init__(
        self,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
        check: Callable[[], Awaitable[object]],
        *,
        now_s: Callable[[], float],
        every_s: float,
    ) -> None:
        self._receive = receive
        self._send = send
        self._check = check
        self._now_s = now_s
        self._every_s = every_s
        self._until_s = now_s() + every_s  # it was checked when it was opened
        self._closed_with: int | None = None

    async def receive(self) -> Message:
        """What the client sends."""
        if self._closed_with is None:
            message = await self._receive()
            if message["type"] != "websocket.receive" or await self._is_good():
                return message
        return {"type": "websocket.disconnect", "code": self._closed_with or POLICY_VIOLATION}

    async def send(self, message: Message) -> None:
        """What the application sends; nothing after it was closed."""
        if self._closed_with is not None:
            return
        if message["type"] != "websocket.send" or await self._is_good():
            await self._send(message)

    async def _is_good(self) -> bool:
        """Whether it may go on; if not, it is closed."""
        now_s = self._now_s()
        if now_s < self._until_s:
            return self._closed_with is None
        try:
            await self._check()
        except Refused as refused:
            if self._closed_with is None:
                self._closed_with = TRY_AGAIN_LATER if refused.status == _UNAVAILABLE else POLICY_VIOLATION
                await self._send({"type": "websocket.close", "code": self._closed_with})
            return False
        self._until_s = now_s + self._every_s
        return self._closed_with is None
