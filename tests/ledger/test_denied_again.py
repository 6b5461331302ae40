"""What a standing denial answers is what the ledger would decide on a book, while the pool is as full."""

import random
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import pytest
from msgspec.structs import replace

from licet.ledger.book import Book, GrantDenied
from licet.ledger.commands import Denied, Grant
from licet.ledger.denied_again import DeniedAgain, FullPool, StandingDenial, full_pool, standing_denial
from licet.ledger.prefetch import EVER_MS
from licet.ledger.rules import apply, free_expired
from licet.licences.steps import SignedSeats, Step
from licet.model import Pool, Scope, Tenant
from licet.options import Share
from support.examples import ALL, BY_USER, EACH, FULL, TWINS, VIEW, client, end, grant, jim_test, sid
from support.ledger.asking import NOW_MS, TERMS, TTL_MS

CASES = 400
FEW_OR_ALL = pytest.mark.parametrize("cases", [CASES // 4, pytest.param(CASES, marks=pytest.mark.wide)])
MOST_MS = NOW_MS + 60 * TTL_MS  # of what stands for ever
SIGNED = SignedSeats((Step(from_ms=-1), Step(from_ms=0, seats=1, terms=TERMS)))


@dataclass
class Case:
    """A random book in which pools are full, or nearly, after these commands."""

    seed: int

    def __post_init__(self) -> None:
        self.draw = random.Random(self.seed)  # noqa: S311 - cases, no secret
        self.tenant = self._tenant()
        self.book = self._decided()

    def _tenant(self) -> Tenant:
        until_ms = self.draw.choice([None, NOW_MS - 1, NOW_MS, NOW_MS + 1500])
        clients = (
            *(replace(it, sessions_max=self.draw.choice([1, 2, 9])) for it in TWINS),
            client(4, "Fourth", "FO", suspended_until_ms=until_ms),
            client(5, "Fifth", "FI", scopes=frozenset({"view", "all"})),
        )
        more = Scope(name="more", licensed=True, read_only=False, pool="full", other_pools=("second",))
        only = Scope(name="only", licensed=True, read_only=True, pool="full")
        return jim_test(
            pools=(self._pool(), Pool(id=2, name="second", seats=1)),
            scopes=(VIEW, ALL, more, only),
            clients=clients,
            licence_required=self.draw.random() < 0.05,
        )

    def _pool(self) -> Pool:
        pool: Pool = self.draw.choice([FULL, FULL, BY_USER, BY_USER, EACH])
        changes: dict[str, Any] = self.draw.choice(
            [
                *[{}] * 6,
                {"hold_s": 600},
                {"expires_at_ms": NOW_MS + self.draw.choice([1, 400, 1000, 5000])},
                {"signed": SIGNED},
                {"max": (Share(who="user:TC", seats=1),)},
                {"queue": 5},
            ]
        )
        return replace(pool, seats=self.draw.choice([0, 1, 1, 2]), **changes)

    def _decided(self) -> Book:
        book = Book(tenants={1: self.tenant}, in_use={1: 0, 2: 0})
        if self.tenant.pools[1].signed is not None:
            return book  # A book without numbers: below, a case of its own.
        at_ms, number = NOW_MS - self.draw.choice([1, 999, 1000, 5000, TTL_MS - 1]), 0
        for _ in range(self.draw.randint(3, 9)):
            number += 1
            if self.draw.random() < 0.1:
                apply(book, end(self.draw.randint(1, number)), at_ms)
                continue
            scope, others = self.draw.choice([("all", ()), ("all", ()), ("only", ()), ("more", (2,))])
            asked = grant(self.draw.randint(1, 5), number, scope=scope, other_pool_ids=others)
            apply(book, replace(asked, queue=self.draw.random() < 0.2), at_ms)
            at_ms = min(NOW_MS, at_ms + self.draw.choice([0, 1, 700]))
        free_expired(book, NOW_MS)
        return book

    @property
    def denied(self) -> list[GrantDenied]:
        """The denials of the book."""
        return [it for it in self.book.changes if isinstance(it, GrantDenied)]

    def full(self) -> list[FullPool]:
        """What of the pools stands."""
        found = [full_pool(self.book, it, NOW_MS) for it in self.denied]
        return [it for it in found if it is not None]

    def standing(self) -> list[StandingDenial]:
        """What of the clients stands."""
        found = [standing_denial(self.book, it) for it in self.denied]
        return [it for it in found if it is not None]


@FEW_OR_ALL
def test_a_standing_denial_is_what_would_be_decided_until_it_ends(cases: int) -> None:
    """L1, L2, L4, L6, L7, L8, L12, L20: nothing is written but the denial, also at the last moment."""
    stood = ended = at_limit = 0
    for seed in range(cases):
        case = Case(seed)
        for full in case.full():
            for kept in case.standing():
                if case.tenant.pools[kept.pool_id].name != full.denied.pool:
                    continue
                end_ms = min(full.until_ms, MOST_MS)
                asked = _asked(kept, queue=case.draw.random() < 0.5)
                assert kept.covers(asked)
                for at_ms in {NOW_MS, case.draw.randrange(NOW_MS, end_ms), end_ms - 1}:
                    then = deepcopy(case.book)
                    before = len(then.changes)
                    outcome = apply(then, asked, at_ms)
                    if case.book.live_sessions[kept.client_key] >= kept.sessions_max:  # L8
                        at_limit += 1
                        continue
                    assert outcome == DeniedAgain(asked, kept, full).answer(at_ms), seed
                    assert isinstance(outcome, Denied)
                    assert then.changes[before:] == [
                        GrantDenied(
                            tenant_id=1,
                            client_key=kept.client_key,
                            pool_id=kept.pool_id,
                            reason=outcome.reason,
                            seats=outcome.seats,
                            in_use=outcome.in_use,
                            at_ms=at_ms,
                            address=asked.address,
                            scope=kept.scope,
                        )
                    ], seed
                    stood += 1
                if full.until_ms < EVER_MS and case.book.live_sessions[kept.client_key] < kept.sessions_max:
                    then = deepcopy(case.book)
                    free_expired(then, full.until_ms)
                    assert apply(then, asked, full.until_ms) != full.denied, seed
                    ended += 1
    assert stood > cases // 2, "most cases say nothing"
    assert ended > cases // 4
    assert at_limit > cases // 20


def _asked(kept: StandingDenial, *, queue: bool) -> Grant:
    """What is asked again, from elsewhere."""
    asked = grant(kept.client_key, 900, scope=kept.scope, pool_id=kept.pool_id, queue=queue)
    return replace(asked, address="192.0.2.99")


@FEW_OR_ALL
def test_nothing_stands_of_a_pool_that_says_more_than_that_it_is_full(cases: int) -> None:
    """L2, L12, L13, L15 to L20: options, a licence, a seat for each session, several pools, a suspension."""
    stood = fell = 0
    for seed in range(cases):
        case = Case(seed)
        pool = case.tenant.pools[1]
        is_plain = not (pool.signed or 1 in case.tenant.options or case.tenant.licence_required)
        for kept in case.standing():
            assert is_plain
            assert pool.duplicates is not EACH.duplicates
            assert kept.scope in {"all", "only"}
            assert kept.key not in case.book.seats
            assert kept.client_key != 5 or kept.scope == "all"
            whose = case.tenant.clients_by_key[kept.client_key]
            assert whose.suspended_at(NOW_MS) is None
            stood += 1
        fell += len(case.denied) - len(case.standing())
    assert stood > cases // 2
    assert fell > cases // 2


def test_nothing_stands_of_a_signed_pool() -> None:
    """L13. Its numbers come back at moments of their own."""
    tenant = jim_test(pools=(replace(FULL, signed=SIGNED),))
    book = Book(tenants={1: tenant}, in_use={1: 1})
    denied = replace(_denied(), scope="all")
    assert standing_denial(book, denied) is None
    assert full_pool(book, denied, NOW_MS) is None


def test_nothing_stands_of_a_pool_in_which_a_seat_came_back_later_in_the_batch() -> None:
    """L4. It was full for a moment."""
    book = Book(tenants={1: jim_test(pools=(replace(FULL, seats=2),))}, in_use={1: 0})
    for asked in (grant(1, 1), grant(3, 2), grant(2, 3)):
        apply(book, asked, NOW_MS)
    [denied] = [it for it in book.changes if isinstance(it, GrantDenied)]
    assert full_pool(book, denied, NOW_MS) is not None
    apply(book, end(1), NOW_MS)
    assert full_pool(book, denied, NOW_MS) is None, "the other seat is in use"
    apply(book, grant(2, 4), NOW_MS)
    assert standing_denial(book, denied) is None, "it has a seat by now"


def test_it_covers_only_what_is_asked_alike() -> None:
    """Another client, tenant, scope or pool is decided on a book; another address is not."""
    book = Book(tenants={1: jim_test(pools=(replace(FULL, seats=1),))}, in_use={1: 1})
    kept = standing_denial(book, _denied())
    assert kept is not None
    asked = grant(2, 900)
    for changes in ({"sid": sid(901)}, {"address": "192.0.2.2"}, {"queue": True}):
        assert kept.covers(replace(asked, **changes)), changes
    for others in (
        {"client_key": 3},
        {"tenant_id": 2},
        {"scope": "view"},
        {"scope": "all view"},
        {"pool_id": 2},
        {"pool_id": None},
        {"other_pool_ids": (2,)},
    ):
        assert not kept.covers(replace(asked, **others)), others


def test_a_client_that_may_not_have_the_scope_by_now_is_kept_nothing_of() -> None:
    """L1."""
    scopes = frozenset({"view"})
    clients = (client(1, "One", "ON"), client(2, "Two", "TW", scopes=scopes))
    tenant = jim_test(pools=(replace(FULL, seats=1),), clients=clients)
    book = Book(tenants={1: tenant}, in_use={1: 1})
    assert standing_denial(book, _denied()) is None


def _denied() -> GrantDenied:
    """The second client was denied a seat of a pool with one, which somebody has."""
    book = Book(tenants={1: jim_test(pools=(replace(FULL, seats=1),))}, in_use={1: 1})
    apply(book, grant(2, 2), NOW_MS)
    [denied] = book.changes
    assert isinstance(denied, GrantDenied)
    return denied
