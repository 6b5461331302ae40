"""Makes a PostgreSQL whose commits wait for a standby that does not exist."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count

from support.store.postgres import Postgres
from support.waiting import until

_CANCEL = "SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"


@contextmanager
def without_its_standby(postgres: Postgres) -> Iterator[None]:
    """Let every commit in the block wait until it is cancelled.

    The setting takes effect some time after the reload; so commits are tried until one waits.
    """
    postgres.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
    try:
        postgres.reload()
        with ThreadPoolExecutor(1) as pool:
            for number in count():
                probe = pool.submit(postgres.execute, f"CREATE TABLE probe_{number} ()")
                was_cancelled = False

                def is_over() -> bool:
                    nonlocal was_cancelled
                    was_cancelled = was_cancelled or cancel_commit(postgres)
                    return probe.done()  # noqa: B023 - asked within this turn

                until(is_over)
                if was_cancelled:
                    break
        yield
    finally:
        postgres.execute("ALTER SYSTEM RESET synchronous_standby_names")
        postgres.reload()


def cancel_commit(postgres: Postgres) -> bool:
    """Cancel a commit that waits for the standby; whether there was one."""
    return postgres.execute(_CANCEL) == [(1,)]
