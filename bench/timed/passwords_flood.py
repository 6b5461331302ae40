"""Measures how long the first check of a password takes while one address sends 300 wrong ones at a time.

It is measured with the default limits on failed attempts, and without limits, where each of the 300 is
hashed. The second shows a flood from more addresses than the limits count.
"""

import asyncio
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from bench.measured.wire import basic as credentials
from bench.measured.wire import form, host_of

AT_ONCE = 300
WANTED_S = 2.0
LIMITED = "with the limits as they are"
_FLOODS: Mapping[str, dict[str, str]] = {
    LIMITED: {},
    "without limits on failed attempts": {
        "LICET_LOGIN_FAILURES_PER_SOURCE_MAX": "1000000",
        "LICET_LOGIN_FAILURES_PER_CLIENT_MAX": "1000000",
    },
}
_GOOD_ADDRESS = "127.0.0.2"
_CLIENTS = ("Client1", "Client2", "Client3", "Client4")  # clients of `licet demo`
_PASSWORD = "password"
_BEGUN_AFTER_S = 2.0
_PATIENCE_S = 60.0


class Waits(NamedTuple):
    """How long good clients of another address waited for their first grant, and for their second."""

    first_s: list[float]
    again_s: list[float]
    refused: int


def measure(directory: Path) -> Iterator[tuple[str, Waits]]:
    """Measure each flood; yield its name and its result."""
    for name, variables in _FLOODS.items():
        with _demo(directory / re.sub(r"\W", "-", name), variables) as url:
            yield name, asyncio.run(_waits(url))


def is_late(first_s: Sequence[float], refused: int) -> bool:
    """Whether a client waited longer than WANTED_S, or was refused."""
    return max(first_s) >= WANTED_S or refused > 0


def report(name: str, waits: Waits) -> str:
    """The result of one flood, in a line."""
    first, again = (
        ", ".join(f"{seconds * 1000:,.0f} ms" for seconds in them) for them in (waits.first_s, waits.again_s)
    )
    return (
        f"{AT_ONCE} wrong passwords at a time from one address, {name}: at another address the first grant of"
        f" each client took {first}; its second {again}; {waits.refused} of all were refused"
    )


@contextmanager
def _demo(directory: Path, variables: Mapping[str, str]) -> Iterator[str]:
    command = [
        sys.executable,
        "-m",
        "licet",
        "demo",
        "--port",
        "0",
        "--admin-port",
        "0",
        "--data",
        str(directory),
    ]
    environment = {**os.environ, **variables, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as running:
        assert running.stdout is not None
        try:
            yield next(found[1] for line in running.stdout if (found := re.search(r"URL=(\S+)", line)))
        finally:
            running.terminate()
            running.stdout.read()


async def _waits(url: str) -> Waits:
    floods = [asyncio.create_task(_flood(url, number)) for number in range(AT_ONCE)]
    await asyncio.sleep(_BEGUN_AFTER_S)
    try:
        found = [[await _granted(url, client) for client in _CLIENTS] for _ in range(2)]
    finally:
        for flood in floods:
            flood.cancel()
        await asyncio.gather(*floods, return_exceptions=True)
    first, again = ([took_s for took_s, _ in them] for them in found)
    return Waits(first, again, sum(status != "200" for them in found for _, status in them))


async def _flood(url: str, number: int) -> None:
    reader, writer = await _connected(url, "127.0.0.1")
    for guess in range(1_000_000):
        await _asked(reader, writer, url, f"Stranger{number % 7}", f"wrong {number} {guess}")


async def _granted(url: str, client: str) -> tuple[float, str]:
    reader, writer = await _connected(url, _GOOD_ADDRESS)
    began_s = time.monotonic()
    status = await asyncio.wait_for(_asked(reader, writer, url, client, _PASSWORD), _PATIENCE_S)
    writer.close()
    return time.monotonic() - began_s, status


async def _connected(url: str, address: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, port = host_of(url).split(":")
    return await asyncio.open_connection(host, int(port), local_addr=(address, 0))


async def _asked(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, url: str, client: str, password: str
) -> str:
    """Request a grant, and return the status of the answer."""
    path = "/" + url.split("/", 3)[3] + "/token"
    writer.write(
        form(path, credentials(client, password), grant_type="client_credentials", scope="view").raw(
            host_of(url)
        )
    )
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    await reader.readexactly(int(re.search(r"content-length: (\d+)", head, re.IGNORECASE)[1]))  # type: ignore[index]
    return head.split(" ")[1]
