"""Writes requests as bytes, and sends many of them in order; wrk does not match answers to requests."""

import asyncio
from base64 import b64encode
from collections.abc import Iterable, Sequence
from typing import NamedTuple
from urllib.parse import urlencode, urlsplit

_FORM = "application/x-www-form-urlencoded"


class Request(NamedTuple):
    """An HTTP request to a path of the measured server."""

    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes = b""

    def raw(self, host: str) -> bytes:
        """The bytes of the request to a `host:port`."""
        lines = [f"{self.method} {self.path} HTTP/1.1", f"Host: {host}"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        lines += [f"Content-Length: {len(self.body)}", "", ""]
        return "\r\n".join(lines).encode("latin-1") + self.body


class Answer(NamedTuple):
    """The status and body of an answer."""

    status: int
    body: bytes


def basic(client_id: str, secret: str) -> tuple[str, str]:
    """The `Authorization` header of a client (RFC 7617)."""
    return ("Authorization", "Basic " + b64encode(f"{client_id}:{secret}".encode()).decode())


def form(path: str, *headers: tuple[str, str], **parameters: str) -> Request:
    """A POST request with a form."""
    return Request("POST", path, (*headers, ("Content-Type", _FORM)), urlencode(parameters).encode())


def host_of(url: str) -> str:
    """The `host:port` of a URL."""
    return urlsplit(url).netloc


def ask_all(url: str, requests: Sequence[Request], connections: int = 32) -> list[Answer]:
    """The answers to these requests, in their order."""
    return asyncio.run(_ask_all(host_of(url), requests, connections))


async def _ask_all(host: str, requests: Sequence[Request], connections: int) -> list[Answer]:
    answers: dict[int, Answer] = {}
    waiting = iter(enumerate(requests))
    count = min(connections, len(requests))
    await asyncio.gather(*(_ask_in_turn(host, waiting, answers) for _ in range(count)))
    return [answers[number] for number in range(len(requests))]


async def _ask_in_turn(host: str, waiting: Iterable[tuple[int, Request]], answers: dict[int, Answer]) -> None:
    name, _, port = host.rpartition(":")
    reader, writer = await asyncio.open_connection(name, int(port))
    try:
        for number, request in waiting:
            writer.write(request.raw(host))
            answers[number] = await _answer(reader)
    finally:
        writer.close()


async def _answer(reader: asyncio.StreamReader) -> Answer:
    head = await reader.readuntil(b"\r\n\r\n")
    status, *lines = head.lower().split(b"\r\n")
    lengths = [int(line.partition(b":")[2]) for line in lines if line.startswith(b"content-length:")]
    return Answer(int(status.split()[1]), await reader.readexactly(lengths[0]))
