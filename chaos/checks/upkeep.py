"""Checks that the nodes did their upkeep: clear away what has expired, fold the journal, remove old rows.

What a client sees does not depend on it: an expired session counts as over, and its seat as free, whether the
rows are there or not. So no other check notices that no node leads, and that the tables grow for ever.

The harness looks after the load, again and again until nothing that was due is left, and gives up only long
after upkeep must have been done. So each row that is left in its last look is certainly a defect. A node that
leads for moments only may have done all of it by chance, so there has to be one that stays the leader.
"""

from typing import NamedTuple

from chaos.checks.findings import Findings
from chaos.history import Backlog, Upkeep

LED = "upkeep: nodes that stay the leader"
DAY_S = 24 * 3600


class Due(NamedTuple):
    """What is due in a table: what is said of it when it was done, and when it was not."""

    done: str
    left: str
    since: str


DUE = {
    "session": Due("upkeep: expired sessions cleared away", "expired sessions", "expired"),
    "seat": Due("upkeep: expired seats given back", "expired seats without a live session", "expired"),
    "queue_place": Due("upkeep: lapsed places in line cleared away", "lapsed places in line", "lapsed"),
    "assertion_used": Due("upkeep: used assertions removed", "used assertions that are over", "expired"),
    "authentication_failure": Due(
        "upkeep: rows older than the retention removed", "rows older than the retention", "was written"
    ),
    "journal_entry": Due("upkeep: grants and endings folded", "grants and endings not folded", "happened"),
    "denial_entry": Due("upkeep: denials folded", "denials not folded", "happened"),
}


def check_upkeep(upkeep: Upkeep, findings: Findings) -> None:
    """Report each table in which rows are left, and count what was done in all."""
    left = {backlog.table: backlog for backlog in upkeep.left}
    for first in upkeep.first:
        # More may be left than there were, because the endings of sessions come to the journal meanwhile.
        done = first.done + max(0, first.rows - left[first.table].rows)
        findings.checked[DUE[first.table].done] += done
    findings.checked[LED] += upkeep.is_led
    if not upkeep.is_led:
        findings.add("neglected", f"no node stays the leader, {_after(upkeep)}")
    for backlog in upkeep.left:
        if backlog.rows:
            _report(backlog, upkeep, findings)


def _report(left: Backlog, upkeep: Upkeep, findings: Findings) -> None:
    due = DUE[left.table]
    findings.add(
        "neglected",
        f"{left.rows:,} {due.left} in `{left.table}`, {_after(upkeep)}; the oldest:",
        known=lambda: [
            f"{row.name} of {row.tenant} {due.since} {_span(upkeep.now_ms - row.due_ms)} before"
            for row in left.oldest
        ],
    )


def _after(upkeep: Upkeep) -> str:
    return f"{(upkeep.now_ms - upkeep.due_ms) / 1000:.0f} s after the last row was due"


def _span(span_ms: int) -> str:
    seconds = span_ms / 1000
    return f"{seconds:.1f} s" if seconds < DAY_S else f"{seconds / DAY_S:,.0f} days"
