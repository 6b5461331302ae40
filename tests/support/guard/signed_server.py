"""A forged token server: it answers whatever a test wants, but cannot sign licences.

It answers metadata, the key set, introspection and the licences over a socket, and makes tokens with a seat,
as JWTs or as references. The clocks of server and guards are one that moves when told to.
"""

import json
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime
from itertools import count
from typing import Any, Literal

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

from licet.guard import Guard, JwtGuard, Licence, OneProcess, SeatMemory
from licet.licences.vendor_file import vendor_file
from support.guard.calling import CONTEXT
from support.guard.issuing import jwk_of
from support.guard.seat_memories import Time
from support.licences.vendors import TestVendor
from support.web.http_site import PATIENCE_S, Asked, Reply, Site

TENANT = "Jim_Test"
BUILT = date(2026, 11, 1)
INSTALLATION = "a text that the API's database keeps"
Kind = Literal["introspection", "jwt"]
KEY = ec.generate_private_key(ec.SECP256R1())


class SignedServer:
    """The server with its `licences`. A test may change everything that it answers at any time."""

    def __init__(self, site: Site, time: Time, kind: Kind = "jwt") -> None:
        self.site = site
        self.time = time
        self.kind = kind
        self.url = f"{site.url}/{TENANT}"
        self.vendor = TestVendor()
        self.licences: list[Any] = [self.vendor.sign()]
        self.keys = [jwk_of(KEY)]
        self.key, self.kid = KEY, "first"
        self.is_down = False
        self.changed: dict[str, bytes] = {}  # other answers, by path
        self.cache_for: int | None = 5
        self.granted: list[str] = []  # the tokens for clients, in this order
        self.introspected: dict[str, dict[str, Any]] = {}
        self._numbers = count()
        site.answer = self._answer

    @property
    def fetches(self) -> int:
        """How often the licences were fetched."""
        return sum(asked.path == f"/{TENANT}/licences" for asked in self.site.asked)

    def token(self, number: Any = 1, client: str | None = "C1", **claims: Any) -> str:
        """A token. `seat` and other claims may be replaced; a claim that is None is left out."""
        iat = claims.pop("iat", int(self.time.s))
        usual: dict[str, Any] = {
            "iss": self.url,
            "aud": self.url,
            "sub": f"client:{client}",
            "client_id": client,
            "username": "TC",
            "scope": "all view",
            "sid": "0a0b",
            "pool": "full",
            "read_only": False,
            "iat": iat,
            "exp": iat + 600,
            "jti": str(next(self._numbers)),
            "seat": {"number": number, "counted_for": "client"},
        }
        said = {name: value for name, value in (usual | claims).items() if value is not None}
        if self.kind == "jwt":
            header = {"kid": self.kid, "typ": "at+jwt"}
            return jwt.PyJWS().encode(json.dumps(said).encode(), self.key, algorithm="ES256", headers=header)
        token = f"lca_{next(self._numbers):_<88}"
        self.introspected[token] = {"active": True, "token_type": "Bearer", **said}
        return token

    def licence(self, memory: SeatMemory | None = None, **options: Any) -> Licence:
        """The `Licence` that the vendor compiled into the API."""
        usual: dict[str, Any] = {
            "vendor": vendor_file(self.vendor.vendor),
            "product": "jim2-api",
            "built": BUILT,
            "installation": INSTALLATION,
            "memory": memory or OneProcess(now_s=self.time.now_s),
            "wall_s": self.time.now_s,
        }
        return Licence(**usual | options)

    def guard(self, licence: Licence | None = None, *, is_counting: bool = True, **options: Any) -> Guard:
        """A guard that counts seats. One for JWTs accepts them from the future, as introspection does."""
        usual: dict[str, Any] = {
            "ssl_context": CONTEXT,
            "timeout": timedelta(seconds=PATIENCE_S),
            "now_s": self.time.now_s,
            "read_only_scopes": ["view"],
            "licence": (licence or self.licence()) if is_counting else None,
            "cache": timedelta(seconds=5),
        }
        if self.kind == "introspection":
            return Guard(self.url, "Api", "password", **usual | options)
        more = {"wall_s": self.time.now_s, "leeway": timedelta(days=100), "client_id": "Api"}
        return JwtGuard(self.url, client_secret="password", **usual | more | options)

    def _answer(self, asked: Asked) -> Reply | bytes:
        if self.is_down:
            return b""
        return self._usual(asked)

    def _usual(self, asked: Asked) -> Reply | bytes:
        path = asked.path.removeprefix(f"/{TENANT}/")
        if path in self.changed:
            return self.changed[path]
        content = self._content(path, asked)
        return Reply(404, b"{}", {}) if content is None else self._says(content)

    def _content(self, path: str, asked: Asked) -> dict[str, Any] | None:
        match path:
            case ".well-known/oauth-authorization-server":
                return {"issuer": self.url, "jwks_uri": f"{self.url}/jwks.json"}
            case "jwks.json":
                return {"keys": self.keys}
            case "introspect":
                found = self.introspected.get(asked.form["token"], {"active": False})
                return found if self.cache_for is None else {**found, "cache_for": self.cache_for}
            case "token":
                return {"access_token": self.granted.pop(0), "expires_in": 60, "refresh_token": "refresh"}
            case "licences" if "authorization" in asked.headers:
                return {"licences": self.licences}
        return None

    def _says(self, content: Any) -> bytes:
        """The bytes of an answer; the HTTP library would date it by the clock of the machine."""
        body = json.dumps(content).encode()
        at = format_datetime(datetime.fromtimestamp(int(self.time.s), UTC), usegmt=True)
        head = f"HTTP/1.1 200 OK\r\ndate: {at}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
        return head.encode() + body
