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
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
from rich.progress import Progress

from licet.clock import SystemClock
from licet.credentials import Passwords
from licet.keyring import new_keyring, write_keyring
from licet.store.setup import changing
from licet.store.sqlite import SqliteStore

HERE = Path(__file__).parent
CLIENTS = 1000
SESSIONS = 100_000  # what CLIENTS clients may have at 100 each
CONNECTIONS = 32
FORM = "application/x-www-form-urlencoded"
TARGETS = {"grant": 0.25, "introspect": 0.40}


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
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each")
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
    _set_up(data)
    with _floor() as floor, _licet(data) as licet:
        print(f"start       {licet.start_s:.2f} s to the first answered grant (wanted: below 1.5)")
        urls = (floor, licet.url)
        tokens = _warm_up(licet.url)
        grants = _script(scratch, "token", _grants())
        grant = _compare("grant", urls, grants, plan)
        _check_journal(data, grant["answered"])
        questions = _script(scratch, "introspect", _questions(tokens))
        introspect = _compare("introspect", urls, questions, plan)
        return {
            "machine": platform.platform(),
            "python": platform.python_version(),
            "start_s": licet.start_s,
            "grant": grant,
            "introspect": introspect,
            "memory_mb": _memory(licet, data, grants),
        }


class Running(NamedTuple):
    """A Licet that was started for this run."""

    url: str
    pid: int
    start_s: float


def _set_up(data: Path) -> None:
    data.mkdir(mode=0o700)
    clock = SystemClock()
    write_keyring(data / "secrets.json", new_keyring(clock.now_ms()))
    password_hash = Passwords().hash("password")
    store = SqliteStore(data / "licet.db", clock, create=True)
    with changing(store, "bench") as change:
        tenant = change.add_tenant("Bench", seats=CLIENTS)
        tenant.add_user("BN", name="Bench", password_hash=password_hash)
        for number in range(CLIENTS):
            tenant.add_client(f"Client{number}", user="BN", introspects=number == 0)
    store.close()


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
def _licet(data: Path) -> Iterator[Running]:
    port = _free_port()
    started = time.perf_counter()
    command = [sys.executable, "-m", "licet", "serve", "--data", str(data), "--port", str(port)]
    with (data / "log").open("w") as log:
        process = subprocess.Popen(command, stderr=log)
    try:
        url = f"http://127.0.0.1:{port}/Bench"
        _until_answered(lambda: _grant(url, 0).raise_for_status())
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


def _grant(url: str, number: int) -> httpx.Response:
    return httpx.post(
        f"{url}/token", auth=(f"Client{number}", "password"), data={"grant_type": "client_credentials"}
    )


def _warm_up(url: str) -> list[str]:
    """A token of every client; the first good login of each is hashed, which takes its time once."""
    with ThreadPoolExecutor(8) as pool, Progress(transient=True) as progress:
        answers = progress.track(
            pool.map(lambda number: _grant(url, number), range(CLIENTS)),
            total=CLIENTS,
            description=f"first logins of {CLIENTS} clients",
        )
        return [answer.raise_for_status().json()["access_token"] for answer in answers]


def _grants() -> list[tuple[str, str]]:
    """An Authorization header and a body for each client, in an order that is not the tables'."""
    numbers = [number * 7 % CLIENTS for number in range(CLIENTS)]
    return [(_basic(number), "grant_type=client_credentials") for number in numbers]


def _questions(tokens: Sequence[str]) -> list[tuple[str, str]]:
    return [(_basic(0), f"token={token}") for token in tokens]


def _basic(number: int) -> str:
    return "Basic " + b64encode(f"Client{number}:password".encode()).decode()


def _script(scratch: Path, endpoint: str, requests: Sequence[tuple[str, str]]) -> Path:
    """A script for wrk that sends these requests to an endpoint, one after the other."""
    rows = ",\n".join(f'  {{"{header}", "{body}"}}' for header, body in requests)
    path = scratch / f"{endpoint}.lua"
    path.write_text(
        f"""local rows = {{
{rows}
}}
local requests, at = {{}}, 0
init = function()
  for number, row in ipairs(rows) do
    local headers = {{["Authorization"] = row[1], ["Content-Type"] = "{FORM}"}}
    requests[number] = wrk.format("POST", "/Bench/{endpoint}", headers, row[2])
  end
end
request = function()
  at = at % #requests + 1
  return requests[at]
end
"""
    )
    return path


def _compare(what: str, urls: tuple[str, str], script: Path, plan: Plan) -> dict[str, Any]:
    """Floor and Licet in turn; a first round of each is thrown away."""
    pairs = [tuple(_wrk(url, script, plan.seconds) for url in urls) for _ in range(plan.rounds + 1)]
    floors, licets = zip(*pairs[1:], strict=True)
    floor_rate, rate = (statistics.median(it.rate for it in side) for side in (floors, licets))
    ratio = rate / floor_rate
    spread = sorted(ours.rate / theirs.rate for theirs, ours in pairs[1:])
    print(
        f"{what:11} {rate:8,.0f}/s  p99 {statistics.median(it.p99_ms for it in licets):6.1f} ms"
        f"  floor {floor_rate:8,.0f}/s  p99 {statistics.median(it.p99_ms for it in floors):6.1f} ms"
        f"  ratio {ratio:.2f} ({spread[0]:.2f} to {spread[-1]:.2f}; wanted {TARGETS[what]:.2f})"
    )
    refused = sum(ours.refused for _, ours in pairs)
    if refused:
        sys.exit(f"{refused} requests were refused: the figures are worth nothing")
    return {
        "ratio": ratio,
        "floor": [it._asdict() for it in floors],
        "licet": [it._asdict() for it in licets],
        "answered": sum(ours.requests for _, ours in pairs),
    }


def _wrk(url: str, script: Path, seconds: int) -> Round:
    address = "/".join(url.split("/")[:3])
    command = ["wrk", "--threads", "1", "--connections", str(CONNECTIONS), "--duration", f"{seconds}s"]
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
            _wrk(licet.url, script, 2)
    status = Path(f"/proc/{licet.pid}/status").read_text()
    resident = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert resident is not None
    memory_mb = int(resident[1]) * 1024 / 1e6
    print(f"memory      {memory_mb:.0f} MB with {live:,} live sessions (wanted: below 200)")
    return memory_mb


if __name__ == "__main__":
    main()
