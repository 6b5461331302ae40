"""Serves the page of the journal: every grant, denial and ending, and what administrators did, newest first.

Filters are chips in the address, and every row leads to what it is about: the client's sessions, the client,
the denials, the part of the set-up, the administrator.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from fastapi import APIRouter, Request
from fastapi.responses import Response

from licet.admin.context import AdminContext
from licet.admin.pages.filters import CAUSES, WITHIN, Filters, reason_told, tenant_or_all
from licet.admin.pages.frame import Visit, link, page, visiting
from licet.admin.problems import not_found
from licet.formats import counted
from licet.journal.history import Did, Happened, HistoryFilter, Kind, history
from licet.model import EndReason, FailureCause, Who
from licet.store.paging import InvalidCursor

HERE = "Journal"
PATH = "/journal"
_NAMES = {"kind": "", "client": "client", "user": "user", "pool": "pool", "actor": "by", "reason": "why"}
_KINDS = {
    Kind.GRANTED: "Grants",
    Kind.DENIED: "Denials",
    Kind.ENDED: "Endings",
    Kind.FAILED: "Failures",
    Kind.EVENT: "Administrators",
}
_ENDINGS = {
    EndReason.LOGOFF: "logged off",
    EndReason.REVOKED: "revoked its token",
    EndReason.EXPIRED: "expired",
    EndReason.SUPERSEDED: "was superseded by a newer one",
    EndReason.ADMINISTRATOR: "was ended by an administrator",
    EndReason.DISABLED: "ended when client or user was disabled",
    EndReason.REMOVED: "ended when what it stood on was removed",
}
_TAGS = {Kind.GRANTED: "on", Kind.DENIED: "bad", Kind.ENDED: "", Kind.FAILED: "bad", Kind.EVENT: "warn-tag"}
_WORDS = {
    Kind.GRANTED: "grant",
    Kind.DENIED: "denial",
    Kind.ENDED: "ending",
    Kind.FAILED: "failure",
    Kind.EVENT: "admin",
}

# Where the noun of an event's target is found: its list, or its form.
_PLACES = {
    "pool": "/set-up/pools/edit",
    "scope": "/set-up/scopes/edit",
    "user": "/set-up/users/edit",
    "client": "/set-up/clients/edit",
    "admin": "/set-up/administrators/edit",
}


# What the events of the store say, as it is told of somebody.
_DONE = {
    "add": "added",
    "set": "changed",
    "remove": "removed",
    "end": "ended",
    "suspend": "suspended",
    "resume": "resumed",
    "add secret": "added a secret to",
    "remove secret": "removed a secret from",
    "rotate secret": "gave a new secret to",
    "add key": "added a public key to",
    "remove key": "removed a public key from",
    "test": "sent a test message to",
    "send again": "sent again",
    "restore": "restored",
}


class Line(NamedTuple):
    """One row: what it says, and where it leads."""

    at_ms: int
    until_ms: int
    tag: str
    tag_look: str
    tenant: str
    subject: str
    subject_link: str
    initials: str
    what: str
    times: int
    detail: str
    detail_link: str


def did_told(action: str, target: str) -> str:
    """What an administrator did: `added pool full`."""
    if action == "sign in":
        return "signed in"
    return f"{_DONE.get(action, action)} {target}"


def router(context: AdminContext) -> APIRouter:
    """`/journal`."""
    routes = APIRouter()
    routes.add_api_route(PATH, _show(context), methods=["GET"])
    return routes


def _show(context: AdminContext) -> Callable[[Request], Any]:
    seen = visiting(context)

    async def show(request: Request) -> Response:
        visit = await seen(request)
        tenant = tenant_or_all(visit)
        filters = Filters(visit, PATH, request.query_params, _NAMES)
        after = request.query_params.get("after") or None
        only = _only(visit, filters)
        try:
            found = await context.read(lambda connection: history(connection, tenant, only=only, after=after))
        except InvalidCursor:
            raise not_found("This page of the list is not there; begin with the first.") from None
        return page(
            request,
            visit,
            "journal.html",
            here=HERE,
            lines=[_line(visit, it) for it in found.entries],
            filters=filters,
            kinds=[(kind.value, text) for kind, text in _KINDS.items()],
            within=[(value, text) for value, (text, _) in WITHIN.items()],
            newer=filters.link() if after else None,
            older=filters.link(after=found.next) if found.next else None,
        )

    return show


def _only(visit: Visit, filters: Filters) -> HistoryFilter:
    from_ms, until_ms = filters.window
    texts = filters.texts
    if texts["kind"] not in set(Kind):
        texts["kind"] = ""
    return HistoryFilter(
        kinds=frozenset({Kind(texts["kind"])}) if texts["kind"] else frozenset(),
        reason=texts["reason"],
        pool=texts["pool"],
        client=texts["client"],
        user=texts["user"],
        actor=texts["actor"],
        from_ms=from_ms,
        until_ms=until_ms,
        with_administrators=visit.identity.sees_sign_ins,
    )


def _line(visit: Visit, it: Happened | Did) -> Line:
    if isinstance(it, Did):
        return _did(visit, it)
    return _failed(visit, it) if it.kind is Kind.FAILED else _happened(visit, it)


def _happened(visit: Visit, it: Happened) -> Line:
    tenant = {"tenant": it.tenant}
    pool = f"a seat of {it.pool}" if it.pool else "no seat needed"
    match it.kind:
        case Kind.GRANTED:
            what = "began a session" if it.times == 1 else f"began {counted(it.times, 'session')}"
            detail, target = pool, link(visit, "/seats", **tenant, q=it.client_id)
        case Kind.DENIED:
            what = f"was refused: {reason_told(it.reason, it.seats)}"
            detail = f"pool {it.pool}"
            target = link(visit, "/denials", **tenant, client=it.client_id, within="all")
        case _:
            ending = (
                _ENDINGS.get(EndReason(it.reason), it.reason) if it.reason in set(EndReason) else it.reason
            )
            is_own = it.reason in {EndReason.LOGOFF, EndReason.REVOKED}
            what = ending if is_own else f"session {ending}"
            detail, target = pool, link(visit, "/seats", **tenant, q=it.client_id)
    return Line(
        at_ms=it.first_at_ms,
        until_ms=it.last_at_ms,
        tag=_WORDS[it.kind],
        tag_look=_TAGS[it.kind],
        tenant=it.tenant,
        subject=it.client_id,
        subject_link=link(visit, "/set-up/clients/edit", **tenant, name=it.client_id),
        initials=it.initials,
        what=what,
        times=it.times,
        detail=f"{detail}{', from ' + it.address if it.address else ''}",
        detail_link=target,
    )


def _failed(visit: Visit, it: Happened) -> Line:
    tenant = {"tenant": it.tenant} if it.tenant else {}
    cause = FailureCause(it.reason)
    is_client = it.who is Who.CLIENT
    place = "/set-up/clients/edit" if is_client else _PLACES["admin"]
    has_page = it.client_id and it.who is not Who.API_KEY
    return Line(
        at_ms=it.first_at_ms,
        until_ms=it.last_at_ms,
        tag=_WORDS[it.kind],
        tag_look=_TAGS[it.kind],
        tenant=it.tenant,
        subject=it.client_id or "unknown",
        subject_link=link(visit, place, **tenant, name=it.client_id) if has_page else "",
        initials=it.initials,
        what=f"did not get in: {CAUSES[cause]}",
        times=it.times,
        detail=f"from {it.address}" if it.address else "all like this",
        detail_link=link(visit, "/failures", **tenant, client=it.client_id, cause=it.reason, within="all"),
    )


def _did(visit: Visit, it: Did) -> Line:
    noun, _, name = it.target.partition(" ")
    place = _PLACES.get(noun)
    tenant = {"tenant": it.tenant} if it.tenant else {}
    target = link(visit, place, **tenant, name=name) if place and it.action != "remove" else ""
    if noun == "tenant" and it.action != "remove":
        target = link(visit, "/set-up/tenants/edit", tenant=name)
    return Line(
        at_ms=it.at_ms,
        until_ms=it.at_ms,
        tag=_WORDS[Kind.EVENT],
        tag_look=_TAGS[Kind.EVENT],
        tenant=it.tenant,
        subject=it.actor,
        subject_link=link(visit, PATH, actor=it.actor, kind=Kind.EVENT.value),
        initials="",
        what=did_told(it.action, it.target),
        times=1,
        detail=it.detail,
        detail_link=target,
    )
