"""Defines the kinds of findings of the checks, and keeps the first ones of each kind."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Literal

import msgspec

from chaos.history import AnyRecord, line_of

FindingKind = Literal[
    "over_issued",  # more holders than seats, for certain
    "over_limit",  # more seats than an option allows, or a seat of a client that it excludes
    "overtaken",  # a client got a seat although others were before it in line
    "lost_place",  # a place in line was lost, or moved back
    "stale_place",  # a place in line that no client can have, or no place though the line was not full
    "ghost_seat",  # a live session that no client can know of
    "unanswered_wait",  # a request that waited in line was not answered, though nothing was broken
    "lost_grant",  # a session that must live does not
    "undone_logoff",  # a session that is over still lives
    "lost_refresh",  # a refresh of a session that must live was refused, or asked for a seat
    "doubled",  # one seat was given back twice, or a refresh created another session
    "unexplained_denial",  # a denial although a seat must have been free
    "unexplained_refusal",  # an error without a cause
    "false_token",  # a JWT has another client, scope, pool or seat than was decided, or lives longer
    "early_number",  # the number of a seat was given again before it was free
    "two_holders",  # a guard let in two holders of one number at the same time
    "refused_live",  # a guard refused a token of a session that must live
    "used_twice",  # one assertion authenticated two requests
    "tables",  # the tables contradict each other, or the answers
    "neglected",  # no node leads, or what has expired is still there, or the journal is not folded
    "slow_failover",  # no grant within ten seconds of a promotion
    "slow_seat",  # the seat of a client that died was free too late, or too early
]
KINDS: tuple[FindingKind, ...] = FindingKind.__args__  # type: ignore[attr-defined]
KEPT_MAX = 20  # of each kind; the others are counted


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """A contradiction, the records that show it, and what else was known of that time."""

    kind: FindingKind
    text: str
    records: tuple[AnyRecord, ...] = ()
    known: tuple[str, ...] = ()

    def in_full(self) -> str:
        """The finding as printed, with its records."""
        records = (f"    {line_of(record)}" for record in self.records)
        return "\n".join((f"{self.kind}: {self.text}", *records, *(f"    {line}" for line in self.known)))


class Findings:
    """The number of findings of each kind, and the first ones of each.

    `checked` counts the cases that were tight enough to become a finding if Licet had decided otherwise. So a
    history that is too vague to show a defect can be told from a good one.
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
        """Add a finding; `known` returns what else was known of that time."""
        self.count[kind] += 1
        if self.count[kind] <= KEPT_MAX:
            self.first.append(Finding(kind=kind, text=text, records=records, known=tuple(known())))
