"""Reads which span of time an operation is asked for: from and until, or a reach that ends now, and a zone.

Days and hours begin by the clocks of the zone, else of the tenant's.
"""

from datetime import UTC, tzinfo
from typing import Annotated, NamedTuple

from fastapi import Depends, Query

from licet.admin.api.moments import Span, Within
from licet.admin.api.parameters import Zone
from licet.admin.problems import FieldError, invalid
from licet.model import Tenant
from licet.refusal import Code
from licet.reports.spans import Reach
from licet.units import DAY_MS
from licet.zones import find_zone

SPAN_MS_MAX = 400 * DAY_MS  # as long as the journal is kept, by default


class Bounds(NamedTuple):
    """A span, half open, and by whose clocks its days begin."""

    from_ms: int
    until_ms: int
    zone: tzinfo


class AskedSpan(NamedTuple):
    """What was asked for."""

    within: Span
    reach: Reach | None
    zone: tzinfo | None

    def of(self, tenant: Tenant, now_ms: int, usual: Reach) -> Bounds:
        """The span for a tenant, which ends now, or where it is said, and is as long as the `usual` one.

        Raises Problem.
        """
        zone = self.zone or tenant.zone
        asked = self.within.bounds(zone)
        from_ms, until_ms = asked["from_ms"], asked["until_ms"]
        if from_ms is None:
            from_ms = (self.reach or usual).from_ms(now_ms if until_ms is None else until_ms - 1, zone)
        until_ms = now_ms if until_ms is None else until_ms
        if not from_ms <= until_ms <= from_ms + SPAN_MS_MAX:
            message = "A span ends behind its beginning, and within 400 days of it."
            raise invalid(FieldError(pointer="query:until", code=Code.OUT_OF_RANGE, message=message))
        return Bounds(from_ms, until_ms, zone)


async def _asked(
    within: Within,
    reach: Annotated[
        Reach | None, Query(description="A span that ends now, instead of from and until.")
    ] = None,
    zone: Zone = None,
) -> AskedSpan:
    named = zone_of(zone)
    if reach is not None and within != Span():
        message = "Either a reach, or from and until."
        raise invalid(FieldError(pointer="query:reach", code=Code.NOT_TOGETHER, message=message))
    return AskedSpan(within, reach, named)


Asked = Annotated[AskedSpan, Depends(_asked)]


def zone_of(name: str | None) -> tzinfo | None:
    """The time zone of this name; None where none is named. Raises Problem."""
    if name is None:
        return None
    if name == "UTC":
        return UTC
    if (zone := find_zone(name)) is None:
        message = f"There is no time zone {name}."
        raise invalid(FieldError(pointer="query:zone", code=Code.UNKNOWN_CHOICE, message=message))
    return zone
