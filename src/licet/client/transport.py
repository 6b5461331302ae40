"""Sends requests to the token server, from threads or from tasks, by one generator for both.

A flow yields an `Ask` or a `Pause` and gets an `Answer`, or a `NoAnswer` that says why there is none. Each
request has a connection of its own, so that nothing is shared with another event loop or after a fork; there
are few requests. No redirect is followed, no cookie is kept, the size of an answer is bounded, and nothing is
raised: an error of the HTTP library has the secret in its frames.
"""

import asyncio
import ssl
import threading
import time
from collections.abc import Generator
from contextlib import aclosing, closing
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

import httpx

from licet.client.clock import Timing
from licet.client.errors import shown
from licet.client.token_endpoint import Answer

BODY_BYTES_MAX = 65_536  # an answer with two tokens of 16 KiB fits
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})

_NO_KEEPING = httpx.Limits(max_connections=1, max_keepalive_connections=0)


class Ask(NamedTuple):
    """A request to be sent; its answer may take so much longer than usual."""

    request: httpx.Request
    longer_s: float = 0.0


class Pause(NamedTuple):
    """A time to wait."""

    seconds: float


class NoAnswer(NamedTuple):
    """No readable answer came back, and why."""

    why: str


Result = TypeVar("Result")
Flow = Generator[Ask | Pause, Answer | NoAnswer | None, Result]


class Wire:
    """Runs flows."""

    def __init__(self, url: str, *, timeout_s: float, verify: ssl.SSLContext | None, timing: Timing) -> None:
        self.timeout_s = timeout_s
        self._verify = verify
        self._timing = timing
        # A server on this machine is not behind a proxy.
        self._trusts_environment = urlsplit(url).hostname not in LOOPBACK

    def run(self, flow: Flow[Result], closed: threading.Event, timeout_s: float | None = None) -> Result:
        """The result of a flow. `timeout_s` limits all of it; without it the usual one limits each request.

        An exception of the flow is raised.
        """
        end_s = None if timeout_s is None else time.monotonic() + timeout_s
        got: Answer | NoAnswer | None = None
        while True:
            try:
                step = flow.send(got)
            except StopIteration as end:
                result: Result = end.value
                return result
            if isinstance(step, Pause):
                self._timing.pause(step.seconds, closed)
                got = None
            else:
                left_s = self.timeout_s + step.longer_s if end_s is None else end_s - time.monotonic()
                got = self._send(step.request, left_s) if left_s > 0 else NoAnswer("is given no more time")

    async def arun(self, flow: Flow[Result]) -> Result:
        """The same, for tasks."""
        got: Answer | NoAnswer | None = None
        while True:
            try:
                step = flow.send(got)
            except StopIteration as end:
                result: Result = end.value
                return result
            if isinstance(step, Pause):
                await self._timing.apause(step.seconds)
                got = None
            else:
                got = await self._asend(step.request, self.timeout_s + step.longer_s)

    def _send(self, request: httpx.Request, timeout_s: float) -> Answer | NoAnswer:
        end_s = time.monotonic() + timeout_s
        try:
            with httpx.Client(**self._options(timeout_s)) as http:
                with closing(http.send(request, stream=True)) as response:
                    body = bytearray()
                    for chunk in response.iter_raw():
                        body += chunk
                        if len(body) > BODY_BYTES_MAX or time.monotonic() > end_s:
                            return _too_much(body)
                return _answer(response, body)
        except (httpx.HTTPError, OSError, ValueError) as fault:
            return _no_answer(fault)

    async def _asend(self, request: httpx.Request, timeout_s: float) -> Answer | NoAnswer:
        try:
            async with (
                asyncio.timeout(timeout_s),
                httpx.AsyncClient(**self._options(timeout_s)) as http,
            ):
                async with aclosing(await http.send(request, stream=True)) as response:
                    body = bytearray()
                    async for chunk in response.aiter_raw():
                        body += chunk
                        if len(body) > BODY_BYTES_MAX:
                            return _too_much(body)
                return _answer(response, body)
        # A TimeoutError is an OSError; an AttributeError is anyio's, of a connection that broke at once.
        except (httpx.HTTPError, OSError, ValueError, AttributeError) as fault:
            return _no_answer(fault)

    def _options(self, timeout_s: float) -> dict[str, Any]:
        if self._verify is None:
            self._verify = httpx.create_ssl_context()
        return {
            "verify": self._verify,
            "trust_env": self._trusts_environment,
            "timeout": timeout_s,
            "limits": _NO_KEEPING,
        }


def _answer(response: httpx.Response, body: bytearray) -> Answer:
    return Answer(status=response.status_code, headers=response.headers, body=bytes(body))


def _too_much(body: bytearray) -> NoAnswer:
    return NoAnswer("answers too slowly" if len(body) <= BODY_BYTES_MAX else "answers more than it may")


def _no_answer(fault: Exception) -> NoAnswer:
    if isinstance(fault, httpx.TimeoutException | TimeoutError):
        return NoAnswer("does not answer in time")
    # The text of other errors may contain what was sent.
    why = shown(str(fault)) if isinstance(fault, httpx.ConnectError) else ""
    return NoAnswer(f"does not answer: {why or type(fault).__name__}")
