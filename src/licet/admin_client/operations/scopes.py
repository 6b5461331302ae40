"""Scopes: what a token may do.

Made by `docs/make_admin_client.py`; edit that instead.
"""

from collections.abc import Sequence

from licet.admin_client.answers.nouns import Scope
from licet.admin_client.caller import Caller, Items
from licet.admin_client.decoding import UNSET, Unset


class ScopesCalls(Caller):
    """What a token may do."""

    def list_scopes(
        self, tenant: str, *, limit: int | None = None, cursor: str | None = None
    ) -> Items[Scope]:
        """The scopes of a tenant.

        It needs the role viewer.
        """
        return self._list(("tenants", tenant, "scopes"), Scope, {"limit": limit, "cursor": cursor})

    def add_scope(
        self,
        tenant: str,
        *,
        name: str,
        pool: str | Unset | None = UNSET,
        pools: Sequence[str] | Unset = UNSET,
        read_only: bool | Unset = UNSET,
    ) -> Scope:
        """Add a scope.

        It needs the role owner of all tenants.
        """
        return self._ask(
            "POST",
            ("tenants", tenant, "scopes"),
            Scope,
            body={"name": name, "pool": pool, "pools": pools, "read_only": read_only},
        )

    def get_scope(self, tenant: str, scope: str) -> Scope:
        """A scope.

        It needs the role viewer.
        """
        return self._ask("GET", ("tenants", tenant, "scopes", scope), Scope)

    def change_scope(
        self,
        tenant: str,
        scope: str,
        *,
        if_match: str,
        pool: str | Unset | None = UNSET,
        pools: Sequence[str] | Unset = UNSET,
        read_only: bool | Unset = UNSET,
        may_end: int | None = None,
    ) -> Scope:
        """Change it; with another pool its sessions end.

        It needs the role owner of all tenants.
        """
        return self._ask(
            "PATCH",
            ("tenants", tenant, "scopes", scope),
            Scope,
            query={"may_end": may_end},
            body={"pool": pool, "pools": pools, "read_only": read_only},
            if_match=if_match,
        )

    def remove_scope(self, tenant: str, scope: str, *, if_match: str, may_end: int | None = None) -> None:
        """Remove it; its sessions end.

        It needs the role owner of all tenants.
        """
        self._ask(
            "DELETE",
            ("tenants", tenant, "scopes", scope),
            None,
            query={"may_end": may_end},
            if_match=if_match,
        )
