"""Makes the part of docs/explanation/performance.md about what the client library and the guards cost."""

from collections.abc import Iterator, Mapping
from typing import Any

from bench.pages.page import put
from bench.timed.neighbours import APIS, ASKING

MARK = "make bench-page of make bench-neighbours"
_PROGRAMS = {"threads": "`httpx.Client`", "tasks": "`httpx.AsyncClient`"}


def page(text: str, found: Mapping[str, Any]) -> str:
    """The page, with this part replaced."""
    return put(text, "\n".join(_lines(found)), MARK)


def _lines(found: Mapping[str, Any]) -> Iterator[str]:
    machine, options = found["machine"], found["options"]
    yield (
        f"Measured on {found['at']} UTC on {machine['processors']} processors ({machine['processor']}),"
        f" Python {machine['python']}, {found['wrk']}; medians of {options['rounds']} rounds, in brackets"
        f" the least and the most. {options['tokens']} tokens are used in turn."
    )
    yield from (
        "",
        "| an API on uvicorn | | without a guard | with a guard | ratio | introspecting each time | ratio |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
    )
    for name, title in APIS.items():
        row = found["memory"][name]
        asking = f"{row['asking_us']:.0f} us" if name in ASKING else ""
        yield (
            f"| {title} | no network | {row['alone_us']:.1f} us | {row['guarded_us']:.1f} us | {_kept(row)}"
            f" | {asking} | |"
        )
        for count, rates in found["guard"][name].items():
            yield (
                f"| {title} | {count} connections | {rates['alone_rate']:,.0f}/s"
                f" | {rates['guarded_rate']:,.0f}/s | {_kept(rates)} | {_asking(rates, name)} |"
            )
    yield ""
    yield "| a request with | no authentication | a fixed token | `LicetAuth` | cost of `LicetAuth` |"
    yield "| --- | ---: | ---: | ---: | ---: |"
    for name, title in _PROGRAMS.items():
        row = found["client"][name]
        yield (
            f"| {title} | {row['plain_us']:.1f} us | {row['static_us']:.1f} us | {row['licet_us']:.1f} us"
            f" | {row['added_us']:.1f} us ({row['added_least_us']:.1f} to {row['added_most_us']:.1f}) |"
        )
    yield ""


def _asking(rates: Mapping[str, Any], name: str) -> str:
    return f"{rates['asking']['rate']:,.0f}/s | {_kept(rates['asking'])}" if name in ASKING else "|"


def _kept(row: Mapping[str, Any]) -> str:
    return f"{row['ratio']:.2f} ({row['ratio_least']:.2f} to {row['ratio_most']:.2f})"
