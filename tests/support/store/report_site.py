"""A store with one tenant at noon, in which a test commits commands, and its reports."""

from datetime import UTC, datetime, tzinfo

from licet.lanes.commit import commit
from licet.ledger.commands import Command
from licet.model import Tenant
from licet.reports.live import PoolNow, SeatsNow, seats, sessions
from licet.reports.usage import PoolUsage, Usage, usage
from support.examples import add_tenant, refresh
from support.store.kinds import Place

MINUTE_S = 60
HOUR_S = 3600
HOUR_MS = HOUR_S * 1000
DAY_MS = 24 * HOUR_MS
NOON_MS = round(datetime(2026, 6, 1, 12, tzinfo=UTC).timestamp()) * 1000


class Site:
    """A store with one tenant, at noon."""

    def __init__(self, place: Place, tenant: Tenant) -> None:
        self.clock = place.clock
        self.store = place.open()
        with self.store.transaction() as transaction:
            add_tenant(transaction.connection, tenant)
        self.store.refresh_tenants()
        self.tenant = tenant

    @property
    def now_ms(self) -> int:
        """The time of the clock."""
        return self.clock.now_ms()

    def do(self, *commands: Command) -> None:
        """Commit these commands together."""
        for outcome in commit(self.store, commands):
            assert not isinstance(outcome, Exception), outcome

    def keep(self, *numbers: int, hours: float) -> None:
        """Let time pass while these sessions are renewed in time; session n is that of client n."""
        for _ in range(round(hours * 4)):
            self.clock.advance(seconds=HOUR_S / 4)
            self.do(*(refresh(number, number) for number in numbers))

    def seats(self) -> SeatsNow:
        """The seats that are in use now, with their holders."""
        with self.store.reading() as connection:
            return seats(connection, self.tenant, self.now_ms)

    def full(self) -> PoolNow:
        """The pool `full` now."""
        return next(pool for pool in self.seats().pools if pool.pool == "full")

    def of_client(self, key: int) -> list[int]:
        """The numbers of a client's live sessions."""
        client_id = self.tenant.clients_by_key[key].client_id
        with self.store.reading() as connection:
            found = sessions(connection, self.tenant, self.now_ms, client=client_id)
        return [int(it.sid, 16) for it in found]

    def usage(self, from_ms: int, until_ms: int, zone: tzinfo = UTC) -> Usage:
        """The usage report of this period."""
        with self.store.reading() as connection:
            return usage(connection, self.tenant, from_ms, until_ms, now_ms=self.now_ms, zone=zone)

    def use_of_full(self, *, hours: float = 24) -> PoolUsage:
        """The usage of the pool `full` in the last hours."""
        report = self.usage(self.now_ms - round(hours * HOUR_MS), self.now_ms)
        return next(pool for pool in report.pools if pool.pool == "full")
