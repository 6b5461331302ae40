"""Chooses which licences of a tenant a server publishes to the guards of its APIs.

The rules:

- Of each licence, the serial that counted `LOOK_BACK_MS` ago and all above it: those count now, or will. A
  guard looks back a day at most, as clocks differ, so it misses no step. A serial that is over stays: it
  says that the licence has ended, and no lower one counts instead.
- `LICENCES_MAX` licences and `BYTES_MAX` bytes at most, which is what a guard accepts. Those that give seats
  now or later come first, so that only those that are over are left out.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from licet.licences.licence import SignedLicence
from licet.licences.steps import by_licence, counting

LOOK_BACK_MS: Final = 2 * 86_400_000
LICENCES_MAX: Final = 256
BYTES_MAX: Final = 262_144 - 64  # of the texts with what separates them; an answer has more around them

_SEPARATORS: Final = 3  # of a JSON array: two quotes and a comma


def published(licences: Iterable[SignedLicence], now_ms: int) -> tuple[str, ...]:
    """The texts that a guard gets at this moment."""
    from_ms = now_ms - LOOK_BACK_MS
    found = sorted(_not_replaced(licences, from_ms), key=lambda it: _is_over(it, from_ms))
    return tuple(licence.text for licence in _bounded(found))


def _not_replaced(licences: Iterable[SignedLicence], from_ms: int) -> Iterator[SignedLicence]:
    serials = by_licence(licences)
    for key in sorted(serials):
        counted = counting(serials[key], from_ms)
        lowest = 0 if counted is None else counted.serial
        yield from (licence for licence in serials[key] if licence.serial >= lowest)


def _is_over(licence: SignedLicence, from_ms: int) -> bool:
    return licence.over_at_ms is not None and licence.over_at_ms <= from_ms


def _bounded(licences: Iterable[SignedLicence]) -> Iterator[SignedLicence]:
    bytes_left, licences_left = BYTES_MAX, LICENCES_MAX
    for licence in licences:
        bytes_left -= len(licence.text) + _SEPARATORS
        licences_left -= 1
        if bytes_left < 0 or licences_left < 0:
            return
        yield licence
