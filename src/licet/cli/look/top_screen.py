"""The screen of `licet top`: what of a tenant it shows, and what a key does to that.

It knows neither the terminal nor the store: it gets keys and what a tenant has now, and gives lines. A key
that asks for more than another view is returned as an `Order`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, NamedTuple

from licet.cli.look.seats import ON_HOLD, headline, pool_line, unlicensed
from licet.cli.terminal import clock_time, local, whose
from licet.formats import countdown, counted, printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from licet.reports.live import LiveSession, PoolNow, SeatInUse, SeatsNow

TYPED_MAX = 200  # characters of a filter or a reason
_ROOM_MIN = 4
_MARK = 2  # columns before a row, for the selection
_GAP = 2
_NAME_MIN = 6
_ADDRESS_FROM, _LAST_USED_FROM = 76, 90  # columns of a terminal
_SORTS = ("since", "expires", "user", "client")
_CURSOR = "_"
_WITHOUT_A_SEAT = ""  # in the place of a pool's name

HELP = """\
up, down, page up, page down, home, end
          select a session (also k and j)
e         end the selected session: asks for a reason, and whether to
/         filter: type a part of a user, client, scope, address or id;
          Enter keeps the filter, Esc removes it
p         show the next pool only, then the sessions without a seat, then all
t         the next tenant
s         sort by: since, expires, user, client
q         quit (also Ctrl-C); Ctrl-Z stops, and fg continues

A row with + shares its seat with another session. A seat on hold has no
session left to end, and is nobody else's until its time is over.
What you do here is in the journal, with your name."""


class Mode(Enum):
    """What keys are for."""

    LIST = auto()
    FILTER = auto()
    REASON = auto()
    CONFIRM = auto()
    HELP = auto()


class Order(NamedTuple):
    """What a key asks for, beyond the screen: `quit`, `tenant`, or `end` of a session for a reason."""

    what: str
    sid: str = ""
    reason: str = ""


class Row(NamedTuple):
    """A session, or a seat on hold, which has no `sid`."""

    key: str  # identifies it while it lives
    sid: str
    pool: str
    initials: str
    name: str
    client_id: str
    scope: str
    since_ms: int
    last_used_ms: int
    expires_ms: int
    address: str
    shares: bool

    @property
    def user(self) -> str:
        """As shown."""
        return whose(self.initials, self.name)


class Line(NamedTuple):
    """A line of the body; `row` is the one that it shows."""

    text: "Text"
    row: Row | None = None


@dataclass
class Screen:
    """What is looked at, and where the selection is."""

    tenants: int = 1  # how many there are to choose from
    mode: Mode = Mode.LIST
    pool: str | None = None  # None is all of them, '' the sessions without a seat
    sort: str = _SORTS[0]
    filter: str = ""
    selected: str = ""  # the key of a row
    typed: str = ""
    reason: str = ""
    message: str = ""
    _asked: Row | None = None
    _rows: tuple[Row, ...] = ()
    _pools: tuple[str, ...] = ()
    _page: int = 1
    _at: int = 0  # where the selected row was, for when it is gone

    def press(self, key: str) -> Order | None:
        """A key was pressed."""
        match self.mode:
            case Mode.HELP:
                self.mode = Mode.LIST
            case Mode.FILTER:
                self._press_filter(key)
            case Mode.REASON:
                self._press_reason(key)
            case Mode.CONFIRM:
                return self._press_confirm(key)
            case _:
                return self._press_list(key)
        return None

    def show(self, now: "SeatsNow") -> None:
        """This is what the tenant has now; the selection stays on its session, or where that was."""
        self._pools = (*(pool.pool for pool in now.pools), _WITHOUT_A_SEAT)
        if self.pool is not None and self.pool not in self._pools:
            self.pool = None
        pools = [pool for pool in now.pools if self.pool in {None, pool.pool}]
        self._rows = tuple(row for pool in pools for row in self._of(_rows_of(pool)))
        if self.pool in {None, _WITHOUT_A_SEAT}:
            self._rows += tuple(self._of(_row(it, _WITHOUT_A_SEAT) for it in now.unlicensed))
        if self._index() is None:
            self._select(self._at)
        else:
            self._at = self._index() or 0

    def lines(self, now: "SeatsNow", console: "Console") -> "list[Text]":
        """The whole screen, as high as the console; a line is never wider."""
        from rich.text import Text

        self.show(now)
        height, width = console.height, console.width
        head, foot = self._head(now, width), self._foot(now, width)
        room = max(_ROOM_MIN, height - len(head) - len(foot))
        self._page = max(1, room - 2)
        body = (
            [Line(Text(line)) for line in HELP.splitlines()]
            if self.mode is Mode.HELP
            else self._body(now, width)
        )
        visible = self._window(body, room)
        lines = [*head, *(line.text for line in visible), *([Text()] * (room - len(visible))), *foot]
        for line in lines:
            line.truncate(width, overflow="ellipsis")
            line.no_wrap = True
        return lines[:height]

    def _press_list(self, key: str) -> Order | None:
        self.message = ""
        match key:
            case "q" | "Q":
                return Order("quit")
            case "t":
                if self.tenants == 1:
                    self.message = "There is one tenant only."
                    return None
                self.pool, self.selected, self._at = None, "", 0
                return Order("tenant")
            case "?" | "h":
                self.mode = Mode.HELP
            case "/":
                self.mode, self.typed = Mode.FILTER, self.filter
            case "p":
                choices = [None, *self._pools]
                self.pool = choices[(choices.index(self.pool) + 1) % len(choices)]
            case "s":
                self.sort = _SORTS[(_SORTS.index(self.sort) + 1) % len(_SORTS)]
            case "e":
                self._ask()
            case "escape":
                self.filter = ""
            case _:
                self._move(key)
        return None

    def _move(self, key: str) -> None:
        steps = {"up": -1, "k": -1, "down": 1, "j": 1, "page up": -self._page, "page down": self._page}
        if key in steps:
            self._select((self._index() or 0) + steps[key])
        elif key in {"home", "g"}:
            self._select(0)
        elif key in {"end", "G"}:
            self._select(len(self._rows) - 1)

    def _ask(self) -> None:
        """Begin to end the selected session."""
        at = self._index()
        if at is None:
            self.message = "There is no session to end."
        elif not self._rows[at].sid:
            self.message = "A seat on hold has no session to end; a shorter hold frees it: licet pool set"
        else:
            self._asked, self.mode, self.typed = self._rows[at], Mode.REASON, ""

    def _press_filter(self, key: str) -> None:
        match key:
            case "escape":
                self.mode, self.filter = Mode.LIST, ""
            case "enter":
                self.mode = Mode.LIST
            case _:
                self._type(key)
                self.filter = self.typed

    def _press_reason(self, key: str) -> None:
        match key:
            case "escape":
                self._leave("Not ended.")
            case "enter":
                self.reason, self.mode = self.typed, Mode.CONFIRM
            case _:
                self._type(key)

    def _press_confirm(self, key: str) -> Order | None:
        asked = self._asked
        if key not in {"y", "Y"} or asked is None:
            self._leave("Not ended.")
            return None
        self._leave("")
        return Order("end", asked.sid, self.reason)

    def _leave(self, message: str) -> None:
        self.mode, self._asked, self.message = Mode.LIST, None, message

    def _type(self, key: str) -> None:
        if key == "backspace":
            self.typed = self.typed[:-1]
        elif len(key) == 1 and len(self.typed) < TYPED_MAX:
            self.typed += key

    def _index(self) -> int | None:
        return next((at for at, row in enumerate(self._rows) if row.key == self.selected), None)

    def _select(self, at: int) -> None:
        self._at = max(0, min(at, len(self._rows) - 1))
        self.selected = self._rows[self._at].key if self._rows else ""

    def _of(self, rows: Iterator[Row]) -> list[Row]:
        """Those that the filter lets through, sorted."""
        wanted = self.filter.casefold()
        found = [row for row in rows if not wanted or wanted in _searched(row)]
        match self.sort:
            case "expires":
                found.sort(key=lambda row: row.expires_ms)
            case "user":
                found.sort(key=lambda row: row.user.casefold())
            case "client":
                found.sort(key=lambda row: row.client_id.casefold())
        return found

    def _head(self, now: "SeatsNow", width: int) -> "list[Text]":
        from rich.text import Text

        clock = f"  {local(now.at_ms):%H:%M:%S}"
        text = headline(now)
        room = width - len(clock)
        title = Text(text if len(text) <= room else f"{text[: max(0, room - 3)]}...", "bold")
        title.append(" " * max(0, room - len(title))).append(clock, "dim not bold")
        parts = []
        if self.filter or self.mode is Mode.FILTER:
            parts.append(f"filter {self.filter!r}: {counted(len(self._rows), 'row')}")
        if self.pool is not None:
            parts.append(f"pool {self.pool}" if self.pool else "without a seat")
        if self.sort != _SORTS[0]:
            parts.append(f"by {self.sort}")
        return [title, Text(", ".join(parts), "italic")] if parts else [title]

    def _foot(self, now: "SeatsNow", width: int) -> "list[Text]":
        from rich.text import Text

        said, keys = self._says(now)
        if said.endswith(_CURSOR) and len(said) > width:  # Of what is typed the end has to be seen.
            said = f"...{said[-(width - 3) :]}"
        return [Text(said), Text(keys, "dim")]

    def _says(self, now: "SeatsNow") -> tuple[str, str]:
        """The last two lines: what is asked or said, and what the keys do."""
        if self.mode is Mode.FILTER:
            return f"Filter: {self.typed}{_CURSOR}", "Enter keep  Esc remove"
        if self.mode is Mode.HELP:
            return "", "any key: back"
        if self.mode is Mode.REASON:
            return f"Reason: {self.typed}{_CURSOR}", "Enter go on (a reason is optional)  Esc do not end"
        if self.mode is Mode.CONFIRM and self._asked is not None:
            # The question first: a name may be longer than the line.
            whose_it_is = f"client {printable(self._asked.client_id)}, user {self._asked.user}"
            return (
                f"End this session? [y/N]  {whose_it_is}",
                "y end it: its tokens stop working at once  n do not",
            )
        at = self._index()
        said = self.message or ("" if at is None else _detail(self._rows[at], now.at_ms))
        tenant = "t tenant  " if self.tenants > 1 else ""
        return said, f"up/down  e end  / filter  p pool  {tenant}s sort  ? help  q quit"

    def _body(self, now: "SeatsNow", width: int) -> list[Line]:
        from rich.text import Text

        lines: list[Line] = []
        for pool in now.pools:
            if self.pool not in {None, pool.pool}:
                continue
            folded = pool_line(pool, now.at_ms).wrap(_console(width), width)
            rows = [row for row in self._rows if row.pool == pool.pool]
            lines += [Line(Text()), *map(Line, folded), *self._table(rows, now.at_ms, width)]
        if self.pool in {None, _WITHOUT_A_SEAT}:
            rows = [row for row in self._rows if row.pool == _WITHOUT_A_SEAT]
            lines += [Line(Text()), Line(Text(unlicensed(now))), *self._table(rows, now.at_ms, width)]
        return lines

    def _table(self, rows: list[Row], now_ms: int, width: int) -> Iterator[Line]:
        """Headings, and a line for each row."""
        from rich.cells import set_cell_size
        from rich.text import Text

        if not rows:
            return
        headings, texts = _columns(rows, now_ms, width)
        widths = _widths([headings, *texts], width - _MARK)
        rights = {"since", "last used", "expires in"}

        def laid_out(cells: tuple[str, ...]) -> str:
            parts = [
                cell.rjust(size) if heading in rights else set_cell_size(cell, size)
                for heading, cell, size in zip(headings, cells, widths, strict=True)
            ]
            return (" " * _GAP).join(parts)

        yield Line(Text(" " * _MARK + laid_out(headings), "dim"))
        for row, cells in zip(rows, texts, strict=True):
            is_selected = row.key == self.selected
            mark = ">" if is_selected else " "
            yield Line(Text(f"{mark:{_MARK}}{laid_out(cells)}", "reverse" if is_selected else ""), row)

    def _window(self, body: list[Line], room: int) -> list[Line]:
        """So many lines, with the selected row among them, and what is not shown."""
        from rich.text import Text

        if len(body) <= room:
            return body
        at = next((n for n, line in enumerate(body) if line.row and line.row.key == self.selected), 0)
        begin = max(0, min(at - room // 2, len(body) - room + 1))
        shown = body[begin : begin + room - 1]
        hidden = {"above": begin, "below": len(body) - begin - len(shown)}
        parts = [f"{counted(lines, 'line')} {where}" for where, lines in hidden.items() if lines]
        return [*shown, Line(Text(f"... {', '.join(parts)}", "dim"))]


def _rows_of(pool: "PoolNow") -> Iterator[Row]:
    for seat in pool.in_use_by:
        if not seat.sessions:
            yield _held(seat, pool.pool)
        for session in seat.sessions:
            yield _row(session, pool.pool, shares=len(seat.sessions) > 1)


def _row(session: "LiveSession", pool: str, *, shares: bool = False) -> Row:
    return Row(
        key=session.sid,
        sid=session.sid,
        pool=pool,
        initials=session.initials,
        name=session.name,
        client_id=session.client_id,
        scope=session.scope,
        since_ms=session.started_at_ms,
        last_used_ms=session.last_used_at_ms,
        expires_ms=session.expires_at_ms,
        address=session.address,
        shares=shares,
    )


def _held(seat: "SeatInUse", pool: str) -> Row:
    return Row(
        key=f"{pool} {seat.holder}",
        sid="",
        pool=pool,
        initials=seat.initials,
        name=seat.name,
        client_id=seat.client_id,
        scope=ON_HOLD,
        since_ms=seat.taken_at_ms,
        last_used_ms=seat.last_used_at_ms,
        expires_ms=seat.expires_at_ms,
        address="",
        shares=False,
    )


def _searched(row: Row) -> str:
    parts = (row.initials, row.name, row.client_id, row.scope, row.address, row.sid, row.pool)
    return "\n".join(parts).casefold()


def _detail(row: Row, now_ms: int) -> str:
    """What of the selected row has no room in its line, or not always."""
    parts = [printable(row.client_id), f"last used {clock_time(row.last_used_ms, now_ms)}"]
    parts += [f"from {printable(row.address)}"] * bool(row.address)
    return ", ".join([*parts, f"session {row.sid[:16]}" if row.sid else "on hold"])


def _columns(rows: list[Row], now_ms: int, width: int) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """The headings for which there is room, and the cells of each row."""
    has_address, has_last = width >= _ADDRESS_FROM, width >= _LAST_USED_FROM
    headings = ["user", "client", "scope", "since", *["last used"] * has_last, "expires in"]
    texts = []
    for row in rows:
        cells = [f"+ {row.user}" if row.shares else row.user, printable(row.client_id), row.scope]
        cells.append(clock_time(row.since_ms, now_ms))
        cells += [clock_time(row.last_used_ms, now_ms)] * has_last
        cells.append(countdown(row.expires_ms, now_ms))
        cells += [printable(row.address)] * has_address
        texts.append(tuple(cells))
    return tuple(headings + ["address"] * has_address), texts


def _widths(rows: list[tuple[str, ...]], width: int) -> list[int]:
    """The widths of columns: all that is in them, except where user and client have to share less."""
    from rich.cells import cell_len

    sizes = [max(cell_len(row[at]) for row in rows) for at in range(len(rows[0]))]
    user, client, *others = sizes
    left = width - sum(others) - _GAP * len(others) - _GAP
    user = max(_NAME_MIN, min(user, left - min(client, left // 2)))
    return [user, max(_NAME_MIN, min(client, left - user)), *others]


def _console(width: int) -> "Console":
    from rich.console import Console

    return Console(width=width)
