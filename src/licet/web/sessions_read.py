"""Holds a session as the store had it when an API asked about it."""

from typing import NamedTuple

from licet.model import Session


class Read(NamedTuple):
    """A session as the store has it at `now_ms`, None where it does not live.

    `seat_number` is the number of its seat in a signed pool (L13), else 0.
    """

    now_ms: int
    session: Session | None
    seat_number: int = 0
