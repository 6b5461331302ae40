"""Adds, rotates and removes the secrets and the public keys by which a client authenticates.

The rules:

- Existing secrets and keys go on working, except those that are removed or rotated.
- Only the hash of a secret is stored, and an event has only its id.
- The number of each that a client may have is bounded.
"""

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace
from sqlalchemy import insert

from licet.credentials.generated import NewClientSecret
from licet.formats import duration, instant
from licet.model import Client, ClientSecret, InvalidValue, PublicKey, Value, out_of_range
from licet.refusal import Code
from licet.setup.parts.tenant_rows import TenantRows
from licet.setup.validation import check_keys, must_be_visible
from licet.store import schema
from licet.store.errors import AlreadyThere, StillInUse

OVERLAP_S_MAX = 31 * 86_400  # a guess: a rotation should not take longer
SECRETS_MAX = 16  # a guess: two overlap in a rotation, and a few deployments rotate on their own


class ClientCredentials(TenantRows):
    """The secrets and keys of the clients of a tenant, within a change of the set-up."""

    # Client secrets

    def add_secret(self, client_id: str, secret: NewClientSecret, expires_at_ms: int | None = None) -> bool:
        """Add a generated secret to a client; its other secrets, and its password, go on working."""
        client = self._find("client", client_id, self.clients)
        return self._add_secret(client, secret, expires_at_ms, field="expires")

    def _add_secret(
        self, client: Client, secret: NewClientSecret, expires_at_ms: int | None, *, field: str
    ) -> bool:
        client_id, now_ms = client.client_id, self._work.transaction.now_ms
        about = self._subject("secret", "", client_id)
        if expires_at_ms is not None and expires_at_ms <= now_ms:
            text = f"a new secret expires later than now; this is over: {instant(expires_at_ms)}"
            raise InvalidValue(text, code=Code.IN_THE_PAST, field=field, subject=about)
        if len(client.secrets) >= SECRETS_MAX:
            text = f"client {client_id} has {SECRETS_MAX} secrets; remove one first"
            raise StillInUse(text, code=Code.TOO_MANY, subject=about, limit=SECRETS_MAX)
        kept = ClientSecret(
            secret_id=secret.secret_id,
            hash=secret.hash,
            created_at_ms=now_ms,
            expires_at_ms=expires_at_ms,
            last_used_at_ms=None,
        )
        self._connection.execute(
            insert(schema.client_secret).values(
                tenant_id=self.tenant.id, client_key=client.key, **_fields(kept)
            )
        )
        self.clients[client_id] = replace(client, secrets=(*client.secrets, kept))
        detail = f"{kept.secret_id}, expires {instant(expires_at_ms)}"
        return self._recorded("add secret", "client", client_id, detail)

    def remove_secret(self, client_id: str, secret_id: str) -> bool:
        """Remove a secret; sessions that it began stay active until their next refresh."""
        client = self._find("client", client_id, self.clients)
        kept = {secret.secret_id: secret for secret in client.secrets}
        self._find("secret", secret_id, kept, client=client_id)
        self._delete(schema.client_secret, {"secret_id": secret_id})
        others = tuple(secret for secret in client.secrets if secret.secret_id != secret_id)
        self.clients[client_id] = replace(client, secrets=others)
        return self._recorded("remove secret", "client", client_id, secret_id)

    def rotate_secret(
        self, client_id: str, secret: NewClientSecret, overlap_s: int, expires_at_ms: int | None = None
    ) -> bool:
        """Add a secret that replaces all others, which work on for this time, but no longer than before.

        Expired secrets are removed.
        """
        client = self._find("client", client_id, self.clients)
        if not 0 <= overlap_s <= OVERLAP_S_MAX:
            text = f"an overlap is 0 s to 31d; this is not: {duration(overlap_s)}"
            raise out_of_range(
                text, "overlap", overlap_s, 0, OVERLAP_S_MAX, self._subject("client", client_id)
            )
        now_ms = self._work.transaction.now_ms
        until_ms = now_ms + overlap_s * 1000
        kept = []
        for old in client.secrets:
            if old.expires_at_ms is not None and old.expires_at_ms <= now_ms:
                self._delete(schema.client_secret, {"secret_id": old.secret_id})
                continue
            if old.expires_at_ms is None or old.expires_at_ms > until_ms:
                self._update(schema.client_secret, {"secret_id": old.secret_id}, {"expires_at_ms": until_ms})
            kept.append(replace(old, expires_at_ms=min(until_ms, old.expires_at_ms or until_ms)))
        self.clients[client_id] = replace(client, secrets=tuple(kept))
        detail = f"{len(kept)} other{'' if len(kept) == 1 else 's'} until {instant(until_ms)} at most"
        self._recorded("rotate secret", "client", client_id, detail)
        return self.add_secret(client_id, secret, expires_at_ms)

    # Public keys of clients

    def add_key(self, client_id: str, key: PublicKey, expires_at_ms: int | None = None) -> bool:
        """Add a public key to a client; its other credentials go on working."""
        client = self._find("client", client_id, self.clients)
        now_ms = self._work.transaction.now_ms
        if expires_at_ms is not None and expires_at_ms <= now_ms:
            text = f"a new key expires later than now; this is over: {instant(expires_at_ms)}"
            about = self._subject("key", "", client_id)
            raise InvalidValue(text, code=Code.IN_THE_PAST, field="expires", subject=about)
        made = replace(key, created_at_ms=now_ms, expires_at_ms=expires_at_ms, last_used_at_ms=None)
        if any(it.thumbprint == made.thumbprint for it in client.keys):
            text = f"client {client_id} has this key already: {made.thumbprint}"
            about = self._subject("key", made.thumbprint, client_id)
            raise AlreadyThere(text, code=Code.ALREADY_THERE, field="key", subject=about)
        must_be_visible("kid", made.kid or "")
        check_keys(client_id, (*client.keys, made))
        self._insert_key(client, made)
        self.clients[client_id] = replace(client, keys=(*client.keys, made))
        detail = f"{made.thumbprint}, expires {instant(expires_at_ms)}"
        return self._recorded("add key", "client", client_id, detail)

    def remove_key(self, client_id: str, name: str) -> bool:
        """Remove a key, by thumbprint or kid; sessions that it began stay active until their next refresh."""
        client = self._find("client", client_id, self.clients)
        known = {name: key for key in client.keys for name in (key.thumbprint, key.kid) if name is not None}
        key = self._find("key", name, known, client=client_id)
        self._delete(schema.public_key, {"client_key": client.key, "thumbprint": key.thumbprint})
        others = tuple(it for it in client.keys if it.thumbprint != key.thumbprint)
        self.clients[client_id] = replace(client, keys=others)
        return self._recorded("remove key", "client", client_id, key.thumbprint)

    def _dated(self, keys: Sequence[PublicKey], before: Sequence[PublicKey]) -> tuple[PublicKey, ...]:
        """These keys with the dates of existing ones; new ones are dated now."""
        there = {key.thumbprint: key for key in before}
        kids = {key.kid for key in before}
        for key in keys:
            if key.kid not in kids:
                must_be_visible("kid", key.kid or "")
        now_ms = self._work.transaction.now_ms
        return tuple(
            replace(key, created_at_ms=known.created_at_ms, last_used_at_ms=known.last_used_at_ms)
            if (known := there.get(key.thumbprint)) is not None
            else replace(key, created_at_ms=now_ms, last_used_at_ms=None)
            for key in keys
        )

    def _write_keys(self, client: Client) -> None:
        check_keys(client.client_id, client.keys)
        self._delete(schema.public_key, {"client_key": client.key})
        for key in client.keys:
            self._insert_key(client, key)

    def _insert_key(self, client: Client, key: PublicKey) -> None:
        row = {"tenant_id": self.tenant.id, "client_key": client.key, **_fields(key)}
        self._connection.execute(insert(schema.public_key).values(row))


def _fields(value: Value) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__struct_fields__}
