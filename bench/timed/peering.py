"""Peers in a run: each installed peer gets the same kind of requests as Licet, in the same rounds.

A peer has as many clients as the Licet beside it, and is warmed up once, after its start. All peers exist
from the first round to the last. Outside of its turns a peer and its database are stopped (SIGSTOP): so they
cost the others nothing, and the peer's background work falls into its own turns. A peer takes no part in a
scenario that it does not support.
"""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx
import psycopg

from bench import peers
from bench.measured.processes import families
from bench.measured.targets import Target
from bench.measured.wire import Answer, Request
from bench.peers.contract import Peer, Work, Works
from bench.timed import wrk
from bench.timed.scenarios import Row, WrongAnswer

SCENARIOS = ("grant", "introspect", "refresh")
_WARM_ROWS = 100  # tokens in the requests of the warm-up
_WARM_CONNECTIONS = 32
_REST_S = 0.2
_BUSY_SHARE = 0.15  # of one processor; a peer that uses less is idle
# The errors of a peer that end only its own part of the run.
_FAULTS = (RuntimeError, ValueError, OSError, subprocess.SubprocessError, httpx.HTTPError, psycopg.Error)
_REST_S_MAX = 15.0  # longest wait for requests of closed connections, such as slow password hashes


def installed(wanted: Sequence[str]) -> list[Peer]:
    """The wanted peers that are installed, by the name of a set-up or of the server; `all` for all."""
    return [
        peer
        for peer in (peers.installed() if wanted else [])
        if "all" in wanted or peer.name in wanted or peer.name.partition(",")[0] in wanted
    ]


def described(peer: Peer) -> dict[str, Any]:
    """The description of a peer in the result file."""
    return {
        "name": peer.name,
        "version": peer.version,
        "settings": peer.settings,
        "durable": peer.durable,
    }


class RunningPeer:
    """A peer with the requests that it supports; outside of its turns its processes are stopped."""

    def __init__(self, peer: Peer, target: Target, works: Works) -> None:
        self.peer = peer
        self.target = target
        self.works = works
        self._began = {pid: _began(pid) for pid in [*target.database_roots, *target.roots]}

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Let the processes run in the block and afterwards until they are idle; then stop them."""
        self.go_on()
        try:
            yield
            until_idle(self.target)
        finally:
            self.stand_still()

    def stand_still(self) -> None:
        """Stop all its processes, parents first, so that none is started in the meantime."""
        stopped: set[int] = set()
        while new := [pid for pid in self._pids() if pid not in stopped]:
            _signal(new, signal.SIGSTOP)
            stopped.update(new)

    def go_on(self) -> None:
        """Let all its processes run."""
        _signal(self._pids(), signal.SIGCONT)

    def work(self, scenario: str, clients: int) -> Work | None:
        """Make the requests of a scenario by this many clients; None if the peer does not support it."""
        grant = self.works.grant._replace(rows=self.works.grant.rows[:clients])
        if scenario == "grant":
            return grant
        make = self.works.introspect if scenario == "introspect" else self.works.refresh
        return make(grant) if make is not None else None

    def warm_up(self, scenarios: Sequence[str], directory: Path) -> None:
        """Send grants for as long as the peer needs, and the other scenarios for a third of that time.

        Where a slow hash is nearly all of the work, grants alone warm it up.
        """
        with self.turn():
            for scenario in scenarios if not self.peer.round_s else ["grant"]:
                is_grant = scenario == "grant"
                work = self.work(scenario, len(self.works.grant.rows) if is_grant else _WARM_ROWS)
                if work is not None:
                    rows = wrk.write_rows(
                        directory / "warm-up", work.url, [row.request for row in _rows(work)]
                    )
                    seconds = -(-self.peer.warm_up_s // (1 if is_grant else 3))
                    wrk.load(work.url, rows, connections=_WARM_CONNECTIONS, seconds=seconds)

    def _pids(self) -> list[int]:
        """Its processes. The start time is compared, as an ended process's number may have been reused."""
        return families([pid for pid, began in self._began.items() if began and _began(pid) == began])


class OnPeer:
    """A peer that takes part in a cell."""

    may_leave = True
    answers_first = 0  # it was warmed up after its start

    def __init__(self, running: RunningPeer, scenario: str, work: Work) -> None:
        self.target = running.target._replace(url=work.url)
        self.seconds_least = running.peer.round_s
        self.turn = running.turn
        self._work = work
        self._counts = running.works.stored if scenario == "grant" else None
        self._is_grant = scenario == "grant"
        self._stored = self._counts() if self._counts else 0
        self._granted = 0
        self._rows = _rows(work)

    def rows(self, number: int, expected: int) -> list[Row]:
        """The same rows in each round."""
        del number, expected
        return self._rows

    def check(self, answers: Sequence[Answer]) -> None:
        """Check the answers as the peer defines; no two grants may have the same token.

        Raises WrongAnswer.
        """
        for answer in answers:
            if answer.status >= HTTPStatus.BAD_REQUEST or not self._work.check(answer.body):
                raise WrongAnswer(f"{self.target.name}: {answer.status} {answer.body[:300]!r}")
        if self._is_grant:
            tokens = {json.loads(it.body)["access_token"] for it in answers}
            if len(tokens) != len(answers):
                raise WrongAnswer(f"{self.target.name}: {len(answers)} answers have {len(tokens)} tokens")

    def was_sent(self, answered: int, refused: int) -> None:
        """Check that nothing was refused.

        Raises WrongAnswer.
        """
        self._granted += answered - refused
        if refused:
            raise WrongAnswer(f"{self.target.name}: {refused} of {answered} were refused")

    def lost(self) -> int:
        """How many fewer grants are stored than were answered; 0 if the peer stores no grants.

        All of them, if the database cannot be read.
        """
        if self._counts is None:
            return 0
        with self.turn():
            try:
                stored = self._counts()
            except _FAULTS:
                return self._granted
        return max(0, self._stored + self._granted - stored)


@contextmanager
def running(peer: Peer, clients: int, scenarios: Sequence[str], directory: Path) -> Iterator[RunningPeer]:
    """A running peer with this many clients, warmed up for these scenarios.

    Raises RuntimeError when it does not start.
    """
    before = set(families([os.getpid()]))
    with peer.start(clients) as works:
        # The processes that the peer started here. A database of its own is a daemon, and is not among them.
        started = [pid for pid in families([os.getpid()]) if pid not in before]
        database = [works.database_pid] if works.database_pid is not None else []
        found = RunningPeer(peer, Target(peer.name, works.url, started, database), works)
        try:
            found.warm_up(scenarios, directory)
            yield found
        finally:
            found.go_on()  # a stopped process cannot end


def start_all(
    wanted: Sequence[Peer], clients: int, scenarios: Sequence[str], directory: Path, stack: ExitStack
) -> tuple[list[RunningPeer], dict[str, str]]:
    """Start the peers one after another; return those that run, and the reason for each that does not."""
    found, faults = [], {}
    for peer in wanted:
        print(f"Starting a peer: {peer.name} {peer.version}", flush=True)
        try:
            found.append(stack.enter_context(running(peer, clients, scenarios, directory)))
        except _FAULTS as fault:
            faults[peer.name] = str(fault)
            print(f"  does not start: {fault}", flush=True)
    return found, faults


def asked(
    all_running: Sequence[RunningPeer], scenario: str, clients: int, *, many: bool
) -> tuple[dict[str, OnPeer], dict[str, str]]:
    """The peers that take part in a cell, and the reason for each that should and cannot."""
    found, left = {}, {}
    for running in all_running:
        if running.peer.round_s and not many:
            continue
        try:
            with running.turn():
                work = running.work(scenario, clients)
                if work is not None:
                    found[running.peer.name] = OnPeer(running, scenario, work)
        except _FAULTS as fault:
            left[running.peer.name] = str(fault)
            print(f"  {running.peer.name} leaves: {fault}", flush=True)
    return found, left


def until_idle(target: Target) -> None:
    """Wait until a server and its database are nearly idle, at most _REST_S_MAX."""
    used_s, give_up = target.cpu_s() + target.database_cpu_s(), time.monotonic() + _REST_S_MAX
    while time.monotonic() < give_up:
        time.sleep(_REST_S)
        before_s, used_s = used_s, target.cpu_s() + target.database_cpu_s()
        if used_s - before_s <= _REST_S * _BUSY_SHARE:
            return


def _rows(work: Work) -> list[Row]:
    return [
        Row(Request(row.method, row.path, tuple(row.headers.items()), row.body.encode())) for row in work.rows
    ]


def _began(pid: int) -> str:
    """The start time of a process, in clock ticks; empty if there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19]
    except OSError:
        return ""


def _signal(pids: Sequence[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
