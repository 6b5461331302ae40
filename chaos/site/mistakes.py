"""Puts deliberate defects into a node, to show that the checker finds each of them (mutation testing).

- `lockless`: a batch takes no lock of PostgreSQL. The check constraint of the tables has to be off as well.
- `stale`: seats in use are counted from a number that may be a moment old, as without a lock.
- `forgetful`: an outcome is answered before it is durable, and now and then it is rolled back.
- `remembering`: an introspection is answered from sessions that were read a moment ago.
- `believing`: a seat counts as free once its row has expired, although a session of it was renewed since.
- `unmarked`: all nodes write sessions under one name, so that none notices another's writes (PostgreSQL).
- `folding away`: folding the journal deletes denials without counting them.
- `letting go`: a seat is given back when its last session ends, although it has to be held.
- `leaking`: a seat is not given back when its last session ends.
- `replayable`: an assertion that was used is accepted again, and none is marked as used.
- `uncounted`: the counters of a pool's options are dropped before each decision.
- `trusting`: the counters of options stay cached although another node has written.
- `unreserved`: a reserved seat is given to any client.
- `admitting`: a client that is excluded, or not included, gets a seat.
- `overtaking`: a free seat goes to any client that asks, although others wait for it.
- `unranked`: the line ignores priorities.
- `moving back`: a client that asks again gets the last place in line.
- `unlimited`: limits of users are ignored.
- `staying`: a place stays in line although its client does not come back.
- `returning`: a client whose place an administrator removed gets the same place again.
- `ghostly`: a request that waits in line goes on although its client has left.
- `keeping`: a seat that was granted to a client that had left is not given back. Waiting clients are answered
  a moment late, so that more of them have left by then.
- `misnaming`: a JWT says that its seat is counted for another holder.
- `enduring`: a JWT lives longer than it may.
- `deaf`: a request that waits in line is never answered with a denial.
- `hasty`: neither a seat nor its number is held after the last token.
- `clinging`: a number is held for ten seconds too long, so that grants are denied although it is free.
- `idle`: no node is ever the leader, so that none does its upkeep.
- `restless`: a node closes the connection on which it listens whenever it finds no notification, so that it
  is the leader for moments only (PostgreSQL).
- `blind`: the memory of a guard lets every client in. It is a defect of the APIs; the nodes are `hasty` then.

Where a constraint of the tables would catch a defect, it is switched off, so that only the checker can find
the defect.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from typing import Any

from msgspec.structs import replace
from sqlalchemy import Connection, delete

from licet.credentials import jwt_access_tokens
from licet.credentials.jwt_access_tokens import JwtTokens
from licet.credentials.seat_claim import SeatClaim
from licet.guard import OneProcess, SqlMemory
from licet.journal import folding
from licet.lanes.commit import apply_all, commit
from licet.ledger import denials, rules, seat_decision, seat_life
from licet.ledger.book import Book, Change, PlaceLeft, PlaceTaken, SeatFreed, SeatKey
from licet.ledger.commands import Command, Grant, Outcome
from licet.ledger.holders import place_holder_of
from licet.ledger.seat_decision import Asked, Given, NotGiven
from licet.model import Client, EndReason, Pool, Session
from licet.options import COMMON, Applied, PoolOptions
from licet.server import commits as lane
from licet.store import schema
from licet.store.contract import LiveSessions, Purpose, Store
from licet.store.known_counts import KnownCounts
from licet.store.sqlite import book as in_sqlite
from licet.store.sqlite import connecting
from licet.store.sqlite import store as sqlite
from licet.web.waiter import Waiter
from licet.web.waiting import Submit, WaitingRequests

HASTY, BLIND = "hasty", "blind"
STALE_S = 0.3
FORGETS_EVERY = 40  # commits
CLINGS_MS = 10_000
ENDURES_MS = 20_000
LATE_S = 0.3


def break_it(name: str) -> None:
    """Put this defect into the process."""
    _MISTAKES[name]()


def _decide_on_stale_numbers() -> None:
    _ignore_check_constraints()
    original = seat_decision.decide_seat
    seen: dict[int, tuple[float, int]] = {}

    def decide_seat(book: Book, asked: Asked, now_ms: int) -> Given | NotGiven:
        pool_id = asked.pool.id
        in_use = book.in_use[pool_id]
        at_s, known = seen.get(pool_id, (0.0, 0))
        if at_s < time.monotonic() - STALE_S:
            seen[pool_id] = time.monotonic(), in_use
            known = in_use
        book.in_use[pool_id] = known
        try:
            return original(book, asked, now_ms)
        finally:
            book.in_use[pool_id] = in_use

    rules.decide_seat = decide_seat  # type: ignore[attr-defined]


def _take_no_lock() -> None:
    from licet.store.postgres import batch as postgres  # noqa: PLC0415 - an extra that not everybody has

    postgres._LOCK_BATCH = b"SELECT 1 WHERE %s::integer[] IS NOT NULL"


def _answer_before_it_is_durable() -> None:
    commits = 0

    def forget(store: Store, commands: Sequence[Command]) -> Sequence[Outcome | Exception]:
        nonlocal commits
        commits += 1
        return commit(store, commands) if commits % FORGETS_EVERY else _commit_nothing(store, commands)

    lane.commit = forget  # type: ignore[attr-defined]


class _Forgotten(Exception):
    """Rolls back what was answered."""


def _commit_nothing(store: Store, commands: Sequence[Command]) -> list[Outcome | Exception]:
    outcomes: list[Outcome | Exception] = []
    with suppress(_Forgotten), store.transaction(Purpose.BATCH) as transaction:
        outcomes += apply_all(transaction, commands)
        raise _Forgotten
    return outcomes


def _remember_what_was_read() -> None:
    original = sqlite.SqliteStore.read_sessions
    seen: dict[bytes, tuple[float, Session]] = {}

    def read(store: sqlite.SqliteStore, sids: Sequence[bytes]) -> LiveSessions:
        now_s = time.monotonic()
        known = {sid: seen[sid][1] for sid in sids if sid in seen and seen[sid][0] > now_s - STALE_S}
        read = original(store, [sid for sid in sids if sid not in known])
        seen.update((sid, (now_s, session)) for sid, session in read.sessions.items())
        return read._replace(sessions={**read.sessions, **known})

    sqlite.SqliteStore.read_sessions = read  # type: ignore[method-assign,assignment]


def _leak_seats() -> None:
    original = rules._ending

    def ending(
        book: Book,
        sessions: list[Session],
        reason: EndReason,
        now_ms: int,
        *,
        but_keep: SeatKey | None = None,
    ) -> list[Change]:
        changes = original(book, sessions, reason, now_ms, but_keep=but_keep)
        return [change for change in changes if not isinstance(change, SeatFreed)]

    rules._ending = ending


def _accept_again() -> None:
    rules.assertion_of = lambda _: None  # type: ignore[attr-defined,assignment]


def _believe_rows() -> None:
    from licet.store.postgres import book as in_postgres  # noqa: PLC0415 - an extra that not everybody has

    in_postgres.said = in_sqlite.said = lambda row, *_: row  # type: ignore[attr-defined]


def _write_under_one_name() -> None:
    from licet.store.postgres import memory  # noqa: PLC0415 - as above

    vars(memory)["randbits"] = lambda _: 0


def _fold_denials_away() -> None:
    def away(connection: Connection, entries_max: int) -> int:
        del entries_max
        return connection.execute(delete(schema.denial_entry)).rowcount

    folding._FOLD_DENIALS = {"sqlite": away, "postgresql": away}


def _let_go_of_seats() -> None:
    seat_life.held_until = lambda *_: 0


def _hold_no_number() -> None:
    _let_go_of_seats()
    rules.given_from_ms = lambda *_: 0  # type: ignore[attr-defined]


def _hold_numbers_for_longer() -> None:
    original = rules.given_from_ms  # type: ignore[attr-defined]
    rules.given_from_ms = lambda tenant, seat: original(tenant, seat) + CLINGS_MS  # type: ignore[attr-defined]


def _let_everybody_in() -> None:
    OneProcess.recall = SqlMemory.recall = lambda *_: True  # type: ignore[method-assign,assignment]
    OneProcess.take = SqlMemory.take = lambda *_: None  # type: ignore[method-assign,assignment]

    async def atake(*_: object) -> None: ...

    OneProcess.atake = SqlMemory.atake = atake  # type: ignore[method-assign,assignment]


def _forget_counts() -> None:
    _ignore_check_constraints()
    original = seat_decision.decide_seat

    def decide_seat(book: Book, asked: Asked, now_ms: int) -> Given | NotGiven:
        known, exceeded = book.counts.copy(), book.exceeded
        book.counts.clear()
        book.exceeded = {}
        try:
            return original(book, asked, now_ms)
        finally:
            book.counts.update(known)
            book.exceeded = exceeded

    rules.decide_seat = decide_seat  # type: ignore[attr-defined]


def _remember_counts() -> None:
    _ignore_check_constraints()
    original = KnownCounts.find

    def find(
        known: KnownCounts, pool_id: int, names: AbstractSet[str], mark: object
    ) -> dict[str, int] | None:
        return original(known, pool_id, names, known._of.get(pool_id, (mark,))[0])

    def forget(_: KnownCounts) -> None:
        pass

    KnownCounts.find = find  # type: ignore[method-assign,assignment]
    KnownCounts.forget = forget  # type: ignore[method-assign,assignment]


def _ignore_reserves() -> None:
    _ignore_check_constraints()
    original = seat_decision.source_of

    def source_of(options: PoolOptions, applied: Applied, counts: Mapping[str, int], room: int) -> str | None:
        found = original(options, applied, counts, room)
        return COMMON if found is None else found

    seat_decision.source_of = source_of


def _admit_everybody() -> None:
    original = PoolOptions._find

    def find(options: PoolOptions, initials: str, client_id: str) -> Applied:
        return original(options, initials, client_id)._replace(excluded="", not_included="")

    PoolOptions._find = find  # type: ignore[method-assign,assignment]


def _let_overtake() -> None:
    seat_decision._others_are_first = lambda *_: False


def _know_no_priorities() -> None:
    original = PoolOptions._find

    def find(options: PoolOptions, initials: str, client_id: str) -> Applied:
        return original(options, initials, client_id)._replace(level=0)

    PoolOptions._find = find  # type: ignore[method-assign,assignment]


def _move_back() -> None:
    original = denials.wait_in_line  # type: ignore[attr-defined]

    def wait_in_line(
        book: Book, grant: Grant, client: Client, pool: Pool, now_ms: int
    ) -> tuple[int, list[Change]]:
        place = book.places.get((pool.id, place_holder_of(pool, client)))
        if place is not None:
            book.apply([PlaceLeft(place=place, is_served=False, at_ms=now_ms)])
        found: tuple[int, list[Change]] = original(book, grant, client, pool, now_ms)
        return found

    denials.wait_in_line = wait_in_line  # type: ignore[attr-defined]


def _limit_no_user() -> None:
    _ignore_check_constraints()
    original = PoolOptions._find

    def find(options: PoolOptions, initials: str, client_id: str) -> Applied:
        found = original(options, initials, client_id)
        return found._replace(limits=tuple(it for it in found.limits if "=user:" not in it.what))

    PoolOptions._find = find  # type: ignore[method-assign,assignment]


def _keep_all_places() -> None:
    rules.lapsed = lambda *_: []  # type: ignore[attr-defined]


def _give_places_back() -> None:
    original, original_served = denials.wait_in_line, rules.served  # type: ignore[attr-defined]
    numbers: dict[SeatKey, int] = {}

    def wait_in_line(
        book: Book, grant: Grant, client: Client, pool: Pool, now_ms: int
    ) -> tuple[int, list[Change]]:
        key = pool.id, place_holder_of(pool, client)
        found: tuple[int, list[Change]] = original(book, grant, client, pool, now_ms)
        position, changes = found
        for number, change in enumerate(changes):
            if isinstance(change, PlaceTaken) and key in numbers:
                place = replace(change.place, number=numbers[key])
                changes[number] = PlaceTaken(place=place)
                position = 1 + book.before(place)
            elif isinstance(change, PlaceTaken):
                numbers[key] = change.place.number
        return position, changes

    def served(book: Book, grant: Grant, client: Client, now_ms: int) -> list[Change]:
        for pool_id in grant.pool_ids:
            pool = book.tenants[grant.tenant_id].pools[pool_id]
            numbers.pop((pool_id, place_holder_of(pool, client)), None)
        found: list[Change] = original_served(book, grant, client, now_ms)
        return found

    denials.wait_in_line, rules.served = wait_in_line, served  # type: ignore[attr-defined]


def _serve_the_gone() -> None:
    Waiter.is_leaving = property(lambda _: False)  # type: ignore[assignment,method-assign]
    Waiter.leave = lambda *_: None  # type: ignore[method-assign]


def _give_nothing_back() -> None:
    original = WaitingRequests._waited

    async def give_back(*_: object) -> None: ...

    async def waited(waiting: WaitingRequests, waiter: Waiter, submit: Submit) -> Outcome:
        async def submit_late(command: Command) -> Outcome:
            outcome = await submit(command)
            await asyncio.sleep(LATE_S)
            return outcome

        return await original(waiting, waiter, submit_late)

    WaitingRequests._give_back = give_back  # type: ignore[method-assign,assignment]
    WaitingRequests._waited = waited  # type: ignore[method-assign,assignment]


def _name_another() -> None:
    def seat_claim(_: Session, number: int) -> SeatClaim | None:
        return SeatClaim(number=number, counted_for="user") if number else None

    jwt_access_tokens.seat_claim = seat_claim  # type: ignore[attr-defined,assignment]


def _have_jwts_live_longer() -> None:
    original = JwtTokens.sign

    def sign(tokens: JwtTokens, *args: Any, expires_at_ms: int, **more: Any) -> str:
        return original(tokens, *args, expires_at_ms=expires_at_ms + ENDURES_MS, **more)

    JwtTokens.sign = sign  # type: ignore[method-assign,assignment]


def _answer_nobody_who_waits() -> None:
    Waiter.end = Waiter.is_over_for = lambda *_: None  # type: ignore[method-assign,assignment]


def _never_lead() -> None:
    from licet.store.postgres.store import PostgresStore  # noqa: PLC0415 - an extra that not everybody has

    sqlite.SqliteStore.is_leader = PostgresStore.is_leader = lambda _: False  # type: ignore[method-assign,assignment]


def _close_what_is_silent() -> None:
    from psycopg import errors  # noqa: PLC0415 - as above

    from licet.store.postgres.connection import DriverConnection  # noqa: PLC0415 - as above

    original = DriverConnection.wait

    def wait(connection: DriverConnection, *args: Any, **named: Any) -> Any:
        try:
            return original(connection, *args, **named)
        except errors._WaitTimeout:
            connection.pgconn.finish()
            # The driver passes over the time-out, and this error shows the watcher at once what was closed.
            raise errors.OperationalError("the connection is closed") from None

    DriverConnection.wait = wait  # type: ignore[method-assign,assignment]


def _ignore_check_constraints() -> None:
    """Switch off the constraints of SQLite that would refuse what the rules should prevent."""
    pragmas = (*connecting.PRAGMAS, "PRAGMA ignore_check_constraints = ON")
    connecting.PRAGMAS = pragmas  # type: ignore[assignment]


_MISTAKES: dict[str, Callable[[], None]] = {
    "lockless": _take_no_lock,
    "stale": _decide_on_stale_numbers,
    "forgetful": _answer_before_it_is_durable,
    "remembering": _remember_what_was_read,
    "leaking": _leak_seats,
    "replayable": _accept_again,
    "believing": _believe_rows,
    "unmarked": _write_under_one_name,
    "folding away": _fold_denials_away,
    "letting go": _let_go_of_seats,
    "uncounted": _forget_counts,
    "trusting": _remember_counts,
    "unreserved": _ignore_reserves,
    "admitting": _admit_everybody,
    "overtaking": _let_overtake,
    "unranked": _know_no_priorities,
    "moving back": _move_back,
    "unlimited": _limit_no_user,
    "staying": _keep_all_places,
    "returning": _give_places_back,
    "ghostly": _serve_the_gone,
    "keeping": _give_nothing_back,
    "misnaming": _name_another,
    "enduring": _have_jwts_live_longer,
    "deaf": _answer_nobody_who_waits,
    HASTY: _hold_no_number,
    "clinging": _hold_numbers_for_longer,
    "idle": _never_lead,
    "restless": _close_what_is_silent,
    BLIND: _let_everybody_in,
}
