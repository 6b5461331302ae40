"""Runs the ledger without a store: on a book that has all rows, with a clock that a test moves."""

from collections import Counter

from msgspec.structs import replace

from licet.clock import ManualClock
from licet.ledger.book import Book
from licet.ledger.commands import Command, Denied, Granted, Outcome
from licet.ledger.rules import apply, free_expired
from licet.model import Client, Tenant
from support.examples import CLIENTS, grant, jim_test

SESSION_MS = 1_200_000
ACCESS_MS = 600_000


def limited(sessions_max: int, *, others: int = 2) -> tuple[Client, ...]:
    """The first client with a limit of sessions, and some others."""
    return (replace(CLIENTS[0], sessions_max=sessions_max), *CLIENTS[1 : 1 + others])


class MemoryLedger:
    """The ledger on a clock and a book with all rows, which is opened again for each batch."""

    def __init__(self, *tenants: Tenant) -> None:
        self.clock = ManualClock()
        self.start_ms = self.clock.now_ms()
        self.set_up(*tenants or (jim_test(),))
        pools = [pool for tenant in self.tenants.values() for pool in tenant.pools]
        self.book = Book(tenants=self.tenants, in_use=dict.fromkeys(pools, 0))

    def set_up(self, *tenants: Tenant) -> None:
        """Change the set-up, from the next batch on."""
        self.tenants = {tenant.id: tenant for tenant in tenants}

    def open(self) -> Book:
        """The book as of now."""
        now_ms = self.clock.now_ms()
        sessions = [*self.book.expired.values(), *self.book.sessions.values()]
        alive = [it for it in sessions if it.expires_at_ms > now_ms]
        started = {
            it.client_key: [other.sid for other in alive if other.client_key == it.client_key] for it in alive
        }
        self.book = Book(
            tenants=self.tenants,
            in_use=self.book.in_use,
            seats=self.book.seats.values(),
            sessions=alive,
            expired=[it for it in sessions if it.expires_at_ms <= now_ms],
            live_sessions=Counter(it.client_key for it in alive),
            started=started,
            numbers=self.book.numbers,
        )
        free_expired(self.book, now_ms)
        return self.book

    def batch(self, *commands: Command) -> list[Outcome]:
        """Decide these commands together."""
        self.open()
        return [apply(self.book, command, self.clock.now_ms()) for command in commands]

    def one(self, command: Command) -> Outcome:
        """Decide this command alone."""
        return self.batch(command)[0]

    def granted(self, command: Command) -> Granted:
        """Decide this command alone, which must succeed."""
        outcome = self.one(command)
        assert isinstance(outcome, Granted)
        return outcome

    def wait_ms(self, ms: int) -> None:
        """Let time pass."""
        self.clock.advance(seconds=ms / 1000)

    @property
    def after_ms(self) -> int:
        """The time since the start."""
        return self.clock.now_ms() - self.start_ms

    @property
    def in_use(self) -> int:
        """The seats of the first pool that are in use now."""
        return self.open().in_use[1]

    @property
    def alive(self) -> list[bytes]:
        """The numbers of the live sessions."""
        return sorted(self.open().sessions)

    def seat_until(self, holder: str, pool_id: int = 1) -> int:
        """When a seat expires, in seconds since the start."""
        return self.open().seats[pool_id, holder].expires_at_ms - self.start_ms


def fill(ledger: MemoryLedger, count: int = 5) -> None:
    """Let the clients with the keys 1 to `count` take a seat each, in sessions with the same numbers."""
    for outcome in ledger.batch(*(grant(number, number) for number in range(1, count + 1))):
        assert isinstance(outcome, Granted)


def denied(outcome: Outcome) -> Denied:
    """The outcome, which must be a denial."""
    assert isinstance(outcome, Denied)
    return outcome
