"""Finds live sessions by the begin of their id, in one tenant or in all.

The ids have an index, which is read from the begin on. The module only reads.
"""

import re
from typing import Final

from sqlalchemy import Connection, and_, select

from licet.model import Value
from licet.reports.live import WHOSE, LiveSession, live_session, same_user
from licet.store import schema

SID_CHARS: Final = 40  # in hexadecimal digits
CHARS_MIN: Final = 6  # an id begins with the time: with six digits all begin within four seconds
_PREFIX = re.compile(rf"[0-9a-f]{{{CHARS_MIN},{SID_CHARS}}}", re.ASCII)


class SessionFound(Value, frozen=True, kw_only=True):
    """A live session, and the name of its tenant."""

    tenant: str
    session: LiveSession


def is_prefix(text: str) -> bool:
    """Whether an id of a session can begin with this, and it is long enough to be searched for."""
    return _PREFIX.fullmatch(text.lower()) is not None


def sessions_that_begin(
    connection: Connection, prefix: str, now_ms: int, *, tenant_id: int | None = None, limit: int
) -> list[SessionFound]:
    """The live sessions whose id begins with these digits, by their ids; none for what is no prefix."""
    if not is_prefix(prefix):
        return []
    session, client, user, tenant = schema.session, schema.client, schema.user, schema.tenant
    least, most = (bytes.fromhex(prefix.lower().ljust(SID_CHARS, digit)) for digit in "0f")
    fits = [session.c.sid >= least, session.c.sid <= most, session.c.expires_at_ms > now_ms]
    if tenant_id is not None:
        fits.append(session.c.tenant_id == tenant_id)
    query = (
        select(session, *WHOSE, tenant.c.name.label("tenant"), tenant.c.token_format)
        .join_from(
            session,
            client,
            and_(client.c.key == session.c.client_key, client.c.tenant_id == session.c.tenant_id),
        )
        .join(user, same_user(client))
        .join(tenant, and_(tenant.c.id == session.c.tenant_id, schema.is_there))
        .where(*fits)
        .order_by(session.c.sid)
        .limit(limit)
    )
    return [
        SessionFound(tenant=row.tenant, session=live_session(row, row.token_format))
        for row in connection.execute(query)
    ]
