"""Parts of a run of the benchmark: good clients beside floods, with bounds, and another Python."""

import sys
from pathlib import Path
from typing import Any

import pytest

from bench.measured import pythons
from bench.timed import floods
from bench.timed.flood import KEPT_LEAST, LIMITED
from bench.timed.passwords_flood import LIMITED as PASSWORDS_LIMITED

STORES = {"sqlite": "SQLite", "postgres": "PostgreSQL"}
OPEN = "without limits on failed attempts"


def secrets(kept: float, flood: str = LIMITED) -> dict[str, Any]:
    """What good clients kept beside wrong secrets."""
    return {
        "flood": flood,
        "beside_live": 1000.0,
        "beside_flood": 1000 * kept,
        "kept": kept,
        "kept_least": kept - 0.01,
        "kept_most": kept + 0.01,
    }


def passwords(*first_s: float, refused: int = 0) -> dict[str, Any]:
    """What good clients waited for beside wrong passwords."""
    return {"flood": PASSWORDS_LIMITED, "first_s": [*first_s], "again_s": [0.01], "refused": refused}


class TestFloods:
    """What a run says of them."""

    @pytest.mark.parametrize(
        ("found", "missed"),
        [
            ({"secrets sqlite": [secrets(KEPT_LEAST), secrets(0.1, OPEN)]}, 0),
            ({"secrets sqlite": [secrets(KEPT_LEAST - 0.01)]}, 1),
            ({"secrets sqlite": [secrets(0.9)], "secrets postgres": [secrets(0.6)]}, 1),
            ({"passwords": [passwords(0.3, 1.9)]}, 0),
            ({"passwords": [passwords(0.3, 2.0)]}, 1),
            ({"passwords": [passwords(0.3, refused=1)]}, 1),
            ({}, 0),
        ],
    )
    def test_a_bound_that_is_missed_is_said(self, found: dict[str, Any], missed: int) -> None:
        """On each store, and only of floods that meet the limits as they are."""
        assert len([*floods.missed(found)]) == missed

    def test_the_page_has_each_flood_with_what_was_kept(self) -> None:
        """And the slowest password."""
        found = {"secrets postgres": [secrets(0.93)], "passwords": [passwords(0.3, 0.4)]}
        page = "\n".join(floods.table(found, STORES))
        assert f"| {LIMITED} | PostgreSQL | 930 | 1,000 | 0.93 (0.92 to 0.94) |" in page
        assert f"| {PASSWORDS_LIMITED} | 400 ms | 10 ms | 0 |" in page
        assert "| SQLite |" not in page


class TestPythons:
    """The other interpreter."""

    def test_the_one_that_measures_can_be_asked(self) -> None:
        """With the packages that it has."""
        found = pythons.probed(Path(sys.executable))
        assert found is not None
        assert found.version == ".".join(map(str, sys.version_info[:3]))

    def test_one_that_is_not_there_or_cannot_import_licet_is_none(self, tmp_path: Path) -> None:
        """Whatever the reason."""
        broken = tmp_path / "python"
        broken.write_text("#!/bin/sh\nexit 1\n")
        broken.chmod(0o700)
        assert pythons.probed(broken) is None
        assert pythons.probed(tmp_path / "nothing") is None

    def test_the_page_compares_both_in_one_row(self) -> None:
        """By the rates of the same rounds."""

        def target(rate: float, ratio: float, cpu_us: float, database_us: float = 0) -> dict[str, float]:
            return {"rate": rate, "ratio": ratio, "cpu_us": cpu_us, "database_cpu_us": database_us}

        targets = {
            "floor": target(20_000, 1.0, 30),
            "postgres": target(8_000, 0.4, 100, 50),
            f"{pythons.OTHER}floor": target(24_000, 1.2, 25),
            f"{pythons.OTHER}postgres": target(10_000, 0.5, 80, 49),
        }
        found = {
            "machine": {"python": "3.11.7", "python_build": "plain"},
            "python_other": {"version": "3.11.2", "share": 0.63},
            "python_cells": [{"scenario": "grant", "targets": targets}],
        }
        page = [*pythons.table(found, STORES, {"grant": "a grant"})]
        assert page[-2:] == [
            "| a grant | floor | 20,000 | 24,000 | 30 us | 25 us | 1.20 |",
            "| a grant | Licet on PostgreSQL | 8,000 | 10,000 | 100 + 50 us | 80 + 49 us | 1.25 |",
        ]
