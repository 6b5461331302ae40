"""Chooses an administrator's actions with licences: renewals, upgrades, early ends, gaps, removals.

Each action first reads the licences in the store; `chaos.site.vendor` computes the seats that are signed
after it, which are recorded with it.
"""

import random
import time
from collections.abc import Callable, Iterable

from sqlalchemy import select

from chaos.history import TenantPlan, now_us
from chaos.site.vendor import FOREVER_S, NAME, PRODUCT, Serial, Vendor, first, signed_from
from licet.setup.change import changing
from licet.setup.licences import install, remove
from licet.store import schema
from licet.store.contract import Store

MAIN, OTHER = "L", "E"
NEAR_S = (1, 2, 4, 7)  # until a licence ends
Signed = tuple[tuple[int, int], ...]
Step = tuple[Callable[[], None], Signed]


class Licensing:
    """The licences of all signed tenants. A serial is never used twice."""

    def __init__(self, plans: Iterable[TenantPlan], vendor: Vendor, actor: str, dice: random.Random) -> None:
        self._vendor = vendor
        self._actor = actor
        self._dice = dice
        self._signed = {plan.name: {(MAIN, 1): first(plan)} for plan in plans if plan.signed}

    def step(self, store: Store, plan: TenantPlan) -> Step:
        """A random action, and the seats that are signed after it.

        Raises StoreUnavailable.
        """
        there = self._there(store, plan)
        lot = self._dice.random()
        now_s = int(time.time())
        if lot < 0.2 and there:
            return self._removal(store, plan, there, self._dice.choice(there))
        if lot < 0.35:
            ends_s = self._dice.choice((FOREVER_S, now_s + self._dice.choice(NEAR_S)))
            return self._install(store, plan, there, self._next(plan, OTHER, 1, now_s, ends_s))
        seats = self._dice.choice((plan.signed, plan.signed, plan.signed + 2, max(1, plan.signed - 2)))
        if lot < 0.75:
            return self._install(store, plan, there, self._next(plan, MAIN, seats, now_s, FOREVER_S))
        ends_s = now_s + self._dice.choice(NEAR_S)
        ending = self._next(plan, MAIN, seats, now_s, ends_s)
        again_s = ends_s + self._dice.choice((0, 0, 1, 3))
        renewed = self._next(plan, MAIN, plan.signed, again_s, FOREVER_S)
        return self._install(store, plan, there, ending, renewed)

    def last_steps(self, store: Store, plan: TenantPlan) -> list[Step]:
        """The actions that restore the licences of the beginning."""
        there = self._there(store, plan)
        renewal = self._install(store, plan, there, self._next(plan, MAIN, plan.signed, int(time.time())))
        there = [*there, self._newest(plan, MAIN)]
        others = [it for it in there if it.licence == OTHER]
        return [renewal, *(self._removal(store, plan, there, it) for it in others[-1:])]

    def _install(self, store: Store, plan: TenantPlan, there: list[Serial], *new: Serial) -> Step:
        content = self._vendor.file_of(plan, *new)

        def do_it() -> None:
            with changing(store, self._actor) as change:
                install(change, plan.name, content)

        return do_it, _since([*there, *new])

    def _removal(self, store: Store, plan: TenantPlan, there: list[Serial], gone: Serial) -> Step:
        def do_it() -> None:
            with changing(store, self._actor) as change:
                remove(change, plan.name, gone.licence, gone.serial)

        return do_it, _since(it for it in there if it.licence != gone.licence or it.serial > gone.serial)

    def _next(
        self, plan: TenantPlan, licence: str, seats: int, begins_s: int, ends_s: int = FOREVER_S
    ) -> Serial:
        serial = self._newest(plan, licence).serial + 1
        made = Serial(licence, serial, seats, begins_s, ends_s)
        self._signed[plan.name][licence, serial] = made
        return made

    def _newest(self, plan: TenantPlan, licence: str) -> Serial:
        of_this = [it for it in self._signed[plan.name].values() if it.licence == licence]
        return max(of_this, key=lambda it: it.serial, default=Serial(licence, 0, 0))

    def _there(self, store: Store, plan: TenantPlan) -> list[Serial]:
        """The licences in the store that are not removed."""
        row, tenant = schema.licence.c, schema.tenant.c
        query = (
            select(row.licence, row.serial)
            .join_from(schema.licence, schema.tenant)
            .where(tenant.name == plan.name, row.vendor == NAME, row.product == PRODUCT)
            .where(row.removed_at_ms.is_(None))
            .order_by(row.licence, row.serial)
        )
        with store.reading() as connection:
            return [
                self._signed[plan.name][found.licence, found.serial] for found in connection.execute(query)
            ]


def _since(serials: Iterable[Serial]) -> Signed:
    """The signed seats by these licences: from when, by the clock of the history, and how many."""
    off_us = now_us() - round(time.time() * 1e6)
    return tuple((max(0, second * 1_000_000 + off_us), seats) for second, seats in signed_from([*serials]))
