"""Remembers by which Authorization headers clients have authenticated: the next time costs one keyed hash.

The rules:

- What is kept is a keyed hash of the header and whose it was: never the header, nor the secret in it. The key
  is made at the start and never leaves this process.
- Only generated secrets are remembered, and only in one spelling: so there is one entry for each secret of a
  client, whatever it sends. What is wrong is never remembered. Passwords have their own rules (`Remembered`).
- An entry is no more than a hint: it counts while the tenant's current snapshot has the client, usable, with
  the secret that the header was checked against, and until that one expires.
- There are `entries_max`; the oldest goes first.
"""

import secrets
from binascii import b2a_base64
from hashlib import blake2b
from typing import Final, NamedTuple

from licet.model import Client, ClientSecret, Tenant

ENTRIES_MAX: Final = 50_000  # as of passwords; some 15 MB
_DIGEST_BYTES: Final = 32


class Proven(NamedTuple):
    """Whose header it was, and the stored hash of the secret that it had."""

    tenant_id: int
    client_id: str
    secret_hash: bytes


class KnownHeaders:
    """The headers. Use it from one thread."""

    def __init__(self, *, entries_max: int = ENTRIES_MAX) -> None:
        self._entries_max = entries_max
        self._keyed = blake2b(key=secrets.token_bytes(32), digest_size=_DIGEST_BYTES)
        self._entries: dict[bytes, Proven] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def entry(self, header: bytes) -> Proven | None:
        """What is known of a header."""
        return self._entries.get(self._name(header))

    def add(self, header: bytes, tenant: Tenant, client: Client, secret: str, kept: ClientSecret) -> None:
        """Remember that a client has authenticated by this header, which has this secret of it."""
        plain = f"{client.client_id}:{secret}".encode()
        if header != b"Basic " + b2a_base64(plain, newline=False):
            return
        while len(self._entries) >= self._entries_max:
            del self._entries[next(iter(self._entries))]
        self._entries[self._name(header)] = Proven(tenant.id, client.client_id, kept.hash)

    def _name(self, header: bytes) -> bytes:
        keyed = self._keyed.copy()
        keyed.update(header)
        return keyed.digest()


def secret_of(entry: Proven, tenant: Tenant | None, now_ms: int) -> tuple[Client, ClientSecret] | None:
    """The client of an entry and its secret, as the tenant has them now; None where either is void."""
    if tenant is None or tenant.id != entry.tenant_id:
        return None
    client = tenant.clients.get(entry.client_id)
    if client is None or not (client.enabled and client.user.enabled):  # `usable`, without a call
        return None
    for kept in client.secrets:
        if kept.hash == entry.secret_hash:  # both are stored: there is nothing to guess
            return (client, kept) if kept.is_live(now_ms) else None
    return None
