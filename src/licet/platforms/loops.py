"""Makes the event loop of a server: uvloop's, or asyncio's own where there is no uvloop, as on Windows."""

import asyncio
from typing import Final, cast

from licet.platforms import module_or_none

_uvloop: Final = module_or_none("uvloop")


def new_event_loop() -> asyncio.AbstractEventLoop:
    """The fastest loop that there is."""
    made = asyncio.new_event_loop() if _uvloop is None else _uvloop.new_event_loop()
    return cast("asyncio.AbstractEventLoop", made)


def watches_sockets(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether a loop tells when a socket that is not its own becomes readable. That of Windows does not."""
    of_windows = getattr(asyncio, "ProactorEventLoop", None)
    return of_windows is None or not isinstance(loop, of_windows)
