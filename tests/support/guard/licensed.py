"""A tenant with a signed pool on a real server, and the vendor's API behind a real guard.

The licences are signed with a key of the tests. They are installed with the functions that the command line
calls. The guards use the server's clock, which a test moves.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from typing import Any

import jwt

from licet.cli.run.demo import PASSWORD
from licet.guard import Guard, JwtGuard, Licence, OneProcess, Refused
from licet.licences.armour import armoured
from licet.licences.vendor_file import Vendor, vendor_file
from licet.model import SEATS_MAX, TokenFormat
from licet.setup.licences import install, trust
from support.guard.calling import CONTEXT
from support.licences.signed_pools import ISSUED_S, the_vendor
from support.licences.vendors import TestVendor
from support.server.running import RunningServer
from support.server.served_tenant import ServedTenant
from support.web.http_site import PATIENCE_S

BUILT = date(2023, 1, 1)  # before the start of a test's clock
INSTALLATION = "a text that the API's database keeps"


class LicensedTenant(ServedTenant):
    """The tenant; its pool `full` is signed from `install` on."""

    def __init__(self, server: RunningServer, name: str, vendor: TestVendor | None = None) -> None:
        super().__init__(server, name)
        with server.changing() as change:
            change.tenant(name).set_pool("full", seats=SEATS_MAX)  # more than is signed
        self.url = f"{server.url}/{name}"
        self.vendor = vendor or the_vendor()
        self.memory = OneProcess(now_s=self.now_s)

    def now_s(self) -> float:
        """The server's time."""
        return self.server.clock.now_ms() / 1000

    # Actions of the vendor and of the administrator

    def signed(self, *, name: str = "C-1", serial: int = 1, **members: Any) -> str:
        """Sign two seats with a hold of a minute; `claims` changes claims, `members` members of the pool."""
        claims = {"iat": ISSUED_S} | members.pop("claims", {})
        pool = {"seats": 2, "scopes": ["all"], "hold": 60} | members
        pools = claims.pop("pools", {"full": pool})
        vendor = self.vendor
        return vendor.sign(
            vendor.claims(tenant=self.name, licence=name, serial=serial, pools=pools, **claims)
        )

    def install(self, *texts: str, trusted: Vendor | None = None) -> None:
        """Trust the vendor and install these licences, by default one of two seats."""
        file = "".join(armoured(text) for text in texts or (self.signed(),)).encode()
        with self.server.changing() as change:
            trust(change, vendor_file(trusted or self.vendor.vendor))
            install(change, self.name, file)

    def use_jwts(self, access_ttl_s: int = 60) -> None:
        """Make the tenant issue JWTs as access tokens."""
        with self.server.changing() as change:
            change.tenant(self.name).set(token_format=TokenFormat.JWT, access_ttl_s=access_ttl_s)

    def log_off(self, granted: dict[str, Any]) -> dict[str, Any]:
        """Log off with this token, and return the answer."""
        answer = self.post("logoff", authorization=f"Bearer {granted['access_token']}")
        content: dict[str, Any] = answer.raise_for_status().json()
        return content

    def denied(self, client_id: str) -> tuple[str, int | None]:
        """The reason why a client gets no seat, and the `retry_after` of the answer."""
        answer = self.ask("token", client_id, grant_type="client_credentials").json()
        return answer["reason"], answer.get("retry_after")

    # Actions of the API

    def licence(self, vendor: Vendor | None = None, **options: Any) -> Licence:
        """The `Licence` that the vendor compiled into the API."""
        usual: dict[str, Any] = {
            "vendor": vendor_file(vendor or self.vendor.vendor),
            "product": "jim2-api",
            "built": BUILT,
            "installation": INSTALLATION,
            "memory": self.memory,
            "wall_s": self.now_s,
        }
        return Licence(**usual | options)

    @contextmanager
    def guard(self, licence: Licence | None = None, **options: Any) -> Iterator[Guard]:
        """A guard that introspects and counts seats."""
        guard = Guard(self.url, "Api", PASSWORD, **self._usual(licence) | options)
        with _closing(guard):
            yield guard

    @contextmanager
    def jwt_guard(self, licence: Licence | None = None, **options: Any) -> Iterator[JwtGuard]:
        """A guard that checks JWTs and counts seats. The server must date its answers by the test's clock."""
        more = {"client_id": "Api", "client_secret": PASSWORD, "wall_s": self.now_s}
        guard = JwtGuard(self.url, **self._usual(licence) | more | options)
        with _closing(guard):
            yield guard

    def _usual(self, licence: Licence | None) -> dict[str, Any]:
        return {
            "ssl_context": CONTEXT,
            "timeout": timedelta(seconds=PATIENCE_S),
            "now_s": self.now_s,
            "read_only_scopes": ["view"],
            "licence": licence or self.licence(),
        }


def seat_of(granted: dict[str, Any]) -> dict[str, Any] | None:
    """The claim `seat` of an answer's JWT."""
    claims = jwt.decode(granted["access_token"], options={"verify_signature": False})
    seat: dict[str, Any] | None = claims.get("seat")
    return seat


def calls(guard: Guard, granted: dict[str, Any], method: str = "POST") -> str:
    """The answer of the API: `ok`, or the status with the reason or with the seconds to wait."""
    try:
        guard.check(method, f"Bearer {granted['access_token']}")
    except Refused as refused:
        return f"{refused.status} {refused.reason or refused.headers.get('Retry-After', refused.error)}"
    return "ok"


@contextmanager
def _closing(guard: Guard) -> Iterator[None]:
    try:
        yield
    finally:
        guard.close()
