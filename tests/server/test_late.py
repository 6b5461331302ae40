"""An application that is made at its first request: made once, and where it cannot be made, answered 503."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from licet.server.late import Application, Late
from support.admin.admin_site import Log


class Made:
    """What makes an application, and may fail; it waits until it is let go."""

    def __init__(self, faults: int = 0) -> None:
        self.faults = faults
        self.times = 0
        self.go = asyncio.Event()

    async def __call__(self) -> Application:
        """Make it, or fail."""
        self.times += 1
        await self.go.wait()
        if self.times <= self.faults:
            raise ImportError("no templates")
        return answering


async def answering(scope: Any, receive: Any, send: Any) -> None:
    """The application."""
    del receive
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": scope["path"].encode()})


async def asked(late: Late, path: str = "/") -> tuple[int, bytes]:
    """The status and the body of its answer."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    await late({"type": "http", "path": path}, None, send)
    return sent[0]["status"], sent[1]["body"]


def run(test: Callable[[], Awaitable[None]]) -> None:
    """Run a test in a loop of its own."""

    async def wait() -> None:
        await test()

    asyncio.run(wait())


def test_many_requests_have_it_made_once_and_each_gets_its_answer() -> None:
    async def test() -> None:
        made = Made()
        late = Late(made, Log())
        waiting = [asyncio.create_task(asked(late, f"/{number}")) for number in range(5)]
        await asyncio.sleep(0)
        made.go.set()
        assert await asyncio.gather(*waiting) == [(200, b"/%d" % number) for number in range(5)]
        assert await asked(late) == (200, b"/")
        assert made.times == 1

    run(test)


def test_a_request_that_is_given_up_takes_it_from_nobody() -> None:
    async def test() -> None:
        made = Made()
        late = Late(made, Log())
        first, second = asyncio.create_task(asked(late)), asyncio.create_task(asked(late))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.wait([first])
        made.go.set()
        assert await second == (200, b"/")
        assert made.times == 1

    run(test)


def test_where_it_cannot_be_made_requests_are_answered_503_and_the_log_has_the_cause() -> None:
    """Until some time has passed nobody tries again: each try costs the processor of those who get grants."""

    async def test() -> None:
        made, log = Made(faults=100), Log()
        made.go.set()
        late = Late(made, log)
        for _ in range(3):
            status, body = await asked(late)
            assert status == 503
            assert json.loads(body)["type"] == "tag:licet,2026:internal-error"
            assert b"templates" not in body
        assert made.times == 1
        assert "admin_listener_failed" in log.text()
        assert "no templates" in log.text()

    run(test)


def test_a_later_request_tries_again() -> None:
    async def test() -> None:
        made = Made(faults=1)
        made.go.set()
        late = Late(made, Log(), again_after_s=0.0)
        assert (await asked(late))[0] == 503
        assert await asked(late) == (200, b"/")

    run(test)


def test_a_server_that_ends_waits_until_it_is_made() -> None:
    """What a thread does for it would else go on in a store that is closed."""

    async def test() -> None:
        made = Made()
        late = Late(made, Log())
        await late.settled()  # nothing is being made
        asking = asyncio.create_task(asked(late))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        ending = asyncio.create_task(late.settled())
        await asyncio.sleep(0)
        assert not ending.done()
        made.go.set()
        await ending
        assert await asking == (200, b"/")

    run(test)
