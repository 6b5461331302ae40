"""Holds a session as the store had it when an API asked about it, and follows a question to the store."""

from collections.abc import Sequence
from typing import NamedTuple

from licet.model import Session
from licet.store.contract import LiveSessions, Reading


class Read(NamedTuple):
    """A session as the store has it at `now_ms`, None where it does not live.

    `seat_number` is the number of its seat in a signed pool (L13), else 0.
    """

    now_ms: int
    session: Session | None
    seat_number: int = 0


class StartedRead:
    """A question about these sessions that was sent to the store; see `licet.lanes.contract.Started`."""

    def __init__(self, sids: Sequence[bytes], reading: Reading) -> None:
        self.socket = reading.socket
        self.give_up, self.end = reading.give_up, reading.end
        self._sids, self._reading = sids, reading

    def proceed(self) -> list[Read] | None:
        """What is read of each session, in their order; None while more is to come.

        Raises StoreUnavailable.
        """
        found = self._reading.proceed()
        return None if found is None else reads_of(self._sids, found)


def reads_of(sids: Sequence[bytes], found: LiveSessions) -> list[Read]:
    """What was found of each of these, in their order."""
    now_ms, sessions, numbers = found
    return [Read(now_ms, sessions.get(sid), numbers.get(sid, 0)) for sid in sids]
