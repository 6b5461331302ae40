"""Serves the path from an empty store to the first token: what is done, and the button of what is next.

    tenant -> pool -> scope -> user -> client -> credential -> first token

The rules:

- Each step is computed from the set-up and the journal, by whatever means it was made: the path has no state.
- While there is no token the page asks by itself, which keeps nobody signed in.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, Final, NamedTuple

from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse, Response
from sqlalchemy import Connection

from licet.admin.context import AdminContext
from licet.admin.pages.frame import Visit, link, page, part, visiting
from licet.admin.pages.setup.connect import Connect, connect
from licet.admin.pages.setup.error_links import ROOT
from licet.admin.pages.setup.rights import may_add
from licet.formats import counted
from licet.journal.first_grant import FirstGrant, first_grant, grant_lately
from licet.model import Client, Scope, Tenant
from licet.platforms.shells import quoted
from licet.setup.change import POOL_FIRST
from licet.setup.check import authenticates_by

PATH = "/first-steps"
WAIT_PATH = f"{PATH}/token"


class Step(NamedTuple):
    """A step: what it is about, and where it is done. `done` says what is there, '' while it is not done."""

    title: str
    about: str
    done: str
    href: str = ""
    button: str = ""
    command: str = ""


class Steps(NamedTuple):
    """The whole path. `waits_for` is the client that can get its first token; `first` is the token."""

    steps: tuple[Step, ...]
    waits_for: Client | None
    first: FirstGrant | None

    @property
    def done(self) -> int:
        """How many are done."""
        return sum(bool(it.done) for it in self.steps)

    @property
    def next(self) -> Step | None:
        """The first that is not done."""
        return next((it for it in self.steps if not it.done), None)

    @property
    def headline(self) -> str:
        """Where the reader is."""
        if self.first is not None:
            return "All steps are done"
        return f"{self.done} of {len(self.steps)} steps are done on the way to the first token"


class _Stage(NamedTuple):
    """A step as it is for each tenant: `word` is what is added, by `form` or by `command`."""

    word: str
    title: str
    about: str
    form: str
    button: str
    command: str


_STAGES: Final = (
    _Stage(
        "tenant",
        "Tenant",
        "One customer database, with its own users, clients and pools.",
        "tenants/add",
        "Add a tenant",
        "licet tenant add Jim_Test --seats 5",
    ),
    _Stage(
        "pool",
        "Pool",
        "A number of seats that clients share.",
        "pools/add",
        "Add a pool",
        "licet pool add full --seats 5 --tenant {tenant}",
    ),
    _Stage(
        "scope",
        "Scope",
        "What a token permits. A scope with a pool takes a seat of it.",
        "scopes/edit",
        "Give it a pool",
        "licet scope set all --pool {pool} --tenant {tenant}",
    ),
    _Stage(
        "user",
        "User",
        "The person or service for whom a client acts.",
        "users/add",
        "Add a user",
        'licet user add TC --name "Test Client" --no-password --tenant {tenant}',
    ),
    _Stage(
        "client",
        "Client",
        "The program that asks for tokens.",
        "clients/add",
        "Add a client",
        "licet client add TestClientId --user TC --secret --tenant {tenant}",
    ),
    _Stage(
        "secret",
        "Credential",
        "A secret or a key of its own, by which the client authenticates.",
        "clients/secrets/add",
        "Generate a secret",
        "licet client secret add {client} --tenant {tenant}",
    ),
)
_NAMES_SHOWN: Final = 3


def steps_of(visit: Visit, tenant: Tenant | None, first: FirstGrant | None) -> Steps:
    """The path of a tenant; None is a store that has none."""
    if tenant is None:
        begun = Tenant(id=0, name="Jim_Test", version=0)
        return Steps(tuple(_steps(visit, begun, None, None, is_there=False)), None, None)
    usable = (it for it in tenant.clients.values() if it.usable and not it.introspects)
    able = next((it for it in usable if authenticates_by(it, visit.now_ms)), None)
    return Steps(tuple(_steps(visit, tenant, able, first, is_there=True)), able, first)


def is_unfinished(tenant: Tenant, now_ms: int) -> bool:
    """Whether no client of this tenant could get a token yet."""
    return not any(authenticates_by(it, now_ms) for it in tenant.clients.values())


def _steps(
    visit: Visit, tenant: Tenant, able: Client | None, first: FirstGrant | None, *, is_there: bool
) -> Iterator[Step]:
    clients = sorted(tenant.clients.values(), key=lambda it: (it.introspects, it.client_id))
    client_id = clients[0].client_id if clients else "TestClientId"
    pool = next((it.name for it in tenant.pools.values()), POOL_FIRST)
    names = {"scope": Scope.ALL, "secret": client_id}  # of what a form changes
    for stage, done in zip(_STAGES, _done(tenant, able, visit.now_ms, is_there=is_there), strict=True):
        query = {"tenant": tenant.name if is_there else "", "name": names.get(stage.word, "")}
        yield Step(
            stage.title,
            stage.about,
            done,
            link(None, f"{ROOT}/{stage.form}", **query) if may_add(visit, stage.word) else "",
            stage.button,
            stage.command.format(tenant=tenant.name, client=quoted(client_id), pool=pool),
        )
    waits = "The client runs the lines below. This page notices by itself."
    yield Step("First token", waits if able else "The client asks for it.", first.client_id if first else "")


def _done(tenant: Tenant, able: Client | None, now_ms: int, *, is_there: bool) -> Iterator[str]:
    """What there is for each stage, '' where there is nothing."""
    yield tenant.name if is_there else ""
    yield _some(
        it.name if it.seats is None else f"{it.name} with {counted(it.seats, 'seat')}"
        for it in tenant.pools.values()
    )
    yield _some(it.name for it in tenant.scopes.values() if it.licensed)
    yield _some(tenant.users)
    yield _some(tenant.clients)
    yield f"{able.client_id} authenticates by {' or '.join(authenticates_by(able, now_ms))}" if able else ""


def _some(names: Iterable[str]) -> str:
    ordered = sorted(names)
    more = len(ordered) - _NAMES_SHOWN
    return ", ".join(ordered[:_NAMES_SHOWN]) + (f" and {more:,} more" if more > 0 else "")


def router(context: AdminContext) -> APIRouter:
    """`/first-steps`, and what it asks for by itself."""
    made = APIRouter()
    visitor = visiting(context)

    @made.get(PATH)
    async def show(request: Request, visit: Annotated[Visit, Depends(visitor)]) -> Response:
        values = await context.run(_values, context, visit, request.query_params)
        path = f"{PATH}?{request.url.query}" if request.url.query else PATH
        return page(request, visit, "setup/first_steps.html", here="Overview", here_path=path, **values)

    @made.get(WAIT_PATH)
    async def wait(visit: Annotated[Visit, Depends(visitor)], name: str = "") -> Response:
        tenant = visit.the_tenant
        found = None
        if tenant is not None:
            tenant_id = tenant.id
            found = await context.read(lambda it: grant_lately(it, tenant_id, name, visit.now_ms))
        waiting = {"tenant": tenant.name if tenant else "", "client_id": name, "grant": found}
        text = part("setup/waiting.html", "waiting", **waiting)
        return HTMLResponse(text, headers={"cache-control": "no-store"})

    return made


def _values(context: AdminContext, visit: Visit, query: Mapping[str, str]) -> dict[str, Any]:
    tenants = context.tenants_now(visit.identity)
    chosen = visit.the_tenant
    tenant = next((it for it in tenants if chosen is None or it.name == chosen.name), None)

    def read(connection: Connection) -> FirstGrant | None:
        return first_grant(connection, tenant.id) if tenant is not None else None

    steps = steps_of(visit, tenant, context.read_now(read))
    lines: Connect | None = None
    if tenant is not None and steps.waits_for is not None:
        lines = connect(
            context.public_url,
            tenant,
            steps.waits_for,
            visit.now_ms,
            by=query.get("by", ""),
            scope=query.get("scope", ""),
        )
    return {"path": steps, "tenant": tenant, "lines": lines}
