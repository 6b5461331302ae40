"""Serves the pages of administrators: who may sign in at the dashboard, with which role."""

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from licet.accounts.account import is_name
from licet.accounts.administrators import AccountsChange, Admin, find_admin, read_admins
from licet.admin.context import Desk
from licet.admin.pages.forms import Field, Form, Kind, Texts
from licet.admin.pages.frame import Posted, Visit, link, posting, see, visiting
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
    shown_form,
    typed_form,
)
from licet.admin.pages.setup.noun import YES, Cell, state_of
from licet.admin.pages.setup.places import ROOT, places
from licet.admin.problems import not_found
from licet.formats import counted, sentence
from licet.model import InvalidValue, Role
from licet.refusal import Refusal
from licet.store.errors import NotFound, SetupError

_PATH = f"{ROOT}/administrators"


def router(desk: Desk) -> APIRouter:
    """The pages under /set-up/administrators."""
    pages, routes = _AdminPages(desk), APIRouter()
    routes.add_api_route(_PATH, pages.show_list, methods=["GET"])
    for path, show, take in (
        (f"{_PATH}/add", pages.show_new, pages.take_new),
        (f"{_PATH}/edit", pages.show, pages.take),
        (f"{_PATH}/remove", pages.show_removal, pages.take_removal),
    ):
        routes.add_api_route(path, show, methods=["GET"])
        routes.add_api_route(path, take, methods=["POST"])
    return routes


class _NotFirst(Exception):
    """Rolls the transaction back: somebody else was first."""


class _AdminPages:
    """Administrators."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._seen, self._owned = visiting(desk, Role.OWNER), posting(desk, Role.OWNER)

    async def show_list(self, request: Request) -> Response:
        """All that the reader's tenants have."""
        visit = await self._seen(request)
        within = visit.identity.tenant_id
        admins = {it.name: it for it in await self._desk.read(lambda it: read_admins(it, within))}
        shown, tenants = listed(request, list(admins), lambda name: name), tenant_names(visit)
        edit = f"{_PATH}/edit"
        rows = [
            Row(name, link(visit, edit, name=name), _admin_row(admins[name], tenants)) for name in shown.names
        ]
        return list_page(
            request,
            visit,
            await around(self._desk, visit, "Administrators", "admin", None),
            shown,
            rows,
            headline=counted(len(admins), "administrator"),
            about="Who may sign in here. Administrators never need a seat.",
            empty="No administrator of this tenant yet. Add the first one",
            command="licet admin add grace --role operator",
            word="administrator",
            columns=("Role", "Of", "State"),
            may=True,
        )

    async def show_new(self, request: Request) -> Response:
        """An empty form."""
        visit = await self._seen(request)
        form = shown_form(_admin_fields(visit, None), _admin_texts(visit, None), visit)
        return await self._form_page(request, visit, None, form)

    async def take_new(self, request: Request) -> Response:
        """A form for a new one."""
        return await self._save(request, await self._owned(request), None)

    async def show(self, request: Request) -> Response:
        """One, as a form."""
        visit = await self._seen(request)
        if "name" not in request.query_params:
            return RedirectResponse(link(visit, _PATH), 303)
        admin = await self._named(request, visit)
        form = shown_form(_admin_fields(visit, admin), _admin_texts(visit, admin), visit)
        return await self._form_page(request, visit, admin, form)

    async def take(self, request: Request) -> Response:
        """A form that changes one."""
        posted = await self._owned(request)
        return await self._save(request, posted, await self._named(request, posted.visit))

    async def show_removal(self, request: Request) -> Response:
        """Whether it can be."""
        visit = await self._seen(request)
        return self._removal_page(request, visit, await self._named(request, visit))

    async def take_removal(self, request: Request) -> Response:
        """It is meant."""
        posted = await self._owned(request)
        visit, admin = posted.visit, await self._named(request, posted.visit)
        try:
            await change_accounts(self._desk, visit, lambda change: change.remove_admin(admin.name))
        except SetupError as refusal:
            return self._removal_page(request, visit, admin, refusal)
        return see(request, link(visit, _PATH), f"Administrator {admin.name} removed.")

    async def _named(self, request: Request, visit: Visit) -> Admin:
        name = request.query_params.get("name", "")
        admin = None
        if is_name(name):  # Not every store could look for anything.
            admin = await self._desk.read(lambda connection: find_admin(connection, name))
        if admin is None or not visit.identity.sees(admin.tenant_id):
            raise not_found(f"There is no administrator {name[:64]}. It may have been removed.")
        if admin.tenant_id is not None and admin.tenant_id not in tenant_names(visit):
            # A form that does not know the tenant could only offer all of them.
            await self._desk.tenants(visit.identity)
            raise not_found(f"The tenant of {name} is new here. Open the page again.")
        return admin

    async def _save(self, request: Request, posted: Posted, admin: Admin | None) -> Response:
        visit = posted.visit
        form = typed_form(_admin_fields(visit, admin), _admin_texts(visit, admin), posted)
        values = form.values()
        if admin is None and not values.get("password"):
            form.refuse("a password is 8 to 256 characters", "password")
        elif values.get("password"):
            try:
                values["hash"] = await self._desk.run(
                    self._desk.passwords.hash_new,
                    values["password"],
                    admin.name if admin else values.get("name") or "",
                )
            except InvalidValue as wrong:
                form.refuse_for(wrong)
        if form.is_wrong or not await self._is_saved(visit, admin, form, values):
            return await self._form_page(request, visit, admin, form)
        name = admin.name if admin else values["name"]
        said = f"Administrator {name} {'saved' if admin else 'added'}."
        return see(request, link(visit, _PATH), said)

    async def _is_saved(self, visit: Visit, admin: Admin | None, form: Form, values: dict[str, Any]) -> bool:
        tenant_id = tenant_id_of(visit, values.get("tenant", ALL_TENANTS))

        def do(change: AccountsChange) -> None:
            if admin is None:
                change.add_admin(
                    values["name"], password_hash=values["hash"], role=values["role"], tenant_id=tenant_id
                )
                return
            now = _admin_texts(visit, change.admin(admin.name))
            if form.is_behind(now):
                form.meet(now)
                raise _NotFirst
            changes: Any = {"role": values["role"], "tenant_id": tenant_id, "enabled": values["enabled"]}
            if "hash" in values:
                changes["password_hash"] = values["hash"]
            change.set_admin(admin.name, **changes)

        try:
            await change_accounts(self._desk, visit, do)
        except _NotFirst:
            return False
        except NotFound as gone:
            raise not_found(sentence(str(gone))) from None
        except Refusal as refusal:
            form.refuse_for(refusal, places(visit, refusal))
            return False
        return True

    async def _form_page(self, request: Request, visit: Visit, admin: Admin | None, form: Form) -> Response:
        name = admin.name if admin else None
        return form_page(
            request,
            visit,
            await around(self._desk, visit, "Administrators", "admin", name)
            if name
            else Around("Administrators"),
            form,
            headline=f"Administrator {name}" if name else "A new administrator",
            save="Save" if name else "Add this administrator",
            back=link(visit, _PATH),
            removal=link(visit, f"{_PATH}/remove", name=name) if name else None,
        )

    def _removal_page(
        self, request: Request, visit: Visit, admin: Admin, refused: Refusal | None = None
    ) -> Response:
        return removal_page(
            request,
            visit,
            "Administrators",
            f"Remove administrator {admin.name}?",
            goes=["its sign-ins: it is signed out everywhere"],
            after="What it did stays in the journal. Its API keys go on working: they are no part of it.",
            refused=refused,
            button="Remove administrator",
            back=link(visit, f"{_PATH}/edit", name=admin.name),
        )


def _admin_row(admin: Admin, tenants: dict[int, str]) -> Sequence[Cell]:
    return (
        Cell(admin.role.value),
        Cell(tenant_name(admin.tenant_id, tenants)),
        state_of(is_on=admin.enabled),
    )


def _admin_fields(visit: Visit, admin: Admin | None) -> tuple[Field, ...]:
    name = Field(name="name", label="Name", kind=Kind.FIXED) if admin else name_field("administrator")
    text = (
        "Empty: it stays. With another one it is signed out everywhere."
        if admin
        else "8 to 256 characters, not easy to guess."
    )
    password = Field(name="password", label="Password", kind=Kind.PASSWORD, help=text)
    if admin is None:
        return (name, password, *role_and_tenant(visit))
    enabled = Field(
        name="enabled",
        label="Enabled",
        kind=Kind.MARK,
        help="When it is not: it is signed out, and cannot sign in.",
    )
    return (name, password, *role_and_tenant(visit), enabled)


def _admin_texts(visit: Visit, admin: Admin | None) -> Texts:
    own = tenant_names(visit).get(visit.identity.tenant_id or 0, ALL_TENANTS)
    if admin is None:
        return {"name": ("",), "password": ("",), "role": (Role.OPERATOR.value,), "tenant": (own,)}
    tenant = tenant_names(visit).get(admin.tenant_id, own) if admin.tenant_id is not None else ALL_TENANTS
    return {
        "name": (admin.name,),
        "password": ("",),
        "role": (admin.role.value,),
        "tenant": (tenant,),
        "enabled": YES if admin.enabled else (),
    }
