"""A PostgreSQL whose commits wait for a standby that there is not."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count

from support.store.postgres import Postgres
from support.waiting import until

_CANCEL = "SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"


@contextmanager
def without_its_standby(postgres: Postgres) -> Iterator[None]:
    """Within the block, every commit waits until it is broken off.

    The setting counts when a process of the database has taken note of it, some time after the reload: so
    commits are tried until one waits.
    """
    postgres.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
    try:
        postgres.reload()
        with ThreadPoolExecutor(1) as pool:
            for number in count():
                probe = pool.submit(postgres.execute, f"CREATE TABLE probe_{number} ()")
                was_broken_off = False

                def is_over() -> bool:
                    nonlocal was_broken_off
                    was_broken_off = was_broken_off or break_off(postgres)
                    return probe.done()  # noqa: B023 - asked within this turn

                until(is_over)
                if was_broken_off:
                    break
        yield
    finally:
        postgres.execute("ALTER SYSTEM RESET synchronous_standby_names")
        postgres.reload()


def break_off(postgres: Postgres) -> bool:
    """Whether a commit waited, which waits no longer."""
    return postgres.execute(_CANCEL) == [(1,)]
