"""Everything that depends on the operating system, and what takes its place where it is missing.

No other module imports or calls any of it (`tests/project/test_platforms.py` has the list). What decides is
whether a name is there, not the name of the system:

    missing                      instead
    uvloop                       asyncio's own event loop
    handing over a socket        commits in a thread of the server, never in a process (`commit_process`)
    file modes                   the file's access control list, read and set (`windows.py`)
    neither of them              nobody can say who reads a secret: it is refused
    flock                        a locked byte of the file (msvcrt)
    hard links                   a rename, which Windows refuses where the name is taken
    replacing an open file       it is tried again for two seconds; a store is closed before
    a directory to sync          nothing: NTFS has a journal for its names
    TCP_INFO                     what has left the buffer of a connection counts as taken by the client
    a terminal's attributes      the keyboard functions of msvcrt
    select on a pipe             the pipe is looked at a hundred times a second
"""

from importlib import import_module
from typing import Any


def module_or_none(name: str) -> Any:
    """A module that not every system has, or None."""
    try:
        return import_module(name)
    except ImportError:
        return None
