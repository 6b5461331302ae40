"""`licet seats` and `usage`: what they print, and how they end."""

import csv
import io
import json
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from msgspec.structs import replace
from rich.console import Console

from licet.cli.look.seats import _drawn
from licet.cli.look.usage import _chart, _few
from licet.cli.terminal import clock_time, plain, whose
from licet.clock import SystemClock
from licet.formats import countdown
from licet.model import Duplicates, Pool
from licet.reports.chart import By
from licet.reports.live import seats
from licet.reports.usage import Peak
from support.cli.cli_reports_site import Site
from support.cli.command_line import run, terminal
from support.cli.screen import WAIT_S
from support.examples import SMALL, client, end, grant, jim_test, view

DAY_MS = 86_400_000


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """`Jim_Test`, nothing in use."""
    site = Site(tmp_path, jim_test())
    yield site
    site.store.close()


class TestSeats:
    """`licet seats`."""

    def test_a_pipe_gets_one_line_a_session_with_full_values(self, site: Site) -> None:
        """Times in ISO 8601, UTC."""
        site.do(grant(1, 1), view(2, 2))
        pool, unlicensed, _, headings, first, second = site.run("seats").stdout.splitlines()
        assert pool == "full: 1 of 5 seats in use"
        assert unlicensed == "1 session without a seat"
        assert headings.split() == [
            *("pool", "user", "name", "client", "scope", "since", "last", "token", "last", "used"),
            *("expires", "address", "addresses", "holder"),
        ]
        assert re.match(r"full +TC +User TC +TestClientId +all( +2\S+Z){4} +192.0.2.1 +1 +client:", first)
        assert re.match(r"- +C1 +User C1 +Client1 +view .* -$", second)

    def test_a_full_pool_says_within_which_time_a_seat_is_free(self, site: Site) -> None:
        """As the overview does; while a seat is free there is nothing to wait for."""
        site.do(*(grant(key, key) for key in range(1, 6)))
        # Shortly before midnight the moment has a date: 30 Nov 00:04.
        in_19_min = r"5 of 5 seats in use, a seat is free within 19 min \(by (\d+ [A-Z][a-z]{2} )?\d\d:\d\d\)"
        assert re.search(in_19_min, site.run("seats").stdout)
        with terminal("seats", "--data", str(site.data)) as screen:
            assert screen.ended() == 0
        assert re.search(in_19_min, " ".join(screen.text.split()))

    def test_json_has_all_there_is(self, site: Site) -> None:
        """Pools, their seats, and the sessions that share them."""
        site.do(grant(1, 1), grant(1, 2), view(2, 3))
        found = json.loads(site.run("seats", "--json").stdout)
        assert found["tenant"] == "Jim_Test"
        (pool,) = found["pools"]
        assert (pool["pool"], pool["seats"], pool["in_use"], pool["overuse"]) == ("full", 5, 1, 0)
        (seat,) = pool["in_use_by"]
        assert (seat["holder"], seat["client_id"], seat["user"]) == (
            "client:TestClientId",
            "TestClientId",
            "TC",
        )
        assert [session["sid"][-1] for session in seat["sessions"]] == ["1", "2"]
        assert seat["taken_at"].endswith("Z")
        assert [session["client_id"] for session in found["unlicensed"]] == ["Client1"]

    def test_a_terminal_gets_no_line_that_is_wider_than_it(self, tmp_path: Path) -> None:
        """80 columns, and long names in them."""
        long = client(1, "a-client-with-a-very-long-name-of-54-characters-in-all", "AB")
        site = Site(tmp_path, jim_test(clients=[long, client(2, "Client1", "C1")]))
        site.do(grant(1, 1), grant(2, 2), view(2, 3))
        with terminal("seats", "--data", str(tmp_path)) as screen:
            assert screen.ended() == 0
        site.store.close()
        lines = screen.text.replace("\r", "").split("\n")
        assert lines[0] == "2 of 5 seats in use in Jim_Test"
        assert max(len(line.rstrip()) for line in lines) <= 80
        assert "full  [##---]  2 of 5 seats in use" in [line.rstrip() for line in lines]
        assert "1 session without a seat" in screen.text

    def test_sessions_that_share_a_seat_stand_under_each_other(self, tmp_path: Path) -> None:
        """L2."""
        pool = Pool(id=1, name="full", seats=5, duplicates=Duplicates.USER)
        clients = [client(1, "Desk", "AB"), client(2, "Phone", "AB")]
        site = Site(tmp_path, jim_test(pools=[pool], clients=clients))
        site.do(grant(1, 1), grant(2, 2), grant(2, 3))
        text = drawn(site)
        site.store.close()
        rows = [line.split()[:3] for line in text.splitlines() if "192.0.2.1" in line]
        assert rows == [["AB", "User", "AB"], ["+", "Phone", "all"], ["+", "all", rows[2][2]]]

    def test_a_seat_on_hold_is_a_line_of_its_own(self, tmp_path: Path) -> None:
        """L18: whose it is and until when, on a terminal, in a pipe and as JSON."""
        site = Site(tmp_path, jim_test(pools=[Pool(id=1, name="full", seats=5, hold_s=1200)]))
        site.do(grant(1, 1), grant(2, 2))
        site.do(end(1))
        piped = site.run("seats").stdout
        text = drawn(site)
        found = json.loads(site.run("seats", "--json").stdout)
        site.store.close()
        assert "full: 2 of 5 seats in use, 1 of them on hold\n" in piped
        assert [line.split()[3:6] for line in piped.splitlines() if "(on hold)" in line] == [
            ["TC", "TestClientId", "(on"]
        ]
        [line] = [line for line in text.splitlines() if "(on hold)" in line]
        assert ("TestClientId" in line, "192.0.2.1" in line) == (True, False)
        held = [it for it in found["pools"][0]["in_use_by"] if not it["sessions"]]
        assert [(it["client_id"], it["user"]) for it in held] == [("TestClientId", "TC")]
        assert held[0]["issued_at"] <= held[0]["expires_at"]

    def test_a_name_cannot_take_over_the_terminal(self, tmp_path: Path) -> None:
        """Control characters are shown as such."""
        desk = client(1, "Desk", "AB")
        evil = replace(desk, user=replace(desk.user, name="\x1b]0;owned\x07"))
        site = Site(tmp_path, jim_test(clients=[evil]))
        site.do(grant(1, 1))
        assert "\x1b" not in site.run("seats").stdout
        assert "\x1b" not in site.run("usage").stdout
        with terminal("seats", "--data", str(tmp_path)) as screen:
            assert screen.ended() == 0
        site.store.close()
        assert "\x1b]" not in screen.text
        assert "\x07" not in screen.text

    def test_a_client_id_of_before_cannot_turn_round_what_stands_beside_it(self, tmp_path: Path) -> None:
        """It is shown with an escape, also in what is drawn."""
        clients = [client(1, "a\u202eb", "AB"), client(2, "c\u202ed", "CD")]
        site = Site(tmp_path, jim_test(pools=[SMALL], clients=clients))
        site.do(grant(1, 1), grant(2, 2))
        site.clock.advance(seconds=30)
        usage = site.run("usage").stdout
        assert "a\\u202eb" in usage  # that held a seat
        assert "c\\u202ed" in usage  # that was denied
        with terminal("seats", "--data", str(tmp_path)) as screen:
            assert screen.ended() == 0
        site.store.close()
        assert "a\\u202eb" in screen.text
        assert "\u202e" not in usage + screen.text

    def test_a_store_that_is_not_there_is_exit_code_3(self, tmp_path: Path) -> None:
        """And says how to make one."""
        for verb in ("seats", "top", "usage"):
            assert "licet init" in run(verb, "--data", str(tmp_path), exit_code=3).stderr

    def test_a_tenant_that_is_not_there_is_exit_code_1(self, site: Site) -> None:
        """And says which there are."""
        assert "Jim_Test" in site.run("seats", "--tenant", "Jim_Tset", exit_code=1).stderr


def drawn(site: Site) -> str:
    """What `licet seats` shows on a terminal."""
    console = Console(width=80, file=io.StringIO(), markup=False)
    with site.store.reading() as connection:
        now = seats(connection, site.tenant, site.clock.now_ms())
    with console.capture() as shown:
        console.print(_drawn(now, 80))
    return "\n".join(line.rstrip() for line in shown.get().splitlines())


class TestUsage:
    """`licet usage`."""

    def test_the_answer_stands_in_the_first_line_of_a_pool(self, site: Site) -> None:
        """Peak, denials and seat-hours."""
        site.do(*(grant(key, key) for key in range(1, 8)))
        text = site.run("usage").stdout
        assert re.search(r"^full: peak 5 of 5 seats at .*, 2 denials, 0.1 seat-hours$", text, re.MULTILINE)
        assert re.search(r"^C5 +Client5 +1 +all seats in use", text, re.MULTILINE)
        assert "5 sessions begun" in text

    def test_a_seat_that_was_held_for_a_minute_is_not_shown_as_none(self, site: Site) -> None:
        """A minute is under a tenth of an hour, and the row of who had it says so too."""
        site.do(grant(1, 1))
        text = site.run("usage").stdout
        assert "under 0.1 seat-hours" in text
        assert re.search(r"^TC User TC +TestClientId +under 0.1 +100 %", text, re.MULTILINE)

    def test_a_pool_that_nobody_used_has_no_chart(self, site: Site) -> None:
        """There is nothing to see."""
        text = site.run("usage").stdout
        assert "full: peak 0 of 5 seats, 0 denials, 0.0 seat-hours" in text
        assert "\N{BOX DRAWINGS LIGHT VERTICAL}" not in text

    def test_json_has_all_there_is(self, site: Site) -> None:
        """Days, hours, users, denials."""
        site.do(*(grant(key, key) for key in range(1, 7)))
        found = json.loads(site.run("usage", "--days", "2", "--json").stdout)
        (pool,) = found["pools"]
        assert (pool["pool"], pool["peak"], pool["sessions"]) == ("full", 5, {"grants": 5, "endings": {}})
        assert max(day["peak"] for day in pool["days"]) == 5
        assert pool["denials"][0]["client_id"] == "Client5"
        assert 55 <= pool["held"][0]["held_s"] <= 60 + WAIT_S
        assert pool["peak_at"].endswith("Z")

    @pytest.mark.parametrize(("by", "parts"), [("day", {2}), ("hour", range(25, 51))])
    def test_csv_has_the_peaks(self, site: Site, by: str, parts: Sequence[int]) -> None:
        """A row a part of the span, in UTC."""
        site.do(*(grant(key, key) for key in range(1, 7)))
        text = site.run("usage", "--days", "2", "--by", by, "--csv", "-").stdout
        rows = list(csv.DictReader(io.StringIO(text)))
        assert len(rows) in parts
        assert {row["tenant"] for row in rows} == {"Jim_Test"}
        assert max(int(row["peak"]) for row in rows) == 5
        assert sum(int(row["denials"]) for row in rows) == 1
        assert rows[0]["from"].endswith("Z")

    def test_csv_goes_into_a_file(self, site: Site, tmp_path: Path) -> None:
        """What is said about it does not."""
        result = site.run("usage", "--csv", str(tmp_path / "peaks.csv"))
        assert result.stdout == ""
        assert result.stderr == f"7 rows written to {tmp_path / 'peaks.csv'}\n"
        assert len((tmp_path / "peaks.csv").read_text().splitlines()) == 8

    def test_a_file_that_cannot_be_written_is_exit_code_1(self, site: Site, tmp_path: Path) -> None:
        """Here it is a directory."""
        assert "cannot be written" in site.run("usage", "--csv", str(tmp_path), exit_code=1).stderr

    @pytest.mark.parametrize(
        "options",
        [
            ("--days", "0"),
            ("--days", "3661"),
            ("--days", "7", "--from", "2026-01-01"),
            ("--until", "2026-01-01"),
            ("--from", "yesterday"),
            ("--from", "2026-01-02", "--until", "2026-01-01"),
            ("--from", "2999-01-01"),
            ("--from", "1969-01-01"),
            ("--from", "2026-02-30"),
            ("--from", "2026-01-01", "--until", "never"),
            ("--from", "2026-01-01", "--until", "9999-12-31"),
            ("--from", "0001-01-01"),
            ("--from", "1980-01-01", "--until", "2020-01-01"),
            ("--by", "week"),
            ("--json", "--csv", "-"),
        ],
    )
    def test_a_span_that_cannot_be_is_wrong_use(self, site: Site, options: tuple[str, ...]) -> None:
        """Exit code 2."""
        assert site.run("usage", *options, exit_code=2).stderr.startswith("licet: ")

    def test_a_span_may_be_given(self, site: Site) -> None:
        """By dates of this machine's clock, the first and the last of them in it."""
        found = json.loads(
            site.run("usage", "--from", "2026-01-01", "--until", "2026-01-02", "--json").stdout
        )
        assert len(found["pools"][0]["days"]) == 2
        assert len(found["pools"][0]["hours"]) == 48

    def test_a_span_may_be_one_day_and_ends_now_if_that_is_today(self, site: Site) -> None:
        """What is still to come is in no report."""
        for day, ends in (("2026-01-01", "2026-01-02"), (f"{datetime.now():%Y-%m-%d}", None)):  # noqa: DTZ005 - as meant
            found = json.loads(site.run("usage", "--from", day, "--until", day, "--json").stdout)
            begun, ended = (datetime.fromisoformat(found[name]).astimezone() for name in ("from", "until"))
            assert f"{begun:%Y-%m-%dT%H:%M}" == f"{day}T00:00"
            assert f"{ended:%Y-%m-%dT%H:%M}" == f"{ends}T00:00" if ends else ended <= datetime.now(UTC)

    def test_the_chart_has_the_line_of_the_seats(self) -> None:
        """Beyond it is what was too much."""
        peaks = [peak(1, 5), peak(5, 5), peak(8, 5)]
        assert chart(peaks) == [
            "#####                    |                 1",
            "#########################|                 5",
            "#########################|###############  8",
        ]

    def test_the_smallest_peak_is_still_seen(self) -> None:
        """Of very many seats."""
        assert chart([peak(1, 100_000)])[0].startswith("# ")
        assert chart([peak(0, 0)]) == ["|                                          0"]

    def test_denials_stand_beside_the_bar(self) -> None:
        """With their number."""
        assert chart([peak(5, 5, denials=37)])[0].endswith("|  5  37 denials")

    def test_very_many_days_are_drawn_as_weeks(self) -> None:
        """Each with the most of its days."""
        days = [peak(number % 7, 5, at=number, denials=1) for number in range(70)]
        weeks, _ = _few(days, By.DAY)
        assert len(weeks) in {10, 11}
        assert {week.peak for week in weeks[1:-1]} == {6}
        assert sum(week.denials for week in weeks) == 70
        assert _few(days[:62], By.DAY)[0] == days[:62]
        assert _few(days, By.HOUR)[0] == days

    def test_a_terminal_gets_no_line_that_is_wider_than_it(self, tmp_path: Path) -> None:
        """80 columns, and long names in them."""
        long = client(1, "a-client-with-a-very-long-name-of-54-characters-in-all", "AB")
        site = Site(
            tmp_path, jim_test(pools=[Pool(id=1, name="full", seats=1)], clients=[long, client(2, "B", "C1")])
        )
        site.do(grant(2, 2), grant(1, 1))
        with terminal("usage", "--data", str(tmp_path)) as screen:
            assert screen.ended() == 0
        site.store.close()
        lines = [line.rstrip() for line in screen.text.replace("\r", "").split("\n")]
        assert max(len(line) for line in lines) <= 80
        assert any(line.startswith("full: peak 1 of 1 seat at") for line in lines)


def peak(number: int, seats: int, *, at: int = 0, denials: int = 0) -> Peak:
    """A peak of a day."""
    return Peak(
        from_ms=at * DAY_MS,
        until_ms=(at + 1) * DAY_MS,
        peak=number,
        seats=seats,
        denials=denials,
        turned_away=0,
    )


def chart(peaks: list[Peak]) -> list[str]:
    """The bars without their days, in ASCII."""
    file = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    return [line.plain[7:] for line in _chart(peaks, "%Y-", Console(width=120, file=file))]


class TestHowThingsLook:
    """What the reports share."""

    @pytest.mark.parametrize(
        ("seconds", "text"),
        [
            *((-5, "0 s"), (0, "0 s"), (0.2, "1 s"), (59.5, "1 min"), (1120, "19 min")),
            *((11_100, "3 h 05 min"), (172_740, "47 h 59 min"), (172_800, "2 days")),
        ],
    )
    def test_a_countdown_is_short(self, seconds: float, text: str) -> None:
        """And never says that something is over which is not."""
        assert countdown(1_000_000 + round(seconds * 1000), 1_000_000) == text

    def test_a_time_of_another_day_has_the_day(self) -> None:
        """That of today has none."""
        now_ms = SystemClock().now_ms()
        assert re.fullmatch(r"\d\d:\d\d", clock_time(now_ms, now_ms))
        assert re.fullmatch(r"\d\d \w{3} \d\d:\d\d", clock_time(now_ms - 2 * DAY_MS, now_ms))

    def test_json_names_instants_and_durations_by_their_kind(self) -> None:
        """`..._ms` is the store's own way."""
        found = plain(peak(1, 5))
        assert isinstance(found, dict)
        assert list(found) == ["from", "until", "peak", "seats", "denials", "turned_away"]

    def test_a_user_without_a_name_has_initials(self) -> None:
        """No space behind them."""
        assert (whose("TC", "Tom Clark"), whose("TC", "")) == ("TC Tom Clark", "TC")


class TestTrueDenials:
    """What `licet usage` says of those who were denied a seat."""

    def test_it_says_how_many_of_those_who_were_denied_got_no_seat(self, tmp_path: Path) -> None:
        """One is served after five minutes, the other is turned away."""
        site = Site(tmp_path, jim_test(pools=[Pool(id=1, name="full", seats=1)]), ago_s=3600)
        site.do(grant(1, 1), grant(2, 2), grant(3, 3))
        site.clock.advance(seconds=300)
        site.do(end(1), grant(2, 4))
        text = site.run("usage", "--days", "2").stdout
        site.store.close()
        assert "2 denials (1 true)" in text
        assert (
            "2 times somebody wanted a seat and was denied: 1 got one later (after 5 minutes),"
            " 1 got none: 1 true denial"
        ) in text
