"""Runs functions in processes beside that of a test, each forked from one that has imported the stores.

A new interpreter would spend most of a second of processor time on imports. The processes share neither
memory nor a connection with the test: their functions are pickled.
"""

import multiprocessing
from collections.abc import Callable, Iterable

BESIDE = multiprocessing.get_context("forkserver")
BESIDE.set_forkserver_preload(
    [
        "alembic.command",
        "pytest",
        "sqlalchemy",
        "licet.lanes.commit",
        "licet.setup.change",
        "licet.store.opening",
        "licet.store.postgres.store",
        "licet.store.sqlite.store",
    ]
)


def run_beside(targets: Iterable[Callable[[], None]]) -> None:
    """Run these in processes of their own, all at once; each must end with exit code 0."""
    processes = [BESIDE.Process(target=target) for target in targets]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * len(processes)
