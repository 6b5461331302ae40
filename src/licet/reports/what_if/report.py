"""Answers what another set-up of a pool would have done, beside what was, and with which error.

Today's set-up is replayed too (`replay.py`). By how much that misses what was recorded is the error of the
method, also where the set-up was changed within the span, and is reported with the answer. Where nothing was
recorded there is nothing to compare with, and the answer says so.

The module only reads.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from msgspec.structs import replace
from sqlalchemy import Connection

from licet.formats import counted
from licet.journal.wants import wants
from licet.ledger.signed_pools import room_of, seats_of
from licet.model import Duplicates, Pool, Tenant, Value
from licet.reports.timeline import pools_of, timeline
from licet.reports.true_denials import TrueDenials, true_denials
from licet.reports.usage_queries import Span
from licet.reports.what_if.enough import Enough, enough
from licet.reports.what_if.replay import Replayed, Rules, Setup, replay
from licet.reports.what_if.visits import TooManyVisits, visits
from licet.setup.options.contradictions import disagreements, must_know_names
from licet.setup.options.kinds import Shares
from licet.units import DAY_MS, MINUTE_MS

REPLAY_MS_MAX = 31 * DAY_MS  # where somebody waits for the answer: some seconds for a thousand clients
_OF_SEATS = frozenset({"reserve", "named"})  # rules that the number of seats bounds
TOO_LONG = "A span that is replayed has 31 days at most."


class Other(Value, frozen=True, kw_only=True):
    """What of a pool is to be another; None is as it is today. Times are in seconds."""

    seats: int | None = None
    overdraft: int | None = None
    hold_s: int | None = None
    session_ttl_s: int | None = None
    duplicates: Duplicates | None = None
    rules: Mapping[str, Any] = MappingProxyType({})  # those of `replay.Rules` that change, by their fields


class WhatIf(Value, frozen=True, kw_only=True):
    """A pool in a span: what was recorded, what a replay with today's set-up gives, and with another one.

    `peak_error` and `turned_away_error` are by which part the replay of today's set-up misses the recorded
    peak and the recorded true denials: 0.01 is one per cent. They are None where there is nothing to compare
    with: `peak_error` where no seat was recorded, `turned_away_error` where no true denial was, unless there
    were seats and the replay has no true denial either.
    """

    tenant: str
    pool: str
    from_ms: int
    until_ms: int
    recorded_peak: int
    recorded: TrueDenials
    today_setup: Setup
    today: Replayed
    peak_error: float | None
    turned_away_error: float | None
    other_setup: Setup
    other: Replayed


def what_if(  # noqa: PLR0917 - what of which pool, from when until when
    connection: Connection,
    tenant: Tenant,
    pool: Pool,
    other: Other,
    from_ms: int,
    until_ms: int,
    *,
    now_ms: int,
) -> WhatIf:
    """Replay a span, which ends now at the latest, with today's set-up and with another.

    Raises TooManyVisits, and as a change of the pool to these rules would NotFound and InvalidValue.
    """
    today_setup = today_of(tenant, pool, now_ms)
    other_setup = _other(today_setup, other)
    _check_rules(tenant, pool, other, other_setup.seats)
    from_ms -= from_ms % MINUTE_MS
    end_ms = until_ms if until_ms < now_ms else now_ms + 1
    wanted = [it for it in wants(connection, tenant, from_ms, end_ms, now_ms=now_ms) if it.pool == pool.name]
    found = visits(connection, tenant, pool.name, wanted, from_ms, end_ms, now_ms)
    ttl_s, groups = tenant.session_ttl_s, tenant.groups
    today = replay(found, today_setup, recorded_ttl_s=ttl_s, until_ms=end_ms, groups=groups)
    changed = today
    if other_setup != today_setup:
        changed = replay(found, other_setup, recorded_ttl_s=ttl_s, until_ms=end_ms, groups=groups)
    peak = _recorded_peak(connection, tenant, pool, from_ms, end_ms, now_ms)
    recorded = true_denials(wanted)
    return WhatIf(
        tenant=tenant.name,
        pool=pool.name,
        from_ms=from_ms,
        until_ms=min(until_ms, now_ms),
        recorded_peak=peak,
        recorded=recorded,
        today_setup=today_setup,
        today=today,
        peak_error=_error(today.peak, peak),
        turned_away_error=_denials_error(today.turned_away, recorded.turned_away, peak),
        other_setup=other_setup,
        other=changed,
    )


def trust_in(found: WhatIf) -> str:
    """How far the answer can be trusted: by how much today's set-up, replayed, misses what was recorded."""
    nothing = "no seats were recorded in this period, so nothing to check against"
    if found.turned_away_error is None:
        denials = f"has {counted(found.today.turned_away, 'true denial')} where none were recorded"
    else:
        denials = f"misses the recorded true denials by {found.turned_away_error:.1%}"
    if found.peak_error is not None:
        return f"replayed, today's set-up misses the recorded peak by {found.peak_error:.1%}, and {denials}"
    if found.turned_away_error is None:
        return nothing
    return f"{nothing} but true denials; replayed, today's set-up {denials}"


def enough_of(  # noqa: PLR0917 - for which pool, from when until when
    connection: Connection, tenant: Tenant, pool: Pool, from_ms: int, until_ms: int, now_ms: int
) -> Enough | None:
    """What would have been enough for a pool in a span, by replays; None where there is too much to try."""
    from_ms -= from_ms % MINUTE_MS
    end_ms = until_ms if until_ms < now_ms else now_ms + 1
    wanted = [it for it in wants(connection, tenant, from_ms, end_ms, now_ms=now_ms) if it.pool == pool.name]
    try:
        found = visits(connection, tenant, pool.name, wanted, from_ms, end_ms, now_ms)
    except TooManyVisits:
        return None
    today = today_of(tenant, pool, now_ms)
    ttl_s, groups = tenant.session_ttl_s, tenant.groups
    return enough(found, today, recorded_ttl_s=ttl_s, until_ms=end_ms, groups=groups)


def today_of(tenant: Tenant, pool: Pool, now_ms: int) -> Setup:
    """The set-up of a pool that counts now."""
    seats = seats_of(pool, now_ms)
    return Setup(
        seats=seats,
        overdraft=room_of(pool, now_ms) - seats,
        hold_s=tenant.hold_s_of(pool),
        session_ttl_s=tenant.session_ttl_s,
        duplicates=pool.duplicates,
        rules=_rules(pool),
    )


def _other(today: Setup, other: Other) -> Setup:
    def of(value: int | None, now: int) -> int:
        return now if value is None else value

    return Setup(
        seats=of(other.seats, today.seats),
        overdraft=of(other.overdraft, today.overdraft),
        hold_s=of(other.hold_s, today.hold_s),
        session_ttl_s=of(other.session_ttl_s, today.session_ttl_s),
        duplicates=today.duplicates if other.duplicates is None else other.duplicates,
        rules=replace(today.rules, **_as_texts(other.rules)),
    )


def _rules(pool: Pool) -> Rules:
    return Rules(**_as_texts({field: getattr(pool, field) for field in Rules.__struct_fields__}))


def _as_texts(rules: Mapping[str, Any]) -> dict[str, Any]:
    return {
        field: tuple(Shares().fact(value) or ()) if field in {"reserve", "max"} else value
        for field, value in rules.items()
    }


def _check_rules(tenant: Tenant, pool: Pool, other: Other, seats: int) -> None:
    """Return if the rules name whom there is, and do not contradict each other.

    There may be too few seats for the rules as they are today, as with a smaller licence, and not for others.
    """
    if not other.rules:
        return
    tried = replace(pool, **other.rules)
    known = {"user": tenant.users, "client": tenant.clients, "group": tenant.groups}
    must_know_names(tried, tenant.name, known)
    for found in disagreements(tried, seats if other.rules.keys() & _OF_SEATS else None):
        raise found.refusal(pool.name, tenant.name)


def _recorded_peak(  # noqa: PLR0917 - of which pool, from when until when
    connection: Connection, tenant: Tenant, pool: Pool, from_ms: int, end_ms: int, now_ms: int
) -> int:
    span = Span(connection, tenant.id, from_ms, end_ms, now_ms, None)
    known = pools_of(connection, tenant, now_ms).get(pool.name)  # None where it was removed a moment ago
    steps = timeline(span, pool.name, known, span.taken(pool.id), span.steps(pool.name))
    return max(step.peak for step in steps)


def _error(replayed: int, recorded: int) -> float | None:
    return round(abs(replayed - recorded) / recorded, 4) if recorded else None


def _denials_error(replayed: int, recorded: int, peak: int) -> float | None:
    """Where seats were used, and both the journal and the replay have nobody turned away, they agree."""
    return 0.0 if peak and replayed == recorded == 0 else _error(replayed, recorded)
