"""Requests to the public application that came by no connection, for tests that call it directly."""

import asyncio

from licet.web.request import Exchange

_FORM = (b"content-type", b"application/x-www-form-urlencoded")


class Whole(Exchange):
    """A request that is here with its body; its client waits for ever."""

    __slots__ = ("_body",)

    def __init__(
        self, path: str, *, method: str = "GET", address: str = "127.0.0.1", form: bytes | None = None
    ) -> None:
        super().__init__(method, path, b"", [] if form is None else [_FORM], address)
        self._body = form or b""

    async def body(self) -> bytes:
        """All of it."""
        return self._body

    async def gone(self) -> None:
        """Never."""
        await asyncio.Event().wait()
