"""Serves the clients of a tenant: lists, adds, shows, changes, suspends and removes them."""

from collections.abc import Callable
from typing import Annotated

from fastapi import Query
from fastapi.responses import Response

from licet.admin.api import openapi, requests
from licet.admin.api.call import OWNING, Operating, Owning, Reading, answer, there
from licet.admin.api.collection import OfTenant
from licet.admin.api.conditional import represent
from licet.admin.api.dry_run import rehearsable
from licet.admin.api.moments import end_of
from licet.admin.api.noun_endpoints import Endpoints
from licet.admin.api.parameters import LINE, Matching, NamePath, OfUser, OnlyEnabled, TenantPath, has_part
from licet.admin.api.responses import setup as shapes
from licet.model import Client, InvalidValue
from licet.refusal import Code
from licet.reports.options.rules_of_client import RulesOfClient, rules_of_client
from licet.reports.options.why import Why, explain
from licet.setup.change import SetupChange
from licet.setup.nouns import CLIENT
from licet.setup.tenant import TenantSetup

SCOPE_CHARS_MAX = 1000  # of what would be asked for
_CANNOT_AUTHENTICATE = (
    "It has no way to authenticate: no secret, no public key, and its user's password does not work for it."
    " Add a secret or a key, or give the user a password and allow it."
)


async def _wanted(
    matching: Matching = None, user: OfUser = None, enabled: OnlyEnabled = None
) -> Callable[[Client], bool]:
    return lambda client: (
        user in {None, client.user.initials}
        and enabled in {None, client.enabled}
        and has_part(client.client_id, matching)
    )


clients = Endpoints(
    "Client",
    OfTenant(lambda of: of.clients),
    path="/tenants/{tenant}/clients",
    tag="Clients",
    key="client_id",
    word="client",
    named_by="client_id",
    shape=shapes.Client,
    show=lambda call, client: shapes.client(client, call.now_ms()),
    noun=CLIENT,
)
clients.lists("The clients of a tenant.", only=_wanted)


@clients.router.post("", operation_id="addClient", **rehearsable(openapi.added(shapes.NewClient)))
async def add_client(call: Owning, tenant: TenantPath, body: requests.ClientNew) -> Response:
    """Add a client; a generated secret is shown once."""
    given = CLIENT.taken(call.given(body))
    client_id, wants_secret = given.pop("client_id"), given.pop("generate_secret", False)
    expires_at = given.pop("secret_expires_at", None)
    if given.get("password_allowed", ...) is None:
        del given["password_allowed"]
    if expires_at is not None and not wants_secret:
        text = "secret_expires_at is about a generated secret"
        raise InvalidValue(text, code=Code.NOT_TOGETHER, field="secret_expires")
    secret = (await call.context.run(call.context.client_secrets)).generate() if wants_secret else None

    def do(setup: TenantSetup) -> tuple[Client, int | None]:
        expires_at_ms = end_of(expires_at, setup.tenant.zone, "secret_expires")
        setup.add_client(client_id, secret, expires_at_ms, **given)
        return setup.clients[client_id], expires_at_ms

    client, expires_at_ms = await call.change(tenant, do)
    made = shapes.client(client, call.now_ms())
    shown = shapes.new_client(
        made,
        secret=None if secret is None else shapes.new_secret(secret, expires_at_ms),
        warnings=() if made.authenticates_by else (_CANNOT_AUTHENTICATE,),
    )
    return answer(shown, 201, {"Location": call.below(client_id), "ETag": represent(made).etag})


clients.shows("A client.")
clients.changes(
    "Change it; sessions that the new settings do not allow end.",
    OWNING,
    requests.ClientPatch,
    TenantSetup.set_client,
)
clients.removes("Remove it with its secrets; its sessions end.", OWNING, TenantSetup.remove_client)


@clients.router.get("/{client_id}/why", operation_id="explainClient", **openapi.one(Why, 404))
async def explain_client(
    call: Reading,
    tenant: TenantPath,
    client_id: NamePath,
    scope: Annotated[
        str,
        Query(
            max_length=SCOPE_CHARS_MAX,
            pattern=LINE,
            description="What it would request: one or several scopes, separated by spaces; or the default.",
            examples=["all"],
        ),
    ] = "",
) -> Response:
    """Which answer it would get if it asked for a seat now, rule by rule. Nothing is taken or recorded."""

    def work() -> Why:
        known = call.tenant(tenant)
        client = there(known.clients.get(client_id), "client", client_id, known.clients)
        return explain(call.context.store, known, client, scope.split())

    return await call.show(work)


@clients.router.get("/{client_id}/rules", operation_id="getClientRules", **openapi.one(RulesOfClient, 404))
async def get_client_rules(call: Reading, tenant: TenantPath, client_id: NamePath) -> Response:
    """The rules of pools that apply to it, its user or its groups, regardless of the present seats."""

    def work() -> RulesOfClient:
        known = call.tenant(tenant)
        client = there(known.clients.get(client_id), "client", client_id, known.clients)
        return RulesOfClient(
            tenant=known.name,
            client_id=client.client_id,
            initials=client.user.initials,
            pools=tuple(rules_of_client(known, client)),
        )

    return await call.show(work)


@clients.router.put(
    "/{client_id}/suspension",
    operation_id="suspendClient",
    **rehearsable(openapi.one(shapes.Client, 404, 422)),
)
async def suspend_client(
    call: Operating, tenant: TenantPath, client_id: NamePath, body: requests.Suspension
) -> Response:
    """Suspend it: it gets no seat for a while, but keeps a seat that it has."""
    call.given(body)

    def work(change: SetupChange) -> shapes.Client:
        setup, now_ms = call.setup(change, tenant), change.transaction.now_ms
        there(setup.clients.get(client_id), "client", client_id, setup.clients)
        setup.suspend(client_id, now_ms + body.cool_down_s * 1000)
        return shapes.client(setup.clients[client_id], now_ms)

    return answer(await call.change_setup(work))


@clients.router.delete(
    "/{client_id}/suspension", operation_id="resumeClient", **rehearsable(openapi.one(None, 404, status=204))
)
async def resume_client(call: Operating, tenant: TenantPath, client_id: NamePath) -> Response:
    """Resume it: it can get seats again."""
    await clients.change_one(call, (tenant,), client_id, lambda setup, _: setup.suspend(client_id, None))
    return Response(status_code=204)
