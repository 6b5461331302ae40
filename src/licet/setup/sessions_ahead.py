"""Finds sessions of a time that has not come yet: they were granted while the clock was ahead.

A clock never goes back while a server runs (`clock.py`). When it was set right, and all servers were started
again, such sessions have their seats until the time comes at which they would have ended.
"""

from sqlalchemy import Connection, func, select

from licet.store.schema import session

AHEAD_MS_MAX = 60_000  # more than the clocks of two nodes and their time servers cause
LOOKED_AT_MAX = 10_000  # of those that last longest: a session that is ahead is nearly always among them


def until_when_ahead(connection: Connection, now_ms: int) -> int | None:
    """When the last of these sessions ends; None where there is none."""
    last = select(session.c.renewed_at_ms, session.c.expires_at_ms)
    last = last.order_by(session.c.expires_at_ms.desc()).limit(LOOKED_AT_MAX)
    lasting = last.subquery()
    ends = select(func.max(lasting.c.expires_at_ms)).where(lasting.c.renewed_at_ms > now_ms + AHEAD_MS_MAX)
    found: int | None = connection.scalar(ends)
    return found
