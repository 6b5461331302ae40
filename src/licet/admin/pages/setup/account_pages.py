"""The set-up's pages of those who work on this listener: administrators, and programs with an API key.

Who looks after one tenant sees and changes the accounts of that tenant only. The rules, as that there is
always an owner, are in `licet.accounts.administrators`; an account that was changed, removed or given another
password is signed out by it.
"""

from collections.abc import Callable, Sequence
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from sqlalchemy import Connection

from licet.accounts.administrators import (
    AccountsChange,
    Admin,
    ApiKey,
    changing,
    check_name,
    find_admin,
    is_name,
    read_admins,
    read_api_keys,
)
from licet.admin.context import Desk
from licet.admin.pages.forms import Field, Form, Kind, Option, Texts
from licet.admin.pages.frame import Posted, Visit, link, posting, see, visiting
from licet.admin.pages.setup.frame import (
    Around,
    Row,
    changes_of,
    form_page,
    list_page,
    listed,
    removal_page,
    secret_page,
    shown_form,
    typed_form,
)
from licet.admin.pages.setup.noun import YES, Cell, dated, state_of
from licet.admin.pages.setup.places import ROOT, places
from licet.admin.problems import not_found
from licet.credentials.generated import ApiKeys, NewApiKey
from licet.credentials.keyring import read_keyring
from licet.formats import counted, sentence
from licet.model import InvalidValue, Role, Tenant
from licet.refusal import Refusal, SubjectKind
from licet.store.errors import NotFound, SetupError

ALL_TENANTS = ""
_ROLES = {
    Role.VIEWER: "sees everything, and changes nothing",
    Role.OPERATOR: "may also end sessions",
    Role.OWNER: "may also change the set-up and the accounts",
}
_ADMINS, _KEYS = f"{ROOT}/administrators", f"{ROOT}/keys"


def router(desk: Desk) -> APIRouter:
    """The pages under /set-up/administrators and /set-up/keys."""
    routes = APIRouter()
    admins, keys = _AdminPages(desk), _KeyPages(desk)
    routes.add_api_route(_ADMINS, admins.show_list, methods=["GET"])
    routes.add_api_route(_KEYS, keys.show_list, methods=["GET"])
    for path, show, take in (
        (f"{_ADMINS}/add", admins.show_new, admins.take_new),
        (f"{_ADMINS}/edit", admins.show, admins.take),
        (f"{_ADMINS}/remove", admins.show_removal, admins.take_removal),
        (f"{_KEYS}/add", keys.show_new, keys.take_new),
        (f"{_KEYS}/remove", keys.show_removal, keys.take_removal),
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
        shown, tenants = listed(request, list(admins), lambda name: name), _tenant_names(visit)
        edit = f"{_ADMINS}/edit"
        rows = [
            Row(name, link(visit, edit, name=name), _admin_row(admins[name], tenants)) for name in shown.names
        ]
        return list_page(
            request,
            visit,
            await _around(self._desk, visit, "Administrators", "admin", None),
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
            return RedirectResponse(link(visit, _ADMINS), 303)
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
            await _change(self._desk, visit, lambda change: change.remove_admin(admin.name))
        except SetupError as refusal:
            return self._removal_page(request, visit, admin, refusal)
        return see(request, link(visit, _ADMINS), f"Administrator {admin.name} removed.")

    async def _named(self, request: Request, visit: Visit) -> Admin:
        name = request.query_params.get("name", "")
        admin = None
        if is_name(name):  # Not every store could look for anything.
            admin = await self._desk.read(lambda connection: find_admin(connection, name))
        if admin is None or not visit.identity.sees(admin.tenant_id):
            raise not_found(f"There is no administrator {name[:64]}. It may have been removed.")
        if admin.tenant_id is not None and admin.tenant_id not in _tenant_names(visit):
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
        return see(request, link(visit, _ADMINS), said)

    async def _is_saved(self, visit: Visit, admin: Admin | None, form: Form, values: dict[str, Any]) -> bool:
        tenant_id = _tenant_id(visit, values.get("tenant", ALL_TENANTS))

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
            await _change(self._desk, visit, do)
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
            await _around(self._desk, visit, "Administrators", "admin", name)
            if name
            else Around("Administrators"),
            form,
            headline=f"Administrator {name}" if name else "A new administrator",
            save="Save" if name else "Add this administrator",
            back=link(visit, _ADMINS),
            removal=link(visit, f"{_ADMINS}/remove", name=name) if name else None,
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
            back=link(visit, f"{_ADMINS}/edit", name=admin.name),
        )


class _KeyPages:
    """API keys."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._seen, self._owned = visiting(desk, Role.OWNER), posting(desk, Role.OWNER)

    async def show_list(self, request: Request) -> Response:
        """All that the reader's tenants have."""
        visit = await self._seen(request)
        keys = await self._keys(visit)
        shown, tenants = listed(request, list(keys), lambda name: name), _tenant_names(visit)
        rows = [
            Row(
                name,
                link(visit, f"{_KEYS}/remove", name=name),
                _key_row(keys[name], tenants, visit.now_ms),
            )
            for name in shown.names
        ]
        return list_page(
            request,
            visit,
            await _around(self._desk, visit, "API keys", "API key", None),
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
            back=link(visit, _KEYS),
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
            await _change(self._desk, visit, lambda change: change.remove_api_key(key.name))
        except SetupError as refusal:
            return self._removal_page(request, visit, key, refusal)
        return see(request, link(visit, _KEYS), f"API key {key.name} removed.")

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
        tenant_id = _tenant_id(visit, values.get("tenant", ALL_TENANTS))

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
            back=link(visit, _KEYS),
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
            back=link(visit, _KEYS),
        )


async def _change(desk: Desk, visit: Visit, do: Callable[[AccountsChange], object]) -> None:
    """Change the accounts within the reader's reach.

    Raises SetupError, InvalidValue, StoreUnavailable.
    """

    def change() -> None:
        with changing(desk.store, visit.identity.actor, within=visit.identity.tenant_id) as made:
            do(made)

    await desk.run(change)


async def _around(desk: Desk, visit: Visit, tab: str, word: str, name: str | None) -> Around:
    tenant = _own_tenant(visit)

    def read(connection: Connection) -> Any:
        return changes_of(connection, tenant, word, name)

    # Who looks after one tenant sees what was done in it.
    if visit.identity.tenant_id is not None and tenant is None:
        return Around(tab)
    return Around(tab, await desk.read(read), link(visit, "/journal", kind="event", within="all"))


def _own_tenant(visit: Visit) -> Tenant | None:
    return next((it for it in visit.tenants if it.id == visit.identity.tenant_id), None)


def _tenant_names(visit: Visit) -> dict[int, str]:
    return {it.id: it.name for it in visit.tenants}


def _tenant_id(visit: Visit, name: str) -> int | None:
    """The tenant that was chosen; who looks after one has no choice."""
    if visit.identity.tenant_id is not None or name == ALL_TENANTS:
        return visit.identity.tenant_id
    return next((it.id for it in visit.tenants if it.name == name), None)


def _tenant_of(tenant_id: int | None, tenants: dict[int, str]) -> str:
    return "all tenants" if tenant_id is None else tenants.get(tenant_id, "a tenant that is new")


def _admin_row(admin: Admin, tenants: dict[int, str]) -> Sequence[Cell]:
    return (
        Cell(admin.role.value),
        Cell(_tenant_of(admin.tenant_id, tenants)),
        state_of(is_on=admin.enabled),
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
        Cell(_tenant_of(key.tenant_id, tenants)),
        Cell(key.created_by),
        expires,
        used,
    )


def _name_field(what: SubjectKind) -> Field:
    def read(text: str) -> str:
        check_name(what, text)
        return text

    return Field(
        name="name",
        label="Name",
        help="1 to 64 small letters, digits, _ . @ + and -.",
        read=read,
        width="medium",
    )


def _role_and_tenant(visit: Visit) -> tuple[Field, ...]:
    role = Field(
        name="role",
        label="Role",
        kind=Kind.CHOICE,
        options=tuple(Option(value=it.value, label=it.value, help=text) for it, text in _ROLES.items()),
        read=Role,
    )
    if visit.identity.tenant_id is not None:
        return (role, Field(name="tenant", label="Of", kind=Kind.FIXED))
    tenants = tuple(Option(value=it.name, label=it.name) for it in visit.tenants)
    every = Option(value=ALL_TENANTS, label="all tenants")
    return (role, Field(name="tenant", label="Of", kind=Kind.CHOICE, options=(every, *tenants)))


def _admin_fields(visit: Visit, admin: Admin | None) -> tuple[Field, ...]:
    name = Field(name="name", label="Name", kind=Kind.FIXED) if admin else _name_field("administrator")
    text = (
        "Empty: it stays. With another one it is signed out everywhere."
        if admin
        else "8 to 256 characters, not easy to guess."
    )
    password = Field(name="password", label="Password", kind=Kind.PASSWORD, help=text)
    if admin is None:
        return (name, password, *_role_and_tenant(visit))
    enabled = Field(
        name="enabled",
        label="Enabled",
        kind=Kind.MARK,
        help="When it is not: it is signed out, and cannot sign in.",
    )
    return (name, password, *_role_and_tenant(visit), enabled)


def _admin_texts(visit: Visit, admin: Admin | None) -> Texts:
    own = _tenant_names(visit).get(visit.identity.tenant_id or 0, ALL_TENANTS)
    if admin is None:
        return {"name": ("",), "password": ("",), "role": (Role.OPERATOR.value,), "tenant": (own,)}
    tenant = _tenant_names(visit).get(admin.tenant_id, own) if admin.tenant_id is not None else ALL_TENANTS
    return {
        "name": (admin.name,),
        "password": ("",),
        "role": (admin.role.value,),
        "tenant": (tenant,),
        "enabled": YES if admin.enabled else (),
    }


def _key_fields(visit: Visit) -> tuple[Field, ...]:
    expires = Field(name="expires", label="Expires", kind=Kind.END)
    return (_name_field("API key"), *_role_and_tenant(visit), *dated([expires], visit.the_tenant))


def _key_texts(visit: Visit) -> Texts:
    own = _tenant_names(visit).get(visit.identity.tenant_id or 0, ALL_TENANTS)
    return {"name": ("",), "role": (Role.VIEWER.value,), "tenant": (own,), "expires": ("",)}
