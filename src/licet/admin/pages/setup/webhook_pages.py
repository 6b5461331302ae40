"""Serves the pages of webhooks: where alerts are sent, and the secret that signs them.

Who looks after one tenant sees and changes the webhooks of that tenant only. A URL may have a secret in it:
only owners see what follows its host.
"""

from collections.abc import Callable, Sequence
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from licet.admin.context import Desk
from licet.admin.pages.filters import cleaned
from licet.admin.pages.forms import Field, Form, Kind, Option, Texts
from licet.admin.pages.frame import Visit, link, posting, see, visiting
from licet.admin.pages.setup.account_pages import ALL_TENANTS
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
from licet.admin.pages.setup.noun import YES, Cell, state_of
from licet.admin.pages.setup.places import ROOT, places
from licet.admin.problems import not_found
from licet.alerts.destinations import check_url
from licet.alerts.webhooks import Webhook, WebhooksChange, changing, find_webhook, webhooks
from licet.credentials.keyring import read_keyring
from licet.credentials.webhook_signatures import WebhookSecrets
from licet.formats import counted
from licet.model import InvalidValue, Role
from licet.refusal import Refusal
from licet.store.errors import NotFound, SetupError

_PATH = f"{ROOT}/webhooks"
_TAB = "Webhooks"


def router(desk: Desk) -> APIRouter:
    """The pages under /set-up/webhooks."""
    routes, pages = APIRouter(), _WebhookPages(desk)
    routes.add_api_route(_PATH, pages.show_list, methods=["GET"])
    for action, show, take in (
        ("add", pages.show_new, pages.take_new),
        ("edit", pages.show, pages.take),
        ("remove", pages.show_removal, pages.take_removal),
        ("rotate", pages.show_rotation, pages.take_rotation),
    ):
        routes.add_api_route(f"{_PATH}/{action}", show, methods=["GET"])
        routes.add_api_route(f"{_PATH}/{action}", take, methods=["POST"])
    routes.add_api_route(f"{_PATH}/secret", pages.show_secret, methods=["GET"])
    routes.add_api_route(f"{_PATH}/test", pages.show, methods=["GET"])  # after a sign-in that had expired
    routes.add_api_route(f"{_PATH}/test", pages.take_test, methods=["POST"])
    return routes


class _NotFirst(Exception):
    """Rolls the transaction back: somebody else was first."""


class _WebhookPages:
    """What is shown and taken at each of them."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._seen, self._owned = visiting(desk), posting(desk, Role.OWNER)
        self._for_owners = visiting(desk, Role.OWNER)

    async def show_list(self, request: Request) -> Response:
        """All that the reader's tenants have."""
        visit = await self._seen(request)
        found = await self._desk.read(lambda it: webhooks(it, visit.identity.tenant_id))
        hooks = {it.id: it for it in found}
        shown = listed(request, list(hooks), lambda name: f"{name} {hooks[name].place}")
        tenants = {it.id: it.name for it in visit.tenants}
        may = visit.may(Role.OWNER)
        rows = [
            Row(name, link(visit, f"{_PATH}/edit", name=name) if may else "", _row(hooks[name], tenants))
            for name in shown.names
        ]
        return list_page(
            request,
            visit,
            Around(_TAB),
            shown,
            rows,
            headline=counted(len(hooks), "webhook"),
            about="Where alerts are sent, as signed messages of Standard Webhooks.",
            empty="No webhook yet: alerts are seen on the Alerts page only. Add the first one",
            command="licet webhook add https://example.com/alerts",
            word="webhook",
            columns=("Sent to", "Alerts of", "State"),
            may=may,
        )

    async def show_new(self, request: Request) -> Response:
        """An empty form."""
        visit = await self._for_owners(request)
        form = shown_form(self._fields(visit, None), _texts(visit, None), visit)
        return self._form_page(request, visit, None, form)

    async def take_new(self, request: Request) -> Response:
        """Add it, and show its secret."""
        posted = await self._owned(request)
        visit = posted.visit
        form = typed_form(self._fields(visit, None), _texts(visit, None), posted)
        values = form.values()
        tenant = values.get("tenant", ALL_TENANTS)
        tenant_id = visit.identity.tenant_id
        if tenant_id is None and tenant != ALL_TENANTS:
            tenant_id = next((it.id for it in visit.tenants if it.name == tenant), None)
        if not form.is_wrong:
            try:
                made = await self._change(
                    visit,
                    lambda change: change.add(values["url"], tenant_id=tenant_id, **self._allowed()),
                )
                return await self._secret_page(request, visit, made, "Its receiver checks messages with it.")
            except Refusal as refusal:
                form.refuse_for(refusal, places(visit, refusal))
        return self._form_page(request, visit, None, form)

    async def show(self, request: Request) -> Response:
        """One, as a form."""
        visit = await self._for_owners(request)
        if "name" not in request.query_params:
            return RedirectResponse(link(visit, _PATH), 303)
        webhook = await self._named(request, visit)
        form = shown_form(self._fields(visit, webhook), _texts(visit, webhook), visit)
        return self._form_page(request, visit, webhook, form)

    async def take(self, request: Request) -> Response:
        """A form that changes one."""
        posted = await self._owned(request)
        visit, webhook = posted.visit, await self._named(request, posted.visit)
        form = typed_form(self._fields(visit, webhook), _texts(visit, webhook), posted)
        values = form.values()
        if form.is_wrong or not await self._is_saved(visit, webhook, form, values):
            return self._form_page(request, visit, webhook, form)
        return see(request, link(visit, _PATH), f"Webhook {webhook.id} saved.")

    async def show_removal(self, request: Request) -> Response:
        """What goes with it."""
        visit = await self._for_owners(request)
        webhook = await self._named(request, visit)
        return removal_page(
            request,
            visit,
            _TAB,
            f"Remove webhook {webhook.id}, which goes to {webhook.place}?",
            goes=["what was sent to it, and what is still to be sent"],
            after="Alerts go on being raised, and are seen on the Alerts page.",
            button="Remove webhook",
            back=link(visit, f"{_PATH}/edit", name=webhook.id),
        )

    async def take_removal(self, request: Request) -> Response:
        """It is meant."""
        posted = await self._owned(request)
        visit, webhook = posted.visit, await self._named(request, posted.visit)
        await self._change(visit, lambda change: change.remove(webhook.id))
        return see(request, link(visit, _PATH), f"Webhook {webhook.id} removed.")

    async def show_secret(self, request: Request) -> Response:
        """The secret, which is made again each time: none is kept."""
        visit = await self._for_owners(request)
        webhook = await self._named(request, visit)
        return await self._secret_page(request, visit, webhook, "Its receiver checks messages with it.")

    async def show_rotation(self, request: Request) -> Response:
        """What a new secret means."""
        visit = await self._for_owners(request)
        webhook = await self._named(request, visit)
        return removal_page(
            request,
            visit,
            _TAB,
            f"Give webhook {webhook.id} a new secret?",
            goes=[],
            after="The old one signs too for 24 hours, so that the receiver has time to take the new one.",
            button="Generate a new secret",
            back=link(visit, f"{_PATH}/edit", name=webhook.id),
        )

    async def take_rotation(self, request: Request) -> Response:
        """Rotate, and show the new one."""
        posted = await self._owned(request)
        visit, webhook = posted.visit, await self._named(request, posted.visit)
        rotated = await self._change(visit, lambda change: change.rotate(webhook.id))
        return await self._secret_page(request, visit, rotated, "For 24 hours the old one signs too.")

    async def take_test(self, request: Request) -> Response:
        """Send a message that tells nothing."""
        posted = await self._owned(request)
        visit, webhook = posted.visit, await self._named(request, posted.visit)
        back = link(visit, f"{_PATH}/edit", name=webhook.id)
        try:
            await self._change(visit, lambda change: change.test(webhook.id))
        except SetupError:
            return see(request, back, "It is disabled: enable it first.")
        return see(request, link(visit, "/alerts"), "A test message is on its way; its state is below.")

    async def _named(self, request: Request, visit: Visit) -> Webhook:
        name = cleaned(request.query_params.get("name", ""))
        try:
            return await self._desk.read(lambda it: find_webhook(it, name, visit.identity.tenant_id))
        except NotFound:
            raise not_found(f"There is no webhook {name[:64]}. It may have been removed.") from None

    async def _is_saved(self, visit: Visit, webhook: Webhook, form: Form, values: dict[str, Any]) -> bool:
        def do(change: WebhooksChange) -> None:
            now = _texts(visit, change.webhook(webhook.id))
            if form.is_behind(now):
                form.meet(now)
                raise _NotFirst
            change.set(
                webhook.id,
                url=values["url"],
                enabled=values["enabled"],
                **self._allowed(),
            )

        try:
            await self._change(visit, do)
        except _NotFirst:
            return False
        except InvalidValue as wrong:
            form.refuse_for(wrong)
            return False
        return True

    async def _change(self, visit: Visit, do: Callable[[WebhooksChange], Any]) -> Any:
        def change() -> Any:
            identity = visit.identity
            with changing(self._desk.store, identity.actor, within=identity.tenant_id) as made:
                return do(made)

        return await self._desk.run(change)

    def _allowed(self) -> dict[str, bool]:
        """Where a webhook may go, as the settings have it."""
        return {"http_allowed": self._desk.webhook_http, "private_allowed": self._desk.webhook_private}

    def _fields(self, visit: Visit, webhook: Webhook | None) -> tuple[Field, ...]:
        http_allowed = self._desk.webhook_http

        def read(text: str) -> str:
            check_url(text, http_allowed=http_allowed)
            return text

        url = Field(
            name="url",
            label="URL",
            help="https://example.com/alerts: alerts are posted there.",
            read=read,
        )
        if webhook is not None:
            enabled = Field(
                name="enabled",
                label="Enabled",
                kind=Kind.MARK,
                help="When it is not: nothing is sent to it, and what waits for it is given up.",
            )
            return (url, Field(name="tenant", label="Alerts of", kind=Kind.FIXED), enabled)
        if visit.identity.tenant_id is not None:
            return (url, Field(name="tenant", label="Alerts of", kind=Kind.FIXED))
        tenants = (Option(value=it.name, label=it.name) for it in visit.tenants)
        every = Option(value=ALL_TENANTS, label="all tenants")
        return (url, Field(name="tenant", label="Alerts of", kind=Kind.CHOICE, options=(every, *tenants)))

    def _form_page(self, request: Request, visit: Visit, webhook: Webhook | None, form: Form) -> Response:
        name = webhook.id if webhook else None
        return form_page(
            request,
            visit,
            Around(_TAB),
            form,
            headline=f"Webhook {name}" if name else "A new webhook",
            save="Save" if name else "Add this webhook",
            back=link(visit, _PATH),
            removal=link(visit, f"{_PATH}/remove", name=name) if name else None,
            template="setup/webhook.html",
            webhook=webhook,
        )

    async def _secret_page(self, request: Request, visit: Visit, webhook: Webhook, what: str) -> Response:
        def spell() -> str:
            pepper = read_keyring(self._desk.keyring_path).pepper
            return WebhookSecrets(pepper).spelt(webhook.id, webhook.secret_number)

        return secret_page(
            request,
            visit,
            _TAB,
            f"The secret of webhook {webhook.id}",
            secret=await self._desk.run(spell),
            label="Webhook secret",
            what=f"{what} Whoever has it can sign messages in Licet's name.",
            is_once=False,
            back=link(visit, f"{_PATH}/edit", name=webhook.id),
        )


def _row(webhook: Webhook, tenants: dict[int, str]) -> Sequence[Cell]:
    of = (
        "all tenants" if webhook.tenant_id is None else tenants.get(webhook.tenant_id, "a tenant that is new")
    )
    state = state_of(is_on=webhook.enabled)
    if webhook.disabled_why:
        state = Cell(f"disabled: {webhook.disabled_why}", state="warn")
    return (Cell(webhook.place), Cell(of), state)


def _texts(visit: Visit, webhook: Webhook | None) -> Texts:
    tenants = {it.id: it.name for it in visit.tenants}
    if webhook is None:
        own = visit.identity.tenant_id
        return {"url": ("",), "tenant": (ALL_TENANTS if own is None else tenants.get(own, ""),)}
    of = "all tenants" if webhook.tenant_id is None else tenants.get(webhook.tenant_id, "")
    return {"url": (webhook.url,), "tenant": (of,), "enabled": YES if webhook.enabled else ()}
