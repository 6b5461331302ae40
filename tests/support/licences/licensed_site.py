"""Licences of the tests' vendor for the tenants of a running server with a dashboard."""

from typing import Any

from licet.licences.armour import armoured
from licet.setup.licences import install, trust
from licet.units import DAY_MS
from support.admin.dashboard import DashboardSite
from support.licences.signed_pools import text_of, the_vendor, vendor_file

DAY_S = DAY_MS // 1000


def trust_vendor(site: DashboardSite) -> None:
    """Trust the vendor."""
    with site.changing() as change:
        trust(change, vendor_file(the_vendor()).encode())


def days(site: DashboardSite, count: int) -> int:
    """The time this many days after the site's present, as in a licence."""
    return site.clock.now_ms() // 1000 + count * DAY_S


def signed(tenant: str = "Jim_Test", **members: Any) -> str:
    """A signed licence for the pool `full` of a tenant."""
    usual: dict[str, Any] = {"tenant": tenant, "seats": 5, "hold": 60}
    return text_of("full", "all", **(usual | members))


def file_of(*texts: str) -> bytes:
    """A file with these licences, as a vendor sends it."""
    return "".join(map(armoured, texts)).encode()


def put(site: DashboardSite, tenant: str, *texts: str) -> None:
    """Install these licences from one file."""
    with site.changing() as change:
        install(change, tenant, file_of(*texts))
