"""Licences: signed licences, and the trusted vendors.

Made by `docs/make_admin_client.py`; edit that instead.
"""

from licet.admin_client.answers.licences import Licence, LicencesInstalled, Vendor
from licet.admin_client.caller import Caller, Items


class LicencesCalls(Caller):
    """Signed licences, and the trusted vendors."""

    def list_vendors(self, *, limit: int | None = None, cursor: str | None = None) -> Items[Vendor]:
        """The vendors whose licences count.

        It needs the role viewer of all tenants.
        """
        return self._list(("trust",), Vendor, {"limit": limit, "cursor": cursor})

    def trust_vendor(self, content: str | bytes, *, may_end: int | None = None) -> Vendor:
        """Trust the vendor of this vendor.json, or take its new keys; licences of other keys no longer count.

        It needs the role owner of all tenants.
        """
        return self._ask(
            "POST", ("trust",), Vendor, query={"may_end": may_end}, content=content, media="application/json"
        )

    def get_vendor(self, vendor: str, product: str) -> Vendor:
        """A vendor whose licences count.

        It needs the role viewer of all tenants.
        """
        return self._ask("GET", ("trust", vendor, product), Vendor)

    def distrust_vendor(self, vendor: str, product: str, *, may_end: int | None = None) -> None:
        """Stop trusting a vendor; its licences stay installed, but give no seats.

        It needs the role owner of all tenants.
        """
        self._ask("DELETE", ("trust", vendor, product), None, query={"may_end": may_end})

    def list_licences(
        self, tenant: str, *, limit: int | None = None, cursor: str | None = None
    ) -> Items[Licence]:
        """All serials of all licences of a tenant, including those that no longer count or were removed.

        It needs the role viewer.
        """
        return self._list(("tenants", tenant, "licences"), Licence, {"limit": limit, "cursor": cursor})

    def install_licences(
        self, tenant: str, content: str | bytes, *, may_end: int | None = None
    ) -> LicencesInstalled:
        """Install the licences of a file: all of them, or nothing.

        It needs the role owner.
        """
        return self._ask(
            "POST",
            ("tenants", tenant, "licences"),
            LicencesInstalled,
            query={"may_end": may_end},
            content=content,
            media="text/plain",
        )

    def get_licence(
        self, tenant: str, licence: str, *, limit: int | None = None, cursor: str | None = None
    ) -> Items[Licence]:
        """The serials of a licence.

        It needs the role viewer.
        """
        return self._list(
            ("tenants", tenant, "licences", licence), Licence, {"limit": limit, "cursor": cursor}
        )

    def check_licences(self, tenant: str, content: str | bytes) -> LicencesInstalled:
        """What installing a file would do; nothing is changed.

        It needs the role owner.
        """
        return self._ask(
            "POST",
            ("tenants", tenant, "licences", "check"),
            LicencesInstalled,
            content=content,
            media="text/plain",
        )

    def remove_licence(
        self,
        tenant: str,
        licence: str,
        serial: int,
        *,
        vendor: str | None = None,
        product: str | None = None,
        may_end: int | None = None,
    ) -> None:
        """Remove a serial of a licence and those below it; they cannot be installed again.

        It needs the role owner of all tenants.
        """
        self._ask(
            "DELETE",
            ("tenants", tenant, "licences", licence, serial),
            None,
            query={"vendor": vendor, "product": product, "may_end": may_end},
        )

    def unsign_pool(self, tenant: str, pool: str, *, may_end: int | None = None) -> None:
        """Make a pool unsigned whose licences were all removed: it has the seats that are set.

        It needs the role owner of all tenants.
        """
        self._ask("POST", ("tenants", tenant, "pools", pool, "unsign"), None, query={"may_end": may_end})
