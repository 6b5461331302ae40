"""Changes the groups of one tenant, which the rules of its pools can name."""

from typing import Any, Literal

from sqlalchemy import insert

from licet.options import Group, all_rules_of
from licet.refusal import names_of
from licet.setup.nouns import described, differences
from licet.setup.parts.client_secrets_and_keys import ClientCredentials
from licet.setup.validation import must_be_new
from licet.store import schema

_Named = Literal["user", "client", "group"]


class TenantGroups(ClientCredentials):
    """The groups of a tenant, within a change of the set-up."""

    def add_group(self, name: str, **settings: Any) -> bool:
        """Add a group of users and clients."""
        must_be_new("group", name, self.groups, self.tenant.name)
        return self._write_group("add", Group(name=name, **settings))

    def set_group(self, name: str, **changes: Any) -> bool:
        """Change who is in a group. Whoever has a seat keeps it."""
        before = self._find("group", name, self.groups)
        after = Group(
            name=name,
            users=frozenset(changes.get("users", before.users)),
            clients=frozenset(changes.get("clients", before.clients)),
        )
        return after != before and self._write_group("set", after)

    def remove_group(self, name: str) -> bool:
        """Remove a group that no rule names."""
        group = self._find("group", name, self.groups)
        self._must_be_in_no_rule("group", name)
        self._delete(schema.group_member, {"tenant_id": self.tenant.id, "name": name})
        del self.groups[name]
        return self._recorded("remove", "group", name, described(group))

    def _write_group(self, action: str, group: Group) -> bool:
        for initials in sorted(group.users):
            self._find("user", initials, self.users, field="users")
        for client_id in sorted(group.clients):
            self._find("client", client_id, self.clients, field="clients")
        before = self.groups.get(group.name)
        of = {"tenant_id": self.tenant.id, "name": group.name}
        self._delete(schema.group_member, of)
        # The row with no member is that of the group itself.
        members = ["", *(f"user:{it}" for it in group.users), *(f"client:{it}" for it in group.clients)]
        self._connection.execute(
            insert(schema.group_member), [{**of, "member": member} for member in sorted(members)]
        )
        self.groups[group.name] = group
        detail = described(group) if before is None else differences(before, group)
        return self._recorded(action, "group", group.name, detail)

    def _leave_groups(self, *, user: str = "", client: str = "") -> None:
        """Take a user or client that is removed out of all groups."""
        for group in list(self.groups.values()):
            left = Group(name=group.name, users=group.users - {user}, clients=group.clients - {client})
            if left != group:
                self._write_group("set", left)

    def _must_be_in_no_rule(self, kind: _Named, name: str) -> None:
        """Return if no rule of a pool is for this user, client or group.

        It is not taken out of the rules: a pool whose list of who is included became empty would be open to
        everybody. Raises StillInUse.
        """
        found = {
            pool.name: options
            for pool in self.pools.values()
            if (options := [option for option, who in all_rules_of(pool) if who == f"{kind}:{name}"])
        }
        if found:
            rules = names_of(f"{' and '.join(options)} of pool {pool}" for pool, options in found.items())
            text = f"{kind} {name} is named by {rules}; take it out there first"
            raise self._in_use(text, kind, name, "pool", sorted(found))
