"""Defines how work is submitted: one contract, whether a thread or another process does it.

The rules for all of them:

- Each item is answered once, when its result is durable, or fails for its submitter.
- The answer goes to a waiter: an asyncio future, or an object that continues at once, without a turn of the
  event loop.
- The queue is bounded: a further item raises QueueFull at once, and is never done.
- Every wait ends: after the store's time for an answer, the item fails with StoreUnavailable.
- Closing finishes items in progress and accepts no new ones.
"""

from abc import abstractmethod
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence

BATCH_MAX: Final = 256
"""Items in a batch. Measured: 20,000 sessions/s at 16 a commit, 35,000 at 256; beyond that waits grow and
work does not shrink."""

QUEUE_MAX: Final = 4096
"""Items that wait; a guess: less than a second of work."""

Item_contra = TypeVar("Item_contra", contravariant=True)
Answer_co = TypeVar("Answer_co", covariant=True)
Answer_contra = TypeVar("Answer_contra", contravariant=True)


class QueueFull(Exception):
    """There is no room for more work, or no more is taken."""


class Waiter(Protocol[Answer_contra]):
    """Who waits for an answer, as a future of asyncio does: called in the event loop, it raises nothing."""

    def done(self) -> bool:
        """Whether it no longer waits: it was answered, or gave up."""

    def set_result(self, answer: Answer_contra, /) -> None:
        """Take the answer."""

    def set_exception(self, fault: Exception, /) -> None:
        """Take the fault instead of an answer."""


class Started(Protocol[Answer_co]):
    """A batch that is worked on elsewhere, as by a database, and that no thread waits for."""

    @property
    def socket(self) -> int:
        """The file descriptor that becomes readable when more of the answers has arrived."""

    def proceed(self) -> "Sequence[Answer_co | Exception] | None":
        """Read what has arrived: an answer for each item in their order, or None while some are missing.

        If it raises, the batch is begun anew, in a thread.
        """

    def give_up(self) -> Exception:
        """Stop waiting, and return the fault that is everybody's answer."""

    def end(self) -> None:
        """Release what the batch used: nobody looks at the socket any more."""


class Submitter(Protocol[Item_contra, Answer_co]):
    """Takes items from one event loop and answers them: a `Lane`, a `Committer`, or one of them traced."""

    @abstractmethod
    def put(self, item: Item_contra, waiter: Waiter[Answer_co], /) -> None:
        """Have an item worked on for who waits for its answer.

        Raises QueueFull, StoreUnavailable; the waiter gets what else goes wrong.
        """

    async def submit(self, item: Item_contra, /) -> Answer_co:
        """Have an item worked on; return its answer.

        Raises QueueFull, StoreUnavailable, and what the work itself raises.
        """
        from asyncio import get_running_loop  # noqa: PLC0415 - the process that commits needs none of it

        future: asyncio.Future[Answer_co] = get_running_loop().create_future()
        self.put(item, future)
        return await future

    @abstractmethod
    async def close(self) -> None:
        """Take nothing new, and finish what is under way."""

    @property
    @abstractmethod
    def is_open(self) -> bool:
        """Whether work is taken: its thread or process runs."""

    @property
    def trouble(self) -> str:
        """Why what is submitted now would not be done; '' where nothing is known against it."""
        return "" if self.is_open else "no work is taken"

    @property
    @abstractmethod
    def queue_length(self) -> int:
        """How many items wait for an answer."""
