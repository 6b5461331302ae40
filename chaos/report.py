"""Formats the figures and findings of a run for printing."""

from chaos.checks.checker import Report
from chaos.checks.findings import KINDS
from chaos.checks.holders import DENIALS

_TEXTS = {
    "over_issued": "seats issued twice",
    "over_limit": "seats given against an option",
    "overtaken": "seats given to clients behind others in line",
    "lost_place": "places in line that were lost, or moved back",
    "stale_place": "places in line that no client can have, or no place although there was room",
    "ghost_seat": "seats that no client knows of",
    "unanswered_wait": "requests that waited in line and were not answered",
    "lost_grant": "answered grants lost",
    "undone_logoff": "answered endings undone",
    "lost_refresh": "refreshes refused, or asked for a seat",
    "doubled": "seats given back twice",
    "unexplained_denial": "denials without a reason",
    "unexplained_refusal": "errors without a cause",
    "false_token": "JWTs that do not say what was decided",
    "early_number": "numbers of seats given too early",
    "two_holders": "calls let in beside another holder",
    "refused_live": "live tokens refused by a guard",
    "used_twice": "assertions that were accepted twice",
    "tables": "contradictions in the tables",
    "neglected": "tables in which upkeep left what was due, and stores without a leader",
    "slow_failover": "failovers that took more than ten seconds",
    "slow_seat": "seats that were free too early or too late",
}


def summary(report: Report) -> str:
    """The table at the end of a run, and the first findings."""
    run_plan = report.run_plan
    operations = report.operations.total()
    lines = [
        "",
        f"seed {run_plan.seed}, {run_plan.store}, {run_plan.nodes} nodes",
        f"  operations       {operations:11,}   {_counts(report.operations)}",
        f"  a second         {operations / report.seconds if report.seconds else 0:11,.0f}",
        f"  granted          {report.outcomes['grant granted']:11,}   denied {_denied(report):,}",
        f"  denied as        {_reasons(report)}",
        f"  unanswered       {report.unanswered:11,}   may have been done or not",
        f"  administrators   {report.actions.total():11,}   {_counts(report.actions)}",
        f"  faults           {report.faults.total():11,}   {_counts(report.faults)}",
    ]
    for name, seconds in sorted(report.figures.items()):
        worst = ", ".join(f"{second:.2f}" for second in sorted(seconds))
        lines.append(f"  {name:<27} {worst} s")
    lines.append("checked, among others:")
    lines += [f"  {count:11,}   {what}" for what, count in sorted(report.findings.checked.items())]
    lines.append("found:")
    lines += [f"  {report.findings.count[kind]:11,}   {_TEXTS[kind]}" for kind in KINDS]
    lines += ["", *(finding.in_full() for finding in report.findings.first)]
    return "\n".join(lines)


def _denied(report: Report) -> int:
    return sum(report.outcomes[f"grant {reason}"] for reason in DENIALS)


def _reasons(report: Report) -> str:
    return _counts({it: count for it in DENIALS if (count := report.outcomes[f"grant {it}"])})


def _counts(counter: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in sorted(counter.items()))
