"""Runs the ledger for signed pools without a store, and checks its writes as strictly as tables do."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from licet.ledger.book import Book, SeatKey, Writes
from licet.ledger.numbers import Numbers
from licet.licences.licence import SignedLicence
from licet.licences.steps import signed_seats
from licet.model import Pool, Seat, Tenant
from support.examples import FULL, jim_test
from support.ledger.memory_ledger import MemoryLedger
from support.licences.licences import licence

START_S = 1_700_000_000  # of the clock of a ledger


def signed(licences: Sequence[SignedLicence], pool: Pool = FULL, *, seats: int | None = None) -> Pool:
    """A pool with the seats of these licences; its administrator set this number of seats, or none."""
    return replace(pool, seats=seats, signed=signed_seats(licences, pool.name))


def given(
    name: str = "A", serial: int = 1, *, from_s: int = 0, to_s: int | None = None, **more: Any
) -> SignedLicence:
    """A licence that begins and ends this many seconds after the start of a ledger's clock."""
    ends_s = None if to_s is None else START_S + to_s
    return licence(name, serial, begins_s=START_S + from_s, ends_s=ends_s, **more)


class Kept:
    """The rows of seats and numbers. Adding an existing row, or changing a missing one, is an error."""

    def __init__(self) -> None:
        self.seats: dict[SeatKey, Seat] = {}
        self.free: dict[tuple[int, int], int] = {}
        self.used: Counter[int] = Counter()

    def write(self, writes: Writes) -> None:
        """Remove rows, then add them, then change them, as a store does."""
        for key in writes.seats_gone:
            del self.seats[key]
        for key, seat in writes.seats_new.items():
            taken = {it.number for it in self.seats.values() if it.pool_id == seat.pool_id}
            assert key not in self.seats
            assert seat.number not in taken or not seat.number, "the number is unique"
            self.seats[key] = seat
        for key, seat in writes.seats_kept.items():
            assert self.seats[key].number == seat.number
            self.seats[key] = seat
        for number in writes.numbers_gone:
            del self.free[number]
        for number, from_ms in writes.numbers_new.items():
            assert number not in self.free
            self.free[number] = from_ms
        self.used.update(writes.numbers_used)


class SignedLedger(MemoryLedger):
    """A ledger whose next book has the numbers that the last one wrote to the tables."""

    def __init__(self, *tenants: Tenant) -> None:
        self.kept = Kept()
        self.from_ms = 0
        super().__init__(*tenants)

    @classmethod
    def of(cls, *licences: SignedLicence, pool: Pool = FULL, seats: int | None = None) -> "SignedLedger":
        """A ledger with a pool that has these licences."""
        return cls(jim_test(pools=(signed(licences, pool, seats=seats),)))

    def open(self) -> Book:
        """Write the changes of the last book, and open the next one."""
        self.kept.write(Writes(self.book.changes))
        assert self.kept.seats == self.book.seats
        numbers = {
            pool.id: Numbers(
                used=self.kept.used[pool.id],
                from_ms=self.from_ms,
                free=[(key[1], it) for key, it in self.kept.free.items() if key[0] == pool.id],
            )
            for tenant in self.tenants.values()
            for pool in tenant.pools.values()
            if pool.signed is not None
        }
        self.book.numbers = numbers  # those that the next book is opened with
        return super().open()

    @property
    def held(self) -> dict[str, int]:
        """The holders of the numbers now."""
        return {seat.holder.partition(":")[2]: seat.number for seat in self.open().seats.values()}
