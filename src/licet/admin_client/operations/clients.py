"""Clients: oAuth clients, their generated secrets and their public keys.

Made by `docs/make_admin_client.py`; edit that instead.
"""

from collections.abc import Sequence
from datetime import date

from licet.admin_client.answers.nouns import (
    Client,
    ClientKey,
    NewClient,
    NewSecret,
    RulesOfClient,
    Secret,
    Why,
)
from licet.admin_client.caller import Caller, Items
from licet.admin_client.decoding import UNSET, Unset
from licet.admin_client.words import GrantType


class ClientsCalls(Caller):
    """OAuth clients, their generated secrets and their public keys."""

    def list_clients(
        self,
        tenant: str,
        *,
        matching: str | None = None,
        user: str | None = None,
        enabled: bool | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Items[Client]:
        """The clients of a tenant.

        It needs the role viewer.
        """
        return self._list(
            ("tenants", tenant, "clients"),
            Client,
            {"matching": matching, "user": user, "enabled": enabled, "limit": limit, "cursor": cursor},
        )

    def add_client(
        self,
        tenant: str,
        *,
        client_id: str,
        user: str,
        password_allowed: bool | Unset | None = UNSET,
        generate_secret: bool | Unset = UNSET,
        secret_expires_at: date | str | Unset | None = UNSET,
        enabled: bool | Unset = UNSET,
        max_sessions: int | Unset = UNSET,
        scopes: Sequence[str] | Unset | None = UNSET,
        grant_types: Sequence[GrantType] | Unset = UNSET,
        introspects: bool | Unset = UNSET,
    ) -> NewClient:
        """Add a client; a generated secret is shown once.

        It needs the role owner.
        """
        return self._ask(
            "POST",
            ("tenants", tenant, "clients"),
            NewClient,
            body={
                "client_id": client_id,
                "user": user,
                "password_allowed": password_allowed,
                "generate_secret": generate_secret,
                "secret_expires_at": secret_expires_at,
                "enabled": enabled,
                "max_sessions": max_sessions,
                "scopes": scopes,
                "grant_types": grant_types,
                "introspects": introspects,
            },
        )

    def get_client(self, tenant: str, client_id: str) -> Client:
        """A client.

        It needs the role viewer.
        """
        return self._ask("GET", ("tenants", tenant, "clients", client_id), Client)

    def change_client(
        self,
        tenant: str,
        client_id: str,
        *,
        if_match: str,
        user: str | Unset = UNSET,
        enabled: bool | Unset = UNSET,
        max_sessions: int | Unset = UNSET,
        scopes: Sequence[str] | Unset | None = UNSET,
        grant_types: Sequence[GrantType] | Unset = UNSET,
        introspects: bool | Unset = UNSET,
        password_allowed: bool | Unset = UNSET,
        may_end: int | None = None,
    ) -> Client:
        """Change it; sessions that the new settings do not allow end.

        It needs the role owner.
        """
        return self._ask(
            "PATCH",
            ("tenants", tenant, "clients", client_id),
            Client,
            query={"may_end": may_end},
            body={
                "user": user,
                "enabled": enabled,
                "max_sessions": max_sessions,
                "scopes": scopes,
                "grant_types": grant_types,
                "introspects": introspects,
                "password_allowed": password_allowed,
            },
            if_match=if_match,
        )

    def remove_client(
        self, tenant: str, client_id: str, *, if_match: str, may_end: int | None = None
    ) -> None:
        """Remove it with its secrets; its sessions end.

        It needs the role owner.
        """
        self._ask(
            "DELETE",
            ("tenants", tenant, "clients", client_id),
            None,
            query={"may_end": may_end},
            if_match=if_match,
        )

    def explain_client(self, tenant: str, client_id: str, *, scope: str | None = None) -> Why:
        """Which answer it would get if it asked for a seat now, rule by rule.

        Nothing is taken or recorded. It needs the role viewer.
        """
        return self._ask("GET", ("tenants", tenant, "clients", client_id, "why"), Why, query={"scope": scope})

    def get_client_rules(self, tenant: str, client_id: str) -> RulesOfClient:
        """The rules of pools that apply to it, its user or its groups, regardless of the present seats.

        It needs the role viewer.
        """
        return self._ask("GET", ("tenants", tenant, "clients", client_id, "rules"), RulesOfClient)

    def suspend_client(self, tenant: str, client_id: str, *, cool_down_s: int) -> Client:
        """Suspend it: it gets no seat for a while, but keeps a seat that it has.

        It needs the role operator.
        """
        return self._ask(
            "PUT",
            ("tenants", tenant, "clients", client_id, "suspension"),
            Client,
            body={"cool_down_s": cool_down_s},
        )

    def resume_client(self, tenant: str, client_id: str) -> None:
        """Resume it: it can get seats again.

        It needs the role operator.
        """
        self._ask("DELETE", ("tenants", tenant, "clients", client_id, "suspension"), None)

    def list_secrets(
        self, tenant: str, client_id: str, *, limit: int | None = None, cursor: str | None = None
    ) -> Items[Secret]:
        """Its generated secrets, without the secrets themselves.

        It needs the role viewer.
        """
        return self._list(
            ("tenants", tenant, "clients", client_id, "secrets"), Secret, {"limit": limit, "cursor": cursor}
        )

    def add_secret(
        self, tenant: str, client_id: str, *, expires_at: date | str | Unset | None = UNSET
    ) -> NewSecret:
        """Generate one more; it is shown once, and the others still work.

        It needs the role owner.
        """
        return self._ask(
            "POST",
            ("tenants", tenant, "clients", client_id, "secrets"),
            NewSecret,
            body={"expires_at": expires_at},
        )

    def get_secret(self, tenant: str, client_id: str, secret_id: str) -> Secret:
        """One of its generated secrets, without the secret itself.

        It needs the role viewer.
        """
        return self._ask("GET", ("tenants", tenant, "clients", client_id, "secrets", secret_id), Secret)

    def remove_secret(self, tenant: str, client_id: str, secret_id: str) -> None:
        """Remove one; its sessions continue until they have to be renewed.

        It needs the role owner.
        """
        self._ask("DELETE", ("tenants", tenant, "clients", client_id, "secrets", secret_id), None)

    def rotate_secret(
        self,
        tenant: str,
        client_id: str,
        *,
        overlap_s: int | Unset = UNSET,
        expires_at: date | str | Unset | None = UNSET,
    ) -> NewSecret:
        """Generate a secret that replaces all others, which still work for a while; it is shown once.

        It needs the role owner.
        """
        return self._ask(
            "POST",
            ("tenants", tenant, "clients", client_id, "secrets", "rotate"),
            NewSecret,
            body={"overlap_s": overlap_s, "expires_at": expires_at},
        )

    def list_client_keys(
        self, tenant: str, client_id: str, *, limit: int | None = None, cursor: str | None = None
    ) -> Items[ClientKey]:
        """Its public keys.

        It needs the role viewer.
        """
        return self._list(
            ("tenants", tenant, "clients", client_id, "keys"), ClientKey, {"limit": limit, "cursor": cursor}
        )

    def add_client_key(
        self,
        tenant: str,
        client_id: str,
        *,
        key: str,
        kid: str | Unset | None = UNSET,
        expires_at: date | str | Unset | None = UNSET,
    ) -> ClientKey:
        """Add a public key with which it can authenticate (`private_key_jwt`, RFC 7523).

        It needs the role owner.
        """
        return self._ask(
            "POST",
            ("tenants", tenant, "clients", client_id, "keys"),
            ClientKey,
            body={"key": key, "kid": kid, "expires_at": expires_at},
        )

    def get_client_key(self, tenant: str, client_id: str, kid: str) -> ClientKey:
        """One of its keys, by its kid or its thumbprint.

        It needs the role viewer.
        """
        return self._ask("GET", ("tenants", tenant, "clients", client_id, "keys", kid), ClientKey)

    def remove_client_key(self, tenant: str, client_id: str, kid: str) -> None:
        """Remove one; its sessions continue until they have to be renewed.

        It needs the role owner.
        """
        self._ask("DELETE", ("tenants", tenant, "clients", client_id, "keys", kid), None)
