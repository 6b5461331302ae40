"""The page of failed authentications: who did not get in, when, from where, why and how often.

Minutes of a client that fails again and again for one cause are one row. Who looks at all tenants also sees
those of no tenant of ours, and an owner of all tenants the sign-ins that failed.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from fastapi import APIRouter, Request
from fastapi.responses import Response
from sqlalchemy import Connection

from licet.admin.context import Desk
from licet.admin.pages.downloads import ROWS_MAX, csv_file, file_name, moment
from licet.admin.pages.filters import CAUSES, WITHIN, Filters, tenant_or_all
from licet.admin.pages.frame import Visit, link, page, visiting
from licet.admin.pages.reader_zone import zone_of
from licet.admin.problems import not_found
from licet.journal.failures import FailureFilter, FailurePage, FailureRange, failed_most, failures
from licet.journal.ranges import Most
from licet.model import FailureCause, Tenant, Who
from licet.store.paging import LIMIT, LIMIT_MAX, InvalidCursor

HERE = "Denials"
PATH = "/failures"
_NAMES = {"client": "client", "user": "user", "cause": "why"}
_HEADINGS = ("tenant", "who", "name", "user", "user_name", "cause", "times", "first", "last", "address")

# What somebody can do about it. Of the others the cause says all there is.
_ADVICE = {
    FailureCause.UNKNOWN_CLIENT: "The program sends a client_id that this tenant does not have.",
    FailureCause.UNKNOWN_TENANT: "The program calls an address with another tenant in it.",
    FailureCause.NO_CREDENTIALS: "The program sends no client_id and secret, or in another way.",
    FailureCause.WRONG_SECRET: "Give the program the right secret or password, or a new one.",
    FailureCause.EXPIRED_SECRET: "The secret was right until it expired; give the program a new one.",
    FailureCause.PASSWORD_NOT_ALLOWED: "Allow the client its user's password, or give it a secret.",
    FailureCause.THROTTLED: "It was not looked at, because too many failed before; look at those.",
    FailureCause.EXPIRED_ASSERTION: "Look at the clock of the program's machine.",
    FailureCause.USED_ASSERTION: "The program has to sign an assertion for each request.",
}


class _Seen(NamedTuple):
    """What the page is made of: a page of the list, what is counted of its begin, and who most often."""

    shown: FailurePage
    newest: FailurePage
    most: Sequence[Most]


def router(desk: Desk) -> APIRouter:
    """`/failures`, and the same as a file."""
    routes = APIRouter()
    routes.add_api_route(PATH, _show(desk), methods=["GET"])
    routes.add_api_route(f"{PATH}/download.csv", _download(desk), methods=["GET"])
    return routes


def _show(desk: Desk) -> Callable[[Request], Any]:
    seen = visiting(desk)

    async def show(request: Request) -> Response:
        visit = await seen(request)
        tenant = _tenant(visit)
        filters = Filters(visit, PATH, request.query_params, _NAMES)
        after = request.query_params.get("after") or None
        only = _only(visit, filters)
        try:
            found = await desk.run(_read, desk, tenant, only, after)
        except InvalidCursor:
            raise not_found("This page of the list is not there; begin with the first.") from None
        newest = found.newest.ranges
        return page(
            request,
            visit,
            "failures.html",
            here=HERE,
            tenant=tenant,
            ranges=found.shown.ranges,
            newest=newest[0] if newest else None,
            times=sum(it.times for it in newest),
            clients=len({(it.tenant, it.name) for it in newest if it.name and it.who is Who.CLIENT}),
            is_more=found.newest.next is not None,
            most=found.most,
            filters=filters,
            within=[(value, text) for value, (text, _) in WITHIN.items()],
            causes=[(cause.value, text) for cause, text in CAUSES.items()],
            why=lambda it: CAUSES[it.cause],
            advice=lambda it: _ADVICE.get(it.cause, ""),
            is_client=lambda it: it.who is Who.CLIENT,
            client_link=lambda it: link(visit, "/set-up/clients/edit", tenant=it.tenant, name=it.name),
            all_link=lambda name: filters.link(client=name, within="all"),
            download=filters.link_to(f"{PATH}/download.csv"),
            newer=filters.link() if after else None,
            older=filters.link(after=found.shown.next) if found.shown.next else None,
        )

    return show


def _download(desk: Desk) -> Callable[[Request], Any]:
    seen = visiting(desk)

    async def download(request: Request) -> Response:
        visit = await seen(request)
        tenant = _tenant(visit)
        only = _only(visit, Filters(visit, PATH, request.query_params, _NAMES))
        zone = zone_of(request)

        def make() -> Response:
            rows = desk.read_now(lambda connection: list(_rows(connection, tenant, only, zone)))
            return csv_file(file_name("licet", tenant.name if tenant else "", "failures"), _HEADINGS, rows)

        return await desk.run(make)

    return download


def _rows(
    connection: Connection, tenant: Tenant | None, only: FailureFilter, zone: str
) -> Iterator[Sequence[object]]:
    after: str | None = None
    for _ in range(ROWS_MAX // LIMIT_MAX):
        found = failures(connection, tenant, only=only, after=after, limit=LIMIT_MAX)
        yield from (_row(it, zone) for it in found.ranges)
        if (after := found.next) is None:
            return


def _row(it: FailureRange, zone: str) -> Sequence[object]:
    return (
        it.tenant,
        it.who.value,
        it.name,
        it.initials,
        it.user_name,
        it.cause.value,
        it.times,
        moment(it.first_at_ms, zone),
        moment(it.last_at_ms, zone),
        it.address,
    )


def _tenant(visit: Visit) -> Tenant | None:
    """The tenant that is looked at. Of those of no tenant, the only one there is says nothing."""
    return visit.tenant if visit.identity.tenant_id is None else tenant_or_all(visit)


def _read(desk: Desk, tenant: Tenant | None, only: FailureFilter, after: str | None) -> _Seen:
    def read(connection: Connection) -> _Seen:
        shown = failures(connection, tenant, only=only, after=after, limit=LIMIT)
        is_whole = after is None and shown.next is None
        newest = shown if is_whole else failures(connection, tenant, only=only, limit=LIMIT_MAX)
        return _Seen(shown, newest, failed_most(connection, tenant, only=only))

    return desk.read_now(read)


def _only(visit: Visit, filters: Filters) -> FailureFilter:
    from_ms, until_ms = filters.window
    cause = filters.texts["cause"]
    if cause not in set(FailureCause):
        filters.texts["cause"] = cause = ""
    return FailureFilter(
        client=filters.texts["client"],
        user=filters.texts["user"],
        cause=FailureCause(cause) if cause else None,
        from_ms=from_ms,
        until_ms=until_ms,
        with_administrators=visit.identity.sees_sign_ins,
    )
