"""The page of the benchmarks has peers beside Licet, and says which of them are missing."""

import json
from collections.abc import Mapping
from typing import Any

from bench.measured.stores import KINDS
from bench.measured.targets import FLOOR
from bench.pages import page
from bench.peers.running import INSTALLED
from support.paths import ROOT


def test_a_page_has_a_peer_beside_both_stores_and_says_who_is_not_there() -> None:
    text = "\n".join(page._peers(_result()))
    assert ".." not in text
    assert "| introspection | 10,000 | fast (stores nothing) | 1,000 | 0.10 | 2.0 ms | 40 us" in text
    assert "| kept | 100 | 0.01 | 2.0 ms | 40 + 60 us | 50.0 times as fast | 20.0 times as fast |" in text
    assert "- gone: cannot be installed: no network." in text
    assert "- broken: does not start. bench/it: no port in .installed/it.jar. log log " in text
    assert "log [more]." in text
    assert str(INSTALLED.parent) not in text
    assert "- wrong, introspection, 10,000 clients: stopped. 401." in text
    assert "- kept, introspection, 10,000 clients: 3 of the grants it answered were not stored." in text
    assert "- **kept** 1.0: One process. On disk for a grant: a row." in text
    assert "- **fast** 2.0: Two processes. On disk for a grant: nothing." in text


def test_the_kept_run_describes_each_peer_that_it_has_figures_of() -> None:
    """Else the page has nothing of any of them."""
    run = json.loads((ROOT / "bench" / "results" / "kept-run.json").read_text(encoding="utf-8"))
    measured = {name for cell in run["peer_cells"] for name in cell["targets"]} - {FLOOR, *KINDS}
    assert measured
    assert measured <= {peer["name"] for peer in run["peers"]}


def _result() -> Mapping[str, Any]:
    def target(rate: float, database_cpu_us: float = 0.0) -> dict[str, Any]:
        told = {"rate": rate, "ratio": rate / 10_000, "p99_ms": 2.0, "cpu_us": 40.0}
        return told | {"database_cpu_us": database_cpu_us}

    return {
        "peers": [
            {"name": "kept", "version": "1.0", "settings": "One process.", "durable": "a row"},
            {"name": "fast", "version": "2.0", "settings": "Two processes", "durable": ""},
        ],
        "peers_missing": {"gone": "cannot be installed:\nno network"},
        "peers_faulty": {"broken": f"{page.ROOT}/bench/it: no port in {INSTALLED}/it.jar.\n" + "log " * 1000},
        "peer_cells": [
            {
                "scenario": "introspect",
                "connections": 32,
                "clients": 10_000,
                "targets": {
                    FLOOR: target(10_000),
                    "sqlite": target(5_000),
                    "postgres": target(2_000, 10.0),
                    "kept": target(100, 60.0),
                    "fast": target(1_000),
                },
                "left": {"wrong": "401."},
                "lost": {"kept": 3},
            }
        ],
    }
