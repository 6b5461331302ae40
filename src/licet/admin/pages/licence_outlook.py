"""Says in words what licences give a pool now, what comes next, and whether somebody has to act.

    found = outlook(tenant.pool_named("full"), now_ms, in_use=4)
    found.notice          # Notice(kind=SOON, ending=12, of=25, at_ms=...), or None

The rules:

- A notice asks for a renewal: seats end within 30 days, are given by a grace, or have ended lately
  (`licences/ends.py`, as for alerts); and no renewal that is installed puts that off.

It is pure; times are written by the template, in the reader's zone.
"""

from collections.abc import Iterator
from enum import StrEnum
from itertools import pairwise
from typing import NamedTuple

from licet.formats import counted
from licet.ledger.signed_pools import room_of, seats_of
from licet.licences.ends import SeatsEnd, lost_seats, near_ends
from licet.licences.steps import SignedSeats, Step
from licet.model import Pool, Tenant
from licet.setup.signed_limits import why_no_seats
from licet.units import DAY_MS

CHANGES_SHOWN = 6  # of one pool; the table below its picture has all


class Kind(StrEnum):
    """Why a licence needs a renewal."""

    SOON = "soon"  # some seats end within 30 days
    LAST_DAY = "last-day"
    GRACE = "grace"  # some are given by a licence that has expired
    ENDED = "ended"  # some have ended
    NONE = "none"  # the pool needs a licence, and none gives it a seat


class Notice(NamedTuple):
    """Of a pool, `ending` of `of` seats end, or have ended, at `at_ms`; None where no end is known.

    The seats that end go on until `grace_until_ms` where the licence has a grace.
    """

    pool: str
    kind: Kind
    ending: int
    of: int
    at_ms: int | None
    grace_until_ms: int | None = None


class Change(NamedTuple):
    """What changes at an instant. `form` is how the instant is shown: an end, or a begin."""

    at_ms: int
    text: str
    form: str


class Outlook(NamedTuple):
    """What a signed pool has now, and what comes next.

    `limit` is what the set-up leaves to it, seats and overdraft, where that is less than what is signed.
    """

    pool: Pool
    step: Step
    in_use: int
    limit: tuple[int, int] | None
    changes: tuple[Change, ...]
    changes_more: int
    notice: Notice | None


def outlooks(tenant: Tenant, now_ms: int, in_use: dict[str, int]) -> list[Outlook]:
    """Those of the signed pools of a tenant, by name; `in_use` are their seats in use."""
    pools = sorted(tenant.pools.values(), key=lambda pool: pool.name)
    return [outlook(pool, now_ms, in_use.get(pool.name, 0)) for pool in pools if pool.signed is not None]


def outlook(pool: Pool, now_ms: int, in_use: int) -> Outlook:
    """The outlook of a signed pool."""
    assert pool.signed is not None
    step, seats, room = pool.signed.at(now_ms), seats_of(pool, now_ms), room_of(pool, now_ms)
    changes = tuple(_changes(pool.signed, now_ms))
    return Outlook(
        pool=pool,
        step=step,
        in_use=in_use,
        limit=(seats, room - seats) if room < step.signed else None,
        changes=changes[:CHANGES_SHOWN],
        changes_more=max(0, len(changes) - CHANGES_SHOWN),
        notice=notice(pool, now_ms),
    )


def notices(tenant: Tenant | None, now_ms: int) -> dict[str, Notice]:
    """Those of the pools of a tenant, by the pool's name; for pages that show pools."""
    found = {} if tenant is None else {it.name: _of_pool(tenant, it, now_ms) for it in tenant.pools.values()}
    return {name: it for name, it in sorted(found.items()) if it is not None}


def notice(pool: Pool, now_ms: int) -> Notice | None:
    """Why a licence of a signed pool needs a renewal; None where none does. The nearest end is noticed."""
    assert pool.signed is not None
    if (end := next(near_ends(pool.signed, now_ms), None)) is not None:
        return _of_end(pool.name, end, now_ms)
    if (lost := lost_seats(pool.signed, now_ms)) is not None:
        return Notice(pool.name, Kind.ENDED, lost.before - lost.after, lost.before, lost.expires_at_ms)
    return None if pool.signed.at(now_ms).signed else Notice(pool.name, Kind.NONE, 0, 0, None)


def _of_pool(tenant: Tenant, pool: Pool, now_ms: int) -> Notice | None:
    if pool.signed is not None:
        return notice(pool, now_ms)
    return Notice(pool.name, Kind.NONE, 0, 0, None) if why_no_seats(tenant, pool) else None


def change_text(before: Step, step: Step) -> str:
    """What a step changes, in words."""
    if step.conflict is not None:
        return "its licences contradict each other, and give no seat"
    more, grace = step.signed - before.signed, ""
    if 0 < step.in_grace < step.signed:
        grace = f", {step.in_grace:,} of them in grace"
    if more < 0:
        left = f"{step.signed:,} {_are(step.signed)}" if step.signed else "none is"
        return f"{counted(-more, 'seat')} {_end(-more)}, and {left} left{grace}"
    now = counted(step.signed, "seat")
    if more > 0:
        begin = "begins" if step.signed == 1 else "begin"
        return f"{more:,} more, {now} then{grace}" if before.signed else f"{now} {begin}{grace}"
    expired = step.in_grace - before.in_grace
    if expired > 0:
        end = "expires, and goes" if expired == 1 else "expire, and go"
        return f"{counted(expired, 'seat')} {end} on in grace"
    return f"a renewal takes over, {now} as before{grace}"


def is_end(before: Step, step: Step) -> bool:
    """Whether something ends at a step; its instant is then shown as an end: the last day."""
    return step.signed < before.signed or step.in_grace > before.in_grace


def _changes(signed: SignedSeats, now_ms: int) -> Iterator[Change]:
    for before, step in pairwise((signed.at(now_ms), *signed.after(now_ms))):
        form = "end" if is_end(before, step) else "moment"
        yield Change(step.from_ms, change_text(before, step), form)


def _of_end(pool: str, end: SeatsEnd, now_ms: int) -> Notice:
    ending = end.before - end.after
    if end.expires_at_ms <= now_ms:
        return Notice(pool, Kind.GRACE, ending, end.before, end.ends_at_ms)
    kind = Kind.LAST_DAY if end.expires_at_ms - now_ms <= DAY_MS else Kind.SOON
    grace_until_ms = end.ends_at_ms if end.has_grace else None
    return Notice(pool, kind, ending, end.before, end.expires_at_ms, grace_until_ms)


def _end(count: int) -> str:
    return "ends" if count == 1 else "end"


def _are(count: int) -> str:
    return "is" if count == 1 else "are"
