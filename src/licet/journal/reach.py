"""Says how far back a page about one client or user reads, so that its cost has a bound in any tenant.

The tables of the journal have an index by time and none by client. So a page of one client reads what all
clients of its tenant did, from an instant on. That instant is found by walking an index backwards, which
costs little; in a small tenant there is none, and all that is kept is read.
"""

from sqlalchemy import ColumnElement, Connection, select

from licet.journal.summary import DENIED
from licet.model import Tenant, Value
from licet.store import schema
from licet.units import MINUTE_MS

ROWS_MAX = 100_000  # of one table, for one page: with SQLite and 10,000 clients a page then takes 0.3 s


class Reach(Value, frozen=True, kw_only=True):
    """From which instant on each table is read; None is all that is kept."""

    journal_ms: int | None
    denials_ms: int | None
    failures_ms: int | None
    events_ms: int | None

    @property
    def is_cut(self) -> bool:
        """Whether there is more than is read."""
        return self.latest_ms is not None

    @property
    def latest_ms(self) -> int | None:
        """From when on all of them are read; None where all that is kept is."""
        parts = (self.journal_ms, self.denials_ms, self.failures_ms, self.events_ms)
        return max((part for part in parts if part is not None), default=None)


def reach_of(connection: Connection, tenant: Tenant, *, rows_max: int | None = None) -> Reach:
    """How far back the newest `rows_max` rows of each table reach, for this tenant; None is `ROWS_MAX`."""
    rows_max = ROWS_MAX if rows_max is None else rows_max
    entry, failure, event = schema.journal.c, schema.authentication_failure.c, schema.event.c
    own = entry.tenant_id == tenant.id

    def minute_of(column: ColumnElement[int], *fits: ColumnElement[bool]) -> int | None:
        found = _nth(connection, column, rows_max, *fits)
        return None if found is None else found * MINUTE_MS

    return Reach(
        journal_ms=minute_of(entry.minute, own),
        denials_ms=minute_of(entry.minute, own, entry.kind == DENIED),
        failures_ms=minute_of(failure.minute, failure.tenant_id == tenant.id),
        events_ms=_nth(connection, event.at_ms, rows_max),  # of all tenants: it has no index by tenant
    )


def _nth(
    connection: Connection, column: ColumnElement[int], rows_max: int, *fits: ColumnElement[bool]
) -> int | None:
    """The value in the row with this number, counted from the newest; None where there are fewer."""
    query = select(column).where(*fits).order_by(column.desc()).limit(1).offset(rows_max)
    found: int | None = connection.execute(query).scalar_one_or_none()
    return found
