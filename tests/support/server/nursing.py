"""The process from which servers and programs of tests are forked: `python nursing.py FD`.

It has imported what they need, and compiled statements and templates. For each order that comes by the socket
FD it forks a process; what that is to have for its standard output and so on comes with the order.
"""

import fcntl
import gc
import importlib
import importlib.util
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import msgspec

if __name__ == "__main__":  # as a script, it adds `tests` to the path itself
    sys.path[0] = str(Path(__file__).parents[2])

from licet.clock import SystemClock
from licet.store.opening import SQLITE_NAME
from licet.store.sqlite.store import SqliteStore
from support.once import command_trees, statement_cache, template_cache, tls_context
from support.server import served
from support.server.ending import end_after

COMMAND: Final = (sys.executable, "-W", "error", __file__)
ORDER_BYTES_MAX: Final = 1 << 20
DESCRIPTORS_MAX: Final = 8

_PID_BYTES: Final = 32
_OF_THE_START: Final = ("PYTHON", "LANG", "LC_")
_LATER: Final = {"PYTHONUNBUFFERED": ""}
_ABOVE: Final = 200  # no process of tests gives a descriptor with such a number
_NEEDED: Final = (
    "licet.admin.app",
    "licet.admin.http",
    "licet.server.alerting",
    "licet.server.housekeeping",
    "licet.telemetry.metrics",
    *(f"licet.cli.look.{name}" for name in ("alerts", "journal", "seats", "session", "token", "usage")),
    *(f"licet.cli.run.{name}" for name in ("check", "demo", "init", "migrate", "serve", "serving")),
    *(f"licet.cli.set_up.{name}" for name in ("admin", "client", "key", "pool", "scope", "setup_file")),
    *(f"licet.cli.set_up.{name}" for name in ("tenant", "user", "webhook")),
    *(f"licet.cli.vendor.{name}" for name in ("keys", "listing", "reading", "signing", "verbs")),
)


class Order(msgspec.Struct):
    """An order for a process: its environment, its directory, and the numbers of its descriptors, in order.

    `arguments` are those of an interpreter, like `-m licet serve`; it is a server where there are none.
    """

    environment: dict[str, str]
    directory: str
    numbers: list[int]
    arguments: list[str]
    has_session: bool = False


def _nurse(orders: socket.socket) -> None:
    """Fork a process for each order, until the connection for orders is closed."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())  # it may have been started where some are held back
    for module in _NEEDED:
        importlib.import_module(module)  # a server imports some of them as well, a little later
    _compile()
    gc.collect()
    gc.freeze()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it ends with who orders
    while True:
        message, descriptors, _, _ = socket.recv_fds(orders, ORDER_BYTES_MAX, DESCRIPTORS_MAX)
        if not message:
            return
        order = msgspec.msgpack.decode(message, type=Order)
        # The child of a child: when the first one has ended, it is the child of who ordered it.
        reading, writing = os.pipe()
        first = os.fork()
        if first == 0:
            first_pid, ordered = os.getpid(), os.fork()
            if ordered == 0:
                orders.close()
                os.close(reading)
                os.close(writing)
                _be(order, descriptors, first_pid)
            os.write(writing, str(ordered).encode())
            os._exit(0)
        os.waitpid(first, 0)
        orders.send(os.read(reading, _PID_BYTES))
        for descriptor in (*descriptors, reading, writing):
            os.close(descriptor)


def _compile() -> None:
    """Compile what a server compiles at its first use."""
    from licet.admin.pages.frame import _templates  # noqa: PLC0415 - a server that is executed imports it later
    from support.server import ready_admin  # noqa: PLC0415 - as above

    ready_admin.prepare()
    template_cache.share()
    templates = _templates()
    for name in templates.list_templates():
        templates.get_template(name)
    command_trees.share()
    command_trees.make()
    statement_cache.share()
    tls_context.share()
    with tempfile.TemporaryDirectory(prefix="licet-nursery-") as directory:
        SqliteStore(Path(directory) / SQLITE_NAME, SystemClock(), create=True).close()


def can_have(variables: Mapping[str, str]) -> bool:
    """Whether a forked process can still have this environment: an interpreter reads some when it starts."""
    told = {key: text for key, text in variables.items() if key.startswith(_OF_THE_START)}
    here = {key: text for key, text in os.environ.items() if key.startswith(_OF_THE_START)}
    return told | _LATER == here | _LATER


def _be(order: Order, descriptors: list[int], first: int) -> None:
    """Run the order when the parent of this process is gone, and end."""
    while os.getppid() == first:
        os.sched_yield()
    be(order, descriptors)


def be(order: Order, descriptors: list[int]) -> None:
    """Run the order, and end."""
    if order.has_session:
        os.setsid()
    above = [fcntl.fcntl(it, fcntl.F_DUPFD_CLOEXEC, _ABOVE) for it in descriptors]
    for descriptor in descriptors:
        os.close(descriptor)
    for descriptor, number in zip(above, order.numbers, strict=True):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(order.environment)
    time.tzset()
    os.chdir(order.directory)
    if order.arguments:
        end_after(lambda: _run(order.arguments))
    sys.argv = [served.__file__]
    end_after(served.serve)


def _run(arguments: Sequence[str]) -> None:
    """Act as an interpreter with these arguments."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _open_streams()
    main = ModuleType("__main__")
    sys.modules["__main__"] = main
    code, sys.argv = _program(arguments)
    main.__file__ = sys.argv[0]
    exec(code, vars(main))  # noqa: S102 - a program of ours


def _program(arguments: Sequence[str]) -> tuple[Any, list[str]]:
    """The code and the arguments of the program, with its own directory first in the module path."""
    match arguments:
        case ["-m", name, *rest]:
            sys.path[0] = str(Path.cwd())
            spec = importlib.util.find_spec(name)
            if spec is not None and spec.submodule_search_locations is not None:
                spec = importlib.util.find_spec(f"{name}.__main__")
            assert spec is not None
            assert spec.origin is not None
            loader: Any = spec.loader
            return loader.get_code(spec.name), [spec.origin, *rest]
        case ["-c", text, *rest]:
            sys.path[0] = ""
            return compile(text, "<string>", "exec"), ["-c", *rest]
        case [path, *rest]:
            sys.path[0] = str(Path(path).parent)
            return compile(Path(path).read_text(encoding="utf-8"), path, "exec"), [path, *rest]
    raise AssertionError(arguments)


def _open_streams() -> None:
    """Make the standard streams of a new interpreter: the old ones are set up for other descriptors."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        old: Any = getattr(sys, name)
        by_line = number == 2 or os.isatty(number)
        new: Any = open(  # noqa: SIM115 - for the rest of the process
            number,
            mode,
            buffering=1 if by_line else -1,
            encoding=old.encoding,
            errors=old.errors,
            closefd=False,
        )
        if mode == "w" and os.environ.get("PYTHONUNBUFFERED"):
            new.reconfigure(write_through=True)
        setattr(sys, name, new)
        setattr(sys, f"__{name}__", new)


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[-1])) as ordered_by:
        _nurse(ordered_by)
