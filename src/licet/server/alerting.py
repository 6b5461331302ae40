"""Builds the alert sender of a server from its settings: webhooks and the mail server."""

from licet.alerts.destinations import MailServer
from licet.alerts.sender import Alerting
from licet.credentials.webhook_signatures import WebhookSecrets
from licet.server.parts import Parts
from licet.settings.model import Settings


def alerting_of(parts: Parts) -> Alerting:
    """The part that evaluates and sends the alerts of this server."""
    settings = parts.settings
    return Alerting(
        store=parts.store,
        secrets=WebhookSecrets(parts.keys.pepper),
        refused=settings.webhook_refused,
        http_allowed=settings.webhook_http,
        private_allowed=settings.webhook_private,
        mail_server=_mail_server(settings),
        user_agent=f"Licet/{parts.version}",
        log=parts.log,
    )


def _mail_server(settings: Settings) -> MailServer | None:
    if not settings.alert_mail_to:
        return None
    return MailServer(
        host=settings.smtp_host,
        port=settings.smtp_port,
        security=settings.smtp_security,
        user=settings.smtp_user,
        password_file=settings.smtp_password_file,
        sender=settings.smtp_from,
        receivers=settings.alert_mail_to,
    )
