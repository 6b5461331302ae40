"""Repeats work beside the requests: loops that each have a name and a pace.

The rules:

- A turn of a loop is bounded: work of many transactions is done in pieces, at most so many, with a pause
  between them, so that grants have the store for most of the time.
- A fault ends a turn, not the loop. It is logged once, until the loop works again or fails in another way.
- When the loops are cancelled, what a thread does for them is done to its end: afterwards the store can be
  closed.
- What one node does for all is done by the leader only (`is_leader`), and it stops as soon as another node
  leads.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NamedTuple

from licet.credentials.keyring import KeyringUnusable
from licet.lanes.contract import QueueFull
from licet.log import Log
from licet.store.contract import Store
from licet.store.errors import StoreUnavailable

OTHER_THREADS_MAX: Final = 8  # beside the loops: what requests do in threads, as some assertions
WRITE_DOWN_EVERY_S: Final = 30.0  # what is summed up
PAUSE_S: Final = 0.02  # between two transactions in a row
PIECES_MAX: Final = 1000  # in one turn; the history of a large tenant takes many turns


class Loop(NamedTuple):
    """Work that is repeated; `name` is its name in the log."""

    name: str
    every_s: float
    work: Callable[[], Awaitable[object]]


async def run_loops(loops: Iterator[Loop], log: Log) -> None:
    """Run these concurrently, until cancelled.

    Each has a thread to wait in. asyncio's own are six on two processors: loops that wait for a lock of the
    store could take all of them, and a change of the set-up would take effect when they have it.
    """
    all_loops = list(loops)
    threads = ThreadPoolExecutor(len(all_loops) + OTHER_THREADS_MAX, thread_name_prefix="upkeep")
    asyncio.get_running_loop().set_default_executor(threads)
    await asyncio.gather(*(_repeat(loop, log) for loop in all_loops))


async def _repeat(loop: Loop, log: Log) -> None:
    logged = ""
    while True:
        try:
            await loop.work()
            logged = ""
        except Exception as fault:
            detail = f"{type(fault).__name__}: {fault}"
            if detail != logged:
                is_expected = isinstance(fault, StoreUnavailable | QueueFull | KeyringUnusable)
                bug = None if is_expected else fault
                log.error("housekeeping_failed", what=loop.name, detail=detail, exc_info=bug)  # noqa: TRY400
            logged = detail
        await asyncio.sleep(loop.every_s)


async def in_pieces(
    store: Store,
    do: Callable[[], Awaitable[bool]],
    *,
    pieces_max: int = PIECES_MAX,
    pause_s: float = PAUSE_S,
    is_by_leader: bool = True,
) -> bool:
    """Do pieces of work while there is more and this node is the leader, or whichever node it is.

    Returns whether all of it is done.
    """
    for _ in range(pieces_max):
        if is_by_leader and not store.is_leader():
            return False
        if not await do():
            return True
        await asyncio.sleep(pause_s)
    return False
