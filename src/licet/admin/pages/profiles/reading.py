"""Reads what a page about one client or user shows: its seats now and then, refusals and changes.

The rules:

- Each part is the newest few, with a link to the list that has all; the seats that were held are in pages.
- How far back the journal is read is bounded (`licet.journal.reach`), and the page says where that cuts it.
- Everything is of one tenant, which the caller has found for the reader.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

from sqlalchemy import Connection

from licet.journal.denials import DenialFilter, DenialRange, denials
from licet.journal.failures import FailureFilter, FailureRange, failures
from licet.journal.history import EventEntry, HistoryFilter, JournalEntry, Kind, history
from licet.journal.holdings import HeldPage, seats_that_were_held
from licet.journal.reach import Reach, reach_of
from licet.model import Client, Tenant
from licet.reports.seats import HolderFilter, SeatPage, SessionPage, seats_held, sessions_without_seat

SEATS_MAX = 20  # that a page shows; the list of seats has all
REFUSED_MAX = 5  # of each kind
HELD_A_PAGE = 10
CHANGES_MAX = 5


class Who(StrEnum):
    """What the page is about."""

    CLIENT = "client"
    USER = "user"


class Profile(NamedTuple):
    """What is known of a client or user; `last_use_ms` is None where no use is known."""

    seats: SeatPage
    without: SessionPage
    denials: Sequence[DenialRange]
    failures: Sequence[FailureRange]
    held: HeldPage
    changes: Sequence[EventEntry]
    last_use_ms: int | None
    reach: Reach

    @property
    def is_known(self) -> bool:
        """Whether the store has anything about it, also where it was removed."""
        has_any = (self.seats.seats, self.denials, self.failures, self.held.held, self.changes)
        return any(has_any) or self.last_use_ms is not None


def profile(
    connection: Connection, tenant: Tenant, who: Who, name: str, *, now_ms: int, after: str | None
) -> Profile:
    """The profile of the client or user of this name. `after` is a cursor of the seats that it held.

    Raises InvalidCursor.
    """
    client, user = (name, "") if who is Who.CLIENT else ("", name)
    reach = reach_of(connection, tenant)
    held_by = HolderFilter(client=client, user=user)
    seats = seats_held(connection, tenant, now_ms, only=held_by, limit=SEATS_MAX)
    without = sessions_without_seat(connection, tenant, now_ms, only=held_by, limit=SEATS_MAX)
    refused = DenialFilter(client=client, user=user, from_ms=reach.denials_ms)
    failed = FailureFilter(client=client, user=user, from_ms=reach.failures_ms)
    began = HistoryFilter(kinds=frozenset({Kind.GRANTED}), client=client, user=user, from_ms=reach.journal_ms)
    changed = HistoryFilter(kinds=frozenset({Kind.EVENT}), client=client, user=user, from_ms=reach.events_ms)
    begun = history(connection, tenant, only=began, limit=1).entries
    changes = history(connection, tenant, only=changed, limit=CHANGES_MAX).entries
    sessions = [session for seat in seats.seats for session in seat.sessions] + [*without.sessions]
    uses = [
        *(entry.last_at_ms for entry in begun if isinstance(entry, JournalEntry)),
        *(it.last_used_at_ms for it in sessions if name == (it.client_id if client else it.initials)),
        *_credentials_used(clients_of(tenant, who, name)),
    ]
    return Profile(
        seats=seats,
        without=without,
        denials=denials(connection, tenant, only=refused, limit=REFUSED_MAX).ranges,
        failures=failures(connection, tenant, only=failed, limit=REFUSED_MAX).ranges,
        held=seats_that_were_held(
            connection,
            tenant,
            client=client,
            user=user,
            from_ms=reach.journal_ms,
            after=after,
            limit=HELD_A_PAGE,
        ),
        changes=[entry for entry in changes if isinstance(entry, EventEntry)],
        last_use_ms=max(uses, default=None),
        reach=reach,
    )


def clients_of(tenant: Tenant, who: Who, name: str) -> list[Client]:
    """The client of this name, or the clients that stand for a user, by client_id."""
    if who is Who.CLIENT:
        return [tenant.clients[name]] if name in tenant.clients else []
    found = (client for client in tenant.clients.values() if client.user.initials == name)
    return sorted(found, key=lambda client: (client.client_id.casefold(), client.client_id))


def _credentials_used(clients: Sequence[Client]) -> list[int]:
    """When each of their secrets and keys was last used."""
    used = [secret.last_used_at_ms for client in clients for secret in client.secrets]
    used += [key.last_used_at_ms for client in clients for key in client.keys]
    return [at_ms for at_ms in used if at_ms is not None]
