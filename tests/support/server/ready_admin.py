"""Makes the routes of the admin listener before servers are forked, as that takes most of a second.

They hold a context that is empty then. A server that was forked has one such set of routes, and fills the
context with its own. One that is executed makes its routes itself, when the first request for them comes.
"""

from typing import Any

from fastapi import FastAPI

from licet.admin import app
from licet.admin.context import AdminContext
from licet.server import admin
from licet.server.parts import Parts
from licet.telemetry.metrics import Metrics

# A request that nothing answers: what FastAPI makes for a route is made when it is first looked at.
_NOTHING = {"type": "http", "method": "GET", "path": "/nothing", "headers": []}


def prepare() -> None:
    """Let servers that are forked from now on use routes that are made already."""
    context, metrics = AdminContext.__new__(AdminContext), Metrics.__new__(Metrics)
    context.metrics = metrics
    make_context, make_routes = admin._context, app._routed
    made = make_routes(context, app._FaultAnswers(context))
    for route in made.router.routes:
        route.matches(dict(_NOTHING))

    def filled(parts: Parts) -> AdminContext:
        own = make_context(parts)
        vars(metrics).update(vars(own.metrics))
        vars(context).update(vars(own), metrics=metrics)
        return context

    def routes(of: AdminContext, answers: Any) -> FastAPI:
        return made if of is context else make_routes(of, answers)

    vars(admin)["_context"] = filled
    vars(app)["_routed"] = routes
