"""Sums up what became of those who wanted a seat: served after a wait, or turned away, a true denial.

What a want is, and when it is served, is in `licet.journal.wants`.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from statistics import median_low

from licet.journal.wants import Want
from licet.model import Value


class TurnedAway(Value, frozen=True, kw_only=True):
    """How often a client wanted a seat and got none, in how many attempts, and when last."""

    client_id: str
    initials: str
    times: int
    attempts: int
    last_at_ms: int


class TrueDenials(Value, frozen=True, kw_only=True):
    """Who wanted a seat of a pool, and what became of it.

    `attempts` are the single denials, of which a client that tries again makes many. `wants` is how many
    times somebody wanted a seat; of these, `served` got one, `turned_away` got none (true denials), and
    `waiting` is still undecided. The waits are those of the served, from the first denial to the grant: half
    of them waited for `wait_median_ms` at most. `clients` are those that were turned away.
    """

    attempts: int
    wants: int
    served: int
    turned_away: int
    waiting: int
    wait_median_ms: int
    wait_longest_ms: int
    clients: tuple[TurnedAway, ...]


def true_denials(wants: Sequence[Want]) -> TrueDenials:
    """The figures of these wants."""
    waits = [want.wait_ms for want in wants if want.wait_ms is not None]
    turned_away = [want for want in wants if want.is_turned_away]
    return TrueDenials(
        attempts=sum(want.attempts for want in wants),
        wants=len(wants),
        served=len(waits),
        turned_away=len(turned_away),
        waiting=sum(not want.is_over for want in wants),
        wait_median_ms=median_low(waits) if waits else 0,
        wait_longest_ms=max(waits, default=0),
        clients=_clients(turned_away),
    )


def _clients(turned_away: Iterable[Want]) -> tuple[TurnedAway, ...]:
    of_client: defaultdict[tuple[str, str], list[Want]] = defaultdict(list)
    for want in turned_away:
        of_client[want.client_id, want.initials].append(want)
    clients = [
        TurnedAway(
            client_id=client_id,
            initials=initials,
            times=len(parts),
            attempts=sum(part.attempts for part in parts),
            last_at_ms=max(part.last_at_ms for part in parts),
        )
        for (client_id, initials), parts in of_client.items()
    ]
    return tuple(sorted(clients, key=lambda it: (-it.times, it.client_id)))
