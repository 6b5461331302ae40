"""Prints docs/explanation/connection.md from the table of a connection's phases.

.venv/bin/python docs/make_connection.py > docs/explanation/connection.md
"""

import ast
import inspect
import sys
from collections.abc import Iterator
from enum import StrEnum

from licet.web.http import phases
from licet.web.http.connection import GuardedHttpProtocol
from licet.web.http.phases import (
    ANSWER_TIMEOUT_S,
    BLANK_LINE_BYTES,
    BOUNDS,
    TAKEN_BYTES_LEAST,
    TRANSITIONS,
    Bounds,
    Event,
    Phase,
)

# They are possible in every phase, and would hide the rest of the diagram.
_EVERYWHERE = (Event.CLOSE, Event.LOST)
_MIB = 1024 * 1024
_KEEP_ALIVE_S = "5 s"  # uvicorn's, which no setting of ours changes

_HEAD = """# What one connection may do

<!-- Made by `python docs/make_connection.py`; edit src/licet/web/http/phases.py instead. -->

Both listeners limit how much a client may send and how long it may take, before there is a request that an
application could read. A connection is in one of ten phases. Bytes that arrive, the end of the client's
side, the answer and one timer cause events, and a table says to which phase each event leads. An event that
the table does not list for a phase cannot happen: it would be a bug, and the connection is cut off.

```mermaid
stateDiagram-v2
"""

_BETWEEN = """```

Left out of the diagram: a connection can be closed in each phase (`close`, then it is closing until what is
written is sent), and lost in each (`lost`). The server closes one that is overdue, one whose client has ended
its side, and all of them when it stops. One that has to give its place to another client's is cut off at
once, as it is counted no longer.

Where a listener has a certificate, TLS is agreed before the first phase. Such a connection counts for its
source from its first packet on, gives way to others as one that waits, and has as long as a head. Where there
is no room it is closed at once: an answer would cost a handshake.

## The phases

"""

_EVENTS = f"""
A blank line that does not end a message, such as one before a head or in a chunk, counts as
{BLANK_LINE_BYTES} bytes more, because the parser is fed up to each of them: a flood of blank lines
would delay the requests of others.

A client that takes an answer slowly but steadily is not cut off: if it has taken
{TAKEN_BYTES_LEAST // 1024} KiB when its time limit ends, it has {ANSWER_TIMEOUT_S:g} seconds for the
next {TAKEN_BYTES_LEAST // 1024} KiB. A client that has not taken all of an answer when its connection
should be closed has {ANSWER_TIMEOUT_S:g} seconds more, once.

## The events

"""

_TABLE = """
## The table

Each of these is tried by bytes over a real connection (`tests/web/http/test_phases.py`).

"""


def page() -> str:
    """The whole page, as Markdown."""
    return "".join((_HEAD, *_diagram(), _BETWEEN, *_phases(), _EVENTS, *_events(), _TABLE, *_table()))


def _diagram() -> Iterator[str]:
    yield f"    [*] --> {Phase.NEW}\n"
    for phase, transitions in TRANSITIONS.items():
        for event, following in transitions.items():
            if event not in _EVERYWHERE and following is not phase:
                yield f"    {phase} --> {following}: {_words(event)}\n"
    yield f"    {Phase.LINGER} --> {Phase.CLOSING}: {Event.CLOSE}\n"
    yield f"    {Phase.CLOSING} --> {Phase.CLOSED}: {Event.LOST}\n"
    yield f"    {Phase.CLOSED} --> [*]\n"


def _phases() -> Iterator[str]:
    yield "| phase | what it is | bytes | time | when that is over, it |\n| --- | --- | --- | --- | --- |\n"
    meanings = _meanings(Phase)
    for phase, bounds in BOUNDS.items():
        yield (
            f"| `{phase}` | {meanings[phase.name]} | {_bytes(bounds)} | {_seconds(bounds)} "
            f"| {bounds.overdue if phase is not Phase.CLOSED else ''} |\n"
        )


def _events() -> Iterator[str]:
    yield "| event | what it is |\n| --- | --- |\n"
    meanings = _meanings(Event)
    for event in Event:
        yield f"| {_words(event)} | {meanings[event.name]} |\n"


def _table() -> Iterator[str]:
    yield "| in the phase | the event | leads to |\n| --- | --- | --- |\n"
    for phase, transitions in TRANSITIONS.items():
        for event, following in transitions.items():
            yield f"| `{phase}` | {_words(event)} | `{following}` |\n"


def _words(event: Event) -> str:
    return event.replace("_", " ")


def _bytes(bounds: Bounds) -> str:
    if not bounds.bytes_max:
        return ""
    number = int(_value(bounds.bytes_max))
    return f"{number // 1024} KiB" if number < _MIB else f"{number // _MIB} MiB"


def _seconds(bounds: Bounds) -> str:
    if not bounds.timeout_s:
        return ""
    return _KEEP_ALIVE_S if bounds.timeout_s == "timeout_keep_alive" else f"{_value(bounds.timeout_s):g} s"


def _value(name: str) -> float:
    """A bound of the public listener, by its name in the table."""
    value: float = getattr(phases if name.isupper() else GuardedHttpProtocol, name)
    return value


def _meanings(kind: type[StrEnum]) -> dict[str, str]:
    """The text below each member, which Python itself does not keep."""
    tree = ast.parse(inspect.getsource(kind)).body[0]
    assert isinstance(tree, ast.ClassDef)
    found = {}
    for member, text in zip(tree.body, tree.body[1:], strict=False):
        if isinstance(member, ast.Assign) and isinstance(text, ast.Expr):
            assert isinstance(member.targets[0], ast.Name)
            assert isinstance(text.value, ast.Constant)
            found[member.targets[0].id] = " ".join(str(text.value.value).split())
    return found


if __name__ == "__main__":
    sys.stdout.write(page())
