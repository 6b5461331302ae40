"""Runs `licet usage export`: writes grants, endings and denials for tools that read RLM's report log."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from licet.cli.errors import Refused
from licet.cli.look.spans import DaysOfSums, From, Until
from licet.cli.look.usage_reports import read_span
from licet.cli.options import Data, TenantName
from licet.cli.output import note
from licet.formats import counted
from licet.model import Tenant
from licet.reports.forms import LogFormat
from licet.reports.spans import USUAL_OF_SUMS

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from licet.reports.export.exported import Export


def export(
    *,
    form: Annotated[
        LogFormat, typer.Option("--format", help="RLM's detailed report log, CSV, or JSON.")
    ] = LogFormat.RLM,
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="FILE", help="The file to write; - is standard output.")
    ] = "-",
    days: DaysOfSums = None,
    from_: From = None,
    until: Until = None,
    tenant: TenantName = None,
    data: Data = None,
) -> None:
    """Write who got a seat, freed it or was denied, for tools that read RLM's report log.

    OUT is a session, IN its end, DENY a denial; the last DENY of a true denial has last_attempt 1. Times are
    in UTC.

    Example: [bold]licet usage export --format rlm --output june.log --from 2026-06-01 --until 2026-06-30[/]
    """
    from licet.reports.export.exported import exported
    from licet.reports.export.written import write_log
    from licet.reports.what_if.visits import TooManyVisits

    def read(connection: "Connection", chosen: Tenant, from_ms: int, until_ms: int, now_ms: int) -> "Export":
        return exported(connection, chosen, from_ms, until_ms, now_ms=now_ms)

    try:
        found = read_span(data, tenant, (days, from_, until), USUAL_OF_SUMS, read)
    except TooManyVisits:
        raise Refused("there are more sessions in this span than one export has; say a shorter one") from None
    text = write_log(found, form)
    if output == "-":
        sys.stdout.write(text)
        return
    try:
        Path(output).write_text(text, encoding="utf-8", newline="")
    except OSError as fault:
        raise Refused(f"{output} cannot be written ({fault.strerror})") from None
    note(f"{counted(text.count(chr(10)), 'line')} written to {output}")
