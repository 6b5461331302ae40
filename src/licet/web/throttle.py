"""Limits failed attempts to authenticate (RFC 6749 2.3.1) in bounded memory, and shuts out nobody else.

It counts failures by minute, of a source (`licet.web.source`) and of the client that was guessed at. An
attempt under way counts as a failure until it succeeds: a burst gets no further than one attempt after the
other.

- A pair of client and source that authenticated before is counted by itself: failures of others at its
  source, or of others who guess at its client, do not hold it back.
- A source that is new to a client may fail as often as a source may, and all new sources together as often as
  a client may. After that each of them has one more try, and all together a few (SPARE_PER_CLIENT).
- The networks around an IPv6 source have limits too: a customer of a provider has a whole /56 or /48.
- A client that does not exist is counted like one that does: the answer must not depend on it.

It is written here because the `limits` library starts a thread that walks all of its keys at each hit, and
grows with the number of sources.
"""

from collections import Counter
from collections.abc import Hashable, Iterator

from licet.clock import Clock
from licet.lanes.hashing import TooManyFailures
from licet.web.source import networks_around

WINDOW_MS = 60_000
KEYS_MAX = 10_000  # of each kind; some 2 MB. The one whose last failure is oldest goes first
KNOWN_MAX = 50_000  # pairs that authenticated before, some 10 MB; the oldest goes first
SPARE_PER_CLIENT = 10  # a guess: a few machines that restart in the minute of an attack
AROUND_FACTORS = (4, 16)  # a guess: how many times one source's limit its /56 has, and its /48

# A tenant's id, 0 for none, and the client_id that was sent.
Subject = tuple[int, str]
Pair = tuple[Subject, str]


class Throttle:
    """Counts failures. Use it from one event loop."""

    def __init__(
        self,
        clock: Clock,
        *,
        per_client_max: int,
        per_source_max: int,
        keys_max: int = KEYS_MAX,
        known_max: int = KNOWN_MAX,
    ) -> None:
        self._clock = clock
        self._per_client_max = per_client_max
        self._per_source_max = per_source_max
        self._known_max = known_max
        self._of_sources, self._of_clients, self._of_pairs = (_Failures(keys_max) for _ in range(3))
        self._known_good: dict[Pair, None] = {}
        self._window = 0

    def attempt(self, client: Subject, source: str) -> "Attempt":
        """Make an attempt, which has not begun yet."""
        return Attempt(self, client, source, is_known=self.is_known(client, source))

    def is_known(self, client: Subject, source: str) -> bool:
        """Whether this client came from this source before."""
        return (client, source) in self._known_good

    def wait_s(self, client: Subject, source: str) -> int | None:
        """Seconds to wait; None when the attempt may be made now."""
        return self._wait_s() if self._is_over(client, source, under_way=0) else None

    def source_wait_s(self, source: str) -> int | None:
        """The same for credentials that nobody can guess: only the source is limited."""
        self._new_minute()
        is_over = any(failures.is_over(key, most, 0) for failures, key, most in self._around(source))
        return self._wait_s() if is_over else None

    def must_let_others_end(self, client: Subject, source: str) -> bool:
        """Whether attempts under way decide if this one may be made."""
        return self._is_over(client, source, under_way=1)

    def failed(self, client: Subject, source: str) -> None:
        """Count a failure."""
        self._new_minute()
        self._of_pairs.add((client, source))
        if not self.is_known(client, source):
            self._of_clients.add(client)
            self._add_around(source)

    def source_failed(self, source: str) -> None:
        """Count a failure with credentials that nobody can guess: only the source is limited."""
        self._new_minute()
        self._add_around(source)

    def succeeded(self, client: Subject, source: str) -> None:
        """Remember that this client comes from this source."""
        pair = (client, source)
        self._known_good.pop(pair, None)
        self._known_good[pair] = None
        if len(self._known_good) > self._known_max:
            del self._known_good[next(iter(self._known_good))]

    def begun(self, client: Subject, source: str, by: int, *, is_known: bool) -> None:
        """Count an attempt as under way (`by` is 1), or as over (-1)."""
        self._of_pairs.begun((client, source), by)
        if not is_known:
            self._of_clients.begun(client, by)
            for failures, key, _ in self._around(source):
                failures.begun(key, by)

    def _is_over(self, client: Subject, source: str, *, under_way: int) -> bool:
        self._new_minute()
        pair = (client, source)
        if pair in self._known_good:
            return self._of_pairs.is_over(pair, self._per_client_max, under_way)
        most = self._per_client_max
        if self._of_pairs.is_over(pair, 1, under_way) and self._of_clients.is_over(client, most, under_way):
            return True
        if self._of_clients.is_over(client, most + SPARE_PER_CLIENT, under_way):
            return True
        return any(failures.is_over(key, most, under_way) for failures, key, most in self._around(source))

    def _around(self, source: str) -> Iterator[tuple["_Failures", str, int]]:
        """The counts of a source and of the networks around it, with the limit factor of each."""
        yield self._of_sources, source, self._per_source_max
        for network, factor in zip(networks_around(source), AROUND_FACTORS, strict=False):
            yield self._of_sources, network, self._per_source_max * factor

    def _add_around(self, source: str) -> None:
        for failures, key, _ in self._around(source):
            failures.add(key)

    def _wait_s(self) -> int:
        return (WINDOW_MS - self._clock.now_ms() % WINDOW_MS) // 1000 + 1

    def _new_minute(self) -> None:
        """Forget the failures of an earlier minute."""
        if (window := self._clock.now_ms() // WINDOW_MS) != self._window:
            self._window = window
            for failures in (self._of_sources, self._of_clients, self._of_pairs):
                failures.clear()


class Attempt:
    """One attempt to authenticate a client from a source. It counts as a failure from `begin` to `end`."""

    __slots__ = ("_client", "_is_under_way", "_source", "_throttle", "is_known", "line")

    def __init__(self, throttle: Throttle, client: Subject, source: str, *, is_known: bool) -> None:
        self._throttle = throttle
        self._client = client
        self._source = source
        self._is_under_way = False
        self.is_known = is_known
        # The line to wait in: a known pair has its own, new clients share that of the widest network around
        # them.
        self.line: Hashable = (client, source) if is_known else (networks_around(source) or (source,))[-1]

    def may_begin(self) -> bool:
        """Whether it may be made now; False where that depends on attempts under way.

        Raises TooManyFailures.
        """
        if (wait_s := self._throttle.wait_s(self._client, self._source)) is not None:
            raise TooManyFailures(wait_s)
        return not self._throttle.must_let_others_end(self._client, self._source)

    def begin(self) -> None:
        """Count it as under way."""
        self._is_under_way = True
        self._throttle.begun(self._client, self._source, 1, is_known=self.is_known)

    def end(self, *, is_right: bool | None) -> None:
        """Count it as over; `is_right` is None where that is unknown."""
        if self._is_under_way:
            self._is_under_way = False
            self._throttle.begun(self._client, self._source, -1, is_known=self.is_known)
        if is_right:
            self._throttle.succeeded(self._client, self._source)
        elif is_right is not None:
            self._throttle.failed(self._client, self._source)


class _Failures:
    """How often each key failed in this minute, and how many of its attempts are under way."""

    def __init__(self, keys_max: int) -> None:
        self._keys_max = keys_max
        self._counts: dict[Hashable, int] = {}
        self._under_way: Counter[Hashable] = Counter()  # at most as many as there are threads that hash

    def __len__(self) -> int:
        return len(self._counts)

    def is_over(self, key: Hashable, most: int, under_way: int) -> bool:
        """Whether the limit is reached; `under_way` is 1 where attempts under way count, else 0."""
        return self._counts.get(key, 0) + under_way * self._under_way[key] >= most

    def add(self, key: Hashable) -> None:
        """Count one failure."""
        count = self._counts.pop(key, 0) + 1
        self._counts[key] = count
        if len(self._counts) > self._keys_max:
            del self._counts[next(iter(self._counts))]

    def begun(self, key: Hashable, by: int) -> None:
        """Count one attempt under way more, or one less."""
        self._under_way[key] += by
        if not self._under_way[key]:
            del self._under_way[key]

    def clear(self) -> None:
        """Forget all failures."""
        self._counts.clear()
