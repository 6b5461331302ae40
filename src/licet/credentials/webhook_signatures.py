"""Signs messages to webhooks as Standard Webhooks says: HMAC-SHA-256 under a secret of each webhook.

A webhook's secret is derived from the installation's pepper, the webhook's id and a number that grows with
each rotation. So none is stored, a stolen database signs nothing, and it can be shown again on demand.
"""

import hmac
import secrets
from base64 import b64encode
from hashlib import sha256

SECRET_PREFIX = "whsec_"  # noqa: S105 - what the specification marks a secret with; no secret
_VERSION = "v1"
_WEBHOOK_ID_BYTES = 6
_MESSAGE_ID_BYTES = 16


class WebhookSecrets:
    """Makes the secrets of webhooks from the installation's pepper."""

    def __init__(self, pepper: bytes) -> None:
        self._keyed = hmac.new(pepper, b"webhook\0", sha256)

    def key(self, webhook_id: str, number: int) -> bytes:
        """The secret of this number: 256 bits."""
        keyed = self._keyed.copy()
        keyed.update(f"{webhook_id}\0{number}".encode())
        return keyed.digest()

    def spelt(self, webhook_id: str, number: int) -> str:
        """The secret as it is shown to a receiver."""
        return SECRET_PREFIX + b64encode(self.key(webhook_id, number)).decode()


def sign(key: bytes, message_id: str, timestamp_s: int, body: bytes) -> str:
    """One signature, as it is in the header `webhook-signature`."""
    digest = hmac.digest(key, f"{message_id}.{timestamp_s}.".encode() + body, sha256)
    return f"{_VERSION},{b64encode(digest).decode()}"


def new_webhook_id() -> str:
    """A name for a webhook that no other has; no secret."""
    return f"wh_{secrets.token_hex(_WEBHOOK_ID_BYTES)}"


def new_message_id() -> str:
    """A name for a message that no other has. It has no full stop, which separates the signed parts."""
    return f"msg_{secrets.token_hex(_MESSAGE_ID_BYTES)}"
