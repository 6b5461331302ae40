"""Changes one tenant: itself, its users and clients; its other parts are in `parts/`.

The rules:

- A value is made before a row is written, so that the model itself refuses invalid ones.
- A change ends the sessions that it makes impossible, in the same transaction: those of a disabled client or
  user, of a scope that the client loses, of a scope with another pool, of a client with another user.
- Each change records an event: who, what, of which tenant, and what it was before. Never a secret.

`licet.setup.change` begins the transaction, and publishes the change at its end.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from msgspec.structs import replace
from sqlalchemy import insert

from licet.credentials.generated import NewClientSecret
from licet.formats import instant
from licet.model import SESSION_TTL_S, Client, EndReason, InvalidValue, Tenant, TokenFormat, User
from licet.refusal import Code, names_of
from licet.setup.end_sessions import (
    COOL_DOWN_S_MAX,
    SessionsEnded,
    check_ending,
    end_sessions,
    sessions_ended,
    sessions_of_clients,
    sessions_with_scope_beyond,
)
from licet.setup.holds import free
from licet.setup.noun import Settings
from licet.setup.nouns import described, differences
from licet.setup.parts.pools import BUILT_IN, TenantPools
from licet.setup.validation import check_texts, must_be_new, must_be_other_initials, must_be_visible
from licet.store import schema
from licet.store.setup_rows import columns_of


class TenantSetup(TenantPools):
    """A tenant as it is in this transaction. Methods that change it return whether anything changed."""

    def set(self, **changes: Any) -> bool:
        """Change the tenant itself. A shorter life of sessions counts from the next session on."""
        changes = with_access_ttl(changes, self.tenant)
        before, after = self.tenant, replace(self.tenant, **changes)
        self._find("scope", after.scope_default, self.scopes, field="default_scope")
        if after == before:
            return False
        self._update(schema.tenant, {"id": after.id}, columns_of(after, schema.tenant))
        self.tenant = after
        return self._recorded("set", "tenant", after.name, differences(before, after))

    # Users

    def add_user(self, initials: str, **settings: Any) -> bool:
        """Add a user; without a password hash no password works."""
        must_be_new("user", initials, self.users, self.tenant.name)
        must_be_other_initials(initials, self.users, self.tenant.name)
        user = User(
            initials=initials,
            name=settings.get("name", initials),
            password_hash=settings.get("password_hash"),
            enabled=settings.get("enabled", True),
            cost_centre=settings.get("cost_centre"),
        )
        check_texts(user)
        self._connection.execute(
            insert(schema.user).values(tenant_id=self.tenant.id, **columns_of(user, schema.user))
        )
        self.users[initials] = user
        return self._recorded("add", "user", initials, described(user))

    def set_user(self, initials: str, **changes: Any) -> bool:
        """Change a user. Disabled, it ends the sessions of its clients; a new password ends none."""
        before = self._find("user", initials, self.users)
        after = replace(before, **changes)
        if after == before:
            return False
        check_texts(after)
        if before.enabled and not after.enabled:
            keys = {client.key for client in self._clients_of(initials)}
            sids = sessions_of_clients(self._work.transaction, self.tenant.id, keys)
            self.end(sids, EndReason.DISABLED)
        self._update(
            schema.user, {"tenant_id": self.tenant.id, "initials": initials}, columns_of(after, schema.user)
        )
        self.users[initials] = after
        for client in self._clients_of(initials):
            self.clients[client.client_id] = replace(client, user=after)
        changed = [differences(before, after)]
        if after.password_hash != before.password_hash:
            changed.append("password taken away" if after.password_hash is None else "password changed")
        return self._recorded("set", "user", initials, ", ".join(filter(None, changed)))

    def remove_user(self, initials: str) -> bool:
        """Remove a user without clients."""
        user = self._find("user", initials, self.users)
        clients = [client.client_id for client in self._clients_of(initials)]
        if clients:
            text = f"user {initials} is the user of client {names_of(clients)}"
            raise self._in_use(
                f"{text}; remove it or give it another first", "user", initials, "client", clients
            )
        self._must_be_in_no_rule("user", initials)
        self._leave_groups(user=initials)
        self._delete(schema.user, {"tenant_id": self.tenant.id, "initials": initials})
        del self.users[initials]
        return self._recorded("remove", "user", initials, described(user))

    def _clients_of(self, initials: str) -> list[Client]:
        return [client for client in self.clients.values() if client.user.initials == initials]

    # Clients

    def add_client(
        self,
        client_id: str,
        secret: NewClientSecret | None = None,
        secret_expires_at_ms: int | None = None,
        **settings: Any,
    ) -> bool:
        """Add a client; `user` is required among its settings.

        With a generated secret, the user's password works for it only when its settings say so.
        """
        must_be_new("client", client_id, self.clients, self.tenant.name)
        must_be_visible("client_id", client_id)
        if secret is not None:
            settings.setdefault("password_allowed", False)
        client = Client(key=0, client_id=client_id, **self._client_values(settings))
        self._check_scopes(client)
        row = {"tenant_id": self.tenant.id} | columns_of(client, schema.client)
        statement = insert(schema.client).values(row).returning(schema.client.c.key)
        client = replace(client, key=self._connection.execute(statement).scalar_one())
        self.clients[client_id] = client = replace(client, keys=self._dated(client.keys, ()))
        self._write_keys(client)
        self._recorded("add", "client", client_id, described(client))
        if secret is not None:
            self._add_secret(client, secret, secret_expires_at_ms, field="secret_expires")
        return True

    def set_client(self, client_id: str, **changes: Any) -> bool:
        """Change a client, and end the sessions that it could no longer get."""
        before = self._find("client", client_id, self.clients)
        after = replace(before, **self._client_values(changes))
        after = replace(after, keys=self._dated(after.keys, before.keys))
        if after == before:
            return False
        self._check_scopes(after)
        self._end_what_is_lost(before, after)
        self._update(schema.client, {"key": after.key}, columns_of(after, schema.client))
        if after.keys != before.keys:
            self._write_keys(after)
        self.clients[client_id] = after
        return self._recorded("set", "client", client_id, differences(before, after))

    def remove_client(self, client_id: str) -> bool:
        """Remove a client with its secrets and sessions."""
        client = self._find("client", client_id, self.clients)
        self._must_be_in_no_rule("client", client_id)
        self._leave_groups(client=client_id)
        # Expired ones too: a row of `session` must not outlive its client.
        self._work.sweep()
        self.end(self._sessions_of(client), EndReason.REMOVED)
        self._delete(schema.client_secret, {"client_key": client.key})
        self._delete(schema.public_key, {"client_key": client.key})
        self._delete(schema.queue_place, {"client_key": client.key})
        self._delete(schema.client, {"key": client.key})
        del self.clients[client_id]
        return self._recorded("remove", "client", client_id, described(client))

    def suspend(self, client_id: str, until_ms: int | None) -> bool:
        """Suspend a client from seats until this instant, or resume it with None.

        Seats that it holds, it keeps and may renew. Raises NotFound, InvalidValue.
        """
        client = self._find("client", client_id, self.clients)
        now_ms = self._work.transaction.now_ms
        if until_ms == client.suspended_at(now_ms):
            return False
        if until_ms is not None and not now_ms < until_ms <= now_ms + COOL_DOWN_S_MAX * 1000:
            text = f"a cool-down ends later than now and within 24h; this does not: {instant(until_ms)}"
            about = self._subject("client", client_id)
            raise InvalidValue(text, code=Code.OUT_OF_RANGE, field="cool_down", subject=about)
        self._suspend(client, until_ms)
        detail = "may take a seat again" if until_ms is None else f"no seat until {instant(until_ms)}"
        return self._recorded("suspend" if until_ms is not None else "resume", "client", client_id, detail)

    def _suspend(self, client: Client, until_ms: int | None) -> None:
        self._update(schema.client, {"key": client.key}, {"barred_until_ms": until_ms})
        self.clients[client.client_id] = replace(client, suspended_until_ms=until_ms)
        self.is_changed = True

    def _client_values(self, settings: Settings) -> dict[str, Any]:
        values: dict[str, Any] = dict(settings)
        if "user" in settings:
            values["user"] = self._find("user", settings["user"], self.users, field="user")
        return values

    def _check_scopes(self, client: Client) -> None:
        for name in sorted(client.scopes or ()):
            self._find("scope", name, self.scopes, field="scopes")
        if not client.grant_types:
            text = f"client {client.client_id}: a client has at least one grant type"
            about = self._subject("client", client.client_id)
            raise InvalidValue(text, code=Code.MISSING, field="grant_types", subject=about)

    def _end_what_is_lost(self, before: Client, after: Client) -> None:
        transaction, tenant_id = self._work.transaction, self.tenant.id
        if before.enabled and not after.enabled:
            self.end(self._sessions_of(before), EndReason.DISABLED)
        elif before.user.initials != after.user.initials:
            self.end(self._sessions_of(before), EndReason.ADMINISTRATOR)
        elif after.scopes is not None:
            sids = sessions_with_scope_beyond(transaction, tenant_id, before.key, after.scopes)
            self.end(sids, EndReason.ADMINISTRATOR)

    def _sessions_of(self, client: Client) -> list[bytes]:
        return sessions_of_clients(self._work.transaction, self.tenant.id, {client.key})

    # Sessions

    def end_sessions(
        self,
        sids: Sequence[bytes],
        *,
        reason: str = "",
        cool_down_s: int = 0,
        on_ended: Callable[[int, int], None] = lambda *_: None,
    ) -> SessionsEnded:
        """End sessions for an administrator; their clients are suspended for `cool_down_s`.

        Each client has an event with the reason. `on_ended` is called with how many are done, and of how
        many. Raises InvalidValue.
        """
        reason = reason.strip()
        check_ending(reason, cool_down_s)
        transaction = self._work.transaction
        outcomes = end_sessions(transaction, self.tenant.id, sids, EndReason.ADMINISTRATOR, on_ended)
        ended = Counter(outcome.session.client_key for outcome in outcomes if outcome.session is not None)
        self._work.tally.end(self.tenant.name, self._by_client(ended))
        until_ms = transaction.now_ms + cool_down_s * 1000 if cool_down_s and ended else None
        clients = sorted(
            (client for client in self.clients.values() if client.key in ended),
            key=lambda client: client.client_id,
        )
        for client in clients:
            self._ended(client, ended[client.key], until_ms, reason)
        return sessions_ended(outcomes, tuple(client.client_id for client in clients), until_ms)

    def _ended(self, client: Client, sessions: int, until_ms: int | None, reason: str) -> None:
        parts = [f"{sessions} session{'' if sessions == 1 else 's'} ended"]
        if until_ms is not None:
            # A longer suspension from before stays.
            until_ms = max(until_ms, client.suspended_until_ms or 0)
            self._suspend(client, until_ms)
            parts.append(f"no seat until {instant(until_ms)}")
        detail = ", ".join(parts) + (f": {reason}" if reason else "")
        self._work.record(self.tenant.name, "end", f"client {client.client_id}", detail)

    def withhold_numbers(self, reason: str) -> dict[str, int]:
        """Give no seat of a signed pool until its hold has passed from now; until when, by pool.

        For a store that may have forgotten who has which number (L13): an API still knows its last holders.
        No session may be alive. Seats on hold come back, as another may have got their numbers since.
        """
        transaction, found = self._work.transaction, {}
        for pool in sorted(self.pools.values(), key=lambda pool: pool.name):
            if pool.signed is None:
                continue
            until_ms = transaction.now_ms + self.tenant.hold_s_of(pool) * 1000
            free(transaction, pool.id)
            self._update(schema.pool, {"id": pool.id}, {"numbers_from_ms": until_ms})
            self._recorded("hold", "pool", pool.name, f"no seat until {instant(until_ms)}: {reason}")
            found[pool.name] = until_ms
        return found

    # Common to all

    def check(self) -> None:
        """Return if the tenant is complete, and the options of its pools are possible.

        Raises InvalidValue, NotFound, StillInUse.
        """
        missing = {*BUILT_IN, self.tenant.scope_default} - self.scopes.keys()
        if missing:
            text = f"tenant {self.tenant.name} needs a scope {names_of(sorted(missing))}"
            about = self._subject("tenant", self.tenant.name)
            raise InvalidValue(text, code=Code.MISSING, field="scope", subject=about)
        self.check_pools()


def with_access_ttl(changes: Settings, before: Tenant | None) -> Settings:
    """The changes, with the default life of a new token format where they name none.

    `before` is None for a new tenant.
    """
    old = before.token_format if before else TokenFormat.REFERENCE
    new = changes.get("token_format", old)
    if new is old or "access_ttl_s" in changes:
        return changes
    session_ttl_s = changes.get("session_ttl_s", before.session_ttl_s if before else SESSION_TTL_S)
    return {**changes, "access_ttl_s": min(new.access_ttl_s, session_ttl_s)}
