"""Says which rows a batch needs from the store, so that it can be decided without I/O.

`Need` states the rule once, for every store. Its attributes follow from the commands and the set-up alone.
Its methods also take rows that the store has read by then, because only the store knows the seats. The
SQLite store calls the methods between its statements; the PostgreSQL store, which loads everything by one
statement, repeats each of them in SQL, under the name of its clause.

The examples are all of one tenant. Its pool 1 has two seats, counted for clients (L2); its pool 2 has one,
counted for users. The clients `A` (key 1) and `B` (key 2) are of the user `AB` and may have two sessions each
(L8). `S1` and `S2` are sessions of `A`, `S3` is one of `B`.

`tests/store/test_prefetch.py` shows that the clauses are enough and that each is needed: it compares with a
book that holds everything, and leaves out one clause after the other.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from itertools import chain, compress, repeat
from operator import add, attrgetter, gt
from typing import NamedTuple

from licet.ledger.book import Counts, SeatKey
from licet.ledger.commands import Command, End, Grant, Refresh, Sweep, UseAssertion, uses_of
from licet.ledger.holders import CLIENT_HOLDER, SESSION_HOLDER, holder_of
from licet.ledger.signed_pools import room_of
from licet.model import Duplicates, Place, Pool, Seat, Session, Tenant
from licet.options import COMMON, SEATS_MAX, Applied, PoolOptions, is_limit

EVER_MS = 2**62
FEW = 32  # clients of whom seats are looked up one by one; a guess: an index step each, in a denial
SPARE = 8  # a guess: seats that expire first by their rows, of which one may be the first indeed

_COUNTED, _RESERVES = attrgetter("counted"), attrgetter("reserves")  # of `Applied`


class Sharing(NamedTuple):
    """Sessions of one seat: those that expire last, `sessions_max` at most.

    The sessions of a seat that is counted for a client are all of the client with this key.
    """

    client_key: int
    seat_key: SeatKey
    sessions_max: int


class Counting(NamedTuple):
    """Which seats a limit may count: those of these holders, and those that sessions of these clients have.

    Both are by pool; the latter are the keys of clients.
    """

    holders: dict[int, set[str]]
    own: dict[int, set[int]]


class Bound(NamedTuple):
    """How high a count of a pool may be before a batch, so that no grant of the batch can exceed its limit.

    `may_deny` is whether an option may deny a grant where this is the only count above its bound.
    """

    pool_id: int
    what: str
    most: int
    may_deny: bool


class Need:
    """What a book needs for these commands."""

    def __init__(self, commands: Sequence[Command], tenants: Mapping[int, Tenant]) -> None:
        # renewed, ended: the sessions that are named, where they live.
        #   Refresh(S1), End(S2)      renewed = {S1}, ended = {S2}
        self.renewed: set[bytes] = set()
        self.ended: set[bytes] = set()

        # asking, rooms: how many sessions each client asks for; and how many may live before the batch, so
        # that none has to end (L8), less than 0 where it asks for too many. The store counts those that live.
        #   Grant(A)                  asking = {1: 1}, rooms = {1: 1}
        #   Grant(A), 3 times         asking = {1: 3}, rooms = {1: -1}
        self.asking: dict[int, int] = {}
        self.rooms: dict[int, int] = {}

        # holders: those that ask for a seat and may have it already (L2).
        #   Grant(A, pool 1)          holders = {(1, "client:A")}
        #   Grant(A, pool 2)          holders = {(2, "user:AB")}
        #   Grant(A, no pool)         holders = {}
        #   where each session has a seat of its own: {}, as this one is still to be made
        self.holders: set[SeatKey] = set()

        # grants: how many seats are asked for, of each pool.
        #   Grant(A, pool 1), Grant(B, pool 1), Grant(B, pool 2)      grants = {1: 2, 2: 1}
        self.grants: dict[int, int] = {}

        # numbers: how many free numbers of each signed pool (L13): the lowest that may be given now, and the
        # first that may be given later, so that a denied client learns when.
        #   Grant(A, pool 1), Grant(B, pool 1), where pool 1 is signed      numbers = {1: 2}
        self.numbers: dict[int, int] = {}

        # counts: what options count of the clients that ask (L16, L17); `waiting` has those that wait.
        #   Grant(A, pool 1), which has max = 1 for user:AB       counts = {1: {"max=user:AB"}}
        self.counts: dict[int, AbstractSet[str]] = {}

        # queues: pools of which the whole queue is needed, lapsed places too (L19).
        self.queues: set[int] = set()

        # crowded: seats, and for which client, of which a session may begin and end in this batch.
        #   Grant(A, pool 1), 3 times  crowded = {(1, (1, "client:A"))}: the third ends the first
        #   Grant(A, pool 1) of S4, End(S4)      the same; no client can ask for it, as it learns of S4 later
        self.crowded: set[tuple[int, SeatKey]] = set()

        # sweep: so many sessions that have expired, oldest first; so many pools with an expired seat, as
        # one on hold (L18) may expire without a session; and so many places that have lapsed (L19).
        #   Sweep(100), Sweep(50)     sweep = 150
        self.sweep = 0

        # assertions: those which may have been used before (RFC 7523 3), by themselves or with a command:
        # {(tenant, client, jti)}.
        self.assertions: set[tuple[int, int, bytes]] = set()
        self._tenants = tenants
        self._pools: dict[int, Pool] = {}  # those that are asked
        self._tenant_of, self._options = dict[int, int](), dict[int, PoolOptions]()  # of those with options
        self._applied: dict[int, list[Applied]] = {}  # of each grant of a pool with options
        self._asked: dict[int, Counter[str]] = {}  # as what they may be counted, and how often
        self._exceeded: dict[int, AbstractSet[str]] = {}  # if all get a seat
        self._ending_of: set[int] = set()  # tenants of which a session is ended by name
        self._add(commands)

    def _add(self, commands: Sequence[Command]) -> None:
        asked: list[tuple[bytes, int, SeatKey]] = []
        self.assertions.update((use.tenant_id, use.client_key, use.jti) for use in uses_of(commands))
        for command in commands:
            match command:
                case Grant():
                    self._add_grant(command, asked)
                case Refresh():
                    self.renewed.add(command.sid)
                case End():
                    self.ended.add(command.sid)
                    self._ending_of.add(command.tenant_id)
                case Sweep():
                    self.sweep += command.sessions_max
                case UseAssertion():
                    pass
        for pool_id, applied in self._applied.items():
            names = self._asked[pool_id] = Counter(chain.from_iterable(map(_COUNTED, applied)))
            self.counts[pool_id] = names.keys()
        for sid, client_key, key in asked:
            self.holders.add(key)
            if self.rooms[client_key] < 0 or sid in self.ended:
                self.crowded.add((client_key, key))

    def _add_grant(self, grant: Grant, asked: list[tuple[bytes, int, SeatKey]]) -> None:
        """Add what a grant needs, and to what is `asked` the keys of seats that it may share."""
        tenant = self._tenants.get(grant.tenant_id)
        key = grant.client_key
        client = tenant.clients_by_key.get(key) if tenant is not None else None
        if tenant is None or client is None:
            return
        asking = self.asking[key] = self.asking.get(key, 0) + 1
        self.rooms[key] = client.sessions_max - asking
        if grant.pool_id is None:
            return
        for pool_id in grant.pool_ids if grant.other_pool_ids else (grant.pool_id,):
            if (pool := tenant.pools.get(pool_id)) is None:
                continue
            self.grants[pool_id] = self.grants.get(pool_id, 0) + 1
            self._pools[pool_id] = pool
            options = tenant.options.get(pool_id)
            if options is not None:
                applied = self._applied.get(pool_id)
                if applied is None:
                    applied = self._begin(tenant, pool_id, options)
                applied.append(options.applied[client.user.initials, client.client_id])
            if pool.signed is not None:
                waiting = 0 if options is None else options.queue
                self.numbers[pool_id] = self.grants[pool_id] + waiting
            if pool.duplicates is not Duplicates.NONE:
                asked.append((grant.sid, key, (pool_id, holder_of(pool, client, grant.sid))))

    def tenant_of(self, pool_id: int) -> int:
        """The tenant of a pool that is asked and has options."""
        return self._tenant_of[pool_id]

    def _begin(self, tenant: Tenant, pool_id: int, options: PoolOptions) -> list[Applied]:
        """Begin to collect what applies to those who ask a pool with options."""
        self._tenant_of[pool_id], self._options[pool_id] = tenant.id, options
        if options.queue:
            self.queues.add(pool_id)
        applied: list[Applied] = []
        self._applied[pool_id] = applied
        return applied

    def waiting(self, places: Iterable[Place]) -> dict[int, set[str]]:
        """What is counted of those who wait: of whom it must be known whether they could have a seat.

        Beside `counts`. `B` waits for a seat of pool 1, which has max = 1 for client:B:
        `{1: {"max=client:B"}}`.
        """
        found: dict[int, set[str]] = {}
        for place in places:
            tenant = self._tenants.get(place.tenant_id)
            client = tenant.clients_by_key.get(place.client_key) if tenant else None
            options = tenant.options.get(place.pool_id) if tenant else None
            if client is not None and options is not None:
                counted = options.of(client.user.initials, client.client_id).counted
                found.setdefault(place.pool_id, set()).update(counted)
        return {
            pool_id: more
            for pool_id, what in found.items()
            if (more := what.difference(self.counts.get(pool_id, ())))
        }

    @property
    def is_of_grants(self) -> bool:
        """Whether no session is named or swept, or may begin and end in this batch: only L8 may end one."""
        return not (self.renewed or self.ended or self.sweep or self.crowded)

    @property
    def has_own_seats(self) -> bool:
        """Whether a session is asked for that would have a seat of its own: nobody has that yet."""
        return any(pool.duplicates is Duplicates.NONE for pool in self._pools.values())

    def oldest(self, client_key: int, live: int) -> int:
        """How many sessions of a client that asks may have to end, the oldest first; 0 or less: none (L8).

        Two sessions of `A` live: `Grant(A)` may end 1, three of them may end 2 and the first of their own.
        Where the store is sure that no more than `live` do, it need not count them again.
        """
        return live - self.rooms[client_key]

    def held(self, sessions: Iterable[Session]) -> set[SeatKey]:
        """The seats that must be known: of the holders that ask, and of the sessions that were found.

        `Refresh(S1)`: the seat of `S1`. `Grant(A, no pool)`, which may end `S1`: the same.
        """
        keys = {key for session in sessions if (key := session.seat_key) is not None}
        return keys | self.holders

    def ending(self, sessions: Mapping[bytes, Session], oldest: Iterable[bytes]) -> list[Session]:
        """Those of the sessions found that may end: the named ones, and the `oldest`.

        `End(S1)`, `Refresh(S2)`: `S1`.
        """
        return [sessions[sid] for sid in self.ended.union(oldest) if sid in sessions]

    def counted(self, ending: Iterable[Session]) -> set[int]:
        """The pools whose seats in use must be known, and all of their seats that have expired (L4).

        They are those that seats are asked of, and those that an ending session may give one back to.
        `Grant(A, pool 1)`, `End(S3)`: pool 1, and the pool of `S3`. `Refresh(S1)`: none.
        """
        return {pool_id for session in ending if (pool_id := session.pool_id) is not None}.union(self.grants)

    def earliest(
        self,
        in_use: Mapping[int, int],
        held: Iterable[SeatKey],
        now_ms: int,
        counts: Counts,
    ) -> dict[int, int]:
        """The pools that the grants may fill, and of how many seats each, by earliest expiry, are needed.

        The answer to a denied client says when the first seat expires. A batch moves no seats but those that
        are `held` and were found, so that of one more than these one stays where it is.

        The rows say what they do only at least (`said`), so that some more are looked at. Where the first
        seat may still be another one, the answer is the moment before which none of those expires.

        One seat of pool 1 is in use: `Grant(A, pool 1)` needs none of them. Two are: it needs 1, or 2 where
        one of them is that of `A`; and `SPARE` more. Where options may deny, it needs them before that.
        """
        found = Counter(pool_id for pool_id, _ in held)
        return {
            pool_id: found[pool_id] + 1 + SPARE
            for pool_id, grants in self.grants.items()
            if pool_id in in_use
            and (
                in_use[pool_id] + grants > room_of(self._pools[pool_id], now_ms)
                or (pool_id in self._options and self._may_explain(pool_id, counts, now_ms))
            )
        }

    def exceeded(self, counts: Counts, now_ms: int) -> dict[int, AbstractSet[str]]:
        """Of the pools with options: what would be above its bound, if all grants of a pool got a seat of it.

        The limits and the reserves, and the common seats; so of what is not there, a grant need not be asked.
        Not of a pool in which time alone changes the bounds, nor of one with fewer seats than it reserves.

        Pool 1 has max = 2 for client:A. `Grant(A, pool 1)`: nothing. Three of them, or one where two seats
        are counted so: {1: {"max=client:A"}}.
        """
        return {
            pool_id: self._exceeded_then(pool_id, counts, now_ms)
            for pool_id, options in self._options.items()
            if (pool := self._pools[pool_id]).signed is None and options.reserved <= room_of(pool, now_ms)
        }

    def counting(self, in_use: Mapping[int, int], counts: Counts, now_ms: int) -> Counting | None:
        """The seats that count against a limit which may deny, where they can be those of a `FEW` only (L16).

        The answer to a denied client says when the first of them expires, and they may be anywhere among the
        seats of their pool. Where more clients may have them, or the members of a group, it is the moment
        before which none of those that are not known expires, as `earliest` finds it. Nor does a small pool,
        of which that finds every seat, need more.

        `A` has a seat of pool 1, of which 50 are in use, and `max` is 1 for user:AB. `Grant(B, pool 1)` needs
        the seats of client:A and client:B; the sessions of both, and their seats, if each has its own.
        """
        found = None
        for pool_id, options in self._options.items():
            if not options.limits_one or in_use.get(pool_id, 0) <= 1 + SPARE:
                continue
            reached = [*filter(is_limit, self._exceeded_then(pool_id, counts, now_ms))]
            if reached and (clients := self._who_counts(pool_id, reached)):
                found = found or Counting({}, {})
                self._add_counting(found, pool_id, clients)
        return found

    def _who_counts(self, pool_id: int, limits: Iterable[str]) -> dict[str, str]:
        clients: dict[str, str] = {}
        for what in limits:
            of_limit = self._options[pool_id].who_counts(what)
            if len(of_limit) <= FEW:
                clients |= of_limit
        return clients

    def _add_counting(self, found: Counting, pool_id: int, clients: Mapping[str, str]) -> None:
        match self._pools[pool_id].duplicates:
            case Duplicates.CLIENT:
                found.holders[pool_id] = {CLIENT_HOLDER + client_id for client_id in clients}
            case Duplicates.USER:  # a user's clients share one seat, and only that counts
                pass
            case Duplicates.NONE:
                of_tenant = self._tenants[self._tenant_of[pool_id]].clients
                found.own[pool_id] = {of_tenant[it].key for it in clients if it in of_tenant}
        if holders := found.holders.get(pool_id):  # those that ask are looked up anyway
            holders.difference_update([holder for of_pool, holder in self.holders if of_pool == pool_id])

    def _exceeded_then(self, pool_id: int, counts: Counts, now_ms: int) -> AbstractSet[str]:
        exceeded = self._exceeded.get(pool_id)
        if exceeded is None:
            asked, options, before = self._asked[pool_id], self._options[pool_id], counts.get(pool_id, {})
            limits = options.limits
            # In C, as a batch may be long, and nearly always no bound is exceeded.
            then = map(add, asked.values(), map(before.get, asked, repeat(0)))
            found = {*compress(asked, map(gt, then, map(limits.get, asked, repeat(SEATS_MAX))))}
            if options.reserved:
                common = room_of(self._pools[pool_id], now_ms) - options.reserved
                if before.get(COMMON, 0) + asked[COMMON] > common:
                    found.add(COMMON)
            exceeded = self._exceeded[pool_id] = found
        return exceeded

    def _may_explain(self, pool_id: int, counts: Counts, now_ms: int) -> bool:
        """Whether an option may deny a grant of this pool: where a count comes to its bound in this batch."""
        exceeded = self._exceeded_then(pool_id, counts, now_ms)
        if COMMON in exceeded and len(exceeded) > 1:
            return True
        return any(self._explains(pool_id, what, now_ms) for what in exceeded)

    def _explains(self, pool_id: int, what: str, now_ms: int) -> bool:
        """Whether an option may deny a grant of this pool, as soon as this alone is above its bound.

        A limit may. The common seats may where one is asked for that no reserve of its client may have.
        """
        if what != COMMON:
            return is_limit(what)
        is_cut = room_of(self._pools[pool_id], now_ms) < self._options[pool_id].reserved
        return is_cut or not all(map(_RESERVES, self._applied[pool_id]))

    def explained(self, counts: Counts, now_ms: int) -> list[int]:
        """The pools in which an option may deny a grant, for a store that knows the counts before it asks.

        With those of which the time of the batch has to say how many seats there are.
        """
        return [
            pool_id
            for pool_id, options in self._options.items()
            if (options.reserved and self._pools[pool_id].signed is not None)
            or self._may_explain(pool_id, counts, now_ms)
        ]

    def bounds(self, now_ms: int) -> list[Bound]:
        """The bounds of all `counts`, for a store that looks up the counts and the seats by one statement.

        It needs the seats of `earliest` where a count is above a bound that `may_deny`, or where that of the
        common seats and any other one of the pool are.
        """
        found: list[Bound] = []
        for pool_id, names in self.counts.items():
            asked, options, pool = self._asked[pool_id], self._options[pool_id], self._pools[pool_id]
            limits = options.limits
            for what in names:
                most, may_deny = limits.get(what, SEATS_MAX), self._explains(pool_id, what, now_ms)
                if what == COMMON and options.reserved:
                    most = room_of(pool, now_ms) - options.reserved
                    if pool.signed is not None:  # By the time of the batch there may be fewer.
                        most, may_deny = -SEATS_MAX, True
                found.append(Bound(pool_id, what, most - asked[what], may_deny))
        return found

    def room(self, pool_id: int, now_ms: int) -> tuple[int, int]:
        """How many seats of a signed pool that is asked may be in use, and until when that counts.

        For a store whose own clock says later what the time is.
        """
        pool = self._pools[pool_id]
        assert pool.signed is not None
        later = pool.signed.after(now_ms)
        return room_of(pool, now_ms), later[0].from_ms if later else EVER_MS

    def sharing(self, ending: Iterable[Session], seats: Mapping[SeatKey, Seat]) -> list[Sharing]:
        """Which other sessions must be known, to know whether a seat is free when one ends (L4).

        Of each seat that `others_matter` for, and of those that are `crowded`: as many as may end, and one
        more. `End(S1)`, where `S1` is the last to expire on its seat: the two of that seat that expire last,
        which are `S1` and the one that the seat lasts as long as from then on.
        A seat that is a session's own has no others.
        """
        limits: dict[SeatKey, int] = {}
        shared: dict[SeatKey, int] = {}
        for session in ending:
            key = session.seat_key
            seat = None if key is None else seats.get(key)
            if key is None or seat is None or key[1].startswith(SESSION_HOLDER):
                continue
            limits[key] = limits.get(key, 1) + 1
            if self.others_matter(session, seat):
                shared[key] = session.client_key
        shared |= {key: client_key for client_key, key in self.crowded if key in seats}
        return [Sharing(client_key, key, limits.get(key, 1)) for key, client_key in shared.items()]

    def others_matter(self, ending: Session, seat: Seat) -> bool:
        """Whether it makes a difference who else is on the seat of a session that ends.

        - last: the seat lasts as long as this session. Then it is free, or lasts as long as the next one.
          `End(S1)`, where `S1` expires after `S2`.
        - renewed: it may be the last one when it ends. `Refresh(S1)`, `End(S1)`, where `S2` expires after
          `S1`.
        - on hold: the answer to the end of the last session says until when the seat is held (L18).
          `End(S1)` in a pool that has a hold.
        """
        return (
            ending.expires_at_ms >= seat.expires_at_ms
            or ending.sid in self.renewed
            or (ending.sid in self.ended and self.has_hold(seat.tenant_id, seat.pool_id))
        )

    # said: a seat's row may say less than its sessions (`seat_rows.py`), swept or not. So with each seat that
    # is loaded, whatever clause asks for it, comes the session that holds it for the longest, and the book
    # has the seat as both say; a sweep of a session counts the pool of its seat.
    #   `S1` was renewed, and the row of its seat was not written: the seat expires with `S1`.

    def has_hold(self, tenant_id: int, pool_id: int) -> bool:
        """Whether the seats of a pool are held for their holders when their last session is over (L18)."""
        tenant = self._tenants[tenant_id]
        return tenant.hold_s_of(tenant.pools[pool_id]) > 0

    def pools_with_hold(self) -> list[int]:
        """The pools that have a hold, of the tenants of which a session is ended by name."""
        tenants = [self._tenants[tenant_id] for tenant_id in self._ending_of if tenant_id in self._tenants]
        return [
            pool_id for tenant in tenants for pool_id in tenant.pools if self.has_hold(tenant.id, pool_id)
        ]
