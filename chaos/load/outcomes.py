"""Reads the session and the outcome from the answers that a client of the load gets."""

import msgspec

from chaos.history import UNAVAILABLE, UNKNOWN, Kind
from chaos.load.wire import Answer, Said, issued_ms_of, number_of, sid_of

ERROR_STATUS = 400
UNAVAILABLE_STATUS = 503
HANDED_OVER = "handed over"  # a guard says it of a number, and of nothing else


class Held(msgspec.Struct, kw_only=True):
    """A session that a client has or had, with its newest access token, which came at `received_us`.

    `number` is that of its seat, if it is known.
    """

    sid: str
    access: str
    refresh: str
    licensed: bool
    sent_us: int
    received_us: int
    issued_ms: int
    number: int = 0


def sid_in(answer: Answer | None) -> str:
    """The session that an answer grants, if it grants one."""
    return sid_of(answer.said.access_token) if answer is not None and answer.said.access_token else ""


def seat_of(answer: Answer | None, held: Held | None) -> tuple[int, int]:
    """When the token in the answer, or else the one that was sent, was issued; and its seat number."""
    known = held.number if held is not None else 0
    if answer is not None and (token := answer.said.access_token):
        return issued_ms_of(token), number_of(token) or known
    if answer is not None and answer.said.seat is not None:
        known = answer.said.seat.number
    return held.issued_ms if held is not None else 0, known


def outcome_of(kind: Kind, answer: Answer | None, held: Held | None) -> str:
    """The outcome of an operation, as the history records it."""
    if answer is None:
        return UNKNOWN
    status, said = answer
    if status >= ERROR_STATUS:
        return _refusal(status, said)
    if kind in {"grant", "refresh"}:
        is_same = held is None or sid_of(said.access_token) == held.sid
        return "granted" if is_same else "another_session"
    if kind == "introspect":
        return "active" if said.active else "inactive"
    if kind == "logoff":
        return "logged_off" if said.logged_off else "not_logged_off"
    return "revoked" if kind == "revoke" else "let_in"


def _refusal(status: int, said: Said) -> str:
    if HANDED_OVER in said.error_description:
        return "handed_over"
    if status == UNAVAILABLE_STATUS and not said.reason:
        return UNAVAILABLE
    return said.reason or said.error or f"status_{status}"
