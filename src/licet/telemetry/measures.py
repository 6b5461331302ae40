"""Counts and times requests in plain numbers, cheaply enough for every request.

A request pays for one look into a dictionary and two additions, all in the event loop's thread: no lock, and
nothing of Prometheus (`licet.telemetry.metrics` makes its families of these numbers when it is scraped). The
rules:

- Numbers only grow, from the start of the process on.
- Nothing that a client sends becomes a label: there are only endpoints and statuses.
- Times are of `perf_counter`, in seconds: durations, and never an instant.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from threading import Lock
from time import perf_counter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from licet.model import FailureCause

# The bounds are guesses at what is quick, slow and lost; the last is how long the store may take.
SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
POLLED: Final = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0)  # for a seat, in a long poll
COMMANDS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 1024, 4096)  # of a batch; 256 is the usual most

OTHER: Final = "other"
_ENDPOINTS: Final = {
    "token": "token",
    "logoff": "logoff",
    "revoke": "revoke",
    "introspect": "introspect",
    "licences": "licences",
    "verify": "verify",
    "jwks.json": "jwks",
    "live": "health",
    "ready": "health",
    ".well-known/oauth-authorization-server": "metadata",
}
_METADATA: Final = "oauth-authorization-server/"
_VERIFY: Final = "verify/"


class Histogram:
    """How many values were at most each of these bounds, how many were greater, and the sum of all."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        """Count one value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


class Measures:
    """The numbers of one server process. Use it from the event loop; `hashed` from any thread."""

    def __init__(self) -> None:
        self.requests: dict[tuple[str, int], Histogram] = {}
        self.batches = Histogram(COMMANDS)
        self.commits = Histogram(SECONDS)
        self.hashes = Histogram(SECONDS)
        self.counted: Counter[str] = Counter()  # in the committing process
        self.failures: Counter[FailureCause] = Counter()  # of authentications, which the recorder counts
        self.restarts = 0
        self.waits = {True: Histogram(POLLED), False: Histogram(POLLED)}  # by whether a seat came
        self.looks = 0  # at the store, for those who wait
        self._hashing = Lock()

    def answered(self, path: str, status: int, began_s: float) -> None:
        """A request to this path was answered; it began when `perf_counter` showed `began_s`."""
        # On the hot path: the name behind the tenant's is the endpoint's, for those that are asked all day.
        of = self.requests.get((path[path.find("/", 1) + 1 :], status)) or self._rare(path, status)
        took_s = perf_counter() - began_s
        of.counts[bisect_left(of.bounds, took_s)] += 1
        of.total += took_s

    def committed(self, commands: int, took_s: float, counted: Mapping[str, int]) -> None:
        """Count a batch of so many commands that took so long, and what the committing process counted."""
        self.batches.add(commands)
        self.commits.add(took_s)
        for name, times in counted.items():
            self.counted[name] += times

    def waited(self, took_s: float, *, is_served: bool) -> None:
        """A request has waited for a seat."""
        self.waits[is_served].add(took_s)

    def hashed(self, took_s: float) -> None:
        """A password was hashed."""
        with self._hashing:
            self.hashes.add(took_s)

    def refused(self, status: int) -> None:
        """A connection got this status before there was a request for any endpoint."""
        self._of(OTHER, status).add(0.0)

    def _rare(self, path: str, status: int) -> Histogram:
        return self._of(endpoint_of(path), status)

    def _of(self, endpoint: str, status: int) -> Histogram:
        return self.requests.setdefault((endpoint, status), Histogram(SECONDS))


def endpoint_of(path: str) -> str:
    """The endpoint of a path: one of a few names, whatever was sent."""
    name = path[path.find("/", 1) + 1 :]
    if name.startswith(_VERIFY):
        return "verify"
    return "metadata" if name.startswith(_METADATA) else _ENDPOINTS.get(name, OTHER)
