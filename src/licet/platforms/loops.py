"""Makes the event loop of a server: uvloop's, or asyncio's own where there is no uvloop."""

import asyncio
from typing import Final, cast

from licet.platforms import module_or_none

_uvloop: Final = module_or_none("uvloop")


def new_event_loop() -> asyncio.AbstractEventLoop:
    """The fastest loop that there is."""
    made = asyncio.new_event_loop() if _uvloop is None else _uvloop.new_event_loop()
    return cast("asyncio.AbstractEventLoop", made)
