"""Joins the ASGI application of the admin listener: the API, the pages, `/metrics`, and the error handlers.

    gate (names, origins, bounds, security headers) -> FastAPI -> a router of the API or of a page

Importing this imports FastAPI, which takes a second: `licet.server.admin` does it in a thread, when the
public listener answers. Each module of pages has `router(context)`; here is the only list of them.
"""

from importlib.metadata import version
from typing import Any

import msgspec
from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from licet.admin import metrics as scraping
from licet.admin.api import declaration, docs, routers
from licet.admin.api.advice import advised
from licet.admin.api.dry_run import Rehearsed
from licet.admin.api.licences.endpoints import LICENCES
from licet.admin.api.parameters import body_fields
from licet.admin.context import AdminContext, address, request_id
from licet.admin.gate import Application, Gate
from licet.admin.pages import (
    alerts,
    denials,
    failures,
    frame,
    journal,
    overview,
    password,
    seats,
    sign_in,
)
from licet.admin.pages import help as help_page
from licet.admin.pages import request as request_page
from licet.admin.pages.files import routes as files
from licet.admin.pages.licences import routes as licences
from licet.admin.pages.licences.install import BODY_BYTES_MAX, INSTALL
from licet.admin.pages.profiles import routes as profiles
from licet.admin.pages.queue import routes as queue
from licet.admin.pages.reports import routes as reports
from licet.admin.pages.search import routes as search
from licet.admin.pages.setup import first_run
from licet.admin.pages.setup import routes as setup_pages
from licet.admin.problems import EXPECTED, MEDIA_TYPE, Problem, internal_error, of_status, problem_of
from licet.admin.validation import problem_of_validation
from licet.licences.armour import FILE_BYTES_MAX
from licet.store.errors import StoreUnavailable
from licet.web.log_rate_limit import Kind

API_PREFIX = "/api/"
_FOR_PROGRAMS = (API_PREFIX, scraping.PATH)  # which are for programs, so a page would not help
_FAULT = 500
_OF_A_READER = frozenset({"not-found", "not-allowed"})  # who may well be signed in, and goes on elsewhere


def admin_application(context: AdminContext) -> Application:
    """All of the admin listener, ready to be served."""
    answers = _FaultAnswers(context)
    return Gate(
        _Guarded(_routed(context, answers), answers),
        urls=(context.base_url, context.public_url),
        closing=context.closing,
        refuse=answers.refusal,
        larger={
            declaration.DECLARATION: declaration.DECLARATION_BYTES_MAX,
            LICENCES: FILE_BYTES_MAX,
            f"{LICENCES}/check": FILE_BYTES_MAX,
            INSTALL: BODY_BYTES_MAX,
        },
    )


def _routed(context: AdminContext, answers: "_FaultAnswers") -> FastAPI:
    """The routes of all, and what is answered where one raises."""
    inner = FastAPI(title="Licet", version=version("licet"), openapi_url=None, redirect_slashes=False)
    inner.state.context = context
    inner.include_router(routers.router())
    inner.include_router(docs.router(inner))
    if context.metrics is not None:
        inner.include_router(scraping.router(context, context.metrics), include_in_schema=False)
    for router in _pages(context):
        inner.include_router(router, include_in_schema=False)
    for kind in (*EXPECTED, HTTPException, RequestValidationError, Exception):
        inner.add_exception_handler(kind, answers.answer)
    inner.add_exception_handler(Rehearsed, _rehearsed)
    return inner


async def _rehearsed(_: Request, done: Any) -> Response:
    return Response(msgspec.json.encode(done.rehearsal), media_type="application/json")


def _pages(context: AdminContext) -> list[APIRouter]:
    """The routers of the pages."""
    return [
        frame.router(context),
        sign_in.router(context),
        password.router(context),
        overview.router(context),
        seats.router(context),
        queue.router(context),
        denials.router(context),
        failures.router(context),
        request_page.router(context),
        reports.router(context),
        licences.router(context),
        journal.router(context),
        profiles.router(context),
        search.router(context),
        files.router(context),
        setup_pages.router(context),
        first_run.router(context),
        alerts.router(context),
        help_page.router(context),
    ]


class _Guarded:
    """Turns what the application raises into an answer, as long as none has begun."""

    def __init__(self, application: Any, answers: "_FaultAnswers") -> None:
        self._application = application
        self._answers = answers

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        has_begun = False

        async def watched(message: dict[str, Any]) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self._application(scope, receive, watched)
        except Exception as fault:  # noqa: BLE001 - nobody above knows what to answer
            if not has_begun or not scope["state"].get("is_answered"):
                answer = await self._answers.answer(Request(scope, receive), fault)
            if not has_begun:
                await answer(scope, receive, send)


class _FaultAnswers:
    """Answers a fault: with a problem for programs, a page for persons, and a line in the log for both."""

    def __init__(self, context: AdminContext) -> None:
        self._context = context

    async def answer(self, request: Request, fault: Exception) -> Response:
        """The answer to a request that could not be done."""
        problem = _problem(request, fault)
        self._note(request, problem, fault)
        request.state.is_answered = True
        if request.url.path.startswith(_FOR_PROGRAMS):
            return problem_answer(problem, request_id(request), advised(problem.detail, problem.refusal))
        try:
            visit = None
            if problem.kind in _OF_A_READER:
                visit = await frame.visit_if_signed_in(self._context, request)
            return frame.problem_page(request, problem, visit)
        except Exception:  # The answer to a fault must not raise one.
            self._context.log.exception("fault", request_id=request_id(request))
            return plain_page(problem, request_id(request))

    def refusal(self, scope: dict[str, Any], problem: Problem) -> Application:
        """The answer as an application, for the gate."""

        async def refuse(_: Any, receive: Any, send: Any) -> None:
            answer = await self.answer(Request(scope, receive), problem)
            await answer(scope, receive, send)

        return refuse

    def _note(self, request: Request, problem: Problem, fault: Exception) -> None:
        level = "error" if problem.status >= _FAULT else "info"
        kind = Kind(level, "admin_refused", problem.status, problem.kind)
        if not self._context.refusals.admits(kind):
            return
        identity = getattr(request.state, "identity", None)
        self._context.refusals.write(
            kind,
            request_id=request_id(request),
            status=problem.status,
            problem=problem.kind,
            detail=_detail(problem, fault),
            actor=identity.actor if identity else None,
            address=address(request),
            exc_info=fault if problem.kind == "internal-error" else None,
        )


def problem_answer(problem: Problem, id_of_request: str, detail: str) -> Response:
    """A problem as `application/problem+json`; `detail` may also name an operation that helps."""
    body = msgspec.json.encode(problem.content(id_of_request) | {"detail": detail})
    return Response(body, problem.status, problem.headers, MEDIA_TYPE)


def plain_page(problem: Problem, id_of_request: str) -> Response:
    """A problem as a page of text, where no other page can be made."""
    text = f"{problem.title}.\n\n{problem.detail}\n\nRequest id: {id_of_request}\n"
    return Response(text, problem.status, problem.headers, "text/plain; charset=utf-8")


def _problem(request: Request, fault: Exception) -> Problem:
    match fault:
        case RequestValidationError():
            return problem_of_validation(fault, body_fields(request))
        case HTTPException() if isinstance(fault.__cause__, Problem):
            return fault.__cause__  # what the gate said while the framework read the body
        case HTTPException():
            return of_status(fault.status_code, fault.headers)
        case _:
            names = getattr(request.state, "field_names", ())
            return problem_of(fault, names) or internal_error()


def _detail(problem: Problem, fault: Exception) -> str:
    """The text for the log: of a fault in the store the driver's, of a value only its place."""
    if isinstance(fault, StoreUnavailable):
        return str(fault).partition("\n")[0]
    return ", ".join(filter(None, [problem.detail, *(error.pointer for error in problem.errors)]))
