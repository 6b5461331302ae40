"""Serves the pages that add, rotate and remove the generated secrets of a client.

A secret is shown once.
"""

from collections.abc import Callable, Sequence

from fastapi import APIRouter, Request
from fastapi.responses import Response
from msgspec.structs import replace

from licet.admin.context import Desk
from licet.admin.pages.forms import Field, Form, Kind, Texts
from licet.admin.pages.frame import Visit, link, posting, see, visiting
from licet.admin.pages.setup.frame import (
    Around,
    chosen_tenant,
    ends_of,
    form_page,
    removal_page,
    removed,
    secret_page,
    shown_form,
    typed_form,
)
from licet.admin.pages.setup.noun import dated
from licet.admin.pages.setup.places import ROOT, places
from licet.admin.problems import not_found
from licet.credentials.generated import NewClientSecret
from licet.formats import read_duration_s
from licet.model import Client, Role, Tenant
from licet.refusal import Refusal
from licet.setup.change import SetupChange
from licet.setup.check import authenticates_by

_PATH = f"{ROOT}/clients/secrets"
TAB = "Clients"
_FIELDS = (
    Field(
        name="expires",
        label="The secret expires",
        kind=Kind.END,
        help="The others go on working, so that a new one and an old one overlap.",
    ),
    Field(
        name="no_password",
        label="From now on the user's password does not work for this client",
        kind=Kind.MARK,
    ),
)
_TEXTS: Texts = {"expires": ("",), "no_password": ()}
_ROTATION = (
    Field(
        name="overlap",
        label="The others work on for",
        help="24h, 7d or 0: time to bring the new one to all that use them. None works longer than it did.",
        read=read_duration_s,
        placeholder="24h",
        width="short",
    ),
    replace(_FIELDS[0], help=""),
)
_ROTATION_TEXTS: Texts = {"overlap": ("24h",), "expires": ("",)}


def router(desk: Desk) -> APIRouter:
    """The pages under /set-up/clients/secrets."""
    routes, pages = APIRouter(), _SecretPages(desk)
    for action, show, take in (
        ("add", pages.show_new, pages.take_new),
        ("rotate", pages.show_rotation, pages.take_rotation),
        ("remove", pages.show_removal, pages.take_removal),
    ):
        routes.add_api_route(f"{_PATH}/{action}", show, methods=["GET"])
        routes.add_api_route(f"{_PATH}/{action}", take, methods=["POST"])
    return routes


def shown_once(  # noqa: PLR0917 - whose secret, where
    desk: Desk, request: Request, visit: Visit, tenant: Tenant, client_id: str, made: NewClientSecret
) -> Response:
    """A secret, the only time."""
    proof = "'" + f"{client_id}:SECRET".replace("'", "'\\''") + "'"
    return secret_page(
        request,
        visit,
        TAB,
        f"The secret of client {client_id} in {tenant.name}",
        secret=made.secret,
        label="Client secret",
        what="Licet keeps only what checks it. When it is lost, generate another and remove this one.",
        example_title="How the program asks for a token, with the secret in the place of SECRET:",
        example=f"curl {desk.public_url}/{tenant.name}/token \\\n"
        f"  -d grant_type=client_credentials \\\n  -u {proof}",
        back=link(visit, f"{ROOT}/clients/edit", name=client_id),
    )


async def chosen_client(desk: Desk, request: Request, visit: Visit) -> tuple[Tenant, Client]:
    """The client that a page is about, and its tenant.

    Raises Problem, NotFound.
    """
    tenant, name = await chosen_tenant(desk, visit), request.query_params.get("name", "")
    client = tenant.clients.get(name)
    if client is None:
        raise not_found(f"There is no client {name[:64]} in {tenant.name}. It may have been removed.")
    return tenant, client


def what_goes(before: Client, after: Client, now_ms: int) -> list[str]:
    """What is lost with a secret or key when nothing is left by which the client can authenticate."""
    is_last = authenticates_by(before, now_ms) and not authenticates_by(after, now_ms)
    return ["the only thing by which the client can authenticate"] if is_last else []


class _SecretPages:
    """What is shown and taken at each of them."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._seen, self._owned = visiting(desk, Role.OWNER), posting(desk, Role.OWNER)

    async def show_new(self, request: Request) -> Response:
        """When it is to expire."""
        visit = await self._seen(request)
        tenant, client = await chosen_client(self._desk, request, visit)
        return self._form_page(
            request, visit, tenant, client, shown_form(dated(_FIELDS, tenant), _TEXTS, visit)
        )

    async def take_new(self, request: Request) -> Response:
        """Make one, and show it once."""
        return await self._take(request, _FIELDS, _TEXTS, self._make)

    async def show_rotation(self, request: Request) -> Response:
        """How long the others work on."""
        visit = await self._seen(request)
        tenant, client = await chosen_client(self._desk, request, visit)
        form = shown_form(dated(_ROTATION, tenant), _ROTATION_TEXTS, visit)
        return self._form_page(request, visit, tenant, client, form, instead=True)

    async def take_rotation(self, request: Request) -> Response:
        """Make one in the place of all others, and show it once."""
        return await self._take(request, _ROTATION, _ROTATION_TEXTS, self._rotate, instead=True)

    async def _take(
        self,
        request: Request,
        fields: Sequence[Field],
        texts: Texts,
        make: Callable[[Visit, Tenant, Client, dict[str, object]], NewClientSecret],
        *,
        instead: bool = False,
    ) -> Response:
        posted = await self._owned(request)
        visit = posted.visit
        tenant, client = await chosen_client(self._desk, request, visit)
        form = typed_form(dated(fields, tenant), texts, posted)
        values = form.values()
        if not form.is_wrong:
            try:
                made = await self._desk.run(make, visit, tenant, client, values)
                return shown_once(self._desk, request, visit, tenant, client.client_id, made)
            except Refusal as refusal:
                form.refuse_for(refusal, places(visit, refusal))
        return self._form_page(request, visit, tenant, client, form, instead=instead)

    async def show_removal(self, request: Request) -> Response:
        """What would go on."""
        return await self._removal_page(request, await self._seen(request), None)

    async def take_removal(self, request: Request) -> Response:
        """It is meant."""
        posted = await self._owned(request)
        return await self._removal_page(request, posted.visit, ends_of(posted))

    def _make(
        self, visit: Visit, tenant: Tenant, client: Client, values: dict[str, object]
    ) -> NewClientSecret:
        made = self._desk.client_secrets().generate()
        expires = values["expires"]
        assert expires is None or isinstance(expires, int)

        def add(change: SetupChange) -> None:
            setup = change.tenant(tenant.name)
            setup.add_secret(client.client_id, made, expires)
            if values["no_password"]:
                setup.set_client(client.client_id, password_allowed=False)

        self._desk.change_now(visit.identity, add)
        return made

    def _rotate(
        self, visit: Visit, tenant: Tenant, client: Client, values: dict[str, object]
    ) -> NewClientSecret:
        made = self._desk.client_secrets().generate()
        overlap_s, expires = values["overlap"], values["expires"]
        assert isinstance(overlap_s, int)
        assert expires is None or isinstance(expires, int)

        def rotate(change: SetupChange) -> None:
            change.tenant(tenant.name).rotate_secret(client.client_id, made, overlap_s, expires)

        self._desk.change_now(visit.identity, rotate)
        return made

    def _form_page(
        self,
        request: Request,
        visit: Visit,
        tenant: Tenant,
        client: Client,
        form: Form,
        *,
        instead: bool = False,
    ) -> Response:
        place = " in the place of all others" if instead else ""
        return form_page(
            request,
            visit,
            Around(TAB),
            form,
            headline=f"A new secret for client {client.client_id} in {tenant.name}{place}",
            save="Generate it",
            back=link(visit, f"{ROOT}/clients/edit", name=client.client_id),
        )

    async def _removal_page(self, request: Request, visit: Visit, ends: int | None) -> Response:
        tenant, client = await chosen_client(self._desk, request, visit)
        secret_id = request.query_params.get("secret", "")
        if all(it.secret_id != secret_id for it in client.secrets):
            raise not_found("There is no such secret. It may have been removed.")

        def do(change: SetupChange) -> object:
            return change.tenant(tenant.name).remove_secret(client.client_id, secret_id)

        outcome, refused = await removed(self._desk, visit, do, ends)
        back = link(visit, f"{ROOT}/clients/edit", name=client.client_id)
        if outcome.is_done:
            return see(request, back, f"Secret lcs_{secret_id}… removed.")
        others = tuple(it for it in client.secrets if it.secret_id != secret_id)
        return removal_page(
            request,
            visit,
            TAB,
            f"Remove secret lcs_{secret_id}… of client {client.client_id}?",
            goes=what_goes(client, replace(client, secrets=others), visit.now_ms),
            after="Sessions that it began go on until they have to be renewed.",
            refused=refused,
            button="Remove secret",
            back=back,
        )
