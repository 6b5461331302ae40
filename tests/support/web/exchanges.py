"""Requests without a connection, for tests that call the public application directly."""

import asyncio

from licet.web.request import Exchange

_FORM = (b"content-type", b"application/x-www-form-urlencoded")


class Whole(Exchange):
    """A complete request with its body; its client never disconnects."""

    def __init__(
        self,
        path: str,
        *,
        method: str = "GET",
        address: str = "127.0.0.1",
        form: bytes | None = None,
        authorization: bytes | None = None,
    ) -> None:
        headers = [] if form is None else [_FORM]
        if authorization is not None:
            headers.append((b"authorization", authorization))
        super().__init__(method, (path, b""), headers, dict(headers), address)
        self._body = form or b""

    async def body(self) -> bytes:
        """The whole body."""
        return self._body

    async def gone(self) -> None:
        """Never return: the client does not disconnect."""
        await asyncio.Event().wait()


async def never_newer() -> None:
    """What is known of the set-up is the latest."""
