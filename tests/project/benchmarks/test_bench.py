"""The benchmark is to be trusted: it reads what the load generator says, counts right, and catches a loss.

And a request takes no more than was written down (`make bench-guard`).
"""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from bench.counted import counting, guard, overhead, signed
from bench.counted.neighbour_counts import count_neighbours
from bench.counted.work import KINDS
from bench.measured.wire import Request, form
from bench.pages.made import made
from bench.pages.svg import Bar, Line, bars, lines
from bench.timed.scale import with_curves_of
from bench.timed.scenarios import Row, events
from bench.timed.wrk import read_report
from licet.lanes.commit import commit
from support.many import few
from support.paths import ROOT

RESULTS = ROOT / "bench" / "results"
REPORT = """Running 1s test @ http://127.0.0.1:8080
  1 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.10ms  500.00us   9.00ms   90.00%
    Req/Sec    29.40k     1.20k   31.00k    70.00%
  Latency Distribution
     50%  990.00us
     75%    1.20ms
     90%    1.60ms
     99%    1.25s
  29412 requests in 1.00s, 12.34MB read
  Socket errors: connect 0, read 1, write 0, timeout 2
  Non-2xx or 3xx responses: 7
Requests/sec:  29383.12
Transfer/sec:     12.33MB
"""


@pytest.fixture(scope="module")
def grant(tmp_path_factory: pytest.TempPathFactory) -> counting.Counts:
    """What a grant takes as it is."""
    return counting.count(tmp_path_factory.mktemp("grant"), ["grant"])["grant"]


@pytest.mark.parametrize("kinds", few([["grant", "refresh", "verify"], [*KINDS]], 1), ids=len)
def test_a_request_takes_no_more_than_was_written_down(tmp_path: Path, kinds: list[str]) -> None:
    counts = counting.count(tmp_path, kinds) | count_neighbours()
    baseline = guard.Baseline()
    compared = baseline.compare(counts, counting.calibrate())
    losses = [it for it in compared if it.is_loss]
    assert not losses, "\n".join(guard.report(baseline, counts, compared))


def test_a_signed_pool_that_costs_a_grant_too_much_is_said() -> None:
    """Ten per cent more instructions is the most; a refresh is shown, and has no bound."""

    def counts(instructions: float) -> counting.Counts:
        return counting.Counts(instructions, 0.0, 0.0, {})

    found = {"grant": (counts(1000), counts(1101)), "first": (counts(1000), counts(1050))}
    assert not [*signed.missed(found)]
    found |= {"grant": (counts(1000), counts(1250)), "refresh": (counts(1), counts(2))}
    assert [*signed.missed(found)] == ["A signed pool costs a grant (grant) 25.0%, and 10% is the most."]
    assert "1.250" in [*signed.report(found)][1]


@pytest.mark.wide
def test_a_quarter_more_work_in_python_is_a_loss(
    grant: counting.Counts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    then = guard.Baseline().of("grant")
    now = guard.Baseline().compare({"grant": grant}, counting.calibrate())
    drift = {it.name: it.change for it in now}
    # A quarter more than was written down, whatever has been gained or lost since.
    more = (0.25 - drift["instructions"]) * then.instructions
    monkeypatch.setattr("bench.counted.work.commit", _with_more_work(commit, round(more)))
    compared, losses = _compare("grant", tmp_path)
    assert [it.name for it in losses] == ["instructions"]
    assert 0.23 < losses[0].change < 0.27
    assert not any(it.is_gain for it in compared)


@pytest.mark.wide
def test_reading_a_table_through_is_a_loss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.counted.work.PREPARE", ["DROP INDEX ix_session_client_key_expires_at_ms"])
    _, losses = _compare("limit", tmp_path)
    assert "sqlite_loops" in [it.name for it in losses]


def test_a_baseline_of_another_version_counts_by_what_each_needs_for_the_same(tmp_path: Path) -> None:
    counts = {"view": counting.Counts(100.0, 10.0, 1.0, {})}
    baseline = guard.Baseline(tmp_path / "baseline.json")
    baseline.renew(counts, calibration=1000.0)
    [version] = json.loads((tmp_path / "baseline.json").read_text())
    other = json.dumps({"3.9": json.loads((tmp_path / "baseline.json").read_text())[version]})
    (tmp_path / "baseline.json").write_text(other)
    slower = guard.Baseline(tmp_path / "baseline.json").compare(counts, calibration=500.0)
    assert [it.name for it in slower if it.is_loss] == ["instructions"]


def test_the_report_of_the_load_generator() -> None:
    found = read_report(REPORT, 0.5)
    assert (found.answers, found.seconds, found.rate) == (29412, 1.0, 29383.12)
    assert (found.p50_ms, found.p99_ms) == (0.99, 1250.0)
    assert (found.refused, found.broken, found.wrk_cpu_s) == (7, 3, 0.5)


def test_a_report_that_says_nothing_is_no_round() -> None:
    with pytest.raises(ValueError, match="printed nothing"):
        read_report("unable to connect")


def test_rows_come_round() -> None:
    request = Request("POST", "/", ())
    rows = [Row(request, "granted"), Row(request, "ended"), Row(request)]
    assert events(rows, 7) == {"granted": 3, "ended": 2, "": 2}
    assert not +events(rows, -1)


def test_a_request_as_it_travels() -> None:
    raw = form("/a/token", ("Authorization", "Basic eA=="), scope="a b").raw("127.0.0.1:1")
    assert raw.startswith(b"POST /a/token HTTP/1.1\r\nHost: 127.0.0.1:1\r\nAuthorization: Basic eA==\r\n")
    assert raw.endswith(b"Content-Length: 9\r\n\r\nscope=a+b")


def test_a_curve_that_is_measured_anew_says_when() -> None:
    """The others stay as they were."""
    before = {"at": "monday", "rounds": 3, "curves": {"tenants": {"sqlite": [1]}, "nodes": {"postgres": [2]}}}
    found = {"at": "sunday", "rounds": 2, "curves": {"nodes": {"postgres": [3]}}}
    assert with_curves_of(found, before) == before | {
        "curves": {"tenants": {"sqlite": [1]}, "nodes": {"postgres": [3]}},
        "later": {"nodes": {"at": "sunday", "rounds": 2}},
    }


def test_what_is_made_is_made_from_the_results_that_are_kept() -> None:
    for path, text in made(RESULTS).items():
        assert path.read_text(encoding="utf-8") == text, f"{path} is out of date: make bench-page"


@pytest.mark.parametrize(
    "chart",
    [
        bars("A < B", ["one", "two"], [Bar("a", 0, 1.0, "1", 0.9, 1.1), Bar("a", 1, 0.0, "0")]),
        lines("A", "x & y", "us", [Line("one", [(1, 3.0), (1000, 4.0)]), Line("two", [(1, 0.0)])]),
    ],
)
def test_a_chart_is_xml_and_follows_the_reader_into_the_dark(chart: str) -> None:
    ET.fromstring(chart)  # noqa: S314 - ours
    assert "prefers-color-scheme:dark" in chart


def test_a_legend_has_the_series_that_have_bars() -> None:
    """A colour that is left out, so that another one stays the same, is not explained by nothing."""
    chart = bars("A", ["one", "", "three"], [Bar("a", 0, 1.0, "1"), Bar("a", 2, 1.0, "1")])
    shown = re.findall(r'class="(c\d)" x="[\d.]+" y="30"', chart)
    assert shown == ["c0", "c2"]


def _compare(kind: str, directory: Path) -> tuple[list[guard.Compared], list[guard.Compared]]:
    counts = {kind: counting.count(directory, [kind])[kind]}
    compared = guard.Baseline().compare(counts, counting.calibrate())
    return compared, [it for it in compared if it.is_loss]


def _with_more_work(work: Callable[..., Any], instructions: int) -> Callable[..., Any]:
    """A commit that executes so many instructions more for each of its commands: three a turn."""

    def committed(store: object, batch: list[object]) -> Any:
        for _ in range(instructions * len(batch) // 3):
            pass
        return work(store, batch)

    return committed


@pytest.mark.wide
def test_metrics_take_less_of_a_grant_than_they_may(grant: counting.Counts, tmp_path: Path) -> None:
    """They may take 5 per cent together with the journal; by themselves they are far below."""
    with overhead.without(("metrics",)):
        without = counting.count(tmp_path, ["grant"])["grant"].instructions
    assert 0 < grant.instructions - without < 0.03 * grant.instructions
