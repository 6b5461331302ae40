"""What a span of time was like, as answered.

Made by `docs/make_admin_client.py`; edit that instead.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from licet.admin_client.words import Duplicates, SplitBy


@dataclass(frozen=True, kw_only=True)
class Burst:
    """Denials that came within a short time, once; `seats` are as many as would have avoided them."""

    from_: datetime
    until: datetime
    denials: int
    seats: int


@dataclass(frozen=True, kw_only=True)
class Advice:
    """How many seats to have, and the burst for which these are too few."""

    seats: int
    burst: Burst | None


@dataclass(frozen=True, kw_only=True)
class CostPart:
    """What a group or a cost centre has of a pool; without a `name` it is who is in none.

    `held_s` is for how long its clients held seats, `idle_s` of that after their last use.
    `unused_s` is its part of the time for which nobody held a seat. `share` is its part of the
    pool, 0 to 1, and `cost` of the price, where there is one.
    """

    name: str | None
    clients: int
    held_s: float
    idle_s: float
    unused_s: float
    share: float
    cost: float | None


@dataclass(frozen=True, kw_only=True)
class PoolCosts:
    """A pool and its parts, the largest first.

    `seats_s` is how long its seats were there, all together. Of that nobody held `unused_s`. `cost`
    is what all of it costs, where there is a price.
    """

    pool: str
    seats_s: float
    held_s: float
    unused_s: float
    cost: float | None
    parts: tuple[CostPart, ...]


@dataclass(frozen=True, kw_only=True)
class Costs:
    """The pools of a tenant in a span, split.

    `price` is that of one seat for the span.
    """

    tenant: str
    from_: datetime
    until: datetime
    by: SplitBy
    price: float | None
    pools: tuple[PoolCosts, ...]


@dataclass(frozen=True, kw_only=True)
class Denials:
    """How often a client was denied a seat for one reason, when first and last."""

    client_id: str
    user: str
    reason: str
    times: int
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True, kw_only=True)
class HarvestClient:
    """For how long a client held seats of a pool, how much of that idle, and how its sessions ended.

    `idle_share` is 0 to 1. `user_name` is empty when the user was removed.
    """

    client_id: str
    user: str
    user_name: str
    held_s: float
    idle_s: float
    idle_share: float
    logoffs: int
    expired: int
    never_logs_off: bool


@dataclass(frozen=True, kw_only=True)
class HarvestPool:
    """A pool in a span.

    The client that held seats idle for the longest time comes first. `unused` are the enabled
    clients that may ask for a seat of the pool, and held none.
    """

    pool: str
    seats: int
    peak: int
    held_s: float
    idle_s: float
    true_denials: int
    clients: tuple[HarvestClient, ...]
    unused: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Harvest:
    """The pools of a tenant in a span."""

    tenant: str
    from_: datetime
    until: datetime
    pools: tuple[HarvestPool, ...]


@dataclass(frozen=True, kw_only=True)
class HeatCell:
    """One hour of the week, by the reader's clock: Monday is 0.

    Only hours within the span are listed. `mean` is the mean of the peaks of these hours, `peak`
    the highest of them.
    """

    weekday: int
    hour: int
    mean: float
    peak: int
    denials: int


@dataclass(frozen=True, kw_only=True)
class Held:
    """For how long a client's seats were held, in total.

    `user_name` is empty when the user was removed. `idle_s` of that passed between the last use of
    a seat and its return.
    """

    client_id: str
    user: str
    user_name: str
    held_s: float
    idle_s: float


@dataclass(frozen=True, kw_only=True)
class HeldByUser:
    """The same of all clients of a user."""

    user: str
    user_name: str
    held_s: float
    idle_s: float


@dataclass(frozen=True, kw_only=True)
class KeptStatement:
    """A statement that is kept: its number, its span, when it was made, and its hash, which the next has.."""

    seq: int
    from_: datetime
    until: datetime
    made_at: datetime
    hash: str


@dataclass(frozen=True, kw_only=True)
class Peak:
    """A part of a span: the most seats in use at once, how many there were at its end, and the denials.

    `turned_away` are the true denials: those who wanted a seat and got none.
    """

    from_: datetime
    until: datetime
    peak: int
    seats: int
    denials: int
    turned_away: int


@dataclass(frozen=True, kw_only=True)
class Remaining:
    """The denials that would have remained if the pool had had so many seats."""

    seats: int
    denials: int


@dataclass(frozen=True, kw_only=True)
class Tally:
    """How many sessions began, and how many ended for which reason."""

    grants: int
    endings: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class TurnedAway:
    """How often a client wanted a seat and got none, in how many attempts, and when last."""

    client_id: str
    user: str
    times: int
    attempts: int
    last_at: datetime


@dataclass(frozen=True, kw_only=True)
class TrueDenials:
    """Who wanted a seat of a pool, and what became of it.

    `attempts` are the single denials, of which a client that tries again makes many. `wants` is how
    many times somebody wanted a seat; of these, `served` got one, `turned_away` got none (true
    denials), and `waiting` is still undecided. The waits are those of the served, from the first
    denial to the grant: half of them waited for `wait_median_s` at most. `clients` are those that
    were turned away.
    """

    attempts: int
    wants: int
    served: int
    turned_away: int
    waiting: int
    wait_median_s: float
    wait_longest_s: float
    clients: tuple[TurnedAway, ...]


@dataclass(frozen=True, kw_only=True)
class PoolUsage:
    """One pool in a span.

    `seats` is None when the pool was removed. `peak` is the high-water mark, and `peak_at` the
    minute in which it was reached first; the start of the span when it was reached before.
    `remaining` begins with the current seats, and ends where more seats would not have helped: see
    `with_seats`. `advice` is how many seats to have. `denials` are attempts; `true_denials` is how
    many wanted a seat, and got none in the end.
    """

    pool: str
    seats: int | None
    peak: int
    peak_at: datetime
    hours: tuple[Peak, ...]
    days: tuple[Peak, ...]
    heat: tuple[HeatCell, ...]
    held_s: float
    idle_s: float
    held: tuple[Held, ...]
    users: tuple[HeldByUser, ...]
    denials: tuple[Denials, ...]
    remaining: tuple[Remaining, ...]
    advice: Advice
    sessions: Tally
    true_denials: TrueDenials


@dataclass(frozen=True, kw_only=True)
class Replayed:
    """What would have been: the most seats at once, and what became of those who wanted one.

    `wants` is how many were denied at first; `served` got a seat later, `turned_away` got none
    (true denials). The waits are those of the served. `waiting` had not got one when the span
    ended.
    """

    peak: int
    grants: int
    wants: int
    served: int
    turned_away: int
    waiting: int
    wait_median_s: float
    wait_longest_s: float


@dataclass(frozen=True, kw_only=True)
class Rules:
    """The options of a pool that are replayed, with the texts of the command line: `2:group:sales`."""

    exclude: tuple[str, ...]
    include: tuple[str, ...]
    named: tuple[str, ...]
    reserve: tuple[str, ...]
    max: tuple[str, ...]
    max_per_user: int | None
    max_per_client: int | None


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What is replayed: seats, overdraft, hold, `session_ttl`, who shares a seat, and the options."""

    seats: int
    overdraft: int
    hold_s: int
    session_ttl_s: int
    duplicates: Duplicates
    rules: Rules


@dataclass(frozen=True, kw_only=True)
class TrueUpDay:
    """One day of a pool.

    `seats` is their number at its end, without overdraft. `peak` is the most in use at once, and
    `overdraft_peak` the most above the seats. `overdraft_s` is the time above the seats, each seat
    counted. `true_denials` is how many wanted a seat that day and got none.
    """

    from_: datetime
    until: datetime
    seats: int
    peak: int
    overdraft_peak: int
    overdraft_s: float
    true_denials: int


@dataclass(frozen=True, kw_only=True)
class TrueUpPool:
    """A pool in a span: each of its days, and the same of all of them together.

    `added_at` is when it was added, if that was after the span began and is known.
    """

    pool: str
    is_signed: bool
    added_at: datetime | None
    peak: int
    overdraft_peak: int
    overdraft_s: float
    true_denials: int
    days: tuple[TrueUpDay, ...]


@dataclass(frozen=True, kw_only=True)
class TrueUp:
    """The pools of a tenant in a span."""

    tenant: str
    from_: datetime
    until: datetime
    pools: tuple[TrueUpPool, ...]


@dataclass(frozen=True, kw_only=True)
class Usage:
    """All pools of a tenant in a span, and the sessions that needed no seat."""

    tenant: str
    from_: datetime
    until: datetime
    pools: tuple[PoolUsage, ...]
    unlicensed: Tally


@dataclass(frozen=True, kw_only=True)
class WhatIf:
    """A pool in a span: what was recorded, what a replay with today's set-up gives, and with another one.

    `peak_error` and `turned_away_error` are by which part the replay of today's set-up misses the
    recorded peak and the recorded true denials: 0.01 is one per cent. They are None where there is
    nothing to compare with: `peak_error` where no seat was recorded, `turned_away_error` where no
    true denial was, unless there were seats and the replay has no true denial either.
    """

    tenant: str
    pool: str
    from_: datetime
    until: datetime
    recorded_peak: int
    recorded: TrueDenials
    today_setup: Setup
    today: Replayed
    peak_error: float | None
    turned_away_error: float | None
    other_setup: Setup
    other: Replayed
