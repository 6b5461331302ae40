"""Ends a forked process as an interpreter ends, without running the handlers of its parent."""

import atexit
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import NoReturn


def end_after(work: Callable[[], object]) -> NoReturn:
    """Call this and nothing else, and end."""
    code = 1
    try:
        work()
        code = 0
    except SystemExit as ended:
        code = _code(ended)
    except KeyboardInterrupt:
        sys.excepthook(*sys.exc_info())
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    except BaseException:  # noqa: BLE001 - as the interpreter does
        sys.excepthook(*sys.exc_info())
    finally:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            if stream is not None and not stream.closed:
                stream.flush()
        os._exit(code)


def _code(ended: SystemExit) -> int:
    if ended.code is None or isinstance(ended.code, int):
        return ended.code or 0
    sys.stderr.write(f"{ended.code}\n")
    return 1
