"""Runs `licet seats`: shows who holds which seats.

It prints one line per session, so that sessions which share a seat are seen, and one for a seat on hold
(L18). It only reads the store.
"""

from collections.abc import Iterator
from datetime import tzinfo
from typing import TYPE_CHECKING

from licet.cli.options import AsJson, Data, TenantName
from licet.cli.output import Instant, Record, on_terminal, say, show_json, show_list
from licet.cli.stores import chosen_tenant, opened
from licet.cli.terminal import clock_time, local, page, plain, style_of, whose
from licet.formats import countdown, counted, end_in_words, printable
from licet.model import Tenant
from licet.seat_sources import counted_addresses
from licet.store.contract import Store
from licet.units import DAY_MS

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table
    from rich.text import Text

    from licet.reports.live import LiveSession, PoolNow, SeatInUse, SeatsNow

ON_HOLD = "(on hold)"  # in the place of a scope; not a valid scope
_SOON_MS = 30 * DAY_MS  # from here on the end of a licence is shown

_BAR_MAX = 20  # seats that are drawn one by one
_USER_MIN, _CLIENT_MIN = 6, 10  # their least width on a narrow terminal
_GAP = 2
_COLUMNS = {
    "pool": "pool",
    "user": "user",
    "name": "name",
    "client_id": "client",
    "scope": "scope",
    "since": "since",
    "last_token": "last token",
    "last_used": "last used",
    "expires": "expires",
    "address": "address",
    "addresses": "addresses",
    "holder": "holder",
}


def seats(*, tenant: TenantName = None, data: Data = None, as_json: AsJson = False) -> None:
    """Who holds which seat, since when and until when.

    Sessions that share a seat are listed together, those without a seat separately.
    """
    with opened(data) as store:
        found = read_now(store, chosen_tenant(store, tenant))
    if as_json:
        show_json(plain(found))
    elif on_terminal():
        page().print(_drawn(found, page().width))
    else:
        _print_plain(found)


def read_now(store: Store, tenant: Tenant) -> "SeatsNow":
    """What the seats of a tenant are now.

    Raises StoreUnavailable.
    """
    from licet.reports.live import seats as read_seats

    with store.reading() as connection:
        return read_seats(connection, tenant, store.clock.now_ms())


def headline(found: "SeatsNow") -> str:
    """How many seats are in use, of each pool."""
    if len(found.pools) == 1:
        (pool,) = found.pools
        return f"{pool.in_use:,} of {counted(pool.seats, 'seat')} in use in {found.tenant}"
    pools = ", ".join(f"{pool.pool} {pool.in_use:,} of {pool.seats:,}" for pool in found.pools)
    return f"In use in {found.tenant}: {pools or 'nothing, there is no pool'}"


def _state(pool: "PoolNow", now_ms: int) -> str:
    """The state of a pool, in words."""
    facts = [f"{pool.in_use:,} of {counted(pool.seats, 'seat')} in use"]
    if on_hold := sum(not seat.sessions for seat in pool.in_use_by):
        facts.append(f"{on_hold:,} of them on hold")
    if pool.overdraft_in_use:
        facts.append(f"{pool.overdraft_in_use:,} of them overdraft")
    if pool.overuse:
        facts.append(f"{pool.overuse:,} too many")
    at_ms = pool.next_free_at_ms
    if at_ms is not None and pool.in_use >= pool.seats and not pool.overuse:
        by = clock_time(at_ms, now_ms)
        facts.append(f"a seat is free within {countdown(at_ms, now_ms)} (by {by})")
    if pool.expires_at_ms is not None:
        at = end_in_words(pool.expires_at_ms, _zone(pool.expires_at_ms))
        if pool.expires_at_ms <= now_ms:
            return f"no seat can be had: the licence expired {at}, {', '.join(facts)}"
        left_ms = pool.expires_at_ms - now_ms
        near = f" (in {countdown(pool.expires_at_ms, now_ms)})" if left_ms <= _SOON_MS else ""
        facts.append(f"licence expires {at}{near}")
    return ", ".join(facts)


def _zone(ms: int) -> tzinfo:
    """The zone of this machine at this instant."""
    zone = local(ms).tzinfo
    assert zone is not None
    return zone


def unlicensed(found: "SeatsNow") -> str:
    """How many sessions have no seat."""
    return f"{counted(len(found.unlicensed), 'session')} without a seat"


def _print_plain(found: "SeatsNow") -> None:
    """For a pipe: full values, one line a session."""
    for pool in found.pools:
        say(f"{pool.pool}: {_state(pool, found.at_ms)}")
    say(unlicensed(found))
    records = [
        record
        for pool in found.pools
        for seat in pool.in_use_by
        for record in (
            [_record(session, pool.pool, seat) for session in seat.sessions]
            or [_held_record(seat, pool.pool)]
        )
    ]
    records += [_record(session, None, None) for session in found.unlicensed]
    if records:
        say("")
        show_list(records, _COLUMNS, as_json=False, empty="")


def _record(session: "LiveSession", pool: str | None, seat: "SeatInUse | None") -> Record:
    return {
        "pool": pool,
        "user": session.initials,
        "name": session.name,
        "client_id": session.client_id,
        "scope": session.scope,
        "since": Instant(session.started_at_ms),
        "last_token": Instant(session.renewed_at_ms),
        "last_used": Instant(session.last_used_at_ms),
        "expires": Instant(session.expires_at_ms),
        "address": session.address,
        "addresses": counted_addresses(seat.addresses) if seat and seat.addresses else None,
        "holder": seat.holder if seat else None,
    }


def _held_record(seat: "SeatInUse", pool: str) -> Record:
    """A seat on hold: no session is alive on it."""
    return {
        "pool": pool,
        "user": seat.initials,
        "name": seat.name,
        "client_id": seat.client_id,
        "scope": ON_HOLD,
        "since": Instant(seat.taken_at_ms),
        "last_token": Instant(seat.issued_at_ms),
        "last_used": Instant(seat.last_used_at_ms),
        "expires": Instant(seat.expires_at_ms),
        "address": None,
        "addresses": counted_addresses(seat.addresses) if seat.addresses else None,
        "holder": seat.holder,
    }


def _drawn(found: "SeatsNow", width: int) -> "RenderableType":
    """For a terminal of this width."""
    from rich.console import Group
    from rich.text import Text

    parts: list[RenderableType] = [Text(headline(found), "bold")]
    for pool in found.pools:
        parts += [Text(), pool_line(pool, found.at_ms)]
        if pool.in_use_by:
            rows = [row for seat in pool.in_use_by for row in _seat_rows(seat, found.at_ms)]
            parts.append(_table(rows, width))
    parts += [Text(), Text(unlicensed(found))]
    if found.unlicensed:
        rows = [row for session in found.unlicensed for row in _rows([session], "", found.at_ms)]
        parts.append(_table(rows, width))
    return Group(*parts)


def pool_line(pool: "PoolNow", now_ms: int) -> "Text":
    """A pool as a bar and in words."""
    from rich.text import Text

    line = Text(f"{pool.pool}  ")
    if pool.seats:
        length = min(pool.seats, _BAR_MAX)
        filled = min(length, -(-pool.in_use * length // pool.seats))
        line.append("[").append("#" * filled, style_of(pool.in_use, pool.seats))
        line.append("-" * (length - filled), "dim").append("]  ")
    return line.append(_state(pool, now_ms))


def _table(rows: list[tuple[str, ...]], width: int) -> "Table":
    """A line a session; the first of those that share a seat names user and client."""
    from rich.table import Table

    headings = ("user", "client", "scope", "since", "last used", "expires in", "address")
    user, client = _widths([headings, *rows], width - _GAP)
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, _GAP, 0, 0))
    for heading in headings:
        is_time = heading in {"since", "last used", "expires in"}
        table.add_column(
            heading,
            justify="right" if is_time else "left",
            no_wrap=is_time or heading == "user",
            overflow="ellipsis" if heading == "user" else "fold",
            width={"user": user, "client": client}.get(heading),
        )
    for row in rows:
        table.add_row(*row)
    return table


def _seat_rows(seat: "SeatInUse", now_ms: int) -> Iterator[tuple[str, ...]]:
    """Its sessions, or until when it is on hold."""
    if seat.sessions:
        others = f" +{counted_addresses(seat.addresses - 1)}" if seat.addresses > 1 else ""
        yield from _rows(list(seat.sessions), others, now_ms)
        return
    yield (
        whose(seat.initials, seat.name),
        printable(seat.client_id),
        ON_HOLD,
        clock_time(seat.taken_at_ms, now_ms),
        clock_time(seat.last_used_at_ms, now_ms),
        countdown(seat.expires_at_ms, now_ms),
        "",
    )


def _rows(sessions: "list[LiveSession]", others: str, now_ms: int) -> Iterator[tuple[str, ...]]:
    """One line per session; `others` is how many more addresses used the seat than are shown."""
    client_id = None
    for at, session in enumerate(sessions):
        yield (
            "  +" if at else whose(session.initials, session.name),
            "" if session.client_id == client_id else printable(session.client_id),
            session.scope,
            clock_time(session.started_at_ms, now_ms),
            clock_time(session.last_used_at_ms, now_ms),
            countdown(session.expires_at_ms, now_ms),
            printable(session.address) + ("" if at else others),
        )
        client_id = session.client_id


def _widths(rows: list[tuple[str, ...]], width: int) -> tuple[int, int]:
    """How wide user and client may be, so that the rest fits."""
    from rich.cells import cell_len

    user, client, *others = (max(cell_len(row[at]) for row in rows) for at in range(len(rows[0])))
    left = width - sum(others) - _GAP * (len(others) + 1)
    user = max(_USER_MIN, min(user, left - min(client, left // 2)))
    return user, max(_CLIENT_MIN, min(client, left - user))
