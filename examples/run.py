"""Run an example: Licet's demo, the jobs API, and what stands between them and everybody else.

.venv/bin/python examples/run.py nginx      # or apache, or guard
"""

import argparse
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

HERE = Path(__file__).parent
LICET, API, FRONT = 8080, 8001, 8000  # as the files of the examples have them
SECRET = {"LICET_SECRET": "password"}  # of the demo
PATIENCE_S = 60.0
CONFIGURATIONS = {"nginx": HERE / "nginx" / "nginx.conf", "apache": HERE / "apache" / "apache.conf"}
COMMANDS = {
    "nginx": ("nginx", "-p", "{}", "-c", "nginx.conf"),
    "apache": ("apache2", "-d", "{}", "-f", "apache.conf", "-D", "FOREGROUND"),
}


def placed(name: str, directory: Path, ports: Mapping[int, int]) -> list[str]:
    """Put a configuration into a directory, with other ports; the command that runs it."""
    text = CONFIGURATIONS[name].read_text(encoding="utf-8")
    text = re.sub(r"(?<=127\.0\.0\.1:)\d+", lambda found: str(ports.get(int(found[0]), found[0])), text)
    (directory / CONFIGURATIONS[name].name).write_text(text, encoding="utf-8")
    directory.chmod(0o755)  # its workers are somebody else
    return [part.format(directory) for part in COMMANDS[name]]


def free_port() -> int:
    """One that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def until_listening(process: "subprocess.Popen[bytes]", port: int) -> None:
    """Return when somebody listens there. Raises AssertionError."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        assert process.poll() is None, "what was started has ended"
        assert time.monotonic() < deadline, f"nobody listens on {port}"
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return


def main() -> None:
    """Run one until Ctrl-C."""
    parser = argparse.ArgumentParser(description="Run an example until Ctrl-C.")
    parser.add_argument("name", choices=[*CONFIGURATIONS, "guard"])
    parser.add_argument("--port", type=int, default=FRONT, help="of the protected API")
    asked = parser.parse_args()
    if asked.name in COMMANDS and shutil.which(COMMANDS[asked.name][0]) is None:
        sys.exit(f"{COMMANDS[asked.name][0]} is missing; examples/README.md says what to install")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # what it started ends with it
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="licet-example-")))
        licet, api = free_port(), free_port()
        url = f"http://127.0.0.1:{licet}/Jim_Test"
        demo = ("demo", "--port", str(licet), "--admin-port", "0", "--data", str(directory / "licet"))
        _start(stack, [sys.executable, "-m", "licet", *demo], licet)
        if asked.name == "guard":
            command = [sys.executable, str(HERE / "jobs_api" / "with_guard.py"), str(asked.port), url]
        else:
            _start(stack, [sys.executable, str(HERE / "jobs_api" / "jobs.py"), str(api)], api)
            command = placed(asked.name, directory, {LICET: licet, API: api, FRONT: asked.port})
        front = _start(stack, command, asked.port)
        print(_WORDS.format(url=url, port=asked.port), flush=True)
        try:
            front.wait()
        except KeyboardInterrupt:
            print()


def _start(stack: ExitStack, command: Sequence[str], port: int) -> "subprocess.Popen[bytes]":
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(command, env={**os.environ, **SECRET}, stdout=quiet, stderr=quiet)
    stack.callback(process.wait, PATIENCE_S)
    stack.callback(process.terminate)
    until_listening(process, port)
    return process


_WORDS = """\
The jobs API is at http://127.0.0.1:{port}/jobs, and lets nobody in without a token. Get one, and call it:

  token() {{ curl -s -u "$1:password" -d grant_type=client_credentials -d scope=$2 {url}/token |
    sed 's/.*"access_token":"\\([^"]*\\)".*/\\1/'; }}
  curl -i -H "Authorization: Bearer $(token TestClientId all)" -d '{{"title": "Mow"}}' http://127.0.0.1:{port}/jobs
  curl -i -H "Authorization: Bearer $(token Client1 view)" http://127.0.0.1:{port}/jobs
  curl -i -H "Authorization: Bearer $(token Client1 view)" -d '{{"title": "Mow"}}' http://127.0.0.1:{port}/jobs

Ctrl-C ends it."""


if __name__ == "__main__":
    main()
