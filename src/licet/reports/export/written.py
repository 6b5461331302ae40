"""Writes an export in one of its formats: RLM's detailed report log, CSV or JSON."""

import csv
import json
from io import StringIO

from licet.formats import csv_cell
from licet.reports.export import report_log
from licet.reports.export.exported import Export
from licet.reports.forms import LogFormat


def write_log(found: Export, form: LogFormat) -> str:
    """All of it, in this format, with a line end behind it."""
    if form is LogFormat.RLM:
        lines = report_log.rlm(found.tenant, found.pools, found.log, found.from_ms, found.until_ms)
        return "".join(f"{line}\n" for line in lines)
    rows = report_log.rows(found.log)
    if form is LogFormat.JSON:
        records = [dict(zip(report_log.COLUMNS, row, strict=True)) for row in rows]
        return json.dumps(records, indent=2, ensure_ascii=False) + "\n"
    cells = ([csv_cell(value) for value in row] for row in rows)
    file = StringIO(newline="")
    csv.writer(file, lineterminator="\n").writerows([report_log.COLUMNS, *cells])
    return file.getvalue()
