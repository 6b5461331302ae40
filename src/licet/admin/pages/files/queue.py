"""Describes the queue of a pool as a file, with a row for each client that waits."""

from fastapi import Request

from licet.admin.pages.downloads import moment
from licet.admin.pages.files.listed import Listed
from licet.admin.pages.frame import Visit
from licet.admin.pages.queue.routes import pool_in
from licet.admin.pages.reader_zone import zone_of
from licet.reports.options.queue import queue_of


def queue_listed(request: Request, visit: Visit) -> Listed:
    """The queue that `/queue` shows, all of it."""
    (tenant, pool), zone = pool_in(request, visit), zone_of(request)
    columns = (
        ("tenant", lambda _: tenant.name),
        ("pool", lambda _: pool.name),
        ("place", lambda it: it.place),
        ("client_id", lambda it: it.client_id),
        ("user", lambda it: it.initials),
        ("user_name", lambda it: it.name),
        ("priority", lambda it: it.level),
        ("since", lambda it: moment(it.since_ms, zone)),
        ("until", lambda it: moment(it.until_ms, zone)),
    )
    return Listed(
        ("licet", tenant.name, pool.name, "queue"),
        columns,
        lambda connection: queue_of(connection, pool, visit.now_ms),
    )
