"""Runs `licet usage what-if`: replays the journal with another set-up of a pool."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from licet.cli import completing
from licet.cli.errors import Refused, WrongUse
from licet.cli.look.spans import DaysOfWhatIf, From, Until
from licet.cli.look.usage_reports import read_span
from licet.cli.options import AsJson, Data, TenantName, read_duration
from licet.cli.output import Record, say, show_json, show_list
from licet.cli.set_up.settings import Given, read, sets
from licet.cli.terminal import plain
from licet.formats import duration
from licet.model import HOLD_S_MAX, SEATS_MAX, TTL_S_MAX, Duplicates, Pool, Tenant
from licet.refusal import Subject
from licet.reports.spans import USUAL_OF_WHAT_IF
from licet.setup.nouns import POOL

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from licet.reports.what_if.replay import Replayed, Setup
    from licet.reports.what_if.report import WhatIf

_HEADINGS = {
    "what": "",
    "seats": "seats",
    "hold": "hold",
    "session_ttl": "session-ttl",
    "peak": "peak",
    "wants": "had to wait",
    "served": "got one later",
    "turned_away": "true denials",
}

PoolName = Annotated[
    str | None,
    typer.Option(
        "--pool",
        metavar="NAME",
        help="Which pool; the only one needs no name.",
        autocompletion=completing.pools,
    ),
]
Seats = Annotated[
    int | None, typer.Option("--seats", metavar="N", min=0, max=SEATS_MAX, help="With this number of seats.")
]
Overdraft = Annotated[
    int | None,
    typer.Option("--overdraft", metavar="N", min=0, max=SEATS_MAX, help="With this number above the seats."),
]
Hold = Annotated[
    str | None, typer.Option("--hold", metavar="DURATION", help="With this hold, like 60s; 0 for none.")
]
SessionTtl = Annotated[
    str | None,
    typer.Option("--session-ttl", metavar="DURATION", help="With this life of sessions, like 10m."),
]
CountedFor = Annotated[Duplicates | None, typer.Option("--duplicates", help="With seats counted for these.")]

_RULES = ("exclude", "include", "named", "reserve", "max", "max_per_user", "max_per_client")


@sets(POOL, without=[setting.field for setting in POOL.settings if setting.field not in _RULES])
def what_if(
    *,
    pool: PoolName = None,
    seats: Seats = None,
    overdraft: Overdraft = None,
    hold: Hold = None,
    session_ttl: SessionTtl = None,
    duplicates: CountedFor = None,
    settings: Given,
    days: DaysOfWhatIf = None,
    from_: From = None,
    until: Until = None,
    tenant: TenantName = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """What would have happened with other seats, overdraft, hold, session life or options.

    The ledger that gives seats replays the journal in memory. It also replays today's set-up, and the last
    line says how far the result differs from the journal: the answer is as accurate as that. If the journal
    has no seat, nothing can be compared.

    Example: [bold]licet usage what-if --pool full --seats 20 --overdraft 2 --days 30[/]
    """
    from licet.reports.what_if.report import Other, trust_in
    from licet.reports.what_if.report import what_if as read_what_if
    from licet.reports.what_if.visits import TooManyVisits

    other = Other(
        seats=seats,
        overdraft=overdraft,
        hold_s=_bounded("--hold", hold, 0, HOLD_S_MAX),
        session_ttl_s=_bounded("--session-ttl", session_ttl, 1, TTL_S_MAX),
        duplicates=duplicates,
        rules=read(POOL, settings, data, tenant),
    )

    def replayed(
        connection: "Connection", chosen: Tenant, from_ms: int, until_ms: int, now_ms: int
    ) -> "WhatIf":
        of_pool = _pool(chosen, pool)
        return read_what_if(connection, chosen, of_pool, other, from_ms, until_ms, now_ms=now_ms)

    try:
        found = read_span(data, tenant, (days, from_, until), USUAL_OF_WHAT_IF, replayed)
    except TooManyVisits:
        raise Refused("there are more visits in this span than can be replayed; say a shorter one") from None
    if as_json:
        show_json(plain(found))
        return
    show_list(_rows(found), _HEADINGS, empty="")
    say(trust_in(found))


def _bounded(option: str, text: str | None, least: int, most: int) -> int | None:
    if text is None:
        return None
    seconds = 0 if text.strip() == "0" else read_duration(option, text)
    if not least <= seconds <= most:
        raise WrongUse(f"{option} is {least} s to {duration(most)}; this is not: {text[:40]!r}")
    return seconds


def _pool(tenant: Tenant, name: str | None) -> Pool:
    """The pool of this name, or the only one.

    Raises NotFound, WrongUse.
    """
    from licet.store.errors import unknown

    names = sorted(pool.name for pool in tenant.pools.values())
    if name is None and len(names) != 1:
        raise WrongUse(f"which pool? Say --pool: {', '.join(names)}")
    found = tenant.pool_named(names[0] if name is None else name)
    if found is None:
        raise unknown(Subject("pool", name or ""), names)
    return found


def _rows(found: "WhatIf") -> Iterator[Record]:
    recorded = found.recorded
    yield {
        "what": "recorded",
        "seats": "",
        "hold": "",
        "session_ttl": "",
        "peak": found.recorded_peak,
        "wants": recorded.wants,
        "served": recorded.served,
        "turned_away": recorded.turned_away,
    }
    yield _row("today, replayed", found.today_setup, found.today)
    yield _row("what if", found.other_setup, found.other)


def _row(what: str, setup: "Setup", replayed: "Replayed") -> Record:
    overdraft = f"+{setup.overdraft:,}" if setup.overdraft else ""
    return {
        "what": what,
        "seats": f"{setup.seats:,}{overdraft}",
        "hold": duration(setup.hold_s),
        "session_ttl": duration(setup.session_ttl_s),
        "peak": replayed.peak,
        "wants": replayed.wants,
        "served": replayed.served,
        "turned_away": replayed.turned_away,
    }
