"""Serves like `licet serve`, in the process under test, with the clock and the switches of a test.

`process.py` starts it as `python -m licet.testing.serving`. It prints its URL to standard output when it
listens. It ends with the process that started it, however that one ended. With the argument `commit` this
module is the process that commits.

The public application has a layer before it, `Switched`; the rest is the same as in `licet serve`.
"""

import asyncio
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress

from licet.clock import SystemClock
from licet.lanes import process_main
from licet.platforms.loops import new_event_loop
from licet.platforms.processes import end_with, parent
from licet.protocol.message import Response
from licet.server.sockets import bind
from licet.server.wiring import Server
from licet.settings.load import load_settings
from licet.store.errors import StoreUnavailable
from licet.telemetry.logs import configure_logs
from licet.testing.process import COMMAND
from licet.testing.shared_memory import Switches
from licet.web.request import Answering, Exchange

_STEP_S = 0.005  # of an answer that waits


class Switched:
    """The public application, controlled by the switches of a test."""

    def __init__(self, answering: Answering, switches: Switches, look: Callable[[], None]) -> None:
        self._answering = answering
        self._switches = switches
        self._look = look

    async def __call__(self, exchange: Exchange) -> Response:
        """Answer one request, with the current set-up, and not before the test allows it.

        The request is done before the answer waits: a client that does not wait has its seat all the same.
        """
        await self._see_changes()
        response = await self._answering(exchange)
        await self._wait()
        return response

    async def _see_changes(self) -> None:
        changes, seen = self._switches.changes.get(), self._switches.seen
        if changes != seen.get():
            with suppress(StoreUnavailable):  # then the next request tries
                await asyncio.to_thread(self._look)
                seen.set(changes)

    async def _wait(self) -> None:
        began_s, pause_ms = time.monotonic(), self._switches.pause_ms
        if pause_ms.get():
            self._switches.waited.add()
        while time.monotonic() - began_s < pause_ms.get() / 1000:  # noqa: ASYNC110 - no event of this process
            await asyncio.sleep(_STEP_S)


class SwitchedServer(Server):
    """A server whose public listener has the switches."""

    switches: Switches

    def _application(self, public: Answering) -> Answering:
        return super()._application(Switched(public, self.switches, self._store.refresh_tenants))


def main(command: Sequence[str] = COMMAND, adjust: Callable[[SwitchedServer], None] = lambda _: None) -> None:
    """Run the process that `command` starts; `adjust` gets the server before it runs."""
    if "commit" in sys.argv:
        _commit()
    else:
        signal.signal(signal.SIGINT, signal.default_int_handler)  # else ignored in the background
        threading.Thread(target=end_with, args=(parent(),), daemon=True).start()
        _serve((*command, "commit"), adjust)


def _serve(committer: Sequence[str], adjust: Callable[[SwitchedServer], None]) -> None:
    settings = load_settings()
    switches = Switches(settings.data)
    with ExitStack() as bound:
        listening = bound.enter_context(bind(settings.host, settings.port))
        urls, admin = [settings.base_url(listening.getsockname()[1])], None
        if settings.admin:
            admin = bound.enter_context(bind(settings.admin_host, settings.admin_port))
            urls.append(settings.admin_base_url(admin.getsockname()[1]))
        log = configure_logs(level=settings.log_level, as_json=True)
        clock = switches.clock if switches.clock.is_set else None
        server = SwitchedServer(settings, listening, log, clock, committer=committer, admin_listening=admin)
        server.switches = switches
        adjust(server)
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            runner.run(server.run(lambda: _print_line(" ".join(urls))))


def _commit() -> None:
    clock = Switches(load_settings().data).clock
    process_main.run(clock if clock.is_set else SystemClock())


def _print_line(urls: str) -> None:
    sys.stdout.write(f"{urls}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
