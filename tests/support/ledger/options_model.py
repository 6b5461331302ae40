"""A model of pool options that counts the seats of each rule and reserve, and the places in line.

It says what `licet.ledger` should do in other words, and with no tables: MAX counts the seats whose taker a
rule names, as it is now. Only of reserves it has to note which one a seat was taken from.
"""

from collections.abc import Mapping
from typing import NamedTuple

from msgspec.structs import replace

from licet.ledger.commands import ClientRefused, Denied, Granted, Outcome
from licet.model import Client, Duplicates, EndReason, Group, Pool, Scope, Tenant
from support.examples import VIEW, client, jim_test
from support.ledger.counting import Held, Model, Seen
from support.ledger.counting import seen as seen_otherwise

FULL = Pool(id=1, name="full", seats=3, hold_s=60)
PEOPLE = Pool(id=2, name="people", seats=2, duplicates=Duplicates.USER)
EACH = Pool(id=3, name="each", seats=3, duplicates=Duplicates.NONE)


def _scope(name: str, *pools: str) -> Scope:
    return Scope(name=name, licensed=True, read_only=False, pool=pools[0], other_pools=pools[1:])


SCOPES = (
    VIEW,
    _scope("all", "full"),
    _scope("person", "people"),
    _scope("single", "each"),
    _scope("any", "full", "people"),
    _scope("every", "people", "each", "full"),
)
CLIENTS = (
    client(1, "Desktop", "TC", sessions_max=1),
    client(2, "Phone", "TC", sessions_max=2),
    client(3, "Robot", "C1", sessions_max=2),
    client(4, "Till", "C1", sessions_max=100),
    client(5, "Kiosk", "C2", sessions_max=100),
    client(6, "Tablet", "TC", sessions_max=100),
    client(7, "Scale", "C1", sessions_max=100),
    client(8, "Door", "C3", sessions_max=100),
)
GROUPS = (
    Group(name="sales", users=frozenset({"TC"})),
    Group(name="desk", users=frozenset({"C2"}), clients=frozenset({"Robot"})),
)
TENANT = jim_test(
    pools=(FULL, PEOPLE, EACH),
    scopes=SCOPES,
    clients=CLIENTS,
    groups=GROUPS,
    session_ttl_s=1200,
    access_ttl_s=60,
)


class Taken(NamedTuple):
    """A seat: who took it, when, and from which reserve; `""` is none."""

    client_id: str
    initials: str
    at_ms: int
    reserve: str


class Waiting(NamedTuple):
    """A place in line."""

    client_key: int
    level: int
    number: int
    until_ms: int


class OptionsModel(Model):
    """The model of the licence rules, with the options that say who may have which seats."""

    def __init__(self, tenant: Tenant, now_ms: int) -> None:
        super().__init__(tenant, now_ms)
        self.groups: Mapping[str, Group] = dict(tenant.groups)
        self.scopes = dict(tenant.scopes)
        self.taken: dict[tuple[int, object], Taken] = {}
        self.line: dict[tuple[int, object], Waiting] = {}

    def forget(self) -> None:
        """Drop expired seats and places as well."""
        super().forget()
        seats = {pool_id: self.seats(pool_id) for pool_id in self.pools}
        self.taken = {key: it for key, it in self.taken.items() if key[1] in seats[key[0]]}
        self.line = {key: it for key, it in self.line.items() if it.until_ms > self.now_ms}

    def names(self, client_id: str, initials: str) -> list[str]:
        """The names by which rules can mean this client and user, the most specific first."""
        of_client = [it.name for it in self.groups.values() if client_id in it.clients]
        of_user = [it.name for it in self.groups.values() if initials in it.users]
        groups = [f"group:{it}" for it in [*sorted(of_client), *sorted(of_user)]]
        return [f"client:{client_id}", f"user:{initials}", *dict.fromkeys(groups)]

    def count(self, pool_id: int, who: str, gone: frozenset[object] = frozenset()) -> int:
        """The number of seats of those whom a rule names."""
        return sum(
            who in self.names(it.client_id, it.initials)
            for (id_, holder), it in self.taken.items()
            if id_ == pool_id and holder not in gone
        )

    def count_reserve(self, pool_id: int, reserve: str, gone: frozenset[object] = frozenset()) -> int:
        """The number of seats from this reserve, or from none."""
        return sum(
            it.reserve == reserve
            for (id_, holder), it in self.taken.items()
            if id_ == pool_id and holder not in gone
        )

    def limits(self, pool: Pool, client_id: str, initials: str) -> list[tuple[str, int]]:
        """The limits that apply to a new seat: whose seats are counted, and how many they may be."""
        names = self.names(client_id, initials)
        shares = {it.who: it.seats for it in pool.max}
        found = [(who, shares[who]) for who in names if who in shares]
        if pool.max_per_client is not None and f"client:{client_id}" not in shares:
            found.append((f"client:{client_id}", pool.max_per_client))
        if pool.max_per_user is not None and f"user:{initials}" not in shares:
            found.append((f"user:{initials}", pool.max_per_user))
        return found

    @staticmethod
    def is_counted(pool: Pool) -> bool:
        """Whether an option counts seats of this pool."""
        return bool(pool.reserve or pool.max or pool.max_per_user or pool.max_per_client)

    def recount(self, pool_id: int) -> None:
        """Fill the reserves from the oldest seat on."""
        pool = self.pools[pool_id]
        of_pool = [(it.at_ms, str(key[1]), key) for key, it in self.taken.items() if key[0] == pool_id]
        keys = [key for _, _, key in sorted(of_pool)]
        for key in keys:
            self.taken[key] = self.taken[key]._replace(reserve="?")
        for key in keys:
            it = self.taken[key]
            reserve = self._reserve(pool, it.client_id, it.initials, {}, frozenset())
            self.taken[key] = it._replace(reserve=reserve or "")

    def prune(self, pool_id: int) -> None:
        """Drop the places of clients that may have no seat any more, and the last ones beyond the queue."""
        pool, kept = self.pools[pool_id], []
        for key, it in self.line.items():
            asker = self.clients[it.client_key]
            is_barred = asker.suspended_until_ms is not None and asker.suspended_until_ms > self.now_ms
            if key[0] != pool_id or not asker.usable or is_barred:
                continue
            if self._outside(pool, asker) is None and key[1] == self.place_holder(asker, pool):
                kept.append((key, it._replace(level=self._level(pool, asker))))
        kept.sort(key=lambda entry: (-entry[1].level, entry[1].number))
        others = {key: it for key, it in self.line.items() if key[0] != pool_id}
        self.line = others | dict(kept[: pool.queue])

    @staticmethod
    def place_holder(asker: Client, pool: Pool) -> str:
        """The holder of a place."""
        is_user = pool.duplicates is Duplicates.USER
        return f"user:{asker.user.initials}" if is_user else f"client:{asker.client_id}"

    def ask(self, client_key: int, scope: str, number: int, *, queue: bool) -> Seen:
        """A client asks for a session of a scope with a seat."""
        asker = self.clients[client_key]
        pools = [
            next(it for it in self.pools.values() if it.name == name) for name in self.scopes[scope].pools
        ]
        if not asker.enabled:
            return ("refused",)
        mine = self.live(client_key)
        superseded = mine[: max(0, len(mine) + 1 - asker.sessions_max)]
        if asker.suspended_until_ms is not None and asker.suspended_until_ms > self.now_ms:
            denial = ("suspended", asker.suspended_until_ms, False)
            return self._deny(asker, [(pools[0], denial)], queue=queue)
        has = [pool for pool in pools if self.holder(asker, pool.id, number) in self.seats(pool.id)]
        denials = []
        for pool in [*has, *(pool for pool in pools if pool not in has)]:
            holder = self.holder(asker, pool.id, number)
            left = self.seats(pool.id, without=superseded)
            gone = frozenset(self.seats(pool.id)) - frozenset(left) - {holder}
            found = self._decide(pool, asker, holder, gone)
            if not isinstance(found, str):
                denials.append((pool, found))
                continue
            kept = self.taken.get((pool.id, holder))
            for other in superseded:
                self.end(other, EndReason.SUPERSEDED)
            for it in pools:
                self.line.pop((it.id, self.place_holder(asker, it)), None)
            self.counts["granted", ""] += 1
            self.sessions[number] = Held(client_key, pool.id, holder, self.expiry_ms(pool.id))
            self.issue(pool.id, holder)
            initials = asker.user.initials
            if kept is None:
                kept = Taken(asker.client_id, initials, self.now_ms, found)
            self.taken[pool.id, holder] = kept._replace(initials=initials)
            return ("granted", self.sessions[number].expires_ms, pool.name)
        return self._deny(asker, denials, queue=queue)

    def _decide(  # noqa: PLR0911 - one a rule
        self, pool: Pool, asker: Client, holder: object, gone: frozenset[object]
    ) -> str | tuple[str, int | None, bool]:
        """The reserve of the seat; or the reason of a denial, its end, and whether the client may wait."""
        seats = self.seats(pool.id)
        if pool.expires_at_ms is not None and pool.expires_at_ms <= self.now_ms:
            return ("licence_expired", None, False)
        if (outside := self._outside(pool, asker)) is not None:
            return (outside, None, False)
        if holder in seats:
            taken = self.taken[pool.id, holder]
            if taken.initials != asker.user.initials and self.is_counted(pool):
                return ("all_in_use", seats[holder], False)
            return taken.reserve
        who = (asker.client_id, asker.user.initials)
        reached = [name for name, most in self.limits(pool, *who) if self.count(pool.id, name, gone) >= most]
        if reached:
            return ("max_reached", max(self._first_of(pool, name) for name in reached), False)
        first_ms = self._first_that_helps(pool, *who)
        free = (pool.seats or 0) - len(seats) + len(gone)
        if free > 0 and pool.queue and not gone and self._are_others_first(pool, asker, free):
            return ("queued", self.now_ms + 5000, True)
        if free <= 0:
            if pool.seats == 0:
                return ("no_seats", None, False)
            return ("all_in_use", first_ms, pool.queue > 0)
        reserve = self._reserve(pool, *who, {}, gone)
        return ("reserved", first_ms, pool.queue > 0) if reserve is None else reserve

    def _first_of(self, pool: Pool, who: str) -> int:
        """When the first seat of those whom a rule names ends."""
        ends = self.seats(pool.id)
        taken = [(key[1], it) for key, it in self.taken.items() if key[0] == pool.id]
        return min(ends[holder] for holder, it in taken if who in self.names(it.client_id, it.initials))

    def _first_that_helps(self, pool: Pool, client_id: str, initials: str) -> int | None:
        """When the first seat ends that is not reserved for others."""
        ends, theirs = self.seats(pool.id), {"", *self.names(client_id, initials)}
        taken = [(key[1], it) for key, it in self.taken.items() if key[0] == pool.id]
        return min((ends[holder] for holder, it in taken if it.reserve in theirs), default=None)

    def _outside(self, pool: Pool, asker: Client) -> str | None:
        names = self.names(asker.client_id, asker.user.initials)
        if set(names) & set(pool.exclude):
            return "excluded"
        if set(names) & {it.who for it in pool.reserve}:
            return None
        if pool.named and asker.user.initials not in pool.named:
            return "not_included"
        return "not_included" if pool.include and not set(names) & set(pool.include) else None

    def _is_at_limit(
        self,
        pool: Pool,
        client_id: str,
        initials: str,
        more: dict[str, int],
        gone: frozenset[object],
    ) -> bool:
        return any(
            self.count(pool.id, who, gone) + more.get(who, 0) >= seats
            for who, seats in self.limits(pool, client_id, initials)
        )

    def _reserve(
        self,
        pool: Pool,
        client_id: str,
        initials: str,
        more: dict[str, int],
        gone: frozenset[object],
    ) -> str | None:
        """A reserve of its own with a free seat, or `""` for a common seat; None if there is neither."""
        room, share = pool.seats or 0, dict[str, int]()
        for it in pool.reserve:
            share[it.who] = min(it.seats, max(0, room - sum(share.values())))
        for who in self.names(client_id, initials):
            if (
                who in share
                and self.count_reserve(pool.id, who, gone) + more.get(f"in {who}", 0) < share[who]
            ):
                return who
        if not pool.reserve:
            return ""
        common = room - sum(it.seats for it in pool.reserve)
        return "" if self.count_reserve(pool.id, "", gone) + more.get("in ", 0) < common else None

    def _are_others_first(self, pool: Pool, asker: Client, free: int) -> bool:
        """Whether no seat is left after each client before it in line has got one."""
        who, nobody = (asker.client_id, asker.user.initials), frozenset[object]()
        if self._reserve(pool, *who, {}, nobody) is None:
            return False
        mine = (pool.id, self.place_holder(asker, pool))
        entries = [(key, it) for key, it in self.line.items() if key[0] == pool.id]
        entries.sort(key=lambda entry: (-entry[1].level, entry[1].number))
        more: dict[str, int] = {}
        for key, place in entries:
            is_later = mine not in self.line and place.level < self._level(pool, asker)
            if key == mine or is_later or free <= 0:
                break
            other = self.clients[place.client_key]
            theirs = (other.client_id, other.user.initials)
            barred_ms = other.suspended_until_ms or 0
            if not other.usable or barred_ms > self.now_ms or self._outside(pool, other) is not None:
                continue
            reserve = self._reserve(pool, *theirs, more, nobody)
            if self._is_at_limit(pool, *theirs, more, nobody) or reserve is None:
                continue
            free -= 1
            for name in (*self.names(*theirs), f"in {reserve}"):
                more[name] = more.get(name, 0) + 1
        at_limit = self._is_at_limit(pool, *who, more, nobody)
        return free <= 0 or at_limit or self._reserve(pool, *who, more, nobody) is None

    def _level(self, pool: Pool, asker: Client) -> int:
        names = self.names(asker.client_id, asker.user.initials)
        return max((it.level for it in pool.priority if it.who in names), default=0)

    def _deny(
        self, asker: Client, denials: list[tuple[Pool, tuple[str, int | None, bool]]], *, queue: bool
    ) -> Seen:
        order = [
            *("suspended", "licence_expired", "excluded", "not_included", "max_reached"),
            *("no_seats", "reserved", "all_in_use", "queued"),
        ]
        # Where it waits already, if it may; else where it came farthest, of those with room in line.
        among = [it for it in denials if queue and it[1][2] and self._has_room(it[0])] or denials
        farthest = max(order.index(denial[0]) for _, denial in among)
        waits = [
            it for it in denials if it[1][2] and (it[0].id, self.place_holder(asker, it[0])) in self.line
        ]
        chosen = waits[0] if waits else next(it for it in among if order.index(it[1][0]) == farthest)
        for pool, (_, _, may_wait) in denials:
            if not may_wait:
                self.line.pop((pool.id, self.place_holder(asker, pool)), None)
        pool, (reason, until_ms, may_wait) = chosen
        until_ms = min((it[1][1] for it in denials if it[1][1] is not None), default=None)
        position = self._wait(asker, pool) if may_wait and queue else 0
        if position:
            reason, until_ms = "queued", self.now_ms + min(5000, pool.queue_hold_s * 1000 // 3)
        self.counts["denied", reason] += 1
        retry_s = None if until_ms is None else max(1, -(-(until_ms - self.now_ms) // 1000))
        return ("denied", reason, pool.name, len(self.seats(pool.id)), retry_s, position)

    def _has_room(self, pool: Pool) -> bool:
        return sum(pool_id == pool.id for pool_id, _ in self.line) < pool.queue

    def _wait(self, asker: Client, pool: Pool) -> int:
        """Take a place, or keep it; returns its position, 0 if the line is full."""
        key, until_ms = (pool.id, self.place_holder(asker, pool)), self.now_ms + pool.queue_hold_s * 1000
        line = {it: place for it, place in self.line.items() if it[0] == pool.id}
        if key in line:
            if line[key].until_ms - self.now_ms <= pool.queue_hold_s * 500:
                self.line[key] = self.line[key]._replace(until_ms=until_ms)
        elif len(line) >= pool.queue:
            return 0
        else:
            number = 1 + max((it.number for it in line.values()), default=0)
            self.line[key] = Waiting(asker.key, self._level(pool, asker), number, until_ms)
        mine = self.line[key]
        return 1 + sum(
            (-it.level, it.number) < (-mine.level, mine.number)
            for other, it in self.line.items()
            if other[0] == pool.id
        )

    def change_pool(self, pool_id: int, **changes: object) -> None:
        """Change the options of a pool, and count again."""
        self.pools[pool_id] = replace(self.pools[pool_id], **changes)
        self.recount(pool_id)
        self.prune(pool_id)


def seen(outcome: Outcome | Exception, pools: Mapping[int, Pool]) -> Seen:
    """The part of an outcome that the model predicts."""
    match outcome:
        case Granted(session=session) if session.pool_id is not None:
            return (*seen_otherwise(outcome), pools[session.pool_id].name)
        case Denied():
            return (
                "denied",
                outcome.reason,
                outcome.pool,
                outcome.in_use,
                outcome.retry_after_s,
                outcome.queue_position,
            )
        case ClientRefused():
            return ("refused",)
        case _:
            return seen_otherwise(outcome)
