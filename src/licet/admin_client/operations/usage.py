"""Usage: the use of a span of time: peaks, seat-hours and true denials.

Made by `docs/make_admin_client.py`; edit that instead.
"""

from collections.abc import Sequence
from datetime import date

from licet.admin_client.answers.usage import Costs, Harvest, KeptStatement, TrueUp, Usage, WhatIf
from licet.admin_client.caller import Caller, Items, Text
from licet.admin_client.words import Duplicates, LogFormat, Reach, SplitBy


class UsageCalls(Caller):
    """The use of a span of time: peaks, seat-hours and true denials."""

    def get_usage(
        self,
        tenant: str,
        *,
        reach: Reach | None = None,
        zone: str | None = None,
        from_: date | str | None = None,
        until: date | str | None = None,
    ) -> Usage:
        """Peaks, seat-hours, denials, and what more seats would have changed; of the last 7 days by default.

        It needs the role viewer.
        """
        return self._ask(
            "GET",
            ("tenants", tenant, "usage"),
            Usage,
            query={"reach": reach, "zone": zone, "from": from_, "until": until},
        )

    def get_true_up(
        self,
        tenant: str,
        *,
        reach: Reach | None = None,
        zone: str | None = None,
        from_: date | str | None = None,
        until: date | str | None = None,
    ) -> TrueUp:
        """What each pool used above its seats, by day, and the true denials; of the last 30 days by default.

        It needs the role viewer.
        """
        return self._ask(
            "GET",
            ("tenants", tenant, "usage", "true-up"),
            TrueUp,
            query={"reach": reach, "zone": zone, "from": from_, "until": until},
        )

    def get_harvest(
        self,
        tenant: str,
        *,
        reach: Reach | None = None,
        zone: str | None = None,
        from_: date | str | None = None,
        until: date | str | None = None,
    ) -> Harvest:
        """Which seats are held idle, and who never logs off; of the last 30 days by default.

        It needs the role viewer.
        """
        return self._ask(
            "GET",
            ("tenants", tenant, "usage", "harvest"),
            Harvest,
            query={"reach": reach, "zone": zone, "from": from_, "until": until},
        )

    def get_costs(
        self,
        tenant: str,
        *,
        by: SplitBy,
        price: float | None = None,
        reach: Reach | None = None,
        zone: str | None = None,
        from_: date | str | None = None,
        until: date | str | None = None,
    ) -> Costs:
        """Who held seats for how long, by group or cost centre, and its cost; of the last 30 days by default.

        It needs the role viewer.
        """
        return self._ask(
            "GET",
            ("tenants", tenant, "usage", "costs"),
            Costs,
            query={"by": by, "price": price, "reach": reach, "zone": zone, "from": from_, "until": until},
        )

    def get_what_if(
        self,
        tenant: str,
        *,
        pool: str,
        seats: int | None = None,
        overdraft: int | None = None,
        hold_s: int | None = None,
        session_ttl_s: int | None = None,
        duplicates: Duplicates | None = None,
        reach: Reach | None = None,
        zone: str | None = None,
        from_: date | str | None = None,
        until: date | str | None = None,
        exclude: Sequence[str] | None = None,
        include: Sequence[str] | None = None,
        named: Sequence[str] | None = None,
        reserve: Sequence[str] | None = None,
        max: Sequence[str] | None = None,
        max_per_user: int | None = None,
        max_per_client: int | None = None,
    ) -> WhatIf:
        """What another set-up of a pool would have done: a replay, of the last 7 days by default, 31 at most.

        It needs the role viewer.
        """
        return self._ask(
            "GET",
            ("tenants", tenant, "usage", "what-if"),
            WhatIf,
            query={
                "pool": pool,
                "seats": seats,
                "overdraft": overdraft,
                "hold_s": hold_s,
                "session_ttl_s": session_ttl_s,
                "duplicates": duplicates,
                "reach": reach,
                "zone": zone,
                "from": from_,
                "until": until,
                "exclude": exclude,
                "include": include,
                "named": named,
                "reserve": reserve,
                "max": max,
                "max_per_user": max_per_user,
                "max_per_client": max_per_client,
            },
        )

    def export_usage(
        self,
        tenant: str,
        *,
        format: LogFormat | None = None,
        reach: Reach | None = None,
        zone: str | None = None,
        from_: date | str | None = None,
        until: date | str | None = None,
    ) -> Text:
        """Who got a seat, freed it or was denied, as RLM's report log; of the last 30 days by default.

        It needs the role viewer.
        """
        return self._ask(
            "GET",
            ("tenants", tenant, "usage", "export"),
            Text,
            query={"format": format, "reach": reach, "zone": zone, "from": from_, "until": until},
        )

    def list_statements(
        self, tenant: str, *, limit: int | None = None, cursor: str | None = None
    ) -> Items[KeptStatement]:
        """The stored usage statements, by number.

        It needs the role viewer.
        """
        return self._list(
            ("tenants", tenant, "usage", "statements"), KeptStatement, {"limit": limit, "cursor": cursor}
        )

    def make_statement(
        self, tenant: str, *, from_: date | str | None = None, until: date | str | None = None
    ) -> KeptStatement:
        """Make a usage statement for a vendor about the days since the last one, signed by the tenant's key.

        It needs the role owner.
        """
        return self._ask(
            "POST",
            ("tenants", tenant, "usage", "statements"),
            KeptStatement,
            query={"from": from_, "until": until},
        )

    def get_statement(self, tenant: str, seq: int) -> Text:
        """A usage statement as the file that goes to the vendor.

        It needs the role viewer.
        """
        return self._ask("GET", ("tenants", tenant, "usage", "statements", seq), Text)
