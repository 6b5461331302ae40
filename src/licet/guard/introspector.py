"""Sends introspection requests from an event loop: one at a time for a token, within a bounded time.

Callers that have no event loop share a thread that has one. An event loop has connections of its own, which
are kept for the next question.

An answer is for those who came before its question was sent. Who comes later waits for it, and takes it where
the server says that it may be believed for longer, and where it lets nobody in. Else all who came meanwhile
share the next question: the answer to one from before a request could let in a token that was logged off in
between, and whose seat is another's by now.
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
from licet.guard.introspection import Dead, Introspection, Live, Secret, Unusable
from licet.guard.token_shape import looks_like_ours

BODY_BYTES_MAX = 65_536
KEPT_S = 4.0  # Licet closes a connection that rests for 5 s
GRACE_S = 0.5  # a guess: how long a thread may wait for its turn, beside the time of the question itself
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})

Result = TypeVar("Result")
Found = Live | Dead | Unusable


class Answering(Protocol):
    """What tells of a token whether it lives, for threads and for tasks."""

    def ask(self, token: Secret) -> Found:
        """What is known of a token; for threads."""

    async def aask(self, token: Secret) -> Found:
        """The same, for tasks."""

    def close(self) -> None:
        """Close what threads have used."""

    async def aclose(self) -> None:
        """Close what belongs to this event loop."""


class Asking(NamedTuple):
    """How it is asked, and what is remembered of the answers."""

    introspection: Introspection
    timeout_s: float
    cache: Cache
    known: Known
    now_s: Callable[[], float]


class Question:
    """A question about one token, and its answer for all who wait for it; until it is sent more may join."""

    task: asyncio.Task[Found]

    def __init__(self, token: Secret, before: "Question | None") -> None:
        self.token = token
        self.before = before
        self.is_sent = False


_NOT_OURS = Dead("it does not look like an access token of Licet")
_TOO_MANY = Unusable("is not asked: too many wait whose tokens were never live")


class Desk:
    """Where one event loop asks."""

    def __init__(self, how: Asking, verify: ssl.SSLContext) -> None:
        self._how = how
        self._asked: dict[bytes, Question] = {}  # the last one about each token, by the header
        self._admission = Admission()
        self.http = httpx.AsyncClient(
            verify=verify,
            trust_env=urlsplit(how.introspection.url).hostname not in LOOPBACK,
            timeout=None,  # noqa: S113 - the whole question is bounded; each step by itself costs a tenth more
            limits=httpx.Limits(max_connections=UNDER_WAY_MAX, keepalive_expiry=KEPT_S),
        )

    async def ask(self, token: Secret) -> Found:
        """What is said of a token; it is remembered as well."""
        header = header_of(token)
        # The answer may have come while the caller was on its way here.
        if (kept := self._how.cache.recall(header, self._how.now_s())) is not None:
            return kept
        question = self._asked.get(header)
        if question is None or question.is_sent:
            if self._admission.is_closed_to_strangers and not self._is_known(token):
                return _TOO_MANY  # there may be very many of them: each costs as little as can be
            question = Question(token, before=question)
            question.task = asyncio.get_running_loop().create_task(self._bounded(question))
            question.task.add_done_callback(lambda _: self._forget(header, question))
            self._asked[header] = question
        return await asyncio.shield(question.task)  # one caller that gives up takes nobody along

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
        except (httpx.HTTPError, OSError, ValueError) as fault:
            return Unusable(f"does not answer: {type(fault).__name__}")

    async def _answer_before(self, question: Question) -> Found | None:
        """The answer to the question that was on its way, where it is good for those who came after it."""
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
                found = await self._send(token)  # a connection that was kept may be closing
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


class Desks:
    """A desk for each event loop, and one for all who have none."""

    def __init__(self, how: Asking, verify: ssl.SSLContext | None) -> None:
        self._how = how
        self._verify = verify
        self._desks: dict[asyncio.AbstractEventLoop, Desk] = {}
        self._background = Background()

    async def aask(self, token: Secret) -> Found:
        """What is said of a token."""
        return await self._here().ask(token) if looks_like_ours(token.reveal()) else _NOT_OURS

    def ask(self, token: Secret) -> Found:
        """The same, where there is no event loop."""
        if not looks_like_ours(token.reveal()):
            return _NOT_OURS
        try:
            return self._background.run(self.aask(token), self._how.timeout_s)
        except TimeoutError:
            return Unusable("cannot be asked in time; do threads run in this process?")

    async def aclose(self) -> None:
        """Close what this event loop has open."""
        desk = self._desks.pop(asyncio.get_running_loop(), None)
        if desk is not None:
            await desk.http.aclose()

    def close(self) -> None:
        """Close what the thread has open, and end it."""
        self._background.close(self.aclose())

    def _here(self) -> Desk:
        loop = asyncio.get_running_loop()
        desk = self._desks.get(loop)
        if desk is None:
            if self._verify is None:
                self._verify = httpx.create_ssl_context()
            # Other threads add and remove loops meanwhile.
            for closed in [loop for loop in list(self._desks) if loop.is_closed()]:
                self._desks.pop(closed, None)
            desk = self._desks[loop] = Desk(self._how, self._verify)
        return desk


class Background:
    """A thread with an event loop; it begins with the first question, and again in a child after a fork."""

    def __init__(self) -> None:
        self._locks: dict[int, threading.Lock] = {}  # by the process: after a fork the old one may be held
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._process = 0

    def run(self, asking: Coroutine[Any, Any, Result], timeout_s: float) -> Result:
        """The result of what bounds itself to this time.

        Raises TimeoutError when the thread does not come to it, as in a server that runs no threads.
        """
        return asyncio.run_coroutine_threadsafe(asking, self._started()).result(timeout_s + GRACE_S)

    async def arun(self, asking: Coroutine[Any, Any, Result]) -> Result:
        """The same, for tasks of another event loop."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(asking, self._started()))

    def close(self, closing: Coroutine[Any, Any, None]) -> None:
        """Do this at last, and end the thread, if there is one."""
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
        with self._locks.setdefault(process, threading.Lock()):  # one for all, whoever comes first
            if self._process != process:
                self._loop, self._process = None, process
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=self._loop.run_forever, name="licet-guard", daemon=True
                )
                self._thread.start()
            return self._loop
