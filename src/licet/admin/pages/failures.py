"""Serves the page of failed authentications: who, when, from where, why and how often.

Consecutive minutes of a client that fails for one cause are one row. The list of all tenants also has the
failures of unknown tenants, and for an owner of all tenants the sign-ins that failed.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from licet.admin.context import AdminContext
from licet.admin.pages.chosen_times import settle_times
from licet.admin.pages.downloads import file_name, moment
from licet.admin.pages.filters import CAUSES, Filters, tenant_or_all
from licet.admin.pages.frame import Visit, page, visiting
from licet.admin.pages.reader_zone import zone_of
from licet.admin.pages.refusal_lists import Read, csv_of, list_context, look
from licet.journal.failures import FailureFilter, FailureRange, failed_most, failures
from licet.model import FailureCause, Tenant, Who

HERE = "Denials"
PATH = "/failures"
_NAMES = {"client": "client", "user": "user", "cause": "why"}
_HEADINGS = ("tenant", "who", "name", "user", "user_name", "cause", "times", "first", "last", "address")

# What to do about a cause, where the cause alone does not say it.
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


def router(context: AdminContext) -> APIRouter:
    """`/failures`, as a page and as a file."""
    routes = APIRouter()
    routes.add_api_route(PATH, _show(context), methods=["GET"])
    routes.add_api_route(f"{PATH}/download.csv", _download(context), methods=["GET"])
    return routes


def _show(context: AdminContext) -> Callable[[Request], Any]:
    visit_of = visiting(context)

    async def show(request: Request) -> Response:
        visit = await visit_of(request)
        if (settled := settle_times(request, PATH, visit.now_ms)) is not None:
            return settled
        tenant = _tenant(visit)
        filters = Filters(visit, PATH, request.query_params, _NAMES)
        after = request.query_params.get("after") or None
        only = _only(visit, filters)
        seen = await look(
            context, _reader(tenant, only), partial(failed_most, tenant=tenant, only=only), after
        )
        return page(
            request,
            visit,
            "failures.html",
            here=HERE,
            tenant=tenant,
            clients=len(
                {(of.tenant, of.name) for of in seen.newest.ranges if of.name and of.who is Who.CLIENT}
            ),
            causes=[(cause.value, text) for cause, text in CAUSES.items()],
            why=lambda failures: CAUSES[failures.cause],
            advice=lambda failures: _ADVICE.get(failures.cause, ""),
            is_client=lambda failures: failures.who is Who.CLIENT,
            all_link=lambda name: filters.link(client=name, within="all"),
            **list_context(request, filters, PATH, seen, after),
        )

    return show


def _download(context: AdminContext) -> Callable[[Request], Any]:
    visit_of = visiting(context)

    async def download(request: Request) -> Response:
        visit = await visit_of(request)
        tenant = _tenant(visit)
        only = _only(visit, Filters(visit, PATH, request.query_params, _NAMES))
        name = file_name("licet", tenant.name if tenant else "", "failures")
        row = partial(_row, zone=zone_of(request))
        return await csv_of(context, _reader(tenant, only), row, name, _HEADINGS)

    return download


def _reader(tenant: Tenant | None, only: FailureFilter) -> Read[FailureRange]:
    return lambda connection, after, limit: failures(connection, tenant, only=only, after=after, limit=limit)


def _row(failures: FailureRange, zone: str) -> Sequence[object]:
    return (
        failures.tenant,
        failures.who.value,
        failures.name,
        failures.initials,
        failures.user_name,
        failures.cause.value,
        failures.times,
        moment(failures.first_at_ms, zone),
        moment(failures.last_at_ms, zone),
        failures.address,
    )


def _tenant(visit: Visit) -> Tenant | None:
    """The chosen tenant. Failures of no tenant are shown even where there is only one tenant."""
    return visit.tenant if visit.identity.tenant_id is None else tenant_or_all(visit)


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
