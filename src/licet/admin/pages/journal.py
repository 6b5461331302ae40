"""Serves the page of the journal: every grant, denial and ending, and what administrators did, newest first.

Filters are in the address and shown as chips, and every row links to its subject: the pages of the client and
its user, the denials, the part of the set-up, the administrator.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from fastapi import APIRouter, Request
from fastapi.responses import Response

from licet.admin.context import AdminContext
from licet.admin.pages.chosen_times import chosen_times, settle_times
from licet.admin.pages.filters import CAUSES, WITHIN_OPTIONS, Filters, reason_text, tenant_or_all
from licet.admin.pages.frame import Visit, link, page, visiting
from licet.admin.problems import not_found
from licet.formats import counted
from licet.journal.history import EventEntry, HistoryFilter, JournalEntry, Kind, history
from licet.model import EndReason, FailureCause, Who
from licet.store.paging import InvalidCursor

HERE = "Journal"
PATH = "/journal"
NAMES = {
    "kind": "",
    "client": "client",
    "user": "user",
    "pool": "pool",
    "licence": "licence",
    "actor": "by",
    "action": "did",
    "reason": "why",
}
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

# The page of an event's target, by noun: its list, or its form.
_PLACES = {
    "pool": "/set-up/pools/edit",
    "scope": "/set-up/scopes/edit",
    "user": "/set-up/users/edit",
    "client": "/set-up/clients/edit",
    "group": "/set-up/groups/edit",
    "admin": "/set-up/administrators/edit",
}


# The store's events as sentences about a person.
_DONE = {
    "add": "added",
    "set": "changed",
    "remove": "removed",
    "end": "ended",
    "suspend": "suspended",
    "resume": "resumed",
    "remove place": "removed a place in line from",
    "trust": "trusted",
    "distrust": "trusts no more",
    "install": "installed",
    "refuse": "was refused a",
    "unsign": "made unsigned",
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
    """One row: its text, and its links."""

    at_ms: int
    until_ms: int
    tag: str
    tag_look: str
    tenant: str
    subject: str
    subject_link: str
    initials: str
    user_link: str
    what: str
    times: int
    detail: str
    detail_link: str


def did_text(action: str, target: str) -> str:
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
        if (settled := settle_times(request, PATH, visit.now_ms)) is not None:
            return settled
        tenant = tenant_or_all(visit)
        filters = Filters(visit, PATH, request.query_params, NAMES)
        after = request.query_params.get("after") or None
        only = only_of(visit, filters)
        try:
            found = await context.read(lambda connection: history(connection, tenant, only=only, after=after))
        except InvalidCursor:
            raise not_found("This page of the list is not there; begin with the first.") from None
        return page(
            request,
            visit,
            "journal.html",
            here=HERE,
            lines=[line_of(visit, entry) for entry in found.entries],
            filters=filters,
            kinds=[(kind.value, text) for kind, text in _KINDS.items()],
            within=WITHIN_OPTIONS,
            times_chosen=chosen_times(request, filters.from_ms, filters.until_ms),
            download=filters.link_to(f"{PATH}/download.csv"),
            newer=filters.link() if after else None,
            older=filters.link(after=found.next) if found.next else None,
        )

    return show


def only_of(visit: Visit, filters: Filters) -> HistoryFilter:
    """The filters of an address for the store."""
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
        action=texts["action"],
        licence=texts["licence"],
        from_ms=from_ms,
        until_ms=until_ms,
        with_administrators=visit.identity.sees_sign_ins,
    )


def line_of(visit: Visit, entry: JournalEntry | EventEntry) -> Line:
    """An entry as a row."""
    if isinstance(entry, EventEntry):
        return _did(visit, entry)
    return _failed(visit, entry) if entry.kind is Kind.FAILED else _happened(visit, entry)


def _happened(visit: Visit, entry: JournalEntry) -> Line:
    tenant = {"tenant": entry.tenant}
    pool = f"a seat of {entry.pool}" if entry.pool else "no seat needed"
    match entry.kind:
        case Kind.GRANTED:
            what = "began a session" if entry.times == 1 else f"began {counted(entry.times, 'session')}"
            detail, target = pool, link(visit, "/seats", **tenant, q=entry.client_id)
        case Kind.DENIED:
            what = f"was refused: {reason_text(entry.reason, entry.seats)}"
            detail = f"pool {entry.pool}"
            target = link(visit, "/denials", **tenant, client=entry.client_id, within="all")
        case _:
            ending = (
                _ENDINGS.get(EndReason(entry.reason), entry.reason)
                if entry.reason in set(EndReason)
                else entry.reason
            )
            is_own = entry.reason in {EndReason.LOGOFF, EndReason.REVOKED}
            what = ending if is_own else f"session {ending}"
            detail, target = pool, link(visit, "/seats", **tenant, q=entry.client_id)
    return Line(
        at_ms=entry.first_at_ms,
        until_ms=entry.last_at_ms,
        tag=_WORDS[entry.kind],
        tag_look=_TAGS[entry.kind],
        tenant=entry.tenant,
        subject=entry.client_id,
        subject_link=link(visit, "/client", **tenant, name=entry.client_id),
        initials=entry.initials,
        user_link=link(visit, "/user", **tenant, name=entry.initials),
        what=what,
        times=entry.times,
        detail=f"{detail}{', from ' + entry.address if entry.address else ''}",
        detail_link=target,
    )


def _failed(visit: Visit, entry: JournalEntry) -> Line:
    tenant = {"tenant": entry.tenant} if entry.tenant else {}
    cause = FailureCause(entry.reason)
    is_client = entry.who is Who.CLIENT
    place = "/client" if is_client else _PLACES["admin"]
    has_page = entry.client_id and entry.who is not Who.API_KEY
    return Line(
        at_ms=entry.first_at_ms,
        until_ms=entry.last_at_ms,
        tag=_WORDS[entry.kind],
        tag_look=_TAGS[entry.kind],
        tenant=entry.tenant,
        subject=entry.client_id or "unknown",
        subject_link=link(visit, place, **tenant, name=entry.client_id) if has_page else "",
        initials=entry.initials if is_client else "",
        user_link=link(visit, "/user", **tenant, name=entry.initials),
        what=f"did not get in: {CAUSES[cause]}",
        times=entry.times,
        detail=f"from {entry.address}" if entry.address else "all like this",
        detail_link=link(
            visit, "/failures", **tenant, client=entry.client_id, cause=entry.reason, within="all"
        ),
    )


def _did(visit: Visit, event: EventEntry) -> Line:
    noun, _, name = event.target.partition(" ")
    place = _PLACES.get(noun)
    tenant = {"tenant": event.tenant} if event.tenant else {}
    target = link(visit, place, **tenant, name=name) if place and event.action != "remove" else ""
    if noun in {"client", "user"} and event.action == "remove":
        target = link(visit, f"/{noun}", **tenant, name=name)  # what is still known of it
    if noun == "tenant" and event.action != "remove":
        target = link(visit, "/set-up/tenants/edit", tenant=name)
    if noun == "licence":
        target = link(visit, "/licences", **tenant)
    return Line(
        at_ms=event.at_ms,
        until_ms=event.at_ms,
        tag=_WORDS[Kind.EVENT],
        tag_look=_TAGS[Kind.EVENT],
        tenant=event.tenant,
        subject=event.actor,
        subject_link=link(visit, PATH, actor=event.actor, kind=Kind.EVENT.value),
        initials="",
        user_link="",
        what=did_text(event.action, event.target),
        times=1,
        detail=event.detail,
        detail_link=target,
    )
