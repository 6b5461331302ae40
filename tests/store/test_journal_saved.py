"""What every store writes of what happened: the journal by minute, and how many seats were in use."""

import pytest
from msgspec.structs import replace
from sqlalchemy import update

from licet.ledger.commands import Command, Sweep
from licet.model import EndReason
from licet.store import schema
from licet.store.contract import Store
from licet.units import HOUR_MS, MINUTE_MS
from support.examples import (
    ALL,
    BY_USER,
    CLIENTS,
    EACH,
    REPORT,
    REPORTS,
    SMALL,
    TWINS,
    VIEW,
    bump,
    end,
    grant,
    jim_test,
    refresh,
    view,
)
from support.store.kinds import Place
from support.store.store_site import OTHER, SESSION_MS, START_MS, begin, counts, do, folded, rows


class TestTheJournal:
    """L11: what happened is folded by minute, and every time is counted."""

    def test_a_client_in_a_loop_makes_one_row_a_minute(self, place: Place) -> None:
        """L11. However often it is denied."""
        store = begin(place, jim_test(pools=(SMALL,)))
        do(store, grant(1, 1))
        before = counts(store)
        for attempt in range(50):
            place.clock.advance(seconds=1)
            do(store, *(grant(2, 100 * attempt + number) for number in range(4)))
        assert counts(store) == before | {"denial_entry": 50}
        [denied] = [it for it in folded(store) if it.kind == "denied"]
        assert counts(store) == before | {"journal": before["journal"] + 2, "journal_entry": 0}
        assert denied.times == 200
        assert (denied.reason, denied.pool, denied.client_id, denied.initials) == (
            "all_in_use", "full", "Client1", "C1",
        )  # fmt: skip
        assert (denied.minute, denied.first_at_ms, denied.last_at_ms) == (
            START_MS // MINUTE_MS, START_MS + 1000, START_MS + 50_000,
        )  # fmt: skip
        assert (denied.seats, denied.in_use, denied.address) == (1, 1, "192.0.2.1")

    def test_each_minute_pool_client_and_reason_has_a_row_of_its_own(self, place: Place) -> None:
        """L11."""
        pools = (SMALL, replace(REPORTS, expires_at_ms=START_MS))
        store = begin(place, jim_test(pools=pools, scopes=(VIEW, ALL, REPORT)))
        do(store, grant(1, 1))
        for _ in range(2):
            do(store, grant(2, 2), grant(3, 3), grant(2, 4, scope="report", pool_id=2), grant(2, 5))
            place.clock.advance(seconds=60)
        minute = START_MS // MINUTE_MS
        found = [it for it in folded(store) if it.kind == "denied"]
        assert [(row.minute - minute, row.reason, row.pool, row.client_id, row.times) for row in found] == [
            (at, *rest)
            for at in (0, 1)
            for rest in [
                ("all_in_use", "full", "Client1", 2),
                ("all_in_use", "full", "Client2", 1),
                ("licence_expired", "reports", "Client1", 1),
            ]
        ]

    def test_a_row_shows_the_pool_as_the_last_denial_found_it_and_where_that_came_from(
        self, store: Store
    ) -> None:
        """L11."""
        do(store, *(grant(key, key) for key in range(1, 6)))
        do(store, grant(6, 6))
        with store.transaction() as transaction:
            transaction.connection.execute(update(schema.pool).values(seats=4, overuse=1))
            bump(transaction.connection, 1)
        do(store, end(1), replace(grant(6, 7), address="192.0.2.9"))
        [denied] = [it for it in folded(store) if it.kind == "denied"]
        assert (denied.times, denied.seats, denied.in_use, denied.address) == (2, 4, 4, "192.0.2.9")

    def test_grants_and_endings_are_counted_with_their_reason(self, place: Place) -> None:
        """L11."""
        store = begin(place, jim_test(clients=(replace(CLIENTS[0], sessions_max=2), *CLIENTS[1:])))
        do(store, *(grant(1, number) for number in range(1, 5)), view(2, 5), refresh(2, 5))
        do(store, end(4), end(5, EndReason.REVOKED), end(5, EndReason.REVOKED))
        found = [(row.kind, row.reason, row.pool, row.client_id, row.times) for row in folded(store)]
        assert sorted(found) == [
            ("ended", "logoff", "full", "TestClientId", 1),
            ("ended", "revoked", "", "Client1", 1),
            ("ended", "superseded", "full", "TestClientId", 2),
            ("granted", "", "", "Client1", 1),
            ("granted", "", "full", "TestClientId", 4),
        ]

    def test_an_expiry_is_counted_in_the_minute_in_which_it_fell_and_not_in_that_of_the_sweep(
        self, place: Place, store: Store
    ) -> None:
        """L11, L4."""
        do(store, grant(1, 1))
        place.clock.advance(seconds=5000)
        do(store, Sweep(sessions_max=10))
        [ended] = [it for it in folded(store) if it.kind == "ended"]
        assert (ended.reason, ended.times) == ("expired", 1)
        assert ended.minute * MINUTE_MS == ended.first_at_ms == ended.last_at_ms == START_MS + SESSION_MS

    def test_rows_never_grow_with_the_number_of_tokens(self, place: Place) -> None:
        """L8, L11. A client that asks for a token at every call."""
        store = begin(place, jim_test(clients=(replace(CLIENTS[0], sessions_max=5), *CLIENTS[1:])))
        do(store, *(grant(1, number) for number in range(1, 21)))
        folded(store)
        before = counts(store)
        for number in range(1000, 2000, 25):
            do(store, *(grant(1, it) for it in range(number, number + 25)), refresh(1, number + 24))
            place.clock.advance(seconds=1)
        folded(store)
        assert counts(store) == before
        assert before["session"] == 5
        assert before["seat"] == 1
        assert sum(row.times for row in rows(store, schema.whole_journal, kind="granted")) == 1020
        assert sum(row.times for row in rows(store, schema.whole_journal, reason="superseded")) == 1015


class TestUsage:
    """L11: how many seats were in use, minute by minute, and how long each client held them."""

    def minutes(self, store: Store) -> list[tuple[int, int, int, int]]:
        """Since the start: the minute, the seats, the peak, and those in use at its end."""
        found = rows(store, schema.usage_minute)
        return [(row.minute - START_MS // MINUTE_MS, row.seats, row.peak, row.in_use) for row in found]

    def hours(self, store: Store) -> list[tuple[int, str, int]]:
        """Since the start: the hour, the client, and how long it held seats."""
        found = rows(store, schema.usage_hour)
        return [(row.hour - START_MS // HOUR_MS, row.client_id, row.held_ms) for row in found]

    def test_a_minute_has_the_most_in_use_at_once_and_those_in_use_at_its_end(
        self, place: Place, store: Store
    ) -> None:
        """L11. Within a batch as well, and over several."""
        do(store, grant(1, 1), grant(2, 2), end(1), end(2), grant(3, 3))
        assert self.minutes(store) == [(0, 5, 2, 1)]
        place.clock.advance(seconds=59.999)
        do(store, grant(1, 4), grant(2, 5), end(4))
        do(store, end(3))
        assert self.minutes(store) == [(0, 5, 3, 1)]
        place.clock.advance(seconds=0.001)
        do(store, end(5))
        assert self.minutes(store) == [(0, 5, 3, 1), (1, 5, 1, 0)]

    def test_a_minute_in_which_nothing_changed_has_no_row(self, place: Place, store: Store) -> None:
        """L11. Refreshes, shared seats, views and denials change no use."""
        do(store, *(grant(key, key) for key in range(1, 6)))
        place.clock.advance(seconds=60)
        do(store, refresh(1, 1), grant(1, 6), view(7, 7), grant(6, 8), end(6))
        assert self.minutes(store) == [(0, 5, 5, 5)]

    def test_seats_that_expired_come_back_in_the_minute_of_their_expiry(
        self, place: Place, store: Store
    ) -> None:
        """L4, L11. When that was noticed does not matter."""
        do(store, grant(1, 1))
        place.clock.advance(seconds=100)
        do(store, grant(2, 2))
        place.clock.advance(seconds=4000)
        do(store, grant(3, 3))
        assert self.minutes(store) == [
            (0, 5, 1, 1),
            (1, 5, 2, 2),
            (20, 5, 2, 1),
            (21, 5, 1, 0),
            (68, 5, 1, 1),
        ]
        assert self.hours(store) == [(0, "Client1", SESSION_MS), (0, "TestClientId", SESSION_MS)]

    @pytest.mark.parametrize("noticed_by", ["grant", "sweep", "refresh"])
    def test_a_seat_is_held_until_it_expired_and_not_until_that_was_noticed(
        self, place: Place, store: Store, noticed_by: str
    ) -> None:
        """L4, L11."""
        place.clock.advance(seconds=3000)
        do(store, grant(1, 1))
        place.clock.advance(seconds=600)
        do(store, grant(2, 2))
        for _ in range(10):
            place.clock.advance(seconds=1000)
            do(store, view(3, 3), refresh(3, 3), end(3))
        by: dict[str, Command] = {
            "grant": grant(3, 4),
            "sweep": Sweep(sessions_max=1),
            "refresh": refresh(3, 5),
        }
        if noticed_by == "refresh":
            do(store, grant(3, 5))
        do(store, by[noticed_by])
        assert self.hours(store) == [
            (0, "TestClientId", 600_000),
            (1, "Client1", SESSION_MS),
            (1, "TestClientId", 600_000),
        ]

    def test_a_seat_held_over_several_hours_counts_in_each_of_them_to_the_millisecond(
        self, place: Place, store: Store
    ) -> None:
        """L11."""
        place.clock.advance(seconds=3599.999)
        do(store, grant(1, 1))
        for _ in range(8):
            place.clock.advance(seconds=900)
            do(store, refresh(1, 1))
        place.clock.advance(seconds=0.002)
        assert self.hours(store) == []
        do(store, end(1))
        assert self.hours(store) == [
            (0, "TestClientId", 1),
            (1, "TestClientId", HOUR_MS),
            (2, "TestClientId", HOUR_MS),
            (3, "TestClientId", 1),
        ]

    def test_a_seat_that_is_given_back_at_the_full_hour_counts_nothing_in_the_next(
        self, place: Place, store: Store
    ) -> None:
        """L11."""
        place.clock.advance(seconds=3000)
        do(store, grant(1, 1))
        place.clock.advance(seconds=600)
        do(store, end(1))
        assert self.hours(store) == [(0, "TestClientId", 600_000)]

    def test_a_shared_seat_is_held_once_by_whoever_took_it(self, place: Place) -> None:
        """L2, L11."""
        store = begin(place, jim_test(pools=(BY_USER,), clients=TWINS))
        do(store, grant(1, 1))
        place.clock.advance(seconds=10)
        do(store, grant(2, 2), end(1))
        place.clock.advance(seconds=10)
        do(store, end(2), grant(2, 3))
        place.clock.advance(seconds=5)
        do(store, end(3))
        assert self.hours(store) == [(0, "Desktop", 20_000), (0, "Phone", 5000)]

    def test_several_seats_of_one_client_add_up(self, place: Place) -> None:
        """L11."""
        store = begin(place, jim_test(pools=(EACH,)))
        do(store, grant(1, 1), grant(1, 2))
        place.clock.advance(seconds=10)
        do(store, end(1))
        place.clock.advance(seconds=10)
        do(store, end(2), grant(1, 3), end(3))
        assert self.hours(store) == [(0, "TestClientId", 30_000)]

    def test_pools_of_one_name_in_two_tenants_are_counted_apart(self, place: Place) -> None:
        """L11."""
        store = begin(place, jim_test(), OTHER)
        do(store, grant(1, 1), grant(2, 2), grant(50, 3, pool_id=9, tenant_id=2))
        found = rows(store, schema.usage_minute)
        assert [(row.tenant_id, row.pool, row.seats, row.peak) for row in found] == [
            (1, "full", 5, 2),
            (2, "full", 1, 1),
        ]
