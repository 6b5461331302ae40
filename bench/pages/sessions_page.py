"""Makes the part of docs/explanation/scale.md about each kind of request with very many live sessions."""

from collections.abc import Iterator, Mapping
from typing import Any

from bench.pages.page import NAMES, put

MARK = "make bench-page of make bench-sessions"


def page(text: str, found: Mapping[str, Any]) -> str:
    """The page, with this part replaced."""
    return put(text, "\n".join(_lines(found)), MARK)


def _lines(found: Mapping[str, Any]) -> Iterator[str]:
    machine, counts = found["machine"], found["counts"]
    yield (
        f"Measured on {machine['processors']} processors ({machine['processor']}), Python"
        f" {machine['python']}, SQLite {machine['sqlite']}. How many times the cost with {counts[0]:,}"
        " sessions each is was taken of each round: given are the median, and in brackets the least and the"
        " most."
    )
    heads = [f"{counts[0]:,} sessions", *(f"{count:,} | times" for count in counts[1:])]
    for kind, of_kind in found["stores"].items():
        sizes = ", ".join(map(_size, of_kind["bytes"]))
        yield ""
        yield (
            f"{NAMES[kind]}, whose stores have {sizes}; {of_kind['rounds']} rounds on {of_kind['at']} UTC:"
        )
        yield ""
        yield f"| request | {' | '.join(heads)} |"
        yield "| --- |" + " ---: |" * (2 * len(counts) - 1)
        for name, (fewest, *points) in of_kind["requests"].items():
            yield f"| {name} | {' | '.join([_cpu(fewest), *map(_cells, points)])} |"
    yield ""


def _cells(point: Mapping[str, float]) -> str:
    ratio = f"{point['ratio']:.2f} ({point['ratio_least']:.2f} to {point['ratio_most']:.2f})"
    return f"{_cpu(point)} | {ratio}"


def _cpu(taken: Mapping[str, float]) -> str:
    database = f" + {taken['database_cpu_us']:,.0f}" if taken["database_cpu_us"] else ""
    return f"{taken['cpu_us']:,.0f}{database} us"


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"
