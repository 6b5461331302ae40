"""How many commands are sent to the committing process at once."""

import asyncio
import socket
import subprocess
import sys
from collections.abc import Sequence

import pytest

from licet.lanes.frames import Frames, decode_commands, frame
from licet.lanes.portions import LEAST, MOST, Portion
from licet.lanes.process import Committer
from licet.ledger.commands import Sweep, Swept


@pytest.mark.parametrize(
    ("waiting", "size"), [(1, LEAST), (16, 8), (20, 10), (32, 16), (64, 32), (256, MOST)]
)
def test_a_portion_is_half_of_those_that_wait_together(waiting: int, size: int) -> None:
    portion = Portion()
    portion.saw(waiting)
    assert portion.size == size


def test_a_batch_that_was_answered_late_changes_little() -> None:
    """Else half of a half would be sent next, and so on."""
    portion = Portion()
    portion.saw(32)
    portion.saw(17)
    assert portion.size == 16


def test_who_waited_once_is_forgotten() -> None:
    portion = Portion()
    portion.saw(256)
    for _ in range(100):
        portion.saw(10)
    assert portion.size == LEAST


@pytest.mark.anyio
async def test_two_halves_of_those_who_wait_take_turns() -> None:
    """By what a process is sent: at first small portions, then the halves, and of few who wait all."""
    theirs: list[socket.socket] = []

    def start(end: socket.socket) -> "subprocess.Popen[bytes]":
        theirs.append(end.dup())
        return subprocess.Popen([sys.executable, "-c", ""])

    committer = Committer(start, on_end=pytest.fail, saw_version=lambda _: None)
    await committer.open()
    [end] = theirs
    end.setblocking(False)
    assert [await _sent(committer, end, 32) for _ in range(3)] == [[8, 8, 8, 8], [16, 16], [16, 16]]
    assert await _sent(committer, end, 20) == [16, 4]
    assert await _sent(committer, end, 3) == [3]
    await committer.close()
    end.close()


async def _sent(committer: Committer, end: socket.socket, count: int) -> Sequence[int]:
    """Submit so many commands in one turn of the loop, and answer them all: the sizes of the frames."""
    asked = [asyncio.ensure_future(committer.submit(Sweep(sessions_max=1))) for _ in range(count)]
    frames, sizes, loop = Frames(), list[int](), asyncio.get_running_loop()
    while sum(sizes) < count:
        data = await loop.sock_recv(end, 64 * 1024)
        sizes += [len(decode_commands(payload)) for payload in frames.feed(data)]
    await loop.sock_sendall(end, frame((1, 0.0, {}, [Swept(sessions=0)] * count)))
    assert await asyncio.gather(*asked) == [Swept(sessions=0)] * count
    return sizes
