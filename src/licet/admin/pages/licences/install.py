"""Serves the page that installs licences of a file or a pasted text, after it has said what that would do.

Owners of the tenant install. What is refused changes nothing, and the text stays in the form.
"""

from collections.abc import Iterator

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from licet.admin.context import AdminContext
from licet.admin.pages.forms import Place
from licet.admin.pages.frame import Visit, link, page, posting, see, visiting
from licet.admin.pages.licence_outlook import outlook
from licet.admin.pages.licences.picture import HEIGHT
from licet.admin.pages.licences.sent_file import TEXT, sent_file
from licet.admin.pages.licences.show import HERE, PATH, key_of, pictures
from licet.admin.pages.licences.trials import Trial, agreed_of, tried
from licet.admin.pages.reader_zone import zone_of
from licet.admin.pages.setup.error_links import ROOT, places
from licet.formats import counted, sentence
from licet.licences.armour import FILE_BYTES_MAX
from licet.licences.errors import LicenceCode, LicenceRefused
from licet.model import Role, Tenant
from licet.refusal import Code
from licet.setup.licences import install
from licet.store.errors import SetupError

INSTALL = f"{PATH}/install"
BODY_BYTES_MAX = 2 * FILE_BYTES_MAX + 16_384  # a file, and a text beside it


class InstallPages:
    """The pages at `/licences/install`."""

    def __init__(self, context: AdminContext) -> None:
        self._context = context
        self._visitor = visiting(context, Role.OWNER)
        self._poster = posting(context, Role.OWNER)

    def add_to(self, routes: APIRouter) -> None:
        """Add their routes."""
        routes.add_api_route(INSTALL, self.show, methods=["GET"])
        routes.add_api_route(INSTALL, self.take, methods=["POST"])

    async def show(self, request: Request) -> Response:
        """The form, with what was typed before a sign-in expired."""
        visit = await self._visitor(request)
        if visit.the_tenant is None:
            return RedirectResponse(link(visit, PATH), 303)
        kept = dict(visit.kept).get(TEXT, "")
        return _form(request, visit, visit.the_tenant, text=kept)

    async def take(self, request: Request) -> Response:
        """What a file would do; and do it, when that was agreed to."""
        posted = await self._poster(request)
        visit, sent = posted.visit, await sent_file(request, posted)
        if visit.the_tenant is None:
            return RedirectResponse(link(visit, PATH), 303)
        tenant = await self._context.tenant(visit.identity, visit.the_tenant.name)
        if not sent.content:
            refusal = "Choose the file that the vendor sent, or paste its text."
            return _form(request, visit, tenant, refusal=refusal)
        agreed = agreed_of(posted)
        try:
            trial = await self._context.run(
                tried,
                self._context,
                visit.identity,
                lambda change: install(change, tenant.name, sent.content),
                agreed=agreed,
                tenant=tenant.name,
            )
        except (LicenceRefused, SetupError) as refused:
            helps = tuple(_places(visit, refused))
            return _form(
                request,
                visit,
                tenant,
                text=sent.text,
                refusal=sentence(str(refused)),
                name=sent.name,
                helps=helps,
            )
        if trial.is_made:
            return see(request, link(visit, PATH), _done(trial))
        return _question(request, visit, tenant, sent.text, trial, is_more=agreed is not None)


def _form(  # noqa: PLR0917 - what a form needs around it
    request: Request,
    visit: Visit,
    tenant: Tenant,
    text: str = "",
    refusal: str = "",
    name: str = "",
    helps: tuple[Place, ...] = (),
) -> Response:
    return page(
        request,
        visit,
        "licences/install.html",
        here=HERE,
        status=422 if refusal else 200,
        tenant=tenant,
        action=link(visit, INSTALL),
        back=link(visit, PATH),
        text=text,
        refusal=refusal,
        name=name,
        places=helps,
    )


def _question(
    request: Request, visit: Visit, tenant: Tenant, text: str, trial: Trial, *, is_more: bool
) -> Response:
    found = trial.made
    after = [outlook(effect.pool, visit.now_ms, effect.in_use) for effect in trial.effects]
    drawn = pictures(after, visit.now_ms, zone_of(request))
    return page(
        request,
        visit,
        "licences/install_question.html",
        here=HERE,
        status=409 if is_more else 200,
        tenant=tenant,
        action=link(visit, INSTALL),
        back=link(visit, PATH),
        text=text,
        trial=trial,
        found=found,
        is_more=is_more,
        pools=drawn,
        key=key_of(drawn),
        height=HEIGHT,
    )


def _done(trial: Trial) -> str:
    found = trial.made
    if not found:
        return "All of it was installed already."
    names = ", ".join(f"{it.licence} (serial {it.serial})" for it in found[:3])
    more = f" and {len(found) - 3:,} more" if len(found) > 3 else ""  # noqa: PLR2004 - that are named
    ended = trial.ending.sessions_ended
    with_it = f", and {counted(ended, 'session')} ended" if ended else ""
    return f"{'Licence' if len(found) == 1 else 'Licences'} {names}{more} installed{with_it}."


def _places(visit: Visit, refused: LicenceRefused | SetupError) -> Iterator[Place]:
    """The pages that help with a refusal, for who may change what stands there."""
    if not visit.identity.owns_licence:
        return
    if isinstance(refused, LicenceRefused):
        if refused.code is LicenceCode.UNKNOWN_KEY:
            yield Place("Trust the vendor", link(visit, f"{PATH}/trust"))
        return
    yield from places(visit, refused)
    subject = refused.subject
    if refused.code is Code.NOT_TOGETHER and subject is not None:
        yield Place(f"Open pool {subject.name}", link(visit, f"{ROOT}/pools/edit", name=subject.name))
