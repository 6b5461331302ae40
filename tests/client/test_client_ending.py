"""`licet.client`: what becomes of a session at the end of a block, of the interpreter, and in a child."""

import gc
import logging
import subprocess
import sys
from collections.abc import Iterator

import pytest

from licet.client import SessionClosed, at_exit
from support.guard.calling import ManualTiming, Program, Threads, TokenSite, auth_for
from support.web.http_site import PATIENCE_S, Site, says

BEGIN = """
import os, sys, httpx
from licet.client import LicetAuth

def call(auth):
    with httpx.Client(auth=auth, verify=False) as client:
        return client.get(API).status_code

def new():
    return LicetAuth(TOKENS, "TestClientId", "password", api=API)

"""


@pytest.fixture
def api() -> Iterator[Site]:
    """An API."""
    with Site() as site:
        yield site


def run(tokens: TokenSite, api: Site, lines: str) -> "subprocess.CompletedProcess[str]":
    """A program of its own, to its end."""
    named = f"API = {api.url!r}\nTOKENS = {tokens.url!r}\n"
    command = [sys.executable, "-W", "error", "-c", named + BEGIN + lines]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)


def ended(tokens: TokenSite) -> list[str]:
    """The tokens that were logged off."""
    return [it.bearer for it in tokens.site.asked if it.path.endswith("/logoff")]


class TestClosing:
    """The end of a block."""

    def test_a_block_logs_off_once_also_when_it_fails(
        self, tokens: TokenSite, api: Site, program: Program
    ) -> None:
        """The seat is not for who comes next to wait for."""
        auth = auth_for(tokens.url, api.url, ManualTiming())
        program.within(auth, api.url)
        program.log_off(auth)
        assert ended(tokens) == ["access-1"]

    def test_a_closed_one_gets_no_other_token(self, tokens: TokenSite, api: Site, program: Program) -> None:
        """Else a session would begin that nobody ends."""
        auth = auth_for(tokens.url, api.url, ManualTiming())
        program.within(auth, api.url)
        with pytest.raises(SessionClosed, match="the LicetAuth is closed"):
            program.call(auth, "GET", api.url)
        assert len(api.asked) == 1

    def test_after_a_logoff_the_next_request_begins_a_session(
        self, tokens: TokenSite, api: Site, program: Program
    ) -> None:
        """For programs that rest for hours."""
        auth = auth_for(tokens.url, api.url, ManualTiming())
        program.call(auth, "GET", api.url)
        assert program.log_off(auth)
        assert not program.log_off(auth)
        program.call(auth, "GET", api.url)
        assert [it.bearer for it in api.asked] == ["access-1", "access-2"]
        program.log_off(auth)

    @pytest.mark.parametrize("reply", [says(404), says(500), b"", says(302, location="/")])
    def test_a_logoff_that_fails_is_logged_and_nothing_more(
        self,
        tokens: TokenSite,
        api: Site,
        program: Program,
        caplog: pytest.LogCaptureFixture,
        reply: object,
    ) -> None:
        """The session ends by itself, and what the block raised is what counts."""
        auth = auth_for(tokens.url, api.url, ManualTiming())
        program.call(auth, "GET", api.url)
        tokens.site.answer = lambda _: reply  # type: ignore[assignment,return-value]
        with caplog.at_level(logging.WARNING, "licet.client"):
            assert not program.log_off(auth)
        assert "the session ends by itself" in caplog.text

    def test_what_comes_after_the_end_is_logged_off_at_once(self, tokens: TokenSite, api: Site) -> None:
        """A grant was on its way when the block ended."""
        auth = auth_for(tokens.url, api.url, ManualTiming())
        tokens.grant = auth.close
        with pytest.raises(SessionClosed):
            Threads().call(auth, "GET", api.url)
        assert ended(tokens) == ["access-1"]
        assert not api.asked

    def test_one_that_is_dropped_is_warned_of_and_kept_to_the_end(self, tokens: TokenSite, api: Site) -> None:
        """As a file is that nobody closed."""
        auth = auth_for(tokens.url, api.url, ManualTiming())
        Threads().call(auth, "GET", api.url)
        sys_hook, caught = sys.unraisablehook, []
        sys.unraisablehook = lambda unraisable: caught.append(str(unraisable.exc_value))
        try:
            del auth
            gc.collect()
        finally:
            sys.unraisablehook = sys_hook
        assert any("dropped with its session still open" in it for it in caught)
        at_exit._dropped.pop().log_off()
        assert ended(tokens) == ["access-1"]


class TestExit:
    """The end of the interpreter."""

    @pytest.mark.parametrize(
        "lines",
        [
            "auth = new(); call(auth)",
            "auth = new(); call(auth); sys.exit(3)",
            "auth = new(); call(auth); raise RuntimeError",
            "import warnings; warnings.simplefilter('ignore'); call(new())",
            """
import asyncio
auth = new()
async def main():
    async with httpx.AsyncClient(auth=auth, verify=False) as api:
        await api.get(API)
asyncio.run(main())
""",
        ],
        ids=["end", "exit", "error", "dropped", "tasks"],
    )
    def test_a_program_that_ends_logs_off(self, tokens: TokenSite, api: Site, lines: str) -> None:
        """However it ends, but for a kill."""
        run(tokens, api, lines)
        assert len(api.asked) == 1
        assert ended(tokens) == ["access-1"]

    def test_a_program_that_takes_sigterm_for_an_exit_logs_off(self, tokens: TokenSite, api: Site) -> None:
        """As the page says: it is how services are stopped."""
        lines = """
import signal
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
auth = new()
call(auth)
signal.raise_signal(signal.SIGTERM)
"""
        found = run(tokens, api, lines)
        assert (found.returncode, found.stderr) == (0, "")
        assert ended(tokens) == ["access-1"]

    def test_a_program_that_logged_off_does_not_do_so_again(self, tokens: TokenSite, api: Site) -> None:
        """Nor one that never called."""
        found = run(tokens, api, "unused = new()\nwith new() as auth: call(auth)")
        assert found.returncode == 0, found.stderr
        assert ended(tokens) == ["access-1"]

    def test_a_server_that_is_gone_holds_nobody_up(self, tokens: TokenSite, api: Site) -> None:
        """One line says so, without a traceback and without a token."""
        tokens.site.answer = lambda asked: b"" if asked.path.endswith("/logoff") else tokens._answer(asked)
        found = run(tokens, api, "auth = new(); call(auth)")
        assert found.returncode == 0
        assert found.stderr.count("\n") == 1
        assert "logoff does not answer" in found.stderr


class TestFork:
    """A child is another program."""

    def test_it_gets_a_token_of_its_own_and_leaves_the_parents_alone(
        self, tokens: TokenSite, api: Site
    ) -> None:
        """At its end it logs off what is its own; the parent goes on."""
        found = run(
            tokens,
            api,
            "auth = new(); call(auth)\n"
            "if (pid := os.fork()) == 0:\n"
            "    call(auth); sys.exit()\n"
            "os.waitpid(pid, 0); call(auth)",
        )
        assert found.returncode == 0, found.stderr
        assert [it.bearer for it in api.asked] == ["access-1", "access-2", "access-1"]
        assert ended(tokens) == ["access-2", "access-1"]

    def test_one_that_never_calls_ends_nothing(self, tokens: TokenSite, api: Site) -> None:
        """Not at the end of a block either."""
        found = run(
            tokens,
            api,
            "with new() as auth:\n"
            "    call(auth)\n"
            "    if (pid := os.fork()) == 0:\n"
            "        auth.close(); sys.exit()\n"
            "    os.waitpid(pid, 0); call(auth)",
        )
        assert found.returncode == 0, found.stderr
        assert [it.bearer for it in api.asked] == ["access-1", "access-1"]
        assert ended(tokens) == ["access-1"]

    def test_an_errand_of_another_thread_is_not_waited_for(self, tokens: TokenSite, api: Site) -> None:
        """The thread is not there in the child, and neither is what it would bring."""
        found = run(
            tokens,
            api,
            "import threading, warnings; warnings.simplefilter('default')\n"
            "class Noted:\n"
            "    def __init__(self): self.lock = threading.Lock(); self.waited_for = threading.Event()\n"
            "    def acquire(self): self.lock.acquire()\n"
            "    def release(self): self.lock.release()\n"
            "    def __enter__(self): self.waited_for.set(); self.lock.acquire()\n"
            "    def __exit__(self, *_): self.lock.release()\n"
            "with new() as other: call(other)\n"  # which imports what no child should find half imported
            "auth = new()\n"
            "lock = auth._session._lock = Noted(); lock.acquire()\n"
            "thread = threading.Thread(target=call, args=(auth,)); thread.start()\n"
            "lock.waited_for.wait()\n"  # so that it holds no lock of the libraries, which no child would get
            "if (pid := os.fork()) == 0:\n"
            "    call(auth); sys.exit()\n"
            "os.waitpid(pid, 0); lock.release(); thread.join()",
        )
        assert found.returncode == 0, found.stderr
        assert len(api.asked) == 3
        assert sorted(ended(tokens)) == ["access-1", "access-2", "access-3"]
