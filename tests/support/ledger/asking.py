"""Makes random books in which some clients have a seat, and random commands for them."""

import random
from collections import Counter
from collections.abc import Sequence

from msgspec.structs import replace

from licet.ledger.book import Book
from licet.ledger.commands import Grant, Outcome, Refresh, UseAssertion
from licet.ledger.holders import holder_of
from licet.ledger.later import holds_until_ms
from licet.ledger.numbers import Numbers
from licet.ledger.rules import apply
from licet.licences.steps import SignedSeats, Step, Terms
from licet.model import Client, Pool, Seat, Session
from licet.store.contract import Store
from licet.store.sqlite.store import SqliteStore
from licet.store.standings import Standings
from licet.units import DAY_MS
from support.examples import BY_USER, FULL, TWINS, client, grant, jim_test, refresh, sid, used, view

TODAY = 19_676
NOW_MS = TODAY * DAY_MS + DAY_MS - 900_000  # a quarter of an hour before midnight
TTL_MS = 1_200_000
MOMENTS = (1, 1000, TTL_MS // 2, TTL_MS, TTL_MS + 1, 2 * TTL_MS, DAY_MS)
TERMS = Terms(
    vendor="Acme",
    product="Plan",
    scopes=frozenset({"all"}),
    duplicates=frozenset({"client", "user"}),
    hold_s=0,
    access_ttl_max_s=300,
)


class Case:
    """A random book in which some clients have a seat, and random commands for it."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)  # noqa: S311 - cases, no secret
        self.tenant = jim_test(pools=(self._pool(),), clients=self._clients())
        self.seats: dict[tuple[int, str], Seat] = {}
        self.sessions: dict[bytes, Session] = {}
        for key in self.tenant.clients_by_key:
            self._add(key)
        self.commands = self._commands()

    def decided(self, now_ms: int, *, behind_ms: int | None = None) -> tuple[Book, Sequence[Outcome]]:
        """The book and the outcomes at this moment; rows of seats may be `behind_ms` behind."""
        rows = {
            key: replace(
                seat, expires_at_ms=seat.expires_at_ms - behind_ms, issued_at_ms=seat.issued_at_ms - behind_ms
            )
            for key, seat in self.seats.items()
            if behind_ms is not None
        }
        book = Book(
            tenants={1: self.tenant},
            in_use={1: len(self.seats)},
            seats=self.seats.values(),
            sessions=self.sessions.values(),
            numbers={1: Numbers(used=9, from_ms=0, free=())},
            live_sessions=Counter(session.client_key for session in self.sessions.values()),
            rows=rows,
            rows_lag=behind_ms is not None,
        )
        return book, [apply(book, command, now_ms) for command in self.commands]

    def until(self, book: Book) -> int | None:
        """Until when the decision of now stays the same."""
        asked = sum(not isinstance(it, UseAssertion) for it in self.commands)
        return holds_until_ms(book, asked, NOW_MS, seats=self.seats, sessions=self.sessions)

    def _later(self) -> int:
        return NOW_MS + self.draw.choice(MOMENTS) + self.draw.randint(-1, 1)

    def _pool(self) -> Pool:
        pool: Pool = self.draw.choice([FULL, BY_USER])
        if self.draw.random() < 0.3:
            pool = replace(pool, expires_at_ms=self._later())
        if self.draw.random() < 0.3:
            pool = replace(pool, hold_s=self.draw.choice([600, 3600]))
        if self.draw.random() < 0.3:
            steps = sorted({self._later() for _ in range(2)})
            more = [Step(from_ms=it, seats=self.draw.randint(0, 5), terms=TERMS) for it in steps]
            pool = replace(
                pool, signed=SignedSeats((Step(from_ms=-1), Step(from_ms=0, seats=5, terms=TERMS), *more))
            )
        return pool

    def _clients(self) -> Sequence[Client]:
        until_ms = self.draw.choice([None, None, None, NOW_MS, self._later()])
        return *TWINS, client(4, "Fourth", "FO", suspended_until_ms=until_ms)

    def _add(self, key: int) -> None:
        """Mostly give a client a seat with a session."""
        whose = self.tenant.clients_by_key[key]
        pool = self.tenant.pools[1]
        holder = holder_of(pool, whose, sid(key))
        number = key if pool.signed is not None else 0
        expires_at_ms = max(NOW_MS + 1, self._later())
        if self.draw.random() < 0.9:
            self.seats.setdefault(
                (1, holder),
                Seat(
                    pool_id=1,
                    holder=holder,
                    tenant_id=1,
                    client_id=whose.client_id,
                    initials=self.draw.choice([whose.user.initials] * 9 + ["XY"]),
                    taken_at_ms=NOW_MS - 5000,
                    expires_at_ms=expires_at_ms,
                    issued_at_ms=NOW_MS - self.draw.choice([0, 3000]),
                    sources=self.draw.choice(["", f"{TODAY}/0 192.0.2.1", f"{TODAY - 1}/0 192.0.2.9"]),
                    number=number,
                ),
            )
        if (1, holder) in self.seats:
            session = Session(
                sid=sid(key),
                tenant_id=1,
                client_key=key,
                scope="all",
                pool_id=1,
                holder=holder,
                started_at_ms=NOW_MS - self.draw.choice([0, 4000]),
                renewed_at_ms=NOW_MS - self.draw.choice([0, 3000]),
                expires_at_ms=min(self.seats[1, holder].expires_at_ms, expires_at_ms),
                address="192.0.2.1",
            )
            self.sessions[session.sid] = session

    def _commands(self) -> list[Grant | Refresh | UseAssertion]:
        made: list[Grant | Refresh | UseAssertion] = []
        for at in range(self.draw.randint(1, 3)):
            key = self.draw.randint(1, 4)
            kind = self.draw.random()
            if kind < 0.5:
                made.append(grant(key, 100 + at))
            elif kind < 0.6:
                made.append(view(key, 100 + at))
            elif kind < 0.95:
                made.append(refresh(key, self.draw.choice([key] * 9 + [5])))
            else:
                made.append(refresh(key, 100))
            if self.draw.random() < 0.3:
                made[-1] = replace(made[-1], assertion=used(made[-1].client_key, self.draw.randint(1, 8)))
            elif self.draw.random() < 0.1:
                made.append(used(key, self.draw.randint(1, 8)))
        return made


def without_standings(store: Store) -> Store:
    """The same store, which decides everything on a book."""
    assert isinstance(store, SqliteStore)
    store._memory._standings = Standings(most=0)
    return store
