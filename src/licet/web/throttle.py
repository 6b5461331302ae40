"""A limit on failed attempts to prove a client (RFC 6749 2.3.1), bounded in memory.

It counts failures per source and per client in windows of a minute. Nobody can shut out the real client with
it: a password that was right a short while ago never comes here, a source from which the client came before
is not held to the limit of its source, and one that has not failed yet has one try even while others
guess at the client. A client that does not exist is counted like one that does: what a limit tells must not
depend on it.

Written here because the `limits` library starts a thread that walks all of its keys at each hit, and
grows with the number of sources.
"""

from licet.clock import Clock

WINDOW_MS = 60_000
KEYS_MAX = 10_000  # some 2 MB; the oldest goes first


# A tenant's id, 0 for none, and what was sent as client_id.
Subject = tuple[int, str]
Key = str | Subject | tuple[Subject, str]


class Throttle:
    """Counts failures; `wait_s` says how long a source has to wait before it may try a client again."""

    def __init__(
        self, clock: Clock, *, per_client_max: int, per_source_max: int, keys_max: int = KEYS_MAX
    ) -> None:
        self._clock = clock
        self._per_client_max = per_client_max
        self._per_source_max = per_source_max
        self._keys_max = keys_max
        self._failures: dict[Key, tuple[int, int]] = {}
        self._known_good: dict[tuple[Subject, str], None] = {}

    def wait_s(self, client: Subject, source: str) -> int | None:
        """Seconds to wait; None when the attempt may be made."""
        pair = (client, source)
        too_many_from_here = self._count(source) >= self._per_source_max and pair not in self._known_good
        too_many_for_client = self._count(client) >= self._per_client_max and self._count(pair) > 0
        if not (too_many_from_here or too_many_for_client):
            return None
        return (WINDOW_MS - self._clock.now_ms() % WINDOW_MS) // 1000 + 1

    def failed(self, client: Subject, source: str) -> None:
        """Count a failure."""
        for key in (source, client, (client, source)):
            self._add(key)

    def succeeded(self, client: Subject, source: str) -> None:
        """Remember that this client comes from this source."""
        pair = (client, source)
        self._known_good.pop(pair, None)
        self._known_good[pair] = None
        if len(self._known_good) > self._keys_max:
            del self._known_good[next(iter(self._known_good))]

    def _count(self, key: Key) -> int:
        window, count = self._failures.get(key, (0, 0))
        return count if window == self._window() else 0

    def _add(self, key: Key) -> None:
        count = self._count(key) + 1
        self._failures.pop(key, None)
        self._failures[key] = (self._window(), count)
        if len(self._failures) > self._keys_max:
            del self._failures[next(iter(self._failures))]

    def _window(self) -> int:
        return self._clock.now_ms() // WINDOW_MS
