"""Keeps the secrets of a server: the keys that sign tokens, and the pepper of client secrets.

They are in one file, `secrets.json` in the data directory, readable by its owner only, so that a stolen
database yields no token. Tokens are accepted under any key of the file. A new key signs half a second after
it was made, when every server that reads the file has it; or later by choice, where each machine has a copy
of the file. The pepper never changes: hashes under it cannot be made again.
"""

import hashlib
import json
import secrets
from base64 import b64decode, b64encode
from enum import StrEnum
from pathlib import Path
from typing import Any

from licet.model import Value
from licet.platforms import files

FILE_NAME = "secrets.json"
KEY_BYTES = 32
KEY_ID_MAX = 255  # it is one byte of each token
SIGNS_AFTER_MS = 500  # servers check the file every quarter of a second
FINGERPRINT_CHARS = 8  # enough to distinguish a few keys
KEYS_MAX = 16  # a guess: more rotations than anybody keeps alive at once


class KeyringCode(StrEnum):
    """Why the file of secrets cannot be used."""

    UNREADABLE = "unreadable"
    OPEN_TO_OTHERS = "open_to_others"
    DAMAGED = "damaged"
    UNWRITABLE = "unwritable"
    TOO_MANY = "too_many"


class KeyringUnusable(Exception):
    """The file of secrets is missing, damaged or readable by others; the text says how to fix it."""

    def __init__(self, code: KeyringCode, problem: str, advice: str = "") -> None:
        super().__init__(f"{problem}; {advice}" if advice else problem)
        self.code = code
        self.problem = problem
        self.advice = advice


class TokenKey(Value, frozen=True, kw_only=True):
    """A key that signs tokens from a moment on. `id`, 1 to 255, is in each token that it signed."""

    id: int
    key: bytes
    created_at_ms: int
    signs_at_ms: int

    def __repr__(self) -> str:
        """Never the key."""
        return f"TokenKey(id={self.id})"


class Keyring(Value, frozen=True, kw_only=True):
    """The secrets of one installation; the last token key is the newest."""

    token_keys: tuple[TokenKey, ...]
    pepper: bytes

    def __repr__(self) -> str:
        """Never a key."""
        return f"Keyring({len(self.token_keys)} token keys)"

    @property
    def newest(self) -> TokenKey:
        """The key that signs, now or soon."""
        return self.token_keys[-1]

    def signing(self, now_ms: int) -> TokenKey:
        """The key that signs at this instant: the newest that all servers have."""
        known = [key for key in self.token_keys if key.signs_at_ms <= now_ms]
        return known[-1] if known else self.token_keys[0]

    def rotated(self, now_ms: int, *, signs_after_ms: int = SIGNS_AFTER_MS) -> "Keyring":
        """The keyring with one more key, which signs after this time; the older ones are still accepted.

        Raises KeyringUnusable when there are too many already.
        """
        if len(self.token_keys) >= KEYS_MAX:
            raise KeyringUnusable(
                KeyringCode.TOO_MANY, f"there are {KEYS_MAX} keys already", "remove the older ones first"
            )
        taken = {key.id for key in self.token_keys}
        newest = self.newest.id
        free = next(
            number for step in range(KEY_ID_MAX) if (number := (newest + step) % KEY_ID_MAX + 1) not in taken
        )
        key = _new_key(free, now_ms, signs_after_ms)
        return Keyring(token_keys=(*self.token_keys, key), pepper=self.pepper)

    def pruned(self, now_ms: int) -> "Keyring":
        """The keyring without the keys before the one that signs: their tokens are no longer accepted."""
        signs = self.token_keys.index(self.signing(now_ms + SIGNS_AFTER_MS))
        return Keyring(token_keys=self.token_keys[signs:], pepper=self.pepper)


def new_keyring(now_ms: int) -> Keyring:
    """Fresh secrets."""
    return Keyring(token_keys=(_new_key(1, now_ms, SIGNS_AFTER_MS),), pepper=secrets.token_bytes(KEY_BYTES))


def fingerprint(secret: bytes) -> str:
    """A short text that identifies a secret of 256 random bits and reveals nothing else of it."""
    return hashlib.sha256(b"licet fingerprint\0" + secret).hexdigest()[:FINGERPRINT_CHARS]


def read_keyring(path: Path) -> Keyring:
    """The secrets of a file.

    Raises KeyringUnusable.
    """
    try:
        with path.open("rb") as file:
            is_open = files.is_open_to_others(path, file)
            text = file.read()
    except OSError as fault:
        problem = f"{path} cannot be read ({fault.strerror})"
        raise KeyringUnusable(KeyringCode.UNREADABLE, problem, "put back a copy of it") from None
    if is_open:
        problem, advice = f"{path} is readable by others", f"correct it: {files.how_to_close(path)}"
        raise KeyringUnusable(KeyringCode.OPEN_TO_OTHERS, problem, advice)
    try:
        return _decode(text)
    except (ValueError, KeyError, TypeError, AttributeError):
        advice = "put back a copy of it"
        raise KeyringUnusable(KeyringCode.DAMAGED, f"{path} is damaged", advice) from None


def write_keyring(path: Path, keyring: Keyring) -> None:
    """Write the file, whole or not at all, readable by its owner only.

    Raises KeyringUnusable.
    """
    try:
        files.write(path, _encode(keyring), replacing=True)
    except OSError as fault:
        problem = f"{path} cannot be written ({fault.strerror})"
        raise KeyringUnusable(KeyringCode.UNWRITABLE, problem) from None


def _new_key(number: int, now_ms: int, signs_after_ms: int) -> TokenKey:
    return TokenKey(
        id=number,
        key=secrets.token_bytes(KEY_BYTES),
        created_at_ms=now_ms,
        signs_at_ms=now_ms + signs_after_ms,
    )


def _encode(keyring: Keyring) -> bytes:
    keys = [
        {
            "id": key.id,
            "key": b64encode(key.key).decode(),
            "created_at_ms": key.created_at_ms,
            "signs_at_ms": key.signs_at_ms,
        }
        for key in keyring.token_keys
    ]
    return json.dumps({"pepper": b64encode(keyring.pepper).decode(), "token_keys": keys}, indent=1).encode()


def _decode(text: bytes) -> Keyring:
    content = json.loads(text)
    keys = tuple(map(_decode_key, content["token_keys"]))
    ids = {key.id for key in keys}
    if not keys or len(ids) != len(keys) or not ids.issubset(range(1, KEY_ID_MAX + 1)):
        raise ValueError("key ids")
    return Keyring(token_keys=keys, pepper=_secret(content["pepper"]))


def _decode_key(content: dict[str, Any]) -> TokenKey:
    created_at_ms = int(content["created_at_ms"])
    return TokenKey(
        id=int(content["id"]),
        key=_secret(content["key"]),
        created_at_ms=created_at_ms,
        # 0.1.0 had no time of its own.
        signs_at_ms=int(content.get("signs_at_ms", created_at_ms + SIGNS_AFTER_MS)),
    )


def _secret(text: str) -> bytes:
    secret = b64decode(text, validate=True)
    if len(secret) != KEY_BYTES:
        raise ValueError("key length")
    return secret
