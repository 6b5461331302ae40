"""Serves the pages of API keys: the programs that may use the admin API, with which role."""

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from licet.accounts.administrators import changing
from licet.accounts.api_keys import ApiKey, read_api_keys
from licet.admin.context import Desk
from licet.admin.pages.forms import Field, Form, Kind, Texts
from licet.admin.pages.frame import Visit, link, posting, see, visiting
from licet.admin.pages.setup.account_pages import (
    ALL_TENANTS,
    around,
    change_accounts,
    name_field,
    role_and_tenant,
    tenant_id_of,
    tenant_name,
    tenant_names,
)
from licet.admin.pages.setup.frame import (
    Around,
    Row,
    form_page,
    list_page,
    listed,
    removal_page,
    secret_page,
    shown_form,
    typed_form,
)
from licet.admin.pages.setup.noun import Cell, dated
from licet.admin.pages.setup.places import ROOT, places
from licet.admin.problems import not_found
from licet.credentials.generated import ApiKeys, NewApiKey
from licet.credentials.keyring import read_keyring
from licet.formats import counted
from licet.model import Role
from licet.refusal import Refusal
from licet.store.errors import SetupError

_PATH = f"{ROOT}/keys"


def router(desk: Desk) -> APIRouter:
    """The pages under /set-up/keys."""
    pages, routes = _KeyPages(desk), APIRouter()
    routes.add_api_route(_PATH, pages.show_list, methods=["GET"])
    for path, show, take in (
        (f"{_PATH}/add", pages.show_new, pages.take_new),
        (f"{_PATH}/remove", pages.show_removal, pages.take_removal),
    ):
        routes.add_api_route(path, show, methods=["GET"])
        routes.add_api_route(path, take, methods=["POST"])
    return routes


class _KeyPages:
    """API keys."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._seen, self._owned = visiting(desk, Role.OWNER), posting(desk, Role.OWNER)

    async def show_list(self, request: Request) -> Response:
        """All that the reader's tenants have."""
        visit = await self._seen(request)
        keys = await self._keys(visit)
        shown, tenants = listed(request, list(keys), lambda name: name), tenant_names(visit)
        rows = [
            Row(
                name,
                link(visit, f"{_PATH}/remove", name=name),
                _key_row(keys[name], tenants, visit.now_ms),
            )
            for name in shown.names
        ]
        return list_page(
            request,
            visit,
            await around(self._desk, visit, "API keys", "API key", None),
            shown,
            rows,
            headline=counted(len(keys), "API key"),
            about="What programs use the admin API with. A key is shown once, and cannot be changed.",
            empty="No API key yet. Add the first one",
            command="licet admin key add deploy --role owner",
            word="API key",
            columns=("Role", "Of", "Made by", "Expires", "Last used"),
            may=True,
        )

    async def show_new(self, request: Request) -> Response:
        """An empty form."""
        visit = await self._seen(request)
        return self._form_page(request, visit, shown_form(_key_fields(visit), _key_texts(visit), visit))

    async def take_new(self, request: Request) -> Response:
        """Make one, and show it once."""
        posted = await self._owned(request)
        visit = posted.visit
        form = typed_form(_key_fields(visit), _key_texts(visit), posted)
        values = form.values()
        made = None if form.is_wrong else await self._made(visit, form, values)
        if made is None:
            return self._form_page(request, visit, form)
        return secret_page(
            request,
            visit,
            "API keys",
            f"The API key {values['name']}",
            secret=made.key,
            label="API key",
            what="Licet keeps only what checks it. When it is lost, add another and remove this one.",
            example_title="How a program uses it, with the key in the place of KEY:",
            example=f"curl {self._desk.base_url}/api/v1/tenants \\\n  -H 'Authorization: Bearer KEY'",
            back=link(visit, _PATH),
        )

    async def show_removal(self, request: Request) -> Response:
        """Is it meant?"""
        visit = await self._seen(request)
        return self._removal_page(request, visit, await self._named(request, visit))

    async def take_removal(self, request: Request) -> Response:
        """It is."""
        posted = await self._owned(request)
        visit, key = posted.visit, await self._named(request, posted.visit)
        try:
            await change_accounts(self._desk, visit, lambda change: change.remove_api_key(key.name))
        except SetupError as refusal:
            return self._removal_page(request, visit, key, refusal)
        return see(request, link(visit, _PATH), f"API key {key.name} removed.")

    async def _keys(self, visit: Visit) -> dict[str, ApiKey]:
        within = visit.identity.tenant_id
        return {it.name: it for it in await self._desk.read(lambda it: read_api_keys(it, within))}

    async def _named(self, request: Request, visit: Visit) -> ApiKey:
        name = request.query_params.get("name", "")
        key = (await self._keys(visit)).get(name)
        if key is None:
            raise not_found(f"There is no API key {name[:64]}. It may have been removed.")
        return key

    async def _made(self, visit: Visit, form: Form, values: dict[str, Any]) -> NewApiKey | None:
        tenant_id = tenant_id_of(visit, values.get("tenant", ALL_TENANTS))

        def make() -> NewApiKey:
            made = ApiKeys(read_keyring(self._desk.keyring_path).pepper).generate()
            with changing(self._desk.store, visit.identity.actor, within=visit.identity.tenant_id) as change:
                change.add_api_key(
                    values["name"],
                    made,
                    role=values["role"],
                    tenant_id=tenant_id,
                    expires_at_ms=values["expires"],
                )
            return made

        try:
            return await self._desk.run(make)
        except Refusal as refusal:
            form.refuse_for(refusal, places(visit, refusal))
        return None

    def _form_page(self, request: Request, visit: Visit, form: Form) -> Response:
        return form_page(
            request,
            visit,
            Around("API keys"),
            form,
            headline="A new API key",
            save="Generate it",
            back=link(visit, _PATH),
        )

    def _removal_page(
        self, request: Request, visit: Visit, key: ApiKey, refused: Refusal | None = None
    ) -> Response:
        return removal_page(
            request,
            visit,
            "API keys",
            f"Remove API key {key.name}?",
            goes=["whatever is done with it, from the next request on"],
            after="What was done with it stays in the journal.",
            refused=refused,
            button="Remove API key",
            back=link(visit, _PATH),
        )


def _key_row(key: ApiKey, tenants: dict[int, str], now_ms: int) -> Sequence[Cell]:
    expires = Cell("never", state="off")
    if key.expires_at_ms is not None:
        is_over = key.is_expired(now_ms)
        expires = Cell(
            "expired" if is_over else "", "warn" if is_over else "", at_ms=key.expires_at_ms, is_end=True
        )
    used = Cell("not yet", "off") if key.last_used_at_ms is None else Cell("", at_ms=key.last_used_at_ms)
    return (
        Cell(key.role.value),
        Cell(tenant_name(key.tenant_id, tenants)),
        Cell(key.created_by),
        expires,
        used,
    )


def _key_fields(visit: Visit) -> tuple[Field, ...]:
    expires = Field(name="expires", label="Expires", kind=Kind.END)
    return (name_field("API key"), *role_and_tenant(visit), *dated([expires], visit.the_tenant))


def _key_texts(visit: Visit) -> Texts:
    own = tenant_names(visit).get(visit.identity.tenant_id or 0, ALL_TENANTS)
    return {"name": ("",), "role": (Role.VIEWER.value,), "tenant": (own,), "expires": ("",)}
