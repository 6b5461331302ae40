"""Plays working days of many clients into a store, with each command at its time of day.

Each client comes twice a day, stays for some hours, and renews in time; some log off, others let their
sessions expire. A client that is denied tries again several times. The same seed gives the same days.
"""

from heapq import heappop, heappush
from itertools import count
from random import Random

from licet.lanes.commit import apply_all
from licet.ledger.commands import Command, Denied, Outcome
from licet.store.contract import Transaction
from support.examples import end, grant, refresh
from support.store.report_site import DAY_MS, HOUR_MS, MINUTE_S, Site

_MINUTE_MS = MINUTE_S * 1000
_RENEW_MS = 17 * _MINUTE_MS
_TRIES_MAX = 6
_BEGINS_H = (9, 13)


class WorkingDays:
    """Plays days into the store of a site, from its current time on."""

    def __init__(self, site: Site, *, clients: int, days: int, seed: int = 51) -> None:
        self._site = site
        self._dice = Random(seed)  # noqa: S311 - no secret
        self._numbers = count(1)
        self._queue: list[tuple[int, int, str, int, int, int]] = []  # when, order, what, whose, which, until
        self._order = count()
        begin_ms = site.now_ms
        for day in range(days):
            for key in range(1, clients + 1):
                for hour in _BEGINS_H:
                    at_ms = begin_ms + day * DAY_MS + round(self._dice.gauss(hour, 0.8) * HOUR_MS)
                    self._put(max(begin_ms, at_ms), "ask", key, 0, 0)

    def play(self) -> None:
        """Play all days, with one transaction for each hour."""
        while self._queue:
            hour = self._queue[0][0] // HOUR_MS + 1
            with self._site.store.transaction() as transaction:
                while self._queue and self._queue[0][0] < hour * HOUR_MS:
                    at_ms, _, what, key, number, until_ms = heappop(self._queue)
                    transaction.now_ms = at_ms
                    self._do(transaction, what, key, number, until_ms)
            self._site.clock.advance(seconds=(hour * HOUR_MS - self._site.now_ms) / 1000)

    def _put(self, at_ms: int, what: str, key: int, number: int, until_ms: int) -> None:
        heappush(self._queue, (at_ms, next(self._order), what, key, number, until_ms))

    def _do(self, transaction: Transaction, what: str, key: int, number: int, until_ms: int) -> None:
        now_ms = transaction.now_ms
        if what == "ask":
            self._ask(transaction, key, number)
        elif what == "end":
            _apply(transaction, end(number))
        else:
            _apply(transaction, refresh(key, number))
            self._stay(now_ms, key, number, until_ms)

    def _ask(self, transaction: Transaction, key: int, tries: int) -> None:
        now_ms, number = transaction.now_ms, next(self._numbers)
        if isinstance(_apply(transaction, grant(key, number)), Denied):
            if tries < self._dice.randint(1, _TRIES_MAX):
                self._put(now_ms + self._dice.randint(60_000, 300_000), "ask", key, tries + 1, 0)
            return
        self._stay(now_ms, key, number, now_ms + round(self._dice.uniform(0.3, 3.2) * HOUR_MS))

    def _stay(self, now_ms: int, key: int, number: int, until_ms: int) -> None:
        """Renew, or end the session; each third client never logs off."""
        if now_ms + _RENEW_MS < until_ms:
            self._put(now_ms + _RENEW_MS, "renew", key, number, until_ms)
        elif key % 3:
            self._put(max(until_ms, now_ms + 1), "end", key, number, 0)


def _apply(transaction: Transaction, command: Command) -> Outcome:
    return apply_all(transaction, [command])[0]
