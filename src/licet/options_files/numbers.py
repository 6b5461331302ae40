"""Finds what becomes of the times and numbers of an options file: `session_ttl`, `hold` and `overdraft`.

A tenant has one `session_ttl` for all its pools. So a time-out is kept if one line sets it for all, or if
lines set the same for every pool; where lines differ, none of them is kept.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple

from licet.formats import duration
from licet.model import HOLD_S_MAX, SEATS_MAX, TTL_S_MAX, Tenant
from licet.options_files.outcomes import Fates
from licet.options_files.statements import Amount

_MOST: Final = {Amount.TIMEOUT: TTL_S_MAX, Amount.LINGER: HOLD_S_MAX, Amount.OVERDRAFT: SEATS_MAX}


class Setting(NamedTuple):
    """A number for these pools; `number` is that of its line."""

    number: int
    what: Amount
    pools: tuple[str, ...]
    is_for_all: bool
    amount: int


class Numbers:
    """The numbers that a file sets."""

    def __init__(self, fates: Fates, tenant: Tenant) -> None:
        self._fates = fates
        self._tenant = tenant
        self._settings: list[Setting] = []

    def add(self, setting: Setting) -> None:
        """One more number."""
        self._settings.append(setting)

    def check(self, *, last_counts: bool) -> None:
        """Find those that cannot be kept. With `last_counts`, TIMEOUTALL replaces each TIMEOUT before it."""
        for setting in self._settings:
            most, least = _MOST[setting.what], int(setting.what is Amount.TIMEOUT)
            if not least <= setting.amount <= most:
                bounds = (
                    f"{least} to {most}" if setting.what is Amount.OVERDRAFT else f"at most {duration(most)}"
                )
                whose = "the tenant" if setting.what is Amount.TIMEOUT else "a pool"
                self._fates.left_out(setting.number, f"{setting.what} of {whose} is {bounds}")
        self._check_twice()
        self._check_timeouts(last_counts=last_counts)

    def session_ttl_s(self) -> int | None:
        """The time-out, if a line sets one that can be kept."""
        return next((it.amount for it in self._standing(Amount.TIMEOUT)), None)

    def of(self, pool: str, what: Amount) -> int | None:
        """A number of a pool, if a line sets it."""
        return next((it.amount for it in self._standing(what) if pool in it.pools), None)

    def _standing(self, what: Amount) -> list[Setting]:
        return [it for it in self._settings if it.what is what and self._fates.stands(it.number)]

    def _check_twice(self) -> None:
        first: dict[tuple[Amount, str], Setting] = {}
        for setting in self._settings:
            if not self._fates.stands(setting.number):
                continue
            keys: Iterable[str] = ("*",) if setting.is_for_all else setting.pools
            for pool in keys:
                before = first.setdefault((setting.what, pool), setting)
                if before.amount != setting.amount:
                    of = "all features" if setting.is_for_all else f"pool {pool}"
                    self._fates.disagree(before.number, setting.number, of)

    def _check_timeouts(self, *, last_counts: bool) -> None:
        found = self._standing(Amount.TIMEOUT)
        general = next((it for it in found if it.is_for_all), None)
        if general is not None:
            self._fit_to(general, found, last_counts=last_counts)
        else:
            self._must_be_one(found)
        for setting in self._standing(Amount.TIMEOUT):
            if setting.amount < self._tenant.access_ttl_s:
                lives = duration(self._tenant.access_ttl_s)
                why = f"an access token lives {lives}, and a session as long at least; set access_ttl first"
                self._fates.left_out(setting.number, why)

    def _fit_to(self, general: Setting, found: Iterable[Setting], *, last_counts: bool) -> None:
        where = self._fates.where(general.number)
        for setting in found:
            if setting.amount == general.amount:
                continue
            if last_counts and setting.number < general.number:
                self._fates.left_out(setting.number, f"{where} takes its place")
            else:
                why = f"session_ttl is one for all pools of a tenant, and {where} sets another"
                self._fates.left_out(setting.number, why)

    def _must_be_one(self, found: list[Setting]) -> None:
        others = {it.amount: it.number for it in reversed(found)}
        rest = sorted(
            {pool.name for pool in self._tenant.pools.values()} - {it for one in found for it in one.pools}
        )
        for setting in found:
            other = next((number for amount, number in others.items() if amount != setting.amount), None)
            if other is not None:
                where = self._fates.where(other)
                why = f"session_ttl is one for all pools of a tenant, and {where} sets another"
                self._fates.left_out(setting.number, why)
            elif rest:
                why = f"session_ttl is one for all pools of a tenant, and no line sets it for pool {rest[0]}"
                self._fates.left_out(setting.number, why)
