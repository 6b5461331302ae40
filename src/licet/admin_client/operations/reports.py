"""Reports: seats, denials and the journal.

Made by `docs/make_admin_client.py`; edit that instead.
"""

from collections.abc import Sequence
from datetime import date

from licet.admin_client.answers.reports import (
    DenialRange,
    EventEntry,
    FailureRange,
    Holder,
    JournalEntry,
    Refused,
    SeatsNow,
    TenantOverview,
)
from licet.admin_client.caller import Caller, Items
from licet.admin_client.words import FailureCause, Kind, NoSeatReason


class ReportsCalls(Caller):
    """Seats, denials and the journal."""

    def get_overview(
        self,
        *,
        matching: str | None = None,
        zone: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Items[TenantOverview]:
        """Every tenant at a glance: its pools now and in the last 24 hours, its denials today.

        It needs the role viewer.
        """
        return self._list(
            ("overview",),
            TenantOverview,
            {"matching": matching, "zone": zone, "limit": limit, "cursor": cursor},
        )

    def get_whole_journal(
        self,
        *,
        kind: Sequence[Kind] | None = None,
        reason: str | None = None,
        pool: str | None = None,
        client: str | None = None,
        user: str | None = None,
        actor: str | None = None,
        action: str | None = None,
        licence: str | None = None,
        from_: date | str | None = None,
        until: date | str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Items[JournalEntry | EventEntry]:
        """What happened, newest first, in all tenants that you can see, and events of no tenant.

        It needs the role viewer.
        """
        return self._list(
            ("journal",),
            JournalEntry | EventEntry,
            {
                "kind": kind,
                "reason": reason,
                "pool": pool,
                "client": client,
                "user": user,
                "actor": actor,
                "action": action,
                "licence": licence,
                "from": from_,
                "until": until,
                "limit": limit,
                "cursor": cursor,
            },
        )

    def get_journal(
        self,
        tenant: str,
        *,
        kind: Sequence[Kind] | None = None,
        reason: str | None = None,
        pool: str | None = None,
        client: str | None = None,
        user: str | None = None,
        actor: str | None = None,
        action: str | None = None,
        licence: str | None = None,
        from_: date | str | None = None,
        until: date | str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Items[JournalEntry | EventEntry]:
        """What happened in a tenant, newest first: grants, denials, endings, failures, administrators' acts.

        It needs the role viewer.
        """
        return self._list(
            ("tenants", tenant, "journal"),
            JournalEntry | EventEntry,
            {
                "kind": kind,
                "reason": reason,
                "pool": pool,
                "client": client,
                "user": user,
                "actor": actor,
                "action": action,
                "licence": licence,
                "from": from_,
                "until": until,
                "limit": limit,
                "cursor": cursor,
            },
        )

    def get_seats(self, tenant: str) -> SeatsNow:
        """Who holds which seat, since when and until when.

        It needs the role viewer.
        """
        return self._ask("GET", ("tenants", tenant, "seats"), SeatsNow)

    def list_denials(
        self,
        tenant: str,
        *,
        reason: NoSeatReason | None = None,
        pool: str | None = None,
        client: str | None = None,
        user: str | None = None,
        from_: date | str | None = None,
        until: date | str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Items[DenialRange]:
        """Who was denied a seat, when and why, folded into ranges, newest first.

        It needs the role viewer.
        """
        return self._list(
            ("tenants", tenant, "denials"),
            DenialRange,
            {
                "reason": reason,
                "pool": pool,
                "client": client,
                "user": user,
                "from": from_,
                "until": until,
                "limit": limit,
                "cursor": cursor,
            },
        )

    def list_holders(
        self, tenant: str, *, pool: str, at: date | str, limit: int | None = None, cursor: str | None = None
    ) -> Items[Holder]:
        """Who held the seats of a pool at an instant, such as that of a denial; the longest holder first.

        It needs the role viewer.
        """
        return self._list(
            ("tenants", tenant, "holders"), Holder, {"pool": pool, "at": at, "limit": limit, "cursor": cursor}
        )

    def list_all_failures(
        self,
        *,
        cause: FailureCause | None = None,
        client: str | None = None,
        user: str | None = None,
        from_: date | str | None = None,
        until: date | str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Items[FailureRange]:
        """Failed authentications with time and cause, in all tenants that you can see; newest first.

        It needs the role viewer.
        """
        return self._list(
            ("failures",),
            FailureRange,
            {
                "cause": cause,
                "client": client,
                "user": user,
                "from": from_,
                "until": until,
                "limit": limit,
                "cursor": cursor,
            },
        )

    def get_refused_request(self, request_id: str) -> Refused:
        """How a request was refused: a denial, or a failed authentication.

        Not all are kept. It needs the role viewer.
        """
        return self._ask("GET", ("refused-requests", request_id), Refused)

    def list_failures(
        self,
        tenant: str,
        *,
        cause: FailureCause | None = None,
        client: str | None = None,
        user: str | None = None,
        from_: date | str | None = None,
        until: date | str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Items[FailureRange]:
        """Failed authentications of a tenant with time and cause, folded into ranges, newest first.

        It needs the role viewer.
        """
        return self._list(
            ("tenants", tenant, "failures"),
            FailureRange,
            {
                "cause": cause,
                "client": client,
                "user": user,
                "from": from_,
                "until": until,
                "limit": limit,
                "cursor": cursor,
            },
        )
