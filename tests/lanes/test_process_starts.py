"""The start of the committing process: what keeps it from coming up, and who hears of that."""

import os
import shutil
import signal
import socket
import sys
import time
from itertools import pairwise
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING

import pytest

from licet.lanes.process import RESTART_AFTER_S, RESTART_AFTER_S_MAX, Committer
from licet.lanes.process_main import start
from licet.ledger.commands import Granted
from licet.store.errors import StoreUnavailable
from licet.store.opening import SQLITE_NAME, StoreAt
from support.examples import grant, sid
from support.threads import no_thread_starts

if TYPE_CHECKING:
    import subprocess
from support.server.lane_site import (
    ENDS_AT_ONCE,
    HANGS_AFTER_S,
    STRICT,
    WORKS,
    at,
    identity_of,
    in_turn,
    script,
    starting,
    until,
)

PROC = Path("/proc/self/fd")

needs_proc = pytest.mark.skipif(not PROC.exists(), reason="looks at a process by way of /proc")


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, object]]:
    """The event loop that the server runs on."""
    return "asyncio", {"use_uvloop": True}


@pytest.mark.anyio
class TestStarting:
    """A process that does not come up."""

    async def test_one_that_cannot_be_started_again_is_tried_less_and_less_often_until_it_can(
        self, data: Path
    ) -> None:
        """No process or file to be had. It is said why, and nothing is left open."""
        command, tried_at_s = list(STRICT), list[float]()

        def start_at(theirs: socket.socket) -> "subprocess.Popen[bytes]":
            tried_at_s.append(time.monotonic())
            return starting(data, command)(theirs)

        async with at(data, start_at) as site:
            await site.working()
            command[0] = "/nowhere/python"
            os.kill(site.pid, signal.SIGKILL)
            await until(lambda: len(site.told) == 4)
            with pytest.raises(StoreUnavailable):
                await site.committer.submit(grant(1, 1))
            command[0] = sys.executable
            await until(lambda: site.committer.is_open)
            await site.working()
        waits = [later - sooner for sooner, later in pairwise(tried_at_s[1:])]
        assert all(wait >= RESTART_AFTER_S * 2 ** (at + 1) for at, wait in enumerate(waits))
        assert site.told[0] == "exit code -9"
        assert all("/nowhere/python" in why for why in site.told[1:])

    async def test_it_is_started_again_also_where_no_thread_is_left_to_wait_for_the_last_one(
        self, data: Path
    ) -> None:
        """As beside a program that takes all threads of a container for a moment: that moment is all."""
        async with at(data) as site:
            await site.working()
            with no_thread_starts():
                os.kill(site.pid, signal.SIGKILL)
                await until(lambda: bool(site.told))
            await until(lambda: site.committer.is_open)
            await site.working()
        assert site.told == ["exit code -9"]

    def test_the_wait_before_a_start_has_a_bound(self) -> None:
        """Everything has a limit: 503 is not for ever once the cause is mended."""
        assert RESTART_AFTER_S < RESTART_AFTER_S_MAX <= 1

    async def test_one_that_ends_at_once_is_an_answer_to_who_waits_and_no_hang(self, data: Path) -> None:
        """Whether it reads what it is to do or not."""
        reads = script("sys.stdin.read(); sys.exit(7)")
        async with at(data, in_turn(reads, ENDS_AT_ONCE, WORKS)) as site:
            (task,) = await site.waiting(grant(1, 1))
            with pytest.raises(StoreUnavailable):
                await task
            await until(lambda: len(site.told) == 2 and site.committer.is_open)
            assert site.committer._restart_after_s == 4 * RESTART_AFTER_S
            await site.working()
            assert site.committer._restart_after_s == RESTART_AFTER_S
        assert site.told == ["exit code 7", "exit code 0"]

    def test_one_that_does_not_wait_to_be_told_what_to_do_is_a_process_that_ended(self) -> None:
        """And not one that cannot be started: it is over, and nobody else would hear of it."""
        ours, theirs = socket.socketpair()
        with ours, theirs:
            too_long_for_a_pipe = StoreAt(Path("x" * 200_000))
            process = start(script("sys.exit(7)"), too_long_for_a_pipe, "", 1, theirs)
            assert process.wait(HANGS_AFTER_S) == 7

    async def test_one_that_cannot_be_started_at_first_is_an_error_at_once(self, data: Path) -> None:
        """A server that would never commit does not come up; and nothing is left open."""
        committer = Committer(starting(data, ["/nowhere"]), on_end=print, saw_version=print)
        with pytest.raises(FileNotFoundError):
            await committer.open()
        assert not committer.is_open

    async def test_a_store_that_cannot_be_opened_at_first_is_opened_when_it_can(self, data: Path) -> None:
        """Product 3: 503 meanwhile, from a process that stays."""
        identity = identity_of(data)
        (data / SQLITE_NAME).rename(data / "away")
        async with at(data, identity=identity) as site:
            for _ in range(2):
                with pytest.raises(StoreUnavailable):
                    await site.committer.submit(grant(1, 1))
            assert site.versions == [0, 0]
            (data / "away").rename(data / SQLITE_NAME)
            assert isinstance(await site.committer.submit(grant(1, 1)), Granted)
            assert site.versions[-1] > 0
        assert site.told == []

    async def test_a_file_in_the_place_of_the_servers_own_is_refused(self, data: Path) -> None:
        """A copy of a store is not the store: nobody else would see what is granted from it."""
        identity = identity_of(data)
        (data / SQLITE_NAME).rename(data / "away")
        shutil.copy(data / "away", data / SQLITE_NAME)
        async with at(data, identity=identity) as site:
            with pytest.raises(StoreUnavailable, match="another than the server's"):
                await site.committer.submit(grant(1, 1))
            assert site.sids() == set()
            (data / "away").rename(data / SQLITE_NAME)
            assert isinstance(await site.committer.submit(grant(1, 1)), Granted)
            (data / SQLITE_NAME).rename(data / "away")
            shutil.copy(data / "away", data / SQLITE_NAME)
            with pytest.raises(StoreUnavailable, match="moved or replaced"):
                await site.committer.submit(grant(1, 2))
            assert site.sids() <= {sid(1)}

    @needs_proc
    async def test_a_password_in_the_url_of_a_store_stands_in_no_argument_and_no_answer(
        self, data: Path
    ) -> None:
        """Everybody on the machine may read the arguments of a process."""
        secret = token_hex(10)
        url = f"postgresql://licet:{secret}@127.0.0.1:1/licet"
        async with at(data, starting(data, list(STRICT), url=url)) as site:  # executed, not forked
            with pytest.raises(StoreUnavailable) as raised:
                await site.committer.submit(grant(1, 1))
            process = Path(f"/proc/{site.pid}")
            assert b"licet.lanes.process_main" in (process / "cmdline").read_bytes()
            for name in ("cmdline", "environ"):
                assert secret.encode() not in (process / name).read_bytes()
        assert secret not in str(raised.value)
        assert secret not in "".join(site.told)
