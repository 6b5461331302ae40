"""Defines how work is submitted: one contract, whether a thread or another process does it.

The rules for all of them:

- An item is answered once, when what it asks for is durable, or it fails for the one who submitted it.
- The queue is bounded: one item more raises QueueFull at once, and is never done.
- Nobody waits for ever: after the store's time for an answer, `submit` raises StoreUnavailable.
- Closing finishes what is under way and takes nothing new.
"""

from typing import Final, Protocol, TypeVar

BATCH_MAX: Final = 256
"""Items in a batch. Measured: 20,000 sessions/s at 16 a commit, 35,000 at 256; beyond that waits grow and
work does not shrink."""

QUEUE_MAX: Final = 4096
"""Items that wait; a guess: less than a second of work."""

Item_contra = TypeVar("Item_contra", contravariant=True)
Answer_co = TypeVar("Answer_co", covariant=True)


class QueueFull(Exception):
    """There is no room for more work, or no more is taken."""


class Submitter(Protocol[Item_contra, Answer_co]):
    """Takes items from one event loop and answers them: a `Lane`, a `Committer`, or one of them traced."""

    async def submit(self, item: Item_contra, /) -> Answer_co:
        """Have an item worked on; return its answer.

        Raises QueueFull, StoreUnavailable, and what the work itself raises.
        """

    async def close(self) -> None:
        """Take nothing new, and finish what is under way."""

    @property
    def is_open(self) -> bool:
        """Whether work is taken: its thread or process runs."""

    @property
    def queue_length(self) -> int:
        """How many items wait for an answer."""
