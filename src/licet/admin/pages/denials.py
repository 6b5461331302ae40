"""Serves the page of denials: who was denied a seat, when, why and how often, and who held the seats then.

Consecutive minutes of a client that retries are one row. A row opens to a part of the page
`/denials/holders`, which is a page of its own without scripts. `failures.py` is similar.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from licet.admin.context import AdminContext
from licet.admin.pages.chosen_times import settle_times
from licet.admin.pages.downloads import file_name, moment
from licet.admin.pages.filters import Filters, cleaned, instant_of, reason_text
from licet.admin.pages.frame import Visit, link, page, visiting
from licet.admin.pages.reader_zone import zone_of
from licet.admin.pages.refusal_lists import Read, csv_of, list_context, look
from licet.admin.problems import not_found
from licet.journal.denials import DenialFilter, DenialRange, denials, denied_most, holders_at
from licet.model import NoSeatReason, Tenant
from licet.reasons import WHY_DENIED

HERE = "Denials"
PATH = "/denials"
_HEADINGS = (
    "tenant",
    "pool",
    "client_id",
    "user",
    "user_name",
    "reason",
    "times",
    "first",
    "last",
    "seats",
    "in_use",
    "address",
)
# What a denial by an option of the pool means, where its row is open.
_OF_OPTIONS = {
    NoSeatReason.EXCLUDED: "EXCLUDE names this client, its user or a group of theirs. No seat avoids it.",
    NoSeatReason.NOT_INCLUDED: "The pool is for those of INCLUDE, or for named users, and this client is not"
    " one of them. No seat avoids it.",
    NoSeatReason.MAX_REACHED: "The client, its user or a group of theirs had as many seats as MAX allows."
    " More seats in the pool do not avoid it.",
    NoSeatReason.RESERVED: "Seats were free, and RESERVE keeps them for others.",
    NoSeatReason.QUEUED: "Seats were free, and were for those who stood before it in line.",
}
_NAMES = {"pool": "pool", "client": "client", "user": "user", "reason": "why"}


def router(context: AdminContext) -> APIRouter:
    """`/denials`, and who held the seats at one of them."""
    routes = APIRouter()
    routes.add_api_route(PATH, _show(context), methods=["GET"])
    routes.add_api_route(f"{PATH}/download.csv", _download(context), methods=["GET"])
    routes.add_api_route(f"{PATH}/holders", _show_holders(context), methods=["GET"])
    return routes


def _show(context: AdminContext) -> Callable[[Request], Any]:
    visit_of = visiting(context)

    async def show(request: Request) -> Response:
        visit = await visit_of(request)
        if (settled := settle_times(request, PATH, visit.now_ms)) is not None:
            return settled
        if (tenant := visit.the_tenant) is None:
            return choose(request, visit, HERE, PATH, "Denials of which tenant?")
        filters = Filters(visit, PATH, request.query_params, _NAMES)
        after = request.query_params.get("after") or None
        only = _only(filters)
        seen = await look(
            context, _reader(tenant, only), partial(denied_most, tenant=tenant, only=only), after
        )
        return page(
            request,
            visit,
            "denials.html",
            here=HERE,
            tenant=tenant,
            clients=len({range_.client_id for range_ in seen.newest.ranges}),
            all_link=lambda name: filters.link(client=name),
            reasons=[(reason.value, text) for reason, text in WHY_DENIED.items()],
            pools=[(name, name) for name in sorted(pool.name for pool in tenant.pools.values())],
            why=lambda denials: reason_text(denials.reason, denials.seats),
            of_options=_OF_OPTIONS,
            holders_link=lambda denials: _holders_link(visit, denials),
            **list_context(request, filters, PATH, seen, after),
        )

    return show


def _show_holders(context: AdminContext) -> Callable[[Request], Any]:
    seen = visiting(context)

    async def show(request: Request) -> Response:
        visit = await seen(request)
        tenant, at_ms = visit.the_tenant, instant_of(request.query_params.get("at", ""))
        pool = cleaned(request.query_params.get("pool", ""))
        if tenant is None or at_ms is None or not pool:
            raise not_found("Say of which tenant and pool, and at which instant.")
        found = await context.read(
            lambda connection: holders_at(connection, tenant, pool, at_ms, now_ms=visit.now_ms)
        )
        back = link(visit, PATH)
        return page(
            request,
            visit,
            "holders.html",
            here=HERE,
            tenant=tenant,
            pool=pool,
            at_ms=at_ms,
            holders=found,
            lasted=lasted,
            download=link(visit, f"{PATH}/holders/download.csv", pool=pool, at=at_ms),
            back=back,
        )

    return show


def choose(request: Request, visit: Visit, here: str, path: str, headline: str) -> Response:
    """A page about one tenant, for a reader who has chosen all of them: it asks to choose one."""
    return page(request, visit, "choose.html", here=here, path=path, headline=headline)


def lasted(duration_ms: int) -> str:
    """A duration as text: `4 min 10 s`, `2 h 05 min`, `3 d 4 h`."""
    seconds = max(0, duration_ms) // 1000
    if seconds < 60:  # noqa: PLR2004 - a minute
        return f"{seconds} s"
    minutes, seconds = divmod(seconds, 60)
    if minutes < 60:  # noqa: PLR2004 - an hour
        return f"{minutes} min {seconds:02} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"  # noqa: PLR2004


def _download(context: AdminContext) -> Callable[[Request], Any]:
    seen = visiting(context)

    async def download(request: Request) -> Response:
        visit = await seen(request)
        if (tenant := visit.the_tenant) is None:
            raise not_found("Say whose denials.")
        only = _only(Filters(visit, PATH, request.query_params, _NAMES))
        name = file_name("licet", tenant.name, "denials")
        row = partial(_row, tenant.name, zone=zone_of(request))
        return await csv_of(context, _reader(tenant, only), row, name, _HEADINGS)

    return download


def _reader(tenant: Tenant, only: DenialFilter) -> Read[DenialRange]:
    return lambda connection, after, limit: denials(connection, tenant, only=only, after=after, limit=limit)


def _row(tenant: str, denials: DenialRange, *, zone: str) -> Sequence[object]:
    times = denials.times, moment(denials.first_at_ms, zone), moment(denials.last_at_ms, zone)
    who = denials.client_id, denials.initials, denials.name
    state = denials.seats, denials.in_use, denials.address
    return (tenant, denials.pool, *who, denials.reason, *times, *state)


def _only(filters: Filters) -> DenialFilter:
    from_ms, until_ms = filters.window
    reason = filters.texts["reason"]
    if reason not in set(NoSeatReason):
        filters.texts["reason"] = reason = ""
    return DenialFilter(
        pool=filters.texts["pool"],
        client=filters.texts["client"],
        user=filters.texts["user"],
        reason=NoSeatReason(reason) if reason else None,
        from_ms=from_ms,
        until_ms=until_ms,
    )


def _holders_link(visit: Visit, denials: DenialRange) -> str:
    return link(visit, f"{PATH}/holders", pool=denials.pool, at=denials.last_at_ms)
