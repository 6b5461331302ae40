"""Fetches the keys of an issuer when they are needed, caches them, and verifies tokens with them.

The issuer's metadata has their address (RFC 8414). The rules:

- Keys are valid for `KEYS_LIFE_S`. When they cannot be renewed then, nobody is admitted.
- An unknown key causes one more fetch, but at most one every `UNKNOWN_EVERY_S`: a caller that invents key ids
  gets 401, and causes no traffic.
- A fetch is bounded in time and size, is made once for all who wait for it, and follows no redirect.
- The answer with the metadata has the issuer's time. Where this machine's clock differs too much from it,
  expiry cannot be checked, and nobody is admitted. Where it is behind, the issuer's time is used: by that
  time a seat is held until its JWTs have expired, and then another holder may get it.
"""

import asyncio
import json
import ssl
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpx
import jwt

from licet.guard.cache import Cache
from licet.guard.claims import Expected, Keys, read, read_keys, read_kid
from licet.guard.fetching import NO_ANSWER, Answer, fetch
from licet.guard.introspection import Dead, Secret, Unusable
from licet.guard.introspector import BODY_BYTES_MAX, LOOPBACK, Background, Found

KEYS_LIFE_S = 300.0  # as long as Licet allows to cache them; a stolen key is out after that
UNKNOWN_EVERY_S = 10.0
RETRY_AFTER_S = 2.0  # after a failed fetch
SKEW_MAX_S = 30.0  # half of the shortest usual life; a network and two time servers make less than 1


class Source(NamedTuple):
    """An issuer whose keys are fetched; `url` is the tenant's and ends with a slash."""

    url: str
    issuer: str
    timeout_s: float
    allow_http: bool
    now_s: Callable[[], float]
    wall_s: Callable[[], float]


class _Published(NamedTuple):
    """The keys, and by how much this machine's clock is at least behind their issuer's."""

    keys: Keys
    behind_s: float


class _Known(NamedTuple):
    """The published keys and when they were fetched; the last attempt, and its result."""

    published: _Published
    fetched_s: float
    tried_s: float
    failed: Unusable | None


_NOTHING = _Known(_Published({}, 0.0), -1e9, -1e9, None)


class IssuerKeys:
    """The keys; any thread may read them, and one event loop fetches them."""

    def __init__(self, source: Source, verify: ssl.SSLContext | None) -> None:
        self._source = source
        self._verify = verify
        self._known = _NOTHING
        self._fetching: asyncio.Task[None] | None = None

    def find(self, kid: str) -> jwt.PyJWK | Dead | Unusable | None:
        """The key of this id; None when it has to be fetched."""
        known, now_s = self._known, self._source.now_s()
        is_fresh = now_s < known.fetched_s + KEYS_LIFE_S
        if is_fresh and (key := known.published.keys.get(kid)) is not None:
            return key
        if now_s >= known.tried_s + (UNKNOWN_EVERY_S if is_fresh else RETRY_AFTER_S):
            return None
        if known.failed is not None:
            return known.failed
        return Dead("it is signed with a key that its issuer does not publish") if is_fresh else None

    def now_s(self) -> float:
        """The time, by the issuer's clock as far as it is known."""
        return self._source.wall_s() + self._known.published.behind_s

    async def renew(self, kid: str) -> None:
        """Fetch the keys, unless they just were; callers that come meanwhile wait for the same answer."""
        loop = asyncio.get_running_loop()
        task = self._fetching
        if task is None or task.done() or task.get_loop() is not loop:  # or it is from before a fork
            if self.find(kid) is not None:
                return
            task = self._fetching = loop.create_task(self._fetch())
        await asyncio.shield(task)

    async def _fetch(self) -> None:
        tried_s = self._source.now_s()
        found = await self._bounded()
        if isinstance(found, Unusable):
            self._known = self._known._replace(tried_s=tried_s, failed=found)
        else:
            self._known = _Known(found, tried_s, tried_s, None)

    async def _bounded(self) -> _Published | Unusable:
        try:
            async with asyncio.timeout(self._source.timeout_s):
                return await self._fetched()
        except (TimeoutError, httpx.TimeoutException):
            return Unusable("do not come in time")
        except NO_ANSWER as fault:
            return Unusable(f"cannot be fetched: {type(fault).__name__}")

    async def _fetched(self) -> _Published | Unusable:
        source = self._source
        if self._verify is None:
            self._verify = httpx.create_ssl_context()
        async with httpx.AsyncClient(
            verify=self._verify,
            trust_env=urlsplit(source.url).hostname not in LOOPBACK,
            timeout=source.timeout_s,
            headers={"Accept-Encoding": "identity", "User-Agent": "licet-guard"},
        ) as http:
            metadata = await fetch(
                http, f"{source.url}.well-known/oauth-authorization-server", BODY_BYTES_MAX
            )
            if isinstance(metadata, Unusable):
                return metadata
            ahead_s = _ahead_s(metadata, source)
            address = _key_set_address(metadata, source, ahead_s)
            if isinstance(address, Unusable):
                return address
            key_set = await fetch(http, address, BODY_BYTES_MAX)
            if isinstance(key_set, Unusable):
                return key_set
        found = read_keys(key_set.body)
        if isinstance(found, Unusable):
            return Unusable(f"cannot be used: {address} {found.why}")
        return _Published(found, max(0.0, -ahead_s))


class JwtVerifier:
    """Verifies tokens; it takes the place of an introspector."""

    def __init__(
        self, source: Source, expected: Expected, cache: Cache, verify: ssl.SSLContext | None
    ) -> None:
        self._source = source
        self._expected = expected
        self._cache = cache
        self._keys = IssuerKeys(source, verify)
        self._background = Background()

    def ask(self, token: Secret) -> Found:
        """The result for a token; for threads."""
        kid = read_kid(token.reveal())
        if isinstance(kid, str) and self._keys.find(kid) is None:
            with suppress(TimeoutError):  # then they did not come in time
                self._background.run(self._keys.renew(kid), self._source.timeout_s)
        return self._checked(token, kid)

    async def aask(self, token: Secret) -> Found:
        """As `ask`, for tasks."""
        kid = read_kid(token.reveal())
        if isinstance(kid, str) and self._keys.find(kid) is None:
            await self._background.arun(self._keys.renew(kid))
        return self._checked(token, kid)

    async def aclose(self) -> None:
        """Nothing to do: this event loop has no connections."""

    def close(self) -> None:
        """End the thread that fetches."""
        self._background.close(self.aclose())

    def _checked(self, token: Secret, kid: str | Dead) -> Found:
        looked_s = self._source.now_s()
        found = kid if isinstance(kid, Dead) else self._found(token, kid)
        self._cache.keep(token, found, looked_s)
        return found

    def _found(self, token: Secret, kid: str) -> Found:
        match self._keys.find(kid):
            case Dead() | Unusable() as no_key:
                return no_key
            case None:
                return Unusable("do not come in time")
            case signing:
                return read(token.reveal(), signing, self._expected, self._keys.now_s())


def _key_set_address(metadata: Answer, source: Source, ahead_s: float) -> str | Unusable:
    """Where the key set is (RFC 8414 2), when this is the issuer and the clocks agree."""
    try:
        content: Any = json.loads(metadata.body)
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        return Unusable("cannot be found: what should be metadata is none")
    issuer, address = content.get("issuer"), content.get("jwks_uri")
    if issuer != source.issuer:  # RFC 8414 3.3
        shown = f"{issuer!r:.100}"
        return Unusable(f"are not its own: the issuer is {shown}; if that is right, say issuer={shown}")
    if not isinstance(address, str):
        return Unusable("are not published: its access tokens are references; `Guard` takes them")
    parts = urlsplit(address)
    is_private = parts.scheme == "https" or parts.hostname in LOOPBACK or source.allow_http
    if parts.scheme not in {"http", "https"} or not parts.hostname or not is_private:
        return Unusable("are nowhere to be fetched from without being changed on the way")
    if abs(ahead_s) <= SKEW_MAX_S:
        return address
    way = "ahead of" if ahead_s > 0 else "behind"
    return Unusable(f"are of no use: the clock of this machine is {abs(ahead_s):.0f} s {way} the issuer's")


def _ahead_s(metadata: Answer, source: Source) -> float:
    """By how much this machine's clock is at most ahead of the issuer's; 0 where the issuer sends no time.

    The issuer rounds down, and its answer took a while: where the clocks agree, this is not below 0.
    """
    try:
        there = parsedate_to_datetime(metadata.headers.get("date", ""))
    except (ValueError, TypeError, IndexError, OverflowError):
        return 0.0
    there = there if there.tzinfo else there.replace(tzinfo=UTC)
    return source.wall_s() - there.timestamp()
