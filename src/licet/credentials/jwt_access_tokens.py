"""Issues and checks JWT access tokens (RFC 9068), without a store.

    base64url( header ) . base64url( claims ) . base64url( signature )

The rules:

- The header of a token is that of one of our keys, to the byte, or the token is not ours. So only the signer
  chooses algorithm, type and key: `none`, HS256 under the public key, a `jwk` or a `crit` in the header need
  no rule of their own.
- The key is one of the tenant's: of the previous, the current or the next period, under any key of the
  keyring.
- Issuer and audience are the tenant's own URL: a token of one tenant is not valid at another.
- Times are whole seconds, rounded down, so that no token outlives its session.

It may have expired, and its session may be over: the caller checks the clock and the store.
"""

from binascii import Error as NotBase64
from collections.abc import Mapping
from secrets import token_hex
from typing import Annotated

import msgspec
from msgspec import Meta

from licet.credentials.jose import decode, encode
from licet.credentials.jwt_signing_keys import KEYS_KEPT_MAX, PERIOD_MS, PUBLISHED_BEFORE_MS, JwtKey, JwtKeys
from licet.credentials.keyring import Keyring
from licet.credentials.seat_claim import SeatClaim, seat_claim
from licet.model import Session, Tenant, Value

# A client_id of 128 letters of 4 bytes, a scope of 512, a public_url of 255 and the longest names make 3,900.
JWT_CHARS_MAX = 4096

_PARTS = 3
_ID_BYTES = 16
_encode_json = msgspec.json.Encoder().encode


class Claims(Value, frozen=True, kw_only=True, omit_defaults=True):
    """The claims of an access token (RFC 9068 2.2); our own claims are those of introspection."""

    iss: str
    aud: str
    sub: str
    client_id: str
    username: str
    scope: str
    sid: Annotated[str, Meta(pattern=r"^[0-9a-f]{40}$")]
    iat: int
    exp: int
    jti: str
    pool: str | None = None
    read_only: bool | None = None  # absent in tokens of older versions
    seat: SeatClaim | None = None  # in a signed pool


_decode_claims = msgspec.json.Decoder(Claims).decode


class JwtTokens:
    """Signs and reads the tokens of all tenants, with the current keys, which are in `made_with`."""

    def __init__(self, keys: JwtKeys, keyring: Keyring, public_url: str, now_ms: int) -> None:
        self._keys = keys
        self._keyring = keyring
        self._public_url = public_url
        self._period = now_ms // PERIOD_MS
        # The newest key that verifiers have had time to fetch.
        self._signing = keyring.signing(now_ms - PUBLISHED_BEFORE_MS)
        self.made_with = (keyring, self._signing.id, self._period)
        self._by_header: dict[int, Mapping[bytes, JwtKey]] = {}

    def sign(
        self,
        session: Session,
        tenant: Tenant,
        *,
        issued_at_ms: int,
        expires_at_ms: int,
        scope: str,
        seat_number: int = 0,
    ) -> str:
        """An access token of this session; `seat_number` is that of its seat in a signed pool, else 0."""
        client, issuer = tenant.clients_by_key[session.client_key], self._issuer(tenant)
        pool = None if session.pool_id is None else tenant.pools.get(session.pool_id)
        claims = Claims(
            iss=issuer,
            aud=issuer,
            sub=f"client:{client.client_id}",
            client_id=client.client_id,
            username=client.user.initials,
            scope=scope,
            sid=session.sid.hex(),
            iat=issued_at_ms // 1000,
            exp=expires_at_ms // 1000,
            jti=token_hex(_ID_BYTES),
            pool=None if pool is None else pool.name,
            read_only=tenant.is_read_only(scope),
            seat=seat_claim(session, seat_number),
        )
        key = self._keys.key(self._signing, tenant.id, self._period)
        content = b"%b.%b" % (key.header, encode(_encode_json(claims)))
        return (b"%b.%b" % (content, key.sign(content))).decode("ascii")

    def read(self, token: str, tenant: Tenant) -> Claims | None:
        """The claims of a token of this tenant; None when it is not one."""
        if len(token) > JWT_CHARS_MAX or not token.isascii():
            return None
        parts = token.encode("ascii").split(b".")
        if len(parts) != _PARTS:
            return None
        header, claims, signature = parts
        key = self._of_tenant(tenant.id).get(header)
        if key is None or not key.is_signed(b"%b.%b" % (header, claims), signature):
            return None
        return self._read_claims(claims, self._issuer(tenant))

    def key_set(self, tenant: Tenant) -> list[Mapping[str, str]]:
        """The public keys of a tenant, the one that signs first (RFC 7517 5)."""
        signing = self._keys.key(self._signing, tenant.id, self._period)
        every = self._of_tenant(tenant.id).values()
        return [signing.jwk, *(key.jwk for key in every if key is not signing)]

    def _read_claims(self, encoded: bytes, issuer: str) -> Claims | None:
        try:
            claims = _decode_claims(decode(encoded))
        except (NotBase64, msgspec.MsgspecError, UnicodeError):
            return None
        return claims if claims.iss == claims.aud == issuer else None

    def _of_tenant(self, tenant_id: int) -> Mapping[bytes, JwtKey]:
        """The keys that a token may be signed with, by its header."""
        found = self._by_header.get(tenant_id)
        if found is None:
            periods = (self._period, self._period - 1, self._period + 1)
            keys = [
                self._keys.key(token_key, tenant_id, period)
                for token_key in reversed(self._keyring.token_keys)
                for period in periods
            ]
            if (len(self._by_header) + 1) * len(keys) > KEYS_KEPT_MAX:
                self._by_header.clear()
            found = self._by_header[tenant_id] = {key.header: key for key in keys}
        return found

    def _issuer(self, tenant: Tenant) -> str:
        return f"{self._public_url}/{tenant.name}"


def looks_like_jwt(token: str) -> bool:
    """Whether it may be one: three parts, and the first begins like a JSON object."""
    return token.startswith("eyJ") and token.count(".") == _PARTS - 1
