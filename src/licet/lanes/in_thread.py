"""Runs blocking work in a thread, and waits for its end even where the caller is cancelled.

A thread cannot be stopped. If `asyncio.to_thread` is cancelled, its thread continues, and a server that stops
would close the store during a transaction, whose writes would be lost without an error. Here a cancellation
reaches the caller after the work is done.

    await in_thread(fold_journal, store)  # when this ends, however it does, no transaction is open

After a cancellation the caller gets the cancellation, not an exception of the work. To learn how the work
ended, keep the future and wait with `to_its_end`.
"""

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

Given = ParamSpec("Given")
Result = TypeVar("Result")


async def in_thread(work: Callable[Given, Result], /, *arguments: Given.args, **more: Given.kwargs) -> Result:
    """Do this in a thread; return its result. Raises what it raises."""
    return await to_its_end(asyncio.ensure_future(asyncio.to_thread(work, *arguments, **more)))


async def to_its_end(future: asyncio.Future[Result]) -> Result:
    """Wait for a future, which a cancellation of the caller does not cancel. Raises what it raises."""
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        if not future.done():
            await asyncio.wait([future])
        if not future.cancelled():
            future.exception()  # seen: else the event loop logs that nobody looked at it
        raise
