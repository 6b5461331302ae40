"""`licet seats`, `top`, `usage` and `token`: what they print, and how they end."""

import csv
import io
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from examples import add_tenant, client, end, grant, jim_test, view
from licet.cli import app
from licet.cli.report import clock_time, countdown, plain, whose
from licet.cli.seats import _screen
from licet.cli.token import ServerUnreachable, _Credentials, _refuse, _tenant_url
from licet.cli.usage import By, _chart, _few
from licet.clock import ManualClock, SystemClock
from licet.ledger import Command
from licet.model import Duplicates, Pool, Tenant
from licet.store.commit import commit
from licet.store.sqlite import SqliteStore
from licet.store.usage import Peak, seats

WAIT_S = 30  # for another process: far more than it needs
DAY_MS = 86_400_000
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Site:
    """A data directory, in which the clock stands some time before now."""

    def __init__(self, data: Path, tenant: Tenant, *, ago_s: float = 60) -> None:
        self.data = data
        self.tenant = tenant
        self.clock = ManualClock(SystemClock().now_ms() - round(ago_s * 1000))
        self.store = SqliteStore(data / "licet.db", self.clock, create=True)
        with self.store.transaction() as transaction:
            add_tenant(transaction.connection, tenant)
        self.store.refresh_tenants()

    def do(self, *commands: Command) -> None:
        """Commit these commands together."""
        for outcome in commit(self.store, commands):
            assert not isinstance(outcome, Exception), outcome

    def run(self, verb: str, *arguments: str, exit_code: int = 0) -> Result:
        """Run a verb whose output is no terminal."""
        return run(verb, "--data", str(self.data), *arguments, exit_code=exit_code)


def run(*arguments: str, stdin: str | None = None, exit_code: int = 0) -> Result:
    """Run a verb whose output is no terminal."""
    result = CliRunner().invoke(app, arguments, input=stdin)
    assert result.exit_code == exit_code, (result.output, result.exception)
    return result


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """`Jim_Test`, nothing in use."""
    site = Site(tmp_path, jim_test())
    yield site
    site.store.close()


class Terminal:
    """A verb that runs in a terminal of 24 lines of 80 columns."""

    def __init__(self, *arguments: str) -> None:
        self.text = ""
        self._keyboard, screen = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "licet", *arguments],
            stdin=screen,
            stdout=screen,
            stderr=screen,
            env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24"},
        )
        os.close(screen)

    def press(self, keys: str) -> None:
        """Press these keys."""
        os.write(self._keyboard, keys.encode())

    def read_until(self, expected: str) -> None:
        """Look at the screen until this is on it."""
        deadline = time.monotonic() + WAIT_S
        while expected not in self.text:
            assert self._read_more(deadline), self.text

    def ended(self) -> int:
        """The exit code, once it has ended."""
        deadline = time.monotonic() + WAIT_S
        while self._read_more(deadline):
            pass
        return self.process.wait(WAIT_S)

    def close(self) -> None:
        """Let nothing run on."""
        self.process.kill()
        self.process.wait(WAIT_S)
        os.close(self._keyboard)

    def _read_more(self, deadline: float) -> bool:
        if not select.select([self._keyboard], [], [], max(0, deadline - time.monotonic()))[0]:
            return False
        try:
            read = os.read(self._keyboard, 65_536)
        except OSError:  # Linux says so when nobody has the other side open.
            return False
        self.text += ESCAPES.sub("", read.decode(errors="replace"))
        return bool(read)


@contextmanager
def terminal(*arguments: str) -> Iterator[Terminal]:
    """Run a verb in a terminal."""
    terminal = Terminal(*arguments)
    try:
        yield terminal
    finally:
        terminal.close()


class TestSeats:
    """`licet seats`."""

    def test_a_pipe_gets_one_line_a_session_with_full_values(self, site: Site) -> None:
        """Times in ISO 8601, UTC."""
        site.do(grant(1, 1), view(2, 2))
        pool, unlicensed, _, headings, first, second = site.run("seats").stdout.splitlines()
        assert re.fullmatch(r"full: 1 of 5 seats in use, next free in (18:5\d|19:00) at the latest", pool)
        assert unlicensed == "1 session without a seat"
        assert headings.split() == [
            *("pool", "user", "name", "client", "scope", "since", "last", "token", "expires"),
            *("address", "holder"),
        ]
        assert re.match(
            r"full +TC +User TC +TestClientId +all +2\S+Z +2\S+Z +2\S+Z +192.0.2.1 +client:", first
        )
        assert re.match(r"- +C1 +User C1 +Client1 +view .* -$", second)

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
        assert "full  [##---]  2 of 5 seats in use, next free in" in screen.text
        assert "1 session without a seat" in screen.text

    def test_sessions_that_share_a_seat_stand_under_each_other(self, tmp_path: Path) -> None:
        """L2."""
        pool = Pool(id=1, name="full", seats=5, duplicates=Duplicates.USER)
        clients = [client(1, "Desk", "AB"), client(2, "Phone", "AB")]
        site = Site(tmp_path, jim_test(pools=[pool], clients=clients))
        site.do(grant(1, 1), grant(2, 2), grant(2, 3))
        text = drawn(site, height=24)
        site.store.close()
        rows = [line.split()[:3] for line in text.splitlines() if "192.0.2.1" in line]
        assert rows == [["AB", "User", "AB"], ["+", "Phone", "all"], ["+", "all", rows[2][2]]]

    def test_a_name_cannot_take_over_the_terminal(self, tmp_path: Path) -> None:
        """Control characters are shown as such."""
        evil = client(1, "Desk", "AB")
        evil = type(evil)(
            key=1,
            client_id="Desk",
            user=type(evil.user)(initials="AB", name="\x1b]0;owned\x07", password_hash=None),
        )
        site = Site(tmp_path, jim_test(clients=[evil]))
        site.do(grant(1, 1))
        assert "\x1b" not in site.run("seats").stdout
        assert "\x1b" not in site.run("usage").stdout
        with terminal("seats", "--data", str(tmp_path)) as screen:
            assert screen.ended() == 0
        site.store.close()
        assert "\x1b]" not in screen.text
        assert "\x07" not in screen.text

    def test_a_store_that_is_not_there_is_exit_code_3(self, tmp_path: Path) -> None:
        """And says how to make one."""
        for verb in ("seats", "top", "usage"):
            assert "licet init" in run(verb, "--data", str(tmp_path), exit_code=3).stderr

    def test_a_tenant_that_is_not_there_is_exit_code_1(self, site: Site) -> None:
        """And says which there are."""
        assert "Jim_Test" in site.run("seats", "--tenant", "Jim_Tset", exit_code=1).stderr


class TestTop:
    """`licet top`."""

    def test_q_ends_it(self, site: Site) -> None:
        """With exit code 0, and the screen as it was."""
        site.do(grant(1, 1))
        with terminal("top", "--data", str(site.data)) as screen:
            screen.read_until("1 of 5 seats in use in Jim_Test")
            screen.press("q")
            assert screen.ended() == 0

    def test_it_follows_what_happens(self, site: Site) -> None:
        """Without a key."""
        with terminal("top", "--data", str(site.data)) as screen:
            screen.read_until("0 of 5 seats in use in Jim_Test")
            site.do(grant(1, 1))
            screen.read_until("1 of 5 seats in use in Jim_Test")
            site.do(end(1))
            screen.press("x")
            screen.read_until("0 of 5 seats in use in Jim_Test")

    def test_an_interrupt_ends_it_with_exit_code_130(self, site: Site) -> None:
        """128 and the number of SIGINT."""
        with terminal("top", "--data", str(site.data)) as screen:
            screen.read_until("q ends")
            screen.process.send_signal(signal.SIGINT)
            assert screen.ended() == 130

    def test_a_pipe_gets_it_once(self, site: Site) -> None:
        """As `licet seats` prints it."""
        assert site.run("top").stdout == site.run("seats").stdout

    def test_what_there_is_no_room_for_is_counted(self, site: Site) -> None:
        """Nothing is hidden in silence."""
        site.do(*(grant(key, key) for key in range(1, 6)))
        assert "more line" not in drawn(site, height=24)
        assert drawn(site, height=8).splitlines()[-1] == "4 more lines: licet seats shows all"


def drawn(site: Site, *, height: int) -> str:
    """What `licet top` shows on a screen of this height."""
    console = Console(width=80, height=height, file=io.StringIO(), markup=False)
    with site.store.reading() as connection:
        now = seats(connection, site.tenant, site.clock.now_ms())
    with console.capture() as shown:
        console.print(_screen(now, console))
    lines = shown.get().splitlines()
    assert len(lines) <= height
    return "\n".join(line.rstrip() for line in lines)


class TestUsage:
    """`licet usage`."""

    def test_the_answer_stands_in_the_first_line_of_a_pool(self, site: Site) -> None:
        """Peak, denials and seat-hours."""
        site.do(*(grant(key, key) for key in range(1, 8)))
        text = site.run("usage").stdout
        assert re.search(r"^full: peak 5 of 5 seats at .*, 2 denials, 0.1 seat-hours$", text, re.MULTILINE)
        assert re.search(r"^C5 +Client5 +1 +all seats in use", text, re.MULTILINE)
        assert "5 sessions begun" in text

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
        """By dates of this machine's clock, the end not in it."""
        found = json.loads(
            site.run("usage", "--from", "2026-01-01", "--until", "2026-01-03", "--json").stdout
        )
        assert len(found["pools"][0]["days"]) == 2
        assert len(found["pools"][0]["hours"]) == 48

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
    return Peak(from_ms=at * DAY_MS, until_ms=(at + 1) * DAY_MS, peak=number, seats=seats, denials=denials)


def chart(peaks: list[Peak]) -> list[str]:
    """The bars without their days, in ASCII."""
    file = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    return [line.plain[5:] for line in _chart(peaks, "%Y-", Console(width=120, file=file))]


class TestHowThingsLook:
    """What the reports share."""

    @pytest.mark.parametrize(
        ("seconds", "text"),
        [(-5, "00:00"), (0, "00:00"), (0.2, "00:01"), (1120, "18:40"), (11_100, "3:05:00"), (172_800, "2 d")],
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
        assert list(found) == ["from", "until", "peak", "seats", "denials"]

    def test_a_user_without_a_name_has_initials(self) -> None:
        """No space behind them."""
        assert (whose("TC", "Tom Clark"), whose("TC", "")) == ("TC Tom Clark", "TC")


@pytest.fixture(scope="module")
def demo() -> Iterator[str]:
    """The URL of the tenant of a demo server."""
    with subprocess.Popen(
        [sys.executable, "-m", "licet", "demo", "--port", "0"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as process:
        assert process.stdout is not None
        found = (re.search(r"http://127\.0\.0\.1:\d+/Jim_Test", line) for line in process.stdout)
        yield next(url for url in found if url)[0]
        process.terminate()
        process.stdout.read()
        process.wait(WAIT_S)


def ask(url: str, client_id: str, *options: str, secret: str = "password", exit_code: int = 0) -> Result:
    """Ask for a token, the secret on standard input."""
    arguments = ("token", url, "--client-id", client_id, "--secret-stdin", *options)
    return run(*arguments, stdin=f"{secret}\n", exit_code=exit_code)


class TestToken:
    """`licet token`, against a server."""

    @pytest.mark.parametrize("way", [(), ("--body-credentials",)])
    def test_a_token_is_shown_and_logged_off(self, demo: str, way: tuple[str, ...]) -> None:
        """Both ways to send credentials (RFC 6749 2.3.1)."""
        text = ask(demo, "TestClientId", "--logoff", *way).stdout
        assert re.search(r"^access token +lca_", text, re.MULTILINE)
        assert re.search(r"^expires in +10m$", text, re.MULTILINE)
        assert re.search(r"^scope +all$", text, re.MULTILINE)
        assert text.endswith("\nLogged off; its seat is free.\n")

    def test_json_is_the_answer_of_the_server_and_more(self, demo: str) -> None:
        """`jq -r .access_token` works."""
        found = json.loads(ask(demo, "Api", "--scope", "view", "--introspect", "--logoff", "--json").stdout)
        assert found["access_token"].startswith("lca_")
        assert (found["token_type"], found["expires_in"], found["scope"]) == ("Bearer", 600, "view")
        assert (found["introspection"]["active"], found["introspection"]["client_id"]) == (True, "Api")
        assert found["logoff"] == {"logged_off": True, "seat_released": False}

    def test_introspection_is_shown_beside(self, demo: str) -> None:
        """RFC 7662."""
        text = ask(demo, "Api", "--introspect", "--logoff").stdout
        assert re.search(r"^introspection\nactive +yes$", text, re.MULTILINE)
        assert re.search(r"^exp +2\S+Z$", text, re.MULTILINE)

    def test_a_refused_question_still_logs_off(self, demo: str) -> None:
        """Or the seat would be held for 20 minutes."""
        for number in range(1, 7):
            result = ask(demo, f"Client{number}", "--introspect", "--logoff", exit_code=1)
            assert "unauthorized_client" in result.stderr
        ask(demo, "TestClientId", "--logoff")

    def test_a_wrong_secret_is_exit_code_1(self, demo: str) -> None:
        """And the secret is not repeated."""
        result = ask(demo, "TestClientId", secret="hunter22", exit_code=1)
        assert result.stderr.startswith("licet: invalid_client: ")
        assert "hunter22" not in result.output

    def test_a_full_pool_says_when_to_try_again(self, demo: str) -> None:
        """As it is for a client."""
        held = [json.loads(ask(demo, f"Client{number}", "--json").stdout) for number in range(1, 6)]
        result = ask(demo, "Client6", exit_code=1)
        assert re.fullmatch(
            r"licet: all 5 seats of pool full are in use, try again in 1[12]\d\d s\n", result.stderr
        )
        for number in range(1, 6):
            ask(demo, f"Client{number}", "--logoff")
        assert len(held) == 5

    def test_another_address_of_the_server_is_exit_code_1(self, demo: str) -> None:
        """There is nothing."""
        assert "invalid_request" in ask(f"{demo}/x", "Client1", exit_code=1).stderr

    def test_a_server_that_does_not_answer_is_exit_code_3(self) -> None:
        """Nobody listens on port 1."""
        result = ask("http://127.0.0.1:1/Jim_Test", "Client1", exit_code=3)
        assert "does not answer" in result.stderr

    @pytest.mark.parametrize(
        "where",
        [
            "ftp://a/b",
            "http://",
            "http://a:b/c",
            "http://[::1/c",
            "http://u:p@a/b",
            "http://a/b?c",
            "http://a:0/b",
        ],
    )
    def test_what_is_no_url_is_wrong_use(self, where: str) -> None:
        """Exit code 2, before the secret is read."""
        assert "a tenant is written" in ask(where, "Client1", exit_code=2).stderr

    def test_the_secret_is_asked_for_on_a_terminal_only(self) -> None:
        """Elsewhere --secret-stdin has to be said, and a line to be there."""
        assert "--secret-stdin" in run("token", "Jim_Test", "--client-id", "a", exit_code=2).stderr
        assert "no secret" in ask("Jim_Test", "a", secret="", exit_code=2).stderr

    def test_a_terminal_is_asked_without_an_echo(self, demo: str) -> None:
        """And told that the session lives on."""
        with terminal("token", demo, "--client-id", "TestClientId", "--scope", "view") as screen:
            screen.read_until("Secret of TestClientId: ")
            screen.press("password\n")
            screen.read_until("--logoff would have ended it")
            assert screen.ended() == 0
        assert "password" not in screen.text


class TestWhatAServerSays:
    """From an answer to a sentence and an exit code."""

    @pytest.mark.parametrize(
        ("where", "url"),
        [
            ("Jim_Test", "http://127.0.0.1:8080/Jim_Test/"),
            ("a/b?", "http://127.0.0.1:8080/a%2Fb%3F/"),
            ("https://licence.example.com/Jim_Test", "https://licence.example.com/Jim_Test/"),
            ("https://licence.example.com/auth/Jim_Test/token", "https://licence.example.com/auth/Jim_Test/"),
        ],
    )
    def test_a_tenant_is_a_name_or_a_url(self, where: str, url: str) -> None:
        """Of the token endpoint too."""
        assert _tenant_url(where) == url

    def test_plain_http_over_a_network_is_warned_of(self, capsys: pytest.CaptureFixture[str]) -> None:
        """The secret can be read on the way."""
        _tenant_url("http://licence.example.com/Jim_Test")
        assert "https://" in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("content", "text"),
        [
            ({"reason": "all_in_use", "pool": "full", "seats": 5, "in_use": 5, "retry_after": 312},
             "all 5 seats of pool full are in use, try again in 312 s"),
            ({"reason": "all_in_use", "pool": "full", "seats": 3, "in_use": 5}, "5 of 3 seats of pool full are in use"),
            ({"reason": "all_in_use", "pool": "full", "seats": 1, "in_use": 1}, "the only seat of pool full is in use"),
            ({"reason": "no_seats", "pool": "full"}, "pool full has no seats"),
            ({"reason": "licence_expired", "pool": "full"},
             "the licence of pool full has expired; a scope that needs no seat still works"),
            ({"error": "temporarily_unavailable", "reason": "rate_limited", "retry_after": 3,
              "error_description": "Too many failed attempts; wait before the next one."},
             "temporarily_unavailable: Too many failed attempts; wait before the next one, try again in 3 s"),
            ({"error": "invalid_scope", "error_description": "No such scope.", "request_id": "r1"},
             "invalid_scope: No such scope (request r1)"),
            ({"error": "\x1b[2J"}, "\N{REPLACEMENT CHARACTER}[2J"),
            ({}, "refused without a reason"),
        ],
    )  # fmt: skip
    def test_a_refusal_is_told_in_words(self, content: dict[str, Any], text: str) -> None:
        """With what can be done."""
        with pytest.raises(Exception, match=f"^{re.escape(text)}$"):
            _refuse(400, content)

    def test_a_server_that_cannot_work_counts_as_unreachable(self) -> None:
        """Exit code 3: it is not the client's fault."""
        with pytest.raises(ServerUnreachable):
            _refuse(503, {"error": "server_error"})

    def test_credentials_never_show_the_secret(self) -> None:
        """Not even to a debugger's reader."""
        credentials = _Credentials(client_id="a", secret="hunter22", in_body=False)
        assert "hunter22" not in repr(credentials)

    def test_credentials_are_form_encoded_in_the_header(self) -> None:
        """RFC 6749 2.3.1."""
        credentials = _Credentials(client_id="a:b", secret="c d", in_body=False)
        assert credentials.headers() == {"Authorization": "Basic YSUzQWI6Yytk"}
        assert credentials.form() == {}
