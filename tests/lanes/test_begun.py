"""The process that commits, started before the server is ready for it: what becomes of it, order or none."""

from pathlib import Path

import pytest

from licet.lanes.begun import Begun, beginning
from licet.lanes.process import Committer
from licet.lanes.process_main import instruct, start
from licet.ledger.commands import Granted
from licet.store.opening import StoreAt
from support.examples import grant
from support.server.lane_site import HANGS_AFTER_S, STRICT, identity_of


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, object]]:
    """The event loop that the server runs on."""
    return "asyncio", {"use_uvloop": True}


def _ended(begun: Begun) -> int | None:
    return begun._process.poll()


@pytest.mark.anyio
async def test_it_commits_as_soon_as_it_has_its_order(data: Path) -> None:
    """And the one that is started after it, when it has ended, gets the same."""
    at, identity = StoreAt(data), identity_of(data)
    with beginning(STRICT) as begun:
        assert begun is not None
        begun.expect(for_postgres=False)
        taken = begun.taken()
        instruct(taken[0], at, identity, 10)
        committer = Committer(
            lambda theirs: start(STRICT, at, identity, 10, theirs),
            begun=taken,
            on_end=pytest.fail,
            saw_version=lambda _: None,
        )
        await committer.open()
        assert isinstance(await committer.submit(grant(1, 1)), Granted)
        assert committer.pid == taken[0].pid
    assert taken[0].poll() is None  # it is its taker's
    assert isinstance(await committer.submit(grant(1, 2)), Granted)
    await committer.close()
    assert taken[0].returncode == 0


def test_one_that_nobody_takes_is_gone_at_the_end() -> None:
    """A server that cannot start leaves nothing behind."""
    with beginning(STRICT) as begun:
        assert begun is not None
        assert _ended(begun) is None
    assert _ended(begun) is not None


@pytest.mark.parametrize("knows_kind", [False, True])
def test_one_that_gets_no_order_ends_by_itself_and_prints_nothing(
    capfd: pytest.CaptureFixture[str], *, knows_kind: bool
) -> None:
    """As when the server is killed while it starts: the end of its pipe is all that the process sees."""
    with beginning(STRICT) as begun:
        assert begun is not None
        if knows_kind:
            begun.expect(for_postgres=False)
        assert begun._process.stdin is not None
        begun._process.stdin.close()
        assert begun._process.wait(HANGS_AFTER_S) == 0
    printed = capfd.readouterr()
    assert (printed.out, printed.err) == ("", "")


def test_where_it_cannot_be_started_the_server_goes_on_without() -> None:
    """It will say so when it needs one, as ever."""
    with beginning(["/nowhere"]) as begun:
        assert begun is None


def test_one_that_has_ended_already_is_told_nothing_and_closed_twice_without_a_word() -> None:
    """It may have been killed; the server starts another one when it needs one."""
    with beginning(STRICT) as begun:
        assert begun is not None
        begun._process.kill()
        begun._process.wait()
        begun.expect(for_postgres=True)
        begun.close()
    assert _ended(begun) is not None
