"""Generates client secrets and API keys of 256 random bits, and checks them against a keyed hash.

Each begins with a prefix by which secret scanners find it, and has an id that may be shown and logged.
"""

import hmac
import re
import secrets

from licet.model import Client, ClientSecret, Value

SECRET_PREFIX = "lcs_"  # noqa: S105 - a mark for secret scanners; no secret
API_KEY_PREFIX = "lck_"


RENEWED_EVERY_MS = 30_000  # a use so soon after the last one is not written

_ID_CHARS = 12
_SECRET_BYTES = 32


_API_KEY = re.compile(rf"{API_KEY_PREFIX}([0-9a-f]{{{_ID_CHARS}}})[A-Za-z0-9_-]{{43}}")


class NewClientSecret(Value, frozen=True, kw_only=True):
    """A new client secret: only now is it known in clear."""

    secret_id: str
    secret: str
    hash: bytes

    def __repr__(self) -> str:
        """Never the secret."""
        return f"NewClientSecret({self.secret_id})"


class NewApiKey(Value, frozen=True, kw_only=True):
    """A new API key: only now is it known in clear."""

    key_id: str
    key: str
    hash: bytes

    def __repr__(self) -> str:
        """Never the key."""
        return f"NewApiKey({self.key_id})"


class ClientSecrets:
    """Makes and checks generated client secrets under the installation's pepper."""

    def __init__(self, pepper: bytes) -> None:
        self._keyed = hmac.new(pepper, b"client secret\0", "sha256")

    def generate(self) -> NewClientSecret:
        """A new secret: the prefix, an id that finds it, 256 random bits."""
        secret_id = secrets.token_hex(_ID_CHARS // 2)
        secret = f"{SECRET_PREFIX}{secret_id}{secrets.token_urlsafe(_SECRET_BYTES)}"
        return NewClientSecret(secret_id=secret_id, secret=secret, hash=self._hash(secret))

    def find(self, client: Client | None, secret: str, now_ms: int) -> ClientSecret | None:
        """The stored secret that matches, if it is the client's and has not expired."""
        secret_id = secret[len(SECRET_PREFIX) :][:_ID_CHARS]
        hashed = self._hash(secret)  # for an unknown client too, which takes as long
        secrets = client.secrets if client else ()
        kept = next((found for found in secrets if found.secret_id == secret_id), None)
        if not hmac.compare_digest(hashed, kept.hash if kept else bytes(len(hashed))) or kept is None:
            return None
        return kept if kept.is_live(now_ms) else None

    def _hash(self, secret: str) -> bytes:
        keyed = self._keyed.copy()
        keyed.update(secret.encode())
        return keyed.digest()


class ApiKeys:
    """Makes and checks API keys under the installation's pepper."""

    def __init__(self, pepper: bytes) -> None:
        self._keyed = hmac.new(pepper, b"api key\0", "sha256")

    def generate(self) -> NewApiKey:
        """A new key: the prefix, an id that finds it and is no secret, 256 random bits."""
        key_id = secrets.token_hex(_ID_CHARS // 2)
        key = f"{API_KEY_PREFIX}{key_id}{secrets.token_urlsafe(_SECRET_BYTES)}"
        return NewApiKey(key_id=key_id, key=key, hash=self._hash(key))

    @staticmethod
    def id_of(key: str) -> str | None:
        """The id within a key; None when the text does not have the shape of a key."""
        found = _API_KEY.fullmatch(key)
        return found[1] if found else None

    def matches(self, key: str, kept: bytes | None) -> bool:
        """Whether the stored hash is of this key; takes the same time, and is false, when none is stored."""
        if self.id_of(key) is None:
            return False  # a text without the shape of a key has no id, so time reveals nothing
        hashed = self._hash(key)
        return hmac.compare_digest(hashed, kept or bytes(len(hashed))) and kept is not None

    def _hash(self, key: str) -> bytes:
        keyed = self._keyed.copy()
        keyed.update(key.encode())
        return keyed.digest()
