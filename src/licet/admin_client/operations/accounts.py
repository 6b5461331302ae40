"""Accounts: administrators and API keys.

Made by `docs/make_admin_client.py`; edit that instead.
"""

from datetime import date

from licet.admin_client.answers.nouns import Administrator, ApiKey, Me, NewApiKey
from licet.admin_client.caller import Caller, Items
from licet.admin_client.decoding import UNSET, Unset
from licet.admin_client.words import Role


class AccountsCalls(Caller):
    """Administrators and API keys."""

    def get_me(self) -> Me:
        """The caller, and its permissions.

        It needs the role viewer.
        """
        return self._ask("GET", ("me",), Me)

    def list_admins(self, *, limit: int | None = None, cursor: str | None = None) -> Items[Administrator]:
        """The administrators.

        It needs the role owner.
        """
        return self._list(("admins",), Administrator, {"limit": limit, "cursor": cursor})

    def add_admin(
        self,
        *,
        name: str,
        password: str,
        role: Role | Unset = UNSET,
        tenant: str | Unset | None = UNSET,
        enabled: bool | Unset = UNSET,
    ) -> Administrator:
        """Add an administrator.

        It needs the role owner.
        """
        return self._ask(
            "POST",
            ("admins",),
            Administrator,
            body={"name": name, "password": password, "role": role, "tenant": tenant, "enabled": enabled},
        )

    def get_admin(self, name: str) -> Administrator:
        """An administrator.

        It needs the role owner.
        """
        return self._ask("GET", ("admins", name), Administrator)

    def change_admin(
        self,
        name: str,
        *,
        if_match: str,
        password: str | Unset = UNSET,
        role: Role | Unset = UNSET,
        tenant: str | Unset | None = UNSET,
        enabled: bool | Unset = UNSET,
    ) -> Administrator:
        """Change it; with fewer permissions than before, it has to sign in again.

        It needs the role owner.
        """
        return self._ask(
            "PATCH",
            ("admins", name),
            Administrator,
            body={"password": password, "role": role, "tenant": tenant, "enabled": enabled},
            if_match=if_match,
        )

    def remove_admin(self, name: str, *, if_match: str) -> None:
        """Remove it, except the last owner of all tenants.

        It needs the role owner.
        """
        self._ask("DELETE", ("admins", name), None, if_match=if_match)

    def list_api_keys(self, *, limit: int | None = None, cursor: str | None = None) -> Items[ApiKey]:
        """The API keys.

        It needs the role owner.
        """
        return self._list(("api-keys",), ApiKey, {"limit": limit, "cursor": cursor})

    def add_api_key(
        self,
        *,
        name: str,
        role: Role | Unset = UNSET,
        tenant: str | Unset | None = UNSET,
        expires_at: date | str | Unset | None = UNSET,
    ) -> NewApiKey:
        """Generate an API key; it is shown once.

        It needs the role owner.
        """
        return self._ask(
            "POST",
            ("api-keys",),
            NewApiKey,
            body={"name": name, "role": role, "tenant": tenant, "expires_at": expires_at},
        )

    def get_api_key(self, name: str) -> ApiKey:
        """An API key.

        It needs the role owner.
        """
        return self._ask("GET", ("api-keys", name), ApiKey)

    def remove_api_key(self, name: str) -> None:
        """Remove it: it no longer works.

        It needs the role owner.
        """
        self._ask("DELETE", ("api-keys", name), None)
