"""The first process of a terminal: it runs Bash there, and forks each `licet` that is typed: `... ADDRESS`.

A verb that starts as a program takes half a second of the processor, nearly all of it for imports. This
process is forked by the nursery, and so has imported them. What is typed is a small program that passes on
its arguments, its environment, its umask and its files, and then ends as the one that was forked for it.
That one is in the same terminal and the same job: it may ask there, and hears of Ctrl-C.
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
    """Make the program in this directory, beside the socket by which it orders."""
    program = directory / "licet"
    text = _TYPED.format(python=sys.executable, address=str(directory / SOCKET), program=_PROGRAM)
    program.write_text(text, encoding="utf-8")
    program.chmod(0o700)


def _keep(address: str) -> None:
    """Run Bash in this terminal, until it ends."""
    ioctl(0, termios.TIOCSCTTY, 0)
    orders = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    orders.bind(address)
    orders.listen()
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # which nohup has its programs ignore
    for number in (signal.SIGINT, signal.SIGTTOU):
        signal.signal(number, signal.SIG_IGN)
    if os.fork() == 0:
        os.setpgid(0, 0)
        os.tcsetpgrp(0, os.getpgrp())  # the keyboard is for this job
        for number in (signal.SIGINT, signal.SIGTTOU):
            signal.signal(number, signal.SIG_DFL)
        os.execvp(BASH[0], BASH)  # noqa: S606 - it is one
    for descriptor in (0, 1, 2):  # the terminal is Bash's
        os.dup2(os.open(os.devnull, os.O_RDWR), descriptor)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody is waited for here
    while True:
        order, _ = orders.accept()
        with order:
            if os.fork() == 0:
                orders.close()
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                signal.signal(signal.SIGHUP, signal.SIG_IGN)  # it says how the other one ends of it
                end_after(partial(_follow, order))


def _follow(order: socket.socket) -> None:
    """Fork what was typed, and say how it ended."""
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
    """Be what was typed, and end."""
    try:
        os.setpgid(0, job)
    except PermissionError:  # it was typed in another terminal, or in none
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
