"""The history of a run: what was asked and answered, what administrators did, and what was broken when.

A file of JSON, one record a line: an array whose first item is its kind, so that `grep` finds all of a
session. Instants are microseconds of CLOCK_MONOTONIC (`..._us`), which all processes of a machine share;
what a store says of its own clock is in milliseconds since 1970 (`..._ms`). The records are as they were
written, in no order.
"""

import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Literal, Self

import msgspec

# The outcome of an operation that was not answered, or answered with 503: it may have been done.
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
Done = Literal["done", "unknown", "contradiction"]  # the last is a bug that the tables refused


def now_us() -> int:
    """Microseconds of the clock that every process of this machine has."""
    return time.monotonic_ns() // 1000


class Record(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True):
    """What all records have in common: one line each."""


class ClientPlan(Record, frozen=True, kw_only=True):
    """A client, its user, and how many sessions it may have."""

    client_id: str
    user: str
    sessions_max: int


class Limits(Record, frozen=True, kw_only=True):
    """The options of a pool that has some (L15 to L17, L19), for the groups of its tenant.

    `reserve` seats are for the group `desk`, `max` are for `sales` at most, `max_of_user` for each user that
    is capped, `max_per_user` for each other user, and `max_per_client` for each client; 0 is no limit.
    `excludes` is whether the group `out` gets none, `includes` whether only `staff` gets some, and `names`
    whether only the users do that are named. `queue` is how many may wait, and `level` the priority of the
    group `first` among them.
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
    """A tenant of one pool, and those who want its seats.

    `signed` is how many seats its vendor has signed at first, 0 where the pool is in no licence. `hold_s` is
    the effective one. `is_jwt` is whether its access tokens are JWTs. `limits` are the options of its pool at
    first, if it has any; `desk`, `sales`, `out`, `staff` and `first` are the clients of the groups that they
    name, `named` the users, and `capped` the users that have a limit of their own. Where `by_users`, the
    groups have these clients' users instead. A place in its line is kept for `line_hold_s`. Where it
    `is_steady`, administrators change neither its options nor its seats.
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

    Those of one `memory` count together. `overlap_s` is how long two of them may differ at a hand-over.
    """

    memory: str
    overlap_s: float = 0.0


class Begun(Record, frozen=True, kw_only=True, tag="begun"):
    """The first line: what the run is."""

    seed: int
    store: str
    nodes: int
    tenants: tuple[TenantPlan, ...]
    apis: tuple[ApiPlan, ...] = ()


class Claims(Record, frozen=True, kw_only=True):
    """What a JWT says of its session and seat; `counted_for` is '' where it names no seat."""

    client: str
    user: str
    scope: str
    pool: str
    counted_for: str
    number: int
    iat: int
    exp: int


class Operation(Record, frozen=True, kw_only=True, tag="op"):
    """One request. `received_us` is 0 when nobody answered.

    `outcome` is `granted`, `active`, `inactive`, `logged_off`, `revoked`, `let_in` or the reason or error of
    a refusal. A `call` goes to an API, which `node` is then.
    `sid` is the session's: of the answer to a grant, else of the token that was sent. Of an access token that
    was sent, `token_sent_us` and `token_received_us` say when it was asked for and had.
    `issued_ms` is when that token was issued, or the one that is answered, by the store's clock.
    `number` is that of the session's seat, as far as it is known. `in_use` and `seats` are those of a denial.
    `queue` is whether a grant asked for a place in line, which is `position` then, and for how many seconds
    the answer might be put off is `wait_s`. Of one whose answer was, the checker has `sent_us` be when it may
    have been decided at the earliest, and `asked_us` when it was sent. `lost_us` is when it was known that no
    answer comes. `left_us` is when its client left before it was answered: it closed the connection, or said
    that it sends no more, and was answered after that. `claims` are those of an access token that is a JWT.
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

    @property
    def due_us(self) -> int:
        """When it should be answered at the latest, but for the time that this takes."""
        return (self.asked_us or self.sent_us) + self.wait_s * 1_000_000

    @property
    def is_unknown(self) -> bool:
        """Whether what was asked for may have been done or not."""
        return self.outcome in {UNKNOWN, UNAVAILABLE}


class Action(Record, frozen=True, kw_only=True, tag="action"):
    """What an administrator did. `client` is '' where it is about the pool; `seats` is the new number.

    `sids` are the sessions that were to end, where they were named. `signed` is what licences give from each
    moment on, and `limits` are the options of the pool, once this was done. `why` says why it was refused.
    `had` is whether there was what was to be removed.
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
    """Something that was broken, from the first touch until it was whole again. No node is all of them."""

    kind: str
    begun_us: int
    ended_us: int
    nodes: tuple[int, ...] = ()


class Figure(Record, frozen=True, kw_only=True, tag="figure"):
    """Something that was measured, or happened.

    `promoted` is when a standby was promoted to primary, `expiry ...` by how much later than its life a
    seat was free.
    """

    name: str
    at_us: int
    seconds: float


class PoolRow(Record, frozen=True, kw_only=True):
    """A pool as the tables have it; `rows` are its rows of `seat`, `minute_in_use` its last of usage."""

    tenant: str
    seats: int
    overuse: int
    in_use: int
    rows: int
    minute_in_use: int = 0
    minute_peak: int = 0


class CountRow(Record, frozen=True, kw_only=True):
    """What the tables count by an option of a pool, and how many `rows` of `seat` say that they are it."""

    tenant: str
    what: str
    in_use: int
    rows: int


class LineRow(Record, frozen=True, kw_only=True):
    """Who waits for the seats of a pool: `places` may be at most `queue`; `seated` have a seat as well."""

    tenant: str
    queue: int
    places: tuple[str, ...]
    seated: tuple[str, ...] = ()


class LiveRow(Record, frozen=True, kw_only=True):
    """A session with a seat that lives, in a pool with a line; `started_ms` is by the store's clock."""

    sid: str
    tenant: str
    client: str
    started_ms: int


class Look(Record, frozen=True, kw_only=True, tag="look"):
    """The pools at one instant of the store; what options count, and who waits, each at one of its own.

    `live` are the sessions in pools with a line.
    """

    begun_us: int
    ended_us: int
    pools: tuple[PoolRow, ...]
    counts: tuple[CountRow, ...] = ()
    lines: tuple[LineRow, ...] = ()
    live: tuple[LiveRow, ...] = ()


class SessionRow(Record, frozen=True, kw_only=True):
    """A session as the tables have it; `holder` is '' for one without a seat."""

    sid: str
    tenant: str
    client: str
    holder: str
    expires_at_ms: int


class SeatRow(Record, frozen=True, kw_only=True):
    """A seat as the tables have it; `issued_at_ms` is when its newest token was issued.

    `counted` is what options of its pool count it as.
    """

    tenant: str
    holder: str
    expires_at_ms: int
    issued_at_ms: int = 0
    number: int = 0
    counted: tuple[str, ...] = ()


class JournalRow(Record, frozen=True, kw_only=True):
    """How often a client was granted, denied or ended in the whole of the run."""

    tenant: str
    client: str
    kind: str
    times: int


class Final(Record, frozen=True, kw_only=True, tag="final"):
    """The tables after quiet, at one instant of the store, which is `now_ms` on its own clock."""

    begun_us: int
    ended_us: int
    now_ms: int
    pools: tuple[PoolRow, ...]
    sessions: tuple[SessionRow, ...]
    seats: tuple[SeatRow, ...]
    journal: tuple[JournalRow, ...]
    counts: tuple[CountRow, ...] = ()
    lines: tuple[LineRow, ...] = ()


AnyRecord = Begun | Operation | Action | Fault | Figure | Look | Final


class Writer:
    """Writes records to a file, many at a time. A writer is for one thread."""

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
        """Keep a record."""
        self._lines.append(self._encode(record))
        if len(self._lines) >= 1000:
            self.flush()

    def flush(self) -> None:
        """Give what was kept to the file."""
        if self._lines:
            self._file.write(b"\n".join((*self._lines, b"")))
            self._file.flush()
            self._lines.clear()


def read_history(paths: Iterable[Path]) -> Iterator[AnyRecord]:
    """The records of these files. A last line that was cut short is left out."""
    decode = msgspec.json.Decoder(AnyRecord).decode
    for path in paths:
        with path.open("rb") as file:
            for line in file:
                if line.endswith(b"\n"):
                    yield decode(line)


def line_of(record: AnyRecord) -> str:
    """A record as its line in the file."""
    return msgspec.json.encode(record).decode()
