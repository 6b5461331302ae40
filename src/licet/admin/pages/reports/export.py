"""Serves what goes to others: the log of a span for other tools, and usage statements for a vendor.

The log is that of `licet usage export`, and statements are those of `licet usage statement`. Owners make
statements, and whoever sees the tenant reads them: they name nobody.
"""

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from sqlalchemy import Connection

from licet.admin.context import AdminContext
from licet.admin.pages.chosen_times import settle_times
from licet.admin.pages.denials import choose
from licet.admin.pages.downloads import file_name
from licet.admin.pages.frame import link, page, posting, see, visiting
from licet.admin.pages.reports.asked import EXPORT, HERE, PATH, REACHES, asked_of, link_of, tools
from licet.admin.problems import Problem, not_found
from licet.credentials.keyring import read_keyring
from licet.formats import sentence
from licet.model import InvalidValue, Role
from licet.reports.export.exported import Export, exported
from licet.reports.export.written import write_log
from licet.reports.forms import LogFormat
from licet.reports.spans import USUAL_OF_SUMS
from licet.reports.usage_statements.kept import make_statement, statement_text, statements
from licet.reports.what_if.visits import TooManyVisits
from licet.store.errors import SetupError
from licet.vendor.statements import armoured

STATEMENTS = f"{PATH}/statements"
SHOWN = 100  # of the kept ones; the admin API has all
_SUFFIXES = {LogFormat.RLM: "log", LogFormat.CSV: "csv", LogFormat.JSON: "json"}
_TOO_MANY = "There is more in this span than one file has. A shorter span has less."
_SEQ_CHARS_MAX = 10


class ExportPages:
    """The pages at `/usage/export` and `/usage/statements`."""

    def __init__(self, context: AdminContext) -> None:
        self._context = context
        self._visitor = visiting(context)
        self._poster = posting(context, Role.OWNER)

    def add_to(self, routes: APIRouter) -> None:
        """Add their routes."""
        routes.add_api_route(EXPORT, self.show, methods=["GET"])
        for form in LogFormat:
            path = f"{EXPORT}/download.{_SUFFIXES[form]}"
            routes.add_api_route(path, self._download(form), methods=["GET"])
        routes.add_api_route(STATEMENTS, self.make, methods=["POST"])
        routes.add_api_route(f"{STATEMENTS}/{{seq}}", self.statement, methods=["GET"])

    async def show(self, request: Request) -> Response:
        """Both."""
        visit = await self._visitor(request)
        if visit.the_tenant is None:
            return choose(request, visit, HERE, EXPORT, "Export of which tenant?")
        if (settled := settle_times(request, EXPORT, visit.now_ms)) is not None:
            return settled
        tenant = visit.the_tenant
        asked = asked_of(request, tenant, EXPORT, USUAL_OF_SUMS)
        found = await self._context.read(lambda connection: statements(connection, tenant.id))
        from_ms, until_ms = asked.span(visit.now_ms)
        return page(
            request,
            visit,
            "reports/export.html",
            here=HERE,
            tenant=tenant,
            found={"from_ms": from_ms, "until_ms": until_ms},
            span_text=REACHES[asked.reach],
            downloads=[
                (text, link_of(visit, asked._replace(path=f"{EXPORT}/download.{_SUFFIXES[form]}")))
                for form, text in (
                    (LogFormat.RLM, "RLM report log"),
                    (LogFormat.CSV, "CSV"),
                    (LogFormat.JSON, "JSON"),
                )
            ],
            statements=[
                (it, link(None, f"{STATEMENTS}/{it.seq}", tenant=tenant.name)) for it in found[::-1][:SHOWN]
            ],
            more=max(0, len(found) - SHOWN),
            first_days=USUAL_OF_SUMS.days,
            action=link(None, STATEMENTS, tenant=tenant.name),
            **tools(request, visit, asked),
        )

    def _download(self, form: LogFormat) -> Callable[[Request], Any]:
        async def download(request: Request) -> Response:
            visit = await self._visitor(request)
            if visit.the_tenant is None:
                raise not_found("Say of which tenant.")
            asked = asked_of(request, visit.the_tenant, EXPORT, USUAL_OF_SUMS)
            from_ms, until_ms = asked.span(visit.now_ms)

            def read(connection: Connection) -> Export:
                return exported(connection, asked.tenant, from_ms, until_ms, now_ms=visit.now_ms)

            def work() -> bytes:
                return write_log(self._context.read_now(read), form).encode()

            try:
                content = await self._context.run(work)
            except TooManyVisits:
                raise Problem(409, "not-possible", _TOO_MANY) from None
            span = "times" if asked.is_chosen else asked.reach.value
            name = f"{file_name('licet', asked.tenant.name, 'log', span)}.{_SUFFIXES[form]}"
            return _file(content, name, form.media_type)

        return download

    async def make(self, request: Request) -> Response:
        """Make the next statement, and go back to where it is listed."""
        visit = (await self._poster(request)).visit
        if (tenant := visit.the_tenant) is None:
            raise not_found("Say of which tenant.")
        context = self._context
        back = link(None, EXPORT, tenant=tenant.name)

        def work() -> int:
            keyring = read_keyring(context.keyring_path)
            return make_statement(context.store, keyring, tenant, visit.identity.actor)[0].seq

        try:
            seq = await context.run(work)
        except (InvalidValue, SetupError) as refused:
            return see(request, back, f"No statement was made: {sentence(str(refused))}")
        return see(request, back, f"Statement {seq} was made. Download it below, and send it to the vendor.")

    async def statement(self, request: Request) -> Response:
        """A statement as a file."""
        visit = await self._visitor(request)
        tenant, seq = visit.the_tenant, request.path_params["seq"]
        if tenant is None or not (seq.isascii() and seq.isdecimal() and len(seq) <= _SEQ_CHARS_MAX):
            raise not_found()
        text = await self._context.read(lambda connection: statement_text(connection, tenant.id, int(seq)))
        if text is None:
            raise not_found(f"No statement {int(seq)} of {tenant.name} is kept.")
        name = f"{file_name('licet', tenant.name, 'usage', str(int(seq)))}.statement"
        return _file(armoured(text).encode(), name, "text/plain; charset=utf-8")


def router(context: AdminContext) -> APIRouter:
    """`/usage/export` and `/usage/statements`."""
    routes = APIRouter()
    ExportPages(context).add_to(routes)
    return routes


def _file(content: bytes, name: str, media_type: str) -> Response:
    headers = {"content-disposition": f'attachment; filename="{name}"', "cache-control": "no-store"}
    return Response(content, headers=headers, media_type=media_type)
