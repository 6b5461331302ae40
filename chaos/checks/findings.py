"""What the checks may find, and how much of it is printed."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Literal

import msgspec

from chaos.history import AnyRecord, line_of

FindingKind = Literal[
    "over_issued",  # more holders than seats, for certain
    "over_limit",  # more seats than an option allows, or one for whom it excludes
    "overtaken",  # a seat went to somebody who was behind others in line
    "lost_place",  # a place in line was lost, or came further back
    "stale_place",  # a place in line that can be nobody's, or none though the line was not full
    "ghost_seat",  # a session that lives, and that was begun for nobody
    "unanswered_wait",  # a request that waited in line was not answered, though nothing was broken
    "lost_grant",  # a session that was answered, and should live, does not
    "undone_logoff",  # a session that is over lives
    "lost_refresh",  # a refresh of a session that must live was refused, or asked for a seat
    "doubled",  # one seat was given back twice, or one refresh made another session
    "unexplained_denial",  # a denial although there must have been a seat
    "unexplained_refusal",  # an error that nothing explains
    "false_token",  # a JWT that says another client, scope, pool or seat than was decided, or lives longer
    "early_number",  # the number of a seat was given before it was free
    "two_holders",  # a guard let two holders of one number in at a time
    "refused_live",  # a guard refused a token that must live
    "tables",  # the tables contradict each other, or what was answered
    "slow_failover",  # no grant within ten seconds of a promotion
    "slow_seat",  # a seat whose client died was free too late, or too early
]
KINDS: tuple[FindingKind, ...] = FindingKind.__args__  # type: ignore[attr-defined]
KEPT_MAX = 20  # of each kind; the others are counted


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """Something that must not be, the records that show it, and what was known of the moment round it."""

    kind: FindingKind
    text: str
    records: tuple[AnyRecord, ...] = ()
    known: tuple[str, ...] = ()

    def in_full(self) -> str:
        """As it is printed."""
        records = (f"    {line_of(record)}" for record in self.records)
        return "\n".join((f"{self.kind}: {self.text}", *records, *(f"    {line}" for line in self.known)))


class Findings:
    """All that was found: the count of each kind, and the first of each; and how much could have been.

    `checked` counts what would have been a finding, had it been otherwise: so a history that leaves too much
    open to show anything can be distinguished from a good one.
    """

    def __init__(self) -> None:
        self.count: Counter[FindingKind] = Counter()
        self.checked: Counter[str] = Counter()
        self.first: list[Finding] = []

    def add(
        self,
        kind: FindingKind,
        text: str,
        *records: AnyRecord,
        known: Callable[[], Sequence[str]] = tuple,
    ) -> None:
        """Keep one; `known` says what was known of the moment round it."""
        self.count[kind] += 1
        if self.count[kind] <= KEPT_MAX:
            self.first.append(Finding(kind=kind, text=text, records=records, known=tuple(known())))
