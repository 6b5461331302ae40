"""Serves the search over everything: `/search`, with `q` in the query.

It finds tenants, pools, users, clients and groups by parts of their names, sessions by the begin of their
ids, and refused requests by their ids. The rules:

- It finds only what is in a tenant that the reader may see; those of the chosen tenant come first.
- Where exactly one thing is found, the reader is led to it; where nothing is, the page says what it searched.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from sqlalchemy import Connection

from licet.admin.context import AdminContext
from licet.admin.pages.filters import CAUSES, cleaned, reason_text
from licet.admin.pages.frame import Visit, link, page, visiting
from licet.admin.pages.request import is_request_id
from licet.admin.pages.search.names import NAMES_MAX, Kind, Named, Names, find_names
from licet.formats import counted
from licet.journal.failures import Refused, find_request
from licet.model import FailureCause, Tenant
from licet.reports.sessions_found import CHARS_MIN, SessionFound, is_prefix, sessions_that_begin

PATH = "/search"
SESSIONS_MAX = 20
# The page of one, and the list of all that fit.
_PAGES = {
    Kind.TENANT: "/",
    Kind.POOL: "/seats",
    Kind.USER: "/user",
    Kind.CLIENT: "/client",
    Kind.GROUP: "/set-up/groups/edit",
}
_LISTS = {
    Kind.TENANT: "/",
    Kind.USER: "/set-up/users",
    Kind.CLIENT: "/set-up/clients",
    Kind.GROUP: "/set-up/groups",
}


class Found(NamedTuple):
    """All that fits a text."""

    names: Names
    sessions: Sequence[SessionFound]
    request: Refused | None

    @property
    def total(self) -> int:
        """How many things were found."""
        named = sum(matches.total for matches in self.names.of_kind.values())
        return named + len(self.sessions) + (self.request is not None)


def router(context: AdminContext) -> APIRouter:
    """`/search`."""
    routes = APIRouter()
    routes.add_api_route(PATH, _show(context), methods=["GET"])
    return routes


def _show(context: AdminContext) -> Callable[[Request], Any]:
    seen = visiting(context)

    async def show(request: Request) -> Response:
        visit = await seen(request)
        text = cleaned(request.query_params.get("q", ""))
        found = await context.run(_find, context, visit, text)
        if (only := _only_one(visit, text, found)) is not None:
            return RedirectResponse(only, 303)
        return page(
            request,
            visit,
            "search.html",
            text=text,
            found=found,
            headline=_headline(text, found),
            named=[(kind, matches) for kind in Kind if (matches := found.names.of_kind.get(kind))],
            link_to=_link_to,
            list_of=lambda kind: _list_of(visit, kind, text),
            request_link=link(visit, "/denials/request", id=text),
            why=_why(found.request) if found.request else "",
            is_prefix=is_prefix(text),
            chars_min=CHARS_MIN,
            names_max=NAMES_MAX,
            where="" if len(visit.tenants) != 1 else f" in {visit.tenants[0].name}",
        )

    return show


def _find(context: AdminContext, visit: Visit, text: str) -> Found:
    """What the reader may see of what fits; it may read many names, and is called in a thread."""
    identity = visit.identity

    def read(connection: Connection) -> tuple[Sequence[SessionFound], Refused | None]:
        sessions = sessions_that_begin(
            connection, text, visit.now_ms, tenant_id=identity.tenant_id, limit=SESSIONS_MAX
        )
        if not is_request_id(text):
            return sessions, None
        refused = find_request(
            connection,
            text,
            tenant_id=identity.tenant_id,
            with_administrators=identity.sees_sign_ins,
        )
        return sessions, refused

    sessions, refused = context.read_now(read) if text else ((), None)
    return Found(find_names(_in_order(visit), text), sessions, refused)


def _in_order(visit: Visit) -> Sequence[Tenant]:
    """The tenants of the reader, the chosen one first."""
    chosen = visit.tenant
    return visit.tenants if chosen is None else (chosen, *(it for it in visit.tenants if it.id != chosen.id))


def _only_one(visit: Visit, text: str, found: Found) -> str | None:
    """The page of what was found, where it is one thing."""
    if found.total != 1 or found.names.is_cut:
        return None
    if found.request is not None:
        return link(visit, "/denials/request", id=text)
    if found.sessions:
        only = found.sessions[0]
        return link(None, _PAGES[Kind.CLIENT], tenant=only.tenant, name=only.session.client_id)
    [matches] = found.names.of_kind.values()
    return _link_to(matches.shown[0])


def _link_to(named: Named) -> str:
    match named.kind:
        case Kind.TENANT:
            return link(None, _PAGES[named.kind], tenant=named.tenant)
        case Kind.POOL:
            return link(None, _PAGES[named.kind], tenant=named.tenant, pool=named.name)
        case _:
            return link(None, _PAGES[named.kind], tenant=named.tenant, name=named.name)


def _list_of(visit: Visit, kind: Kind, text: str) -> str | None:
    """The list that has all that fit, where there is one."""
    if kind is Kind.TENANT:
        return link(None, _LISTS[kind], q=text)
    if kind not in _LISTS or visit.the_tenant is None:
        return None
    return link(None, _LISTS[kind], tenant=visit.the_tenant.name, q=text)


def _headline(text: str, found: Found) -> str:
    if not text:
        return "Search for anything that has a name or an id"
    if not found.total:
        return f"Nothing was found for “{text}”"
    return f"{counted(found.total, 'result')} for “{text}”"


def _why(refused: Refused) -> str:
    if refused.kind == "denied":
        return reason_text(refused.reason)
    return CAUSES[FailureCause(refused.reason)] if refused.reason in set(FailureCause) else refused.reason
