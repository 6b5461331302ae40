"""The part of docs/explanation/scale.md that is made from a result, and its charts.

It ends with the arithmetic to a hundred million sessions: made here, so that it follows what was measured.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.page import CHARTS, NAMES, ROOT, put
from bench.scale import CURVES, NODES
from bench.svg import Line, lines

PAGE = ROOT / "docs" / "explanation" / "scale.md"
_TARGET = 100_000_000  # sessions
_RENEWED_EVERY_S = 600  # as long as an access token lives
_LASTS_S = 3_600  # a guess: a session is used for an hour
_SHARD_SESSIONS = 5_000_000
_BATCH = 32
_PARTS = (("server", "server"), ("direct", "commit"))
_PARTS_OF_SEATS = (("server", "denied"), ("direct", "take, give"))
_WHAT = {
    "sessions": "Live sessions of 10,000 clients, of which 1,000 send grants in turn.",
    "tenants": "Tenants that share 10,000 clients; all clients send grants in turn, so a batch of 32 grants"
    " is of as many tenants as possible.",
    "clients": "Clients of one tenant, each with a session and a seat; up to 10,000 send grants in turn.",
    "seats": "Seats of one pool. The commit alone is of grants that take the last seats and logoffs that give"
    " them back, one of each; the grants of the whole server are denied, because the pool is full.",
}


def files(found: Mapping[str, Any]) -> dict[Path, str]:
    """What the page and its charts should be."""
    made = {PAGE: put(PAGE.read_text(encoding="utf-8"), "\n".join(_page(found)))}
    for name in found["curves"]:
        made[CHARTS / f"scale-{name}.svg"] = _nodes_chart(found) if name == "nodes" else _chart(found, name)
    if "sessions" in found["curves"]:
        made[CHARTS / "scale-memory.svg"] = _memory_chart(found)
    return made


def _page(found: Mapping[str, Any]) -> Iterator[str]:
    machine = found["machine"]
    yield (
        f"Measured on {found['at']} UTC on {machine['processors']} processors ({machine['processor']}),"
        f" Python {machine['python']}, SQLite {machine['sqlite']}; medians of {found['rounds']} rounds."
        " Processor time is that of the server's processes, after the plus that of the database."
    )
    for name in CURVES:
        if name in found["curves"]:
            yield from _curve(found, name)
    if "nodes" in found["curves"]:
        yield from _nodes(found)
    if "sessions" in found["curves"]:
        yield from _paper(found)


def _curve(found: Mapping[str, Any], name: str) -> Iterator[str]:
    title = CURVES[name].title
    yield from ("", f"### {title[0].upper()}{title[1:]}", "", _WHAT[name], "")
    yield f"![Processor time by {title}](charts/scale-{name}.svg)"
    yield ""
    if name == "sessions":
        yield from ("![Memory by live sessions](charts/scale-memory.svg)", "")
    yield (
        f"| {title} | store | commit alone | elapsed time | log | whole server | requests a second"
        " | memory above an empty server |"
    )
    yield "| ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: |"
    for kind, points in found["curves"][name].items():
        for point in points:
            straight, server = point["direct"], point["server"]
            yield (
                f"| {point['at']:,} | {NAMES[kind]} | {_cpu(straight)} | {straight['wall_us']:.0f} us"
                f" | {straight['log_bytes'] / 1000:.1f} kB | {_cpu(server)} | {server['rate']:,.0f}"
                f" | {_above(found, kind, point):.0f} MB |"
            )


def _cpu(taken: Mapping[str, float]) -> str:
    database = f" + {taken['database_cpu_us']:.0f}" if taken["database_cpu_us"] else ""
    return f"{taken['cpu_us']:.0f}{database} us"


def _above(found: Mapping[str, Any], kind: str, point: Mapping[str, Any]) -> float:
    return max(0.0, float(point["resident_mb"]) - float(found["empty_mb"][kind]))


def _nodes(found: Mapping[str, Any]) -> Iterator[str]:
    yield from ("", "### Nodes", "")
    yield (
        f"One to {NODES} nodes on one PostgreSQL, each with 32 connections of its own, all on the same"
        " processors: a second node adds no processors, only more waiting. So the result is how little more a"
        " grant takes, and whether one pool for all nodes is as good as a pool for each."
    )
    yield from ("", "![Processor time by nodes](charts/scale-nodes.svg)", "")
    yield "| nodes | grants are of | grants a second | processor time of a grant | 99th percentile |"
    yield "| ---: | --- | ---: | ---: | ---: |"
    for points in found["curves"]["nodes"].values():
        for point in points:
            server = point["server"]
            yield (
                f"| {point['at']} | {point['whose']} | {server['rate']:,.0f} | {_cpu(server)}"
                f" | {server['p99_ms']:.1f} ms |"
            )


def _chart(found: Mapping[str, Any], name: str) -> str:
    parts = _PARTS_OF_SEATS if name == "seats" else _PARTS
    series = [
        Line(f"{NAMES[kind]}, {what}", [(point["at"], _all_us(point[part])) for point in points])
        for kind, points in found["curves"][name].items()
        for part, what in parts
    ]
    title = CURVES[name].title
    return lines(f"Processor time of a request, by {title}", title, "us, database included", series)


def _all_us(taken: Mapping[str, float]) -> float:
    return float(taken["cpu_us"] + taken["database_cpu_us"])


def _memory_chart(found: Mapping[str, Any]) -> str:
    series = [
        Line(NAMES[kind], [(point["at"], _above(found, kind, point)) for point in points])
        for kind, points in found["curves"]["sessions"].items()
    ]
    return lines(
        "Memory above an empty server, by live sessions", "live sessions", "MB, all processes", series
    )


def _nodes_chart(found: Mapping[str, Any]) -> str:
    points: list[dict[str, Any]] = [point for some in found["curves"]["nodes"].values() for point in some]
    series = [
        Line(whose, [(point["at"], _all_us(point["server"])) for point in points if point["whose"] == whose])
        for whose in ("one pool", "own pools")
    ]
    return lines("Processor time of a grant, by nodes", "nodes", "us, database included", series)


def _paper(found: Mapping[str, Any]) -> Iterator[str]:
    """The arithmetic, of PostgreSQL where that was measured."""
    kind = "postgres" if "postgres" in found["curves"]["sessions"] else "sqlite"
    points: Sequence[Mapping[str, Any]] = found["curves"]["sessions"][kind]
    least, most = points[0], points[-1]
    session_bytes = (most["store_bytes"] - least["store_bytes"]) / max(1, most["at"] - least["at"])
    grant_us, log_bytes = _all_us(most["server"]), most["direct"]["log_bytes"]
    database_us = most["server"]["database_cpu_us"]
    shards = _TARGET // _SHARD_SESSIONS
    renewals, grants = _TARGET / _RENEWED_EVERY_S, _TARGET / _LASTS_S
    writes = renewals + 2 * grants
    yield from ("", f"### The arithmetic to {_TARGET:,} sessions", "")
    yield "| quantity | assumption | in all | per shard |"
    yield "| --- | --- | ---: | ---: |"
    for what, how, total, unit in (
        ("sessions", f"{_SHARD_SESSIONS:,} for each shard", _TARGET, ""),
        (
            "bytes",
            f"{session_bytes:,.0f} for each session, with indexes",
            _TARGET * session_bytes / 1e9,
            " GB",
        ),
        ("renewals a second", f"each session every {_RENEWED_EVERY_S} s", renewals, ""),
        ("grants a second, and as many endings", f"a session is used for {_LASTS_S} s", grants, ""),
        ("log", f"{log_bytes:,.0f} bytes for each of these writes", writes * log_bytes / 1e6, " MB/s"),
        ("syncs a second", f"a batch of {_BATCH} is one", writes / _BATCH, ""),
        (
            "processors of Licet",
            f"{grant_us - database_us:.0f} us a write",
            writes * (grant_us - database_us) / 1e6,
            "",
        ),
        ("processors of databases", f"{database_us:.0f} us a write", writes * database_us / 1e6, ""),
    ):
        yield f"| {what} | {how} | {_number(total)}{unit} | {_number(total / shards)}{unit} |"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:,.1f}"
