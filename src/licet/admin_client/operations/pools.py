"""Pools: pools of seats.

Made by `docs/make_admin_client.py`; edit that instead.
"""

from collections.abc import Sequence
from datetime import date

from licet.admin_client.answers.pools import Pool, Priority, Share, Waiting
from licet.admin_client.caller import Caller, Items
from licet.admin_client.decoding import UNSET, Unset
from licet.admin_client.words import Duplicates


class PoolsCalls(Caller):
    """Pools of seats."""

    def list_pools(self, tenant: str, *, limit: int | None = None, cursor: str | None = None) -> Items[Pool]:
        """The pools of a tenant.

        It needs the role viewer.
        """
        return self._list(("tenants", tenant, "pools"), Pool, {"limit": limit, "cursor": cursor})

    def add_pool(
        self,
        tenant: str,
        *,
        name: str,
        seats: int,
        duplicates: Duplicates | Unset = UNSET,
        expires_at: date | str | Unset | None = UNSET,
        alerts: Sequence[str] | Unset = UNSET,
        hold_s: int | Unset = UNSET,
        overdraft: int | Unset | None = UNSET,
        exclude: Sequence[str] | Unset = UNSET,
        include: Sequence[str] | Unset = UNSET,
        named: Sequence[str] | Unset = UNSET,
        reserve: Sequence[Share] | Unset = UNSET,
        max: Sequence[Share] | Unset = UNSET,
        max_per_user: int | Unset | None = UNSET,
        max_per_client: int | Unset | None = UNSET,
        priority: Sequence[Priority] | Unset = UNSET,
        queue: int | Unset = UNSET,
        queue_hold_s: int | Unset = UNSET,
    ) -> Pool:
        """Add a pool.

        It needs the role owner of all tenants.
        """
        return self._ask(
            "POST",
            ("tenants", tenant, "pools"),
            Pool,
            body={
                "name": name,
                "seats": seats,
                "duplicates": duplicates,
                "expires_at": expires_at,
                "alerts": alerts,
                "hold_s": hold_s,
                "overdraft": overdraft,
                "exclude": exclude,
                "include": include,
                "named": named,
                "reserve": reserve,
                "max": max,
                "max_per_user": max_per_user,
                "max_per_client": max_per_client,
                "priority": priority,
                "queue": queue,
                "queue_hold_s": queue_hold_s,
            },
        )

    def get_pool(self, tenant: str, pool: str) -> Pool:
        """A pool.

        It needs the role viewer.
        """
        return self._ask("GET", ("tenants", tenant, "pools", pool), Pool)

    def change_pool(
        self,
        tenant: str,
        pool: str,
        *,
        if_match: str,
        seats: int | Unset | None = UNSET,
        duplicates: Duplicates | Unset = UNSET,
        expires_at: date | str | Unset | None = UNSET,
        alerts: Sequence[str] | Unset = UNSET,
        hold_s: int | Unset = UNSET,
        overdraft: int | Unset | None = UNSET,
        exclude: Sequence[str] | Unset = UNSET,
        include: Sequence[str] | Unset = UNSET,
        named: Sequence[str] | Unset = UNSET,
        reserve: Sequence[Share] | Unset = UNSET,
        max: Sequence[Share] | Unset = UNSET,
        max_per_user: int | Unset | None = UNSET,
        max_per_client: int | Unset | None = UNSET,
        priority: Sequence[Priority] | Unset = UNSET,
        queue: int | Unset = UNSET,
        queue_hold_s: int | Unset = UNSET,
        may_end: int | None = None,
    ) -> Pool:
        """Change a pool.

        Fewer seats end no session; an earlier expiry does. A tenant's owner sets `alerts`. It needs
        the role owner.
        """
        return self._ask(
            "PATCH",
            ("tenants", tenant, "pools", pool),
            Pool,
            query={"may_end": may_end},
            body={
                "seats": seats,
                "duplicates": duplicates,
                "expires_at": expires_at,
                "alerts": alerts,
                "hold_s": hold_s,
                "overdraft": overdraft,
                "exclude": exclude,
                "include": include,
                "named": named,
                "reserve": reserve,
                "max": max,
                "max_per_user": max_per_user,
                "max_per_client": max_per_client,
                "priority": priority,
                "queue": queue,
                "queue_hold_s": queue_hold_s,
            },
            if_match=if_match,
        )

    def remove_pool(self, tenant: str, pool: str, *, if_match: str, may_end: int | None = None) -> None:
        """Remove it, if no scope uses it.

        It needs the role owner of all tenants.
        """
        self._ask(
            "DELETE", ("tenants", tenant, "pools", pool), None, query={"may_end": may_end}, if_match=if_match
        )

    def list_queue(
        self, tenant: str, pool: str, *, limit: int | None = None, cursor: str | None = None
    ) -> Items[Waiting]:
        """Who waits for a seat of the pool, the first in line first.

        It needs the role viewer.
        """
        return self._list(
            ("tenants", tenant, "pools", pool, "queue"), Waiting, {"limit": limit, "cursor": cursor}
        )

    def remove_place(self, tenant: str, pool: str, client_id: str) -> None:
        """Remove a client from the queue; 204 even if it is not in it.

        If it asks again, it is the last. It needs the role operator.
        """
        self._ask("DELETE", ("tenants", tenant, "pools", pool, "queue", client_id), None)
