"""Says an options file in the words of a tenant's set-up, and what becomes of each of its lines.

    translate(reading, tenant, Names(users={"anne": "AN"}), disagreements)
        -> Translation(outcomes=..., changes=...)

The rules:

- A line is kept whole or not at all.
- A group is kept whole or not at all, and so is every rule for it: a rule for half a group is another rule.
- What a line means may depend on the set-up: which users there are, and which pools.
"""

from collections.abc import Collection, Mapping
from collections.abc import Set as AbstractSet

from licet.formats import counted, duration
from licet.model import Tenant, Value
from licet.options_files.changes import Changes, PoolChanges
from licet.options_files.groups import Groups
from licet.options_files.names import Known, Names, Unknown
from licet.options_files.numbers import Numbers, Setting
from licet.options_files.outcomes import Fates, Outcome
from licet.options_files.pool_rules import EACH_USER, ENTRIES_MAX, Disagreements, Entry, PoolRules, levels
from licet.options_files.statements import (
    Amount,
    AnyCase,
    Nothing,
    Number,
    Option,
    Reading,
    Rule,
    Unmatched,
    Who,
    Wrong,
)
from licet.options_files.words import shown
from licet.refusal import names_of

Levels = Mapping[tuple[str, int], int]  # of priorities, by pool and number


class Translation(Value, frozen=True, kw_only=True):
    """What a file says of a tenant, what becomes of each line, and what else to tell an administrator."""

    outcomes: tuple[Outcome, ...]
    changes: Changes
    notes: tuple[str, ...]


def translate(reading: Reading, tenant: Tenant, names: Names, disagreements: Disagreements) -> Translation:
    """What a file says of a tenant; `disagreements` finds what of a pool's options contradicts each other."""
    return _Translating(reading, tenant, names, disagreements).translated()


class _Translating:
    def __init__(self, reading: Reading, tenant: Tenant, names: Names, disagreements: Disagreements) -> None:
        self._reading = reading
        self._tenant = tenant
        self._names = names
        self._pools = {pool.name: pool for pool in tenant.pools.values()}
        self._said = [it.statement for it in reading.said]
        self._fates = Fates(reading.said)
        self._known = Known(tenant, names, any_case=reading.any_case)
        self._groups = Groups(reading, self._known, self._fates)
        self._rules = PoolRules(self._fates, tenant, disagreements)
        self._numbers = Numbers(self._fates, tenant)
        self._switches: dict[bool, int] = {}  # the first line that has names in any case, and that has not
        for line, statement in enumerate(self._said):
            if isinstance(statement, AnyCase):
                self._switches.setdefault(statement.is_on, line)
        self._each_user: dict[str, int] = {}  # by pool: the first line for all users
        # Limits are all that may be for each group.
        self._limits_of_groups = [
            it for it in self._said if isinstance(it, Rule) and (it.option, it.who) == (Option.MAX, Who.GROUP)
        ]
        self._each_group: dict[str | None, list[str]] = {}  # by feature: those without a limit of their own
        self._opens: dict[str | None, str] = {}  # by feature: which pools have no list of who may use them

    def translated(self) -> Translation:
        for line, statement in enumerate(self._said):
            match statement:
                case Wrong(why=why):
                    self._fates.wrong(line, why)
                case Unmatched(why=why):
                    self._fates.left_out(line, why)
                case Nothing(why=why):
                    self._fates.kept(line, why)
                case AnyCase():
                    self._read_switch(line, statement)
                case Rule():
                    self._read_rule(line, statement)
                case Number():
                    self._read_number(line, statement)
        self._rules.check(lists_meet=self._reading.lists_meet)
        self._numbers.check(last_counts=not self._reading.first_counts)
        level_of = self._levels()
        self._tell_what_opens()
        self._tell_what_is_kept(level_of)
        return Translation(
            outcomes=self._fates.outcomes(), changes=self._changes(level_of), notes=tuple(self._notes())
        )

    def _read_switch(self, line: int, switch: AnyCase) -> None:
        if (other := self._switches.get(not switch.is_on)) is not None:
            self._fates.disagree(line, other, "upper and lower case in groups")
        else:
            self._fates.kept(line, "how the names in groups are read")

    def _read_rule(self, line: int, rule: Rule) -> None:
        try:
            pools = self._known.pools_of(rule.feature)
            everyone = self._whom(rule)
        except Unknown as fault:
            self._fates.left_out(line, str(fault))
            return
        if not everyone and rule.who is not Who.EACH_GROUP:
            self._fates.wrong(
                line, f"no GROUP line says who is in {shown(rule.name)}; add one, or take this line out"
            )
            return
        if not pools:
            self._fates.left_out(line, f"tenant {self._tenant.name} has no pool")
        if rule.option is Option.MAX and any(self._is_passed_over(line, rule, pool) for pool in pools):
            return
        if not self._rules.have_room(len(pools) * len(everyone)):
            self._fates.left_out(line, f"the file has more than {ENTRIES_MAX} rules")
            return
        for pool in pools:
            for who in everyone:
                self._rules.add(Entry(line, rule.option, pool, who, rule.count, rule.feature is None))

    def _whom(self, rule: Rule) -> list[str]:
        """Whom a rule is for, in the words of the set-up; nobody where there is no such group.

        Raises Unknown.
        """
        match rule.who:
            case Who.EACH_USER:
                return [EACH_USER]
            case Who.USER:
                return [f"user:{self._known.user(rule.name)}"]
            case Who.GROUP:
                return self._group(rule.name)
        if (broken := self._groups.any_broken()) is not None:
            raise Unknown(f"not every group can be kept: {self._fates.where(broken)}")
        if rule.feature not in self._each_group:
            own = [it.name for it in self._limits_of_groups if it.feature == rule.feature]
            self._each_group[rule.feature] = [f"group:{name}" for name in self._groups.others(own)]
        return self._each_group[rule.feature]

    def _group(self, name: str) -> list[str]:
        if (broken := self._groups.broken(name)) is not None:
            raise Unknown(f"its group cannot be kept: {self._fates.where(broken)}")
        found = self._groups.name_of(name)
        return [] if found is None else [f"group:{found}"]

    def _is_passed_over(self, line: int, rule: Rule, pool: str) -> bool:
        """Whether FlexNet does not look at this limit of a user, as that of all users stands before it."""
        if rule.who is Who.EACH_USER:
            self._each_user.setdefault(pool, line)
        before = self._each_user.get(pool)
        if rule.who is not Who.USER or before is None or not self._reading.first_counts:
            return False
        where = self._fates.where(before)
        behind = f"{self._reading.format} passes over it: {where}, for all users, is before it"
        self._fates.left_out(line, f"{behind}; if it is to count, put it before that line")
        return True

    def _read_number(self, line: int, number: Number) -> None:
        try:
            pools = tuple(self._known.pools_of(number.feature))
        except Unknown as fault:
            self._fates.left_out(line, str(fault))
            return
        self._numbers.add(Setting(line, number.what, pools, number.feature is None, number.amount))

    def _levels(self) -> Levels:
        """The level of each priority that can be kept."""
        found: dict[tuple[str, int], int] = {}
        for pool in self._pools:
            entries = self._rules.standing_of(pool, Option.PRIORITY)
            level_of = levels(it.amount for it in entries)
            found |= {(pool, count): level for count, level in level_of.items()}
            for entry in entries:
                if entry.amount not in level_of:
                    why = f"a queue has {len(level_of)} levels before the usual one, and as many are lower"
                    self._fates.left_out(entry.line, why)
        return found

    def _tell_what_opens(self) -> None:
        """A list that is left out lets everybody in, or a whole group: that must not be overlooked."""
        listed = {it.pool for it in self._rules.standing() if it.option is Option.INCLUDE}
        listed |= {pool.name for pool in self._pools.values() if pool.include or pool.named}
        for line, statement in enumerate(self._said):
            match statement:
                case Rule(option=Option.INCLUDE, feature=feature):
                    opened = self._opened(feature, listed)
                case Unmatched(includes=True, feature=feature):
                    opened = self._opened(feature, listed)
                case Rule(option=Option.EXCLUDE, who=Who.GROUP, feature=feature):
                    if self._fates.is_left_out(line) and (pools := _pools_named(self._pools_of(feature))):
                        self._fates.also(line, f"without it the group is not excluded from {pools}")
                    continue
                case _:
                    continue
            if opened and self._fates.is_left_out(line):
                self._fates.also(line, f"without it everybody may use {opened}")

    def _opened(self, feature: str | None, listed: AbstractSet[str]) -> str:
        """`pool full`: the pools of a feature without any list of who may use them; '' for none."""
        if feature not in self._opens:
            self._opens[feature] = _pools_named(set(self._pools_of(feature)) - listed)
        return self._opens[feature]

    def _pools_of(self, feature: str | None) -> list[str]:
        """The pools of a feature; none where it is unknown."""
        try:
            return self._known.pools_of(feature)
        except Unknown:
            return []

    def _tell_what_is_kept(self, level_of: Levels) -> None:
        for line, statement in enumerate(self._said):
            match statement:
                case Number(what=Amount.OVERDRAFT as what, amount=number):
                    self._fates.kept(line, f"{what} {number}")
                case Number(what=what, amount=number):
                    self._fates.kept(line, f"{what} {duration(number)}")
        kept: dict[int, list[str]] = {}
        for entry in self._rules.standing():
            amount = f" {entry.amount}"
            if entry.option in {Option.EXCLUDE, Option.INCLUDE}:
                amount = ""
            elif entry.option is Option.PRIORITY:
                amount = f" {level_of[entry.pool, entry.amount]}"
            text = f"pool {entry.pool}: {entry.option}{amount} for {entry.who}"
            kept.setdefault(entry.line, []).append(text)
        for line, texts in kept.items():
            more = f", and {counted(len(texts) - 1, 'more rule')}" if len(texts) > 1 else ""
            self._fates.kept(line, texts[0] + more)

    def _changes(self, level_of: Levels) -> Changes:
        pools = {pool: self._pool_changes(pool, level_of) for pool in self._pools}
        return Changes(
            session_ttl_s=self._numbers.session_ttl_s(),
            groups=self._groups.kept(),
            pools={pool: changes for pool, changes in pools.items() if changes != PoolChanges()},
        )

    def _pool_changes(self, pool: str, level_of: Levels) -> PoolChanges:
        limits = self._rules.of(pool, Option.MAX)
        priorities = self._rules.of(pool, Option.PRIORITY)
        return PoolChanges(
            exclude=tuple(self._rules.of(pool, Option.EXCLUDE)),
            include=tuple(self._rules.of(pool, Option.INCLUDE)),
            reserve=self._rules.of(pool, Option.RESERVE),
            max={who: count for who, count in limits.items() if who != EACH_USER},
            max_per_user=limits.get(EACH_USER),
            priority={who: level_of[pool, number] for who, number in priorities.items()},
            hold_s=self._numbers.of(pool, Amount.LINGER),
            overdraft=self._numbers.of(pool, Amount.OVERDRAFT),
        )

    def _notes(self) -> list[str]:
        unused = [name for name in self._names.pools if name.casefold() not in self._known.used]
        found = [f"No line has the feature {shown(name)}, which --pool names." for name in unused]
        for pool in self._pools:
            found += self._raised(pool)
            if self._rules.of(pool, Option.PRIORITY) and not self._pools[pool].queue:
                found.append(f"Pool {pool} has no queue: its priorities count when it has one (queue = 20).")
            if self._numbers.of(pool, Amount.LINGER) is not None:
                found.append(f"The hold of pool {pool} begins with the last token, and not with the logoff.")
        return found

    def _raised(self, pool: str) -> list[str]:
        """Users whose own line stands first, and who have the higher level of their group here."""
        entries = self._rules.standing_of(pool, Option.PRIORITY)
        members = self._groups.kept() if entries else {}
        return [
            f"In pool {pool}, {user.who} has the level of {group.who}: here the highest level counts,"
            f" and in {self._reading.format} the first line."
            for group in entries
            for user in entries
            if user.line < group.line
            and user.amount > group.amount
            and user.who.removeprefix("user:") in members.get(group.who.removeprefix("group:"), ())
        ]


def _pools_named(names: Collection[str]) -> str:
    """`pool full` or `pools full, light`; '' for none."""
    return f"pool{'s' * (len(names) > 1)} {names_of(names)}" if names else ""
