"""Users: persons and services.

Made by `docs/make_admin_client.py`; edit that instead.
"""

from licet.admin_client.answers.nouns import NewUser, User
from licet.admin_client.caller import Caller, Items
from licet.admin_client.decoding import UNSET, Unset


class UsersCalls(Caller):
    """Persons and services."""

    def list_users(
        self,
        tenant: str,
        *,
        matching: str | None = None,
        enabled: bool | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Items[User]:
        """The users of a tenant.

        It needs the role viewer.
        """
        return self._list(
            ("tenants", tenant, "users"),
            User,
            {"matching": matching, "enabled": enabled, "limit": limit, "cursor": cursor},
        )

    def add_user(
        self,
        tenant: str,
        *,
        initials: str,
        name: str | Unset | None = UNSET,
        password: str | Unset | None = UNSET,
        enabled: bool | Unset = UNSET,
        cost_centre: str | Unset | None = UNSET,
    ) -> NewUser:
        """Add a user.

        It needs the role owner.
        """
        return self._ask(
            "POST",
            ("tenants", tenant, "users"),
            NewUser,
            body={
                "initials": initials,
                "name": name,
                "password": password,
                "enabled": enabled,
                "cost_centre": cost_centre,
            },
        )

    def get_user(self, tenant: str, initials: str) -> User:
        """A user.

        It needs the role viewer.
        """
        return self._ask("GET", ("tenants", tenant, "users", initials), User)

    def change_user(
        self,
        tenant: str,
        initials: str,
        *,
        if_match: str,
        name: str | Unset = UNSET,
        password: str | Unset | None = UNSET,
        enabled: bool | Unset = UNSET,
        cost_centre: str | Unset | None = UNSET,
        may_end: int | None = None,
    ) -> User:
        """Change it; disabling it ends the sessions of its clients.

        It needs the role owner.
        """
        return self._ask(
            "PATCH",
            ("tenants", tenant, "users", initials),
            User,
            query={"may_end": may_end},
            body={"name": name, "password": password, "enabled": enabled, "cost_centre": cost_centre},
            if_match=if_match,
        )

    def remove_user(self, tenant: str, initials: str, *, if_match: str, may_end: int | None = None) -> None:
        """Remove it, if it has no clients.

        It needs the role owner.
        """
        self._ask(
            "DELETE",
            ("tenants", tenant, "users", initials),
            None,
            query={"may_end": may_end},
            if_match=if_match,
        )
