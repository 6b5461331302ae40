"""Makes the generated part of docs/explanation/performance.md, and its charts, from a result of `run`.

It is between the lines `<!-- made by ... -->` and `<!-- end -->`; the rest of the page is written by hand.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from textwrap import shorten
from typing import Any

from bench.measured import pythons
from bench.measured.targets import FLOOR
from bench.pages.svg import Bar, bars
from bench.peers.running import INSTALLED, TOKENS
from bench.timed import floods
from bench.timed.scenarios import SCENARIOS

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "explanation" / "performance.md"
CHARTS = ROOT / "docs" / "explanation" / "charts"
CONNECTIONS = 32  # of the first table and the charts
NAMES = {"sqlite": "SQLite", "postgres": "PostgreSQL"}


def put(page: str, made: str, by: str = "make bench-page") -> str:
    """The page, with the part that `by` makes replaced."""
    place = re.compile(rf"(<!-- made by {by} -->\n).*?(<!-- end -->)", re.DOTALL)
    assert place.search(page), "the page has no place for what is made"
    return place.sub(lambda found: f"{found[1]}\n{made}\n{found[2]}", page, count=1)


def files(found: Mapping[str, Any]) -> dict[Path, str]:
    """The page and its charts."""
    return {
        PAGE: put(PAGE.read_text(encoding="utf-8"), "\n".join(_page(found))),
        CHARTS / "of-the-floor.svg": _chart(found, "ratio"),
        CHARTS / "slowest.svg": _chart(found, "p99_ms"),
    }


def _page(found: Mapping[str, Any]) -> Iterator[str]:
    yield from _machine(found)
    yield ""
    yield "![Requests a second, as a share of the floor's](charts/of-the-floor.svg)"
    yield ""
    yield from _main_table(found)
    yield ""
    yield "![The 99th percentile of response times](charts/slowest.svg)"
    yield ""
    yield from _ratio_table(found)
    if found.get("python_cells"):
        yield ""
        titles = {name: scenario.title for name, scenario in SCENARIOS.items()}
        yield from pythons.table(found, NAMES, titles)
    if found.get("floods"):
        yield ""
        yield from floods.table(found["floods"], NAMES)
    if found.get("peers"):
        yield ""
        yield from _peers(found)


def _machine(found: Mapping[str, Any]) -> Iterator[str]:
    machine, options = found["machine"], found["options"]
    yield (
        f"Measured on {found['at']} UTC on {machine['processors']} processors ({machine['processor']}), which"
        f" the load generator shares; {machine['system']} {machine['kernel']}, Python {machine['python']}"
        f" ({machine['python_build']}), SQLite {machine['sqlite']}, {found['wrk']}. A sync to disk"
        f" took {machine['sync_ms']:.2f} ms. {options['rounds']} rounds of {options['seconds']} s each, in"
        " turn, after a round that warms up and is checked."
    )
    for kind, settings in found["stores"].items():
        starts = found["start_s"][kind]
        yield ""
        yield (
            f"{NAMES[kind]}: {settings}. From its start to its first grant a server takes"
            f" {min(starts):.2f} to {max(starts):.2f} s."
        )


def _main_table(found: Mapping[str, Any]) -> Iterator[str]:
    cells = [cell for cell in found["cells"] if cell["connections"] == CONNECTIONS and cell["clients"] > 1]
    yield f"At {CONNECTIONS} connections, by {found['options']['many']:,} clients in turn:"
    yield ""
    yield (
        "| request | store | requests a second | of the floor | 99th percentile | times the floor's"
        " | processor time of a request |"
    )
    yield "| --- | --- | ---: | ---: | ---: | ---: | ---: |"
    for cell in cells:
        floor = cell["targets"][FLOOR]
        for kind, name in NAMES.items():
            if (target := cell["targets"].get(kind)) is not None:
                database = f" + {target['database_cpu_us']:.0f}" if target["database_cpu_us"] else ""
                yield (
                    f"| {SCENARIOS[cell['scenario']].title} | {name} | {target['rate']:,.0f}"
                    f" | {_share(target['ratio'])}"
                    f" ({_share(target['ratio_least'])} to {_share(target['ratio_most'])})"
                    f" | {target['p99_ms']:.1f} ms | {target['p99_ms'] / floor['p99_ms']:.1f}"
                    f" | {target['cpu_us']:.0f}{database} us |"
                )
    yield ""
    rates = [of["targets"][FLOOR]["rate"] for of in cells]
    cpu = [of["targets"][FLOOR]["cpu_us"] for of in cells]
    yield (
        f"The floor answered {min(rates):,.0f} to {max(rates):,.0f} requests a second, with {min(cpu):.0f} to"
        f" {max(cpu):.0f} us of processor time each. Processor time is that of all processes of the server,"
        " after the plus that of the database: on a noisy machine it is steadier than a rate."
    )


def _ratio_table(found: Mapping[str, Any]) -> Iterator[str]:
    options = found["options"]
    stores = [kind for kind in NAMES if kind in found["stores"]]
    across = [(kind, connections) for kind in stores for connections in options["connections"]]
    yield "Requests a second as a share of the floor's, at each number of connections:"
    yield ""
    yield "| request | clients | " + " | ".join(f"{NAMES[kind]}, {count}" for kind, count in across) + " |"
    yield "| --- | ---: |" + " ---: |" * len(across)
    for name in options["scenarios"]:
        for clients in options["clients"]:
            cells = {
                cell["connections"]: cell["targets"]
                for cell in found["cells"]
                if cell["scenario"] == name and cell["clients"] == clients
            }
            if cells:
                ratios = [
                    _share(cells[count][kind]["ratio"]) if count in cells else "" for kind, count in across
                ]
                yield f"| {SCENARIOS[name].title} | {clients:,} | " + " | ".join(ratios) + " |"


def _peers(found: Mapping[str, Any]) -> Iterator[str]:
    """The set-up of each peer, and its comparison for each kind of request."""
    store_nothing = {peer["name"] for peer in found["peers"] if not peer["durable"]}
    yield (
        f"Other servers, on the same work in the same rounds, at {CONNECTIONS} connections. They"
        " store data in a PostgreSQL of their own on this machine; its processor time is after the plus."
        f" They introspect and refresh {TOKENS:,} tokens at most, Licet more."
    )
    yield ""
    yield (
        "| request | clients | server | requests a second | of the floor | 99th percentile"
        " | processor time of a request | Licet on SQLite is | Licet on PostgreSQL is |"
    )
    yield "| --- | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: |"
    for cell in _peer_cells(found):
        targets = cell["targets"]
        for name, target in sorted(targets.items(), key=lambda pair: -pair[1]["rate"]):
            is_peer = name != FLOOR and name not in NAMES
            who = f"{_name(name)} (stores nothing)" if name in store_nothing else _name(name)
            times = [_times(targets.get(kind), target) if is_peer else "" for kind in NAMES]
            yield (
                f"| {SCENARIOS[cell['scenario']].title} | {cell['clients']:,} | {who}"
                f" | {_rate(target['rate'])} | {_share(target['ratio'])} | {_ms(target['p99_ms'])}"
                f" | {_cpu(target)}"
                f" | {times[0]} | {times[1]} |"
            )
    yield ""
    yield from _absent(found)
    for peer in found["peers"]:
        durable = peer["durable"] or "nothing"
        settings = _sentence(peer["settings"])
        yield f"- **{peer['name']}** {peer['version']}: {settings} On disk for a grant: {durable}."


def _absent(found: Mapping[str, Any]) -> Iterator[str]:
    """The peers that are missing in the table, with the reasons; and figures that cannot be trusted."""
    lines = [f"{name}: {_reason(why)}" for name, why in found.get("peers_missing", {}).items()]
    lines += [
        f"{name}: does not start. {_reason(why)}" for name, why in found.get("peers_faulty", {}).items()
    ]
    for cell in _peer_cells(found):
        where = f"{SCENARIOS[cell['scenario']].title}, {cell['clients']:,} clients"
        lines += [f"{name}, {where}: stopped. {_reason(why)}" for name, why in cell["left"].items()]
        lines += [
            f"{name}, {where}: {lost:,} of the grants it answered were not stored."
            for name, lost in cell["lost"].items()
        ]
    if lines:
        yield "Not measured, or not to be trusted:"
        yield ""
        yield from (f"- {line}" for line in lines)
        yield ""


def _peer_cells(found: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [cell for cell in found["peer_cells"] if cell["connections"] == CONNECTIONS]


def _times(ours: Mapping[str, Any] | None, target: Mapping[str, Any]) -> str:
    """How many times as fast as this peer Licet is."""
    return f"{ours['rate'] / target['rate']:,.1f} times as fast" if ours else ""


def _cpu(target: Mapping[str, Any]) -> str:
    database = f" + {target['database_cpu_us']:,.0f}" if target["database_cpu_us"] else ""
    return f"{target['cpu_us']:,.0f}{database} us"


def _rate(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 100 else f"{rate:.1f}"


def _ms(ms: float) -> str:
    return f"{ms:,.1f} ms" if ms < 100 else f"{ms:,.0f} ms"


def _reason(text: str) -> str:
    """The beginning of an error text, which may be a log, without paths of this machine."""
    for directory in (INSTALLED.parent, ROOT):
        text = text.replace(f"{directory}/", "")
    return _sentence(shorten(text, 200, placeholder=" [more]"))


def _sentence(text: str) -> str:
    """A text in one line that ends with one full stop."""
    return " ".join(text.split()).rstrip(".") + "."


def _share(ratio: float) -> str:
    """A number with two significant digits."""
    return f"{ratio:.2f}" if ratio >= 0.095 else f"{ratio:.2g}"


def _name(target: str) -> str:
    return f"Licet on {NAMES[target]}" if target in NAMES else target


def _chart(found: Mapping[str, Any], measure: str) -> str:
    cells = [cell for cell in found["cells"] if cell["connections"] == CONNECTIONS and cell["clients"] > 1]
    rows = [bar for cell in cells for bar in _bars(cell, measure)]
    title = f"at {CONNECTIONS} connections, {found['options']['many']:,} clients"
    what = (
        "Requests a second, as a share of the floor's"
        if measure == "ratio"
        else "99th percentile of response times, in ms"
    )
    names = list(NAMES.values()) if measure == "ratio" else [*NAMES.values(), "", "", "floor"]
    return bars(f"{what}, {title}", names, rows)


def _bars(cell: Mapping[str, Any], measure: str) -> Iterator[Bar]:
    targets, label = cell["targets"], cell["scenario"]
    for number, kind in enumerate(NAMES):
        if kind not in targets:
            continue
        target = targets[kind]
        if measure == "ratio":
            yield Bar(
                label,
                number,
                target["ratio"],
                _share(target["ratio"]),
                target["ratio_least"],
                target["ratio_most"],
            )
        elif label != "password":  # another order of magnitude, on purpose: Argon2id
            yield Bar(label, number, target["p99_ms"], f"{target['p99_ms']:.1f} ms")
    if measure != "ratio" and label != "password":
        yield Bar(label, 4, targets[FLOOR]["p99_ms"], f"{targets[FLOOR]['p99_ms']:.1f} ms")


def write(made: Mapping[Path, str]) -> Sequence[Path]:
    """Write the files that have changed; return which."""
    changed = [path for path, text in made.items() if not path.exists() or path.read_text("utf-8") != text]
    for path in changed:
        path.parent.mkdir(exist_ok=True)
        path.write_text(made[path], encoding="utf-8")
    return changed
