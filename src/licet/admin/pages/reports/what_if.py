"""Serves the page that replays a span with another set-up of a pool, beside what was and with which error.

The figures are those of `licet usage what-if`. A replay takes seconds, so there is one only when the form was
sent, and of 31 days at most.
"""

from collections.abc import Callable, Mapping
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from msgspec.structs import asdict
from sqlalchemy import Connection

from licet.admin.context import AdminContext
from licet.admin.pages.chosen_times import settle_times
from licet.admin.pages.denials import choose
from licet.admin.pages.frame import page, visiting
from licet.admin.pages.reports.asked import HERE, REACHES, WHAT_IF, Asked, asked_of, tools
from licet.admin.pages.reports.what_if_form import WhatIfForm
from licet.formats import counted, duration, sentence
from licet.model import InvalidValue, Pool
from licet.reports.spans import USUAL_OF_WHAT_IF, Reach
from licet.reports.what_if.replay import Rules, Setup
from licet.reports.what_if.report import REPLAY_MS_MAX, TOO_LONG, WhatIf, trust_in, what_if
from licet.reports.what_if.visits import TooManyVisits
from licet.store.errors import NotFound

_REACHES: Mapping[Reach, str] = {
    reach: text for reach, text in REACHES.items() if reach not in {Reach.QUARTER, Reach.YEAR}
}
_RULES_SHOWN_MAX = 5  # of one option
_TOO_MANY = "There are more visits in this span than can be replayed. A shorter span has fewer."


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
        asked = asked_of(request, visit.the_tenant, WHAT_IF, USUAL_OF_WHAT_IF)
        pools = sorted(visit.the_tenant.pools.values(), key=lambda pool: pool.name)
        pool = next((it for it in pools if it.name == asked.pool), pools[0] if pools else None)
        form, found, refusal = None, None, ""
        if pool is not None:
            form = WhatIfForm(request, visit.the_tenant, pool, visit.now_ms)
            if form.was_sent and not form.errors:
                found, refusal = await context.run(_replayed, context, asked, pool, form, visit.now_ms)
        return page(
            request,
            visit,
            "reports/what_if.html",
            status=422 if form is not None and form.errors else 200,
            here=HERE,
            tenant=visit.the_tenant,
            pool=pool,
            pools=[(it.name, it.name) for it in pools],
            form=form,
            found=found,
            rows=_rows(found) if found else (),
            trust=sentence(trust_in(found)) if found else "",
            refusal=refusal,
            span_text=REACHES[asked.reach],
            **tools(request, visit, asked, _REACHES),
        )

    return show


def _replayed(
    context: AdminContext, asked: Asked, pool: Pool, form: WhatIfForm, now_ms: int
) -> tuple[WhatIf | None, str]:
    """The answer, or why there is none."""
    from_ms, until_ms = asked.span(now_ms)
    if until_ms - from_ms > REPLAY_MS_MAX:
        return None, f"{TOO_LONG} Choose a shorter one."

    def read(connection: Connection) -> WhatIf:
        return what_if(connection, asked.tenant, pool, form.other, from_ms, until_ms, now_ms=now_ms)

    try:
        return context.read_now(read), ""
    except TooManyVisits:
        return None, _TOO_MANY
    except (InvalidValue, NotFound) as wrong:
        form.refuse(wrong)
        return None, "" if form.errors else sentence(str(wrong))


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
        f" session life {duration(setup.session_ttl_s)}{_rules_text(setup.rules)}"
    )


def _rules_text(rules: Rules) -> str:
    """The options that are set, with the rules of each while they are few."""
    found = []
    for name, value in asdict(rules).items():
        if isinstance(value, int):
            found.append(f"{name.replace('_', ' ')} {value:,}")
        elif value:
            what = " ".join(value) if len(value) <= _RULES_SHOWN_MAX else counted(len(value), "rule")
            found.append(f"{name} {what}")
    return "".join(f", {text}" for text in found)
