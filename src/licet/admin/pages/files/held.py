"""Describes the seats that a client or user held, and who held the seats at a denial, as files."""

from collections.abc import Iterator, Sequence

from fastapi import Request
from sqlalchemy import Connection

from licet.admin.pages.downloads import all_pages, moment
from licet.admin.pages.files.listed import Listed, chosen
from licet.admin.pages.filters import cleaned, instant_of
from licet.admin.pages.frame import Visit
from licet.admin.pages.profiles.reading import Who
from licet.admin.pages.reader_zone import zone_of
from licet.admin.problems import not_found
from licet.journal.denials import holders_at
from licet.journal.holdings import Held, seats_that_were_held
from licet.journal.reach import reach_of
from licet.store.paging import LIMIT_MAX


def held_listed(request: Request, visit: Visit, who: Who) -> Listed:
    """The seats that came back from a client or the clients of a user, the last one first."""
    tenant, zone, asked = chosen(visit), zone_of(request), request.query_params.get("name", "")
    name = asked if asked in (tenant.clients if who is Who.CLIENT else tenant.users) else cleaned(asked)
    if not name:
        raise not_found(f"Say which {who}.")
    client, user = (name, "") if who is Who.CLIENT else ("", name)

    def rows(connection: Connection) -> Iterator[Held]:
        from_ms = reach_of(connection, tenant).journal_ms

        def page_after(after: str | None) -> tuple[Sequence[Held], str | None]:
            found = seats_that_were_held(
                connection, tenant, client=client, user=user, from_ms=from_ms, after=after, limit=LIMIT_MAX
            )
            return found.held, found.next

        return all_pages(page_after)

    return Listed(
        ("licet", tenant.name, name, "seats-held"),
        (
            ("tenant", lambda _: tenant.name),
            ("pool", lambda it: it.pool),
            ("client_id", lambda it: it.client_id),
            ("user", lambda it: it.initials),
            ("since", lambda it: moment(it.taken_at_ms, zone)),
            ("until", lambda it: moment(it.freed_at_ms, zone)),
            ("seconds", lambda it: (it.freed_at_ms - it.taken_at_ms) // 1000),
            ("times", lambda it: it.times),
            ("addresses", lambda it: it.addresses),
        ),
        rows,
    )


def holders_listed(request: Request, visit: Visit) -> Listed:
    """The clients that held the seats of a pool at an instant."""
    tenant, zone, query = chosen(visit), zone_of(request), request.query_params
    pool, at_ms = cleaned(query.get("pool", "")), instant_of(query.get("at", ""))
    if at_ms is None or not pool:
        raise not_found("Say of which pool, and at which instant.")
    return Listed(
        ("licet", tenant.name, pool, "holders"),
        (
            ("tenant", lambda _: tenant.name),
            ("pool", lambda _: pool),
            ("client_id", lambda it: it.client_id),
            ("user", lambda it: it.initials),
            ("user_name", lambda it: it.name),
            ("since", lambda it: moment(it.taken_at_ms, zone)),
            ("until", lambda it: moment(it.freed_at_ms, zone)),
            ("times", lambda it: it.times),
            ("addresses", lambda it: it.addresses),
        ),
        lambda connection: holders_at(connection, tenant, pool, at_ms, now_ms=visit.now_ms),
    )
