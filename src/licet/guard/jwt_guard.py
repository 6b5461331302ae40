"""Defines `JwtGuard`, which checks JWT access tokens without introspection (RFC 9068 4).

    guard = JwtGuard("https://licence.example.com/Jim_Test")

For a tenant with `token_format` jwt. It fetches the issuer's keys every five minutes and needs no client of
its own. The price: it does not learn of a logoff. A token is valid until it expires, after a minute by
default.
"""

import ssl
import time
from collections.abc import Callable, Iterable
from datetime import timedelta

from licet.guard.guard import CACHE, CACHE_ENTRIES_MAX, NOTHING, TIMEOUT, Guard, is_text, read_tenant_url
from licet.guard.introspection import Secret, last_segment
from licet.guard.licence import Licence
from licet.guard.licence_source import Client

LEEWAY = timedelta(seconds=10)  # a guess: by how much the clocks of two maintained machines differ


class JwtGuard(Guard):
    """Admits requests with a valid JWT of a tenant, and says who the caller is.

    - `tenant_url`: the tenant's URL, such as `https://licence.example.com/Jim_Test`.
    - `issuer`: of the tokens; None is `tenant_url`. `audience`: of the tokens; None is the issuer.
    - `leeway`: by how much a token may be from the future.
    - `licence`: counts the seats again (`licet.guard.licence`); it is fetched as `client_id` with
      `client_secret`, a client that may introspect.
    - `cache`: how long a verified token is cached, which costs less than to verify it again.
    - The others are `Guard`'s.

    Raises ValueError when an argument is invalid, ImportError without the extra `licet[jwt]`.
    """

    def __init__(
        self,
        tenant_url: str,
        *,
        issuer: str | None = None,
        audience: str | None = None,
        scopes: Iterable[str] = (),
        read_only_scopes: Iterable[str] = (),
        writing_scope: str = "all",
        leeway: timedelta = LEEWAY,
        cache: timedelta = CACHE,
        cache_entries_max: int = CACHE_ENTRIES_MAX,
        timeout: timedelta = TIMEOUT,
        realm: str = "licet",
        allow_http: bool = False,
        ssl_context: ssl.SSLContext | None = None,
        licence: Licence | None = None,
        client_id: str = "",
        client_secret: str = "",
        now_s: Callable[[], float] = time.monotonic,
        wall_s: Callable[[], float] = time.time,
    ) -> None:
        _must_have_pyjwt()
        from licet.guard import claims, issuer_keys  # noqa: PLC0415 - PyJWT is an extra

        secret = Secret(client_secret)
        del client_secret  # as of `Guard`
        url = read_tenant_url(tenant_url, allow_http=allow_http)
        if leeway < NOTHING:
            raise ValueError("leeway must not be less than nothing")
        self._keep_rules(
            scopes=scopes,
            read_only_scopes=read_only_scopes,
            writing_scope=writing_scope,
            realm=realm,
            cache=cache,
            cache_entries_max=cache_entries_max,
            timeout=timeout,
            now_s=now_s,
        )
        expected_issuer = url.rstrip("/") if issuer is None else issuer
        self._asked_of = f"the keys of {url}"
        self._shown = f"JwtGuard({url!r})"
        self._introspector = issuer_keys.JwtVerifier(
            issuer_keys.Source(url, expected_issuer, timeout.total_seconds(), allow_http, now_s, wall_s),
            claims.Expected(
                tenant=last_segment(url),
                issuer=expected_issuer,
                audience=expected_issuer if audience is None else audience,
                leeway_s=leeway.total_seconds(),
                is_counted=licence is not None,
            ),
            self._cache,
            ssl_context,
        )
        if licence is not None:
            if not (is_text(client_id) and is_text(secret.reveal())):
                raise ValueError("a licence needs client_id and client_secret, to fetch it with")
            self._count(licence, Client(url, client_id, secret, timeout.total_seconds()), ssl_context)


def _must_have_pyjwt() -> None:
    """Return if the extra is installed.

    Raises ImportError.
    """
    try:
        from licet.guard import claims  # noqa: F401, PLC0415 - PyJWT is an extra
    except ModuleNotFoundError as missing:
        raise ImportError(
            f"JwtGuard needs PyJWT ({missing.name} is missing): pip install 'pyjwt[crypto]'"
        ) from None
