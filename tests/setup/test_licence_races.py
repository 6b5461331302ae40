"""Grants against changes of licences: one before the other, in every store."""

import threading
from collections.abc import Callable, Iterator
from itertools import count
from typing import Self

import pytest

from licet.lanes.commit import commit
from licet.ledger.commands import Denied, End, Ended, Grant, Granted, Refresh, ScopeRefused, SessionUnknown
from licet.model import EndReason, NoSeatReason
from licet.setup.change import changing
from licet.setup.licences import remove
from licet.store import schema
from licet.store.contract import Store
from support.licences.signed_site import licence, put, signed_site
from support.store.hold_site import set_pool
from support.store.kinds import Place
from support.store.setup_site import ADA, JIM, START_MS, Site

CLIENTS = 8
SERIALS = ((5, 1), (1, 0), (0, 1), (3, 2))  # seats and overdraft of each


@pytest.fixture
def site(make_place: Callable[[int], Place]) -> Iterator[Site]:
    """Eight clients, and a pool whose vendor is trusted."""
    with signed_site(make_place(START_MS), seats=None) as made:
        with changing(made.store, ADA) as change:
            tenant = change.tenant(JIM)
            for number in range(4, CLIENTS + 1):
                tenant.add_user(f"U{number}", name=f"User {number}")
                tenant.add_client(f"c{number}", user=f"U{number}")
        yield made


class Asking:
    """A server that grants, refreshes and ends sessions of some clients as fast as it can."""

    def __init__(self, store: Store, first: int) -> None:
        store.refresh_tenants()
        self._store, self._sids = store, count(first)
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.outcomes: list[object] = []
        self.rounds = 0
        self.has_begun = threading.Event()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ends.is_set():
            tenant = self._store.tenant(JIM)
            assert tenant is not None
            [pool] = tenant.pools
            for client in tenant.clients.values():
                sid = next(self._sids).to_bytes(20, "big")
                asked = Grant(
                    tenant_id=tenant.id, client_key=client.key, sid=sid, scope="all", pool_id=pool, address=""
                )
                more = Refresh(tenant_id=tenant.id, client_key=client.key, sid=sid)
                self.outcomes += commit(self._store, [asked])
                self.outcomes += commit(self._store, [more])
                if client.key % 2:
                    end = End(tenant_id=tenant.id, sid=sid, reason=EndReason.LOGOFF)
                    self.outcomes += commit(self._store, [end])
            self.rounds += 1
            self.has_begun.set()


def test_no_seat_is_given_that_is_not_signed_while_licences_change(site: Site) -> None:
    """After each change every number is signed and as many are in use as there is room for; no fault."""
    put(site, licence(seats=4, hold=1))
    with Asking(site.second(), 10_000) as one, Asking(site.second(), 20_000) as other:
        for serial, (seats, overdraft) in enumerate(SERIALS, start=2):
            for asking in (one, other):
                asking.has_begun.clear()
                asking.has_begun.wait()
            put(site, licence(serial=serial, seats=seats, overdraft=overdraft, hold=1))
            must_fit(site, seats + overdraft)
            set_pool(site, overdraft=0)
            must_fit(site, seats + overdraft)
            set_pool(site, overdraft=None)
            site.clock.advance(seconds=2)
        with changing(site.store, ADA) as change:
            remove(change, JIM, "C-1", len(SERIALS) + 1)
        must_fit(site, 0)
    outcomes = [*one.outcomes, *other.outcomes]
    assert {type(it) for it in outcomes} <= {Granted, Denied, Ended, SessionUnknown, ScopeRefused}
    assert any(isinstance(it, Granted) for it in outcomes)
    why = {it.reason for it in outcomes if isinstance(it, Denied)}
    assert why <= {NoSeatReason.ALL_IN_USE, NoSeatReason.LICENCE_EXPIRED}


def must_fit(site: Site, signed: int) -> None:
    """No more is in use than is signed, and no number is beyond it."""
    with site.store.reading() as connection:
        numbers = [row.number for row in connection.execute(schema.seat.select())]
        [pool] = connection.execute(schema.pool.select())
    assert all(1 <= number <= signed for number in numbers)
    assert pool.in_use <= pool.room + pool.overuse
    assert len(numbers) <= signed
