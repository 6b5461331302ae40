"""Finds who wanted a seat, for how long, and whether it got one: one that was turned away is a true denial.

A client that waits for a seat asks again and again, and each attempt is a denial in the journal. To know how
many seats to buy, one must know how many holders got no seat in the end. The rules:

- A **want** is a run of a holder's denials of one pool, each less than `session_ttl` after the one before.
  Sessions that share a seat (L2) have one holder. Only denials that one more seat would have avoided count.
- The pools on which one scope draws are one here (L20): a holder that got a seat of any of them was served.
  A want belongs to the pool of its first denial.
- It is **served** when a grant to that holder follows less than `session_ttl` after its last denial. The
  grant ends the want: what is denied later is another one.
- It is **turned away** when that time has passed without a grant: a **true denial**. Until then it waits.
- A want belongs to the time of its first denial. So the wants of the parts of a span add up.
- Denials of one client in one minute are one row of the journal, and are taken together unless a grant came
  between the first and the last of them.
- `session_ttl`, and the pools of scopes, are those of the tenant now.

The journal is read by minutes, also where hours are summed: so the figures are the same for every span, as
far back as the journal is kept. The module only reads.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, literal_column, select

from licet.model import Duplicates, Tenant
from licet.store import schema
from licet.units import HOUR_MS, MINUTE_MS

# The reasons of denials that one more seat would have avoided.
CURED_BY_SEATS = frozenset({"all_in_use", "no_seats", "reserved", "queued"})

KNOWN_MAX = 100  # a want that is longer is of a client in a loop

_GRANTED: ColumnElement[str] = literal_column("'granted'")
_Key = tuple[str, bool, str]  # pools that are one; whether the holder is a user; the holder


class Want(NamedTuple):
    """A holder wanted a seat of a pool. `client_id` and `initials` are those of the first denial.

    `served_at_ms` is when it got one. `is_over` is whether that is decided. `known_at_ms` are the instants of
    attempts that the journal has, `KNOWN_MAX` at most.
    """

    pool: str
    client_id: str
    initials: str
    attempts: int
    first_at_ms: int
    last_at_ms: int
    served_at_ms: int | None
    is_over: bool
    known_at_ms: tuple[int, ...] = ()

    @property
    def is_turned_away(self) -> bool:
        """Whether it is a true denial."""
        return self.is_over and self.served_at_ms is None

    @property
    def wait_ms(self) -> int | None:
        """How long it waited for its seat; None where it got none."""
        return None if self.served_at_ms is None else self.served_at_ms - self.first_at_ms


class _Denied(NamedTuple):
    """Denials of a client, from the first to the last of them."""

    pool: str
    client_id: str
    initials: str
    times: int
    first_at_ms: int
    last_at_ms: int

    def with_more(self, other: "_Denied") -> "_Denied":
        """Both together; the user is that of the later one."""
        later = max(self, other, key=lambda denied: denied.last_at_ms)
        first_at_ms = min(self.first_at_ms, other.first_at_ms)
        return later._replace(times=self.times + other.times, first_at_ms=first_at_ms)


def wants(connection: Connection, tenant: Tenant, from_ms: int, until_ms: int, *, now_ms: int) -> list[Want]:
    """The wants that began from an instant on and before another, in the order of their first denials."""
    ttl_ms = tenant.session_ttl_s * 1000
    denied = _denied(connection, tenant, from_ms, min(until_ms, now_ms + 1), now_ms)
    grants = _grants(connection, tenant, denied, now_ms)
    found = [
        want
        for key, parts in denied.items()
        for want in _wants_of(parts, grants.get(key, ()), ttl_ms, now_ms)
        if from_ms <= want.first_at_ms < until_ms
    ]
    return sorted(found, key=lambda want: (want.first_at_ms, want.pool, want.client_id))


def _denied(
    connection: Connection, tenant: Tenant, from_ms: int, until_ms: int, now_ms: int
) -> Mapping[_Key, list[_Denied]]:
    """The denials of each holder, from before the span, to know what goes on, until the last want is over."""
    ttl_ms = tenant.session_ttl_s * 1000
    denied: defaultdict[_Key, list[_Denied]] = defaultdict(list)
    by_user, one_of = _counted_by_user(tenant), _pools_that_are_one(tenant)
    begin, end = (from_ms - ttl_ms) // MINUTE_MS, -(-until_ms // MINUTE_MS)
    step_ms = max(ttl_ms, HOUR_MS)
    while True:
        for part in _rows(connection, tenant, begin, end):
            is_user = part.pool in by_user
            holder = part.initials if is_user else part.client_id
            denied[one_of.get(part.pool, part.pool), is_user, holder].append(part)
        end_ms = end * MINUTE_MS
        if end_ms > now_ms or not any(_goes_on(it, until_ms, end_ms, ttl_ms) for it in denied.values()):
            break
        begin, end = end, end + -(-step_ms // MINUTE_MS)
        step_ms *= 2
    for parts in denied.values():
        parts.sort(key=lambda part: part.first_at_ms)
    return denied


def _counted_by_user(tenant: Tenant) -> frozenset[str]:
    return frozenset(pool.name for pool in tenant.pools.values() if pool.duplicates is Duplicates.USER)


def _pools_that_are_one(tenant: Tenant) -> Mapping[str, str]:
    """By pool: the first of those that stand in for each other in a scope, also by way of others."""
    one_of: dict[str, str] = {}
    for scope in tenant.scopes.values():
        if len(scope.pools) < 2:  # noqa: PLR2004 - it has no other
            continue
        together = {one_of.get(name, name) for name in scope.pools}
        first = min(together)
        one_of |= dict.fromkeys(scope.pools, first)
        one_of |= {name: first for name, one in one_of.items() if one in together}
    return one_of


def _rows(connection: Connection, tenant: Tenant, begin: int, end: int) -> Iterable[_Denied]:
    """The denials of each pool, those of one minute together, folded or not."""
    whole = schema.whole_denials.c
    query: Select[Any] = select(schema.whole_denials).where(
        whole.tenant_id == tenant.id,
        whole.minute >= begin,
        whole.minute < end,
        whole.reason.in_(sorted(CURED_BY_SEATS)),
    )
    found: dict[tuple[str, str, str, int], _Denied] = {}
    for row in connection.execute(query):
        denied = _Denied(
            row.pool, row.client_id, row.initials, int(row.times), row.first_at_ms, row.last_at_ms
        )
        key = (row.pool, row.client_id, row.reason, row.minute)
        before = found.get(key)
        found[key] = denied if before is None else before.with_more(denied)
    return found.values()


def _goes_on(parts: Sequence[_Denied], until_ms: int, end_ms: int, ttl_ms: int) -> bool:
    """Whether a run that began before `until_ms` may go on after what was read; grants are left out here."""
    last_ms = first_ms = parts[0].first_at_ms
    for part in sorted(parts, key=lambda it: it.first_at_ms):
        if part.first_at_ms - last_ms >= ttl_ms:
            first_ms = part.first_at_ms
        last_ms = max(last_ms, part.last_at_ms)
    return first_ms < until_ms and last_ms + ttl_ms > end_ms


def _grants(
    connection: Connection, tenant: Tenant, denied: Mapping[_Key, Sequence[_Denied]], now_ms: int
) -> Mapping[_Key, Sequence[int]]:
    """When each of these holders was granted a seat, in order: the first and the last time of each minute."""
    ttl_ms, one_of = tenant.session_ttl_s * 1000, _pools_that_are_one(tenant)
    whole = schema.whole_journal.c
    query = select(whole.pool, whole.client_id, whole.initials, whole.first_at_ms, whole.last_at_ms).where(
        whole.tenant_id == tenant.id, whole.kind == _GRANTED, whole.pool != ""
    )
    found: defaultdict[_Key, set[int]] = defaultdict(set)
    spans = ((part.first_at_ms, part.last_at_ms + ttl_ms) for parts in denied.values() for part in parts)
    for begin_ms, end_ms in _united(spans):
        begin, end = begin_ms // MINUTE_MS, min(end_ms, now_ms) // MINUTE_MS
        for row in connection.execute(query.where(whole.minute >= begin, whole.minute <= end)):
            pools = one_of.get(row.pool, row.pool)
            for key in ((pools, True, row.initials), (pools, False, row.client_id)):
                if key in denied:
                    found[key] |= {row.first_at_ms, row.last_at_ms}
    return {key: sorted(instants) for key, instants in found.items()}


def _united(spans: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """These spans, in order; those that are less than an hour apart are one."""
    begin_ms = end_ms = None
    for first_ms, last_ms in sorted(spans):
        if begin_ms is not None and end_ms is not None and first_ms <= end_ms + HOUR_MS:
            end_ms = max(end_ms, last_ms)
            continue
        if begin_ms is not None and end_ms is not None:
            yield begin_ms, end_ms
        begin_ms, end_ms = first_ms, last_ms
    if begin_ms is not None and end_ms is not None:
        yield begin_ms, end_ms


def _wants_of(denied: Iterable[_Denied], grants: Sequence[int], ttl_ms: int, now_ms: int) -> Iterator[Want]:
    """The wants of one holder."""
    want: Want | None = None
    for part in (piece for whole in denied for piece in _split(whole, grants)):
        if want is not None:
            served_at_ms = _served(want, grants, min(part.first_at_ms, want.last_at_ms + ttl_ms - 1))
            if served_at_ms is None and part.first_at_ms - want.last_at_ms < ttl_ms:
                want = want._replace(
                    attempts=want.attempts + part.times,
                    last_at_ms=max(want.last_at_ms, part.last_at_ms),
                    known_at_ms=(want.known_at_ms + _instants(part))[:KNOWN_MAX],
                )
                continue
            yield want._replace(served_at_ms=served_at_ms, is_over=True)
        want = Want(
            pool=part.pool,
            client_id=part.client_id,
            initials=part.initials,
            attempts=part.times,
            first_at_ms=part.first_at_ms,
            last_at_ms=part.last_at_ms,
            served_at_ms=None,
            is_over=False,
            known_at_ms=_instants(part),
        )
    if want is not None:
        served_at_ms = _served(want, grants, min(now_ms, want.last_at_ms + ttl_ms - 1))
        is_over = served_at_ms is not None or now_ms >= want.last_at_ms + ttl_ms
        yield want._replace(served_at_ms=served_at_ms, is_over=is_over)


def _instants(denied: _Denied) -> tuple[int, ...]:
    return (denied.first_at_ms,) if denied.times == 1 else (denied.first_at_ms, denied.last_at_ms)


def _split(denied: _Denied, grants: Sequence[int]) -> Iterator[_Denied]:
    """These denials as one, or as those before and the one after a grant that came between them."""
    at = bisect_left(grants, denied.first_at_ms + 1)
    if denied.times > 1 and at < len(grants) and grants[at] < denied.last_at_ms:
        yield denied._replace(times=denied.times - 1, last_at_ms=denied.first_at_ms)
        yield denied._replace(times=1, first_at_ms=denied.last_at_ms)
    else:
        yield denied


def _served(want: Want, grants: Sequence[int], until_ms: int) -> int | None:
    """The first grant after the last denial of a want, until then."""
    at = bisect_left(grants, want.last_at_ms)
    return grants[at] if at < len(grants) and grants[at] <= until_ms else None
