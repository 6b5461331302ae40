"""Finds options of a pool that contradict each other: more reserved than there may be, a name in and out.

    list(disagreements(pool, seats=5)) == [Disagreement(field="reserve", who="user:TC", beside="max", ...)]

The rules:

- Two options that contradict each other are refused together, and both are named: which of them is wrong,
  only the administrator knows.
- What arises later, such as a licence with fewer seats than are reserved, is no refusal: `licet.setup.check`
  finds it by the same rules.
"""

from collections.abc import Collection, Iterator, Mapping

from licet.formats import counted
from licet.model import InvalidValue, Pool, Value
from licet.options import all_rules_of, rules_of
from licet.refusal import Code, Subject, names_of
from licet.store.errors import NotFound, unknown

# What decides whether options contradict each other, by field; a change of anything else is not examined.
_DECIDING = (
    "seats",
    "overdraft",
    "exclude",
    "include",
    "named",
    "reserve",
    "max",
    "priority",
    "max_per_user",
    "max_per_client",
)


class Disagreement(Value, frozen=True, kw_only=True):
    """Two options that contradict each other. `who` is '' where an option is meant as a whole.

    `text` has `{here}` and `{there}` behind what each of the two says, for where it stands.
    """

    field: str
    who: str = ""
    beside: str
    beside_who: str = ""
    text: str

    def said(self, *, here: str = "", there: str = "") -> str:
        """The text; `here` and `there` say where the two stand."""
        return self.text.replace("{here}", here).replace("{there}", there)

    def refusal(self, pool: str, tenant: str) -> InvalidValue:
        """The refusal of a change of this pool."""
        return InvalidValue(
            f"pool {pool}: {self.said()}",
            code=Code.NOT_TOGETHER,
            field=self.field,
            beside=self.beside,
            subject=Subject("pool", pool, tenant),
        )


def is_decided_otherwise(before: Pool | None, after: Pool) -> bool:
    """Whether a change of a pool may have made its options contradict each other."""
    return before is None or any(getattr(before, field) != getattr(after, field) for field in _DECIDING)


def disagreements(pool: Pool, seats: int | None, taken_off: Collection[str] = ()) -> Iterator[Disagreement]:
    """All contradictions among the options of a pool with so many seats; None is a number not yet known.

    `taken_off` are initials of named users that still count (L15).
    """
    yield from _above_max(pool)
    reserved = sum(share.seats for share in pool.reserve)
    if seats is not None and reserved > seats:
        yield Disagreement(
            field="reserve",
            beside="seats",
            text=f"reserve is {counted(reserved, 'seat')} in all{{here}}, and seats gives {seats:,}{{there}}",
        )
    if pool.named and pool.include:
        text = "named{here} and include{there} exclude each other: put those users into include as well"
        yield Disagreement(field="named", beside="include", text=text)
    yield from _too_many_names(pool, seats, taken_off)
    excluded = set(pool.exclude)
    for field in ("include", "named", "reserve"):
        for who in rules_of(pool, field):
            if who in excluded:
                text = f"exclude has {who}{{here}}, and {field} has it too{{there}}"
                yield Disagreement(field="exclude", who=who, beside=field, beside_who=who, text=text)


def _above_max(pool: Pool) -> Iterator[Disagreement]:
    """RESERVE does not lift MAX (L16, L17)."""
    most = {share.who: share.seats for share in pool.max}
    for share in pool.reserve:
        kind = share.who.partition(":")[0]
        beside, who, limit = "max", share.who, most.get(share.who)
        if limit is None and kind in {"user", "client"}:
            beside, who, limit = f"max_per_{kind}", "", getattr(pool, f"max_per_{kind}")
        if limit is not None and share.seats > limit:
            text = f"reserve has {counted(share.seats, 'seat')} for {share.who}{{here}}"
            text = f"{text}, and {beside} lets it have {limit:,} at most{{there}}"
            yield Disagreement(field="reserve", who=share.who, beside=beside, beside_who=who, text=text)


def _too_many_names(pool: Pool, seats: int | None, taken_off: Collection[str]) -> Iterator[Disagreement]:
    if seats is None or not pool.named:
        return
    still = sorted(set(taken_off) - set(pool.named))
    count = len(pool.named) + len(still)
    if count <= seats:
        return
    text = f"named has {counted(len(pool.named), 'user')}{{here}}"
    if still:
        text = f"{text} and {names_of(still)}, taken off less than 24 hours ago and counted so long"
    yield Disagreement(field="named", beside="seats", text=f"{text}, and seats gives {seats:,}{{there}}")


def must_know_names(pool: Pool, tenant: str, known: Mapping[str, Collection[str]]) -> None:
    """Return if whom the rules of a pool are for is there: `known` are names by `user`, `client`, `group`.

    Raises NotFound.
    """
    for field, who in all_rules_of(pool):
        kind, _, name = who.partition(":")
        if name not in known[kind]:
            wrong = unknown(_subject(kind, name, tenant), known[kind])
            raise NotFound(
                f"{field} of pool {pool.name}: {wrong}",
                code=wrong.code,
                field=field,
                subject=wrong.subject,
                others=wrong.others,
            )


def _subject(kind: str, name: str, tenant: str) -> Subject:
    match kind:
        case "user":
            return Subject("user", name, tenant)
        case "client":
            return Subject("client", name, tenant)
        case _:
            return Subject("group", name, tenant)
