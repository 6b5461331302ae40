"""Makes the generated part of docs/explanation/scale.md, and its charts, from a result of `scale`.

It ends with the estimate for a hundred million sessions, and with the simulation of a shard of them.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bench.pages.page import CHARTS, NAMES, ROOT, put
from bench.pages.svg import Line, lines
from bench.simulation import paper
from bench.timed.scale import CURVES, NODES

PAGE = ROOT / "docs" / "explanation" / "scale.md"
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


def files(found: Mapping[str, Any], simulation: Mapping[str, Any]) -> dict[Path, str]:
    """The page and its charts; the estimate is left out if there is no simulation."""
    made = {PAGE: put(PAGE.read_text(encoding="utf-8"), "\n".join(_page(found, simulation)))}
    for name in found["curves"]:
        made[CHARTS / f"scale-{name}.svg"] = _nodes_chart(found) if name == "nodes" else _chart(found, name)
    if "sessions" in found["curves"]:
        made[CHARTS / "scale-memory.svg"] = _memory_chart(found)
    return made


def _page(found: Mapping[str, Any], simulation: Mapping[str, Any]) -> Iterator[str]:
    machine = found["machine"]
    yield (
        f"Measured on {found['at']} UTC on {machine['processors']} processors ({machine['processor']}),"
        f" Python {machine['python']}, SQLite {machine['sqlite']}; medians of {found['rounds']} rounds."
        " Processor time is that of the server's processes, after the plus that of the database."
    )
    for name in (*CURVES, "nodes"):
        if name in found["curves"]:
            yield from _nodes(found) if name == "nodes" else _curve(found, name)
            if later := found.get("later", {}).get(name):
                yield from ("", f"Measured on {later['at']} UTC; medians of {later['rounds']} rounds.")
    if simulation:
        yield from paper.table(simulation)


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
