"""Makes the Prometheus metrics page at each scrape, from the measures and one read of the store.

    GET /metrics -> one read of the store | the numbers of `measures` -> families -> text or OpenMetrics

The rules:

- Nothing here runs on the path of a request.
- A store that does not answer costs a scrape a few seconds and the store's families; it still has all others.
- There is one read of the store at a time, however many scrape.
- A label's values are ours or an administrator's, never a client's, and their number is bounded.

Names and units are those of https://prometheus.io/docs/practices/naming/. `python -m licet.telemetry.metrics`
prints docs/reference/metrics.md.
"""

import asyncio
import platform
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Final, NamedTuple

from prometheus_client import CollectorRegistry, Metric, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from licet.model import EndReason, FailureCause, NoSeatReason
from licet.reports.occupancy import OTHERS, SCOPES_MAX, Occupancy, occupancy
from licet.store.contract import Store
from licet.store.counters import (
    COLLIDED,
    DENIED,
    ENDED,
    GRANTED,
    LEFT,
    RENEWED,
    SERVED,
    WAITED,
    WAITED_MS,
    WAITED_S,
)
from licet.store.errors import StoreUnavailable
from licet.telemetry.measures import COMMANDS, OTHER, POLLED, SECONDS, Histogram, Measures

READ_WITHIN_S: Final = 3.0  # of the 10 s that a scrape has by default
COMMITTER: Final = "licet_commit"  # the prefix of the committing process's metrics


class Page(NamedTuple):
    """The answer to a scrape."""

    body: bytes
    content_type: str


class Queue(NamedTuple):
    """How much waits in a queue, and how much may."""

    length: Callable[[], int]
    limit: int


class Family(NamedTuple):
    """One family of metrics: `kind` is counter, gauge, histogram or info; a counter's name ends in _total."""

    name: str
    kind: str
    labels: tuple[str, ...]
    text: str

    def make(self) -> Metric:
        """The metric, without a sample yet."""
        match self.kind:
            case "counter":
                return CounterMetricFamily(self.name, self.text, labels=self.labels)
            case "histogram":
                return HistogramMetricFamily(self.name, self.text, labels=self.labels)
            case "info":  # whose labels come with its value
                return InfoMetricFamily(self.name.removesuffix("_info"), self.text)
            case _:
                return GaugeMetricFamily(self.name, self.text, labels=self.labels)


_POOL = ("tenant", "pool")
FAMILIES: Final = (
    Family("licet_seats", "gauge", _POOL, "Seats of a pool that count now, without overdraft."),
    Family("licet_seats_in_use", "gauge", _POOL, "Seats of a pool that are in use now."),
    Family(
        "licet_seats_on_hold",
        "gauge",
        _POOL,
        "Seats in use without an active session: on hold after the last token that was issued with them.",
    ),
    Family(
        "licet_seats_overuse",
        "gauge",
        _POOL,
        "Seats in use above the pool's seats and overdraft, because its seats were lowered.",
    ),
    Family("licet_seats_reserved", "gauge", _POOL, "Seats of a pool that are reserved, in use or idle."),
    Family("licet_seats_reserved_in_use", "gauge", _POOL, "Reserved seats of a pool that are in use."),
    Family(
        "licet_seat_queue_places",
        "gauge",
        _POOL,
        "Clients or users that wait in the queue of a pool; only for pools with a queue.",
    ),
    Family(
        "licet_seats_signed",
        "gauge",
        _POOL,
        "Seats that licences give a signed pool now, without overdraft; 0 if no licence counts.",
    ),
    Family(
        "licet_seats_overdraft_in_use",
        "gauge",
        _POOL,
        "Seats of a signed pool in use above those that were bought.",
    ),
    Family(
        "licet_licence_expiry_timestamp_seconds",
        "gauge",
        _POOL,
        "When a signed pool next loses seats because licences expire (within a grace, the end of the grace),"
        " in seconds since 1970; absent if they do not expire.",
    ),
    Family(
        "licet_pool_expiry_timestamp_seconds",
        "gauge",
        _POOL,
        "When a pool expires by its own setting, in seconds since 1970; absent if it does not expire.",
    ),
    Family(
        "licet_sessions",
        "gauge",
        (*_POOL, "scope"),
        "Active sessions by granted scope; `pool` is empty if they need no seat.",
    ),
    Family("licet_tenants", "gauge", (), "Tenants in the store."),
    Family(
        "licet_tenants_named",
        "gauge",
        (),
        "Tenants with their own series; all others share those of the tenant (others).",
    ),
    Family("licet_store_up", "gauge", (), "Whether the store answered this scrape: 1 or 0."),
    Family("licet_ready", "gauge", (), "Whether /health/ready reports ready: 1 or 0."),
    Family("licet_grants_total", "counter", (), "Sessions begun."),
    Family("licet_refreshes_total", "counter", (), "Sessions renewed."),
    Family("licet_denials_total", "counter", ("reason",), "Grants denied because there was no seat."),
    Family("licet_endings_total", "counter", ("reason",), "Sessions ended."),
    Family(
        "licet_seat_queue_left_total",
        "counter",
        ("served",),
        "Places in queues that ended, by whether the client got a seat: true or false.",
    ),
    Family(
        "licet_seat_queue_wait_seconds",
        "histogram",
        (),
        "Time in the queue of a pool, of clients that got a seat.",
    ),
    Family(
        "licet_authentication_failures_total",
        "counter",
        ("cause",),
        "Failed authentications of clients, administrators and API keys.",
    ),
    Family("licet_http_requests_total", "counter", ("endpoint", "status"), "Answered requests."),
    Family(
        "licet_http_request_duration_seconds",
        "histogram",
        ("endpoint",),
        "Time from a request's head to the end of its answer, without a wait in line for a seat.",
    ),
    Family("licet_commit_batch_commands", "histogram", (), "Commands that were committed together."),
    Family(
        "licet_commit_duration_seconds",
        "histogram",
        (),
        "Duration of a batch, from loading to COMMIT.",
    ),
    Family(
        "licet_password_hash_duration_seconds",
        "histogram",
        (),
        "Duration of a password check, without its wait in the queue.",
    ),
    Family(
        "licet_queue_length",
        "gauge",
        ("queue",),
        "Commands to commit, sessions to read and passwords to hash, waiting or in progress on this node.",
    ),
    Family(
        "licet_queue_limit",
        "gauge",
        ("queue",),
        "The limit of such a queue of this node; further requests get 503.",
    ),
    Family(
        "licet_long_polls",
        "gauge",
        (),
        "Requests that wait on this node for a seat (`Prefer: wait`).",
    ),
    Family(
        "licet_long_poll_duration_seconds",
        "histogram",
        ("served",),
        "How long such a request waited on this node, by whether it got a seat: true or false.",
    ),
    Family(
        "licet_long_poll_reads_total",
        "counter",
        (),
        "Reads of the store for such requests: one a second for all of them.",
    ),
    Family(
        "licet_commit_process_restarts_total",
        "counter",
        (),
        "How often the committing process ended unexpectedly and was restarted.",
    ),
    Family(
        "licet_store_collisions_total",
        "counter",
        ("kind",),
        "Transactions that the database rolled back because of a concurrent one, by the name of its error.",
    ),
    Family(
        "licet_certificate_expiry_timestamp_seconds",
        "gauge",
        (),
        "When the certificate of this server expires, in seconds since 1970; absent without a certificate.",
    ),
    Family("licet_build_info", "info", ("version", "python", "store"), "The running software; always 1."),
)


class Metrics:
    """Makes pages of metrics. Use it from one event loop; `commit_pid` is the committing process, if any.

    If `is_public`, anybody who can reach the admin listener may read the metrics.
    """

    def __init__(
        self,
        *,
        store: Store,
        measures: Measures,
        queues: Mapping[str, Queue],
        is_ready: Callable[[], bool],
        commit_pid: Callable[[], int] | None,
        tenants_max: int,
        build: Mapping[str, str],
        is_public: bool = False,
        waiting: Callable[[], int] = lambda: 0,
        certificate_expires_at_s: Callable[[], int] | None = None,
    ) -> None:
        self.is_public = is_public
        self._store = store
        self._measures = measures
        self._queues = queues
        self._is_ready = is_ready
        self._certificate_expires_at_s = certificate_expires_at_s
        self._waiting = waiting
        self._tenants_max = tenants_max
        self._build = {**build, "python": platform.python_version()}
        self._processes: list[Collector] = [ProcessCollector(registry=None)]
        if commit_pid is not None:
            self._processes.append(ProcessCollector(namespace=COMMITTER, pid=commit_pid, registry=None))
        self._reading: asyncio.Future[Occupancy | None] | None = None

    async def page(self, accept: str = "") -> Page:
        """All metrics, as text or as OpenMetrics when that is accepted."""
        found = await self._occupancy()
        return await asyncio.to_thread(self._encode, found, accept)

    async def _occupancy(self) -> Occupancy | None:
        """What the store has; None when it does not answer in time. Scrapes at the same time share it."""
        if self._reading is None or self._reading.done():
            self._reading = asyncio.ensure_future(asyncio.to_thread(self._read))
        done, _ = await asyncio.wait({self._reading}, timeout=READ_WITHIN_S)
        return self._reading.result() if done else None

    def _read(self) -> Occupancy | None:
        try:
            signed = {
                pool.id: pool
                for tenant in self._store.tenants().values()
                for pool in tenant.pools.values()
                if pool.signed is not None
            }
            with self._store.reporting() as connection:
                now_ms = self._store.clock.now_ms()
                return occupancy(connection, now_ms, tenants_max=self._tenants_max, pools=signed)
        except StoreUnavailable:
            return None

    def _encode(self, found: Occupancy | None, accept: str) -> Page:
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Found(list(self._families(found))))
        try:
            encode, content_type = choose_encoder(accept)
        except (ValueError, TypeError):  # a malformed version in the header
            encode, content_type = choose_encoder("")
        return Page(encode(registry), content_type)

    def _families(self, found: Occupancy | None) -> Iterator[Metric]:
        of = {family.name: family.make() for family in FAMILIES}
        _put(of, "licet_build_info", (), self._build)
        _put(of, "licet_store_up", (), int(found is not None))
        _put(of, "licet_ready", (), int(self._is_ready()))
        if self._certificate_expires_at_s is not None:
            _put(of, "licet_certificate_expiry_timestamp_seconds", (), self._certificate_expires_at_s())
        if found is not None:
            _put_occupancy(of, found)
        _put_counted(of, self._counted())
        for cause in FailureCause:  # 0 as well: a rate needs the beginning of a series
            _put(of, "licet_authentication_failures_total", (cause,), self._measures.failures[cause])
        _put_requests(of, self._measures.requests.copy())
        _put_histogram(of, "licet_commit_batch_commands", (), [self._measures.batches])
        _put_histogram(of, "licet_commit_duration_seconds", (), [self._measures.commits])
        _put_histogram(of, "licet_password_hash_duration_seconds", (), [self._measures.hashes])
        self._put_waiting(of)
        for name, queue in self._queues.items():
            _put(of, "licet_queue_length", (name,), queue.length())
            _put(of, "licet_queue_limit", (name,), queue.limit)
        _put(of, "licet_commit_process_restarts_total", (), self._measures.restarts)
        yield from (family for family in of.values() if family.samples)
        for process in self._processes:
            yield from process.collect()  # nothing where the process is gone

    def _put_waiting(self, of: Mapping[str, Metric]) -> None:
        _put(of, "licet_long_polls", (), self._waiting())
        _put(of, "licet_long_poll_reads_total", (), self._measures.looks)
        for is_served, waits in self._measures.waits.items():
            _put_histogram(of, "licet_long_poll_duration_seconds", (str(is_served).lower(),), [waits])

    def _counted(self) -> dict[str, int]:
        """What the committing process and this one have counted, together."""
        counted = dict(self._measures.counted)
        for name, times in dict(self._store.counted).items():
            counted[name] = counted.get(name, 0) + times
        for name, times in dict(self._store.collisions).items():
            counted[COLLIDED + name] = counted.get(COLLIDED + name, 0) + times
        return counted


class _Found(Collector):
    """Gives a registry families that were collected before."""

    def __init__(self, families: Sequence[Metric]) -> None:
        self._families = families

    def collect(self) -> Sequence[Metric]:
        """The families."""
        return self._families


def _put(of: Mapping[str, Metric], name: str, labels: Sequence[str], value: object) -> None:
    of[name].add_metric(labels, value)  # type: ignore[attr-defined]


def _put_occupancy(of: Mapping[str, Metric], found: Occupancy) -> None:
    _put(of, "licet_tenants", (), found.tenants)
    _put(of, "licet_tenants_named", (), found.tenants_named)
    for pool in found.pools:
        labels = (pool.tenant, pool.pool)
        _put(of, "licet_seats", labels, pool.seats)
        _put(of, "licet_seats_in_use", labels, pool.in_use)
        _put(of, "licet_seats_on_hold", labels, pool.on_hold)
        _put(of, "licet_seats_overuse", labels, pool.overuse)
        if pool.expires_at_ms is not None:
            _put(of, "licet_pool_expiry_timestamp_seconds", labels, pool.expires_at_ms / 1000)
        if pool.signed is not None:
            _put(of, "licet_seats_signed", labels, pool.signed)
            _put(of, "licet_seats_overdraft_in_use", labels, pool.overdraft_in_use)
        if pool.licence_expires_at_ms is not None:
            _put(of, "licet_licence_expiry_timestamp_seconds", labels, pool.licence_expires_at_ms / 1000)
    for name, numbers in (
        ("licet_seats_reserved", found.reserved),
        ("licet_seats_reserved_in_use", found.reserved_in_use),
        ("licet_seat_queue_places", found.waiting),
    ):
        for of_pool, number in numbers.items():
            _put(of, name, of_pool, number)
    for of_scope, sessions in found.sessions.items():
        _put(of, "licet_sessions", of_scope, sessions)


def _put_counted(of: Mapping[str, Metric], counted: Mapping[str, int]) -> None:
    """A reason that did not occur is 0: a rate needs the beginning of a series."""
    _put(of, "licet_grants_total", (), counted.get(GRANTED, 0))
    _put(of, "licet_refreshes_total", (), counted.get(RENEWED, 0))
    for denied in NoSeatReason:
        _put(of, "licet_denials_total", (denied,), counted.get(DENIED + denied, 0))
    for ended in EndReason:
        _put(of, "licet_endings_total", (ended,), counted.get(ENDED + ended, 0))
    _put(of, "licet_seat_queue_left_total", ("true",), counted.get(SERVED, 0))
    _put(of, "licet_seat_queue_left_total", ("false",), counted.get(LEFT, 0))
    waits = Histogram(WAITED_S)
    waits.counts = [counted.get(f"{WAITED}{bound}", 0) for bound in range(len(waits.counts))]
    waits.total = counted.get(WAITED_MS, 0) / 1000
    _put_histogram(of, "licet_seat_queue_wait_seconds", (), [waits])
    for name, times in counted.items():
        if name.startswith(COLLIDED):
            _put(of, "licet_store_collisions_total", (name.removeprefix(COLLIDED),), times)


def _put_requests(of: Mapping[str, Metric], requests: Mapping[tuple[str, int], Histogram]) -> None:
    by_endpoint: dict[str, list[Histogram]] = {}
    for (endpoint, status), histogram in sorted(requests.items()):
        _put(of, "licet_http_requests_total", (endpoint, str(status)), sum(histogram.counts))
        by_endpoint.setdefault(endpoint, []).append(histogram)
    for endpoint, histograms in by_endpoint.items():
        _put_histogram(of, "licet_http_request_duration_seconds", (endpoint,), histograms)


def _put_histogram(
    of: Mapping[str, Metric], name: str, labels: Sequence[str], parts: Sequence[Histogram]
) -> None:
    """The sum of these histograms, which have the same bounds."""
    counts = accumulate(map(sum, zip(*(part.counts for part in parts), strict=True)))
    bounds = [*(f"{float(bound)}" for bound in parts[0].bounds), "+Inf"]
    buckets = list(zip(bounds, counts, strict=True))
    of[name].add_metric(labels, buckets, sum(part.total for part in parts))  # type: ignore[attr-defined]


_PAGE = f"""# Metrics

<!-- Made by `python -m licet.telemetry.metrics`; edit src/licet/telemetry/metrics.py instead. -->

`GET /metrics` on the admin listener returns the metrics in the text format of Prometheus or, if the request
accepts it, as OpenMetrics. To set it up, see [Watch Licet with Prometheus and
Grafana](../how-to/watch-with-prometheus.md). The scraper sends an API key as Bearer token, with the role
`viewer` or more for all tenants; with `metrics_public = true` it needs none. While the store does not
answer, a key that was valid before is accepted.

Values that are read at a scrape (`licet_seats`, `licet_sessions` and others) describe the whole store, and
are the same on every node. Counters (`..._total`) and histograms describe one node since it started, and do
not include the command line on the same machine. If the store does not answer within {READ_WITHIN_S:.0f} s,
the values of the whole store are missing, and `licet_store_up` is 0.

**Number of series.** The oldest `metrics_tenants_max` tenants (200) have their own series; all others
count as one tenant `{OTHERS}` with one pool. `licet_tenants_named` is the number of tenants with their own
series. A tenant with two scopes and one pool without options has six series, with a signed pool nine. In
each pool the {SCOPES_MAX} scopes with the most sessions have their own series. No label contains a client, a
user, an address, or anything else that a client sends.

**Cost.** Each request costs half a microsecond; all other work is done at the scrape, in a thread. The
scrape counts sessions, which takes SQLite some 0.6 s of processor time for a million sessions.

| metric | type | labels | meaning |
| --- | --- | --- | --- |
"""

_PROCESSES = f"""
`endpoint` is `token`, `logoff`, `revoke`, `introspect`, `licences`, `verify`, `jwks`, `metadata`,
`health`, or `{OTHER}` for anything else, including incomplete requests that were refused. `queue` is
`commit`, `read` or `hash`. It is not the queue of a pool, in which clients wait for a seat: see
`licet_seat_queue_...`, and `licet_long_poll...` for requests that wait with their clients.

Buckets of durations end at {", ".join(f"{bound:g}" for bound in SECONDS)} seconds, those of long polls at
{", ".join(f"{bound:g}" for bound in POLLED)}, those of waits for a seat at
{", ".join(map(str, WAITED_S))}; those of a batch at
{", ".join(map(str, COMMANDS))} commands.

The server process has `process_cpu_seconds_total`, `process_resident_memory_bytes`,
`process_virtual_memory_bytes`, `process_start_time_seconds`, `process_open_fds` and `process_max_fds`;
the committing process has the same with the prefix `{COMMITTER}_`. Both exist on Linux only.
"""


def reference() -> str:
    """The reference page of all metrics, as Markdown."""
    return _PAGE + "".join(f"{_row(family)}\n" for family in FAMILIES) + _PROCESSES


def _row(family: Family) -> str:
    labels = ", ".join(f"`{label}`" for label in family.labels)
    return f"| `{family.name}` | {family.kind} | {labels} | {family.text} |"


if __name__ == "__main__":
    sys.stdout.write(reference())
