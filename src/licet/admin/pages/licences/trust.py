"""Serves the page that trusts a vendor by its `vendor.json`, after it has shown the keys, to compare them.

Owners of all tenants trust: whoever has a trusted key can sign seats for every tenant.
"""

from typing import Any, NamedTuple

from fastapi import APIRouter, Request
from fastapi.responses import Response
from sqlalchemy import Connection

from licet.admin.context import AdminContext, must_be
from licet.admin.pages.frame import Visit, link, page, posting, see, visiting
from licet.admin.pages.licences.sent_file import TEXT, sent_file
from licet.admin.pages.licences.show import HERE, PATH
from licet.admin.pages.licences.trials import Trial, agreed_of, tried
from licet.admin.problems import not_allowed
from licet.formats import counted, sentence
from licet.licences.errors import LicenceCode, LicenceRefused
from licet.licences.vendor_file import Vendor, read_vendor
from licet.model import Role
from licet.setup.licences import trust, trusted
from licet.store.errors import SetupError

TRUST = f"{PATH}/trust"
WHY_NOT = "Which vendors are trusted is decided for all tenants. Your role is for one tenant."


class Keys(NamedTuple):
    """The thumbprints of a vendor's keys: those of the file, and those that would be trusted no more."""

    new: tuple[str, ...]
    kept: tuple[str, ...]
    gone: tuple[str, ...]


class TrustPages:
    """The pages at `/licences/trust`."""

    def __init__(self, context: AdminContext) -> None:
        self._context = context
        self._visitor = visiting(context, Role.OWNER)
        self._poster = posting(context, Role.OWNER)

    def add_to(self, routes: APIRouter) -> None:
        """Add their routes."""
        routes.add_api_route(TRUST, self.show, methods=["GET"])
        routes.add_api_route(TRUST, self.take, methods=["POST"])

    async def show(self, request: Request) -> Response:
        """The form, with what was typed before a sign-in expired."""
        visit = await self._visitor(request)
        must_own_licences(visit)
        return _form(request, visit, text=dict(visit.kept).get(TEXT, ""))

    async def take(self, request: Request) -> Response:
        """Show the keys of a file; and trust them, when that was agreed to."""
        posted = await self._poster(request)
        visit, sent = posted.visit, await sent_file(request, posted)
        must_own_licences(visit)
        if not sent.content:
            return _form(request, visit, refusal="Choose the vendor's vendor.json, or paste its text.")
        agreed = agreed_of(posted)
        try:
            vendor = read_vendor(sent.content)
            before = await self._context.read(lambda connection: _known(connection, vendor))
            trial = await self._context.run(
                tried,
                self._context,
                visit.identity,
                lambda change: trust(change, sent.content),
                agreed=agreed,
            )
        except (LicenceRefused, SetupError) as refused:
            is_secret = getattr(refused, "code", None) is LicenceCode.PRIVATE_KEY
            text = "" if is_secret else sent.text
            return _form(request, visit, text=text, refusal=sentence(str(refused)), name=sent.name)
        if trial.is_made:
            return see(request, link(visit, PATH), _done(vendor, trial))
        values = {"vendor": vendor, "keys": _keys(vendor, before), "is_known": before is not None}
        return _question(request, visit, trial, text=sent.text, is_more=agreed is not None, **values)


def must_own_licences(visit: Visit) -> None:
    """Return if the reader may change what is of the licence of all tenants.

    Raises Problem.
    """
    must_be(visit.identity, Role.OWNER)
    if not visit.identity.owns_licence:
        raise not_allowed(WHY_NOT)


def _form(request: Request, visit: Visit, text: str = "", refusal: str = "", name: str = "") -> Response:
    return page(
        request,
        visit,
        "licences/trust.html",
        here=HERE,
        status=422 if refusal else 200,
        action=link(visit, TRUST),
        back=link(visit, PATH),
        text=text,
        refusal=refusal,
        name=name,
        places=(),
    )


def _question(request: Request, visit: Visit, trial: Trial, *, is_more: bool, **values: Any) -> Response:
    return page(
        request,
        visit,
        "licences/trust_question.html",
        here=HERE,
        status=409 if is_more else 200,
        action=link(visit, TRUST),
        back=link(visit, PATH),
        trial=trial,
        is_more=is_more,
        **values,
    )


def _known(connection: Connection, vendor: Vendor) -> Vendor | None:
    """The vendor as it is trusted now."""
    same = (it for it in trusted(connection) if (it.name, it.product) == (vendor.name, vendor.product))
    return next(same, None)


def _keys(vendor: Vendor, before: Vendor | None) -> Keys:
    had = {} if before is None else before.keys
    return Keys(
        new=tuple(kid for kid in vendor.keys if kid not in had),
        kept=tuple(kid for kid in vendor.keys if kid in had),
        gone=tuple(kid for kid in had if kid not in vendor.keys),
    )


def _done(vendor: Vendor, trial: Trial) -> str:
    ended = trial.ending.sessions_ended
    with_it = f", and {counted(ended, 'session')} ended" if ended else ""
    return f"Vendor {vendor.name} is trusted for {vendor.product}{with_it}."
