"""Finds by replays the fewest seats, and the longest session life, with which nobody is turned away.

The rules:

- With as many seats as are in use at once when there is one for everybody, nobody is denied. Between none and
  these the fewest are found by halves, as one seat more turns nobody away.
- A shorter life of sessions gives back sooner what expires. Of some lives, today's first, the longest is told
  with which nobody is turned away with the seats of today.

It is pure.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from types import MappingProxyType

from msgspec.structs import replace

from licet.model import Group, Value
from licet.reports.what_if.replay import Setup, replay
from licet.reports.what_if.visits import Visit

VISITS_MAX = 60_000  # a dozen replays of these take half a minute
_LIVES_S = (3600, 1800, 1200, 900, 600, 300, 120, 60)


class Enough(Value, frozen=True, kw_only=True):
    """The fewest seats with which nobody is turned away, and the longest session life that does it as well.

    `session_ttl_s` is None where none of those that were tried, down to a minute, is short enough.
    """

    seats: int
    session_ttl_s: int | None


def enough(
    visits: Sequence[Visit],
    today: Setup,
    *,
    recorded_ttl_s: int,
    until_ms: int,
    groups: Mapping[str, Group] = MappingProxyType({}),
) -> Enough | None:
    """What would have been enough for these visits; None where they are too many to try."""
    if len(visits) > VISITS_MAX:
        return None
    replayed = partial(replay, visits, recorded_ttl_s=recorded_ttl_s, until_ms=until_ms, groups=groups)

    def turned_away(setup: Setup) -> int:
        return replayed(setup).turned_away

    most = replayed(replace(today, seats=len(visits), overdraft=0)).peak
    least = 0
    while least < most:
        seats = (least + most) // 2
        if turned_away(replace(today, seats=seats, overdraft=0)):
            least = seats + 1
        else:
            most = seats
    lives = [today.session_ttl_s, *(it for it in _LIVES_S if it < today.session_ttl_s)]
    fitting = (it for it in lives if not turned_away(replace(today, session_ttl_s=it)))
    return Enough(seats=most, session_ttl_s=next(fitting, None))
