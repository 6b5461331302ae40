"""Sends introspection requests from an event loop: one at a time for a token, within a bounded time.

Callers without an event loop share a thread that has one. Each event loop has connections of its own, which
are kept for the next request.

An answer is valid for callers that came before its request was sent. Later callers wait for it, and use it
only where the server allows to cache it, or where it is a refusal. Otherwise they share the next request: an
answer from before a caller came could admit a token that was logged off since, and whose seat another holder
has now.
"""

import asyncio
import os
import ssl
import threading
from collections.abc import Callable, Coroutine
from contextlib import aclosing
from typing import Any, NamedTuple, Protocol, TypeVar
from urllib.parse import urlsplit

import httpx

from licet.guard.admission import UNDER_WAY_MAX, Admission, Known, TooMany
from licet.guard.cache import Cache, header_of
from licet.guard.fetching import NO_ANSWER
from licet.guard.introspection import Dead, Introspection, Live, Secret, Unusable
from licet.guard.token_shape import looks_like_ours

BODY_BYTES_MAX = 65_536
KEPT_S = 4.0  # Licet closes a connection that rests for 5 s
GRACE_S = 0.5  # a guess: how long a thread may wait for its turn, beside the request's own time
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})

Result = TypeVar("Result")
Found = Live | Dead | Unusable


class Answering(Protocol):
    """Finds out whether a token is live, for threads and for tasks."""

    def ask(self, token: Secret) -> Found:
        """The result for a token; for threads."""

    async def aask(self, token: Secret) -> Found:
        """As `ask`, for tasks."""

    def close(self) -> None:
        """Close what threads have used."""

    async def aclose(self) -> None:
        """Close what belongs to this event loop."""


class IntrospectorConfig(NamedTuple):
    """How to introspect, and where results are cached."""

    introspection: Introspection
    timeout_s: float
    cache: Cache
    known: Known
    now_s: Callable[[], float]


class Question:
    """One introspection request, and its result for all who wait; until it is sent more may join."""

    task: asyncio.Task[Found]

    def __init__(self, token: Secret, before: "Question | None") -> None:
        self.token = token
        self.before = before
        self.is_sent = False


_NOT_OURS = Dead("it does not look like an access token of Licet")
_TOO_MANY = Unusable("is not asked: too many wait whose tokens were never live")


class LoopIntrospector:
    """Introspects from one event loop."""

    def __init__(self, how: IntrospectorConfig, verify: ssl.SSLContext) -> None:
        self._how = how
        self._asked: dict[bytes, Question] = {}  # the last one of each token, by the header
        self._admission = Admission()
        self.http = httpx.AsyncClient(
            verify=verify,
            trust_env=urlsplit(how.introspection.url).hostname not in LOOPBACK,
            timeout=None,  # noqa: S113 - the whole question is bounded; each step by itself costs a tenth more
            limits=httpx.Limits(max_connections=UNDER_WAY_MAX, keepalive_expiry=KEPT_S),
        )

    async def ask(self, token: Secret) -> Found:
        """The result for a token, which is cached as well."""
        header = header_of(token)
        # The answer may have come since the caller looked into the cache.
        if (kept := self._how.cache.recall(header, self._how.now_s())) is not None:
            return kept
        question = self._asked.get(header)
        if question is None or question.is_sent:
            if self._admission.is_closed_to_strangers and not self._is_known(token):
                return _TOO_MANY  # there may be very many: each must cost as little as possible
            question = Question(token, before=question)
            question.task = asyncio.get_running_loop().create_task(self._bounded(question))
            question.task.add_done_callback(lambda _: self._forget(header, question))
            self._asked[header] = question
        return await asyncio.shield(question.task)  # a caller that gives up does not cancel it for others

    def _forget(self, header: bytes, question: Question) -> None:
        if self._asked.get(header) is question:
            del self._asked[header]

    async def _bounded(self, question: Question) -> Found:
        try:
            async with asyncio.timeout(self._how.timeout_s):
                return await self._answer_before(question) or await self._found(question)
        except (TimeoutError, httpx.TimeoutException):
            return Unusable("does not answer in time")
        except TooMany:
            return _TOO_MANY
        except NO_ANSWER as fault:
            return Unusable(f"does not answer: {type(fault).__name__}")

    async def _answer_before(self, question: Question) -> Found | None:
        """The answer to the request that was under way, where later callers may use it."""
        if question.before is None:
            return None
        found = await asyncio.shield(question.before.task)
        question.before = None
        if not isinstance(found, Live):
            return found
        return self._how.cache.recall(header_of(question.token), self._how.now_s())

    async def _found(self, question: Question) -> Found:
        how, token = self._how, question.token
        async with self._admission.place(is_known=self._is_known(token)):
            question.is_sent = True
            asked_s = how.now_s()
            try:
                found = await self._send(token)
            except (httpx.ReadError, httpx.RemoteProtocolError, httpx.WriteError):
                found = await self._send(token)  # an idle connection may have been closed
        how.cache.keep(token, found, asked_s)
        how.known.learn(token, found, asked_s)
        return found

    def _is_known(self, token: Secret) -> bool:
        return self._how.known.has(token, self._how.now_s())

    async def _send(self, token: Secret) -> Found:
        request = self._how.introspection.question(token)
        async with aclosing(await self.http.send(request, stream=True)) as response:
            body = bytearray()
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > BODY_BYTES_MAX:
                    return Unusable("answers more than it may")
        return self._how.introspection.read(response.status_code, response.headers, bytes(body))


class Introspector:
    """Introspects for any caller: from its own event loop, or from a thread that has one."""

    def __init__(self, how: IntrospectorConfig, verify: ssl.SSLContext | None) -> None:
        self._how = how
        self._verify = verify
        self._of_loops: dict[asyncio.AbstractEventLoop, LoopIntrospector] = {}
        self._background = Background()

    async def aask(self, token: Secret) -> Found:
        """The result for a token."""
        return await self._here().ask(token) if looks_like_ours(token.reveal()) else _NOT_OURS

    def ask(self, token: Secret) -> Found:
        """As `aask`, where there is no event loop."""
        if not looks_like_ours(token.reveal()):
            return _NOT_OURS
        try:
            return self._background.run(self.aask(token), self._how.timeout_s)
        except TimeoutError:
            return Unusable("cannot be asked in time; do threads run in this process?")

    async def aclose(self) -> None:
        """Close the connections of this event loop."""
        found = self._of_loops.pop(asyncio.get_running_loop(), None)
        if found is not None:
            await found.http.aclose()

    def close(self) -> None:
        """Close the connections of the thread, and end it."""
        self._background.close(self.aclose())

    def _here(self) -> LoopIntrospector:
        loop = asyncio.get_running_loop()
        found = self._of_loops.get(loop)
        if found is None:
            if self._verify is None:
                self._verify = httpx.create_ssl_context()
            # Other threads add and remove loops meanwhile.
            for closed in [loop for loop in list(self._of_loops) if loop.is_closed()]:
                self._of_loops.pop(closed, None)
            found = self._of_loops[loop] = LoopIntrospector(self._how, self._verify)
        return found


class Background:
    """A thread with an event loop; it starts with the first request, and again in a child after a fork."""

    def __init__(self) -> None:
        self._locks: dict[int, threading.Lock] = {}  # by process id: after a fork the old lock may be held
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._process = 0

    def run(self, asking: Coroutine[Any, Any, Result], timeout_s: float) -> Result:
        """The result of a coroutine that limits itself to this time.

        Raises TimeoutError when the thread does not run it, as in a server that runs no threads.
        """
        return asyncio.run_coroutine_threadsafe(asking, self._started()).result(timeout_s + GRACE_S)

    async def arun(self, asking: Coroutine[Any, Any, Result]) -> Result:
        """As `run`, for tasks of another event loop."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(asking, self._started()))

    def begin(self, asking: Coroutine[Any, Any, None]) -> None:
        """Start a coroutine without waiting for it."""
        asyncio.run_coroutine_threadsafe(asking, self._started())

    def close(self, closing: Coroutine[Any, Any, None]) -> None:
        """Run this last, and end the thread, if there is one."""
        loop, thread = self._loop, self._thread
        if loop is None or thread is None or self._process != os.getpid():
            closing.close()
            return
        asyncio.run_coroutine_threadsafe(closing, loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
        self._loop = self._thread = None

    def _started(self) -> asyncio.AbstractEventLoop:
        process = os.getpid()
        with self._locks.setdefault(process, threading.Lock()):  # the first caller makes it
            if self._process != process:
                self._loop, self._process = None, process
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=self._loop.run_forever, name="licet-guard", daemon=True
                )
                self._thread.start()
            return self._loop
