"""A tenant of a real server with a signed pool, and the API of the licence's vendor behind a real guard.

The licences are signed with a key of the tests, and trusted and installed by the functions that the command
line calls. The guards go by the server's clock, which stands still until a test moves it.
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

BUILT = date(2023, 1, 1)  # before the clock of a test begins
INSTALLATION = "a text that the API's database keeps"


class LicensedTenant(ServedTenant):
    """Its pool `full` is not signed until `install`."""

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

    # What its vendor and its administrator do

    def signed(self, *, name: str = "C-1", serial: int = 1, **members: Any) -> str:
        """A licence of two seats with a hold of a minute; `claims` are its own, other members the pool's."""
        claims = {"iat": ISSUED_S} | members.pop("claims", {})
        pool = {"seats": 2, "scopes": ["all"], "hold": 60} | members
        pools = claims.pop("pools", {"full": pool})
        vendor = self.vendor
        return vendor.sign(
            vendor.claims(tenant=self.name, licence=name, serial=serial, pools=pools, **claims)
        )

    def install(self, *texts: str, trusted: Vendor | None = None) -> None:
        """Trust the vendor, and install these licences; by default one of two seats."""
        file = "".join(armoured(text) for text in texts or (self.signed(),)).encode()
        with self.server.changing() as change:
            trust(change, vendor_file(trusted or self.vendor.vendor))
            install(change, self.name, file)

    def use_jwts(self, access_ttl_s: int = 60) -> None:
        """From now on its access tokens are JWTs."""
        with self.server.changing() as change:
            change.tenant(self.name).set(token_format=TokenFormat.JWT, access_ttl_s=access_ttl_s)

    def log_off(self, granted: dict[str, Any]) -> dict[str, Any]:
        """The answer to a client that logs off."""
        answer = self.post("logoff", authorization=f"Bearer {granted['access_token']}")
        content: dict[str, Any] = answer.raise_for_status().json()
        return content

    def denied(self, client_id: str) -> tuple[str, int | None]:
        """Why a client gets no seat, and after how many seconds it may try again."""
        answer = self.ask("token", client_id, grant_type="client_credentials").json()
        return answer["reason"], answer.get("retry_after")

    # What its API does

    def licence(self, vendor: Vendor | None = None, **options: Any) -> Licence:
        """What the vendor has compiled into the API."""
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
        """A guard that counts; it introspects."""
        guard = Guard(self.url, "Api", PASSWORD, **self._usual(licence) | options)
        with _closing(guard):
            yield guard

    @contextmanager
    def jwt_guard(self, licence: Licence | None = None, **options: Any) -> Iterator[JwtGuard]:
        """A guard that counts; it checks JWTs by itself. The server has to date its answers by its clock."""
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
    """The seat of an answer with a JWT."""
    claims = jwt.decode(granted["access_token"], options={"verify_signature": False})
    seat: dict[str, Any] | None = claims.get("seat")
    return seat


def calls(guard: Guard, granted: dict[str, Any], method: str = "POST") -> str:
    """What the API answers: `ok`, or the status with the reason, or with the seconds to wait."""
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
