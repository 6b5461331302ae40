"""Collects the rules of each pool, and finds those that contradict each other or the set-up.

The rules:

- Two lines that say the same are one rule. Two that give one name two numbers are both wrong: which of them
  counts is nobody's guess. So are two reserves for one name, as they may be meant to add up.
- What a pool refuses has no counterpart (L15 to L17): a reserve above the limit of the same name, more
  reserves than seats, a name that is excluded and included or has a reserve, `include` beside named users.
- What the set-up says already counts as well; what a line says of the same name takes its place.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from licet.model import SEATS_MAX, Pool, Tenant
from licet.options import LEVEL_MAX, RULES_MAX
from licet.options_files.outcomes import Fates
from licet.options_files.statements import Option

ENTRIES_MAX: Final = 100_000  # of all pools: a line for all features is a rule of each pool

_COUNTED: Final = (Option.RESERVE, Option.MAX)
EACH_USER: Final = "each user"


class Entry(NamedTuple):
    """A rule of one pool, for `user:TC`, `group:sales` or each user; `line` is its place in the file."""

    line: int
    option: Option
    pool: str
    who: str
    amount: int
    is_for_all: bool  # of a line for all features


class PoolRules:
    """The rules of all pools."""

    def __init__(self, fates: Fates, tenant: Tenant) -> None:
        self._fates = fates
        self._pools = {pool.name: pool for pool in tenant.pools.values()}
        self._entries: list[Entry] = []
        self._by_option: defaultdict[tuple[str, Option], list[Entry]] = defaultdict(list)

    def have_room(self, count: int) -> bool:
        """Whether so many more may be added."""
        return len(self._entries) + count <= ENTRIES_MAX

    def add(self, entry: Entry) -> None:
        """One more rule."""
        self._entries.append(entry)
        self._by_option[entry.pool, entry.option].append(entry)

    def check(self, *, lists_meet: bool) -> None:
        """Find the rules that cannot be kept, in the order in which one depends on another."""
        self._check_counts()
        self._check_twice()
        self._check_named()
        if lists_meet:
            self._check_lists()
        self._check_excluded()
        self._check_reserves()
        self._check_sums()
        self._check_number_of_rules()

    def standing(self) -> Iterator[Entry]:
        """The rules that can be kept."""
        return (entry for entry in self._entries if self._fates.stands(entry.line))

    def of(self, pool: str, option: Option) -> dict[str, int]:
        """What is kept of an option of a pool: the number by name, in the order of the lines."""
        return {it.who: it.amount for it in self.standing_of(pool, option)}

    def standing_of(self, pool: str, option: Option) -> list[Entry]:
        """The rules of an option of a pool that can be kept."""
        return [it for it in self._by_option[pool, option] if self._fates.stands(it.line)]

    def _check_counts(self) -> None:
        for entry in self._entries:
            if entry.option in _COUNTED and not 1 <= entry.amount <= SEATS_MAX:
                hint = (
                    "; to keep somebody out, EXCLUDE"
                    if entry.option is Option.MAX and not entry.amount
                    else ""
                )
                self._fates.left_out(entry.line, f"a number of seats is 1 to {SEATS_MAX}{hint}")

    def _check_twice(self) -> None:
        first: dict[tuple[str, Option, str], Entry] = {}
        for entry in list(self.standing()):
            before = first.setdefault((entry.pool, entry.option, entry.who), entry)
            if before is entry or (before.amount == entry.amount and entry.option is not Option.RESERVE):
                continue
            self._fates.disagree(before.line, entry.line, f"{entry.who} in pool {entry.pool}")

    def _check_named(self) -> None:
        for entry in self._entries:
            if entry.option is Option.INCLUDE and self._pools[entry.pool].named:
                why = f"pool {entry.pool} has named users, and nobody else is included"
                self._fates.left_out(entry.line, why)

    def _check_lists(self) -> None:
        """RLM asks whether INCLUDE and INCLUDEALL both name somebody; here is one list."""
        included = [it for it in self.standing() if it.option is Option.INCLUDE]
        general = next((it.line for it in included if it.is_for_all), None)
        if general is None:
            return
        for entry in included:
            if not entry.is_for_all:
                where = self._fates.where(general)
                why = f"with INCLUDEALL ({where}) only who is in both lists may; a pool has one list"
                self._fates.left_out(entry.line, why)

    def _check_excluded(self) -> None:
        """Whoever is excluded is in no list of those who may, and has no reserve."""
        excluded = {(it.pool, it.who): it for it in self.standing() if it.option is Option.EXCLUDE}
        for entry in list(self.standing()):
            pool = self._pools[entry.pool]
            if entry.option is Option.EXCLUDE:
                if found := _favours(pool).get(entry.who):
                    self._fates.left_out(entry.line, f"pool {pool.name} has {entry.who} in its list {found}")
            elif entry.option in {Option.INCLUDE, Option.RESERVE}:
                if (exclude := excluded.get((entry.pool, entry.who))) is not None:
                    self._fates.left_out(
                        entry.line, f"{self._fates.where(exclude.line)} excludes {entry.who}"
                    )
                elif entry.who in pool.exclude:
                    self._fates.left_out(entry.line, f"pool {pool.name} excludes {entry.who}")

    def _check_reserves(self) -> None:
        for pool in self._pools.values():
            limits = {it.who: it for it in self.standing_of(pool.name, Option.MAX)}
            for entry in self.standing_of(pool.name, Option.RESERVE):
                self._check_reserve(entry, pool, limits)
            reserved = {it.who for it in self.standing_of(pool.name, Option.RESERVE)}
            self._check_limits(
                pool, limits, {it.who: it.seats for it in pool.reserve if it.who not in reserved}
            )

    def _check_reserve(self, entry: Entry, pool: Pool, limits: Mapping[str, Entry]) -> None:
        """Whether a reserve is above the limit of the same name, in the file or in the set-up."""
        own_before = next((it.seats for it in pool.max if it.who == entry.who), None)
        is_of_each = entry.who.startswith("user:")
        said = limits.get(entry.who) or (limits.get(EACH_USER) if own_before is None and is_of_each else None)
        if said is not None:
            most, where = said.amount, self._fates.where(said.line)
        else:
            in_set_up = own_before if own_before is not None or not is_of_each else pool.max_per_user
            most, where = in_set_up or SEATS_MAX, f"pool {pool.name}"
        if entry.amount > most:
            self._fates.left_out(entry.line, f"it reserves {entry.amount}, and {where} allows {most} at most")

    def _check_limits(self, pool: Pool, limits: Mapping[str, Entry], reserved: Mapping[str, int]) -> None:
        """Whether a limit is below what the set-up reserves for the same name."""
        own = {it.who for it in pool.max} | limits.keys()
        for who, seats in reserved.items():
            each = EACH_USER if who.startswith("user:") and who not in own else ""
            limit = limits.get(who) or limits.get(each)
            if limit is not None and seats > limit.amount:
                why = f"pool {pool.name} reserves {seats} for {who}, and it allows {limit.amount}"
                self._fates.left_out(limit.line, why)

    def _check_sums(self) -> None:
        """All that is reserved is no more than the seats of the pool."""
        for pool in self._pools.values():
            if pool.seats is None:
                continue
            entries = self.standing_of(pool.name, Option.RESERVE)
            reserved = {it.who: it.seats for it in pool.reserve}
            said = {it.who for it in entries}
            total = sum(seats for who, seats in reserved.items() if who not in said)
            for entry in entries:
                if total + entry.amount > pool.seats:
                    why = f"pool {pool.name} has {pool.seats} seats, and {total} of them are reserved already"
                    self._fates.left_out(entry.line, why)
                else:
                    total += entry.amount

    def _check_number_of_rules(self) -> None:
        seen: defaultdict[str, set[tuple[str, str]]] = defaultdict(set)
        for name, pool in self._pools.items():
            seen[name] = set(_rules_of(pool))
        for entry in list(self.standing()):
            rules = seen[entry.pool]
            if entry.who == EACH_USER:
                continue  # it is a number of the pool, and no rule for a name
            if len(rules) == RULES_MAX and (entry.option, entry.who) not in rules:
                self._fates.left_out(entry.line, f"pool {entry.pool} would have more than {RULES_MAX} rules")
            else:
                rules.add((entry.option, entry.who))


def _favours(pool: Pool) -> dict[str, str]:
    """Who has something that nobody has who is excluded, and in which list."""
    found = dict.fromkeys((rule.who for rule in pool.reserve), "reserve")
    found |= dict.fromkeys((f"user:{initials}" for initials in pool.named), "named")
    return found | dict.fromkeys(pool.include, "include")


def _rules_of(pool: Pool) -> Iterator[tuple[str, str]]:
    for option, names in (("exclude", pool.exclude), ("include", pool.include), ("named", pool.named)):
        yield from ((option, who) for who in names)
    for option, rules in (("reserve", pool.reserve), ("max", pool.max), ("priority", pool.priority)):
        yield from ((option, rule.who) for rule in rules)


def levels(numbers: Iterable[int]) -> dict[int, int]:
    """Levels of Licet for priorities of RLM: the lowest number is the highest level.

    Numbers beyond the ninth have no level.
    """
    ordered = sorted(set(numbers))[:LEVEL_MAX]
    return {number: len(ordered) - at for at, number in enumerate(ordered)}
