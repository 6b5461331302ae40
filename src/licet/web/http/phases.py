"""Defines the phases of an HTTP connection as one table: which event leads from which to which.

`lifetime.py` keeps the phase of a connection, and `connection.py` turns its input into events; every change
of phase is a look-up here. An event that is not in the table for a phase is a bug in Licet: no client can
cause one. docs/explanation/connection.md is made from this file (docs/make_connection.py).
"""

from collections.abc import Mapping
from enum import StrEnum, auto
from typing import Final, NamedTuple

HEAD_BYTES_MAX: Final = 16 * 1024
"""Request line and header fields of one request, as in Node.js (maxHeaderSize). A request with a bearer token
of 2 KiB and what two proxies add stays below 4 KiB."""

HEADERS_MAX: Final = 100
"""Header fields of one request, as in Apache (LimitRequestFields)."""

BODY_BYTES_MAX: Final = 64 * 1024
"""The body of one request, its chunk framing included. Well above what the application takes (8 KiB), as the
refusal is the application's to give: this bound is for clients that send faster than it can answer."""

BLANK_LINE_BYTES: Final = 64
"""As so many more bytes counts a blank line that ends no message. The parser is fed up to each blank line,
which costs far more than four bytes. A guess: a head has 240 of them at most, and a body a thousand."""

HELD_BYTES_MAX: Final = 64 * 1024
"""Pipelined bytes that wait for the answer before them: some two hundred token requests."""

LINGER_BYTES_MAX: Final = 1024 * 1024
"""What is read and thrown away behind a last answer. Costs no memory; one read is up to 250 KiB, so a smaller
bound would be used up by what was on its way before the client could see the answer."""

HEAD_TIMEOUT_S: Final = 10.0
"""For a whole head: three retransmissions of a lost packet (1, 2 and 4 seconds, RFC 6298) fit in."""

BODY_TIMEOUT_S: Final = 10.0
"""For the body after the head, for the same reason; 8 KiB fit in the first flight of packets (RFC 6928)."""

ANSWER_TIMEOUT_S: Final = 10.0
"""For the client to take answers off a connection that is full of them, or that is closing."""

TAKEN_BYTES_LEAST: Final = 16 * 1024
"""Who takes so much of what was written within a time limit has ANSWER_TIMEOUT_S for as much again: a large
answer over a slow link takes as long as it does. A guess: 13 kbit/s, slower than any link of today."""

LINGER_TIMEOUT_S: Final = 1.0
"""Between the last answer and the close: several round trips for the client to see the end and stop."""


class Phase(StrEnum):
    """Where a connection is: what its next bytes are."""

    NEW = auto()
    """Nothing has come yet."""

    TURNED_AWAY = auto()
    """There is no room for it. It is refused once a request has arrived: some clients treat an earlier answer
    as an error."""

    IDLE = auto()
    """The answers so far are complete, and nothing of the next request has come."""

    HEAD = auto()
    """A part of a head has come."""

    BODY = auto()
    """The application has the head; its body is not complete. It may be answering already."""

    ANSWER = auto()
    """The request is complete and its answer is not. Bytes that arrive now are a later request, and wait."""

    LAST_ANSWER = auto()
    """The last answer is being sent: the bytes after its request cannot be used. More are discarded."""

    LINGER = auto()
    """The last answer is written; the client may not have seen it yet, and may still send (RFC 9112 9.6)."""

    CLOSING = auto()
    """It closes as soon as what is written is sent. Nothing is read any more."""

    CLOSED = auto()
    """The connection no longer exists."""


class Event(StrEnum):
    """What happens to a connection."""

    NO_ROOM = auto()
    """There are too many connections, of this source or at all."""

    HEAD_BEGUN = auto()
    """The bytes so far end within a head."""

    HEAD_COMPLETE = auto()
    """A head is complete and good, and goes to the application."""

    BODY_COMPLETE = auto()
    """The request is complete."""

    CAME_AGAIN = auto()
    """A request is complete that came before, byte for byte: it is not parsed."""

    ANSWER_COMPLETE = auto()
    """The answer is complete, and the connection can be used again."""

    REFUSED = auto()
    """The connection answers instead of the application: 400, 408, 413, 431 or 503."""

    SPOILT = auto()
    """A body turned out to be bad, or late, when its answer had begun: no refusal may be written into it."""

    TOO_MUCH_HELD = auto()
    """More bytes came behind a request than are kept."""

    LAST_COMPLETE = auto()
    """The last answer is complete, or will never be; the client may still send."""

    CLOSE = auto()
    """The server ends the connection: it expects nothing more of the client, or has waited too long."""

    LOST = auto()
    """The connection no longer exists, whichever side ended it."""


_END: Final = {Event.CLOSE: Phase.CLOSING, Event.LOST: Phase.CLOSED}

TRANSITIONS: Final[Mapping[Phase, Mapping[Event, Phase]]] = {
    Phase.NEW: {
        Event.NO_ROOM: Phase.TURNED_AWAY,
        Event.HEAD_BEGUN: Phase.HEAD,
        Event.HEAD_COMPLETE: Phase.BODY,
        Event.CAME_AGAIN: Phase.ANSWER,
        Event.REFUSED: Phase.LINGER,
        **_END,
    },
    Phase.TURNED_AWAY: {
        Event.REFUSED: Phase.LINGER,
        **_END,
    },
    Phase.IDLE: {
        Event.HEAD_BEGUN: Phase.HEAD,
        Event.HEAD_COMPLETE: Phase.BODY,
        Event.CAME_AGAIN: Phase.ANSWER,
        Event.REFUSED: Phase.LINGER,
        **_END,
    },
    Phase.HEAD: {
        Event.HEAD_COMPLETE: Phase.BODY,
        Event.REFUSED: Phase.LINGER,
        **_END,
    },
    Phase.BODY: {
        Event.BODY_COMPLETE: Phase.ANSWER,
        Event.REFUSED: Phase.LINGER,
        Event.SPOILT: Phase.LAST_ANSWER,
        Event.LAST_COMPLETE: Phase.LINGER,
        **_END,
    },
    Phase.ANSWER: {
        Event.ANSWER_COMPLETE: Phase.IDLE,
        Event.TOO_MUCH_HELD: Phase.LAST_ANSWER,
        Event.LAST_COMPLETE: Phase.LINGER,
        **_END,
    },
    Phase.LAST_ANSWER: {
        Event.LAST_COMPLETE: Phase.LINGER,
        **_END,
    },
    Phase.LINGER: {
        Event.LAST_COMPLETE: Phase.LINGER,  # the application fails after its last answer
        **_END,
    },
    Phase.CLOSING: {
        Event.LAST_COMPLETE: Phase.CLOSING,  # the same
        Event.CLOSE: Phase.CLOSING,  # the client does not read what is written: now it is cut off
        Event.LOST: Phase.CLOSED,
    },
    Phase.CLOSED: {},
}


class Overdue(StrEnum):
    """What happens when a phase lasts too long."""

    CLOSE = "is closed without an answer"
    REFUSE = "is answered 408"
    ABORT = "is cut off"
    NOTHING = "goes on: the application has all the time it needs"


class Bounds(NamedTuple):
    """What a phase allows.

    `bytes_max` and `timeout_s` are names: those in capitals are constants of this module, the others are
    attributes of a connection, as each listener has its own. `is_waiting`: the server waits for the client,
    and the connection may be ended for one that needs its place.
    """

    overdue: Overdue
    timeout_s: str = ""
    bytes_max: str = ""
    is_waiting: bool = False


BOUNDS: Final[Mapping[Phase, Bounds]] = {
    Phase.NEW: Bounds(Overdue.CLOSE, "head_timeout_s", "HEAD_BYTES_MAX", is_waiting=True),
    Phase.TURNED_AWAY: Bounds(Overdue.CLOSE, "linger_timeout_s"),
    Phase.IDLE: Bounds(Overdue.CLOSE, "timeout_keep_alive", "HEAD_BYTES_MAX", is_waiting=True),
    Phase.HEAD: Bounds(Overdue.REFUSE, "head_timeout_s", "HEAD_BYTES_MAX", is_waiting=True),
    Phase.BODY: Bounds(Overdue.REFUSE, "body_timeout_s", "body_bytes_max", is_waiting=True),
    Phase.ANSWER: Bounds(Overdue.NOTHING, "", "HELD_BYTES_MAX"),
    Phase.LAST_ANSWER: Bounds(Overdue.ABORT, "answer_timeout_s"),
    Phase.LINGER: Bounds(Overdue.CLOSE, "linger_timeout_s", "LINGER_BYTES_MAX", is_waiting=True),
    Phase.CLOSING: Bounds(Overdue.ABORT, "linger_timeout_s"),
    Phase.CLOSED: Bounds(Overdue.NOTHING),
}


def no_transition(phase: Phase, event: Event) -> AssertionError:
    """The error for an event that has no place in a phase: a bug."""
    return AssertionError(f"a connection in the phase {phase.name} has no transition for {event.name}")
