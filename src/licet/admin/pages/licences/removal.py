"""Serves the questions before a licence is removed, and before a vendor is trusted no more.

Both take seats away, from every tenant, or for good: so they are for owners of all tenants.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from licet.admin.context import AdminContext
from licet.admin.pages.frame import Posted, Visit, link, page, posting, see, visiting
from licet.admin.pages.licences.show import HERE, PATH
from licet.admin.pages.licences.trials import Trial, agreed_of, tried
from licet.admin.pages.licences.trust import must_own_licences
from licet.admin.problems import not_found
from licet.formats import counted, sentence
from licet.model import Role
from licet.setup.change import SetupChange
from licet.setup.licences import distrust, remove
from licet.store.errors import NotFound

REMOVE, DISTRUST = f"{PATH}/remove", f"{PATH}/distrust"
_NAME_CHARS_MAX = 100  # of a vendor, a product or a licence
_SERIAL_DIGITS_MAX = 10


class Question(NamedTuple):
    """What is asked. `tenant` is the only one that it concerns; '' is all."""

    work: Callable[[SetupChange], None]
    headline: str
    about: str
    button: str
    done: str
    tenant: str = ""


class RemovalPages:
    """The pages at `/licences/remove` and `/licences/distrust`."""

    def __init__(self, context: AdminContext) -> None:
        self._context = context
        self._visitor = visiting(context, Role.OWNER)
        self._poster = posting(context, Role.OWNER)

    def add_to(self, routes: APIRouter) -> None:
        """Add their routes."""
        for path in (REMOVE, DISTRUST):
            routes.add_api_route(path, self.show, methods=["GET"])
            routes.add_api_route(path, self.take, methods=["POST"])

    async def show(self, request: Request) -> Response:
        """The question, with what would end."""
        return await self._ask(request, await self._visitor(request), None)

    async def take(self, request: Request) -> Response:
        """Do it, when that was agreed to."""
        posted = await self._poster(request)
        return await self._ask(request, posted.visit, posted)

    async def _ask(self, request: Request, visit: Visit, posted: Posted | None) -> Response:
        must_own_licences(visit)
        question = _of_licence(request, visit) if request.url.path == REMOVE else _of_vendor(request)
        if question is None:
            return RedirectResponse(link(visit, PATH), 303)
        agreed = agreed_of(posted) if posted else None
        try:
            trial = await self._context.run(
                tried,
                self._context,
                visit.identity,
                question.work,
                agreed=agreed,
                tenant=question.tenant or None,
            )
        except NotFound as gone:
            raise not_found(f"{sentence(str(gone))} It may have been removed.") from None
        if trial.is_made:
            return see(request, link(visit, PATH), f"{question.done}{_with_it(trial)}.")
        return _page(request, visit, question, trial, is_more=agreed is not None)


def _of_licence(request: Request, visit: Visit) -> Question | None:
    name, serial = (request.query_params.get(key, "") for key in ("licence", "serial"))
    tenant = visit.the_tenant
    is_serial = serial.isascii() and serial.isdecimal() and len(serial) <= _SERIAL_DIGITS_MAX
    if tenant is None or not name or not is_serial:
        return None
    called = f"licence {name[:_NAME_CHARS_MAX]}, serial {int(serial)}"
    return Question(
        lambda change: remove(change, tenant.name, name, int(serial)),
        headline=f"Remove {called}, from {tenant.name}?",
        about="Its lower serials go with it. They cannot be installed again: the vendor has to sign a new"
        " serial. Its pools stay signed.",
        button="Remove the licence",
        done=f"Licence {name[:_NAME_CHARS_MAX]}, serial {int(serial)}, removed",
        tenant=tenant.name,
    )


def _of_vendor(request: Request) -> Question | None:
    name, product = (request.query_params.get(key, "") for key in ("vendor", "product"))
    if not name or not product:
        return None
    shown = name[:_NAME_CHARS_MAX]
    return Question(
        lambda change: distrust(change, name, product),
        headline=f"Trust {shown} no more for {product[:_NAME_CHARS_MAX]}?",
        about="Its licences give no seat from then on, in any tenant. They stay installed, and count again"
        " when it is trusted again.",
        button="Trust it no more",
        done=f"Vendor {shown} is trusted no more",
    )


def _page(request: Request, visit: Visit, question: Question, trial: Trial, *, is_more: bool) -> Response:
    values: dict[str, Any] = {"question": question, "trial": trial, "is_more": is_more}
    path, query = request.url.path, request.url.query
    return page(
        request,
        visit,
        "licences/removal.html",
        here=HERE,
        status=409 if is_more else 200,
        action=f"{path}?{query}" if query else path,
        back=link(visit, PATH),
        **values,
    )


def _with_it(trial: Trial) -> str:
    ended = trial.ending.sessions_ended
    return f", and {counted(ended, 'session')} ended" if ended else ""
