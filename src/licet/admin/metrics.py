"""Serves `GET /metrics`: checks who may scrape, and sends the page of `licet.telemetry.metrics`.

Metrics name every tenant and pool, so a scraper needs an API key that sees all tenants, unless the settings
make them public. While the store does not answer, no key can be looked up, and then metrics are needed most:
a key that was right before is accepted as it was.
"""

import asyncio
from hashlib import blake2b
from secrets import token_bytes
from typing import Final

from fastapi import APIRouter, Request, Response

from licet.admin.authentication import Identity
from licet.admin.context import AdminContext, must_be
from licet.admin.problems import not_allowed
from licet.lanes.contract import QueueFull
from licet.model import Role
from licet.store.errors import StoreUnavailable
from licet.telemetry.metrics import Metrics

PATH: Final = "/metrics"
KNOWN_WITHIN_S: Final = 3.0  # after that the store counts as out of reach; a scrape has 10 s by default
SCRAPERS_MAX: Final = 16  # that are remembered


def router(context: AdminContext, metrics: Metrics) -> APIRouter:
    """The route of the metrics."""
    routes = APIRouter()
    scrapers = _Scrapers(context)

    @routes.get(PATH)
    async def scrape(request: Request) -> Response:
        if not metrics.is_public:
            await scrapers.check(request)
        page = await metrics.page(request.headers.get("accept", ""))
        # Not by `media_type`, which would add a second charset.
        return Response(page.body, headers={"content-type": page.content_type})

    return routes


class _Scrapers:
    """Remembers scrapers by a mark that is useless outside this process."""

    def __init__(self, context: AdminContext) -> None:
        self._context = context
        self._key = token_bytes(32)
        self._known: dict[bytes, Identity] = {}

    async def check(self, request: Request) -> None:
        """Return if the caller may see the metrics.

        Raises Problem, StoreUnavailable.
        """
        identity = await self._identity(request)
        must_be(identity, Role.VIEWER)
        if identity.tenant_id is not None:
            raise not_allowed("Metrics are of all tenants; this sign-in or key is for one.")

    async def _identity(self, request: Request) -> Identity:
        sent = request.headers.get("authorization", "")
        mark = blake2b(sent.encode(), key=self._key).digest()
        before = self._known.pop(mark, None)
        try:
            identity = await asyncio.wait_for(self._context.identity(request), KNOWN_WITHIN_S)
        except (StoreUnavailable, QueueFull, TimeoutError):
            if before is None:
                raise StoreUnavailable("nobody can be looked up") from None
            identity = before
        if sent:
            self._known[mark] = identity
            if len(self._known) > SCRAPERS_MAX:
                del self._known[next(iter(self._known))]
        return identity
