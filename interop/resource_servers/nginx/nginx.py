"""nginx with auth_request before an API that is nginx too; driven by a line (README.md)."""

import json
import re
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

_CONFIGURATION = Path(__file__).with_name("nginx.conf")
_START_S = 30.0
_STEP_S = 0.01


def main() -> None:
    """Answer `hello` and `serve`; end with standard input."""
    with tempfile.TemporaryDirectory(prefix="licet-nginx-") as folder:
        Path(folder).chmod(0o711)  # nginx leaves root, and is to reach its socket
        running = None
        for line in sys.stdin:
            request = json.loads(line)
            answer: dict[str, Any] = {}
            if request["do"] == "hello":
                answer = _hello()
            elif request["do"] == "serve":
                running, url = _serve(Path(folder), request)
                answer = {"url": url}
            sys.stdout.write(f"{json.dumps({'ok': True, **answer})}\n")
            sys.stdout.flush()
        if running is not None:
            running.terminate()
            running.wait()


def _hello() -> dict[str, Any]:
    told = subprocess.run(("nginx", "-v"), capture_output=True, encoding="utf-8", check=True).stderr
    version = re.search(r"nginx/(\S+)", told)
    return {"library": "nginx", "version": version[1] if version else told, "runtime": sys.platform}


def _serve(folder: Path, request: dict[str, Any]) -> tuple["subprocess.Popen[bytes]", str]:
    licet = urlsplit(request["verify_url"])
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    filled = {"port": port, "folder": folder, "licet": licet.netloc, "tenant": licet.path.split("/")[1]}
    text = re.sub("@([a-z]+)@", lambda it: str(filled[it[1]]), _CONFIGURATION.read_text(encoding="utf-8"))
    (folder / "nginx.conf").write_text(text, encoding="utf-8")
    command = ("nginx", "-p", f"{folder}/", "-c", str(folder / "nginx.conf"), "-e", "stderr")
    running = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    _wait_for(port)
    return running, f"http://127.0.0.1:{port}"


def _wait_for(port: int) -> None:
    """Return when it listens; nginx tells nobody."""
    until_s = time.monotonic() + _START_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            if time.monotonic() > until_s:
                raise
            time.sleep(_STEP_S)
        else:
            return


if __name__ == "__main__":
    main()
