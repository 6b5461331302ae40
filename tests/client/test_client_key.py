"""`licet.client` with a private key: it signs an assertion for each request (RFC 7523 2.2)."""

import sys
from collections.abc import Iterator
from itertools import count
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from licet.client import LicetAuth, TokenRefused
from support.guard.calling import ManualTiming, Program, auth_for
from support.many import few
from support.server.served_tenant import ServedTenant
from support.web.http_site import Asked, Reply, Site, says
from support.web.signing import Signer

ALGORITHMS = ("ES256", "EdDSA", "RS256")
URL = "https://licence.example.com/Jim_Test"
UNHEARD_OF = (  # PKCS #8 of the algorithm 1.2.3.4
    "-----BEGIN PRIVATE KEY-----\nMCwCAQAwBQYDKgMEBCABAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQ==\n"
    "-----END PRIVATE KEY-----\n"
)


@pytest.fixture(scope="module")
def api() -> Iterator[Site]:
    """An API that takes every token."""
    with Site() as site:
        site.answer = lambda _: says(200, {})
        yield site


class ServersTiming(ManualTiming):
    """The clock of a program whose wall clock is the server's."""

    def __init__(self, tenant: ServedTenant) -> None:
        super().__init__()
        self._clock = tenant.server.clock

    def wall_s(self) -> float:
        """Seconds since 1970."""
        return self._clock.now_ms() / 1000


def pem(private: Any, password: bytes | None = None) -> str:
    encryption = NoEncryption() if password is None else BestAvailableEncryption(password)
    found: bytes = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
    return found.decode()


def signed_by(
    signer: Signer, tenant: ServedTenant, api: Site, timing: ManualTiming, **options: Any
) -> LicetAuth:
    url = f"{tenant.server.url}/{tenant.name}"
    return auth_for(url, api.url, timing, secret=None, private_key=pem(signer.private), **options)


@pytest.mark.parametrize(
    ("algorithm", "is_strict"),
    few([*((it, True) for it in ALGORITHMS), *((it, False) for it in ALGORITHMS)], len(ALGORITHMS) + 1),
)
def test_a_block_authenticates_by_its_key_and_gives_the_seat_back(
    tenant: ServedTenant, api: Site, program: Program, algorithm: str, *, is_strict: bool
) -> None:
    """RFC 7523 2.2: grant, refresh and logoff; each request has an assertion of its own.

    An RSA key signs by PS256, which a tenant with strict assertions takes as well.
    """
    signer, timing = Signer.new(algorithm), ServersTiming(tenant)
    with tenant.server.changing() as change:
        setup = change.tenant(tenant.name)
        setup.set(strict_assertions=is_strict)
        setup.add_key("TestClientId", signer.key)
        setup.set_client("TestClientId", password_allowed=False)
    seats = []
    numbers = count()

    def answer(_: Asked) -> Reply:
        seats.append(tenant.seats_in_use())
        return says(200 if next(numbers) % 2 else 401)

    api.answer = answer
    auth = signed_by(signer, tenant, api, timing, key_id=signer.key.thumbprint)
    for _ in range(2):
        assert program.call(auth, "GET", api.url).status_code == 200
    timing.advance(700)
    tenant.server.advance(seconds=700)
    assert program.within(auth, api.url).status_code == 200
    assert set(seats) == {1}
    assert tenant.seats_in_use() == 0


def test_another_key_is_refused(tenant: ServedTenant, api: Site, program: Program) -> None:
    """RFC 6749 5.2."""
    auth = signed_by(Signer.new("ES256"), tenant, api, ServersTiming(tenant))
    with pytest.raises(TokenRefused, match="invalid_client"):
        program.call(auth, "GET", api.url)


def test_what_it_says_is_short_lived_and_for_the_issuer() -> None:
    """RFC 7523 3, draft-ietf-oauth-rfc7523bis; and it never says the same again."""
    signer = Signer.new("ES256")
    auth = LicetAuth(
        f"{URL}/token", "TestClientId", private_key=pem(signer.private), key_id="2026-11", api=URL
    )
    found = []
    for request in (auth._server.grant(), auth._server.grant()):
        form = dict(it.split("=") for it in request.content.decode().split("&"))
        assert "Authorization" not in request.headers
        assert form["client_id"] == "TestClientId"
        text = form["client_assertion"]
        assert jwt.get_unverified_header(text) == {"alg": "ES256", "kid": "2026-11", "typ": "JWT"}
        found.append(jwt.decode(text, signer.private.public_key(), ["ES256"], audience=URL))
    for said in found:
        assert (said["iss"], said["sub"], said["exp"] - said["iat"]) == ("TestClientId", "TestClientId", 60)
    assert found[0]["jti"] != found[1]["jti"]


def test_nothing_prints_the_key() -> None:
    """Nor is a class made to."""
    auth = LicetAuth(URL, "TestClientId", private_key=pem(Signer.new("EdDSA").private), api=URL)
    assert repr(auth._server.proof) == "Signing(EdDSA)"
    assert "PRIVATE" not in repr(auth) + repr(auth._server) + repr(vars(auth._server.proof))


@pytest.mark.parametrize(
    "key",
    [
        "",
        "rubbish",
        Signer.new("ES256").pem,
        pem(ec.generate_private_key(ec.SECP384R1())),
        pem(ed448.Ed448PrivateKey.generate()),
        pem(Signer.new("ES256").private, b"locked"),
        UNHEARD_OF,
    ],
)
def test_what_is_no_private_key_is_refused_without_a_word_of_it(key: str) -> None:
    """At once, and not when the first request is made."""
    with pytest.raises(ValueError, match="private_key") as refused:
        LicetAuth(URL, "TestClientId", private_key=key, api=URL)
    assert "-----" not in str(refused.value)


def test_a_secret_and_a_key_exclude_each_other() -> None:
    """RFC 6749 2.3: one way of authentication."""
    both: dict[str, Any] = {"client_secret": "a", "private_key": pem(Signer.new("ES256").private)}
    for options in (both, {}):
        with pytest.raises(ValueError, match="either client_secret or private_key"):
            LicetAuth(URL, "TestClientId", api=URL, **options)


def test_without_pyjwt_it_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """The base install has httpx and nothing else; a secret needs no more."""
    monkeypatch.setitem(sys.modules, "jwt", None)
    with pytest.raises(ImportError, match=r"pip install 'pyjwt\[crypto\]'"):
        LicetAuth(URL, "TestClientId", private_key=pem(Signer.new("ES256").private), api=URL)
    LicetAuth(URL, "TestClientId", "secret", api=URL)
