"""Reads sessions from PostgreSQL: in a thread that waits, or from an event loop that does not.

The rules:

- Both execute the same prepared statement: one message to the database, and one result.
- A thread waits for the connection, prepares the statement, and diagnoses failures. An event loop uses only
  an open, unused connection that has the statement.
- If a read of an event loop fails, its connection is replaced, so that nobody waits for the rest of an
  answer. A thread repeats the read, unless its time is over.
"""

from collections.abc import Sequence

import psycopg
from psycopg import errors, generators
from psycopg.abc import PQGen
from psycopg.adapt import Transformer
from psycopg.pq import ExecStatus, Format
from psycopg.pq.abc import PGresult
from psycopg.waiting import Ready, Wait

from licet.clock import FollowingClock
from licet.store.contract import LiveSessions
from licet.store.postgres.arrays import byte_strings, seat_of
from licet.store.postgres.connection import DriverConnection, Link, Wire, as_a_store_says
from licet.store.postgres.load_statements import NOW_MS
from licet.store.rows import SESSION, to_session

_LIVE = f"""
WITH moment AS MATERIALIZED (SELECT greatest($1::bigint, {NOW_MS}) AS now_ms)
SELECT moment.now_ms, {SESSION}
FROM moment LEFT JOIN session ON session.sid = ANY($2::bytea[])
AND session.expires_at_ms + 0 > moment.now_ms
"""
_NUMBER_AT = 1 + len(SESSION.split(","))  # the column behind those of a session
_NUMBERED = _LIVE.replace(SESSION, f"{SESSION}, ({seat_of('seat.number', 'session')})", 1)
_STATEMENTS = {  # their names, by whether they read the numbers of seats
    False: (b"licet_live", _LIVE.encode()),
    True: (b"licet_numbered", _NUMBERED.encode()),
}

_Results = PQGen[list[PGresult]]


def read_live(
    raw: DriverConnection, sids: Sequence[bytes], least_ms: int, *, is_numbered: bool
) -> LiveSessions:
    """Those of these sessions that live at the database's now, with the numbers of their seats if asked.

    `least_ms` is the earliest moment that this may be.
    """
    try:
        return _read(raw, sids, least_ms, is_numbered=is_numbered)
    except errors.InvalidSqlStatementName:  # whoever stands between may have given another connection
        raw.prepared_calls.clear()
        return _read(raw, sids, least_ms, is_numbered=is_numbered)


class Reading:
    """A question about sessions that an event loop has sent; see `contract.Reading`."""

    def __init__(
        self, link: Link, wire: Wire, clock: FollowingClock, sids: Sequence[bytes], *, is_numbered: bool
    ) -> None:
        self._link, self._raw, self._clock, self._is_numbered = link, wire.raw, clock, is_numbered
        self.socket = wire.raw.pgconn.socket
        self._results = _sent(wire.raw, sids, clock.heard_ms, is_numbered=is_numbered)
        self.is_sent = not next(self._results) & Wait.W
        self._why = ""  # the connection is of no use any more

    def proceed(self) -> LiveSessions | None:
        """Take what has arrived; the sessions, or None while more is to come. Raises StoreUnavailable."""
        try:
            self._results.send(Ready.R)
        except StopIteration as end:
            try:
                found = _found(self._raw, end.value, is_numbered=self._is_numbered)
            except psycopg.Error as fault:
                raise self._failed(fault) from fault
        except psycopg.Error as fault:
            raise self._failed(fault) from fault
        else:
            return None
        self._clock.hear(found.now_ms)
        return found

    def give_up(self) -> Exception:
        """Wait no longer; return what those who asked are told."""
        return self._failed(errors.ConnectionTimeout())

    def end(self) -> None:
        """Let others use the connection, or have it made anew."""
        self._link.give_back(self._why)

    def _failed(self, fault: psycopg.Error) -> Exception:
        told = as_a_store_says(fault, self._link.place)
        self._why = str(told)
        return told


def start_reading(
    link: Link, clock: FollowingClock, sids: Sequence[bytes], *, is_numbered: bool
) -> Reading | None:
    """Ask for these sessions without waiting; None where that is left to a thread."""
    wire = link.take()
    if wire is None:
        return None
    if _STATEMENTS[is_numbered][0] not in wire.raw.prepared_calls:
        link.give_back()
        return None
    why = f"{link.place}: a question could not be sent"
    try:
        wire.raw.pgconn.consume_input()  # It fails where the database has ended an idle connection.
        reading = Reading(link, wire, clock, sids, is_numbered=is_numbered)
        if reading.is_sent:
            why = ""
            return reading
    except psycopg.Error as fault:
        why = str(as_a_store_says(fault, link.place))
    finally:
        if why:
            link.give_back(why)
    return None


def _read(raw: DriverConnection, sids: Sequence[bytes], least_ms: int, *, is_numbered: bool) -> LiveSessions:
    name, statement = _STATEMENTS[is_numbered]
    if name not in raw.prepared_calls:
        raw.pgconn.send_prepare(name, statement)
        _only(raw.wait(generators.execute(raw.pgconn)))
        raw.prepared_calls.add(name)
    return _found(raw, raw.wait(_sent(raw, sids, least_ms, is_numbered=is_numbered)), is_numbered=is_numbered)


def _sent(raw: DriverConnection, sids: Sequence[bytes], least_ms: int, *, is_numbered: bool) -> _Results:
    """Send the question; the steps in which its answer comes."""
    values = [str(least_ms).encode(), byte_strings(sids).encode()]
    raw.pgconn.send_query_prepared(_STATEMENTS[is_numbered][0], values, result_format=Format.BINARY)
    results: _Results = generators.execute(raw.pgconn)
    return results


def _found(raw: DriverConnection, results: Sequence[PGresult], *, is_numbered: bool) -> LiveSessions:
    result = _only(results)
    read = Transformer(raw)
    read.set_pgresult(result)
    rows = read.load_rows(0, result.ntuples, tuple)
    found = [row for row in rows if row[1] is not None]
    sessions = {row[1]: to_session(row[1:_NUMBER_AT]) for row in found}
    numbers = {row[1]: row[_NUMBER_AT] for row in found if row[_NUMBER_AT]} if is_numbered else {}
    return LiveSessions(rows[0][0], sessions, numbers)


def _only(results: Sequence[PGresult]) -> PGresult:
    [result] = results
    if result.status not in {ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK}:
        raise errors.error_from_result(result)
    return result
