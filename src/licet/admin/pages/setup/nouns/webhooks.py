"""Describes the pages of webhooks: where alerts are sent, and the secret that signs them.

A URL may have a secret in it: only owners see what follows its host.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from msgspec.structs import replace

from licet.admin.pages.forms import Field, Kind, Texts
from licet.admin.pages.setup.cells import Cell, state_of
from licet.admin.pages.setup.noun import Secret
from licet.admin.pages.setup.owners import OfAll
from licet.admin.pages.setup.settings import NO, YES
from licet.alerts.destinations import check_url
from licet.alerts.webhooks import Webhook, WebhooksChange, changing, webhooks
from licet.credentials.keyring import read_keyring
from licet.credentials.webhook_signatures import WebhookSecrets
from licet.model import Role

_URL = Field(name="url", label="URL", help="https://example.com/alerts: alerts are posted there.")
_ENABLED = Field(
    name="enabled",
    label="Enabled",
    kind=Kind.MARK,
    help="When it is not: nothing is sent to it, and what waits for it is given up.",
)


class Webhooks(OfAll[Webhook]):
    """Where alerts are sent."""

    path, word, plural = "webhooks", "webhook", "webhooks"
    sees_one = Role.OWNER
    about = "Where alerts are sent, as signed messages of Standard Webhooks."
    empty = "No webhook yet: alerts are seen on the Alerts page only. Add the first one"
    command = "licet webhook add https://example.com/alerts"
    columns = ("Sent to", "Alerts of", "State")
    template = "setup/webhook.html"
    after = "Alerts go on being raised, and are seen on the Alerts page."
    tenant_label = "Alerts of"

    def parts(self) -> Mapping[str, Webhook]:
        """All webhooks by id."""
        return {
            hook.id: hook
            for hook in self.context.read_now(lambda connection: webhooks(connection, self.within))
        }

    def row(self, part: Webhook) -> Sequence[Cell]:
        """Where it goes to, whose alerts, state."""
        state = state_of(is_on=part.enabled)
        if part.disabled_why:
            state = Cell(f"disabled: {part.disabled_why}", state="warn")
        return Cell(part.place), Cell(self.tenant_name(part.tenant_id)), state

    def sought(self, name: str, part: Webhook) -> str:
        """Its id, and where it goes to."""
        return f"{name} {part.place}"

    def fields(self, part: Webhook | None) -> tuple[Field, ...]:
        """URL, tenant, state."""

        def read(text: str) -> str:
            check_url(text, http_allowed=self.context.webhook_http)
            return text

        url = replace(_URL, read=read)
        return (url, self.tenant_field(is_fixed=True), _ENABLED) if part else (url, self.tenant_field())

    def texts(self, part: Webhook | None) -> Texts:
        """A webhook's values."""
        if part is None:
            return {"url": ("",), "tenant": self.tenant_text(self.within)}
        tenant = self.tenant_name(part.tenant_id)
        return {"url": (part.url,), "tenant": (tenant,), "enabled": YES if part.enabled else NO}

    def changing(self) -> AbstractContextManager[WebhooksChange]:
        """A transaction in which webhooks are changed."""
        return changing(self.context.store, self.visit.identity.actor, within=self.within)

    def current(self, change: WebhooksChange, name: str) -> Webhook:
        """One as it is now."""
        return change.webhook(name)

    def add(self, change: WebhooksChange, values: dict[str, Any]) -> None:
        """A new webhook, with its secret."""
        tenant_id = self.tenant_id(values)
        values["webhook"] = change.add(values["url"], tenant_id=tenant_id, **self._allowed())

    def set(self, change: WebhooksChange, name: str, values: dict[str, Any]) -> None:
        """Change a webhook."""
        change.set(name, url=values["url"], enabled=values["enabled"], **self._allowed())

    def remove(self, change: WebhooksChange, name: str) -> None:
        """Remove a webhook."""
        change.remove(name)

    def _allowed(self) -> dict[str, bool]:
        """Where a webhook may go, as the settings have it."""
        return {"http_allowed": self.context.webhook_http, "private_allowed": self.context.webhook_private}

    def secret(self, values: Mapping[str, Any]) -> Secret:
        """Its secret, which is made again each time: none is kept."""
        return self.secret_of(values["webhook"])

    def secret_of(self, webhook: Webhook, about: str = "Its receiver checks messages with it.") -> Secret:
        """What shows the secret of a webhook."""
        secrets = WebhookSecrets(read_keyring(self.context.keyring_path).pepper)
        return Secret(
            f"The secret of webhook {webhook.id}",
            secrets.spelt(webhook.id, webhook.secret_number),
            "Webhook secret",
            f"{about} Whoever has it can sign messages in Licet's name.",
            self.link_to("edit", webhook.id),
            is_once=False,
        )

    def question(self, name: str, part: Webhook) -> str:
        """With where it goes to."""
        return f"Remove webhook {name}, which goes to {part.place}?"

    def goes(self, _: Webhook) -> Sequence[str]:
        """Its messages."""
        return ("what was sent to it, and what is still to be sent",)
