"""Defines `Guard`, which decides whether a request may pass, and who its caller is.

It fails closed: a token counts as live for a request that came before the token was introspected, and for as
long as the server allows to cache that. During an outage only the cache admits requests.
"""

import logging
import re
import ssl
import time
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import assert_never
from urllib.parse import urlsplit

from licet.guard.admission import Known
from licet.guard.cache import Cache, header_of
from licet.guard.counting import BELIEVED_S, Counting, Rules
from licet.guard.coverage import Place
from licet.guard.identity import Identity
from licet.guard.introspection import Dead, Introspection, Live, Secret, Unusable, last_segment
from licet.guard.introspector import LOOPBACK, Answering, Found, Introspector, IntrospectorConfig
from licet.guard.licence import Licence
from licet.guard.licence_source import Client, LicenceSource
from licet.guard.refusal import Refused, insufficient_scope, invalid_token, malformed, no_token, unavailable

CACHE = timedelta(seconds=5)  # at most; the server says how long it may be
CACHE_ENTRIES_MAX = 10_000  # some 8 MB, and 14 of JWTs
TIMEOUT = timedelta(seconds=3)  # a guess: introspection takes milliseconds
TOKEN_CHARS_MAX = 4096  # a reference token of Licet has at most 1024

# RFC 9110 9.2.1. TRACE is safe as well, but its answer shows the token.
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})

_LOG = logging.getLogger("licet.guard")
_BEARER = re.compile(r"(?i:bearer) +([A-Za-z0-9._~+/-]+=*) *")  # RFC 6750 2.1
_SCHEME = re.compile(r"(?i:bearer)(?: |$)")
_QUOTABLE = re.compile(r"[\x20\x21\x23-\x5b\x5d-\x7e]+")
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")  # RFC 6749 3.3
NOTHING = timedelta(0)
LOG_EVERY_S = 1.0


class Guard:
    """Admits requests with a live token of a tenant, and says who the caller is.

    - `tenant_url`: the URL before `/introspect`, such as `https://licence.example.com/Jim_Test`.
    - `client_id`, `client_secret`: of a client that may introspect.
    - `scopes`: the scopes that every request needs, all of them.
    - `read_only_scopes`: a token without any other scope is read-only here, whatever the server says.
    - `writing_scope`: the scope that a refusal names to a read-only caller.
    - `cache`: how long an answer is cached at most; 0 asks at every request. The server says how long it may
      be: not at all where another holder could get the token's seat at once.
    - `issuer`: of the tokens; None accepts any whose last part is the tenant's name.
    - `timeout`: for one introspection request; `allow_http`: also ask other machines without TLS.
    - `licence`: counts the seats again, whatever the server says (`licet.guard.licence`).

    Any thread and any event loop may use it. Raises ValueError when an argument is invalid.
    """

    def __init__(
        self,
        tenant_url: str,
        client_id: str,
        client_secret: str,
        *,
        scopes: Iterable[str] = (),
        read_only_scopes: Iterable[str] = (),
        writing_scope: str = "all",
        cache: timedelta = CACHE,
        cache_entries_max: int = CACHE_ENTRIES_MAX,
        timeout: timedelta = TIMEOUT,
        issuer: str | None = None,
        realm: str = "licet",
        allow_http: bool = False,
        ssl_context: ssl.SSLContext | None = None,
        licence: Licence | None = None,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        secret = Secret(client_secret)
        del client_secret  # so that a traceback with variables does not show it
        url = read_tenant_url(tenant_url, allow_http=allow_http)
        if not (is_text(client_id) and is_text(secret.reveal())):
            raise ValueError("client_id and client_secret must be text, and not be empty")
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
        self._asked_of = f"{url}introspect"
        self._shown = f"Guard({url!r}, {client_id!r})"
        how = IntrospectorConfig(
            introspection=Introspection(
                url=url,
                client_id=client_id,
                secret=secret,
                tenant=last_segment(url),
                issuer=issuer,
                is_counted=licence is not None,
            ),
            timeout_s=timeout.total_seconds(),
            cache=self._cache,
            known=Known(cache_entries_max),
            now_s=now_s,
        )
        self._introspector: Answering = Introspector(how, ssl_context)
        if licence is not None:
            self._count(licence, Client(url, client_id, secret, timeout.total_seconds()), ssl_context)

    def _keep_rules(
        self,
        *,
        scopes: Iterable[str],
        read_only_scopes: Iterable[str],
        writing_scope: str,
        realm: str,
        cache: timedelta,
        cache_entries_max: int,
        timeout: timedelta,
        now_s: Callable[[], float],
    ) -> None:
        """Keep the rules of every guard, however it checks a token.

        Raises ValueError.
        """
        self.scopes = _scopes("scopes", scopes)
        self.read_only_scopes = _scopes("read_only_scopes", read_only_scopes)
        (self._writing_scope,) = _scopes("writing_scope", [writing_scope])
        if not _QUOTABLE.fullmatch(realm):
            raise ValueError("realm must be printable ASCII without quotes and backslashes")
        if cache < NOTHING or timeout <= NOTHING or cache_entries_max < 1:
            raise ValueError("timeout and cache_entries_max must be more than nothing, and cache not less")
        self.realm = realm
        self._now_s = now_s
        self._logged_s = dict.fromkeys((logging.WARNING, logging.ERROR), -LOG_EVERY_S - 1)
        self._cache = Cache(life_s=cache.total_seconds(), entries_max=cache_entries_max)
        self._cache_s = cache.total_seconds()
        self._counting: Counting | None = None

    def _count(self, licence: Licence, client: Client, verify: ssl.SSLContext | None) -> None:
        """Count the seats of a licence from now on; the client may fetch it."""
        tenant = last_segment(client.url)
        place = Place(licence.vendor, tenant, licence.installation, licence.built)
        source = LicenceSource(client, place, now_s=self._now_s, wall_s=licence.wall_s, verify=verify)
        rules = Rules(
            realm=self.realm,
            tenant=tenant,
            read_only_scopes=self.read_only_scopes,
            cache_s=self._cache_s,
            timeout_s=client.timeout_s,
            now_s=self._now_s,
        )
        self._counting = Counting(licence, source, rules)

    def __repr__(self) -> str:
        shown: str = getattr(self, "_shown", f"{type(self).__name__}(...)")
        return shown

    def check(
        self,
        method: str,
        authorization: str | None,
        *,
        scopes: Iterable[str] = (),
        is_overridden: bool = False,
    ) -> Identity:
        """The caller of this request, which needs these scopes and the guard's; for threads.

        `is_overridden`: whether a header names another method. Raises Refused.
        """
        who = self.recall(_encoded(authorization))
        if who is None:
            token = self._token(authorization)
            who = self._live(self._recalled(token) or self._introspector.ask(token))
        permitted = self.permit(who, method, scopes, is_overridden=is_overridden)
        if permitted is None:
            assert self._counting is not None
            is_writing = is_overridden or method not in SAFE
            permitted = self._counting.admit(who, self._needed(scopes), is_writing=is_writing)
        return permitted

    async def acheck(
        self,
        method: str,
        authorization: str | None,
        *,
        scopes: Iterable[str] = (),
        is_overridden: bool = False,
    ) -> Identity:
        """As `check`, for tasks.

        Raises Refused.
        """
        who = self.recall(_encoded(authorization))
        if who is None:
            token = self._token(authorization)
            who = self._live(self._recalled(token) or await self._introspector.aask(token))
        permitted = self.permit(who, method, scopes, is_overridden=is_overridden)
        if permitted is None:
            assert self._counting is not None
            is_writing = is_overridden or method not in SAFE
            permitted = await self._counting.aadmit(who, self._needed(scopes), is_writing=is_writing)
        return permitted

    def recall(self, authorization: bytes) -> Identity | None:
        """The caller, if the cache has it; None where `check` is needed.

        A header is cached only when a token was read from it, so it is not parsed again. Raises Refused.
        """
        found = self._cache.recall(authorization, self._now_s())
        if isinstance(found, Live):
            return found.identity
        return None if found is None else self._live(found)

    def recall_permitted(
        self, authorization: bytes, method: str, scopes: Iterable[str] = (), *, is_overridden: bool
    ) -> Identity | None:
        """The caller, if the cache has it and it may do this; None where `check` is needed.

        It is `recall` and `permit` with one look at the clock. Raises Refused.
        """
        now_s = self._now_s()
        found = self._cache.recall(authorization, now_s)
        if found is None:
            return None
        who = found.identity if isinstance(found, Live) else self._live(found)
        return self.permit(who, method, scopes, is_overridden=is_overridden, now_s=now_s)

    def permit(
        self,
        who: Identity,
        method: str,
        scopes: Iterable[str] = (),
        *,
        is_overridden: bool,
        now_s: float | None = None,
    ) -> Identity | None:
        """Return the caller if it may do this; None where `check` has to ask whether its seat counts.

        Raises Refused.
        """
        needed = self.scopes.union(scopes) if scopes else self.scopes  # as `_needed`, without a call
        if not needed <= who.scopes:
            raise insufficient_scope(self.realm, needed, "The token has not all the scopes that this needs.")
        is_writing = is_overridden or method not in SAFE
        if is_writing and (who.read_only or who.scopes <= self.read_only_scopes):
            description = "The token is read-only: GET, HEAD and OPTIONS."
            raise insufficient_scope(self.realm, needed | {self._writing_scope}, description)
        counting = self._counting
        if counting is None:
            return who
        return counting.permit(who, needed, is_writing, self._now_s() if now_s is None else now_s)

    @property
    def rechecks_every_s(self) -> float | None:
        """How often an open WebSocket is checked again at most; None where it is not."""
        return None if self._counting is None else min(self._cache_s, BELIEVED_S)

    def now_s(self) -> float:
        """The time, by a clock that only goes forward."""
        return self._now_s()

    def close(self) -> None:
        """Close the connections that threads have used."""
        self._introspector.close()
        if self._counting is not None:
            self._counting.close()

    async def aclose(self) -> None:
        """Close the connections of this event loop."""
        await self._introspector.aclose()

    def _needed(self, scopes: Iterable[str]) -> frozenset[str]:
        return self.scopes.union(scopes) if scopes else self.scopes

    def _token(self, authorization: str | None) -> Secret:
        found = None if authorization is None else _BEARER.fullmatch(authorization)
        if found is not None and len(found[1]) <= TOKEN_CHARS_MAX:
            return Secret(found[1])
        if authorization is None or not _SCHEME.match(authorization):
            raise no_token(self.realm)
        raise malformed(self.realm)

    def _recalled(self, token: Secret) -> Found | None:
        return self._cache.recall(header_of(token), self._now_s())

    def _live(self, found: Found) -> Identity:
        """The caller of a live token.

        Raises Refused when it is not live, or when that is unknown.
        """
        match found:
            case Live(identity=identity):
                return identity
            case Dead(why=why):
                if why:
                    self._log_refusal(logging.WARNING, f"a token is refused: {why}")
                raise invalid_token(self.realm)
            case Unusable(why=why):
                self._log_refusal(logging.ERROR, f"{self._asked_of} {why}; requests are refused")
                raise unavailable()
            case _:
                assert_never(found)

    def _log_refusal(self, level: int, text: str) -> None:
        """Log why requests are refused, at most one line of each kind a second: anybody may send many."""
        now_s = self._now_s()
        if now_s >= self._logged_s[level] + LOG_EVERY_S:
            self._logged_s[level] = now_s
            _LOG.log(level, "%s", text)


OVERRIDING = frozenset({"x-http-method-override", "x-http-method", "x-method-override"})


def _encoded(authorization: str | None) -> bytes:
    return b"" if authorization is None else authorization.encode(errors="replace")


def _scopes(name: str, scopes: Iterable[str]) -> frozenset[str]:
    if isinstance(scopes, str):
        raise ValueError(f"{name} is a list of scopes, not one text")  # noqa: TRY004 - as all mistakes here
    found = frozenset(scopes)
    if not all(_SCOPE.fullmatch(scope) for scope in found):
        raise ValueError(f"{name} has one that is no scope")
    return found


def read_tenant_url(text: str, *, allow_http: bool) -> str:
    """A tenant's URL with a slash at its end.

    Raises ValueError.
    """
    try:
        parts = urlsplit(text)
        is_usable = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        is_usable = False
    if not is_usable or parts.query or parts.fragment or "@" in parts.netloc:
        raise ValueError("tenant_url must be an http or https URL without a user, a query and a fragment")
    url = f"{text.rstrip('/').removesuffix('/introspect')}/"
    if not last_segment(url):
        raise ValueError("tenant_url must end with the name of a tenant")
    if parts.scheme == "http" and parts.hostname not in LOOPBACK and not allow_http:
        raise ValueError("tenant_url is http, which others can read; use https, or say allow_http=True")
    return url


def is_text(text: str) -> bool:
    """Whether it is text that can be sent."""
    return text != "" and text.encode(errors="replace").decode() == text


__all__ = ["OVERRIDING", "Guard", "Refused"]
