"""A program that calls an API with `LicetAuth`, in both of its kinds, by a clock that moves when told to."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, Protocol

import httpx

from licet.client import LicetAuth
from licet.client.clock import Timing
from support.web.http_site import PATIENCE_S, Asked, Reply, Site, says

CONTEXT = httpx.create_ssl_context()  # making one takes longer than a request


class ManualTiming(Timing):
    """Time that moves when told to, and over pauses; all jitter is the longest there may be."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.pauses: list[float] = []
        self.paused: Callable[[], object] = lambda: None

    def now_s(self) -> float:
        """Seconds."""
        return self.now

    def advance(self, seconds: float) -> None:
        """Move on."""
        self.now += seconds

    def pause(self, seconds: float, closed: threading.Event) -> None:  # noqa: ARG002 - not in real time
        """Move on over a pause."""
        self._pause(seconds)

    async def apause(self, seconds: float) -> None:
        """The same."""
        self._pause(seconds)

    def jitter_s(self, up_to_s: float) -> float:
        """The longest."""
        return up_to_s

    def _pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds
        self.paused()


class Program(Protocol):
    """A program of one kind: it calls, logs off, and closes."""

    def call(self, auth: LicetAuth, method: str, url: str, **options: Any) -> httpx.Response:
        """The answer to a request."""

    def log_off(self, auth: LicetAuth) -> bool:
        """Log off."""

    def within(self, auth: LicetAuth, url: str) -> httpx.Response:
        """The answer to a request in the auth's own block."""


class Threads:
    """A program that waits for its answers."""

    def call(self, auth: LicetAuth, method: str, url: str, **options: Any) -> httpx.Response:
        """The answer to a request."""
        follow = options.pop("follow_redirects", False)
        with httpx.Client(auth=auth, timeout=PATIENCE_S, verify=CONTEXT, follow_redirects=follow) as api:
            return api.request(method, url, **options)

    def log_off(self, auth: LicetAuth) -> bool:
        """Log off."""
        return auth.log_off()

    def within(self, auth: LicetAuth, url: str) -> httpx.Response:
        """The answer to a request in the auth's own block."""
        with auth:
            return self.call(auth, "GET", url)


class Tasks:
    """A program that does other things meanwhile; each call has an event loop of its own."""

    def call(self, auth: LicetAuth, method: str, url: str, **options: Any) -> httpx.Response:
        """The answer to a request."""
        return asyncio.run(self.acall(auth, method, url, **options))

    def log_off(self, auth: LicetAuth) -> bool:
        """Log off."""
        return asyncio.run(auth.alog_off())

    def within(self, auth: LicetAuth, url: str) -> httpx.Response:
        """The answer to a request in the auth's own block."""

        async def run() -> httpx.Response:
            async with auth:
                return await self.acall(auth, "GET", url)

        return asyncio.run(run())

    @staticmethod
    async def acall(auth: LicetAuth, method: str, url: str, **options: Any) -> httpx.Response:
        """The answer to a request."""
        follow = options.pop("follow_redirects", False)
        async with httpx.AsyncClient(
            auth=auth, timeout=PATIENCE_S, verify=CONTEXT, follow_redirects=follow
        ) as api:
            return await api.request(method, url, **options)


def gathered(count: int, call: Callable[[], Awaitable[httpx.Response]]) -> list[httpx.Response]:
    """The answers to calls of many tasks at once."""

    async def run() -> list[httpx.Response]:
        return list(await asyncio.gather(*(call() for _ in range(count))))

    return asyncio.run(run())


class TokenSite:
    """A token server as the specification page shows one: tokens, their life, and no extension.

    It numbers what it gives: `access-1`, `refresh-1`; `life_s` may be None for none told, and `more` are
    other members. A refresh renews the tokens unless it is to be refused by `refresh`.
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
        """Of the tenant."""
        return f"{self.site.url}/Jim_Test"

    @property
    def asked(self) -> list[str]:
        """What it was asked, in short."""
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
    """The authentication of `TestClientId`."""
    options = {"timeout": timedelta(seconds=PATIENCE_S), "ssl_context": CONTEXT, **options}
    return LicetAuth(
        tenant_url, "TestClientId", options.pop("secret", "password"), api=api, timing=timing, **options
    )
