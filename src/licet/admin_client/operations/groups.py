"""Groups: users and clients that the options of pools can name together.

Made by `docs/make_admin_client.py`; edit that instead.
"""

from collections.abc import Sequence

from licet.admin_client.answers.nouns import Group
from licet.admin_client.caller import Caller, Items
from licet.admin_client.decoding import UNSET, Unset


class GroupsCalls(Caller):
    """Users and clients that the options of pools can name together."""

    def list_groups(
        self, tenant: str, *, limit: int | None = None, cursor: str | None = None
    ) -> Items[Group]:
        """The groups of a tenant.

        It needs the role viewer.
        """
        return self._list(("tenants", tenant, "groups"), Group, {"limit": limit, "cursor": cursor})

    def add_group(
        self,
        tenant: str,
        *,
        name: str,
        users: Sequence[str] | Unset = UNSET,
        clients: Sequence[str] | Unset = UNSET,
    ) -> Group:
        """Add a group.

        It needs the role owner.
        """
        return self._ask(
            "POST",
            ("tenants", tenant, "groups"),
            Group,
            body={"name": name, "users": users, "clients": clients},
        )

    def get_group(self, tenant: str, group: str) -> Group:
        """A group.

        It needs the role viewer.
        """
        return self._ask("GET", ("tenants", tenant, "groups", group), Group)

    def change_group(
        self,
        tenant: str,
        group: str,
        *,
        if_match: str,
        users: Sequence[str] | Unset = UNSET,
        clients: Sequence[str] | Unset = UNSET,
        may_end: int | None = None,
    ) -> Group:
        """Change its members.

        Seats in use are kept. It needs the role owner.
        """
        return self._ask(
            "PATCH",
            ("tenants", tenant, "groups", group),
            Group,
            query={"may_end": may_end},
            body={"users": users, "clients": clients},
            if_match=if_match,
        )

    def remove_group(self, tenant: str, group: str, *, if_match: str, may_end: int | None = None) -> None:
        """Remove it, if no rule of a pool names it.

        It needs the role owner.
        """
        self._ask(
            "DELETE",
            ("tenants", tenant, "groups", group),
            None,
            query={"may_end": may_end},
            if_match=if_match,
        )
