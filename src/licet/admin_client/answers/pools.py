"""Pools and who waits for them, as answered.

Made by `docs/make_admin_client.py`; edit that instead.
"""

from dataclasses import dataclass, field
from datetime import datetime

from licet.admin_client.words import Duplicates, LicenceCode


@dataclass(frozen=True, kw_only=True)
class Priority:
    """A level in the queue, for a user, a client or a group."""

    for_: str
    # From 9, the first, to -9; 0 is usual.
    level: int


@dataclass(frozen=True, kw_only=True)
class SeatStep:
    """How many seats the licences of a pool give from an instant on, until the next step."""

    # null is from the beginning.
    from_: datetime | None
    seats: int
    # Seats in addition to these.
    overdraft: int
    # How many of both are given by licences that have expired.
    in_grace: int
    # The ids of the licences that give them.
    licences: tuple[str, ...]
    # Why these licences give nothing: they contradict each other.
    conflict: LicenceCode | None


@dataclass(frozen=True, kw_only=True)
class Share:
    """So many seats, for a user, a client or a group."""

    for_: str
    seats: int


@dataclass(frozen=True, kw_only=True)
class Pool:
    """A counted licence."""

    name: str
    # The set limit: null is all that licences sign, and no seats in a pool without a licence.
    seats: int | None
    # Whose sessions share a seat.
    duplicates: Duplicates
    # When the licence ends; null is never.
    expires_at: datetime | None
    # What alerts are raised at: percentages of seats in use, `denied`, `expires`, and `shared:5`,
    # a seat that is used from 5 addresses or more in a day.
    alerts: tuple[str, ...]
    # How long a seat is on hold for its holder after the last token issued with it, in seconds,
    # as the pool says.
    hold_s: int
    # How much of the signed overdraft may be used; null is all of it.
    overdraft: int | None
    # Who gets no seat.
    exclude: tuple[str, ...]
    # Only they get a seat; empty is everybody.
    include: tuple[str, ...]
    # Initials of the only users who get a seat; empty is everybody.
    named: tuple[str, ...]
    # Seats that nobody else gets.
    reserve: tuple[Share, ...]
    # How many seats somebody has at most.
    max: tuple[Share, ...]
    # How many each user has at most; null is no limit.
    max_per_user: int | None
    # How many each client has at most; null is no limit.
    max_per_client: int | None
    # Priorities in the queue.
    priority: tuple[Priority, ...]
    # How many may wait for a seat; 0 is no queue.
    queue: int
    # How long a place is kept for a client that does not ask again, in seconds.
    queue_hold_s: int
    # The hold that counts: at least `access_ttl_s` where access tokens are JWTs.
    effective_hold_s: int
    # Whether licences determine its seats.
    signed: bool
    # How many seats they give now, without overdraft; null is unsigned.
    signed_seats: int | None
    # How many seats it has now: the lesser of both.
    effective_seats: int
    # The seats of its licences over time, in order; empty if it is unsigned.
    steps: tuple[SeatStep, ...]
    etag: str = field(default="", compare=False)  # for `if_match`


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """A client that waits in line, and its user; `place` is 1 for the first.

    `level` is its priority. It has waited since `since`, and loses its place at `until` unless it
    asks again before.
    """

    place: int
    client_id: str
    user: str
    user_name: str
    level: int
    since: datetime
    until: datetime
