"""Makes a change of licences or of trust, or shows what it would do: which seats change, which sessions end.

    trial = tried(context, visit.identity, lambda change: install(change, "Jim_Test", content), agreed=None)

The rules:

- Nothing is changed before somebody has seen what it does, and no more than that ends (`is_within`).
- What it would do is found by doing it and rolling it back, so that the question is exact.

It waits for the store: call it in a thread.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from sqlalchemy import select

from licet.admin.authentication import Identity
from licet.admin.context import AdminContext
from licet.admin.pages.frame import Posted
from licet.ledger.signed_pools import room_of, seats_of
from licet.model import Pool
from licet.setup.change import SetupChange
from licet.setup.consequences import Consequences, attempt, is_within
from licet.store import schema

EFFECTS_MAX = 20  # pools that a page names
_AGREED_DIGITS_MAX = 8


class Effect(NamedTuple):
    """A pool whose seats change: `before` and `after` are its seats and its overdraft now.

    `pool` is as it would be, with so many seats `in_use`; the set-up leaves it less than is signed where it
    `is_limited`.
    """

    tenant: str
    pool: Pool
    before: tuple[int, int]
    after: tuple[int, int]
    was_signed: bool
    in_use: int
    is_limited: bool


class Trial(NamedTuple):
    """What became of it. Where it is not made, that is what it would do."""

    is_made: bool
    ending: Consequences
    effects: tuple[Effect, ...]
    effects_more: int
    made: Any  # what the work returned


def agreed_of(posted: Posted) -> Consequences | None:
    """What somebody has agreed to; None where nothing was shown yet."""
    if not posted.text("sure"):
        return None
    ends, cuts = (_number(posted.text(name)) for name in ("ends", "cuts"))
    return Consequences(sessions_ended=ends, sessions_cut_short=cuts)


def tried(
    context: AdminContext,
    identity: Identity,
    work: Callable[[SetupChange], Any],
    *,
    agreed: Consequences | None,
    tenant: str | None = None,
) -> Trial:
    """Make a change if what it does was agreed to. `tenant` is the only one that it concerns, if any.

    Raises LicenceRefused, SetupError, StoreUnavailable.
    """
    made: list[Any] = []
    effects: list[Effect] = []

    def do(change: SetupChange) -> None:
        before = _pools(change, tenant)
        made[:] = [work(change)]
        effects[:] = _effects(change, before)

    trial = attempt(
        lambda within: context.change_now(identity, within),
        do,
        agrees=lambda ending: agreed is not None and is_within(ending, agreed),
    )
    more = max(0, len(effects) - EFFECTS_MAX)
    return Trial(trial.is_made, trial.ending, tuple(effects[:EFFECTS_MAX]), more, *made)


def _pools(change: SetupChange, tenant: str | None) -> Mapping[str, Mapping[str, Pool]]:
    """The pools that may change, by tenant and name; without a tenant, those of all that have signed ones."""
    return {
        name: {pool.name: pool for pool in of.pools.values()}
        for name, of in change.tenants().items()
        if name == tenant or (tenant is None and any(pool.signed for pool in of.pools.values()))
    }


def _effects(change: SetupChange, before: Mapping[str, Mapping[str, Pool]]) -> list[Effect]:
    now_ms, found = change.transaction.now_ms, []
    for tenant in sorted(before):
        pools = change.tenant(tenant).pools
        for name, was in sorted(before[tenant].items()):
            pool = pools[name]
            if pool.signed is None or pool.signed == was.signed:
                continue
            has = _has(was, now_ms), _has(pool, now_ms)
            if len(before) > 1 and has[0] == has[1]:
                continue  # of many only those that gain or lose a seat now
            is_limited = sum(has[1]) < pool.signed.at(now_ms).signed
            row = select(schema.pool.c.in_use).filter_by(id=pool.id)
            in_use = change.transaction.connection.execute(row).scalar_one()
            found.append(Effect(tenant, pool, *has, was.signed is not None, in_use, is_limited))
    return found


def _has(pool: Pool, at_ms: int) -> tuple[int, int]:
    seats = seats_of(pool, at_ms)
    return seats, room_of(pool, at_ms) - seats


def _number(text: str) -> int:
    is_number = text.isascii() and text.isdecimal() and len(text) <= _AGREED_DIGITS_MAX
    return int(text) if is_number else 0
