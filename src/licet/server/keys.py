"""Loads the keys of a server, reads the key file again when it has changed, and makes tokens with them."""

import asyncio
from pathlib import Path

from licet.credentials.jwt_access_tokens import JwtTokens
from licet.credentials.jwt_signing_keys import JwtKeys
from licet.credentials.keyring import Keyring, read_keyring
from licet.credentials.tokens import Tokens


class Keys:
    """The keys in a file.

    The constructor raises KeyringUnusable.
    """

    def __init__(self, path: Path, public_url: str) -> None:
        self.path = path
        self._public_url = public_url
        self._seen = _modified(path)
        self._jwt_keys = JwtKeys()
        self.keyring: Keyring = read_keyring(path)

    @property
    def pepper(self) -> bytes:
        """The key of stored hashes; it never changes."""
        return self.keyring.pepper

    def tokens(self, now_ms: int) -> Tokens:
        """Tokens with the key that signs at this instant."""
        jwts = JwtTokens(self._jwt_keys, self.keyring, self._public_url, now_ms)
        return Tokens(self.keyring, self.keyring.signing(now_ms), jwts)

    async def has_changed(self) -> bool:
        """Read the file again if it has changed since the last call; return whether it had.

        Raises KeyringUnusable, and keeps the keys as they were.
        """
        seen = _modified(self.path)
        if seen == self._seen:
            return False
        self.keyring = await asyncio.to_thread(read_keyring, self.path)
        self._seen = seen
        return True


def _modified(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0  # Reading it will say why.
