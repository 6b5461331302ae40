"""Serves the pages that add and remove the public keys of a client."""

from fastapi import APIRouter, Request
from fastapi.responses import Response
from msgspec.structs import replace

from licet.admin.context import Desk
from licet.admin.pages.forms import Field, Form, Kind, Texts
from licet.admin.pages.frame import Visit, link, posting, see, visiting
from licet.admin.pages.setup.client_secret_pages import TAB, chosen_client, what_goes
from licet.admin.pages.setup.frame import (
    Around,
    ends_of,
    form_page,
    removal_page,
    removed,
    shown_form,
    typed_form,
)
from licet.admin.pages.setup.noun import dated
from licet.admin.pages.setup.places import ROOT, places
from licet.admin.problems import not_found
from licet.credentials.public_keys import name_of, read_keys
from licet.formats import counted
from licet.model import Client, Role, Tenant
from licet.refusal import Refusal
from licet.setup.change import SetupChange

_PATH = f"{ROOT}/clients/keys"
# Somebody may paste the wrong half of a pair: what a field with such a name holds is kept nowhere.
_KEY = "no_secret_key"
_FIELDS = (
    Field(
        name=_KEY,
        label="Public key",
        kind=Kind.AREA,
        help="A JWK, a JWKS or PEM. The private key stays with the program; the public one is made of it by"
        " openssl pkey -in FILE -pubout.",
        read=read_keys,
        about="key",
    ),
    Field(
        name="expires",
        label="The key expires",
        kind=Kind.END,
        help="Others go on working, so that a new one and an old one overlap.",
    ),
    Field(
        name="no_password",
        label="From now on the user's password does not work for this client",
        kind=Kind.MARK,
    ),
)
_TEXTS: Texts = {_KEY: ("",), "expires": ("",), "no_password": ()}


def router(desk: Desk) -> APIRouter:
    """The pages under /set-up/clients/keys."""
    routes, pages = APIRouter(), _KeyPages(desk)
    for action, show, take in (
        ("add", pages.show_new, pages.take_new),
        ("remove", pages.show_removal, pages.take_removal),
    ):
        routes.add_api_route(f"{_PATH}/{action}", show, methods=["GET"])
        routes.add_api_route(f"{_PATH}/{action}", take, methods=["POST"])
    return routes


class _KeyPages:
    """What is shown and taken at each of them."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._seen, self._owned = visiting(desk, Role.OWNER), posting(desk, Role.OWNER)

    async def show_new(self, request: Request) -> Response:
        """What it is, and when it is to expire."""
        visit = await self._seen(request)
        tenant, client = await chosen_client(self._desk, request, visit)
        return self._form_page(
            request, visit, tenant, client, shown_form(dated(_FIELDS, tenant), _TEXTS, visit)
        )

    async def take_new(self, request: Request) -> Response:
        """Keep it."""
        posted = await self._owned(request)
        visit = posted.visit
        tenant, client = await chosen_client(self._desk, request, visit)
        form = typed_form(dated(_FIELDS, tenant), _TEXTS, posted)
        values = form.values()
        if not form.is_wrong:
            try:
                await self._desk.run(self._add, visit, tenant, client, values)
                said = f"{counted(len(values[_KEY]), 'key')} added."
                return see(request, link(visit, f"{ROOT}/clients/edit", name=client.client_id), said)
            except Refusal as refusal:
                form.refuse_for(refusal, places(visit, refusal))
        form.texts[_KEY] = ()
        return self._form_page(request, visit, tenant, client, form)

    async def show_removal(self, request: Request) -> Response:
        """What would go on."""
        return await self._removal_page(request, await self._seen(request), None)

    async def take_removal(self, request: Request) -> Response:
        """It is meant."""
        posted = await self._owned(request)
        return await self._removal_page(request, posted.visit, ends_of(posted))

    def _add(self, visit: Visit, tenant: Tenant, client: Client, values: dict[str, object]) -> None:
        keys, expires = values[_KEY], values["expires"]
        assert isinstance(keys, list)
        assert expires is None or isinstance(expires, int)

        def add(change: SetupChange) -> None:
            setup = change.tenant(tenant.name)
            for key in keys:
                setup.add_key(client.client_id, key, expires)
            if values["no_password"]:
                setup.set_client(client.client_id, password_allowed=False)

        self._desk.change_now(visit.identity, add)

    def _form_page(
        self, request: Request, visit: Visit, tenant: Tenant, client: Client, form: Form
    ) -> Response:
        return form_page(
            request,
            visit,
            Around(TAB),
            form,
            headline=f"A public key of client {client.client_id} in {tenant.name}",
            save="Add it",
            back=link(visit, f"{ROOT}/clients/edit", name=client.client_id),
        )

    async def _removal_page(self, request: Request, visit: Visit, ends: int | None) -> Response:
        tenant, client = await chosen_client(self._desk, request, visit)
        thumbprint = request.query_params.get("key", "")
        key = next((it for it in client.keys if it.thumbprint == thumbprint), None)
        if key is None:
            raise not_found("There is no such key. It may have been removed.")

        def do(change: SetupChange) -> object:
            return change.tenant(tenant.name).remove_key(client.client_id, thumbprint)

        outcome, refused = await removed(self._desk, visit, do, ends)
        back = link(visit, f"{ROOT}/clients/edit", name=client.client_id)
        if outcome.is_done:
            return see(request, back, f"Key {name_of(key)} removed.")
        others = tuple(it for it in client.keys if it is not key)
        return removal_page(
            request,
            visit,
            TAB,
            f"Remove key {name_of(key)} of client {client.client_id}?",
            goes=what_goes(client, replace(client, keys=others), visit.now_ms),
            after="Sessions that it began go on until they have to be renewed.",
            refused=refused,
            button="Remove key",
            back=back,
        )
