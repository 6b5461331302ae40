"""A model of the licence rules that counts seats and their ends, without tables.

The pools are so small that they are full most of the time.
"""

import math
from collections import Counter
from collections.abc import Collection, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from licet.ledger.commands import ClientRefused, Denied, Ended, Granted, Outcome, SessionUnknown, Swept
from licet.model import Client, Duplicates, EndReason, Pool, Scope, Tenant, TokenFormat
from support.examples import ALL, VIEW, client, jim_test, sid

# One pool of each kind, so small that it is full most of the time; no pool for what needs no seat.
POOLS = (
    Pool(id=1, name="full", seats=2),
    Pool(id=2, name="people", seats=1, duplicates=Duplicates.USER),
    Pool(id=3, name="each", seats=3, duplicates=Duplicates.NONE),
)
PERSON = Scope(name="person", licensed=True, read_only=False, pool="people")
SINGLE = Scope(name="single", licensed=True, read_only=False, pool="each")
SCOPE_OF_POOL = {None: VIEW.name, 1: ALL.name, 2: PERSON.name, 3: SINGLE.name}
# Users with several clients, and limits that are soon reached.
CLIENTS = (
    client(1, "Desktop", "TC", sessions_max=1),
    client(2, "Phone", "TC", sessions_max=2),
    client(3, "Robot", "C1", sessions_max=2),
    client(4, "Till", "C1", sessions_max=100),
)
TENANT = jim_test(
    pools=POOLS, scopes=(VIEW, ALL, PERSON, SINGLE), clients=CLIENTS, session_ttl_s=1200, access_ttl_s=60
)
# The same with seats that are held (L18): for less than a session, for longer, and for as long as a JWT.
WITH_HOLDS = replace(
    TENANT,
    pools={1: replace(POOLS[0], hold_s=60), 2: replace(POOLS[1], hold_s=2000), 3: POOLS[2]},
    token_format=TokenFormat.JWT,
)
Seen = tuple[object, ...]


class Held(NamedTuple):
    """A session of the model."""

    client_key: int
    pool_id: int | None
    holder: object
    expires_ms: int


class Model:
    """A holder has a seat while it has a live session in the pool, and until the hold of its last token ends.

    `issued_ms` is when each holder got its last token, while it has its seat; `tokens_ms` also after that.
    """

    def __init__(self, tenant: Tenant, now_ms: int) -> None:
        self.now_ms = now_ms
        self.session_ttl_s = tenant.session_ttl_s
        self.token_format = tenant.token_format
        self.issued_ms: dict[tuple[int, object], int] = {}
        self.tokens_ms: dict[tuple[int, object], int] = {}
        self.pools = dict(tenant.pools)
        self.clients = dict(tenant.clients_by_key)
        self.sessions: dict[
            int, Held
        ] = {}  # In the order in which they began; dead ones until they are swept.
        self.counts: Counter[tuple[str, str]] = Counter()
        self.held_ms = 0

    def live(self, client_key: int | None = None) -> list[int]:
        """The live sessions of one client or all, the oldest first."""
        return [
            number
            for number, session in self.sessions.items()
            if session.expires_ms > self.now_ms and client_key in {None, session.client_key}
        ]

    def seats(self, pool_id: int, without: Collection[int] = ()) -> dict[object, int]:
        """The holders of a pool's seats, and until when each has its seat (L2, L4)."""
        until: dict[object, int] = {}
        for (id_, holder), issued_ms in self.issued_ms.items():
            if id_ == pool_id and (held_ms := self.held_ms_of(pool_id, issued_ms)) > self.now_ms:
                until[holder] = held_ms
        for session in (self.sessions[number] for number in self.live() if number not in without):
            if session.pool_id == pool_id:
                until[session.holder] = max(until.get(session.holder, 0), session.expires_ms)
        return until

    def held_ms_of(self, pool_id: int, issued_ms: int) -> int:
        """Until when a token that was issued then holds its seat (L18), never past the pool's end (L7)."""
        pool = self.pools[pool_id]
        jwt_s = TENANT.access_ttl_s if self.token_format is TokenFormat.JWT else 0
        until_ms = issued_ms + max(pool.hold_s, jwt_s) * 1000
        return until_ms if pool.expires_at_ms is None else min(until_ms, pool.expires_at_ms)

    def issue(self, pool_id: int | None, holder: object) -> None:
        """Note that a token was issued."""
        if pool_id is not None:
            self.issued_ms[pool_id, holder] = self.tokens_ms[pool_id, holder] = self.now_ms

    def forget(self) -> None:
        """Drop the seats that are free; a longer hold does not bring them back."""
        seats = {pool_id: self.seats(pool_id) for pool_id in self.pools}
        self.issued_ms = {key: it for key, it in self.issued_ms.items() if key[1] in seats[key[0]]}

    def begin_anew(self) -> None:
        """Apply another hold from now on to the seats that are still held."""
        self.forget()
        self.tokens_ms = self.issued_ms.copy()

    def believed(self, pool_id: int) -> int:
        """How many holders have a token that an API may still accept."""
        of_pool = [it for key, it in self.tokens_ms.items() if key[0] == pool_id]
        return sum(self.held_ms_of(pool_id, it) > self.now_ms for it in of_pool)

    def wait(self, ms: int) -> None:
        """Let time pass, and add up the time for which seats are held."""
        for pool_id in self.pools:
            self.held_ms += sum(min(ms, until - self.now_ms) for until in self.seats(pool_id).values())
        self.now_ms += ms
        self.forget()

    def expiry_ms(self, pool_id: int | None) -> int:
        """When a session that is granted or renewed now expires (L3, L7)."""
        expires_ms = self.now_ms + self.session_ttl_s * 1000
        pool_ms = self.pools[pool_id].expires_at_ms if pool_id else None
        return expires_ms if pool_ms is None else min(expires_ms, pool_ms)

    def denial(
        self, pool: Pool, holder: object, superseded: Sequence[int], suspended_ms: int | None
    ) -> Seen | None:
        """Why there is no seat, how many are in use, and when to come back (L6, L7, L12)."""
        seats = self.seats(pool.id)
        if suspended_ms is not None and suspended_ms > self.now_ms:
            return ("suspended", len(seats), math.ceil((suspended_ms - self.now_ms) / 1000))
        if pool.expires_at_ms is not None and pool.expires_at_ms <= self.now_ms:
            return ("licence_expired", len(seats), None)
        if holder in seats or len(self.seats(pool.id, without=superseded)) < (pool.seats or 0):
            return None
        if pool.seats == 0:
            return ("no_seats", len(seats), None)
        return ("all_in_use", len(seats), max(1, math.ceil((min(seats.values()) - self.now_ms) / 1000)))

    def grant(self, client_key: int, pool_id: int | None, number: int) -> Seen:
        """A client asks for a session."""
        asker = self.clients[client_key]
        if not asker.enabled:
            return ("refused",)
        mine = self.live(client_key)
        superseded = mine[: max(0, len(mine) + 1 - asker.sessions_max)]  # L8
        holder = self.holder(asker, pool_id, number)
        suspended_ms = asker.suspended_until_ms
        if pool_id and (denial := self.denial(self.pools[pool_id], holder, superseded, suspended_ms)):
            self.counts["denied", str(denial[0])] += 1
            return ("denied", *denial)
        for other in superseded:
            self.end(other, EndReason.SUPERSEDED)
        self.counts["granted", ""] += 1
        self.sessions[number] = Held(client_key, pool_id, holder, self.expiry_ms(pool_id))
        self.issue(pool_id, holder)
        return ("granted", self.sessions[number].expires_ms)

    def holder(self, asker: Client, pool_id: int | None, number: int) -> object:
        """The holder for whom a seat is counted (L2)."""
        if pool_id is None:
            return None
        if self.pools[pool_id].duplicates is Duplicates.CLIENT:
            return f"client:{asker.client_id}"
        if self.pools[pool_id].duplicates is Duplicates.USER:
            return f"user:{asker.user.initials}"
        return f"session:{sid(number).hex()}"

    def refresh(self, client_key: int, number: int) -> Seen:
        """A client renews a session (L5)."""
        if number not in self.live(client_key):
            return ("unknown",)
        session = self.sessions[number]
        expires_ms = max(session.expires_ms, self.expiry_ms(session.pool_id))
        self.sessions[number] = session._replace(expires_ms=expires_ms)
        self.issue(session.pool_id, session.holder)
        return ("granted", expires_ms)

    def end(self, number: int, reason: EndReason, client_key: int | None = None) -> Seen:
        """A session must end (L4)."""
        if number not in self.live():
            return ("ended", False, False, None)
        if number not in self.live(client_key):
            return ("unknown",)
        session = self.sessions.pop(number)
        self.counts["ended", reason] += 1
        if session.pool_id is None:
            return ("ended", True, False, None)
        until_ms = self.seats(session.pool_id).get(session.holder)
        self.forget()
        if until_ms is None or any(self.sessions[other][1:3] == session[1:3] for other in self.live()):
            return ("ended", True, until_ms is None, None)
        return ("ended", True, False, max(1, math.ceil((until_ms - self.now_ms) / 1000)))

    def sweep(self) -> Seen:
        """Drop what has expired."""
        dead = [number for number, session in self.sessions.items() if session.expires_ms <= self.now_ms]
        for number in dead:
            del self.sessions[number]
            self.counts["ended", EndReason.EXPIRED] += 1
        return ("swept", len(dead))


def seen(outcome: Outcome | Exception) -> Seen:
    """The part of an outcome that the model predicts."""
    match outcome:
        case Granted(session=session, at_ms=at_ms, access_expires_at_ms=access_ms):
            assert access_ms == min(at_ms + TENANT.access_ttl_s * 1000, session.expires_at_ms)
            return ("granted", session.expires_at_ms)
        case Denied(reason=reason, in_use=in_use, retry_after_s=retry_after_s):
            return ("denied", reason, in_use, retry_after_s)
        case ClientRefused():
            return ("refused",)
        case SessionUnknown():
            return ("unknown",)
        case Ended(session=session, seat_released=seat_released, seat_released_in_s=released_in_s):
            return ("ended", session is not None, seat_released, released_in_s)
        case Swept(sessions=sessions):
            return ("swept", sessions)
        case _:
            raise AssertionError(outcome)
