"""One connection to a server, on which a test sends and reads bytes."""

from http.client import HTTPMessage, parse_headers
from socket import SHUT_WR, create_connection
from typing import NamedTuple, Self
from urllib.parse import urlsplit

from support.server.running import PATIENCE_S


class Answer(NamedTuple):
    """An HTTP answer."""

    status: int
    headers: HTTPMessage
    body: bytes


class Wire:
    """One connection; `source` is the address of this machine from which it comes."""

    def __init__(self, url: str, source: str | None = None) -> None:
        parts = urlsplit(url)
        to = parts.hostname or "", parts.port or 0
        of = None if source is None else (source, 0)
        self._socket = create_connection(to, timeout=PATIENCE_S, source_address=of)
        self._file = self._socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._socket.close()

    def send(self, data: bytes, *, is_last: bool = False) -> None:
        """Send these bytes; with the last ones, close the sending half of the connection."""
        self._socket.sendall(data)
        if is_last:
            self._socket.shutdown(SHUT_WR)

    def answer(self) -> Answer | None:
        """The next answer; None if the connection ends instead."""
        line = self._file.readline()
        if not line:
            return None
        headers = parse_headers(self._file)
        body = self._file.read(int(headers.get("content-length", 0)))
        return Answer(int(line.split()[1]), headers, body)

    def rest(self) -> bytes:
        """All that comes until the connection ends."""
        return self._file.read()
