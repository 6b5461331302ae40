"""Writes what happened in a pool as a report log: as RLM's tools read it, as CSV or as JSON.

The format is RLM's detailed report log (its administration manual, "Reportlog File Format"), version 11.0,
not authenticated. What stands for what:

- A pool is a product of version 1.0, a session is a checkout, its user the user, its client the host.
  Sessions that share a seat have the handle of the first as `share_handle`; `cur_use` counts seats.
- `IN` says why: 1 logged off or revoked, 2 superseded by the client, 3 ended by an administrator, 11 expired.
- `DENY` has RLM's status: -22 no seat that is free for this client, -3 the licence expired, -11 excluded,
  -13 not included, -14 at its limit, -1 anything else.
  `last_attempt` is 1 for the last denial of somebody who got no seat in the end: the true denials.
- `INUSE` is a session that was there when the span began, or that is there when it ends.

Times are in UTC. The journal counts by minute: of alike entries of a client in one minute the first and the
last are exact, and denials between them are left out. The module is pure.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import NamedTuple

from licet.formats import instant
from licet.journal.wants import Want
from licet.model import Duplicates, EndReason, NoSeatReason
from licet.reports.what_if.visits import Visit

COLUMNS = ("at", "event", "pool", "user", "client", "why", "last_attempt", "handle", "share_handle", "in_use")

_VERSION = "1.0"  # of a product: a pool has none
_NORMAL, _SUPERSEDED, _REMOVED, _EXPIRED = 1, 2, 3, 11
_WHY: Mapping[str, int] = MappingProxyType(
    {
        EndReason.LOGOFF: _NORMAL,
        EndReason.REVOKED: _NORMAL,
        EndReason.SUPERSEDED: _SUPERSEDED,
        EndReason.EXPIRED: _EXPIRED,
    }
)
_IN_USE = -22
_STATUS: Mapping[str, int] = MappingProxyType(
    {
        NoSeatReason.LICENCE_EXPIRED: -3,
        NoSeatReason.EXCLUDED: -11,
        NoSeatReason.NOT_INCLUDED: -13,
        NoSeatReason.MAX_REACHED: -14,
    }
)
_OTHER_STATUS = -1


class Denial(NamedTuple):
    """An attempt that was denied for a reason that no seat avoids."""

    at_ms: int
    client_id: str
    initials: str
    reason: str


class Record(NamedTuple):
    """A line of the log: `event` is OUT, IN, DENY or INUSE; `in_use` is how many seats are in use then."""

    at_ms: int
    event: str
    pool: str
    initials: str
    client_id: str
    why: int
    last_attempt: int
    handle: int
    share_handle: int
    in_use: int


class _Happened(NamedTuple):
    at_ms: int
    order: int  # at one instant: what ends, what begins, what is denied
    number: int
    want: Want | None = None
    denial: Denial | None = None
    is_last: bool = False


def records(  # noqa: PLR0917 - what of which pool
    pool: str,
    duplicates: Duplicates,
    visits: Sequence[Visit],
    wants: Iterable[Want],
    denials: Iterable[Denial],
    from_ms: int,
    until_ms: int,
) -> list[Record]:
    """The log of a pool in a span, in the order of time."""
    log = _Log(pool, duplicates, visits)
    log.begin(from_ms)
    for happened in sorted(_happened(visits, wants, denials, from_ms, until_ms)):
        log.add(happened)
    log.finish(until_ms)
    return log.records


def _happened(
    visits: Sequence[Visit], wants: Iterable[Want], denials: Iterable[Denial], from_ms: int, until_ms: int
) -> Iterator[_Happened]:
    for number, visit in enumerate(visits):
        if visit.granted_at_ms is None:
            continue
        if visit.granted_at_ms > from_ms:
            yield _Happened(visit.granted_at_ms, 1, number)
        if visit.ended_at_ms is not None and visit.ended_at_ms < until_ms:
            yield _Happened(visit.ended_at_ms, 0, number)
    number = len(visits)
    for want in wants:
        for at_ms in want.known_at_ms:
            number += 1
            is_last = want.is_turned_away and at_ms == want.known_at_ms[-1]
            yield _Happened(at_ms, 2, number, want=want, is_last=is_last)
    for denial in denials:
        number += 1
        yield _Happened(denial.at_ms, 2, number, denial=denial, is_last=True)


class _Log:
    def __init__(self, pool: str, duplicates: Duplicates, visits: Sequence[Visit]) -> None:
        self.records: list[Record] = []
        self._pool = pool
        self._duplicates = duplicates
        self._visits = visits
        self._sharing: Counter[str] = Counter()
        self._first: dict[str, int] = {}  # the handle of whose session took the seat, by holder
        self._live: dict[int, None] = {}

    def begin(self, from_ms: int) -> None:
        """Write what is there at the begin."""
        for number, visit in enumerate(self._visits):
            if visit.granted_at_ms is not None and visit.granted_at_ms <= from_ms:
                self._take(number)
                self._write(from_ms, "INUSE", number)

    def finish(self, until_ms: int) -> None:
        """Write what is there at the end."""
        for number in self._live:
            self._write(until_ms, "INUSE", number)

    def add(self, happened: _Happened) -> None:
        """Write one event."""
        if happened.want is not None:
            of_want = happened.want
            self._deny(happened, of_want.client_id, of_want.initials, _IN_USE)
        elif happened.denial is not None:
            denied = happened.denial
            self._deny(happened, denied.client_id, denied.initials, _STATUS.get(denied.reason, _OTHER_STATUS))
        elif happened.order:
            self._take(happened.number)
            self._write(happened.at_ms, "OUT", happened.number)
        else:
            share_handle = self._first.get(self._holder(happened.number), happened.number + 1)
            self._give_back(happened.number)
            why = _WHY.get(self._visits[happened.number].reason, _REMOVED)
            self._write(happened.at_ms, "IN", happened.number, why=why, share_handle=share_handle)

    def _holder(self, number: int) -> str:
        visit = self._visits[number]
        if self._duplicates is Duplicates.USER:
            return visit.initials
        return visit.client_id if self._duplicates is Duplicates.CLIENT else str(number)

    def _take(self, number: int) -> None:
        holder = self._holder(number)
        self._sharing[holder] += 1
        self._first.setdefault(holder, number + 1)
        self._live[number] = None

    def _give_back(self, number: int) -> None:
        holder = self._holder(number)
        self._live.pop(number, None)
        self._sharing[holder] -= 1
        if not self._sharing[holder]:
            del self._sharing[holder]
            self._first.pop(holder, None)

    def _write(self, at_ms: int, event: str, number: int, *, why: int = 0, share_handle: int = 0) -> None:
        visit = self._visits[number]
        share_handle = share_handle or self._first[self._holder(number)]
        self.records.append(
            Record(
                at_ms,
                event,
                self._pool,
                visit.initials,
                visit.client_id,
                why,
                0,
                number + 1,
                share_handle,
                len(self._sharing),
            )
        )

    def _deny(self, happened: _Happened, client_id: str, initials: str, status: int) -> None:
        self.records.append(
            Record(
                happened.at_ms,
                "DENY",
                self._pool,
                initials,
                client_id,
                status,
                int(happened.is_last),
                0,
                0,
                len(self._sharing),
            )
        )


def rlm(
    tenant: str, pools: Mapping[str, int], log: Iterable[Record], from_ms: int, until_ms: int
) -> Iterator[str]:
    """The lines of a log for RLM's tools; `pools` are their seats."""
    numbers = {name: number for number, name in enumerate(pools, 1)}
    begin, end = (f"{_moment(ms):%m/%d/%Y %H:%M}" for ms in (from_ms, until_ms))
    yield "RLM Report Log Format 2, version 11.0"
    yield "ISV: licet, RLM version 11.0 BL1"
    yield ""
    yield f"The journal of the tenant {_word(tenant)}, written by Licet. Times are in UTC."
    yield ""
    yield f"START {_word(tenant)} {begin}"
    yield "LICENSE FILE licet"
    for name, seats in pools.items():
        quoted = " ".join(['""'] * 6)
        yield f"PRODUCT {_word(name)} {_VERSION} {numbers[name]} {seats} 0 {seats} {quoted} 0 0 0 0 0 0 0 0 0"
    for record in log:
        yield _LINES[record.event](record, numbers[record.pool])
    yield f"END {end}"


def _out(record: Record, pool: int) -> str:
    name = _word(record.pool)
    return (
        f"OUT {name} {_VERSION} {pool} {_who(record)} 1 {record.in_use} 0 {record.handle:x}"
        f' {record.share_handle:x} 0 "" "{name}" "{_VERSION}" {_exact(record.at_ms)} "" "" 0 0'
    )


def _in(record: Record, _: int) -> str:
    return (
        f"IN {record.why} {_word(record.pool)} {_VERSION} {_who(record)} 1 {record.in_use} 0"
        f" {record.handle:x} {_exact(record.at_ms)}"
    )


def _deny(record: Record, _: int) -> str:
    return (
        f"DENY {_word(record.pool)} {_VERSION} {_who(record)} 1 {record.why} {record.last_attempt}"
        f" {_exact(record.at_ms)}"
    )


def _inuse(record: Record, pool: int) -> str:
    at = f"{_moment(record.at_ms):%m/%d %H:%M:%S}"
    return f"INUSE {_word(record.pool)} {_VERSION} {pool} {_who(record)} 1 {record.handle:x} 0 {at}"


_LINES: Mapping[str, Callable[[Record, int], str]] = MappingProxyType(
    {"OUT": _out, "IN": _in, "DENY": _deny, "INUSE": _inuse}
)


def _who(record: Record) -> str:
    """User, host and the field that a vendor may define, which is empty."""
    return f'{_word(record.initials)} {_word(record.client_id)} ""'


def _word(text: str) -> str:
    """A name as one word: the format has no quotes around it."""
    return "_".join(text.replace('"', "_").split()) or '""'


def _moment(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


def _exact(ms: int) -> str:
    """To the tenth of a millisecond, of which there is none."""
    return f"{_moment(ms):%m/%d %H:%M:%S}.{ms % 1000 * 10:04}"


def rows(log: Iterable[Record]) -> Iterator[tuple[object, ...]]:
    """The log as rows of a table with `COLUMNS`."""
    for it in log:
        yield (
            instant(it.at_ms),
            it.event,
            it.pool,
            it.initials,
            it.client_id,
            it.why,
            it.last_attempt,
            f"{it.handle:x}" if it.handle else "",
            f"{it.share_handle:x}" if it.share_handle else "",
            it.in_use,
        )
