"""Counts the sessions that end with a change of the set-up, so that a person can confirm that first.

    tried = attempt(change_it, do, agrees=lambda ending: ending.sessions_ended <= 4)

The rules:

- A change is made in its transaction, which shows what ends with it. When that was not confirmed, all of it
  is rolled back. The command line, the dashboard and the admin API use this, so that they count in the same
  way.
- A session ends at once, or it is cut short: it ends later, but sooner than it would have.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any, Protocol, TypeVar

from licet.model import Client, Value

CLIENTS_MAX = 20  # that are named; a guess: for more there is the list of sessions


class ClientSessions(Value, frozen=True, kw_only=True):
    """How many sessions of a client end, or are cut short."""

    tenant: str
    client_id: str
    user: str
    sessions: int


class Consequences(Value, frozen=True, kw_only=True):
    """What a change does to sessions; `clients` have most of them first, and `clients_more` are not named."""

    sessions_ended: int = 0
    sessions_cut_short: int = 0
    clients: tuple[ClientSessions, ...] = ()
    clients_more: int = 0

    @property
    def are_any(self) -> bool:
        """Whether any session ends, at once or sooner than it would have."""
        return self.sessions_ended + self.sessions_cut_short > 0


def is_within(ending: Consequences, agreed: Consequences) -> bool:
    """Whether no more ends than was confirmed."""
    return (
        ending.sessions_ended <= agreed.sessions_ended
        and ending.sessions_ended + ending.sessions_cut_short
        <= agreed.sessions_ended + agreed.sessions_cut_short
    )


def client_names(clients: Iterable[Client]) -> dict[int, tuple[str, str]]:
    """Id and user of these clients, by key."""
    return {client.key: (client.client_id, client.user.initials) for client in clients}


class Tally:
    """Counts what a change does to sessions, while it is made."""

    def __init__(self) -> None:
        self.sessions_ended = 0
        self.sessions_cut_short = 0
        self._clients: Counter[tuple[str, str, str]] = Counter()

    def end(self, tenant: str, clients: Mapping[tuple[str, str], int]) -> None:
        """So many sessions of these clients of a tenant, by id and user, end at once."""
        self.sessions_ended += sum(clients.values())
        self._count(tenant, clients)

    def cut_short(self, tenant: str, clients: Mapping[tuple[str, str], int]) -> None:
        """So many sessions of these clients end sooner than they would have."""
        self.sessions_cut_short += sum(clients.values())
        self._count(tenant, clients)

    def _count(self, tenant: str, clients: Mapping[tuple[str, str], int]) -> None:
        for (client_id, user), sessions in clients.items():
            self._clients[tenant, client_id, user] += sessions

    def total(self) -> Consequences:
        """The consequences counted so far."""
        ordered = sorted(self._clients.items(), key=lambda counted: (-counted[1], counted[0]))
        return Consequences(
            sessions_ended=self.sessions_ended,
            sessions_cut_short=self.sessions_cut_short,
            clients=tuple(
                ClientSessions(tenant=tenant, client_id=client_id, user=user, sessions=sessions)
                for (tenant, client_id, user), sessions in ordered[:CLIENTS_MAX]
            ),
            clients_more=max(0, len(ordered) - CLIENTS_MAX),
        )


class Attempt(Value, frozen=True, kw_only=True):
    """The result of an attempt: whether the change is made, and what ends, or would end, with it."""

    is_made: bool
    ending: Consequences


class Change(Protocol):
    """A change in its transaction: its effect on sessions, and its last checks."""

    tally: Tally

    def finish(self) -> None:
        """Make the checks that are possible only at the end."""


AChange = TypeVar("AChange", bound=Change)


class _TakenBack(Exception):
    """Rolls the transaction back."""


def attempt(
    change_it: Callable[[Callable[[AChange], None]], object],
    do: Callable[[AChange], Any],
    *,
    agrees: Callable[[Consequences], bool],
) -> Attempt:
    """Make a change if its consequences are confirmed; otherwise nothing is changed.

    `change_it` gets what to do, and does it in one transaction.
    Raises SetupError, InvalidValue, StoreUnavailable, also for a refusal that comes only at the end.
    """
    ending = Consequences()

    def work(change: AChange) -> None:
        nonlocal ending
        do(change)
        ending = change.tally.total()
        if not agrees(ending):
            change.finish()  # So that its refusals are raised now.
            raise _TakenBack

    with suppress(_TakenBack):
        change_it(work)
        return Attempt(is_made=True, ending=ending)
    return Attempt(is_made=False, ending=ending)
