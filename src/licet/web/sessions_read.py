"""Holds sessions as the store had them, and remembers which of them an API has just asked about.

The rules:

- Whenever an API asks about a live access token, its session was used at that moment. Who asks pays for a
  dictionary write and for nothing else; `licet.server.upkeep` writes it down.
- At most `SESSIONS_MAX` sessions are remembered. What is beyond that is forgotten until some are written.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from licet.model import Session

SESSIONS_MAX: Final = 10_000  # some megabytes; more than one process answers for in a second


class Read(NamedTuple):
    """A session as the store has it at `now_ms`, None where it does not live.

    `seat_number` is the number of its seat in a signed pool (L13), else 0.
    """

    now_ms: int
    session: Session | None
    seat_number: int = 0


class Uses:
    """The last use of each session since uses were written down."""

    def __init__(self, sessions_max: int = SESSIONS_MAX) -> None:
        self._sessions_max = sessions_max
        self._last: dict[bytes, Read] = {}

    def note(self, sid: bytes, read: Read) -> None:
        """An API asked about a live token of this session."""
        last = self._last
        if sid in last or len(last) < self._sessions_max:
            last[sid] = read

    @property
    def is_full(self) -> bool:
        """Whether a session more would be forgotten."""
        return len(self._last) >= self._sessions_max

    def take(self) -> dict[bytes, Read]:
        """All that is remembered, which is forgotten with that."""
        taken, self._last = self._last, {}
        return taken

    def put_back(self, taken: Mapping[bytes, Read]) -> None:
        """Remember again what could not be written down, as far as there is room."""
        for sid, read in taken.items():
            if sid not in self._last:
                self.note(sid, read)
