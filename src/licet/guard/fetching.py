"""Fetches what a server publishes for a guard: bounded in size, and without following a redirect."""

from collections.abc import Mapping
from contextlib import aclosing
from typing import NamedTuple

import httpx

from licet.guard.introspection import Unusable

# Raised where no answer comes. A connection that breaks in the moment when it is made is an AttributeError of
# anyio's, which looks for the socket's peer then.
NO_ANSWER = (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError, AttributeError)

_OK = 200
_REDIRECTS = range(300, 400)


class Answer(NamedTuple):
    """What came."""

    headers: Mapping[str, str]
    body: bytes


async def fetch(
    http: httpx.AsyncClient, url: str, bytes_max: int, auth: httpx.BasicAuth | None = None
) -> Answer | Unusable:
    """What is there; `bytes_max` is for the body."""
    async with aclosing(await http.send(http.build_request("GET", url), stream=True, auth=auth)) as response:
        if response.status_code in _REDIRECTS:
            return Unusable(f"cannot be fetched: {url} redirects, which is not followed")
        if response.status_code != _OK:
            return Unusable(f"cannot be fetched: {url} answers {response.status_code}")
        body = bytearray()
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > bytes_max:
                return Unusable(f"cannot be used: {url} answers more than it may")
        return Answer(response.headers, bytes(body))
