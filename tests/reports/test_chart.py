"""Pictures of a usage report: the same report is the same picture, and the page of the command line."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from msgspec.structs import replace

from licet.clock import SystemClock
from licet.extras import how_to_install
from licet.model import NoSeatReason, Pool
from licet.reports.chart import By, ChartsMissing, Form, draw
from licet.reports.denials_curve import denials_curve
from licet.reports.usage import Denials, Remaining, Usage, usage
from support.cli.cli_reports_site import Site
from support.examples import end, grant, jim_test

PNG = b"\x89PNG\r\n\x1a\n"
DAY_MS = 86_400_000


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """`Jim_Test` with two pools, one of a single seat that was denied three days ago."""
    pools = [Pool(id=1, name="full", seats=1), Pool(id=2, name="extra", seats=2)]
    site = Site(tmp_path_factory.mktemp("charts"), jim_test(pools=pools), ago_s=3 * 86_400)
    site.do(grant(1, 1), grant(2, 2))
    site.clock.advance(seconds=60)
    site.do(end(1))
    yield site
    site.store.close()


@pytest.fixture(scope="module")
def report(site: Site) -> Usage:
    """A week of it."""
    now_ms = SystemClock().now_ms()
    with site.store.reporting() as connection:
        return usage(connection, site.tenant, now_ms - 7 * DAY_MS, now_ms, now_ms=now_ms)


@pytest.mark.wide
def test_a_picture_is_the_same_each_time(report: Usage) -> None:
    """To the byte; and it is SVG, without a script or anything from elsewhere."""
    first, again = (draw(report, form=Form.SVG, by=By.HOUR) for _ in range(2))
    assert first == again
    root = ET.fromstring(first)  # noqa: S314 - ours
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert b"<script" not in first
    assert draw(report, form=Form.SVG, pool="full") != draw(report, form=Form.SVG, pool="extra")


def test_a_picture_may_be_png(report: Usage) -> None:
    """Of one pool, of all, and of none."""
    for pool in ("full", None, "gone"):
        assert draw(report, form=Form.PNG, pool=pool).startswith(PNG)


def test_without_the_extra_the_command_that_installs_it_is_told(
    site: Site, report: Usage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the page and by the command line."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ChartsMissing, match=r"pip install .*\[charts\]"):
        draw(report, form=Form.SVG)
    refused = site.run("usage", "--svg", "x.svg", exit_code=1)
    assert how_to_install("charts") in refused.stderr


def test_usage_writes_pictures(site: Site, tmp_path: Path) -> None:
    """To a file; where that cannot be, it says so."""
    for option, begin in (("--svg", b"<?xml"), ("--png", PNG)):
        target = tmp_path / option
        told = site.run("usage", option, str(target), "--by", "hour").stderr
        assert target.read_bytes().startswith(begin)
        assert f"bytes written to {target}" in told
    refused = site.run("usage", "--png", str(tmp_path / "no" / "such"), exit_code=1)
    assert "cannot be written" in refused.stderr
    assert (
        "--csv and pictures (--svg, --png)"
        in site.run("usage", "--csv", "-", "--svg", "x", exit_code=2).stderr
    )


def test_the_curve_of_denials_leaves_out_what_no_seat_avoids_and_stays_short(report: Usage) -> None:
    pool = next(it for it in report.pools if it.pool == "full")
    suspended = Denials(
        client_id="A", initials="AB", reason=NoSeatReason.SUSPENDED, times=7, first_at_ms=0, last_at_ms=0
    )
    points = tuple(Remaining(seats=number, denials=107 - number) for number in range(1, 101))
    crowded = replace(pool, denials=(suspended,), remaining=points)
    curve = denials_curve(crowded)
    assert (len(curve), curve[0], curve[-1]) == (
        12,
        Remaining(seats=1, denials=99),
        Remaining(seats=100, denials=0),
    )
    assert denials_curve(replace(pool, denials=(suspended,), remaining=points[:1])) == ()


def test_usage_tells_the_answer_the_idle_share_and_the_week(site: Site) -> None:
    """On a page, and all of it in JSON."""
    text = site.run("usage").stdout
    assert "with 2 seats you would have had 0 denials in these 7 days" in text
    assert "    seats  denials\n        1        1  " in text
    assert "\n        2        0\n" in text
    assert "mean of the peaks by hour" in text
    assert [line[:3] for line in text.splitlines() if line[:3] in {"Mon", "Wed", "Sun"}][-3:] == [
        "Mon",
        "Wed",
        "Sun",
    ]
    full = next(
        load for load in json.loads(site.run("usage", "--json").stdout)["pools"] if load["pool"] == "full"
    )
    assert full["remaining"] == [{"seats": 1, "denials": 1}, {"seats": 2, "denials": 0}]
    assert full["held"][0].keys() == {"client_id", "user", "name", "held_s", "idle_s"}
    assert full["users"][0]["user"] == "TC"
    assert {it["peak"] for it in full["heat"]} == {0, 1}
