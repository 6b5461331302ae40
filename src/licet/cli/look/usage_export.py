"""Runs `licet usage export`: writes grants, endings and denials for tools that read RLM's report log."""

import sys
from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from licet.cli.errors import Refused
from licet.cli.look.spans import Days, From, Until
from licet.cli.look.usage_reports import DAYS, read_span, write_csv
from licet.cli.options import Data, TenantName
from licet.cli.output import note, show_json
from licet.formats import counted
from licet.model import Tenant

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from licet.reports.exported import Export


class ExportFormat(StrEnum):
    """The format of an export."""

    RLM = "rlm"
    CSV = "csv"
    JSON = "json"


def export(
    *,
    form: Annotated[
        ExportFormat, typer.Option("--format", help="RLM's detailed report log, CSV, or JSON.")
    ] = ExportFormat.RLM,
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="FILE", help="Where to; - is the output.")
    ] = "-",
    days: Days = None,
    from_: From = None,
    until: Until = None,
    tenant: TenantName = None,
    data: Data = None,
) -> None:
    """Write who got a seat, gave it back or was denied, for tools that read RLM's report log.

    OUT is a session, IN its end, DENY a denial, of which the last one of a true denial has last_attempt 1.
    Times are in UTC. Without a span it is that of the last 31 days.

    Example: [bold]licet usage export --format rlm --output june.log --from 2026-06-01 --until 2026-07-01[/]
    """
    from licet.reports import report_log
    from licet.reports.exported import exported
    from licet.reports.what_if.visits import TooManyVisits

    def read(connection: "Connection", chosen: Tenant, from_ms: int, until_ms: int, now_ms: int) -> "Export":
        return exported(connection, chosen, from_ms, until_ms, now_ms=now_ms)

    try:
        found = read_span(data, tenant, (days or (None if from_ else DAYS), from_, until), read)
    except TooManyVisits:
        raise Refused("there are more sessions in this span than one export has; say a shorter one") from None
    rows = report_log.rows(found.log)
    if form is ExportFormat.CSV:
        write_csv(output, _with_names(rows))
    elif form is ExportFormat.JSON:
        _write(output, "", lines=[dict(zip(report_log.COLUMNS, row, strict=True)) for row in rows])
    else:
        lines = report_log.rlm(found.tenant, found.pools, found.log, found.from_ms, found.until_ms)
        _write(output, "".join(f"{line}\n" for line in lines))


def _with_names(rows: Iterator[Sequence[object]]) -> Iterator[Sequence[object]]:
    from licet.reports.report_log import COLUMNS

    yield COLUMNS
    yield from rows


def _write(output: str, text: str, lines: list[dict[str, object]] | None = None) -> None:
    """Raises Refused."""
    if output == "-" and lines is not None:
        show_json(lines)
        return
    if lines is not None:
        import json

        text = json.dumps(lines, indent=2, ensure_ascii=False) + "\n"
    if output == "-":
        sys.stdout.write(text)
        return
    try:
        Path(output).write_text(text, encoding="utf-8")
    except OSError as fault:
        raise Refused(f"{output} cannot be written ({fault.strerror})") from None
    note(f"{counted(text.count(chr(10)), 'line')} written to {output}")
