"""Reads which span a report is asked for, and makes what the pages of reports have in common: tabs and spans.

An address has a reach that ends now, or two times; what is not valid is the default.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from fastapi import Request

from licet.admin.pages.chosen_times import chosen_times
from licet.admin.pages.filters import cleaned, instant_of
from licet.admin.pages.frame import Visit, link
from licet.admin.pages.reader_zone import zone_of
from licet.model import SEATS_MAX, Tenant
from licet.reports.spans import Reach
from licet.units import DAY_MS

HERE = "Usage"
PATH = "/usage"
TRUE_UP, HARVEST, COSTS = f"{PATH}/true-up", f"{PATH}/idle", f"{PATH}/costs"
WHAT_IF, EXPORT = f"{PATH}/what-if", f"{PATH}/export"
TABS: Mapping[str, str] = MappingProxyType(
    {
        PATH: "Peaks",
        TRUE_UP: "True-up",
        HARVEST: "Idle seats",
        COSTS: "Costs",
        WHAT_IF: "What if",
        EXPORT: "Export",
    }
)
REACHES: Mapping[Reach, str] = MappingProxyType(
    {
        Reach.DAY: "24 hours",
        Reach.WEEK: "7 days",
        Reach.MONTH: "30 days",
        Reach.QUARTER: "90 days",
        Reach.YEAR: "12 months",
    }
)
SPAN_MS_MAX = 3660 * DAY_MS  # as of `licet usage`
HOURS_SPAN_MS = 8 * DAY_MS  # the longest that is shown by hour
_BY_HOUR = frozenset({Reach.DAY, Reach.WEEK})


class Asked(NamedTuple):
    """The choices of the reader of the report at `path`."""

    path: str
    tenant: Tenant
    pool: str
    reach: Reach
    from_ms: int | None
    until_ms: int | None
    seats: int | None
    zone: str
    usual: Reach

    @property
    def is_chosen(self) -> bool:
        """Whether two times are chosen, or one of them, instead of a reach."""
        return self.from_ms is not None or self.until_ms is not None

    def span(self, now_ms: int) -> tuple[int, int]:
        """When the report begins and ends; one that has only an end is a reach long."""
        if not self.is_chosen:
            return self.reach.from_ms(now_ms, ZoneInfo(self.zone)), now_ms + 1
        until_ms = now_ms + 1 if self.until_ms is None else min(self.until_ms, now_ms + 1)
        from_ms = self.from_ms
        if from_ms is None or from_ms >= until_ms:
            from_ms = self.reach.from_ms(until_ms - 1, ZoneInfo(self.zone))
        return max(from_ms, until_ms - SPAN_MS_MAX), until_ms

    def is_by_hour(self, now_ms: int) -> bool:
        """Whether peaks are shown by hour, or by day."""
        from_ms, until_ms = self.span(now_ms)
        return until_ms - from_ms <= HOURS_SPAN_MS if self.is_chosen else self.reach in _BY_HOUR


def asked_of(request: Request, tenant: Tenant, path: str, usual: Reach) -> Asked:
    """The choices in an address; an invalid one is the default."""
    query = request.query_params
    reach, seats = query.get("span", ""), query.get("seats", "")
    from_ms, until_ms = (instant_of(query.get(name, "")) for name in ("from", "until"))
    if from_ms is not None and until_ms is not None and from_ms >= until_ms:
        from_ms = until_ms = None
    is_number = seats.isascii() and seats.isdecimal() and len(seats) <= len(str(SEATS_MAX))
    return Asked(
        path=path,
        tenant=tenant,
        pool=cleaned(query.get("pool", "")),
        reach=Reach(reach) if reach in set(Reach) else usual,
        from_ms=from_ms,
        until_ms=until_ms,
        seats=min(int(seats), SEATS_MAX) if is_number else None,
        zone=zone_of(request),
        usual=usual,
    )


def link_of(visit: Visit, asked: Asked, **changes: Any) -> str:
    """The address of the same report with other choices."""
    held = asked._replace(**changes)
    span = None if held.reach is held.usual else held.reach.value
    times = {"from": held.from_ms, "until": held.until_ms}
    return link(visit, held.path, pool=held.pool, span=span, **times)


def tools(
    request: Request, visit: Visit, asked: Asked, reaches: Mapping[Reach, str] = REACHES
) -> dict[str, Any]:
    """What the head of a report shows: the other reports of the same span, and other spans of this one."""
    span = asked.reach.value if asked.reach is not asked.usual else None
    times = {"from": asked.from_ms, "until": asked.until_ms}
    return {
        "asked": asked,
        "tabs": [(path, text, link(visit, path, span=span, **times)) for path, text in TABS.items()],
        "reaches": [
            (reach, text, link_of(visit, asked, reach=reach, from_ms=None, until_ms=None))
            for reach, text in reaches.items()
        ],
        "times_chosen": chosen_times(request, asked.from_ms, asked.until_ms),
    }
