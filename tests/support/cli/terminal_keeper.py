"""The first process of a terminal: it runs Bash there, and forks a process for each `licet` that is typed.

A command that starts as a program takes half a second of processor time, nearly all of it for imports. This
process is forked by the nursery, and has imported everything. In its shell, `licet` is a small program that
sends its arguments, environment, umask and files here, and ends with the exit status of the forked process.
The forked process is in the same terminal and the same job: it can prompt there, and receives Ctrl-C.
"""

import os
import signal
import socket
import sys
import termios
from collections.abc import Mapping
from fcntl import ioctl
from functools import partial
from pathlib import Path

from support.server import nursing
from support.server.ending import end_after

_TYPED = """\
#!{python} -IS
import os, signal, socket, sys
keeper = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
keeper.connect({address!r})
told = [str(os.getpgrp()), str(os.umask(0o77)), os.getcwd(), str(len(sys.argv) - 1), *sys.argv[1:]]
told += [f"{{key}}={{text}}" for key, text in os.environ.items()]
signal.signal(signal.SIGINT, signal.SIG_IGN)  # of Ctrl-C the other one hears itself
socket.send_fds(keeper, [os.fsencode("\\0".join(told))], [0, 1, 2])
answer = keeper.recv(32)
if answer == b"start it":
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.execv({program!r}, [{program!r}, *sys.argv[1:]])
for number in (signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, lambda number, _: os.kill(int(answer), number))
status = int(keeper.recv(32))
if status < 0:
    signal.signal(-status, signal.SIG_DFL)
    os.kill(os.getpid(), -status)
sys.exit(status)
"""
SOCKET = "keeper"
BASH = ("bash", "--noprofile", "--norc", "--noediting", "-i")
_PROGRAM = str(Path(sys.executable).with_name("licet"))
_ORDER_BYTES_MAX = 1 << 18


def write_typed(directory: Path) -> None:
    """Write the small program `licet` into this directory, beside the socket of this process."""
    program = directory / "licet"
    text = _TYPED.format(python=sys.executable, address=str(directory / SOCKET), program=_PROGRAM)
    program.write_text(text, encoding="utf-8")
    program.chmod(0o700)


def _keep(address: str) -> None:
    """Run Bash in this terminal, and serve its `licet` until it ends."""
    ioctl(0, termios.TIOCSCTTY, 0)
    orders = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    orders.bind(address)
    orders.listen()
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # it is ignored under nohup
    for number in (signal.SIGINT, signal.SIGTTOU):
        signal.signal(number, signal.SIG_IGN)
    if os.fork() == 0:
        os.setpgid(0, 0)
        os.tcsetpgrp(0, os.getpgrp())  # Bash is the foreground job
        for number in (signal.SIGINT, signal.SIGTTOU):
            signal.signal(number, signal.SIG_DFL)
        os.execvp(BASH[0], BASH)  # noqa: S606 - a shell is wanted
    for descriptor in (0, 1, 2):  # only Bash uses the terminal
        os.dup2(os.open(os.devnull, os.O_RDWR), descriptor)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # children are not waited for here
    while True:
        order, _ = orders.accept()
        with order:
            if os.fork() == 0:
                orders.close()
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                signal.signal(signal.SIGHUP, signal.SIG_IGN)  # it must outlive the process it reports on
                end_after(partial(_follow, order))


def _follow(order: socket.socket) -> None:
    """Fork a process for the typed command, and report its exit status."""
    message, descriptors, _, _ = socket.recv_fds(order, _ORDER_BYTES_MAX, 3)
    job, mask, directory, count, *texts = os.fsdecode(message).split("\0")
    arguments, environment = texts[: int(count)], dict(it.split("=", 1) for it in texts[int(count) :])
    if not nursing.can_have(environment):
        order.send(b"start it")
        return
    pid = os.fork()
    if pid == 0:
        order.close()
        os.umask(int(mask))
        _be(int(job), directory, arguments, environment, descriptors)
    order.send(str(pid).encode())
    for descriptor in descriptors:
        os.close(descriptor)
    order.send(str(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])).encode())


def _be(
    job: int, directory: str, arguments: list[str], environment: Mapping[str, str], descriptors: list[int]
) -> None:
    """Run the typed command in this process, and end."""
    try:
        os.setpgid(0, job)
    except PermissionError:  # the command was typed in another terminal, or in none
        os.setsid()
    for number in (signal.SIGINT, signal.SIGTTOU, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    order = nursing.Order(
        environment=dict(environment),
        directory=directory,
        numbers=[0, 1, 2],
        arguments=[_PROGRAM, *arguments],
    )
    nursing.be(order, descriptors)


if __name__ == "__main__":
    _keep(sys.argv[1])
