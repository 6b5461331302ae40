"""Starts the commit lane: a process of its own where there is a processor for it, else a thread."""

from collections.abc import Sequence
from functools import partial
from time import perf_counter

from licet.lanes.begun import Begun
from licet.lanes.commit import commit
from licet.lanes.contract import Submitter
from licet.lanes.process import Committer
from licet.lanes.process_main import instruct
from licet.lanes.process_main import start as start_committer
from licet.lanes.thread import Lane
from licet.ledger.commands import Command, Outcome
from licet.log import Log
from licet.server.setup_follower import SetupFollower
from licet.settings.model import Settings
from licet.store.contract import Store
from licet.store.errors import StoreUnavailable
from licet.store.opening import StoreAt
from licet.telemetry.measures import Measures

Commits = Submitter[Command, Outcome]


def thread_of(store: Store, settings: Settings, measures: Measures) -> Commits:
    """Commit in a thread of the server, with the server's own store."""
    return Lane(
        partial(_commit, store, measures),
        name="licet-commit",
        batch_max=settings.batch_commands_max,
        queue_max=settings.queue_commands_max,
        answer_within_s=store.differences.answer_within_s,
    )


async def process_of(
    store: Store,
    settings: Settings,
    measures: Measures,
    *,
    at: StoreAt,
    command: Sequence[str],
    log: Log,
    begun: Begun | None = None,
) -> Commits:
    """Commit in a process that `command` starts, which opens the store itself; `begun` is the first one.

    Raises StoreUnavailable when it cannot be started.
    """

    def ended(why: str) -> None:
        measures.restarts += 1
        log.error("committing_process_ended", detail=why)

    def killed(why: str) -> None:
        log.error("committing_process_killed", detail=why)

    first = None if begun is None else begun.taken()
    if first is not None:
        instruct(first[0], at, store.identity, settings.batch_commands_max)
    committer = Committer(
        partial(start_committer, command, at, store.identity, settings.batch_commands_max),
        begun=first,
        on_end=ended,
        on_kill=killed,
        saw_version=SetupFollower(store).follow,
        committed=measures.committed,
        queue_max=settings.queue_commands_max,
        answer_within_s=store.differences.answer_within_s,
    )
    try:
        await committer.open()
    except OSError as fault:  # no memory or no process is left
        raise StoreUnavailable(f"the committing process cannot be started: {fault}") from None
    return committer


def _commit(store: Store, measures: Measures, batch: Sequence[Command]) -> Sequence[Outcome | Exception]:
    """Commit a batch and count it; its events are counted by the server's own store."""
    began_s = perf_counter()
    try:
        return commit(store, batch)
    finally:
        measures.committed(len(batch), perf_counter() - began_s, {})
