"""Tenants: customer databases.

Made by `docs/make_admin_client.py`; edit that instead.
"""

from typing import Literal

from licet.admin_client.answers.nouns import Tenant
from licet.admin_client.caller import Caller, Items
from licet.admin_client.decoding import UNSET, Unset
from licet.admin_client.words import TokenFormat


class TenantsCalls(Caller):
    """Customer databases."""

    def list_tenants(
        self, *, matching: str | None = None, limit: int | None = None, cursor: str | None = None
    ) -> Items[Tenant]:
        """The tenants that you can see.

        It needs the role viewer.
        """
        return self._list(("tenants",), Tenant, {"matching": matching, "limit": limit, "cursor": cursor})

    def add_tenant(
        self,
        *,
        name: str,
        seats: int,
        session_ttl_s: int | Unset = UNSET,
        access_ttl_s: int | Unset = UNSET,
        no_seat_status: Literal[400, 429, 503] | Unset = UNSET,
        token_format: TokenFormat | Unset = UNSET,
        strict_assertions: bool | Unset = UNSET,
        time_zone: str | Unset = UNSET,
        licence_required: bool | Unset = UNSET,
    ) -> Tenant:
        """Add a tenant.

        It needs the role owner of all tenants.
        """
        return self._ask(
            "POST",
            ("tenants",),
            Tenant,
            body={
                "name": name,
                "seats": seats,
                "session_ttl_s": session_ttl_s,
                "access_ttl_s": access_ttl_s,
                "no_seat_status": no_seat_status,
                "token_format": token_format,
                "strict_assertions": strict_assertions,
                "time_zone": time_zone,
                "licence_required": licence_required,
            },
        )

    def get_tenant(self, tenant: str) -> Tenant:
        """A tenant.

        It needs the role viewer.
        """
        return self._ask("GET", ("tenants", tenant), Tenant)

    def change_tenant(
        self,
        tenant: str,
        *,
        if_match: str,
        default_scope: str | Unset = UNSET,
        session_ttl_s: int | Unset = UNSET,
        access_ttl_s: int | Unset = UNSET,
        no_seat_status: Literal[400, 429, 503] | Unset = UNSET,
        token_format: TokenFormat | Unset = UNSET,
        strict_assertions: bool | Unset = UNSET,
        time_zone: str | Unset = UNSET,
        licence_required: bool | Unset = UNSET,
        may_end: int | None = None,
    ) -> Tenant:
        """Change it.

        An owner of one tenant cannot change lifetimes or the token format. It needs the role owner.
        """
        return self._ask(
            "PATCH",
            ("tenants", tenant),
            Tenant,
            query={"may_end": may_end},
            body={
                "default_scope": default_scope,
                "session_ttl_s": session_ttl_s,
                "access_ttl_s": access_ttl_s,
                "no_seat_status": no_seat_status,
                "token_format": token_format,
                "strict_assertions": strict_assertions,
                "time_zone": time_zone,
                "licence_required": licence_required,
            },
            if_match=if_match,
        )

    def remove_tenant(self, tenant: str, *, if_match: str, may_end: int | None = None) -> None:
        """Remove it with everything in it, including its journal.

        It needs the role owner of all tenants.
        """
        self._ask("DELETE", ("tenants", tenant), None, query={"may_end": may_end}, if_match=if_match)
