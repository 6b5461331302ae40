"""Serves the pages that resume a client, show or rotate a webhook's secret, or test a webhook."""

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from licet.admin.context import AdminContext
from licet.admin.pages.frame import link, posting, see
from licet.admin.pages.setup.error_links import ROOT
from licet.admin.pages.setup.frame import question_page, secret_page
from licet.admin.pages.setup.noun_pages import NounPages
from licet.admin.pages.setup.nouns.clients import Clients
from licet.admin.pages.setup.nouns.webhooks import Webhooks
from licet.alerts.webhooks import WebhooksChange
from licet.model import Role
from licet.store.errors import SetupError


class ClientPages(NounPages[Clients]):
    """The pages of clients, with the one to resume a suspended client."""

    def __init__(self, context: AdminContext) -> None:
        super().__init__(context, Clients)
        self._operated = posting(context, Role.OPERATOR)

    def add_to(self, routes: APIRouter) -> None:
        """And `resume`."""
        super().add_to(routes)
        path = f"{ROOT}/clients/resume"
        routes.add_api_route(path, self.show_resumed, methods=["GET"])
        routes.add_api_route(path, self.resume, methods=["POST"])

    async def show_resumed(self, request: Request) -> Response:
        """Show the client, after a sign-in that had expired when it was to be resumed."""
        clients = await Clients.seen(self.context, request, await self._sees_one(request))
        return RedirectResponse(clients.link_to("edit", request.query_params.get("name", "")), 303)

    async def resume(self, request: Request) -> Response:
        """Resume a suspended client."""
        visit = (await self._operated(request)).visit
        clients = await Clients.seen(self.context, request, visit)
        name, tenant = request.query_params.get("name", ""), clients.tenant.name
        await self.context.change(visit.identity, lambda change: change.tenant(tenant).suspend(name, None))
        return see(request, clients.link_to("edit", name), f"Client {name} is no longer suspended.")


class WebhookPages(NounPages[Webhooks]):
    """The pages of webhooks: their secrets are shown and rotated, and a test message is sent."""

    def __init__(self, context: AdminContext) -> None:
        super().__init__(context, Webhooks)

    def add_to(self, routes: APIRouter) -> None:
        """And `secret`, `rotate` and `test`."""
        super().add_to(routes)
        for action, method, page in (
            ("secret", "GET", self.show_secret),
            ("rotate", "GET", self.show_rotation),
            ("rotate", "POST", self.take_rotation),
            ("test", "GET", self.show),  # after a sign-in that had expired
            ("test", "POST", self.take_test),
        ):
            routes.add_api_route(f"{ROOT}/webhooks/{action}", page, methods=[method])

    async def show_secret(self, request: Request) -> Response:
        """The secret of one."""
        hooks, _, webhook = await self._one(request, await self._sees_one(request))
        return secret_page(request, hooks, await self.context.run(hooks.secret_of, webhook))

    async def show_rotation(self, request: Request) -> Response:
        """What a new secret means."""
        hooks, name, _ = await self._one(request, await self._sees_one(request))
        return question_page(
            request,
            hooks,
            f"Give webhook {name} a new secret?",
            after="The old one signs too for 24 hours, so that the receiver has time to take the new one.",
            button="Generate a new secret",
            back=hooks.link_to("edit", name),
        )

    async def take_rotation(self, request: Request) -> Response:
        """Rotate, and show the new one."""
        hooks, name, _ = await self._one(request, (await self._owned(request)).visit)
        rotated = await self.context.run(self._change, hooks, lambda change: change.rotate(name))
        about = "For 24 hours the old one signs too."
        return secret_page(request, hooks, await self.context.run(hooks.secret_of, rotated, about))

    async def take_test(self, request: Request) -> Response:
        """Send a test message."""
        hooks, name, _ = await self._one(request, (await self._owned(request)).visit)
        try:
            await self.context.run(self._change, hooks, lambda change: change.test(name))
        except SetupError:
            return see(request, hooks.link_to("edit", name), "It is disabled: enable it first.")
        return see(request, link(hooks.visit, "/alerts"), "A test message is on its way; its state is below.")

    @staticmethod
    def _change(hooks: Webhooks, do: Callable[[WebhooksChange], Any]) -> Any:
        with hooks.changing() as change:
            return do(change)
