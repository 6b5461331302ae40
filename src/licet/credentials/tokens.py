"""Issues and checks reference tokens, without a store.

A token names its session and is signed; nothing about it is stored. The store alone says whether the session
is alive, so that a logoff is final at once.

    access token   lca_ base64url( version, key id, sid, issue, expiry, scope, signature )
    refresh token  lcr_ base64url( version, key id, sid, signature )

version and key id are one byte each, sid 20, issue and expiry 6 (milliseconds since 1970), the
signature 32: HMAC-SHA-256 over prefix, tenant id and all bytes before it. scope is empty when it is the
session's; it ends in NULs so that the length is a multiple of three, and every token has one spelling only.

A tenant may have JWTs as access tokens instead (`licet.credentials.jwt_access_tokens`). A token's form shows
its kind, so that older tokens go on working after a tenant changes it.
"""

import hmac
import secrets
from binascii import Error as NotBase64
from binascii import a2b_base64, b2a_base64
from collections.abc import Iterator
from hashlib import sha256

from licet.credentials.jwt_access_tokens import JwtTokens, looks_like_jwt
from licet.credentials.keyring import Keyring, TokenKey
from licet.model import Session, Tenant, TokenFormat, Value

ACCESS_PREFIX = "lca_"
REFRESH_PREFIX = "lcr_"  # a prefix for secret scanners
SID_BYTES = 20
KNOWN_MAX = 16_384  # good access tokens that are remembered: some 8 MB, or 16 of JWTs
TOKEN_CHARS_MAX = 1024  # an access token is 92 characters and a third more than its scope

_VERSION = 1
_SIGNATURE_BYTES = 32
_BLOCK_BYTES = 64  # of SHA-256
_REFRESH_BODY_BYTES = 2 + SID_BYTES
_ACCESS_BODY_BYTES = _REFRESH_BODY_BYTES + 12
_TO_URL = bytes.maketrans(b"+/", b"-_")
_FROM_URL = bytes.maketrans(b"-_+/=", b"+/   ")  # a character outside the URL alphabet becomes an error
_ACCESS = ACCESS_PREFIX.encode()
_REFRESH = REFRESH_PREFIX.encode()


class AccessToken(Value, frozen=True, kw_only=True):
    """The content of an access token; `scope` is '' when it is its session's."""

    sid: bytes
    issued_at_ms: int
    expires_at_ms: int
    scope: str


def new_sid(now_ms: int) -> bytes:
    """A new session id: the time, so that new rows are together on disk, and 128 random bits."""
    moment = (now_ms >> 4) & 0xFFFFFFFF  # it repeats after two years, which does no harm
    return moment.to_bytes(4, "big") + next(_random_bytes)


def _pool_of_random_bytes() -> Iterator[bytes]:
    """Random bytes for one id after the other, read from the system for many at once.

    Each read releases the interpreter's lock, which costs more than the bytes. After a fork both processes
    would use the same bytes: servers do not fork.
    """
    count = SID_BYTES - 4
    while True:
        many = secrets.token_bytes(count * 256)
        yield from (many[at : at + count] for at in range(0, len(many), count))


_random_bytes = _pool_of_random_bytes()


class Tokens:
    """Makes tokens with one key, by default the newest, and checks them with any.

    Without `jwts` there are reference tokens only. An API sends the same access token again and again: the
    content of a valid one is cached, so that its signature is checked once. Whether its session is alive is
    checked elsewhere. Whoever could read the cache in memory could read the keys there. Use it from one
    thread. `made_with` are the keys: with the same keys, another instance gives the same answers.
    """

    __slots__ = ("__weakref__", "_head", "_key", "_keys", "_known", "jwts", "made_with")

    def __init__(
        self, keyring: Keyring, signing: TokenKey | None = None, jwts: JwtTokens | None = None
    ) -> None:
        self.jwts = jwts
        self._known: dict[tuple[str, int, int], AccessToken] = {}
        key = signing or keyring.newest
        self._keys = {it.id: _Mac(it.key) for it in keyring.token_keys}
        self._key = self._keys[key.id]
        self.made_with = (keyring, key.id, None if jwts is None else jwts.made_with)
        self._head = bytes((_VERSION, key.id))

    def access(
        self,
        session: Session,
        tenant: Tenant,
        *,
        issued_at_ms: int,
        expires_at_ms: int,
        scope: str,
        seat_number: int = 0,
    ) -> str:
        """An access token of this session, of the kind that its tenant uses.

        `seat_number` is that of its seat in a signed pool (L13), else 0; a reference says nothing of it.
        """
        if tenant.token_format is TokenFormat.JWT and self.jwts is not None:
            return self.jwts.sign(
                session,
                tenant,
                issued_at_ms=issued_at_ms,
                expires_at_ms=expires_at_ms,
                scope=scope,
                seat_number=seat_number,
            )
        life = issued_at_ms.to_bytes(6, "big") + expires_at_ms.to_bytes(6, "big")
        written = b"" if scope == session.scope else scope.encode("ascii")
        padding = bytes(-len(written) % 3)
        body = self._head + session.sid + life + written + padding
        return self._sign(_ACCESS, session.tenant_id, body)

    def refresh(self, session: Session) -> str:
        """The refresh token of this session: the same one as long as the key is the same."""
        return self._sign(_REFRESH, session.tenant_id, self._head + session.sid)

    def read_access(self, token: str, tenant: Tenant) -> AccessToken | None:
        """The content of a token of this tenant; None when it is not one. It may have expired."""
        key = (token, tenant.id, tenant.version)
        known = self._known.get(key)
        if known is None and (known := self._read_access(token, tenant)) is not None:
            if len(self._known) >= KNOWN_MAX:
                self._known.clear()
            self._known[key] = known
        return known

    def _read_access(self, token: str, tenant: Tenant) -> AccessToken | None:
        if looks_like_jwt(token):
            return self._read_jwt(token, tenant)
        body = self._verified(_ACCESS, tenant.id, token)
        if body is None or len(body) < _ACCESS_BODY_BYTES:
            return None
        issued, expires = body[_REFRESH_BODY_BYTES:][:6], body[_REFRESH_BODY_BYTES + 6 :][:6]
        return AccessToken(
            sid=body[2:_REFRESH_BODY_BYTES],
            issued_at_ms=int.from_bytes(issued, "big"),
            expires_at_ms=int.from_bytes(expires, "big"),
            scope=body[_ACCESS_BODY_BYTES:].rstrip(b"\0").decode("ascii"),
        )

    def read_refresh(self, token: str, tenant_id: int) -> bytes | None:
        """The session of a refresh token of this tenant; None when it is not one."""
        body = self._verified(_REFRESH, tenant_id, token)
        return None if body is None or len(body) != _REFRESH_BODY_BYTES else body[2:]

    def _read_jwt(self, token: str, tenant: Tenant) -> AccessToken | None:
        claims = None if self.jwts is None else self.jwts.read(token, tenant)
        if claims is None:
            return None
        return AccessToken(
            sid=bytes.fromhex(claims.sid),
            issued_at_ms=claims.iat * 1000,
            expires_at_ms=claims.exp * 1000,
            scope=claims.scope,
        )

    def _sign(self, prefix: bytes, tenant_id: int, body: bytes) -> str:
        signed = body + _signature(self._key, prefix, tenant_id, body)
        return (prefix + b2a_base64(signed, newline=False).translate(_TO_URL)).decode("ascii")

    def _verified(self, prefix: bytes, tenant_id: int, token: str) -> bytes | None:
        if len(token) > TOKEN_CHARS_MAX or not token.isascii():
            return None
        spelled = token.encode("ascii")
        if not spelled.startswith(prefix):
            return None
        try:
            signed = a2b_base64(spelled[len(prefix) :].translate(_FROM_URL), strict_mode=True)
        except NotBase64:
            return None
        body, signature = signed[:-_SIGNATURE_BYTES], signed[-_SIGNATURE_BYTES:]
        if len(body) < _REFRESH_BODY_BYTES or body[0] != _VERSION or (key := self._keys.get(body[1])) is None:
            return None
        good = hmac.compare_digest(signature, _signature(key, prefix, tenant_id, body))
        return body if good else None


class _Mac:
    """HMAC-SHA-256 with one key (RFC 2104 section 2), which is absorbed once.

    `hmac` does the same by an object of Python for each message, which takes 3 us of the interpreter, and so
    6 of a grant's two tokens; this takes 1.8 for each.
    """

    __slots__ = ("_inner", "_outer")

    def __init__(self, key: bytes) -> None:
        block = (sha256(key).digest() if len(key) > _BLOCK_BYTES else key).ljust(_BLOCK_BYTES, b"\0")
        self._inner = sha256(bytes(byte ^ 0x36 for byte in block))
        self._outer = sha256(bytes(byte ^ 0x5C for byte in block))

    def digest(self, message: bytes) -> bytes:
        """The code of a message."""
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(message)
        outer.update(inner.digest())
        return outer.digest()


def _signature(key: _Mac, prefix: bytes, tenant_id: int, body: bytes) -> bytes:
    return key.digest(prefix + tenant_id.to_bytes(8, "big") + body)
