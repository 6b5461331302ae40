"""An interactive shell in a real terminal, into which a test pastes lines as a user does.

All lines of a block are sent at once, so that a command that prompts takes the next line for its answer, as
in a terminal that pastes line by line. The shell has a pseudo-terminal as its controlling terminal, with job
control and history expansion. Each `licet` is forked there (`terminal_keeper.py`); with `is_executed` it
starts as a program.
"""

import fcntl
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Final

from support.cli import terminal_keeper
from support.server.nursery import Program

PATIENCE_S: Final = 60.0  # how long to wait for what must happen; longer is a failure
LINES, COLUMNS = 50, 200  # so wide that no table folds
_FUNCTION: Final = "BASH_FUNC_licet%%"  # how Bash passes on a function
_DONE: Final = "-- done:"
_CHUNK = 1024  # bytes at a time; a terminal buffers 4096
_CONTROL = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])|\x1b\][^\x07]*\x07|\x1b[=>]|([\r\n])")


class Shell:
    """Bash in a terminal without echo and prompt, so that the screen has only the output of the commands.

    With `variables` in its environment, another Bash forks its `licet` as well.
    """

    def __init__(self, directory: Path, environment: Mapping[str, str], *, is_executed: bool = False) -> None:
        self._screen, other = pty.openpty()
        fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
        attributes = termios.tcgetattr(other)
        attributes[3] &= ~termios.ECHO
        termios.tcsetattr(other, termios.TCSANOW, attributes)
        gone = {"COLUMNS", "LINES"}
        variables = {key: value for key, value in environment.items() if key not in gone}
        variables |= {"TERM": "xterm-256color", "HISTFILE": "/dev/null", "VIRTUAL_ENV_DISABLE_PROMPT": "1"}
        self._typed = Path(mkdtemp(prefix="licet-terminal-"))
        self.variables = {} if is_executed else {_FUNCTION: f'() {{ {self._typed / "licet"} "$@"\n}}'}
        streams: dict[str, Any] = {"stdin": other, "stdout": other, "stderr": other}
        variables |= self.variables
        if is_executed:
            # `close` ends the shell by a hang-up, which is ignored if the tests run under nohup.
            command = ["env", "--default-signal=HUP", "setsid", "--ctty", *terminal_keeper.BASH]
            self._process = subprocess.Popen(command, cwd=directory, env=variables, **streams)
        else:
            terminal_keeper.write_typed(self._typed)
            command = [sys.executable, terminal_keeper.__file__, str(self._typed / terminal_keeper.SOCKET)]
            self._process = Program(command, cwd=directory, env=variables, start_new_session=True, **streams)
        os.close(other)
        self.paste("PS1= PS2=")

    def paste(self, lines: str) -> tuple[str, int]:
        """Paste lines, and return the screen after them with the exit code of the last one."""
        waiting = f"{lines.rstrip()}\nprintf '\\n%s%s\\n' '{_DONE}' $?\n".encode()
        printed = b""
        until_s = time.monotonic() + PATIENCE_S
        while not (found := re.search(rf"{_DONE}(\d+)\r?\n", printed.decode(errors="replace"))):
            writable = [self._screen] if waiting else []
            ready, free, _ = select.select([self._screen], writable, [], max(0.0, until_s - time.monotonic()))
            assert ready or free, f"{lines}\nThe screen has:\n{seen(printed.decode(errors='replace'))}"
            if ready:
                printed += os.read(self._screen, 65_536)
            elif free:
                waiting = waiting[os.write(self._screen, waiting[:_CHUNK]) :]
        text = printed.decode(errors="replace").partition(_DONE)[0]
        return seen(text).strip(), int(found[1])

    def close(self) -> None:
        """Close the terminal, which hangs up all programs in it."""
        os.killpg(self._process.pid, signal.SIGHUP)
        os.close(self._screen)
        try:
            self._process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self._typed)


def seen(text: str) -> str:
    """The text that a terminal shows: without colours, and without what was overwritten or erased."""
    lines: list[list[str]] = [[]]
    row = column = at = 0
    for found in _CONTROL.finditer(text):
        _write(lines[row], column, text[at : found.start()])
        column += found.start() - at
        at = found.end()
        match found[3] or found[2]:
            case "\n":
                row, column = row + 1, 0
                if row == len(lines):
                    lines.append([])
            case "\r":
                column = 0
            case "A":
                row = max(0, row - int(found[1] or 1))
            case "K":
                del lines[row][0 if found[1] == "2" else column :]
            case _:
                pass
    _write(lines[row], column, text[at:])
    return "\n".join("".join(line).rstrip() for line in lines)


def _write(line: list[str], column: int, text: str) -> None:
    line.extend(" " * (column - len(line)))
    line[column : column + len(text)] = text
