"""Serves the page that replays a span with another set-up of a pool, beside what was and with which error.

The figures are those of `licet usage what-if`. A replay takes seconds, so there is one only when the form was
sent, and of 31 days at most.
"""

from collections.abc import Callable, Mapping
from datetime import UTC
from typing import Any, NamedTuple

from fastapi import APIRouter, Request
from fastapi.responses import Response
from sqlalchemy import Connection

from licet.admin.context import AdminContext
from licet.admin.pages.chosen_times import settle_times
from licet.admin.pages.denials import choose
from licet.admin.pages.frame import page, visiting
from licet.admin.pages.reports.asked import HERE, REACHES, WHAT_IF, Asked, asked_of, tools
from licet.formats import duration, sentence
from licet.model import HOLD_S_MAX, SEATS_MAX, TTL_S_MAX, Duplicates, InvalidValue, Pool, Tenant
from licet.reports.usage_queries import Reach
from licet.reports.what_if.replay import Setup
from licet.reports.what_if.report import Other, WhatIf, today_of, what_if
from licet.reports.what_if.visits import TooManyVisits
from licet.setup.kinds import Choice, Duration, Kind, Whole
from licet.units import DAY_MS

REPLAY_MS_MAX = 31 * DAY_MS
_REACHES: Mapping[Reach, str] = {
    reach: text for reach, text in REACHES.items() if reach not in {Reach.QUARTER, Reach.YEAR}
}
_FIELDS: Mapping[str, tuple[str, Kind]] = {
    "seats": ("Seats", Whole(0, SEATS_MAX)),
    "overdraft": ("Overdraft", Whole(0, SEATS_MAX)),
    "hold_s": ("A seat is held for", Duration(0, HOLD_S_MAX)),
    "session_ttl_s": ("A session lives", Duration(1, TTL_S_MAX)),
    "duplicates": ("Counted by", Choice(Duplicates)),
}
_TEXT_CHARS_MAX = 40
_TOO_LONG = "A span that is replayed has 31 days at most. Choose a shorter one."
_TOO_MANY = "There are more visits in this span than can be replayed. A shorter span has fewer."


class FormField(NamedTuple):
    """A field of the form: what it is called, what was typed or is so today, and what is wrong with that."""

    name: str
    label: str
    text: str
    options: tuple[str, ...]
    error: str


def router(context: AdminContext) -> APIRouter:
    """`/usage/what-if`."""
    routes = APIRouter()
    routes.add_api_route(WHAT_IF, _show(context), methods=["GET"])
    return routes


def _show(context: AdminContext) -> Callable[[Request], Any]:
    seen = visiting(context)

    async def show(request: Request) -> Response:
        visit = await seen(request)
        if visit.the_tenant is None:
            return choose(request, visit, HERE, WHAT_IF, "What if, of which tenant?")
        if (settled := settle_times(request, WHAT_IF, visit.now_ms)) is not None:
            return settled
        asked = asked_of(request, visit.the_tenant, WHAT_IF)
        pools = sorted(visit.the_tenant.pools.values(), key=lambda pool: pool.name)
        pool = next((it for it in pools if it.name == asked.pool), pools[0] if pools else None)
        fields: list[FormField] = []
        found, refusal = None, ""
        if pool is not None:
            other, fields = _form(request, visit.the_tenant, pool, visit.now_ms)
            if other is not None and any(name in request.query_params for name in _FIELDS):
                found, refusal = await context.run(_replayed, context, asked, pool, other, visit.now_ms)
        return page(
            request,
            visit,
            "reports/what_if.html",
            status=422 if any(field.error for field in fields) else 200,
            here=HERE,
            tenant=visit.the_tenant,
            pool=pool,
            pools=[(it.name, it.name) for it in pools],
            fields=fields,
            found=found,
            rows=_rows(found) if found else (),
            refusal=refusal,
            span_text=REACHES[asked.reach],
            **tools(request, visit, asked, _REACHES),
        )

    return show


def _form(request: Request, tenant: Tenant, pool: Pool, now_ms: int) -> tuple[Other | None, list[FormField]]:
    """What was typed, None where something of it is wrong, and the fields; what was not is as it is today."""
    today, given = today_of(tenant, pool, now_ms), dict[str, Any]()
    fields = []
    for name, (label, kind) in _FIELDS.items():
        usual = str(kind.fact(getattr(today, name)))
        text = request.query_params.get(name, "").strip()[: _TEXT_CHARS_MAX + 1]
        error = ""
        if text and text != usual:
            try:
                given[name] = kind.read(text, UTC)
            except InvalidValue as wrong:
                error = sentence(f"allowed is {wrong}" if isinstance(kind, Whole) else str(wrong))
        options = tuple(Duplicates) if isinstance(kind, Choice) else ()
        fields.append(FormField(name, label, text or usual, options, error))
    is_wrong = any(field.error for field in fields)
    return None if is_wrong else Other(**given), fields


def _replayed(
    context: AdminContext, asked: Asked, pool: Pool, other: Other, now_ms: int
) -> tuple[WhatIf | None, str]:
    """The answer, or why there is none."""
    from_ms, until_ms = asked.span(now_ms)
    if until_ms - from_ms > REPLAY_MS_MAX:
        return None, _TOO_LONG

    def read(connection: Connection) -> WhatIf:
        return what_if(connection, asked.tenant, pool, other, from_ms, until_ms, now_ms=now_ms)

    try:
        return context.read_now(read), ""
    except TooManyVisits:
        return None, _TOO_MANY


def _rows(found: WhatIf) -> list[dict[str, Any]]:
    """What was recorded, the replay of today's set-up, and that of the other one."""
    recorded = found.recorded
    rows: list[dict[str, Any]] = [
        {
            "what": "Recorded",
            "setup": "",
            "peak": found.recorded_peak,
            "wants": recorded.wants,
            "served": recorded.served,
            "turned_away": recorded.turned_away,
        }
    ]
    for what, setup, replayed in (
        ("Today's set-up, replayed", found.today_setup, found.today),
        ("What if", found.other_setup, found.other),
    ):
        figures = {name: getattr(replayed, name) for name in ("peak", "wants", "served", "turned_away")}
        rows.append({"what": what, "setup": _setup_text(setup), **figures})
    return rows


def _setup_text(setup: Setup) -> str:
    overdraft = f" + {setup.overdraft:,}" if setup.overdraft else ""
    return (
        f"{setup.seats:,}{overdraft} seats by {setup.duplicates}, hold {duration(setup.hold_s)},"
        f" session life {duration(setup.session_ttl_s)}"
    )
