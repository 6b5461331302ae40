"""Runs `licet usage true-up` and `licet usage harvest`: use above the seats, and seats held idle."""

import csv
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from licet.cli.errors import Refused
from licet.cli.look.spans import DaysOfSums, From, Until, span_of
from licet.cli.options import AsJson, Data, TenantName, exclusive
from licet.cli.output import Record, note, progress, say, show_json, show_list
from licet.cli.stores import chosen_tenant, opened
from licet.cli.terminal import local, plain, whose
from licet.clock import SystemClock
from licet.formats import counted, csv_cell, duration, instant, seat_hours
from licet.model import Tenant
from licet.reports.spans import USUAL_OF_SUMS, Reach

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from licet.reports.harvest import Harvest, HarvestPool
    from licet.reports.true_up import TrueUp, TrueUpPool
    from licet.reports.what_if.enough import Enough

_UNUSED_SHOWN = 10
_DAY_HEADINGS = {
    "day": "day",
    "seats": "seats",
    "peak": "peak",
    "overdraft": "overdraft",
    "overdraft_hours": "overdraft hours",
    "true_denials": "true denials",
}
_CLIENT_HEADINGS = {
    "user": "user",
    "client": "client",
    "held": "seat-hours",
    "idle": "idle hours",
    "share": "idle",
    "logoffs": "logoffs",
    "expired": "expired",
    "habit": "",
}
CsvFile = Annotated[
    str | None, typer.Option("--csv", metavar="FILE", help="Write the rows as CSV; - is the output.")
]
Found = TypeVar("Found")


def true_up(
    *,
    days: DaysOfSums = None,
    from_: From = None,
    until: Until = None,
    csv_file: CsvFile = None,
    tenant: TenantName = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """What each pool used above its seats, day by day: for a true-up with the vendor.

    Overdraft is the use above the seats that are signed, or set. Overdraft hours add up how long each seat
    above them was in use. True denials are the clients that wanted a seat and got none.

    Example: [bold]licet usage true-up --from 2026-06-01 --until 2026-06-30 --csv june.csv[/]
    """
    from licet.reports.true_up import true_up as read_true_up

    exclusive(("--csv", csv_file is not None), ("--json", as_json))
    found = read_span(
        data,
        tenant,
        (days, from_, until),
        USUAL_OF_SUMS,
        lambda connection, chosen, from_ms, until_ms, now_ms: read_true_up(
            connection, chosen, from_ms, until_ms, now_ms=now_ms, zone=None
        ),
    )
    if as_json:
        show_json(plain(found))
    elif csv_file is not None:
        write_csv(csv_file, _true_up_rows(found))
    else:
        for pool in found.pools:
            say(_true_up_sentence(pool))
            show_list(_true_up_days(pool), _DAY_HEADINGS, empty="")


def _true_up_rows(found: "TrueUp") -> Iterator[Sequence[object]]:
    yield (
        *("tenant", "pool", "from", "until", "seats", "peak"),
        *("overdraft_peak", "overdraft_hours", "true_denials"),
    )
    for pool in found.pools:
        for day in pool.days:
            yield (
                *(found.tenant, pool.pool, instant(day.from_ms), instant(day.until_ms), day.seats, day.peak),
                *(day.overdraft_peak, round(day.overdraft_ms / 3_600_000, 4), day.true_denials),
            )


def _true_up_sentence(pool: "TrueUpPool") -> str:
    what = "signed" if pool.is_signed else "not signed"
    overdraft = (
        f"at most {counted(pool.overdraft_peak, 'seat')} of overdraft at once,"
        f" {seat_hours(pool.overdraft_ms)} overdraft hours"
        if pool.overdraft_peak
        else "no overdraft"
    )
    return f"{pool.pool} ({what}): peak {pool.peak:,}, {overdraft}, {_true(pool.true_denials)}"


def _true(number: int) -> str:
    return counted(number, "true denial")


def _true_up_days(pool: "TrueUpPool") -> Iterator[Record]:
    for day in pool.days:
        yield {
            "day": f"{local(day.from_ms):%Y-%m-%d}",
            "seats": day.seats,
            "peak": day.peak,
            "overdraft": day.overdraft_peak,
            "overdraft_hours": seat_hours(day.overdraft_ms),
            "true_denials": day.true_denials,
        }


def harvest(
    *,
    days: DaysOfSums = None,
    from_: From = None,
    until: Until = None,
    tenant: TenantName = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Which seats could be harvested: held idle, never logged off, or never used.

    A seat is idle from its last use until it is free. A client that never logs off keeps its seat until its
    session expires. Replays of the journal find the fewest seats, and the longest session-ttl, with which
    nobody would have been denied.

    Example: [bold]licet usage harvest --days 90[/]
    """
    from licet.reports.harvest import harvest as read_harvest
    from licet.reports.what_if.report import enough_of

    def read(
        connection: "Connection", chosen: Tenant, from_ms: int, until_ms: int, now_ms: int
    ) -> "tuple[Harvest, dict[str, Enough | None]]":
        report = read_harvest(connection, chosen, from_ms, until_ms, now_ms=now_ms)
        with progress("replaying the journal"):
            replayed = {
                pool.name: enough_of(connection, chosen, pool, from_ms, until_ms, now_ms)
                for pool in chosen.pools.values()
            }
        return report, replayed

    found, replayed = read_span(data, tenant, (days, from_, until), USUAL_OF_SUMS, read)
    if as_json:
        show_json({**found_as_json(found), "enough": plain(replayed)})
        return
    for pool in found.pools:
        for line in (*_harvest_sentences(pool), *_enough_sentences(replayed.get(pool.pool))):
            say(line)
        show_list(_harvest_clients(pool), _CLIENT_HEADINGS, empty="")


def found_as_json(found: "Harvest") -> dict[str, object]:
    """A harvest for JSON."""
    shown = plain(found)
    assert isinstance(shown, dict)
    return shown


def _enough_sentences(found: "Enough | None") -> Iterator[str]:
    """What would have been enough, by replays."""
    if found is None:
        return
    line = f"{counted(found.seats, 'seat')} would have been enough to turn nobody away"
    if found.session_ttl_s is None:
        yield f"{line}; with the seats of today no shorter session-ttl is"
    else:
        yield f"{line}; with the seats of today so is a session-ttl of {duration(found.session_ttl_s)}"


def _harvest_sentences(pool: "HarvestPool") -> Iterator[str]:
    idle = f"{pool.idle_ms / pool.held_ms:.0%}" if pool.held_ms else "0%"
    yield (
        f"{pool.pool}: {counted(pool.seats, 'seat')}, peak {pool.peak:,}, {_true(pool.true_denials)};"
        f" {seat_hours(pool.idle_ms)} of {seat_hours(pool.held_ms)} seat-hours idle ({idle})"
    )
    never = sum(client.never_logs_off for client in pool.clients)
    if never:
        yield f"{counted(never, 'client')} never {'log' if never > 1 else 'logs'} off"
    if pool.unused:
        more = len(pool.unused) - _UNUSED_SHOWN
        names = ", ".join([*pool.unused[:_UNUSED_SHOWN], *([f"{more:,} more"] if more > 0 else [])])
        yield f"{counted(len(pool.unused), 'client')} held no seat: {names}"


def _harvest_clients(pool: "HarvestPool") -> Iterator[Record]:
    for client in pool.clients:
        yield {
            "user": whose(client.initials, client.name),
            "client": client.client_id,
            "held": seat_hours(client.held_ms),
            "idle": seat_hours(client.idle_ms),
            "share": f"{client.idle_share:.0%}",
            "logoffs": client.logoffs,
            "expired": client.expired,
            "habit": "never logs off" if client.never_logs_off else "",
        }


def read_span(
    data: Path | None,
    tenant: str | None,
    span: tuple[int | None, str | None, str | None],
    usual: Reach,
    read: "Callable[[Connection, Tenant, int, int, int], Found]",
) -> Found:
    """What a report finds in a span of a tenant; where none is said, in the `usual` one.

    Raises WrongUse, NotFound, StoreUnavailable.
    """
    now_ms = SystemClock().now_ms()
    from_ms, until_ms = span_of(*span, now_ms, usual)
    with opened(data) as store:
        chosen = chosen_tenant(store, tenant)
        with store.reporting() as connection:
            return read(connection, chosen, from_ms, until_ms, now_ms)


def write_csv(target: str, rows: Iterator[Sequence[Any]]) -> None:
    """Write rows, of which the first has the names, as CSV into a file; - is the output.

    Raises Refused.
    """
    cells = ([csv_cell(value) for value in row] for row in rows)
    if target == "-":
        csv.writer(sys.stdout, lineterminator="\n").writerows(cells)
        return
    written = list(cells)
    try:
        with Path(target).open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(written)
    except OSError as fault:
        raise Refused(f"{target} cannot be written ({fault.strerror})") from None
    note(f"{counted(len(written) - 1, 'row')} written to {target}")
