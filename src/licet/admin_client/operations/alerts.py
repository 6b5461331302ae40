"""Alerts: webhooks, and their messages.

Made by `docs/make_admin_client.py`; edit that instead.
"""

from collections.abc import Sequence

from licet.admin_client.answers.reports import Delivery, Queued, Raised, Webhook, WebhookSecret
from licet.admin_client.caller import Caller, Items
from licet.admin_client.decoding import UNSET, Unset
from licet.admin_client.words import State


class AlertsCalls(Caller):
    """Webhooks, and their messages."""

    def list_alerts(self, *, limit: int | None = None, cursor: str | None = None) -> Items[Raised]:
        """The alerts that are raised now, the newest first.

        It needs the role viewer.
        """
        return self._list(("alerts",), Raised, {"limit": limit, "cursor": cursor})

    def list_webhooks(self, *, limit: int | None = None, cursor: str | None = None) -> Items[Webhook]:
        """The webhooks.

        It needs the role viewer.
        """
        return self._list(("webhooks",), Webhook, {"limit": limit, "cursor": cursor})

    def add_webhook(self, *, url: str, tenant: str | Unset | None = UNSET) -> Webhook:
        """Add a webhook.

        It needs the role owner.
        """
        return self._ask("POST", ("webhooks",), Webhook, body={"url": url, "tenant": tenant})

    def get_webhook(self, webhook: str) -> Webhook:
        """A webhook.

        It needs the role viewer.
        """
        return self._ask("GET", ("webhooks", webhook), Webhook)

    def change_webhook(
        self, webhook: str, *, if_match: str, url: str | Unset = UNSET, enabled: bool | Unset = UNSET
    ) -> Webhook:
        """Change it; disabling it gives up its waiting messages.

        It needs the role owner.
        """
        return self._ask(
            "PATCH", ("webhooks", webhook), Webhook, body={"url": url, "enabled": enabled}, if_match=if_match
        )

    def remove_webhook(self, webhook: str, *, if_match: str) -> None:
        """Remove it and its messages.

        It needs the role owner.
        """
        self._ask("DELETE", ("webhooks", webhook), None, if_match=if_match)

    def get_webhook_secret(self, webhook: str) -> WebhookSecret:
        """The secret that its messages are signed with.

        It needs the role owner.
        """
        return self._ask("GET", ("webhooks", webhook, "secret"), WebhookSecret)

    def rotate_webhook_secret(self, webhook: str) -> WebhookSecret:
        """Give it a new secret; the previous one also signs for a day.

        It needs the role owner.
        """
        return self._ask("POST", ("webhooks", webhook, "rotate"), WebhookSecret)

    def test_webhook(self, webhook: str) -> Queued:
        """Send it a test message, once.

        It needs the role owner.
        """
        return self._ask("POST", ("webhooks", webhook, "test"), Queued)

    def list_deliveries(
        self,
        *,
        webhook: str | None = None,
        state: State | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Items[Delivery]:
        """The messages that were sent, are waiting or were given up, newest first.

        It needs the role viewer.
        """
        return self._list(
            ("deliveries",), Delivery, {"webhook": webhook, "state": state, "limit": limit, "cursor": cursor}
        )

    def send_deliveries_again(self, *, messages: Sequence[str]) -> Queued:
        """Send messages again, with the same ids, except waiting ones and those for disabled webhooks.

        It needs the role operator.
        """
        return self._ask("POST", ("deliveries", "send-again"), Queued, body={"messages": messages})
