"""Measures what Licet costs its users: an API with a guard, and a program with `LicetAuth`.

An API gets requests with a guard and without, in turn; a real Licet is behind the guard. If the pool of the
tokens has a hold, the guard remembers each token, and introspects it again from time to time as it does in
production. If the pool has none, the guard introspects at each request, and Licet's work is a part of the
result, as they share the machine. A guard that counts the seats of a signed pool is compared with one that
does not, for the same tokens.
First this is measured without a network, in one process, as processor time of a request: that of the HTTP
server, the application and the guard. Then wrk measures it, which adds the cost and the noise of the network.

Programs make requests that stay in their process: in turn without authentication, with a static token, and
with `LicetAuth`, which holds a token. The figure is again processor time.
"""

import asyncio
import importlib
import itertools
import os
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import uvloop
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from bench.counted.signed import sign_pools
from bench.counted.work import Connection, config
from bench.measured import machine
from bench.measured.stores import Kind, keyring
from bench.measured.targets import Target, asgi, licet
from bench.measured.tenants import DAY_S, MANY, Plan, Site, tokens_of
from bench.measured.wire import Request, ask_all
from bench.timed import wrk
from licet.client import LicetAuth
from licet.model import HOLD_S_MAX
from licet.setup.change import changing

KEPT_LEAST = 0.85  # share of its rate that an API keeps with a guard
COUNTING_LEAST = 0.97  # share of its rate that an API keeps when its guard counts seats
ADDED_MOST_US = 50.0  # processor time that LicetAuth adds to a request
CONNECTIONS = (32, 128)
TOKENS = 20  # an API gets them in turn
APIS = {
    "smallest": "the smallest ASGI application",
    "fastapi": "FastAPI with the middleware",
    "depending": "FastAPI with the dependency",
}
_BOUND = ("smallest", "fastapi")  # not `depending`: FastAPI itself costs more there than the guard
ASKING = ("smallest", "fastapi")  # also measured with a guard that introspects at each request
ASKED = "Asked"  # the tenant whose pool has no hold
SIGNED = "Signed"  # the tenant whose pool is signed
_ASKED_REQUESTS = 500
_REQUESTS = 2000  # in a round without a network
_CALLS = 500  # in a round of a program
_API = "http://api.localhost"


class Base(NamedTuple):
    """A running Licet: its set-up, the tokens of each tenant, and the vendor's file of public keys."""

    site: Site
    url: str
    tokens: Mapping[str, Sequence[str]]
    vendor: bytes

    def tenant_url(self, tenant: str) -> str:
        """The URL of a tenant."""
        return f"{self.url}/{tenant}"


class Length(NamedTuple):
    """How many rounds count, and the length of each."""

    rounds: int
    seconds: int


def measure_counting(kind: Kind, length: Length, directory: Path) -> dict[str, Any]:
    """Measure only what it costs a guard to count seats."""
    wrk.must_be_there()
    with _licet(kind) as base:
        return {"memory": {}, "guard": {}, "client": {}, "counting": _counting(base, length, directory)}


def measure(kind: Kind, length: Length, directory: Path) -> dict[str, Any]:
    """Measure everything, and return the content of the result file."""
    found: dict[str, Any] = {
        "wrk": wrk.must_be_there(),
        "at": time.strftime("%Y-%m-%d %H:%M", time.gmtime()),
        "machine": machine.describe(directory),
        "options": length._asdict() | {"connections": CONNECTIONS, "tokens": TOKENS},
    }
    with _licet(kind) as base:
        found["memory"] = _in_memory(base, length.rounds)
        found["counting"] = _counting(base, length, directory)
        found["guard"] = {name: _guard(base, name, length, directory) for name in APIS}
        found["client"] = {
            name: _summary_of_calls(run(base, length.rounds)) for name, run in _PROGRAMS.items()
        }
    return found


def report(found: Mapping[str, Any]) -> Iterator[str]:
    """The result, in lines."""
    for name, row in found["memory"].items():
        yield (
            f"{APIS[name]}, without a network: {row['alone_us']:.1f} us, {row['guarded_us']:.1f} guarded:"
            f" keeps {row['ratio']:.2f} ({row['ratio_least']:.2f} to {row['ratio_most']:.2f})"
        )
        if name in ASKING:
            yield f"{APIS[name]}, without a network: {row['asking_us']:.0f} us, asking each time"
    for name, row in found.get("counting", {}).items():
        where = "without a network" if name == "memory" else f"{name} connections"
        yield (
            f"behind a guard that counts, {where}: keeps {row['ratio']:.3f}"
            f" ({row['ratio_least']:.3f} to {row['ratio_most']:.3f})"
        )
    for name, connections in found["guard"].items():
        for count, row in connections.items():
            yield (
                f"{APIS[name]}, {count} connections: {row['alone_rate']:,.0f}/s, {row['guarded_rate']:,.0f}"
                f" guarded: keeps {row['ratio']:.2f} ({row['ratio_least']:.2f} to {row['ratio_most']:.2f})"
            )
            if name in ASKING:
                asking = row["asking"]
                yield (
                    f"{APIS[name]}, {count} connections: {asking['rate']:,.0f}/s asking each time: keeps"
                    f" {asking['ratio']:.2f} ({asking['ratio_least']:.2f} to {asking['ratio_most']:.2f})"
                )
    for name, row in found["client"].items():
        yield (
            f"a request of {name}: {row['plain_us']:.1f} us, {row['static_us']:.1f} with a token that never"
            f" changes, {row['licet_us']:.1f} with LicetAuth: {row['added_us']:.1f} more than the first"
        )


def missed(found: Mapping[str, Any]) -> Iterator[str]:
    """The bounds that were missed, in sentences."""
    for name, row in found["memory"].items():
        if name in _BOUND and row["ratio"] < KEPT_LEAST:
            yield f"{APIS[name]} keeps {row['ratio']:.2f} of its rate, and not {KEPT_LEAST}."
    if (row := found.get("counting", {}).get("memory")) and row["ratio"] < COUNTING_LEAST:
        yield f"Behind a guard that counts an API keeps {row['ratio']:.3f}, and not {COUNTING_LEAST}."
    for name, row in found["client"].items():
        if row["added_us"] > ADDED_MOST_US:
            yield f"LicetAuth adds {row['added_us']:.0f} us to a request of {name}."


@contextmanager
def _licet(kind: Kind) -> Iterator[Base]:
    keys = keyring()
    site, place = Site(keys, [Plan(MANY, TOKENS), Plan(ASKED, TOKENS), Plan(SIGNED, TOKENS)]), kind.make(keys)
    site.fill(place)
    vendor = sign_pools(place, [SIGNED])
    store = place.open()
    with changing(store, "bench") as change:
        change.tenant(MANY).set_pool("full", hold_s=min(DAY_S, HOLD_S_MAX))
    store.close()
    with licet(kind, place) as target:
        tokens = {}
        for tenant in (MANY, ASKED, SIGNED):
            grants = [site.grant(tenant, number) for number in range(TOKENS)]
            tokens[tenant] = [it.access for it in tokens_of(ask_all(target.url, grants))]
        yield Base(site, target.url, tokens, vendor)


def _requests(base: Base, tenant: str = MANY) -> list[Request]:
    return [Request("GET", "/jobs", (("Authorization", f"Bearer {token}"),)) for token in base.tokens[tenant]]


def _variables(base: Base) -> dict[str, str]:
    return {
        "TENANT_URL": base.tenant_url(MANY),
        "SECRET": base.site.api_secret(MANY),
        "ASKING_URL": base.tenant_url(ASKED),
        "ASKING_SECRET": base.site.api_secret(ASKED),
        "SIGNED_URL": base.tenant_url(SIGNED),
        "SIGNED_SECRET": base.site.api_secret(SIGNED),
        "VENDOR": base.vendor.decode(),
    }


def _in_memory(base: Base, rounds: int) -> dict[str, Any]:
    """Each API without a network: processor time of a request, without a guard and with one."""
    with _named(_variables(base)), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        api = importlib.import_module("bench.measured.api")
        rows, asked = (
            [request.raw("api.example") for request in _requests(base, tenant)] for tenant in (MANY, ASKED)
        )
        found = {}
        for name in APIS:
            apps = [getattr(api, name), getattr(api, f"{name}_guarded")]
            pairs = runner.run(_turns(apps, rows, rounds))
            ratios = sorted(without / ours for without, ours in pairs)
            found[name] = _summary_of_ratios(ratios) | {
                "alone_us": statistics.median(without for without, _ in pairs),
                "guarded_us": statistics.median(ours for _, ours in pairs),
                "rounds": pairs,
            }
            if name in ASKING:
                turns = runner.run(_turns([getattr(api, f"{name}_asking")], asked, rounds, _ASKED_REQUESTS))
                found[name]["asking_us"] = statistics.median(it for (it,) in turns)
        for guard in (api.guard, api.asking):
            runner.run(guard.aclose())
    return found


def _counting(base: Base, length: Length, directory: Path) -> dict[str, Any]:
    """An API behind a guard that counts, in turn with one behind a guard that does not."""
    names = ("smallest_seated", "smallest_counting")
    with _named(_variables(base)), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        api = importlib.import_module("bench.measured.api")
        rows = [request.raw("api.example") for request in _requests(base, SIGNED)]
        pairs = runner.run(_turns([getattr(api, name) for name in names], rows, length.rounds))
        for guard in (api.seated, api.counting):
            runner.run(guard.aclose())
    found = _summary_of_ratios(sorted(without / ours for without, ours in pairs)) | {"rounds": pairs}
    with ExitStack() as stack:
        apis = [
            Api(
                stack.enter_context(asgi(name, f"api:{name}", directory, _variables(base))),
                _requests(base, SIGNED),
            )
            for name in names
        ]
        return {"memory": found} | {
            str(count): _in_turn(apis, count, length, directory) for count in CONNECTIONS
        }


async def _turns(
    apps: Sequence[Any], rows: Sequence[bytes], rounds: int, requests: int = _REQUESTS
) -> list[list[float]]:
    connections = [Connection(config(app, HttpToolsProtocol), asyncio.get_running_loop()) for app in apps]
    found = [
        [await _turn(connection, rows, requests) for connection in connections] for _ in range(rounds + 1)
    ]
    return found[1:]  # the first warms up


async def _turn(connection: Connection, rows: Sequence[bytes], requests: int) -> float:
    answers = [await connection.ask(it) for it in rows]  # introspects tokens that the guard has forgotten
    assert all(answer.startswith(b"HTTP/1.1 200 ") for answer in answers), answers
    began = time.process_time()
    for row in itertools.islice(itertools.cycle(rows), requests):
        await connection.ask(row)
    return (time.process_time() - began) * 1e6 / requests


@contextmanager
def _named(variables: Mapping[str, str]) -> Iterator[None]:
    """Set these environment variables for the block."""
    os.environ.update(variables)
    try:
        yield
    finally:
        for name in variables:
            del os.environ[name]


def _guard(base: Base, name: str, length: Length, directory: Path) -> dict[str, Any]:
    """Measure an API with wrk, in turn without a guard and with one."""
    with ExitStack() as stack:
        kinds = {name: MANY, f"{name}_guarded": MANY} | ({f"{name}_asking": ASKED} if name in ASKING else {})
        apis = [
            Api(
                stack.enter_context(asgi(app, f"api:{app}", directory, _variables(base))),
                _requests(base, tenant),
            )
            for app, tenant in kinds.items()
        ]
        for api in apis[1:]:
            _must_guard(api.target.url)
        return {str(count): _in_turn(apis, count, length, directory) for count in CONNECTIONS}


class Api(NamedTuple):
    """A running API, and the requests to it."""

    target: Target
    requests: Sequence[Request]


def _in_turn(apis: Sequence[Api], connections: int, length: Length, directory: Path) -> dict[str, Any]:
    """The rates of an API without a guard, with one, and with one that always introspects, if given."""
    rounds = [
        [_round(api.target, api.requests, connections, length.seconds, directory) for api in apis]
        for _ in range(length.rounds + 1)
    ][1:]  # the first warms up
    alone, guarded, *more = ([rate.rate for rate in rates] for rates in zip(*rounds, strict=True))
    found = _summary_of_ratios(_kept(guarded, alone)) | {
        "alone_rate": statistics.median(alone),
        "guarded_rate": statistics.median(guarded),
        "rounds": [[answer._asdict() for answer in each] for each in rounds],
    }
    for asking in more:
        found["asking"] = _summary_of_ratios(_kept(asking, alone)) | {"rate": statistics.median(asking)}
    return found


def _kept(ours: Sequence[float], alone: Sequence[float]) -> list[float]:
    return sorted(rate / without for rate, without in zip(ours, alone, strict=True))


def _summary_of_ratios(ratios: Sequence[float]) -> dict[str, Any]:
    return {"ratio": statistics.median(ratios), "ratio_least": ratios[0], "ratio_most": ratios[-1]}


def _must_guard(url: str) -> None:
    [answer] = ask_all(url, [Request("GET", "/jobs", ())])
    assert answer.status == HTTPStatus.UNAUTHORIZED, answer


def _round(
    target: Target, requests: Sequence[Request], connections: int, seconds: int, directory: Path
) -> wrk.Round:
    """Measure one round, after a check that the API answers each request with 200."""
    rows = wrk.write_rows(directory / f"{target.name}.rows", target.url, requests)
    assert all(it.status == HTTPStatus.OK for it in ask_all(target.url, requests))
    found = wrk.load(target.url, rows, connections=connections, seconds=seconds)
    assert found.answers, target.name
    assert not found.refused + found.broken, found
    return found


class _Static(httpx.Auth):
    """Adds a static token: the lower bound of what `LicetAuth` can cost."""

    def __init__(self, token: str) -> None:
        self._authorization = f"Bearer {token}"

    def auth_flow(self, request: httpx.Request) -> Iterator[httpx.Request]:  # type: ignore[override]
        """Add the token to the request."""
        request.headers["Authorization"] = self._authorization
        yield request


class Calls(NamedTuple):
    """Processor time of a call in us, for each round: plain, with a static token, with LicetAuth."""

    plain_us: Sequence[float]
    static_us: Sequence[float]
    licet_us: Sequence[float]


def _auths(base: Base) -> tuple[LicetAuth, list[httpx.Auth | None]]:
    secret = base.site.secret(MANY, 0)
    auth = LicetAuth(base.tenant_url(MANY), "Client0", secret, api=_API, allow_http=True)
    return auth, [None, _Static(base.tokens[MANY][0]), auth]


def _answer(request: httpx.Request) -> httpx.Response:
    assert "authorization" in request.headers or request.url.path == "/open"
    return httpx.Response(HTTPStatus.OK)


def _threads(base: Base, rounds: int) -> Calls:
    """The calls of a `Client`."""
    auth, auths = _auths(base)
    with auth, httpx.Client(transport=httpx.MockTransport(_answer)) as http:
        times: list[list[float]] = [[], [], []]
        for number, (used, kept) in itertools.product(range(rounds + 1), zip(auths, times, strict=True)):
            url = f"{_API}/jobs" if used else f"{_API}/open"
            began = time.process_time()
            for _ in range(_CALLS):
                http.get(url, auth=used)
            if number:
                kept.append((time.process_time() - began) * 1e6 / _CALLS)
    return Calls(*times)


def _tasks(base: Base, rounds: int) -> Calls:
    """The calls of an `AsyncClient`."""
    return asyncio.run(_in_tasks(base, rounds))


async def _in_tasks(base: Base, rounds: int) -> Calls:
    auth, auths = _auths(base)
    async with auth, httpx.AsyncClient(transport=httpx.MockTransport(_answer)) as http:
        times: list[list[float]] = [[], [], []]
        for number, (used, kept) in itertools.product(range(rounds + 1), zip(auths, times, strict=True)):
            url = f"{_API}/jobs" if used else f"{_API}/open"
            began = time.process_time()
            for _ in range(_CALLS):
                await http.get(url, auth=used)
            if number:
                kept.append((time.process_time() - began) * 1e6 / _CALLS)
    return Calls(*times)


_PROGRAMS: dict[str, Callable[[Base, int], Calls]] = {"threads": _threads, "tasks": _tasks}


def _summary_of_calls(calls: Calls) -> dict[str, Any]:
    """Medians of the times, and median and extremes of the time that LicetAuth adds."""
    added = sorted(ours - plain for ours, plain in zip(calls.licet_us, calls.plain_us, strict=True))
    return {
        **{name: statistics.median(times) for name, times in calls._asdict().items()},
        "added_us": statistics.median(added),
        "added_least_us": added[0],
        "added_most_us": added[-1],
        "rounds": calls._asdict(),
    }
