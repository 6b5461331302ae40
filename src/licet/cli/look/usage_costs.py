"""Shows `licet usage --by group` and `--by cost-centre`: who held seats for how long, and what that costs."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from licet.cli.look.usage_reports import read_span, write_csv
from licet.cli.output import Record, say, show_json, show_list
from licet.cli.terminal import plain
from licet.formats import seat_hours
from licet.model import Tenant
from licet.reports.forms import SplitBy
from licet.reports.spans import USUAL_OF_SUMS

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from licet.reports.costs import Costs, PoolCosts

PRICE_MAX = 1e9
_NONE = {"group": "(no group)", "cost-centre": "(no cost centre)"}
_HEADINGS = {
    "name": "",
    "clients": "clients",
    "held": "seat-hours",
    "idle": "of that idle",
    "unused": "and unused",
    "share": "share",
}


def show_costs(
    by: SplitBy,
    price: float | None,
    span: tuple[int | None, str | None, str | None],
    tenant: str | None,
    data: Path | None,
    *,
    csv_file: str | None,
    as_json: bool,
) -> None:
    """Print the costs of a span, or write them as CSV.

    Raises WrongUse, NotFound, Refused, StoreUnavailable.
    """
    from licet.reports.costs import COLUMNS, cents_of, costs, rows

    def read(connection: "Connection", chosen: Tenant, from_ms: int, until_ms: int, now_ms: int) -> "Costs":
        cents = cents_of(price)
        return costs(connection, chosen, by, from_ms, until_ms, cents, now_ms=now_ms)

    found = read_span(data, tenant, span, USUAL_OF_SUMS, read)
    if as_json:
        show_json(plain(found))
    elif csv_file is not None:
        write_csv(csv_file, iter([COLUMNS, *rows(found)]))
    else:
        _print(found)


def _print(found: "Costs") -> None:
    headings = {**_HEADINGS, "name": found.by.value.replace("-", " ")}
    if found.price is not None:
        headings["cost"] = "cost"
    for at, pool in enumerate(found.pools):
        if at:
            say("")
        say(_sentence(pool))
        if pool.parts:
            say("")
            show_list([*_records(pool, _NONE[found.by])], headings, empty="")


def _sentence(pool: "PoolCosts") -> str:
    cost = "" if pool.cost is None else f", which cost {pool.cost:,.2f}"
    return f"{pool.pool}: {seat_hours(pool.held_ms)} of {seat_hours(pool.seats_ms)} seat-hours held{cost}"


def _records(pool: "PoolCosts", none: str) -> Iterator[Record]:
    for part in pool.parts:
        yield {
            "name": part.name or none,
            "clients": part.clients,
            "held": seat_hours(part.held_ms),
            "idle": seat_hours(part.idle_ms),
            "unused": seat_hours(part.unused_ms),
            "share": f"{part.share:.1%}",
            "cost": "" if part.cost is None else f"{part.cost:,.2f}",
        }
