"""A store with one webhook, whose alerts a test evaluates."""

import json
from collections.abc import Iterable
from itertools import count
from typing import Any

from licet.alerts.evaluation import look
from licet.alerts.raised import Raised, raised
from licet.alerts.webhooks import changing
from licet.ledger.commands import End, Granted
from licet.model import EndReason
from licet.store import schema
from licet.store.contract import Purpose
from licet.units import MINUTE_MS
from support.store.kinds import Place
from support.store.setup_site import ADA, Site


class Watched(Site):
    """A site with one webhook; a test evaluates its alerts."""

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self._denied = count(1)

    def begin(self, *, seats: int = 5, clients: int = 6) -> None:
        """Begin with the tenant and a webhook."""
        super().begin(seats=seats, clients=clients)
        with changing(self.store, ADA) as change:
            change.add(URL, tenant_id=None)

    def told(self, *, seconds: float = 0, is_first: bool = False) -> list[tuple[str, dict[str, Any]]]:
        """Move the clock, evaluate the alerts, and return types and data of the messages."""
        self.clock.advance(seconds=seconds)
        self.store.probe()  # as a server does all the time; it reads the clock
        before = {row.id for row in self.rows(schema.delivery)}
        look(self.store, is_first=is_first)
        new = [row for row in self.rows(schema.delivery) if row.id not in before]
        payloads = [
            json.loads(row.payload) for row in sorted(new, key=lambda message: message.type, reverse=True)
        ]
        assert all(row.type == json.loads(row.payload)["type"] for row in new)
        return [(it["type"], it["data"]) for it in payloads]

    def take(self, *numbers: int) -> list[Granted]:
        """Grant a seat to each of these clients."""
        return [self.grant(f"c{number}") for number in numbers]

    def give_back(self, *granted: Granted) -> None:
        """End these sessions."""
        for grant in granted:
            session = grant.session
            self.commit(End(tenant_id=session.tenant_id, sid=session.sid, reason=EndReason.LOGOFF))

    def hold_on(self, granted: Iterable[Granted], *, seconds: float) -> None:
        """Keep these sessions alive for this time, without evaluating alerts."""
        for _ in range(2):
            self.clock.advance(seconds=seconds / 2)
            for grant in granted:
                self.refresh(grant)

    def deny(self, times: int, *, reason: str = "all_in_use", at_ms: int | None = None) -> None:
        """Write this many denials into the journal, at this moment."""
        at_ms = self.clock.now_ms() if at_ms is None else at_ms
        row = {
            "tenant_id": self.tenant.id,
            "minute": at_ms // MINUTE_MS,
            "kind": "denied",
            "reason": reason,
            "pool": "full",
            "client_id": f"c{next(self._denied)}",
            "initials": "U6",
            "times": times,
            "first_at_ms": at_ms,
            "last_at_ms": at_ms,
            "seats": 5,
            "in_use": 5,
            "address": "192.0.2.1",
        }
        with self.store.transaction(Purpose.UPKEEP) as transaction:
            transaction.connection.execute(schema.journal.insert().values(row))

    def raised(self) -> list[Raised]:
        """The alerts that are raised now."""
        tenant = self.tenant
        with self.store.reading() as connection:
            return list(raised(connection, [tenant], self.clock.now_ms()))

    def thresholds(self) -> set[str]:
        """The thresholds of the raised alerts."""
        return {it.threshold for it in self.raised()}


URL = "https://alerts.example.com/licet?token=secret"
