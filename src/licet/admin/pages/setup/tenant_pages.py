"""Serves the pages of the tenants themselves.

Who looks after one tenant may change it, and neither add nor remove one. A tenant that is removed takes all
that it has along, so its name has to be typed.
"""

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from sqlalchemy import Connection, func, select

from licet.admin.context import Desk
from licet.admin.pages.forms import Form
from licet.admin.pages.frame import Posted, Visit, link, posting, see, visiting
from licet.admin.pages.setup.frame import (
    ENDS_MAX,
    Around,
    Row,
    changes_of,
    chosen_tenant,
    form_page,
    keeping_licence,
    list_page,
    listed,
    must_see_all,
    removal_page,
    removed,
    shown_form,
    typed_form,
)
from licet.admin.pages.setup.noun import Cell
from licet.admin.pages.setup.nouns.tenants import tenant_fields, tenant_texts
from licet.admin.pages.setup.places import ROOT
from licet.admin.pages.setup.saving import Gone, Outcome, Saving
from licet.admin.problems import not_found
from licet.formats import counted, sentence
from licet.model import Role, Tenant
from licet.store import schema

_PATH = f"{ROOT}/tenants"
_TAB = "Tenants"


def router(desk: Desk) -> APIRouter:
    """The pages under /set-up/tenants."""
    routes, pages = APIRouter(), _TenantPages(desk)
    routes.add_api_route(_PATH, pages.show_list, methods=["GET"])
    for action, show, take in (
        ("add", pages.show_new, pages.take_new),
        ("edit", pages.show, pages.take),
        ("remove", pages.show_removal, pages.take_removal),
    ):
        routes.add_api_route(f"{_PATH}/{action}", show, methods=["GET"])
        routes.add_api_route(f"{_PATH}/{action}", take, methods=["POST"])
    return routes


class _TenantPages:
    """What is shown and taken at each of them."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._seen, self._owned = visiting(desk), posting(desk, Role.OWNER)

    async def show_list(self, request: Request) -> Response:
        """All that the reader sees."""
        visit = await self._seen(request)
        tenants = {it.name: it for it in await self._desk.tenants(visit.identity)}
        shown = listed(request, list(tenants), lambda name: name)
        rows = [
            Row(name, link(None, f"{_PATH}/edit", tenant=name), _row(tenants[name])) for name in shown.names
        ]
        return list_page(
            request,
            visit,
            Around(_TAB),
            shown,
            rows,
            headline=counted(len(tenants), "tenant"),
            about="A tenant is one customer database, with its own users, clients, scopes and pools.",
            empty="No tenant yet. Add the first one",
            command="licet tenant add Jim_Test --seats 5",
            word="tenant",
            columns=("Pools", "Users", "Clients", "A session lives", "Default scope"),
            may=visit.may(Role.OWNER) and visit.identity.tenant_id is None,
        )

    async def show_new(self, request: Request) -> Response:
        """An empty form."""
        visit = await self._seen(request)
        must_see_all(visit, "add a tenant")
        form = shown_form(tenant_fields(None), tenant_texts(None), visit)
        return await self._form_page(request, visit, None, form)

    async def take_new(self, request: Request) -> Response:
        """A form for a new tenant."""
        posted = await self._owned(request)
        must_see_all(posted.visit, "add a tenant")
        return await self._save(request, posted, None)

    async def show(self, request: Request) -> Response:
        """One, as a form."""
        visit = await self._seen(request)
        tenant = await chosen_tenant(self._desk, visit)
        fields = keeping_licence(visit, "tenant", tenant_fields(tenant))
        form = shown_form(fields, tenant_texts(tenant), visit)
        return await self._form_page(request, visit, tenant, form)

    async def take(self, request: Request) -> Response:
        """A form that changes one."""
        posted = await self._owned(request)
        return await self._save(request, posted, await chosen_tenant(self._desk, posted.visit))

    async def show_removal(self, request: Request) -> Response:
        """What would end with it."""
        visit = await self._seen(request)
        must_see_all(visit, "remove a tenant")
        return await self._removal_page(request, visit, await chosen_tenant(self._desk, visit))

    async def take_removal(self, request: Request) -> Response:
        """It is meant when its name was typed."""
        posted = await self._owned(request)
        visit = posted.visit
        must_see_all(visit, "remove a tenant")
        tenant = await chosen_tenant(self._desk, visit)
        if posted.text("typed").strip() != tenant.name:
            wrong = "This is not its name. Nothing is removed."
            return await self._removal_page(request, visit, tenant, wrong)
        name = tenant.name
        _, refused = await removed(self._desk, visit, lambda change: change.remove_tenant(name), ENDS_MAX)
        if refused is not None:
            raise not_found(sentence(str(refused)))
        return see(request, _PATH, f"Tenant {name} removed.")

    async def _save(self, request: Request, posted: Posted, tenant: Tenant | None) -> Response:
        fields = keeping_licence(posted.visit, "tenant", tenant_fields(tenant))
        form = typed_form(fields, tenant_texts(tenant), posted)
        values, outcome = form.values(), Outcome(is_done=False)
        if not form.is_wrong:
            saving = Saving(self._desk, posted.visit, form, 0)
            try:
                outcome = await self._desk.run(saving.tenant, tenant.name if tenant else None, values)
            except Gone as gone:
                raise not_found(sentence(str(gone))) from None
        if not outcome.is_done:
            return await self._form_page(request, posted.visit, tenant, form)
        if tenant is None:
            to = link(None, f"{ROOT}/users/add", tenant=values["name"])
            return see(request, to, f"Tenant {values['name']} added. Now its first user, then a client.")
        return see(request, _PATH, f"Tenant {tenant.name} saved.")

    async def _form_page(self, request: Request, visit: Visit, tenant: Tenant | None, form: Form) -> Response:
        around, removal = Around(_TAB), None
        if tenant is not None:
            name = tenant.name
            found = await self._desk.read(lambda connection: changes_of(connection, tenant, "tenant", name))
            around = Around(_TAB, found, link(visit, "/journal", kind="event", within="all"))
            if visit.identity.tenant_id is None:
                removal = link(None, f"{_PATH}/remove", tenant=name)
        return form_page(
            request,
            visit,
            around,
            form,
            headline=f"Tenant {tenant.name}" if tenant else "A new tenant",
            save="Save" if tenant else "Add this tenant",
            back=_PATH,
            may=visit.may(Role.OWNER),
            removal=removal,
        )

    async def _removal_page(
        self, request: Request, visit: Visit, tenant: Tenant, wrong: str = ""
    ) -> Response:
        sessions = await self._desk.read(lambda connection: _live_sessions(connection, tenant, visit.now_ms))
        goes = [
            counted(sessions, "live session"),
            counted(len(tenant.pools), "pool"),
            counted(len(tenant.users), "user"),
            counted(len(tenant.clients), "client"),
            "its administrators, API keys and webhooks",
            "its journal and its usage",
        ]
        return removal_page(
            request,
            visit,
            _TAB,
            f"Remove tenant {tenant.name} with all that it has?",
            goes=goes,
            after="Nobody can bring it back. Only what administrators did stays in the journal.",
            button="Remove tenant",
            back=link(None, f"{_PATH}/edit", tenant=tenant.name),
            must_type=tenant.name,
            wrong=wrong,
        )


def _row(tenant: Tenant) -> Sequence[Cell]:
    return (
        Cell(f"{len(tenant.pools):,}", is_number=True),
        Cell(f"{len(tenant.users):,}", is_number=True),
        Cell(f"{len(tenant.clients):,}", is_number=True),
        Cell(tenant_texts(tenant)["session_ttl"][0]),
        Cell(tenant.scope_default),
    )


def _live_sessions(connection: Connection, tenant: Tenant, now_ms: int) -> int:
    it: Any = schema.session.c
    query = select(func.count()).select_from(schema.session)
    found: int = connection.execute(
        query.where(it.tenant_id == tenant.id, it.expires_at_ms > now_ms)
    ).scalar_one()
    return found
