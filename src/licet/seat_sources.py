"""Counts the addresses that use a seat, from a short text in its row that each new token updates.

Credentials or a refresh token that are passed on to other machines share one seat, and no token shows that.
The number of addresses that ask for tokens with the seat does.

The rules:

- A source is an IPv4 address or the /64 of an IPv6 address (`networks.source_of`). Only the sources of one
  day (UTC) count: a machine that gets another address each night is one machine.
- A seat's row has `SOURCES_MAX` of them at most. One more makes the number `SOURCES_MAX` + 1, which means
  more than `SOURCES_MAX`, and nothing more is added on that day.
- The text is `DAY/MOST SOURCE SOURCE ...`: the day's number since 1970, the most sources of an earlier day,
  and the sources of that day in the order in which they came. '' means that nothing is known.
"""

from functools import lru_cache
from typing import Final

from licet.units import DAY_MS

SOURCES_MAX: Final = 16  # some 600 bytes of a row at most; a seat shared by so many is reported anyway
_MORE = "+"
_REMEMBERED_MAX: Final = 4096  # some 5 MB at most: a client asks from where it asked before


def used_from(sources: str, source: str, at_ms: int) -> str:
    """The text after a token was issued to this source."""
    return _used_from(sources, source, at_ms // DAY_MS) if source else sources


@lru_cache(_REMEMBERED_MAX)
def _used_from(sources: str, source: str, day: int) -> str:
    most = 0
    if sources:
        head, *known = sources.split(" ")
        begun, _, before = head.partition("/")
        if day <= int(begun):
            if source in known or len(known) > SOURCES_MAX:
                return sources
            return f"{sources} {source if len(known) < SOURCES_MAX else _MORE}"
        most = max(int(before), len(known))
    return f"{day}/{most} {source}"


def addresses(sources: str) -> int:
    """How many addresses used a seat on the last day on which one did; `SOURCES_MAX` + 1 is more."""
    return sources.count(" ")


def most_addresses(sources: str) -> int:
    """The most addresses that used a seat on one day."""
    if not sources:
        return 0
    return max(int(sources.partition(" ")[0].partition("/")[2]), addresses(sources))


def counted_addresses(number: int) -> str:
    """A number of addresses as a person reads it: `3`, `16+`."""
    return f"{SOURCES_MAX}+" if number > SOURCES_MAX else str(number)
