"""Measures how much of their rate good clients keep while one address floods the server with wrong secrets.

32 connections of wrk send wrong secrets from 127.0.0.1, and good clients refresh from 127.0.0.2, which is
another address to the server. In the other turn, as many connections request `/health/live`, the cheapest
answer of a server. The ratio of the two rates is the share that a flood leaves to good clients.

It is measured with the default limits on failed attempts, and without limits, where each wrong secret is
checked. The second shows a flood from more addresses than the limits count.
"""

import asyncio
import statistics
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple

import uvloop

from bench.measured.stores import Kind, keyring
from bench.measured.targets import Target, licet
from bench.measured.tenants import MANY, Plan, Site, tokens_of
from bench.measured.wire import Request, ask_all, basic, form, host_of
from bench.timed import wrk
from licet.credentials.generated import SECRET_PREFIX

LIMITED = "from one address"
KEPT_LEAST = 0.7  # with the default limits: share of the rate beside as many connections to /health/live
CONNECTIONS = 32  # of the flood, and of the good clients
_GOOD_ADDRESS = "127.0.0.2"
_NO_LIMIT = {
    "LICET_LOGIN_FAILURES_PER_SOURCE_MAX": "1000000",
    "LICET_LOGIN_FAILURES_PER_CLIENT_MAX": "1000000",
}
_FLOODS: Mapping[str, dict[str, str]] = {
    LIMITED: {},
    "without limits on failed attempts": _NO_LIMIT,
}


class Length(NamedTuple):
    """How many rounds count, and the length of each."""

    rounds: int
    seconds: float


class Pair(NamedTuple):
    """Answers a second to the good clients beside health checks, and beside the flood."""

    live: float
    flooded: float


def measure(kind: Kind, length: Length, directory: Path) -> Iterator[tuple[str, Sequence[Pair]]]:
    """Measure each flood; yield its name and its rounds."""
    wrk.must_be_there()
    for name, variables in _FLOODS.items():
        keys = keyring()
        site, place = Site(keys, [Plan(MANY, CONNECTIONS)]), kind.make(keys)
        site.fill(place)
        with licet(kind, place, variables) as target:
            yield name, _pairs(target, site, length, directory)


def report(name: str, pairs: Sequence[Pair]) -> str:
    """The result of one flood, in a line."""
    ratios = sorted(pair.flooded / pair.live for pair in pairs)
    live, flooded = (statistics.median(rates) for rates in zip(*pairs, strict=True))
    return (
        f"wrong secrets {name}: good clients {flooded:,.0f}/s, {live:,.0f}/s beside /health/live:"
        f" keep {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
    )


def ratio(pairs: Sequence[Pair]) -> float:
    """The share of their rate that good clients keep."""
    return statistics.median(pair.flooded / pair.live for pair in pairs)


def _pairs(target: Target, site: Site, length: Length, directory: Path) -> list[Pair]:
    grants = [site.grant(MANY, number) for number in range(CONNECTIONS)]
    held = tokens_of(ask_all(target.url, grants))
    good = [
        site.refresh(MANY, number, tokens.refresh).raw(host_of(target.url))
        for number, tokens in enumerate(held)
    ]
    live = [Request("GET", "/health/live", ())]
    header = basic("Client0", f"{SECRET_PREFIX}{'x' * 43}")
    wrong = [form(f"/{MANY}/token", header, grant_type="client_credentials")]
    files = [
        wrk.write_rows(directory / f"{name}.rows", target.url, rows)
        for name, rows in (("live", live), ("wrong", wrong))
    ]
    [refused] = ask_all(target.url, wrong)
    assert refused.status == HTTPStatus.UNAUTHORIZED, refused
    pairs = []
    for number in range(length.rounds + 1):  # the first warms up
        turns = files if number % 2 else files[::-1]
        rates = {file: _rate_beside(target, file, good, length.seconds) for file in turns}
        pairs.append(Pair(*(rates[file] for file in files)))
    return pairs[1:]


def _rate_beside(target: Target, rows: Path, good: Sequence[bytes], seconds: float) -> float:
    command = wrk.command(target.url, rows, connections=CONNECTIONS, seconds=int(seconds) + 2)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as flood:
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                return runner.run(_good_rate(target.url, good, seconds))
        finally:
            flood.terminate()


async def _good_rate(url: str, good: Sequence[bytes], seconds: float) -> float:
    host, _, port = host_of(url).rpartition(":")
    ends_at = time.monotonic() + seconds
    made = [_GoodClient(row, ends_at) for row in good]
    loop = asyncio.get_running_loop()
    for client in made:
        await loop.create_connection(partial(_itself, client), host, int(port), local_addr=(_GOOD_ADDRESS, 0))
    began = time.monotonic()
    await asyncio.gather(*(client.done for client in made))
    return sum(client.answers for client in made) / (time.monotonic() - began)


def _itself(client: "_GoodClient") -> "_GoodClient":
    return client


class _GoodClient(asyncio.Protocol):
    """One connection that sends the same good request again and again."""

    def __init__(self, row: bytes, ends_at: float) -> None:
        self.answers = 0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._row = row
        self._ends_at = ends_at
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first request."""
        self._transport = transport
        self._transport.write(self._row)

    def data_received(self, data: bytes) -> None:
        """Count the answer, which arrives in one piece, and send the request again."""
        assert data.startswith(b"HTTP/1.1 200 "), data
        self.answers += 1
        if time.monotonic() < self._ends_at:
            self._transport.write(self._row)
        else:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Report the end of the connection."""
        if exc is None:
            self.done.set_result(None)
        else:
            self.done.set_exception(exc)
