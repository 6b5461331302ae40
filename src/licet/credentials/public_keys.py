"""Reads, bounds and shows the public keys by which clients authenticate, and verifies their signatures.

A key comes as a JWK or a set of them (RFC 7517), or in PEM. Other keys than public ones are refused: a
private key stays with the client, and a symmetric one is a shared secret. Each kind of key is used with the
algorithms of `ALGORITHMS` alone, so that nobody else chooses how a signature is checked (RFC 8725 3.1).

`cryptography` is imported when a key is first read.
"""

import json
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from licet.credentials.jose import canonical, encode, number, thumbprint
from licet.model import InvalidValue, PublicKey
from licet.refusal import Code

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

# By kind. EdDSA is called Ed25519 as well (RFC 9864), as some libraries do already.
ALGORITHMS: Final[Mapping[str, tuple[str, ...]]] = {
    "EC": ("ES256",),
    "OKP": ("EdDSA", "Ed25519"),
    "RSA": ("RS256", "PS256"),
}
TEXT_BYTES_MAX = 65_536  # of a file with keys; a guess, far above a set of a few
KEYS_READ_MAX = 16  # of one file, as many as a client may have
RSA_BITS_MIN = 2048  # RFC 7518 3.3
RSA_BITS_MAX = 4096  # a guess: a larger one costs the server more than an attacker
_EXPONENT_MAX = 2**32  # a larger one is slow, and not in use
_LOADED_MAX = 10_000  # some 20 MB

_MEMBERS: Final = {"EC": ("crv", "kty", "x", "y"), "OKP": ("crv", "kty", "x"), "RSA": ("e", "kty", "n")}
_PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})  # RFC 7518 6.2.2, 6.3.2, 6.4; RFC 8037 2
_BASE64URL = re.compile(r"[A-Za-z0-9_-]{1,1024}")
_PEM = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----")
_PEM_WHOLE = re.compile(r"-----BEGIN ([A-Z0-9 ]*PUBLIC KEY)-----.+?-----END \1-----", re.DOTALL)

_KEEP_PRIVATE = (
    "this is a private key, which stays with the client and goes nowhere else; give the public one:"
    " openssl pkey -in FILE -pubout"
)
_SHARED = "a shared key is a secret and no public key; let Licet generate a secret"
_KINDS = "a key is EC on P-256, Ed25519, or RSA of 2048 to 4096 bits"
_WHAT = "this is no public key: a JWK, a JWKS or PEM is; openssl pkey -in FILE -pubout makes one"


def read_keys(text: str) -> list[PublicKey]:
    """The keys of a text: a JWK, a JWKS or PEM. Keys for encryption in a JWKS are left out.

    Raises InvalidValue, whose text repeats nothing of the input.
    """
    if len(text.encode(errors="replace")) > TEXT_BYTES_MAX:
        text = f"a file with keys has {TEXT_BYTES_MAX} bytes at most"
        raise InvalidValue(text, code=Code.TOO_LONG, field="key", limit=TEXT_BYTES_MAX)
    keys = _read_pem(text) if "-----BEGIN" in text else _read_json(text)
    if not keys:
        raise _refused(_WHAT)
    if len(keys) > KEYS_READ_MAX:
        text = f"these are more than {KEYS_READ_MAX} keys"
        raise InvalidValue(text, code=Code.TOO_MANY, field="key", limit=KEYS_READ_MAX)
    return list({key.thumbprint: key for key in keys}.values())


def read_jwk(jwk: Mapping[str, Any]) -> PublicKey:
    """The key of a JWK (RFC 7517 4), with its `kid` and `alg`.

    Raises InvalidValue, whose text repeats nothing of the input.
    """
    kind = jwk.get("kty")
    if kind == "oct":
        raise _refused(_SHARED, Code.SHARED_KEY)
    if not _PRIVATE.isdisjoint(jwk):
        raise _refused(_KEEP_PRIVATE, Code.PRIVATE_KEY)
    if not isinstance(kind, str) or kind not in _MEMBERS:
        raise _refused(_KINDS, Code.UNSUPPORTED_KEY)
    members = {name: jwk.get(name) for name in _MEMBERS[kind]}
    if not all(isinstance(member, str) and _BASE64URL.fullmatch(member) for member in members.values()):
        raise _refused(f"this JWK is not whole: it needs {', '.join(_MEMBERS[kind])}")
    _must_be_for_signatures(jwk)
    return _made(_loaded(members), kid=_text(jwk, "kid"), algorithm=_text(jwk, "alg"))


def _refused(text: str, code: Code = Code.MALFORMED) -> InvalidValue:
    return InvalidValue(text, code=code, field="key")


def to_jwk(key: PublicKey) -> dict[str, Any]:
    """A key as a JWK, with its `kid` and `alg`, as it is shown and exported."""
    named = {"kid": key.kid, "alg": key.algorithm}
    return {**json.loads(key.jwk), **{name: value for name, value in named.items() if value is not None}}


def name_of(key: PublicKey) -> str:
    """The name that an assertion uses for it: its own `kid`, else its thumbprint."""
    return key.kid or key.thumbprint


def kind_of(key: PublicKey) -> str:
    """Its kind: `ES256`, `EdDSA`, or for RSA its algorithms."""
    if key.algorithm is not None:
        return key.algorithm
    kind: str = json.loads(key.jwk)["kty"]
    return " ".join(ALGORITHMS[kind]) if kind == "RSA" else ALGORITHMS[kind][0]


class Signatures:
    """Checks signatures; it loads each key once, and a bounded number of them."""

    def __init__(self) -> None:
        self._loaded: dict[str, tuple[str, Any]] = {}
        self._dummies: dict[tuple[str, int], Any] = {}
        self._algorithms: dict[str, Any] = {}

    @property
    def is_ready(self) -> bool:
        """Whether `prepare` was called."""
        return bool(self._algorithms)

    def prepare(self) -> None:
        """Import `cryptography`, which takes a tenth of a second the first time."""
        from jwt.algorithms import get_default_algorithms  # noqa: PLC0415 - few use it

        known = get_default_algorithms()
        algorithms = {name: known[name] for name in ("ES256", "EdDSA", "RS256", "PS256")}
        self._algorithms = algorithms | {"Ed25519": known["EdDSA"]}

    def find(
        self, keys: Sequence[PublicKey], algorithm: str, signed: bytes, signature: bytes, *, tries: int
    ) -> PublicKey | None:
        """The first of these keys that made the signature.

        When none did, it took `tries` tries, however many keys there are.
        """
        assert len(keys) <= tries
        if not self.is_ready:
            self.prepare()
        check, dummy = self._algorithms[algorithm], self._dummy(algorithm, len(signature))
        for key in keys:
            kind, loaded = self._load(key)
            fits = algorithm in ALGORITHMS[kind] and key.algorithm in {None, algorithm}
            # An RSA key refuses a signature of another length at once (RFC 8017 8.2.2).
            fits = fits and (kind != "RSA" or (loaded.key_size + 7) // 8 == len(signature))
            if check.verify(signed, loaded if fits else dummy, signature) and fits:
                return key
        for _ in range(tries - len(keys)):
            check.verify(signed, dummy, signature)
        return None

    def _load(self, key: PublicKey) -> tuple[str, Any]:
        found = self._loaded.get(key.jwk)
        if found is None:
            jwk = json.loads(key.jwk)
            while len(self._loaded) >= _LOADED_MAX:
                del self._loaded[next(iter(self._loaded))]
            found = self._loaded[key.jwk] = (jwk["kty"], _loaded(jwk))
        return found

    def _dummy(self, algorithm: str, signature_bytes: int) -> Any:
        """A key that nobody has, so that refusing an unknown client takes as long."""
        kind = next(kind for kind, names in ALGORITHMS.items() if algorithm in names)
        bits = min(max(signature_bytes * 8, RSA_BITS_MIN), RSA_BITS_MAX) if kind == "RSA" else 0
        found = self._dummies.get((kind, bits))
        if found is None:
            found = self._dummies[kind, bits] = _random(kind, bits)
        return found


def _random(kind: str, bits: int) -> Any:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa  # noqa: PLC0415 - few use it

    if kind == "EC":
        return ec.generate_private_key(ec.SECP256R1()).public_key()
    if kind == "OKP":
        return ed25519.Ed25519PrivateKey.generate().public_key()
    # No product of two primes, which would take a while to find: a check works with any modulus.
    modulus = secrets.randbits(bits) | 1 << (bits - 1) | 1
    return rsa.RSAPublicNumbers(65_537, modulus).public_key()


def _read_json(text: str) -> list[PublicKey]:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        raise _refused(_WHAT) from None
    if not isinstance(content, dict):
        raise _refused(_WHAT)
    if "keys" not in content:
        return [read_jwk(content)]
    found = content["keys"]
    if not isinstance(found, list) or not all(isinstance(jwk, dict) for jwk in found):
        raise _refused(_WHAT)
    return [read_jwk(jwk) for jwk in found if jwk.get("use") != "enc"]


def _read_pem(text: str) -> list[PublicKey]:
    from cryptography.hazmat.primitives.serialization import load_pem_public_key  # noqa: PLC0415 - few use it

    labels = _PEM.findall(text)
    if any("PRIVATE KEY" in label for label in labels):
        raise _refused(_KEEP_PRIVATE, Code.PRIVATE_KEY)
    if any("PUBLIC KEY" not in label for label in labels):
        raise _refused(f"{_WHAT}; of a certificate: openssl x509 -in FILE -pubkey -noout")
    return [
        _made(_understood(lambda block=block: load_pem_public_key(block.encode())))
        for block in _pem_blocks(text)
    ]


def _pem_blocks(text: str) -> Iterator[str]:
    return (found[0] for found in _PEM_WHOLE.finditer(text))


def _must_be_for_signatures(jwk: Mapping[str, Any]) -> None:
    """RFC 7517 4.2 and 4.3."""
    operations = jwk.get("key_ops", ["verify"])
    if jwk.get("use", "sig") != "sig" or not isinstance(operations, list) or "verify" not in operations:
        raise _refused(
            "this key is not for checking signatures, as its use or key_ops say", Code.UNSUPPORTED_KEY
        )


def _text(jwk: Mapping[str, Any], name: str) -> str | None:
    found = jwk.get(name)
    if found is not None and not isinstance(found, str):
        raise _refused(f"{name} of a JWK is a text")
    return found


def _loaded(jwk: Mapping[str, Any]) -> Any:
    from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm  # noqa: PLC0415 - few use it

    kinds: dict[str, Any] = {"EC": ECAlgorithm, "OKP": OKPAlgorithm, "RSA": RSAAlgorithm}
    return _understood(lambda: kinds[jwk["kty"]].from_jwk(dict(jwk)))


def _understood(load: Any) -> Any:
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415 - few use it
    from jwt.exceptions import InvalidKeyError  # noqa: PLC0415 - as above

    try:
        return load()
    except (ValueError, TypeError, InvalidKeyError, UnsupportedAlgorithm):
        raise _refused(_KINDS, Code.UNSUPPORTED_KEY) from None


def _made(loaded: "PublicKeyTypes", kid: str | None = None, algorithm: str | None = None) -> PublicKey:
    """The key, if its kind is one of `ALGORITHMS`; its JWK is written again in canonical form."""
    members = _members(loaded)
    if members is None:
        raise _refused(_KINDS, Code.UNSUPPORTED_KEY)
    if algorithm is not None and algorithm not in ALGORITHMS[members["kty"]]:
        allowed = ", ".join(ALGORITHMS[members["kty"]])
        raise _refused(f"the alg of this key can be {allowed}", Code.UNSUPPORTED_KEY)
    made = thumbprint(members)
    kid = None if kid in {"", made} else kid
    return PublicKey(thumbprint=made, jwk=canonical(members), kid=kid, algorithm=algorithm)


def _members(loaded: "PublicKeyTypes") -> dict[str, str] | None:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa  # noqa: PLC0415 - few use it

    match loaded:
        case ec.EllipticCurvePublicKey(curve=ec.SECP256R1()):
            point = loaded.public_numbers()
            return {"kty": "EC", "crv": "P-256", "x": number(point.x, 32), "y": number(point.y, 32)}
        case ed25519.Ed25519PublicKey():
            return {"kty": "OKP", "crv": "Ed25519", "x": encode(loaded.public_bytes_raw()).decode()}
        case rsa.RSAPublicKey():
            bits, numbers = loaded.key_size, loaded.public_numbers()
            if not RSA_BITS_MIN <= bits <= RSA_BITS_MAX or numbers.e > _EXPONENT_MAX:
                text = f"an RSA key has {RSA_BITS_MIN} to {RSA_BITS_MAX} bits; this one has {bits}"
                raise _refused(text, Code.UNSUPPORTED_KEY)
            return {"kty": "RSA", "e": number(numbers.e), "n": number(numbers.n)}
    return None
