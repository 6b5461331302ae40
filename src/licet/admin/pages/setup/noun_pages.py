"""Serves the pages of what a tenant has: pools, scopes, users and clients.

A list, and a form to add, to change and to remove, for each noun alike (`setup_noun`). What would end with a
change is found by doing it and taking it back, so that it is told before it is done, and is true.
"""

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from licet.admin.context import Desk
from licet.admin.pages.forms import Field, Form
from licet.admin.pages.frame import Posted, Visit, link, posting, see, visiting
from licet.admin.pages.setup.client_secret_pages import shown_once
from licet.admin.pages.setup.frame import (
    Around,
    Listed,
    Row,
    changes_of,
    chosen_tenant,
    ends_of,
    form_page,
    keeping_licence,
    list_page,
    listed,
    may_change,
    must_own_licence,
    removal_page,
    removed,
    shown_form,
    typed_form,
    with_it,
)
from licet.admin.pages.setup.noun import Noun
from licet.admin.pages.setup.nouns.clients import Clients, listed_keys, listed_secrets
from licet.admin.pages.setup.nouns.pools import Pools
from licet.admin.pages.setup.nouns.scopes import Scopes
from licet.admin.pages.setup.nouns.users import Users
from licet.admin.pages.setup.places import ROOT
from licet.admin.pages.setup.saving import Gone, Outcome, Saving
from licet.admin.problems import not_allowed, not_found
from licet.credentials.generated import NewClientSecret
from licet.credentials.passwords import about_user
from licet.formats import counted, sentence
from licet.model import InvalidValue, Role, Tenant
from licet.setup.change import SetupChange
from licet.setup.check import authenticates_by
from licet.setup.licence_terms import WHY, is_counted
from licet.setup.tenant import BUILT_IN

_USERS = Users()
NOUNS: tuple[Noun, ...] = (Pools(), Scopes(), _USERS, Clients())
# Nouns that the journal can be narrowed by.
_IN_JOURNAL = frozenset({"pool", "client", "user"})


def router(desk: Desk) -> APIRouter:
    """`/set-up`, and the pages of each noun under it."""
    routes = APIRouter()
    routes.add_api_route(ROOT, _first(desk), methods=["GET"])
    for noun in NOUNS:
        _NounPages(desk, noun).add_to(routes)
    routes.add_api_route(f"{ROOT}/clients/resume", _to_client(desk), methods=["GET"])
    routes.add_api_route(f"{ROOT}/clients/resume", _resume(desk), methods=["POST"])
    return routes


def _first(desk: Desk) -> Callable[[Request], Any]:
    seen = visiting(desk)

    async def show(request: Request) -> Response:
        visit = await seen(request)
        return RedirectResponse(link(visit, f"{ROOT}/{'pools' if visit.the_tenant else 'tenants'}"), 303)

    return show


def _to_client(desk: Desk) -> Callable[[Request], Any]:
    """Where a sign-in leads to that had expired when a client was to be let in."""
    seen = visiting(desk)

    async def show(request: Request) -> Response:
        visit = await seen(request)
        name = request.query_params.get("name", "")
        return RedirectResponse(link(visit, f"{ROOT}/clients/edit", name=name), 303)

    return show


def _resume(desk: Desk) -> Callable[[Request], Any]:
    """Resume a client that was suspended for a while."""
    sent = posting(desk, Role.OPERATOR)

    async def take(request: Request) -> Response:
        visit = (await sent(request)).visit
        tenant, name = await chosen_tenant(desk, visit), request.query_params.get("name", "")
        await desk.change(visit.identity, lambda change: change.tenant(tenant.name).suspend(name, None))
        return see(
            request, link(visit, f"{ROOT}/clients/edit", name=name), f"Client {name} is no longer suspended."
        )

    return take


class _NounPages:
    """The pages of one noun."""

    def __init__(self, desk: Desk, noun: Noun) -> None:
        self._desk = desk
        self._noun = noun
        self._path = f"{ROOT}/{noun.path}"
        self._seen, self._owned = visiting(desk), posting(desk, Role.OWNER)

    def add_to(self, routes: APIRouter) -> None:
        """Put them where they are found."""
        routes.add_api_route(self._path, self.show_list, methods=["GET"])
        for action, show, take in (
            ("add", self.show_new, self.take_new),
            ("edit", self.show, self.take),
            ("remove", self.show_removal, self.take_removal),
        ):
            routes.add_api_route(f"{self._path}/{action}", show, methods=["GET"])
            routes.add_api_route(f"{self._path}/{action}", take, methods=["POST"])

    async def show_list(self, request: Request) -> Response:
        """All there are, and who changed them last."""
        visit = await self._seen(request)
        if visit.the_tenant is None:
            return RedirectResponse(f"{ROOT}/tenants", 303)
        tenant, noun = await chosen_tenant(self._desk, visit), self._noun
        shown, rows = await self._desk.run(self._rows, request, visit, tenant)
        noun_first: Noun = _USERS if noun.word == "client" and not tenant.users else noun
        return list_page(
            request,
            visit,
            await self._around(visit, tenant, None),
            shown,
            rows,
            headline=f"{counted(shown.all, noun.word)} in {tenant.name}",
            about=noun.about,
            empty=noun.empty if noun_first is noun else "A client stands for a user. Add a user first",
            command=f"{noun_first.command} --tenant {tenant.name}",
            first_step=None if noun_first is noun else (link(visit, f"{ROOT}/users/add"), "Add a user"),
            word=noun.word,
            columns=noun.columns,
            may=visit.may(Role.OWNER) and (visit.identity.owns_licence or not is_counted(noun.word)),
        )

    async def show_new(self, request: Request) -> Response:
        """An empty form."""
        visit = await self._seen(request)
        must_own_licence(visit, self._noun.word)
        tenant, noun = await chosen_tenant(self._desk, visit), self._noun
        form = shown_form(self._fields(visit, tenant, None), noun.texts(tenant, None), visit)
        return await self._form_page(request, visit, tenant, None, form)

    async def take_new(self, request: Request) -> Response:
        """A form for a new one."""
        posted = await self._owned(request)
        must_own_licence(posted.visit, self._noun.word)
        return await self._save(request, posted, await chosen_tenant(self._desk, posted.visit), None)

    async def show(self, request: Request) -> Response:
        """One, as a form."""
        visit = await self._seen(request)
        if "name" not in request.query_params:  # as from the list of tenants
            return RedirectResponse(link(visit, self._path), 303)
        tenant, noun = await chosen_tenant(self._desk, visit), self._noun
        name, part = self._named(request, tenant)
        form = shown_form(self._fields(visit, tenant, part), noun.texts(tenant, part), visit)
        return await self._form_page(request, visit, tenant, name, form)

    async def take(self, request: Request) -> Response:
        """A form that changes one."""
        posted = await self._owned(request)
        tenant = await chosen_tenant(self._desk, posted.visit)
        name, part = self._named(request, tenant)
        if not may_change(posted.visit, self._noun.word, self._noun.fields(tenant, part)):
            raise not_allowed(WHY)
        return await self._save(request, posted, tenant, name)

    async def show_removal(self, request: Request) -> Response:
        """What would end with it."""
        visit = await self._seen(request)
        must_own_licence(visit, self._noun.word)
        return await self._removal_page(request, visit, await chosen_tenant(self._desk, visit), None)

    async def take_removal(self, request: Request) -> Response:
        """It is meant."""
        posted = await self._owned(request)
        must_own_licence(posted.visit, self._noun.word)
        tenant = await chosen_tenant(self._desk, posted.visit)
        return await self._removal_page(request, posted.visit, tenant, ends_of(posted))

    def _fields(self, visit: Visit, tenant: Tenant, part: Any | None) -> tuple[Field, ...]:
        return keeping_licence(visit, self._noun.word, self._noun.fields(tenant, part))

    def _rows(self, request: Request, visit: Visit, tenant: Tenant) -> tuple[Listed, list[Row]]:
        noun, parts = self._noun, self._noun.parts(tenant)
        shown = listed(request, list(parts), lambda name: noun.words(parts[name]))
        edit = f"{self._path}/edit"
        rows = [
            Row(name, link(visit, edit, name=name), noun.row(tenant, parts[name], visit.now_ms))
            for name in shown.names
        ]
        return shown, rows

    def _named(self, request: Request, tenant: Tenant) -> tuple[str, Any]:
        name = request.query_params.get("name", "")
        part = self._noun.parts(tenant).get(name)
        if part is None:
            raise not_found(
                f"There is no {self._noun.word} {name[:64]} in {tenant.name}. It may have been removed."
            )
        return name, part

    async def _save(self, request: Request, posted: Posted, tenant: Tenant, name: str | None) -> Response:
        noun, visit = self._noun, posted.visit
        part = None if name is None else noun.parts(tenant)[name]
        form = typed_form(self._fields(visit, tenant, part), noun.texts(tenant, part), posted)
        values = form.values()
        made = await self._desk.run(_prepared, self._desk, noun, form, values, tenant, name)
        outcome = Outcome(is_done=False)
        if not form.is_wrong:
            saving = Saving(self._desk, visit, form, ends_of(posted))
            try:
                outcome = await self._desk.run(saving.part, tenant.name, noun, name, values)
            except Gone as gone:
                raise not_found(sentence(str(gone))) from None
        if not outcome.is_done:
            return await self._form_page(request, visit, tenant, name, form, outcome.sessions_ended)
        if made is not None:
            return shown_once(self._desk, request, visit, tenant, values[noun.key], made)
        done = "added" if name is None else "saved"
        said = (
            f"{noun.word.capitalize()} {values.get(noun.key, name)} {done}{with_it(outcome.sessions_ended)}."
        )
        return see(request, link(visit, self._path), said)

    async def _form_page(  # noqa: PLR0917 - what a form needs around it
        self,
        request: Request,
        visit: Visit,
        tenant: Tenant,
        name: str | None,
        form: Form,
        ending: int = 0,
    ) -> Response:
        noun = self._noun
        more: dict[str, Any] = {}
        if noun.word == "client" and name is not None:
            client = tenant.clients[name]
            more = {
                "template": "setup/client.html",
                "name": name,
                "suspended": client.suspended_at(visit.now_ms),
                "by_password": "password" in authenticates_by(client, visit.now_ms),
                "secrets": listed_secrets(visit, client),
                "keys": listed_keys(visit, client),
            }
        what = f"{noun.word.capitalize()} {name}" if name else f"A new {noun.word}"
        may = may_change(visit, noun.word, form.fields)
        owns = visit.identity.owns_licence or not is_counted(noun.word)
        stays = name is None or _is_built_in(noun, name) or not owns
        if visit.may(Role.OWNER) and not may:
            more["why_not"] = f"You may look at this. {WHY}"
        return form_page(
            request,
            visit,
            await self._around(visit, tenant, name) if name else Around(noun.plural.capitalize()),
            form,
            headline=f"{what} in {tenant.name}",
            save="Save" if name else f"Add this {noun.word}",
            back=link(visit, self._path),
            may=may,
            removal=None if stays else link(visit, f"{self._path}/remove", name=name),
            ending=ending,
            **more,
        )

    async def _removal_page(
        self, request: Request, visit: Visit, tenant: Tenant, ends: int | None
    ) -> Response:
        noun = self._noun
        name, part = self._named(request, tenant)

        def do(change: SetupChange) -> object:
            return noun.remove(change.tenant(tenant.name), name)

        outcome, refused = await removed(self._desk, visit, do, ends)
        ended = outcome.sessions_ended
        if outcome.is_done:
            said = f"{noun.word.capitalize()} {name} removed{with_it(ended)}."
            return see(request, link(visit, self._path), said)
        sessions = [f"{counted(ended, 'session')}: their tokens stop working"] if ended else []
        return removal_page(
            request,
            visit,
            noun.plural.capitalize(),
            f"Remove {noun.word} {name} from {tenant.name}?",
            goes=[*sessions, *noun.goes_with_it(part)],
            ends=ended,
            after="The journal and the usage reports keep what was.",
            refused=refused,
            button=f"Remove {noun.word}" + (f" and end {counted(ended, 'session')}" if ended else ""),
            back=link(visit, f"{self._path}/edit", name=name),
        )

    async def _around(self, visit: Visit, tenant: Tenant, name: str | None) -> Around:
        noun = self._noun
        found = await self._desk.read(lambda connection: changes_of(connection, tenant, noun.word, name))
        only: dict[str, object] = {noun.word: name} if name and noun.word in _IN_JOURNAL else {}
        more = link(visit, "/journal", kind="event", within="all", **only)
        return Around(noun.plural.capitalize(), found, more)


def _prepared(  # noqa: PLR0917 - what is saved, and of whom
    desk: Desk, noun: Noun, form: Form, values: dict[str, Any], tenant: Tenant, name: str | None
) -> NewClientSecret | None:
    """Hash a password, generate a secret: what takes time, before the transaction."""
    if noun.word == "user":
        values["password_hash"] = None
        if password := values.get("password"):
            try:
                about = about_user(tenant, name or values.get("initials") or "", values.get("name"))
                values["password_hash"] = desk.passwords.hash_new(password, *about)
            except InvalidValue as wrong:
                form.refuse_for(wrong)
    if not values.get("generate_secret"):
        values.pop("secret_expires", None)
        return None
    values["made"] = made = desk.client_secrets().generate()
    return made


def _is_built_in(noun: Noun, name: str) -> bool:
    """Whether it stays whatever happens."""
    return noun.word == "scope" and name in BUILT_IN
