"""Collects the rules of each pool, and finds those that contradict each other or the set-up.

The rules:

- Two lines that say the same are one rule. Two that give one name two numbers are both wrong: which of them
  counts is nobody's guess. So are two reserves for one name, as they may be meant to add up.
- What a pool refuses has no counterpart. What that is, the set-up's own check says (L15 to L17), of the pool
  as it would be: a rule that contradicts those before it is left out, with its line.
- EXCLUDE comes before MAX, then INCLUDE, RESERVE, PRIORITY, and each of them in the order of its lines.
- What the set-up says already counts as well; what a line says of the same name takes its place.
"""

from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple, Protocol

from msgspec.structs import replace

from licet.model import InvalidValue, Pool, Tenant
from licet.options import LEVEL_MAX, Priority, Share
from licet.options_files.outcomes import Fates
from licet.options_files.statements import Option

ENTRIES_MAX: Final = 100_000  # of all pools: a line for all features is a rule of each pool

EACH_USER: Final = "each user"
_ORDER: Final = (Option.EXCLUDE, Option.MAX, Option.INCLUDE, Option.RESERVE, Option.PRIORITY)
_PER_USER: Final = ("max_per_user", "")


class Disagreement(Protocol):
    """Two options of a pool that contradict each other, as the set-up finds them.

    Without `who` an option is meant as a whole.
    """

    @property
    def field(self) -> str:
        """The one."""

    @property
    def who(self) -> str:
        """For whom it is."""

    @property
    def beside(self) -> str:
        """The other."""

    @property
    def beside_who(self) -> str:
        """For whom that is."""

    def said(self, *, here: str = "", there: str = "") -> str:
        """What contradicts what; `here` and `there` say where the two stand."""


# What finds them in a pool with so many seats; None is a number not yet known.
Disagreements = Callable[[Pool, int | None], Iterable[Disagreement]]


class Entry(NamedTuple):
    """A rule of one pool, for `user:TC`, `group:sales` or each user; `line` is its place in the file."""

    line: int
    option: Option
    pool: str
    who: str
    amount: int
    is_for_all: bool  # of a line for all features

    @property
    def key(self) -> tuple[str, str]:
        """The option of the pool that it is, and for whom."""
        return _PER_USER if self.who == EACH_USER else (self.option, self.who)


class PoolRules:
    """The rules of all pools."""

    def __init__(self, fates: Fates, tenant: Tenant, disagreements: Disagreements) -> None:
        self._fates = fates
        self._pools = {pool.name: pool for pool in tenant.pools.values()}
        self._disagreements = disagreements
        self._entries: list[Entry] = []
        self._by_pool: defaultdict[str, list[Entry]] = defaultdict(list)

    def have_room(self, count: int) -> bool:
        """Whether so many more may be added."""
        return len(self._entries) + count <= ENTRIES_MAX

    def add(self, entry: Entry) -> None:
        """One more rule."""
        self._entries.append(entry)
        self._by_pool[entry.pool].append(entry)

    def check(self, *, lists_meet: bool) -> None:
        """Find the rules that cannot be kept, until all that are left go together."""
        self._check_twice()
        if lists_meet:
            self._check_lists()
        # A line for all features that one pool refuses is none of any pool: what is left is looked at again.
        while sum(self._check_pool(pool, self._by_pool[pool.name]) for pool in self._pools.values()):
            pass

    def standing(self) -> Iterator[Entry]:
        """The rules that can be kept."""
        return (entry for entry in self._entries if self._fates.stands(entry.line))

    def of(self, pool: str, option: Option) -> dict[str, int]:
        """What is kept of an option of a pool: the number by name, in the order of the lines."""
        return {it.who: it.amount for it in self.standing_of(pool, option)}

    def standing_of(self, pool: str, option: Option) -> list[Entry]:
        """The rules of an option of a pool that can be kept."""
        return [it for it in self._by_pool[pool] if it.option is option and self._fates.stands(it.line)]

    def _check_twice(self) -> None:
        first: dict[tuple[str, Option, str], Entry] = {}
        for entry in list(self.standing()):
            before = first.setdefault((entry.pool, entry.option, entry.who), entry)
            if before is entry or (before.amount == entry.amount and entry.option is not Option.RESERVE):
                continue
            what = f"{entry.who} in pool {entry.pool}"
            if before.amount == entry.amount:
                self._fates.may_add_up(before.line, entry.line, what)
            else:
                self._fates.disagree(before.line, entry.line, what)

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

    def _check_pool(self, pool: Pool, entries: Iterable[Entry]) -> bool:
        """Leave out what this pool would refuse; return whether anything was."""
        by_key = {it.key: it for it in reversed(list(entries)) if self._fates.stands(it.line)}
        standing = sorted(by_key.values(), key=lambda it: (_ORDER.index(it.option), it.line))
        base = _without(pool, by_key)
        known = list(self._disagreements(base, base.seats))
        if not standing or not self._objection(base, known, standing, by_key):
            return False
        kept: list[Entry] = []
        for entry in standing:
            if not self._fates.stands(entry.line):
                continue
            if why := self._objection(base, known, [*kept, entry], by_key):
                self._fates.left_out(entry.line, why)
                kept = [it for it in kept if self._fates.stands(it.line)]
            else:
                kept.append(entry)
        return True

    def _objection(
        self,
        base: Pool,
        known: Sequence[Disagreement],
        entries: Sequence[Entry],
        by_key: Mapping[tuple[str, str], Entry],
    ) -> str:
        """Why the pool cannot have these rules, of which the last is new; '' where it can."""
        try:
            pool = _with(base, entries)
        except InvalidValue as wrong:
            is_no_seat = entries[-1].option is Option.MAX and not entries[-1].amount
            return f"{wrong}; to keep somebody out, EXCLUDE" if is_no_seat else str(wrong)
        found = next((it for it in self._disagreements(pool, pool.seats) if it not in known), None)
        if found is None:
            return ""

        def where(key: tuple[str, str]) -> str:
            if key == entries[-1].key or (not key[1] and key != _PER_USER):
                return ""
            return f" ({self._fates.where(by_key[key].line)})" if key in by_key else " (in the set-up)"

        here, there = where((found.field, found.who)), where((found.beside, found.beside_who))
        return f"pool {base.name}: {found.said(here=here, there=there)}"


def _without(pool: Pool, by_key: Container[tuple[str, str]]) -> Pool:
    """The pool without the rules whose place others take."""
    return replace(
        pool,
        reserve=tuple(it for it in pool.reserve if (Option.RESERVE, it.who) not in by_key),
        max=tuple(it for it in pool.max if (Option.MAX, it.who) not in by_key),
        priority=tuple(it for it in pool.priority if (Option.PRIORITY, it.who) not in by_key),
        max_per_user=None if _PER_USER in by_key else pool.max_per_user,
    )


def _with(pool: Pool, entries: Iterable[Entry]) -> Pool:
    """The pool with these rules. Which level a priority has is not known yet, and contradicts nothing.

    Raises InvalidValue.
    """
    said: defaultdict[Option, dict[str, int]] = defaultdict(dict)
    for entry in entries:
        said[entry.option][entry.who] = entry.amount
    per_user = said[Option.MAX].pop(EACH_USER, pool.max_per_user)
    return replace(
        pool,
        exclude=tuple(dict.fromkeys([*pool.exclude, *said[Option.EXCLUDE]])),
        include=tuple(dict.fromkeys([*pool.include, *said[Option.INCLUDE]])),
        reserve=(*pool.reserve, *(Share(who=who, seats=it) for who, it in said[Option.RESERVE].items())),
        max=(*pool.max, *(Share(who=who, seats=it) for who, it in said[Option.MAX].items())),
        priority=(*pool.priority, *(Priority(who=who, level=1) for who in said[Option.PRIORITY])),
        max_per_user=per_user,
    )


def levels(numbers: Iterable[int]) -> dict[int, int]:
    """Levels of Licet for priorities of RLM: the lowest number is the highest level.

    Numbers beyond the ninth have no level.
    """
    ordered = sorted(set(numbers))[:LEVEL_MAX]
    return {number: len(ordered) - at for at, number in enumerate(ordered)}
