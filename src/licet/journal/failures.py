"""Reads whose authentication failed, when and why, in ranges; and which request had an id.

The rules:

- Consecutive minutes of one client and cause are one range (`ranges.py`).
- The failures of a tenant are in its own list. Those of an unknown tenant are in the list of all tenants
  only.
- Sign-ins of administrators and API keys belong to no tenant, and are included only on request: the caller
  decides who may see them.
- A request id is found as long as it is kept, and not all are kept (`licet.web.recording`).

The module only reads.
"""

from functools import partial
from typing import Any

from sqlalchemy import Connection, Row, Select, Table, and_, func, select

from licet.journal.minute_sql import Conditions, equal, within
from licet.journal.ranges import Key, Most, Range, RangePage, most_of
from licet.model import FailureCause, Tenant, Value, Who
from licet.store import schema
from licet.store.paging import LIMIT, read_cursor

NOT_KEPT = "this id is not among the refusals that are kept; look in the log"

_user, _tenant = schema.user, schema.tenant


class FailureFilter(Value, frozen=True, kw_only=True):
    """Which failures: those from `from_ms` on and before `until_ms`; None and '' are all.

    `with_administrators` includes those of administrators and API keys.
    """

    client: str = ""
    user: str = ""  # initials
    cause: FailureCause | None = None
    from_ms: int | None = None
    until_ms: int | None = None
    with_administrators: bool = False


class FailureRange(Value, frozen=True, kw_only=True):
    """Authentications that failed again and again for one cause.

    `tenant` is '' for an unknown tenant. `name` is the client's id, or the name of an administrator or API
    key; '' for an unknown name, or several. `address` is that of the last failure.
    """

    tenant: str
    who: Who
    name: str
    initials: str
    user_name: str
    cause: FailureCause
    times: int
    first_at_ms: int
    last_at_ms: int
    address: str


class FailurePage(Value, frozen=True, kw_only=True):
    """Ranges, newest first; `next` is the cursor of the next page, None at the end."""

    ranges: tuple[FailureRange, ...]
    next: str | None


class Refused(Value, frozen=True, kw_only=True):
    """How a request was refused. `kind` is `denied` or `failed`, `reason` the reason or the cause.

    The other fields are as in `FailureRange`; `pool` is '' for a failure.
    """

    request_id: str
    tenant: str
    at_ms: int
    kind: str
    reason: str
    pool: str
    who: Who
    name: str
    initials: str
    user_name: str
    address: str


def failures(
    connection: Connection,
    tenant: Tenant | None,
    *,
    only: FailureFilter | None = None,
    after: str | None = None,
    limit: int = LIMIT,
) -> FailurePage:
    """The failures of a tenant, newest first; None is all tenants, known or not.

    `after` is the cursor of the page before. Raises InvalidCursor.
    """
    rows = partial(_rows, tenant, only or FailureFilter())
    page = RangePage(connection, rows, _key, _place, after=after, limit=limit)
    return FailurePage(ranges=tuple(map(_failure_range, page.ranges)), next=page.next)


def failed_most(
    connection: Connection, tenant: Tenant | None, *, only: FailureFilter | None = None
) -> tuple[Most, ...]:
    """The known clients that failed most often."""
    failure = schema.authentication_failure.c
    rows = _rows(tenant, only or FailureFilter()).where(failure.name != "", failure.who == Who.CLIENT.value)
    return most_of(connection, rows, name="name", user_name="user_name")


def find_request(
    connection: Connection,
    request_id: str,
    *,
    tenant_id: int | None = None,
    with_administrators: bool = False,
) -> Refused | None:
    """How the request of this id was refused, in this tenant or in any; None where the id is not kept."""
    request = schema.refused_request
    wanted = [request.c.request_id == request_id]
    if tenant_id is not None:
        wanted.append(request.c.tenant_id == tenant_id)
    if not with_administrators:
        wanted.append(request.c.who == Who.CLIENT.value)
    row = connection.execute(_named(request).where(*wanted)).one_or_none()
    if row is None:
        return None
    return Refused(
        request_id=row.request_id,
        tenant=row.tenant,
        at_ms=row.at_ms,
        kind=row.kind,
        reason=row.reason,
        pool=row.pool,
        who=Who(row.who),
        name=row.name,
        initials=row.initials,
        user_name=row.user_name,
        address=row.address,
    )


def _rows(tenant: Tenant | None, only: FailureFilter, until_minute: int | None = None) -> Select[Any]:
    failure = schema.authentication_failure
    order = (failure.c.minute.desc(), failure.c.tenant_id, failure.c.who, failure.c.cause, failure.c.name)
    wanted = _wanted(tenant, only) + ([] if until_minute is None else [failure.c.minute <= until_minute])
    return _named(failure).where(*wanted).order_by(*order)


def _named(table: Table) -> Select[Any]:
    """The rows of a table with the names of their tenant and user; '' where there is none."""
    same_user = and_(_user.c.tenant_id == table.c.tenant_id, _user.c.initials == table.c.initials)
    is_its = and_(_tenant.c.id == table.c.tenant_id, schema.is_there)
    names = (
        func.coalesce(_tenant.c.name, "").label("tenant"),
        func.coalesce(_user.c.name, "").label("user_name"),
    )
    query = select(table, *names).join_from(table, _tenant, is_its, isouter=True)
    return query.outerjoin(_user, same_user)


def _wanted(tenant: Tenant | None, only: FailureFilter) -> Conditions:
    failure = schema.authentication_failure.c
    wanted: Conditions = [] if tenant is None else [failure.tenant_id == tenant.id]
    if not only.with_administrators:
        wanted.append(failure.who == Who.CLIENT.value)
    wanted += equal((failure.name, only.client), (failure.initials, only.user), (failure.cause, only.cause))
    return wanted + within(failure, only.from_ms, only.until_ms)


def _place(cursor: str) -> tuple[int, int, str, str, str, bool]:
    return read_cursor(cursor, tuple[int, int, str, str, str, bool])


def _key(row: Row[Any]) -> Key:
    """The key of failures that belong to one range."""
    return (row.tenant_id, row.who, row.cause, row.name)


def _failure_range(failures: Range) -> FailureRange:
    row = failures.last
    return FailureRange(
        tenant=row.tenant,
        who=Who(row.who),
        name=row.name,
        initials=row.initials,
        user_name=row.user_name,
        cause=FailureCause(row.cause),
        times=failures.times,
        first_at_ms=failures.first_at_ms,
        last_at_ms=row.last_at_ms,
        address=row.address,
    )
