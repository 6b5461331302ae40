"""A proxy of the examples before an API, with the configuration as it is there; driven by lines (README.md).

`python -m interop.resource_servers.proxies.proxy nginx`, or `apache`. Only ports, tenant and credentials are
others. The API is in here: it answers who it believes to serve.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from examples.run import API, CONFIGURATIONS, FRONT, LICET, free_port, placed, until_listening

_VERSIONS = {"nginx": ("nginx", "-v"), "apache": ("apache2", "-v")}


class Api(BaseHTTPRequestHandler):
    """An API that answers with what the proxy sends of the caller."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer."""
        setup = {"client": self.headers["X-Licet-Client"], "user": self.headers["X-Licet-User"]}
        body = json.dumps(setup).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET  # noqa: N815 - the name that http.server looks for

    def log_message(self, *_: object) -> None:
        """Keep silent."""


class Proxy:
    """One proxy, in a folder of its own."""

    def __init__(self, name: str, folder: Path) -> None:
        self._name, self._folder = name, folder
        self._running: subprocess.Popen[bytes] | None = None

    def hello(self) -> dict[str, Any]:
        """Which proxy this is."""
        done = subprocess.run(_VERSIONS[self._name], capture_output=True, encoding="utf-8", check=True)
        version = re.search(r"/(\d[\d.]+)", done.stdout + done.stderr)
        return {"library": self._name, "version": version[1] if version else "", "runtime": sys.platform}

    def serve(self, setup: dict[str, Any]) -> dict[str, Any]:
        """Start it."""
        api = ThreadingHTTPServer(("127.0.0.1", 0), Api)
        threading.Thread(target=api.serve_forever, daemon=True).start()
        issuer, port = urlsplit(setup["issuer"]), free_port()
        ports = {LICET: issuer.port or 0, API: api.server_port, FRONT: port}
        command = placed(self._name, self._folder, ports)
        self._name_the_rest(issuer.path.strip("/"), setup["client_id"])
        secret = {"LICET_SECRET": quote(setup["client_secret"], safe="")}
        self._running = subprocess.Popen(command, env=os.environ | secret, stdin=subprocess.DEVNULL, stdout=2)
        until_listening(self._running, port)
        return {"url": f"http://127.0.0.1:{port}"}

    def end(self) -> None:
        """Stop it."""
        if self._running is not None:
            self._running.terminate()
            self._running.wait()

    def _name_the_rest(self, tenant: str, client_id: str) -> None:
        """Put tenant and client where the example has those of the demo."""
        path = self._folder / CONFIGURATIONS[self._name].name
        text = path.read_text(encoding="utf-8").replace("Jim_Test", tenant)
        client = f"client_id={quote(client_id, safe='')}&"
        path.write_text(text.replace("client_id=Api&", client), encoding="utf-8")


def main() -> None:
    """Answer `hello` and `serve`; end with standard input."""
    with tempfile.TemporaryDirectory(prefix="licet-proxy-") as folder:
        proxy = Proxy(sys.argv[1], Path(folder))
        for line in sys.stdin:
            request = json.loads(line)
            answer: dict[str, Any] = {}  # to `age`: its clock does not count
            if request["do"] == "hello":
                answer = proxy.hello()
            elif request["do"] == "serve":
                answer = proxy.serve(request)
            sys.stdout.write(f"{json.dumps({'ok': True, **answer})}\n")
            sys.stdout.flush()
        proxy.end()


if __name__ == "__main__":
    main()
