"""Defines the records of a history: requests and answers, administrators' actions, faults; and its file.

A history is a file with one JSON array a line, whose first item is the kind of the record; `grep` finds all
lines of a session. Times in `..._us` are microseconds of CLOCK_MONOTONIC, which all processes of a machine
share; times in `..._ms` are milliseconds since 1970 by the clock of the store. The records are in the order
of writing.
"""

import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Literal, Self

import msgspec

# The outcomes of an operation that was not answered, or answered with 503: it may have been carried out.
UNKNOWN = ""
UNAVAILABLE = "unavailable"
FOREVER = 1 << 62  # an instant that never comes
POOL = "full"  # the pool of each tenant
ACCESS_TTL_S_MAX = 60  # of the tokens of signed pools: the least that can be signed

Kind = Literal["grant", "refresh", "logoff", "revoke", "introspect", "call"]
ActionKind = Literal[
    "seats",
    "disable",
    "enable",
    "take_secret",
    "give_secret",
    "end",
    "licence",
    "options",
    "remove_place",
]
HolderKind = Literal["client", "user", "none"]
Done = Literal["done", "unknown", "contradiction"]  # the last is a defect, which a constraint refused


def now_us() -> int:
    """The monotonic clock that all processes of this machine share, in microseconds."""
    return time.monotonic_ns() // 1000


class Record(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True):
    """A record, which is one line of a history, or a part of one."""


class ClientPlan(Record, frozen=True, kw_only=True):
    """A client, its user, and how many sessions it may have.

    `has_key` is whether it authenticates by signed assertions, and not by a secret.
    """

    client_id: str
    user: str
    sessions_max: int
    has_key: bool = False


class Limits(Record, frozen=True, kw_only=True):
    """The options of a pool (L15 to L17, L19), for the groups of its tenant.

    `reserve` seats are reserved for the group `desk`. The limits are `max` for the group `sales`,
    `max_of_user` for each user of `capped`, `max_per_user` for every other user, and `max_per_client` for
    every client; 0 is no limit. If `excludes`, the group `out` gets no seat; if `includes`, only the group
    `staff` gets seats; if `names`, only the named users do. `queue` is how many may wait, and `level` the
    priority of the group `first`.
    """

    reserve: int
    max: int
    max_per_user: int
    excludes: bool
    queue: int
    includes: bool = False
    names: bool = False
    max_per_client: int = 0
    level: int = 0
    max_of_user: int = 0


class TenantPlan(Record, frozen=True, kw_only=True):
    """A tenant with one pool, and its clients.

    `signed` is how many seats its vendor has signed at first, 0 if the pool is in no licence. `hold_s` is the
    effective hold. `is_jwt` is whether its access tokens are JWTs. `limits` are the options of its pool at
    first, if it has any: `desk`, `sales`, `out`, `staff` and `first` are the clients of their groups, `named`
    the named users, and `capped` the users with a limit of their own. If `by_users`, the groups list the
    users of these clients instead. A place in line is kept for `line_hold_s`. If `is_steady`, administrators
    change neither the options nor the seats of the pool.
    """

    name: str
    seats: int
    duplicates: HolderKind
    session_ttl_s: int
    access_ttl_s: int
    clients: tuple[ClientPlan, ...] = ()
    hold_s: int = 0
    signed: int = 0
    is_jwt: bool = False
    limits: Limits | None = None
    desk: tuple[str, ...] = ()
    sales: tuple[str, ...] = ()
    out: tuple[str, ...] = ()
    staff: tuple[str, ...] = ()
    first: tuple[str, ...] = ()
    named: tuple[str, ...] = ()
    line_hold_s: int = 0
    capped: tuple[str, ...] = ()
    by_users: bool = False
    is_steady: bool = False


class ApiPlan(Record, frozen=True, kw_only=True):
    """An API behind guards, one for each signed tenant.

    APIs with the same `memory` count seats together. `overlap_s` is how long two of them may differ at a
    hand-over.
    """

    memory: str
    overlap_s: float = 0.0


class RunPlan(Record, frozen=True, kw_only=True, tag="plan"):
    """The plan of the run: the first line of a history."""

    seed: int
    store: str
    nodes: int
    tenants: tuple[TenantPlan, ...]
    apis: tuple[ApiPlan, ...] = ()


class Claims(Record, frozen=True, kw_only=True):
    """The claims of a JWT about its session and seat; `counted_for` is '' if it names no seat."""

    client: str
    user: str
    scope: str
    pool: str
    counted_for: str
    number: int
    iat: int
    exp: int


class Operation(Record, frozen=True, kw_only=True, tag="op"):
    """One request and its answer; without an answer `received_us` is 0.

    `outcome` is `granted`, `active`, `inactive`, `logged_off`, `revoked`, `let_in`, or the reason or error of
    a refusal. A `call` goes to an API, and `node` is the number of that API.

    `sid` is the session of the answer to a grant, else of the token that was sent. `token_sent_us` and
    `token_received_us` are when the access token that was sent had been requested and received. `issued_ms`
    is when that token, or the one in the answer, was issued. `claims` are those of an access token that is a
    JWT. `number` is the seat number of the session, if known. `in_use` and `seats` are those of a denial.

    `queue` is whether a grant asked for a place in line; `position` is that place, and `wait_s` for how many
    seconds the answer might be delayed. For a grant that waited, the checker sets `sent_us` to the earliest
    moment of its decision, and `asked_us` to that of its sending. `lost_us` is when it was known that no
    answer comes. `left_us` is when its client left before the answer: it closed the connection, or its
    sending half, and then may have received an answer. `assertion` is the identifier of the assertion that
    it carried instead of a secret; several requests may carry the same.
    """

    kind: Kind
    sent_us: int
    received_us: int
    node: int
    tenant: str
    client: str
    licensed: bool
    outcome: str
    status: int = 0
    sid: str = ""
    token_sent_us: int = 0
    token_received_us: int = 0
    seats: int = 0
    in_use: int = 0
    released: bool = False
    issued_ms: int = 0
    number: int = 0
    queue: bool = False
    position: int = 0
    wait_s: int = 0
    asked_us: int = 0
    lost_us: int = 0
    left_us: int = 0
    claims: Claims | None = None
    assertion: str = ""

    @property
    def due_us(self) -> int:
        """The end of the time for which the answer may be delayed."""
        return (self.asked_us or self.sent_us) + self.wait_s * 1_000_000

    @property
    def is_unknown(self) -> bool:
        """Whether it is unknown if the request was carried out."""
        return self.outcome in {UNKNOWN, UNAVAILABLE}


class Action(Record, frozen=True, kw_only=True, tag="action"):
    """An action of an administrator. `client` is '' if it is about the pool; `seats` is the new setting.

    `sids` are the sessions to end, if they were named. `signed` are the steps of seats that the licences give
    after the action, and `limits` the options of the pool. `why` is the reason of a refusal. `had` is whether
    the place that was to be removed existed.
    """

    kind: ActionKind
    begun_us: int
    ended_us: int
    tenant: str
    done: Done
    client: str = ""
    seats: int = 0
    sids: tuple[str, ...] = ()
    by: str = "store"
    signed: tuple[tuple[int, int], ...] = ()
    limits: Limits | None = None
    why: str = ""
    had: bool = False


class Fault(Record, frozen=True, kw_only=True, tag="fault"):
    """A fault, from its beginning until all is repaired. It affects `nodes`, or all if they are empty."""

    kind: str
    begun_us: int
    ended_us: int
    nodes: tuple[int, ...] = ()


class Figure(Record, frozen=True, kw_only=True, tag="figure"):
    """A measured time, or an event.

    `promoted` is when a standby was promoted to primary; `expiry ...` is how long after its expiry a seat was
    free.
    """

    name: str
    at_us: int
    seconds: float


class PoolRow(Record, frozen=True, kw_only=True):
    """A pool in the tables; `rows` counts its rows of `seat`, and `minute_...` are of its last usage row."""

    tenant: str
    seats: int
    overuse: int
    in_use: int
    rows: int
    minute_in_use: int = 0
    minute_peak: int = 0


class CountRow(Record, frozen=True, kw_only=True):
    """A counter of an option in the tables, and the number of rows of `seat` that it should count."""

    tenant: str
    what: str
    in_use: int
    rows: int


class LineRow(Record, frozen=True, kw_only=True):
    """The line of a pool in the tables: at most `queue` `places`; those in `seated` have a seat as well."""

    tenant: str
    queue: int
    places: tuple[str, ...]
    seated: tuple[str, ...] = ()


class LiveRow(Record, frozen=True, kw_only=True):
    """A live session with a seat, in a pool with a line."""

    sid: str
    tenant: str
    client: str
    started_ms: int


class Sample(Record, frozen=True, kw_only=True, tag="sample"):
    """The tables while the load runs: the pools at one moment; then the counters and the lines at one each.

    `live` are the sessions in pools with a line.
    """

    begun_us: int
    ended_us: int
    pools: tuple[PoolRow, ...]
    counts: tuple[CountRow, ...] = ()
    lines: tuple[LineRow, ...] = ()
    live: tuple[LiveRow, ...] = ()


class SessionRow(Record, frozen=True, kw_only=True):
    """A session in the tables; `holder` is '' if it has no seat."""

    sid: str
    tenant: str
    client: str
    holder: str
    expires_at_ms: int


class SeatRow(Record, frozen=True, kw_only=True):
    """A seat in the tables; `issued_at_ms` is when its newest token was issued.

    `counted` are the counters of the pool's options that count it.
    """

    tenant: str
    holder: str
    expires_at_ms: int
    issued_at_ms: int = 0
    number: int = 0
    counted: tuple[str, ...] = ()


class JournalRow(Record, frozen=True, kw_only=True):
    """How many grants, denials or endings of a client the journal has of the whole run."""

    tenant: str
    client: str
    kind: str
    times: int


class Final(Record, frozen=True, kw_only=True, tag="final"):
    """The tables after the end of the load, at one moment: `now_ms` by the clock of the store."""

    begun_us: int
    ended_us: int
    now_ms: int
    pools: tuple[PoolRow, ...]
    sessions: tuple[SessionRow, ...]
    seats: tuple[SeatRow, ...]
    journal: tuple[JournalRow, ...]
    counts: tuple[CountRow, ...] = ()
    lines: tuple[LineRow, ...] = ()


class DueRow(Record, frozen=True, kw_only=True):
    """A row that is due for upkeep since `due_ms`; `name` is its session, holder or client."""

    tenant: str
    name: str
    due_ms: int


class Backlog(Record, frozen=True, kw_only=True):
    """How many rows of a table are due for upkeep, and those that are due for the longest.

    `done` is how many were cleared away or folded before, if the tables tell.
    """

    table: str
    rows: int
    done: int = 0
    oldest: tuple[DueRow, ...] = ()


class Upkeep(Record, frozen=True, kw_only=True, tag="upkeep"):
    """What the nodes had to clear away and to fold after the end of the load, while nothing was broken.

    It is about the rows that are due at `due_ms`, soon after `begun_us`: `first` are those that were there at
    first, and `left` those of the last look, at `now_ms`. `is_led` is whether a node was the leader then, not
    just for a moment. The harness looks until a node leads and none is left, or gives up when it is certain
    that upkeep should have been done.
    """

    begun_us: int
    ended_us: int
    due_ms: int
    now_ms: int
    is_led: bool
    first: tuple[Backlog, ...]
    left: tuple[Backlog, ...]


AnyRecord = RunPlan | Operation | Action | Fault | Figure | Sample | Final | Upkeep


class Writer:
    """Writes records to a file, many at a time. Only one thread may use it."""

    def __init__(self, path: Path) -> None:
        self._file: IO[bytes] = path.open("ab")
        self._encode = msgspec.json.Encoder().encode
        self._lines: list[bytes] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.flush()
        self._file.close()

    def write(self, record: AnyRecord) -> None:
        """Buffer a record; the buffer is written when it is large."""
        self._lines.append(self._encode(record))
        if len(self._lines) >= 1000:
            self.flush()

    def flush(self) -> None:
        """Write the buffered records to the file."""
        if self._lines:
            self._file.write(b"\n".join((*self._lines, b"")))
            self._file.flush()
            self._lines.clear()


def read_history(paths: Iterable[Path]) -> Iterator[AnyRecord]:
    """The records of these files. An incomplete last line is left out."""
    decode = msgspec.json.Decoder(AnyRecord).decode
    for path in paths:
        with path.open("rb") as file:
            for line in file:
                if line.endswith(b"\n"):
                    yield decode(line)


def line_of(record: AnyRecord) -> str:
    """A record as its line in the file."""
    return msgspec.json.encode(record).decode()
