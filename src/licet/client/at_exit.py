"""Ends sessions when the interpreter ends, and drops them in a child after a fork.

A program that ends without logging off keeps its seat until the session expires. So at exit all sessions that
are still held are logged off, one after the other, for a few seconds at most. Sessions are referenced weakly,
except those whose `LicetAuth` was dropped unclosed: of these the last hundred are kept until exit.

There is one list for the process, made with the first session.
"""

import atexit
import os
import time
import warnings
import weakref
from collections import deque

from licet.client.session import Session

BUDGET_S = 4.0  # for all of them; a guess: what people accept to wait at the end of a program
EACH_S = 2.0  # so that a silent server does not use up the time of the others
DROPPED_MAX = 100  # as many live sessions as Licet lets a client have (L8)

_open: "weakref.WeakSet[Session]" = weakref.WeakSet()
_dropped: "deque[Session]" = deque(maxlen=DROPPED_MAX)
_watched: list[bool] = []


def watch(session: Session, owner: object) -> None:
    """End this session with the interpreter, even if its owner is dropped."""
    if not _watched:
        _watched.append(True)
        atexit.register(log_off_all)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=forget_all)
    _open.add(session)
    weakref.finalize(owner, _owner_dropped, session).atexit = False


def log_off_all() -> None:
    """Log off all sessions that are held, within the budget."""
    end_s = time.monotonic() + BUDGET_S
    for session in list(_open):
        left_s = end_s - time.monotonic()
        if left_s <= 0:
            break
        session.close()
        if session.holds:
            session.log_off(min(left_s, EACH_S))


def forget_all() -> None:
    """Drop all sessions in a child process: its parent logs them off."""
    _dropped.clear()
    for session in list(_open):
        session.begin_anew()


def _owner_dropped(session: Session) -> None:
    if session.holds:
        _dropped.append(session)
        warnings.warn(
            "a LicetAuth was dropped with its session still open, and a seat may stay taken; use `with`",
            ResourceWarning,
            stacklevel=2,
        )
