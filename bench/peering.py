"""Peers in a run: every one that is installed is sent the same kind of work, in the same rounds.

A peer has as many clients as the Licet beside it. What it cannot do for such a client it is not asked.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import NamedTuple

from bench import peers, wrk
from bench.peers.contract import Peer, Work, Works
from bench.processes import families
from bench.scenarios import Row, WrongAnswer
from bench.targets import Target
from bench.wire import Answer, Request

SCENARIOS = ("grant", "introspect", "refresh")


def installed(wanted: Sequence[str]) -> list[Peer]:
    """The peers that are here, of those that are wanted; all of them for `all`."""
    if not wanted:
        return []
    return [it for it in peers.installed() if "all" in wanted or it.name in wanted]


def described(peer: Peer) -> dict[str, str]:
    """What a reader should know of a peer."""
    return {
        "name": peer.name,
        "version": peer.version,
        "settings": peer.settings,
        "durable": peer.durable,
    }


class RunningPeer(NamedTuple):
    """A peer that runs, and what it can be asked."""

    peer: Peer
    target: Target
    works: Works

    def work(self, scenario: str) -> Work | None:
        """The requests of a scenario, made now; None where it cannot be asked this."""
        if scenario == "grant":
            return self.works.grant
        make = self.works.introspect if scenario == "introspect" else self.works.refresh
        return make() if make is not None else None


class OnPeer:
    """A peer that takes part in a cell."""

    may_leave = True

    def __init__(self, running: RunningPeer, work: Work) -> None:
        self.target = running.target._replace(url=work.url)
        self._work = work
        self._works = running.works
        self._stored = running.works.stored() if running.works.stored else 0
        self._granted = 0
        self._rows = [
            Row(Request(it.method, it.path, tuple(it.headers.items()), it.body.encode())) for it in work.rows
        ]

    def rows(self, number: int, expected: int) -> list[Row]:
        """The same in each round."""
        del number, expected
        return self._rows

    def check(self, answers: Sequence[Answer]) -> None:
        """As the peer says.

        Raises WrongAnswer.
        """
        for answer in answers:
            if answer.status >= HTTPStatus.BAD_REQUEST or not self._work.check(answer.body):
                raise WrongAnswer(f"{self.target.name}: {answer.status} {answer.body[:300]!r}")

    def was_sent(self, answered: int, refused: int) -> None:
        """Nothing of it may be refused.

        Raises WrongAnswer.
        """
        self._granted += answered - refused
        if refused:
            raise WrongAnswer(f"{self.target.name}: {refused} of {answered} were refused")

    def warm_up(self, directory: Path, seconds: int) -> None:
        """Have it answer for so long, and forget it."""
        rows = wrk.write_rows(directory / "warm-up", self.target.url, [row.request for row in self._rows])
        wrk.load(self.target.url, rows, connections=32, seconds=seconds)

    def has_kept(self) -> bool:
        """Whether as many grants are stored as were answered, where any are."""
        return self._works.stored is None or self._works.stored() >= self._stored + self._granted


@contextmanager
def running(peer: Peer, clients: int) -> Iterator[RunningPeer]:
    """A peer with so many clients, until the end of the block."""
    before = set(families([os.getpid()]))
    with peer.start(clients) as works:
        # What it started and is not a daemon: a database of its own is, and counts for nothing here.
        started = [pid for pid in families([os.getpid()]) if pid not in before]
        yield RunningPeer(peer, Target(peer.name, works.url, started), works)
