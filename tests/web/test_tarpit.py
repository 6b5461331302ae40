"""Answers to a source that has failed too often: they are late, and no others are."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

from licet.clock import ManualClock
from licet.credentials.generated import ClientSecrets
from licet.credentials.passwords import Passwords, Remembered
from licet.telemetry.measures import Measures
from licet.web.authentication import Authenticator
from licet.web.log_rate_limit import LogRateLimit
from licet.web.public import PublicApp
from licet.web.recording import Recorder
from licet.web.tarpit import Tarpit
from licet.web.throttle import Throttle
from support.web.exchanges import Whole, never_newer

HERE, ELSEWHERE = "192.0.2.1", "192.0.2.2"
ALLOWED = 2  # failures of one source in a minute
nobody = cast("Any", None)


class Gate:
    """A sleep that ends when the test says so."""

    def __init__(self) -> None:
        self.opened = asyncio.Event()
        self.sleeping = 0

    async def sleep(self, seconds: float) -> None:
        """Wait for the test."""
        assert seconds > 0
        self.sleeping += 1
        await self.opened.wait()
        self.sleeping -= 1

    def tarpit(self, *, per_source_max: int = 2, waiting_max: int = 3) -> Tarpit:
        """A tarpit that sleeps so."""
        return Tarpit(per_source_max=per_source_max, waiting_max=waiting_max, sleep=self.sleep)


def run(work: Callable[[Gate], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(10):
            await work(Gate())

    asyncio.run(bounded())


async def settle() -> None:
    """Let everything run that can."""
    for _ in range(5):
        await asyncio.sleep(0)


def test_how_many_answers_wait_is_bounded_for_a_source_and_for_all() -> None:
    """One more goes out at once; when they are over, there is room again."""

    async def work(gate: Gate) -> None:
        tarpit = gate.tarpit()
        held = [asyncio.create_task(tarpit.hold(HERE)) for _ in range(2)]
        await settle()
        await tarpit.hold(HERE)
        held.append(asyncio.create_task(tarpit.hold(ELSEWHERE)))
        await settle()
        await tarpit.hold(ELSEWHERE)
        assert gate.sleeping == 3
        gate.opened.set()
        await asyncio.gather(*held)
        assert not tarpit._waiting
        gate.opened.clear()
        again = asyncio.create_task(tarpit.hold(HERE))
        await settle()
        assert gate.sleeping == 1
        again.cancel()
        await asyncio.gather(again, return_exceptions=True)
        assert not tarpit._waiting

    run(work)


def application(tarpit: Tarpit) -> PublicApp:
    """A public application without a tenant, in which every client is unknown."""
    clock = ManualClock()
    return PublicApp(
        clock=clock,
        find_tenant=lambda _: None,
        commits=nobody,
        reads=nobody,
        authenticator=Authenticator(
            clock=clock,
            passwords=Passwords(memory_kib=8, time_cost=1),
            client_secrets=ClientSecrets(b"pepper" * 8),
            remembered=Remembered(clock),
            throttle=Throttle(clock, per_client_max=100, per_source_max=ALLOWED),
            upgrade=lambda *_: None,
            workers=1,
            queue_max=8,
        ),
        tokens=nobody,
        public_url="",
        trouble=lambda: "",
        store_failed=lambda: None,
        measures=Measures(),
        refusals=LogRateLimit(nobody, lines_max=0, later=lambda *_: None),
        tarpit=tarpit,
        recorder=Recorder(clock, ClientSecrets(b"pepper" * 8)),
        waiting=nobody,
        latest_setup=never_newer,
    )


async def ask(app: PublicApp, address: str, path: str = "/Jim_Test/token") -> int:
    """The status of the answer to a wrong secret."""
    form = b"grant_type=client_credentials&client_id=Client1&client_secret=lcs_0"
    return (await app(Whole(path, method="POST", address=address, form=form))).status


def test_only_a_source_that_has_failed_too_often_waits() -> None:
    """RFC 6585 4. Wrong secrets before that, and other sources, are answered at once."""

    async def work(gate: Gate) -> None:
        app = application(gate.tarpit())
        assert [await ask(app, HERE) for _ in range(ALLOWED)] == [401] * ALLOWED
        late = asyncio.create_task(ask(app, HERE))
        await settle()
        assert gate.sleeping == 1
        assert not late.done()
        assert await ask(app, ELSEWHERE) == 401
        assert await ask(app, HERE, "/nothing") == 404
        gate.opened.set()
        assert await late == 429

    run(work)


def test_addresses_of_one_network_wait_together() -> None:
    """A source is an IPv4 address or the /64 of an IPv6 address."""

    async def work(gate: Gate) -> None:
        app = application(gate.tarpit(per_source_max=1))
        assert [await ask(app, f"2001:db8::{number}") for number in range(ALLOWED)] == [401] * ALLOWED
        late = asyncio.create_task(ask(app, "2001:db8::a"))
        await settle()
        assert gate.sleeping == 1
        assert await ask(app, "2001:db8::b") == 429
        gate.opened.set()
        assert await late == 429

    run(work)
