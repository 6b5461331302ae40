"""A store whose alerts a test evaluates, and the webhook that is to receive them."""

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
    """A site with one webhook, and what it is told."""

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self._denied = count(1)

    def begin(self, *, seats: int = 5, clients: int = 6) -> None:
        """The tenant, and a webhook."""
        super().begin(seats=seats, clients=clients)
        with changing(self.store, ADA) as change:
            change.add(URL, tenant_id=None)

    def told(self, *, seconds: float = 0, is_first: bool = False) -> list[tuple[str, dict[str, Any]]]:
        """What a look tells, after this time: types and data."""
        self.clock.advance(seconds=seconds)
        self.store.probe()  # as a server does all the time: it hears the clock
        before = {row.id for row in self.rows(schema.delivery)}
        look(self.store, is_first=is_first)
        new = [row for row in self.rows(schema.delivery) if row.id not in before]
        payloads = [
            json.loads(row.payload) for row in sorted(new, key=lambda message: message.type, reverse=True)
        ]
        assert all(row.type == json.loads(row.payload)["type"] for row in new)
        return [(it["type"], it["data"]) for it in payloads]

    def take(self, *numbers: int) -> list[Granted]:
        """These clients get a seat each."""
        return [self.grant(f"c{number}") for number in numbers]

    def give_back(self, *granted: Granted) -> None:
        """These sessions end."""
        for grant in granted:
            session = grant.session
            self.commit(End(tenant_id=session.tenant_id, sid=session.sid, reason=EndReason.LOGOFF))

    def hold_on(self, granted: Iterable[Granted], *, seconds: float) -> None:
        """For this time these sessions go on, and nobody looks."""
        for _ in range(2):
            self.clock.advance(seconds=seconds / 2)
            for grant in granted:
                self.refresh(grant)

    def deny(self, times: int, *, reason: str = "all_in_use", at_ms: int | None = None) -> None:
        """So many are denied at this moment, as the journal has it."""
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
        """What is raised now."""
        tenant = self.tenant
        with self.store.reading() as connection:
            return list(raised(connection, [tenant], self.clock.now_ms()))

    def thresholds(self) -> set[str]:
        """The thresholds of it."""
        return {it.threshold for it in self.raised()}


URL = "https://alerts.example.com/licet?token=secret"
