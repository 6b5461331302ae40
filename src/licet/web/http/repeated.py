"""Remembers requests that may be repeated byte for byte, so that a repetition is not parsed again.

A client requests its next token with the same bytes as the last one, and an API introspects the same token
all day. The rules:

- A remembered request was parsed before as one complete message, alone in its bytes and at the beginning of a
  message. So the same bytes at such a place mean the same, and there is no second parser that could differ.
- It keeps a keyed hash of the bytes, the path, the few headers that are read before the endpoint, and what
  the endpoint needs to answer again. It keeps no body, and no header that could have a secret. The key is
  made at the start and never leaves this process.
- Only an endpoint can have a request remembered (`Exchange.keep`), after the client has authenticated or has
  sent an active token: nobody else can fill the memory. An entry is a hint: at each repetition it says
  whether it is still valid; if not, the bytes are parsed as usual.
- There are at most `entries_max` entries; the oldest is removed first. A request whose entry would be larger
  than `KEPT_BYTES_MAX` is not remembered, so that a client cannot choose the size of an entry.
"""

import secrets
import sys
from hashlib import blake2b
from itertools import chain
from typing import Final, NamedTuple

from licet.web.request import Exchange, Headers, Repetition

ENTRIES_MAX: Final = 50_000  # some 70 MB, where all are questions about sessions; 200 MB at worst
KEPT_BYTES_MAX: Final = 1024  # of the path and headers of an entry: a long path, with what two proxies add
REQUEST_BYTES_MAX: Final = 4096  # of a request that is looked up: as of a token with what two proxies add
_DIGEST_BYTES: Final = 32

# What `licet.web.forwarded` and `licet.telemetry.traces` read, before the request gets to its endpoint.
_KEPT_HEADERS: Final = frozenset({b"x-forwarded-for", b"x-forwarded-proto", b"traceparent", b"tracestate"})


class Repeated(NamedTuple):
    """A request that was parsed before. From `peer` it had this address and scheme, by its headers."""

    method: str
    path: str
    headers: Headers
    peer: str
    address: str
    scheme: str
    repetition: Repetition


class RepeatedRequests:
    """The requests. Use it from one thread."""

    def __init__(self, *, entries_max: int = ENTRIES_MAX) -> None:
        self._entries_max = entries_max
        self._keyed = blake2b(key=secrets.token_bytes(32), digest_size=_DIGEST_BYTES)
        self._entries: dict[bytes, Repeated] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def name(self, data: bytes) -> bytes:
        """The name of a request with these bytes."""
        keyed = self._keyed.copy()
        keyed.update(data)
        return keyed.digest()

    def find(self, name: bytes) -> Repeated | None:
        """What is known of a request."""
        return self._entries.get(name)

    def add(self, name: bytes, exchange: Exchange, peer: str, repetition: Repetition) -> None:
        """Remember a request that came from this peer, unless too much of it would be kept."""
        kept = [field for field in exchange.headers if field[0] in _KEPT_HEADERS]
        # Their true sizes: a character of a path may take four bytes, and a short header takes a hundred.
        if sum(map(sys.getsizeof, chain((exchange.path,), *kept))) > KEPT_BYTES_MAX:
            return
        while len(self._entries) >= self._entries_max:
            del self._entries[next(iter(self._entries))]
        self._entries[name] = Repeated(
            exchange.method, exchange.path, kept, peer, exchange.address, exchange.scheme, repetition
        )

    def forget(self, name: bytes) -> None:
        """Forget a request, whose hint no longer holds."""
        self._entries.pop(name, None)
