"""Licet against the floor of its HTTP server, in one run: `make bench`.

The floor is the smallest application on the same server (floor.py). Floor and Licet are measured in turn,
several rounds of each, by wrk on the same machine; what counts is the ratio of their medians. Answers are
checked: wrk counts the refused ones, and the journal must have as many grants as were answered.
Every grant is durable: SQLite, WAL, `synchronous=FULL`, on the disk that holds the temporary directory.
"""

import argparse
import json
import platform
import re
import shutil
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx

from licet.clock import SystemClock
from licet.credentials import ClientSecrets
from licet.keyring import new_keyring, write_keyring
from licet.store.setup import changing
from licet.store.sqlite import SqliteStore

HERE = Path(__file__).parent
CLIENTS = 1000
SESSIONS = 100_000  # what CLIENTS clients may have at 100 each
CONNECTIONS = (32, 64, 128)
FORM = "application/x-www-form-urlencoded"
FREE, FULL = "Free", "Full"
TARGETS = {"grant": "; wanted 0.25", "introspect": "; wanted 0.40"}


class Plan(NamedTuple):
    """How many rounds of each, and how long one is."""

    rounds: int
    seconds: int


class Round(NamedTuple):
    """What wrk says of one round: requests answered, a second, the 99th percentile in ms, refused ones."""

    requests: int
    rate: float
    p99_ms: float
    refused: int


def main() -> None:
    """Measure, print and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each")
    parser.add_argument("--seconds", type=int, default=4, help="length of a round")
    options = parser.parse_args()
    if shutil.which("wrk") is None:
        sys.exit("make bench needs wrk, a load generator: apt-get install wrk, or brew install wrk")
    with tempfile.TemporaryDirectory(prefix="licet-bench-") as scratch:
        figures = _measure(Path(scratch), Plan(options.rounds, options.seconds))
    results = HERE / "results"
    results.mkdir(exist_ok=True)
    path = results / f"{time.strftime('%Y%m%d-%H%M%S')}.json"
    path.write_text(json.dumps(figures, indent=2))
    print(f"\nKept in {path.relative_to(HERE.parent)}")


def _measure(scratch: Path, plan: Plan) -> dict[str, object]:
    data = scratch / "data"
    secrets = _set_up(data)
    with _floor() as floor, _licet(data, secrets[FREE][0]) as licet:
        print(f"start       {licet.start_s:.2f} s to the first answered grant (wanted: below 1.5)")
        print("            connections, requests answered a second, and the slowest of a hundred")
        urls = (floor, licet.url)
        script = _script(scratch / "grants.lua", f"/{FREE}/token", _grants(secrets[FREE]))
        grants = [_compare("grant", urls, script, plan, it) for it in CONNECTIONS]
        _check_journal(data, sum(it["answered"] for it in grants))
        script = _script(
            scratch / "questions.lua", f"/{FREE}/introspect", _questions(licet.url, secrets[FREE])
        )
        questions = [_compare("introspect", urls, script, plan, it) for it in CONNECTIONS]
        script = _script(scratch / "full.lua", f"/{FULL}/token", _grants(secrets[FULL]))
        memory_mb = _memory(licet, data, script)
        return {
            "machine": platform.platform(),
            "python": platform.python_version(),
            "start_s": licet.start_s,
            "grant": grants,
            "introspect": questions,
            "memory_mb": memory_mb,
            "superseding": [_compare("superseding", urls, script, plan, it) for it in CONNECTIONS],
        }


class Running(NamedTuple):
    """A Licet that was started for this run."""

    url: str
    pid: int
    start_s: float


def _set_up(data: Path) -> dict[str, list[str]]:
    """Two tenants of the same clients; returns their secrets.

    In the one a client may have as many sessions as it likes. In the other it is at its limit of 100 soon,
    and each grant then ends its oldest session as well.
    """
    data.mkdir(mode=0o700)
    clock = SystemClock()
    keyring = new_keyring(clock.now_ms())
    write_keyring(data / "secrets.json", keyring)
    client_secrets = ClientSecrets(keyring.pepper)
    secrets: dict[str, list[str]] = {FREE: [], FULL: []}
    store = SqliteStore(data / "licet.db", clock, create=True)
    with changing(store, "bench") as change:
        for name, sessions_max in ((FREE, 100_000), (FULL, 100)):
            tenant = change.add_tenant(name, seats=CLIENTS)
            tenant.add_user("BN", name="Bench")
            for number in range(CLIENTS):
                secret = client_secrets.generate()
                secrets[name].append(secret.secret)
                tenant.add_client(
                    f"Client{number}", secret, user="BN", introspects=number == 0, sessions_max=sessions_max
                )
    store.close()
    return secrets


@contextmanager
def _floor() -> Iterator[str]:
    port = _free_port()
    command = [sys.executable, "-m", "uvicorn", "floor:app", "--port", str(port), "--http", "httptools"]
    command += [
        "--loop",
        "uvloop",
        "--ws",
        "none",
        "--lifespan",
        "off",
        "--no-access-log",
        "--log-level",
        "error",
    ]
    command += ["--no-server-header", "--no-proxy-headers"]
    process = subprocess.Popen(command, cwd=HERE)
    try:
        url = f"http://127.0.0.1:{port}"
        _until_answered(lambda: httpx.post(url, data={"grant_type": "x"}))
        yield url
    finally:
        process.terminate()
        process.wait()


@contextmanager
def _licet(data: Path, secret: str) -> Iterator[Running]:
    port = _free_port()
    started = time.perf_counter()
    command = [sys.executable, "-m", "licet", "serve", "--data", str(data), "--port", str(port)]
    with (data / "log").open("w") as log:
        process = subprocess.Popen(command, stderr=log)
    try:
        url = f"http://127.0.0.1:{port}/{FREE}"
        _until_answered(lambda: _grant(url, 0, secret).raise_for_status())
        yield Running(url, process.pid, time.perf_counter() - started)
    finally:
        process.terminate()
        process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _until_answered(ask: Callable[[], object]) -> None:
    give_up = time.perf_counter() + 20
    while True:
        try:
            ask()
        except httpx.TransportError:
            if time.perf_counter() > give_up:
                raise
        else:
            return


def _grant(url: str, number: int, secret: str) -> httpx.Response:
    form = {"grant_type": "client_credentials"}
    return httpx.post(f"{url}/token", auth=(f"Client{number}", secret), data=form)


def _grants(secrets: Sequence[str]) -> list[tuple[str, str]]:
    """An Authorization header and a body for each client, in an order that is not the tables'."""
    numbers = [number * 7 % CLIENTS for number in range(CLIENTS)]
    return [(_basic(number, secrets[number]), "grant_type=client_credentials") for number in numbers]


def _questions(url: str, secrets: Sequence[str]) -> list[tuple[str, str]]:
    """Is this token live? Of one token of every client."""
    answers = [_grant(url, number, secret) for number, secret in enumerate(secrets)]
    return [(_basic(0, secrets[0]), f"token={it.json()['access_token']}") for it in answers]


def _basic(number: int, secret: str) -> str:
    return "Basic " + b64encode(f"Client{number}:{secret}".encode()).decode()


def _script(path: Path, address: str, requests: Sequence[tuple[str, str]]) -> Path:
    """A script for wrk that sends these requests to an address, one after the other."""
    rows = ",\n".join(f'  {{"{header}", "{body}"}}' for header, body in requests)
    path.write_text(
        f"""local rows = {{
{rows}
}}
local requests, at = {{}}, 0
init = function()
  for number, row in ipairs(rows) do
    local headers = {{["Authorization"] = row[1], ["Content-Type"] = "{FORM}"}}
    requests[number] = wrk.format("POST", "{address}", headers, row[2])
  end
end
request = function()
  at = at % #requests + 1
  return requests[at]
end
"""
    )
    return path


def _compare(what: str, urls: tuple[str, str], script: Path, plan: Plan, connections: int) -> dict[str, Any]:
    """Floor and Licet in turn; a first round of each is thrown away."""
    pairs = [
        tuple(_wrk(url, script, plan.seconds, connections) for url in urls) for _ in range(plan.rounds + 1)
    ]
    floors, licets = zip(*pairs[1:], strict=True)
    floor_rate, rate = (statistics.median(it.rate for it in side) for side in (floors, licets))
    ratio = rate / floor_rate
    spread = sorted(ours.rate / theirs.rate for theirs, ours in pairs[1:])
    print(
        f"{what:11} {connections:4}  {rate:8,.0f}/s"
        f"  p99 {statistics.median(it.p99_ms for it in licets):6.1f} ms"
        f"  floor {floor_rate:8,.0f}/s  p99 {statistics.median(it.p99_ms for it in floors):6.1f} ms"
        f"  ratio {ratio:.2f} ({spread[0]:.2f} to {spread[-1]:.2f}{TARGETS.get(what, '')})"
    )
    refused = sum(ours.refused for _, ours in pairs)
    if refused:
        sys.exit(f"{refused} requests were refused: the figures are worth nothing")
    return {
        "connections": connections,
        "ratio": ratio,
        "floor": [it._asdict() for it in floors],
        "licet": [it._asdict() for it in licets],
        "answered": sum(ours.requests for _, ours in pairs),
    }


def _wrk(url: str, script: Path, seconds: int, connections: int) -> Round:
    address = "/".join(url.split("/")[:3])
    command = ["wrk", "--threads", "1", "--connections", str(connections), "--duration", f"{seconds}s"]
    done = subprocess.run(
        [*command, "--latency", "--script", str(script), address], check=True, capture_output=True, text=True
    )
    return _round(done.stdout)


def _round(text: str) -> Round:
    requests = re.search(r"(\d+) requests in", text)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", text)
    p99 = re.search(r"99%\s+([\d.]+)(us|ms|s)", text)
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    assert requests is not None
    assert rate is not None
    assert p99 is not None
    unit_ms = {"us": 0.001, "ms": 1.0, "s": 1000.0}[p99[2]]
    return Round(
        requests=int(requests[1]),
        rate=float(rate[1]),
        p99_ms=float(p99[1]) * unit_ms,
        refused=int(refused[1]) if refused else 0,
    )


def _check_journal(data: Path, answered: int) -> None:
    """Every grant that was answered is in the journal; a round's last ones may be there unanswered."""
    with closing(sqlite3.connect(data / "licet.db")) as connection:
        (granted,) = connection.execute("SELECT sum(times) FROM journal WHERE kind = 'granted'").fetchone()
    if granted < answered:
        sys.exit(f"{answered} grants were answered and {granted} are in the journal")
    print(f"            {answered:,} grants answered, {granted:,} in the journal")


def _memory(licet: Running, data: Path, script: Path) -> float:
    """Resident memory of the server in MB once it holds SESSIONS live sessions."""
    with closing(sqlite3.connect(data / "licet.db")) as connection:
        while True:
            (live,) = connection.execute("SELECT count(*) FROM session").fetchone()
            if live >= SESSIONS:
                break
            _wrk(licet.url, script, 2, CONNECTIONS[0])
    status = Path(f"/proc/{licet.pid}/status").read_text()
    resident = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert resident is not None
    memory_mb = int(resident[1]) * 1024 / 1e6
    print(f"memory      {memory_mb:.0f} MB with {live:,} live sessions (wanted: below 200)")
    return memory_mb


if __name__ == "__main__":
    main()
