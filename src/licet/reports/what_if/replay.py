"""Replays visits through the ledger itself, in memory: with today's set-up of a pool, or with another one.

The ledger that decides about seats decides here too, at the instants of the journal. The rules:

- Who got a seat asks for it when it first asked, and keeps it until it gave it back. One whose session
  expired had its last token `session_ttl` before, and keeps its seat for the replayed one from then on.
- Who was turned away and gets a seat here keeps it for as long as that client's visits usually last (the
  median), or the pool's where the client has none.
- Who got a seat and gets none here asks again every `RETRY_MS` until its visit would have been over, for as
  long as those who were turned away asked at most.
- Clients are neither disabled nor suspended, and licences do not end: only the number of seats denies, and
  the options of the pool, with today's groups (L15 to L17). Nobody stands in line: who is denied asks again.
- A denial stands until a seat comes back, for all clients of whom the options say the same: until then seats
  are only taken, and the ledger is not asked again. This decides nothing that it would decide otherwise.

It is pure: it reads no store, and no clock.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from heapq import heapify, heappop, heappush
from statistics import median_low
from types import MappingProxyType
from typing import NamedTuple

from msgspec.structs import asdict, replace

from licet.ledger.book import Book, SeatFreed, SeatKept, SeatTaken
from licet.ledger.commands import Command, Denied, End, Grant, Granted, Refresh
from licet.ledger.holders import holder_of
from licet.ledger.rules import apply, free_expired, superseded_by
from licet.model import (
    TTL_S_MAX,
    Client,
    Duplicates,
    EndReason,
    Group,
    Pool,
    Scope,
    Tenant,
    User,
    Value,
    options_of,
)
from licet.reports.what_if.visits import Visit
from licet.setup.options.kinds import Shares

RETRY_MS = 60_000  # a guess: how often a client asks again

_SCOPE = "what-if"
_ID = 1
_TOKEN, _END, _ASK = range(3)  # the order at one instant: seats come back before somebody asks


class Rules(Value, frozen=True, kw_only=True):
    """The options of a pool that are replayed, with the texts of the command line: `2:group:sales`."""

    exclude: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    named: tuple[str, ...] = ()
    reserve: tuple[str, ...] = ()
    max: tuple[str, ...] = ()
    max_per_user: int | None = None
    max_per_client: int | None = None


class Setup(Value, frozen=True, kw_only=True):
    """What is replayed: seats, overdraft, hold, `session_ttl`, who shares a seat, and the options."""

    seats: int
    overdraft: int
    hold_s: int
    session_ttl_s: int
    duplicates: Duplicates
    rules: Rules = Rules()


class Replayed(Value, frozen=True, kw_only=True):
    """What would have been: the most seats at once, and what became of those who wanted one.

    `wants` is how many were denied at first; `served` got a seat later, `turned_away` got none (true
    denials). The waits are those of the served. `waiting` had not got one when the span ended.
    """

    peak: int
    grants: int
    wants: int
    served: int
    turned_away: int
    waiting: int
    wait_median_ms: int
    wait_longest_ms: int


class _Next(NamedTuple):
    at_ms: int
    kind: int
    number: int  # of the visit; it is part of the order, so that equal replays are equal
    attempt: int


def replay(
    visits: Sequence[Visit],
    setup: Setup,
    *,
    recorded_ttl_s: int,
    until_ms: int,
    groups: Mapping[str, Group] = MappingProxyType({}),
) -> Replayed:
    """What this set-up would have made of these visits, which are in the order in which they began."""
    return _Replay(visits, setup, recorded_ttl_s, until_ms, groups).run()


class _Replay:
    def __init__(
        self,
        visits: Sequence[Visit],
        setup: Setup,
        recorded_ttl_s: int,
        until_ms: int,
        groups: Mapping[str, Group],
    ) -> None:
        self._visits = visits
        self._setup = setup
        self._recorded_ms, self._ttl_ms = recorded_ttl_s * 1000, setup.session_ttl_s * 1000
        self._until_ms = until_ms
        tenant = _tenant(visits, setup, groups)
        self._pool, self._clients = tenant.pools[_ID], tenant.clients
        self._alike = _alike(tenant)
        self._denied_alike: set[int] = set()  # for whom the ledger has no seat until one comes back
        self._book = Book(tenants={_ID: tenant}, in_use={_ID: 0})
        self._queue = [_Next(visit.begins_at_ms, _ASK, number, 0) for number, visit in enumerate(visits)]
        heapify(self._queue)
        self._expiries: list[int] = []
        self._stays, self._usual_stay_ms = _stays(visits)
        lengths = [it.denied_at_ms[-1] - it.denied_at_ms[0] for it in visits if it.granted_at_ms is None]
        self._patience_ms = max([*lengths, self._recorded_ms])
        self._peak = self._grants = 0
        self._denied: set[int] = set()
        self._granted: dict[int, int] = {}

    def run(self) -> Replayed:
        """Go through all visits."""
        while self._queue and self._queue[0].at_ms < self._until_ms:
            self._do(heappop(self._queue))
        waits = [
            self._granted[number] - self._visits[number].begins_at_ms
            for number in self._denied
            if number in self._granted
        ]
        waiting = {it.number for it in self._queue if it.kind == _ASK} & self._denied
        return Replayed(
            peak=self._peak,
            grants=self._grants,
            wants=len(self._denied),
            served=len(waits),
            turned_away=len(self._denied) - len(waits) - len(waiting),
            waiting=len(waiting),
            wait_median_ms=median_low(waits) if waits else 0,
            wait_longest_ms=max(waits, default=0),
        )

    def _do(self, step: _Next) -> None:
        if self._expiries and self._expiries[0] <= step.at_ms:
            free_expired(self._book, step.at_ms)
            self._note_changes()
            while self._expiries and self._expiries[0] <= step.at_ms:
                heappop(self._expiries)
        if step.kind == _ASK:
            self._ask(step)
        elif step.kind == _TOKEN:
            client = self._clients[self._visits[step.number].client_id]
            self._apply(Refresh(tenant_id=_ID, client_key=client.key, sid=_sid(step.number)), step.at_ms)
        else:
            self._apply(End(tenant_id=_ID, sid=_sid(step.number), reason=EndReason.LOGOFF), step.at_ms)

    def _apply(self, command: Command, at_ms: int) -> object:
        outcome = apply(self._book, command, at_ms)
        self._note_changes()
        return outcome

    def _note_changes(self) -> None:
        for change in self._book.changes:
            if isinstance(change, SeatFreed):
                self._denied_alike.clear()
            elif self._setup.hold_s and isinstance(change, SeatKept | SeatTaken):
                heappush(self._expiries, change.seat.expires_at_ms)
        self._book.changes.clear()
        self._peak = max(self._peak, self._book.in_use[_ID])

    def _ask(self, step: _Next) -> None:
        visit = self._visits[step.number]
        if self._is_given(visit, step):
            self._granted[step.number] = step.at_ms
            self._grants += 1
            self._leave(step.number, visit, step.at_ms)
            return
        self._denied.add(step.number)
        if (again_ms := self._again(visit, step)) is not None:
            heappush(self._queue, _Next(again_ms, _ASK, step.number, step.attempt + 1))

    def _is_given(self, visit: Visit, step: _Next) -> bool:
        client, sid = self._clients[visit.client_id], _sid(step.number)
        alike = self._alike[client.key]
        if alike in self._denied_alike and not self._has_seat(client, sid):
            return False
        command = Grant(tenant_id=_ID, client_key=client.key, sid=sid, scope=_SCOPE, pool_id=_ID, address="")
        outcome = self._apply(command, step.at_ms)
        assert isinstance(outcome, Granted | Denied)
        if isinstance(outcome, Denied):
            self._denied_alike.add(alike)
        return isinstance(outcome, Granted)

    def _again(self, visit: Visit, step: _Next) -> int | None:
        """When a visit that was denied asks again: as it did, and then for a while; None when it gives up."""
        asks = (
            visit.denied_at_ms if visit.granted_at_ms is None else (*visit.denied_at_ms, visit.granted_at_ms)
        )
        if step.attempt + 1 < len(asks):
            return asks[step.attempt + 1]
        if visit.granted_at_ms is None:
            return None
        again_ms = step.at_ms + RETRY_MS
        last_ms = visit.granted_at_ms + self._patience_ms
        return again_ms if again_ms < min(visit.ended_at_ms or self._until_ms, last_ms) else None

    def _leave(self, number: int, visit: Visit, at_ms: int) -> None:
        """Have a visit that got its seat give it back."""
        if visit.granted_at_ms is None:
            token_ms = at_ms + self._stays.get(visit.client_id, self._usual_stay_ms)
            end_ms = token_ms
        elif visit.ended_at_ms is None:
            return
        elif visit.has_expired:
            token_ms = max(at_ms, visit.ended_at_ms - self._recorded_ms)
            end_ms = token_ms + self._ttl_ms
        else:
            token_ms = end_ms = max(at_ms, visit.ended_at_ms)
        if self._setup.hold_s and token_ms > at_ms:
            heappush(self._queue, _Next(token_ms, _TOKEN, number, 0))
        heappush(self._queue, _Next(end_ms, _END, number, 0))

    def _has_seat(self, client: Client, sid: bytes) -> bool:
        """Whether it has one to share, or would give one back with an older session (L2, L8)."""
        key = (_ID, holder_of(self._pool, client, sid))
        return key in self._book.seats or bool(superseded_by(self._book, client))


def _sid(number: int) -> bytes:
    return number.to_bytes(20, "big")


def _alike(tenant: Tenant) -> Mapping[int, int]:
    """A number for each client: the same for all of whom the options of the pool say the same."""
    options = tenant.options.get(_ID)
    if options is None:
        return dict.fromkeys(tenant.clients_by_key, 0)
    # Equal ones are one object, which the options keep.
    return {
        client.key: id(options.of(client.user.initials, client.client_id))
        for client in tenant.clients.values()
    }


def _stays(visits: Iterable[Visit]) -> tuple[Mapping[str, int], int]:
    """How long the visits of each client usually lasted, and those of all of them."""
    lengths: defaultdict[str, list[int]] = defaultdict(list)
    for visit in visits:
        if visit.granted_at_ms is not None and visit.ended_at_ms is not None:
            lengths[visit.client_id].append(visit.ended_at_ms - visit.granted_at_ms)
    every = [length for of_client in lengths.values() for length in of_client]
    usual = median_low(every) if every else 0
    return {client_id: median_low(of_client) for client_id, of_client in lengths.items()}, usual


def _tenant(visits: Iterable[Visit], setup: Setup, groups: Mapping[str, Group]) -> Tenant:
    """A tenant with one pool, in which sessions live until they are ended."""
    pool = Pool(
        id=_ID,
        name=_SCOPE,
        seats=setup.seats + setup.overdraft,
        duplicates=setup.duplicates,
        hold_s=setup.hold_s,
        **asdict(setup.rules)
        | {"reserve": Shares().of_texts(setup.rules.reserve), "max": Shares().of_texts(setup.rules.max)},
    )
    options = options_of(pool, groups)
    initials = {visit.client_id: visit.initials for visit in visits}
    users = {it: User(initials=it, name="", password_hash=None) for it in set(initials.values())}
    clients = [
        Client(key=key, client_id=client_id, user=users[of_user], sessions_max=1000)
        for key, (client_id, of_user) in enumerate(initials.items(), 1)
    ]
    tenant = Tenant(
        id=_ID,
        name=_SCOPE,
        version=1,
        session_ttl_s=TTL_S_MAX,
        scopes={_SCOPE: Scope(name=_SCOPE, licensed=True, read_only=False, pool=_SCOPE)},
        pools={_ID: pool},
        options={} if options is None else {_ID: options},
        clients={client.client_id: client for client in clients},
        clients_by_key={client.key: client for client in clients},
    )
    return replace(tenant, users=users)
