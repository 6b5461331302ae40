"""Programs that call an API with `LicetAuth`, with threads or asyncio, on a clock that a test moves."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, Protocol

import httpx

from licet.client import LicetAuth
from licet.client.clock import Timing
from support.web.http_site import PATIENCE_S, Asked, Reply, Site, says

CONTEXT = httpx.create_ssl_context()  # shared: to make one takes longer than a request


class ManualTiming(Timing):
    """A clock that a test moves, and that every pause moves. The jitter is always the longest."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.pauses: list[float] = []
        self.paused: Callable[[], object] = lambda: None

    def now_s(self) -> float:
        """The time in seconds."""
        return self.now

    def advance(self, seconds: float) -> None:
        """Move the clock forward."""
        self.now += seconds

    def pause(self, seconds: float, closed: threading.Event) -> None:  # noqa: ARG002 - not in real time
        """Move the clock forward by the pause."""
        self._pause(seconds)

    async def apause(self, seconds: float) -> None:
        """The same, as a coroutine."""
        self._pause(seconds)

    def jitter_s(self, up_to_s: float) -> float:
        """The longest jitter that is allowed."""
        return up_to_s

    def _pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds
        self.paused()


class Program(Protocol):
    """What both kinds of programs can do."""

    def call(self, auth: LicetAuth, method: str, url: str, **options: Any) -> httpx.Response:
        """Send a request, and return the answer."""

    def log_off(self, auth: LicetAuth) -> bool:
        """Log off."""

    def within(self, auth: LicetAuth, url: str) -> httpx.Response:
        """Send a request in a `with` block of the auth, and return the answer."""


class Threads:
    """A program that blocks while it waits."""

    def call(self, auth: LicetAuth, method: str, url: str, **options: Any) -> httpx.Response:
        """Send a request, and return the answer."""
        follow = options.pop("follow_redirects", False)
        with httpx.Client(auth=auth, timeout=PATIENCE_S, verify=CONTEXT, follow_redirects=follow) as api:
            return api.request(method, url, **options)

    def log_off(self, auth: LicetAuth) -> bool:
        """Log off."""
        return auth.log_off()

    def within(self, auth: LicetAuth, url: str) -> httpx.Response:
        """Send a request in a `with` block of the auth, and return the answer."""
        with auth:
            return self.call(auth, "GET", url)


class Tasks:
    """A program with asyncio; each call runs in an event loop of its own."""

    def call(self, auth: LicetAuth, method: str, url: str, **options: Any) -> httpx.Response:
        """Send a request, and return the answer."""
        return asyncio.run(self.acall(auth, method, url, **options))

    def log_off(self, auth: LicetAuth) -> bool:
        """Log off."""
        return asyncio.run(auth.alog_off())

    def within(self, auth: LicetAuth, url: str) -> httpx.Response:
        """Send a request in a `with` block of the auth, and return the answer."""

        async def run() -> httpx.Response:
            async with auth:
                return await self.acall(auth, "GET", url)

        return asyncio.run(run())

    @staticmethod
    async def acall(auth: LicetAuth, method: str, url: str, **options: Any) -> httpx.Response:
        """Send a request, and return the answer."""
        follow = options.pop("follow_redirects", False)
        async with httpx.AsyncClient(
            auth=auth, timeout=PATIENCE_S, verify=CONTEXT, follow_redirects=follow
        ) as api:
            return await api.request(method, url, **options)


def gathered(count: int, call: Callable[[], Awaitable[httpx.Response]]) -> list[httpx.Response]:
    """Make `count` calls in as many tasks at once, and return their answers."""

    async def run() -> list[httpx.Response]:
        return list(await asyncio.gather(*(call() for _ in range(count))))

    return asyncio.run(run())


class TokenSite:
    """A token server that follows only the specification: tokens with their lifetime, and no extension.

    Its tokens are numbered: `access-1`, `refresh-1`. With `life_s` None it sends no `expires_in`; `more` are
    other members of its answers. A refresh renews the tokens, unless `refresh` is set to another answer.
    """

    def __init__(self) -> None:
        self.life_s: int | None = 600
        self.refresh: Reply | None = None
        self.grant: Callable[[], Reply | bytes | None] = lambda: None
        self.gives_refresh = True
        self.more: dict[str, Any] = {}
        self._count = 0
        self.site = Site(self._answer)

    @property
    def url(self) -> str:
        """The URL of the tenant."""
        return f"{self.site.url}/Jim_Test"

    @property
    def asked(self) -> list[str]:
        """The requests so far, each as its grant type or the end of its path."""
        return [it.form.get("grant_type") or it.path.rpartition("/")[2] for it in self.site.asked]

    def _answer(self, asked: Asked) -> Reply | bytes:
        if asked.path.endswith("/logoff"):
            return says(200, {})
        is_refresh = asked.form["grant_type"] == "refresh_token"
        reply = self.refresh if is_refresh else self.grant()
        return self._tokens() if reply is None else reply

    def _tokens(self) -> Reply:
        self._count += 1
        content: dict[str, Any] = {"access_token": f"access-{self._count}", **self.more}
        if self.gives_refresh:
            content["refresh_token"] = f"refresh-{self._count}"
        if self.life_s is not None:
            content["expires_in"] = self.life_s
        return says(200, content)


def auth_for(tenant_url: str, api: str, timing: Timing, **options: Any) -> LicetAuth:
    """A `LicetAuth` of `TestClientId`."""
    options = {"timeout": timedelta(seconds=PATIENCE_S), "ssl_context": CONTEXT, **options}
    return LicetAuth(
        tenant_url, "TestClientId", options.pop("secret", "password"), api=api, timing=timing, **options
    )
