"""Describes the pages of groups: users and clients that the rules of pools can name together."""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from licet.admin.pages.forms import Field, Kind, Texts
from licet.admin.pages.setup.cells import Cell, few
from licet.admin.pages.setup.owners import OfTenant
from licet.admin.pages.setup.rule_texts import lines_of
from licet.admin.pages.setup.settings import field_of, named_once, settings_of
from licet.formats import counted
from licet.model import Tenant
from licet.options import Group, all_rules_of
from licet.setup.nouns import GROUP
from licet.setup.tenant import TenantSetup

MEMBERS_CHARS_MAX = 32_000  # of a field: more are set by the API, the command line or a file

_NAME = Field(
    name="name",
    label="Name",
    help="Letters, digits, _ . and -, at most 64.",
    read=lambda text: Group(name=text).name,
    width="medium",
)
_HELP = {
    "users": "Initials, one a line. A user may be in several groups; all of its clients are in them, too.",
    "clients": "The client_id of each, one a line: in the group whatever user it stands for.",
}


class Groups(OfTenant[Group]):
    """Users and clients with one name."""

    path, word, plural, event = "groups", "group", "groups", "group"
    about = (
        "A group has users and clients. The options of a pool can name it: EXCLUDE, INCLUDE, MAX, RESERVE and"
        " the priority in the queue."
    )
    empty = "No group yet. Add the first one"
    command = "licet group add sales --user TC"
    columns = ("Users", "Clients", "Named by")
    after = "Its users and clients stay. Whoever has a seat keeps it."

    def parts_of(self, tenant: Tenant) -> Mapping[str, Group]:
        """All groups by name."""
        return tenant.groups

    def row(self, part: Group) -> Sequence[Cell]:
        """Who is in it, and which pools have a rule for it."""
        who = f"group:{part.name}"
        every = self.tenant.pools.values()
        pools = sorted(pool.name for pool in every if any(it == who for _, it in all_rules_of(pool)))
        return (
            few(sorted(part.users)),
            few(sorted(part.clients)),
            Cell(", ".join(pools) or "no pool", state="" if pools else "off"),
        )

    def fields(self, part: Group | None) -> tuple[Field, ...]:
        """Its name, and who is in it."""
        fields = [
            replace(
                field_of(setting, self.tenant),
                kind=Kind.AREA,
                help=_HELP[setting.name],
                read=lambda text: frozenset(lines_of(text)),
                options=(),
                chars_max=MEMBERS_CHARS_MAX,
            )
            for setting in GROUP.settings
        ]
        return (named_once(_NAME, part), *fields)

    def texts(self, part: Group | None) -> Texts:
        """A group's values; those of a new one."""
        group = part or Group(name="new")
        return {
            "name": (part.name if part else "",),
            "users": ("\n".join(sorted(group.users)),),
            "clients": ("\n".join(sorted(group.clients)),),
        }

    def add(self, change: TenantSetup, values: dict[str, Any]) -> None:
        """A new group."""
        change.add_group(values["name"], **settings_of(GROUP, values))

    def set(self, change: TenantSetup, name: str, values: dict[str, Any]) -> None:
        """Change who is in a group."""
        change.set_group(name, **settings_of(GROUP, values))

    def remove(self, change: TenantSetup, name: str) -> None:
        """Remove a group that no rule names."""
        change.remove_group(name)

    def goes(self, part: Group) -> Sequence[str]:
        """Nobody goes, but who is in it is forgotten."""
        counts = {"user": len(part.users), "client": len(part.clients)}
        return [f"its list of {counted(number, what)}" for what, number in counts.items() if number]

    def sought(self, name: str, part: Group) -> str:
        """Its name, and who is in it."""
        return " ".join((name, *sorted(part.users), *sorted(part.clients)))
