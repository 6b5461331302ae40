"""Fetches the signed licences of a tenant from its server, caches them, and ignores replayed serials.

The rules:

- They are fetched at the first need, every `FETCH_EVERY_S` beside the requests, and before a request is
  refused for want of a licence, every `LOOK_AGAIN_S` at most: so an upgrade counts at once.
- What was fetched counts by its own times: a fetch that fails takes nothing away.
- In a process no lower serial of a licence counts after a higher one has begun a day ago, though the server
  may not show that any more. A new process begins anew.
- A fetch is bounded in time and size, is made once for all who wait for it, and follows no redirect.
"""

import asyncio
import json
import logging
import ssl
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple
from urllib.parse import quote_plus, urlsplit

import httpx

from licet.guard.coverage import STEP_LEEWAY_MS, Coverage, Passed, Place, Why, read_all
from licet.guard.fetching import NO_ANSWER, Answer, fetch
from licet.guard.introspection import Secret, Unusable
from licet.guard.introspector import LOOPBACK
from licet.licences.licence import SignedLicence

FETCH_EVERY_S: Final = 300.0
LOOK_AGAIN_S: Final = 10.0
RETRY_AFTER_S: Final = 2.0  # after a fetch that failed, while there is no licence
BODY_BYTES_MAX: Final = 262_144
LICENCES_MAX: Final = 256  # of one answer; each is a signature to verify, a tenth of a millisecond
LOGGED_MAX: Final = 10  # lines of the log for one answer
SERIALS_MAX: Final = 4096  # that are remembered; the vendor signed each

_LOG = logging.getLogger("licet.guard")


class Client(NamedTuple):
    """Who fetches, and from where; the URL ends with a slash."""

    url: str
    client_id: str
    secret: Secret
    timeout_s: float


class LicenceSource:
    """The licences; any thread may look, and one event loop fetches."""

    def __init__(
        self,
        client: Client,
        place: Place,
        *,
        now_s: Callable[[], float],
        wall_s: Callable[[], float],
        verify: ssl.SSLContext | None,
    ) -> None:
        self._client = client
        self._place = place
        self._now_s = now_s
        self._wall_s = wall_s
        self._verify = verify
        self._tried_s = self._beside_s = -1e9
        self._fetching: asyncio.Task[None] | None = None
        self._begins_ms: dict[tuple[str, int], int] = {}  # of each serial that was ever seen
        self._logged: Sequence[Passed] = ()
        self.coverage: Coverage | None = None
        self.why = "the licences were not fetched yet"

    def wall_ms(self) -> int:
        """What time it is."""
        return int(self._wall_s() * 1000)

    def is_due(self, every_s: float) -> bool:
        """Whether it was so long ago, or somebody fetches just now and may be waited for."""
        task = self._fetching
        return (task is not None and not task.done()) or self._now_s() >= self._tried_s + every_s

    def is_due_beside(self) -> bool:
        """Whether somebody should fetch who waits for nothing; from then on nobody else should."""
        now_s = self._now_s()
        every_s = RETRY_AFTER_S if self.coverage is None else FETCH_EVERY_S
        if now_s < max(self._tried_s, self._beside_s) + every_s:
            return False
        self._beside_s = now_s
        return True

    async def renew(self, every_s: float) -> None:
        """Fetch them, with all who wait for the same, unless somebody did in the last `every_s`."""
        loop = asyncio.get_running_loop()
        task = self._fetching
        if task is None or task.done() or task.get_loop() is not loop:  # or it is of before a fork
            if self._now_s() < self._tried_s + every_s:
                return
            task = self._fetching = loop.create_task(self._fetch())
        await asyncio.shield(task)

    async def _fetch(self) -> None:
        self._tried_s = self._now_s()
        found = await self._bounded()
        if isinstance(found, Unusable):
            self.why = f"the licences {found.why}"
            if self.coverage is not None:
                _LOG.warning("%s; those from before count by their own times", self.why)
            return
        self._take(found)

    def _take(self, texts: Sequence[str]) -> None:
        good, passed = read_all(texts, self._place)
        good, superseded = self._without_superseded(good)
        passed += superseded
        for one in passed[:LOGGED_MAX] if passed != self._logged else ():
            _LOG.warning("a licence of %s does not count here: %s: %s", self._client.url, one.why, one.detail)
        self._logged = passed
        if texts or self.coverage is not None:  # what has none yet says nothing of what it will have
            self.coverage = Coverage(good, passed, self._place.built_ms)
        else:
            self.why = f"{self._client.url} has no licence yet"

    def _without_superseded(self, good: Sequence[SignedLicence]) -> tuple[list[SignedLicence], list[Passed]]:
        for licence in good:
            if len(self._begins_ms) < SERIALS_MAX:
                self._begins_ms.setdefault((licence.licence, licence.serial), licence.begins_at_ms)
        now_ms = Coverage(good, (), self._place.built_ms).time_ms(self.wall_ms())
        newest: dict[str, int] = {}
        for (name, serial), begins_ms in self._begins_ms.items():
            if begins_ms + STEP_LEEWAY_MS <= now_ms:
                newest[name] = max(serial, newest.get(name, 0))
        kept: list[SignedLicence] = []
        passed: list[Passed] = []
        for licence in good:
            if licence.serial >= (last := newest.get(licence.licence, 0)):
                kept.append(licence)
            else:
                detail = f"serial {licence.serial} of {licence.licence} was replaced by serial {last}"
                passed.append(Passed(Why.LICENCE_OVER, detail, frozenset(licence.pools)))
        return kept, passed

    async def _bounded(self) -> list[str] | Unusable:
        try:
            async with asyncio.timeout(self._client.timeout_s):
                return await self._fetched()
        except (TimeoutError, httpx.TimeoutException):
            return Unusable("do not come in time")
        except NO_ANSWER as fault:
            return Unusable(f"cannot be fetched: {type(fault).__name__}")

    async def _fetched(self) -> list[str] | Unusable:
        client = self._client
        if self._verify is None:
            self._verify = httpx.create_ssl_context()
        async with httpx.AsyncClient(
            verify=self._verify,
            trust_env=urlsplit(client.url).hostname not in LOOPBACK,
            timeout=client.timeout_s,
            headers={
                "Accept": "application/json",
                "Accept-Encoding": "identity",
                "User-Agent": "licet-guard",
            },
        ) as http:
            # RFC 6749 2.3.1: both are encoded as in a form before they are put together.
            auth = httpx.BasicAuth(quote_plus(client.client_id), quote_plus(client.secret.reveal()))
            found = await fetch(http, f"{client.url}licences", BODY_BYTES_MAX, auth)
        return found if isinstance(found, Unusable) else _texts(found)


def _texts(answer: Answer) -> list[str] | Unusable:
    try:
        texts = json.loads(answer.body)["licences"]
    except (ValueError, RecursionError, KeyError, TypeError):
        return Unusable("cannot be used: the answer is no list of licences")
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        return Unusable("cannot be used: the answer is no list of licences")
    if len(texts) > LICENCES_MAX:
        return Unusable(f"cannot be used: they are more than {LICENCES_MAX}")
    return texts
