"""A forked process, with the methods of `subprocess.Popen` that the tests use."""

import os
import signal
import subprocess
import time
from typing import IO

_STEP_S = 0.001


class ForkedProcess:
    """A child of this process, whoever forked it. `returncode` is None until its end was noticed."""

    def __init__(self, pid: int, stdout: IO[bytes] | None = None) -> None:
        self.pid = pid
        self.stdout = stdout
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Its exit code, or minus the number of the signal that killed it; None while it runs."""
        return self._wait(os.WNOHANG)

    def wait(self, timeout: float | None = None) -> int:
        """Wait until it has ended; returns its exit code.

        Raises subprocess.TimeoutExpired.
        """
        until_s = None if timeout is None else time.monotonic() + timeout
        while (code := self._wait(0 if until_s is None else os.WNOHANG)) is None:
            if until_s is not None and time.monotonic() > until_s:
                raise subprocess.TimeoutExpired(["forked"], timeout or 0.0)
            time.sleep(_STEP_S)  # waitpid(2) has no time-out, and no signal is ours to wait for
        return code

    def send_signal(self, number: int) -> None:
        """Send it a signal, if it has not ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Send it SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Kill it."""
        self.send_signal(signal.SIGKILL)

    def _wait(self, options: int) -> int | None:
        if self.returncode is None:
            try:
                pid, status = os.waitpid(self.pid, options)
            except ChildProcessError:  # somebody else has waited for it
                self.returncode = 0
            else:
                if pid == self.pid:
                    self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode
