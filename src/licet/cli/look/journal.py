"""Runs `licet journal`: lists grants, denials, endings, failures, and what administrators did, newest first.

Equal entries of a client within one minute are one line, with their number and the time of the last one, by
which the newest are chosen and sorted. `--request-id` shows how one request was refused.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from licet.cli import completing
from licet.cli.errors import Refused
from licet.cli.look.alerts import OfTenant
from licet.cli.options import AsJson, Data
from licet.cli.output import Instant, Record, show_json, show_list, show_one
from licet.cli.stores import chosen_tenant, opened
from licet.cli.terminal import plain
from licet.clock import SystemClock
from licet.journal.kinds import Kind
from licet.model import Who
from licet.store.paging import LIMIT_MAX
from licet.units import DAY_MS

if TYPE_CHECKING:
    from licet.journal.history import EventEntry, JournalEntry

LINES = 50
LINES_MAX = 100_000  # a guess: programs read more in pages, from the admin API
_HEADINGS = {
    "at": "when",
    "tenant": "tenant",
    "kind": "what",
    "reason": "why",
    "who": "who",
    "what": "of",
    "times": "times",
    "detail": "more",
}

Kinds = Annotated[
    list[Kind] | None,
    typer.Option(
        "--only",
        metavar="KIND",
        help="Only granted, denied, ended, failed or event; may be given several times.",
    ),
]
Client = Annotated[
    str | None,
    typer.Option("--client", metavar="CLIENT_ID", help="Of this client.", autocompletion=completing.clients),
]
User = Annotated[
    str | None,
    typer.Option("--user", metavar="INITIALS", help="Of this user.", autocompletion=completing.users),
]
Pool = Annotated[
    str | None, typer.Option("--pool", metavar="NAME", help="Of this pool.", autocompletion=completing.pools)
]
Actor = Annotated[str | None, typer.Option("--by", metavar="NAME", help="Done by this administrator.")]
Licence = Annotated[
    str | None,
    typer.Option("--licence", metavar="ID", help="Installed, refused or removed: this licence."),
]
Reason = Annotated[
    str | None,
    typer.Option(
        "--reason", metavar="REASON", help="With this reason: all_in_use, logoff, wrong_secret, ..."
    ),
]
RequestId = Annotated[
    str | None,
    typer.Option("--request-id", metavar="ID", help="Show how the request with this id was refused."),
]
Days = Annotated[int | None, typer.Option("--days", min=1, max=4000, metavar="N", help="Of the last N days.")]
Lines = Annotated[
    int,
    typer.Option("--lines", "-n", min=1, max=LINES_MAX, metavar="N", help="At most this number of lines."),
]


def journal(
    *,
    only: Kinds = None,
    client: Client = None,
    user: User = None,
    pool: Pool = None,
    by: Actor = None,
    licence: Licence = None,
    reason: Reason = None,
    request_id: RequestId = None,
    days: Days = None,
    lines: Lines = LINES,
    tenant: OfTenant = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """What happened: grants, denials, endings, failures, and what administrators did; the newest first.

    Identical entries of a client within a minute are one line. [bold]--only event[/] shows who changed the
    set-up, [bold]--only failed[/] which authentications failed, and why.

    Example: [bold]licet journal --only denied --days 1[/]
    """
    from licet.journal.history import By, HistoryFilter, history

    if request_id is not None:
        _show_request(request_id, data, as_json=as_json)
        return
    wanted = HistoryFilter(
        kinds=frozenset(only or ()),
        reason=reason or "",
        client=client or "",
        user=user or "",
        pool=pool or "",
        actor=by or "",
        licence=licence or "",
        from_ms=SystemClock().now_ms() - days * DAY_MS if days else None,
        with_administrators=True,
    )
    with opened(data) as store:
        chosen = None if tenant is None else chosen_tenant(store, tenant)
        found: list[JournalEntry | EventEntry] = []
        after: str | None = None
        while len(found) < lines:
            with store.reporting() as connection:
                limit = min(lines - len(found), LIMIT_MAX)
                page = history(connection, chosen, only=wanted, by=By.LAST, after=after, limit=limit)
            found += page.entries
            if (after := page.next) is None:
                break
    if as_json:
        show_json([plain(entry) for entry in found])
        return
    is_one = len({entry.tenant for entry in found}) == 1
    headings = {key: text for key, text in _HEADINGS.items() if key != "tenant" or not is_one}
    empty = "Nothing like this happened, as far back as the journal goes."
    show_list(_records(found), headings, empty=empty)


def _show_request(request_id: str, data: Path | None, *, as_json: bool) -> None:
    """Raises Refused."""
    from licet.journal.failures import NOT_KEPT, find_request

    with opened(data) as store, store.reporting() as connection:
        found = find_request(connection, request_id.strip(), with_administrators=True)
    if found is None:
        raise Refused(NOT_KEPT)
    if as_json:
        show_json(plain(found))
        return
    show_one(
        {
            "at": Instant(found.at_ms),
            "what": found.kind,
            "why": found.reason,
            "tenant": found.tenant,
            "who": _whose(found.who, found.name, found.initials),
            **({"pool": found.pool} if found.pool else {}),
            "from": found.address,
        },
        as_json=False,
    )


def _whose(who: Who, name: str, initials: str) -> str:
    kind = "" if who is Who.CLIENT else f"{who.replace('_', ' ')} "
    if not name:
        return f"{kind}unknown"
    return f"{kind}{name} ({initials})" if initials else f"{kind}{name}"


def _records(found: "list[JournalEntry | EventEntry]") -> Iterator[Record]:
    from licet.journal.history import EventEntry

    for entry in found:
        yield _did(entry) if isinstance(entry, EventEntry) else _happened(entry)


def _did(event: "EventEntry") -> Record:
    return {
        "at": Instant(event.at_ms),
        "tenant": event.tenant,
        "kind": event.action,
        "reason": "",
        "who": event.actor,
        "what": event.target,
        "times": 1,
        "detail": event.detail,
    }


def _happened(entry: "JournalEntry") -> Record:
    use = "" if entry.seats is None else f"{entry.in_use} of {entry.seats} in use, "
    nothing = "" if entry.kind is Kind.FAILED else "no pool"
    return {
        "at": Instant(entry.last_at_ms),
        "tenant": entry.tenant,
        "kind": entry.kind.value,
        "reason": entry.reason,
        "who": _whose(entry.who, entry.client_id, entry.initials),
        "what": f"pool {entry.pool}" if entry.pool else nothing,
        "times": entry.times,
        "detail": f"{use}from {entry.address}" if entry.address else use.removesuffix(", "),
    }
