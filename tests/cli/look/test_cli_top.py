"""`licet top`: what it shows, what its keys do, and that it leaves a terminal as it was."""

import io
import json
import re
import signal
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace
from rich.console import Console

from licet.cli.look import top as running
from licet.cli.look.top_screen import TYPED_MAX, Mode, Order, Screen
from licet.ledger.commands import Command
from licet.model import Duplicates, Pool
from licet.platforms.terminal import read_keys
from licet.reports.live import seats
from support.cli.bash import bash
from support.cli.cli_reports_site import Site
from support.cli.cli_site import CommandLine
from support.cli.command_line import terminal
from support.cli.screen import TerminalScreen
from support.examples import client, end, grant, jim_test, view


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """`Jim_Test`, nothing in use."""
    site = Site(tmp_path, jim_test())
    yield site
    site.store.close()


def drawn(site: Site, screen: Screen, *keys: str, width: int = 80, height: int = 24) -> list[str]:
    """The lines of a screen after these keys."""
    console = Console(width=width, height=height, file=io.StringIO(), markup=False)
    with site.store.reading() as connection:
        now = seats(connection, site.tenant, site.clock.now_ms())
    screen.show(now)
    for key in keys:
        assert screen.press(key) is None
        screen.show(now)
    lines = [line.plain.rstrip() for line in screen.lines(now, console)]
    assert len(lines) == height
    assert max(map(len, lines)) <= width
    return lines


def one_by_one(site: Site, *commands: Command) -> None:
    """A second between them, so that they are in this order."""
    for command in commands:
        site.do(command)
        site.clock.advance(seconds=1)


def selected(lines: list[str]) -> str:
    """The line of the selection."""
    (line,) = [line for line in lines if line.startswith("> ")]
    return line


def is_narrow(drawn: str) -> bool:
    """Whether this is a whole screen, of 70 columns."""
    return " seats in use in " in drawn and max(len(line.rstrip()) for line in drawn.split("\r\n")) <= 70


def attributes(screen: TerminalScreen) -> list[object]:
    """Of a terminal: whether it echoes, waits for whole lines, ..."""
    return list(termios.tcgetattr(screen.descriptor))


# What is on the screen


def test_a_screen_has_the_pools_their_sessions_and_what_the_keys_do(site: Site) -> None:
    site.do(grant(1, 1), view(2, 2))
    lines = drawn(site, Screen())
    assert re.fullmatch(r"1 of 5 seats in use in Jim_Test +\d\d:\d\d:\d\d", lines[0])
    assert lines[2] == "full  [#----]  1 of 5 seats in use"
    assert re.fullmatch(r"> TC User TC +TestClientId +all +\d.* 192\.0\.2\.1", lines[4])
    assert lines[6] == "1 session without a seat"
    assert lines[8].split()[:3] == ["C1", "User", "C1"]
    assert lines[-2].startswith("TestClientId, last used ")
    assert lines[-1] == "up/down  e end  / filter  p pool  s sort  ? help  q quit"


@pytest.mark.parametrize(("width", "columns"), [(70, 5), (80, 6), (100, 7)])
def test_a_narrow_terminal_has_fewer_columns_and_no_wider_line(
    tmp_path: Path, width: int, columns: int
) -> None:
    """The selected session's are in the line below all."""
    long = client(1, "a-client-with-a-very-long-name-of-54-characters-in-all", "AB")
    site = Site(tmp_path, jim_test(clients=[long]))
    site.do(grant(1, 1))
    lines = drawn(site, Screen(tenants=2), width=width)
    site.store.close()
    assert lines[-1].endswith("t tenant  s sort  ? help  q quit")
    assert len(re.split(r"  +", lines[3].strip())) == columns
    assert lines[-2].startswith("a-client-with-a-very-long-name")
    assert "all" in selected(lines)
    assert "20 min" in selected(lines) or "19 min" in selected(lines)


def test_what_there_is_no_room_for_is_counted_and_the_selection_is_always_seen(site: Site) -> None:
    """Nothing is hidden in silence."""
    one_by_one(site, *(grant(key, key) for key in range(1, 6)))
    screen = Screen()
    wide = 100  # also shortly before midnight, when the moment of the next free seat has a date
    lines = drawn(site, screen, width=wide, height=9)
    assert "TestClientId" in selected(lines)
    assert lines[-3] == "... 5 lines below"
    lines = drawn(site, screen, "end", width=wide, height=9)
    assert "Client4" in selected(lines)
    assert re.fullmatch(r"... \d lines above, 1 line below", lines[-3])
    assert "above" not in "".join(drawn(site, screen))


def test_sessions_that_share_a_seat_and_a_seat_on_hold_are_seen(tmp_path: Path) -> None:
    """L2, L18."""
    pool = Pool(id=1, name="full", seats=5, duplicates=Duplicates.USER, hold_s=1200)
    clients = [client(1, "Desk", "AB"), client(2, "Phone", "AB"), client(3, "Till", "CD")]
    site = Site(tmp_path, jim_test(pools=[pool], clients=clients))
    site.do(grant(1, 1), grant(2, 2), grant(3, 3))
    site.do(end(3))
    lines = drawn(site, Screen())
    site.store.close()
    rows = [line for line in lines[:-2] if "Desk" in line or "Phone" in line]
    assert [row[2] for row in rows] == ["+", "+"]
    assert sum("(on hold)" in line for line in lines) == 1


def test_a_name_cannot_take_over_the_terminal(tmp_path: Path) -> None:
    """Control characters are shown as such, in the question too."""
    usual = client(1, "Desk", "AB")
    evil = replace(usual, user=replace(usual.user, name="\x1b]0;owned\x07"))
    site = Site(tmp_path, jim_test(clients=[evil]))
    site.do(grant(1, 1))
    screen = Screen()
    shown = "".join(drawn(site, screen, "e", "enter"))
    site.store.close()
    assert screen.mode is Mode.CONFIRM
    assert "owned" in shown
    assert "\x1b" not in shown
    assert "\x07" not in shown


# Keys


def test_the_selection_moves_and_stays_on_its_session(site: Site) -> None:
    one_by_one(site, *(grant(key, key) for key in range(1, 5)))
    screen = Screen()
    assert "Client2" in selected(drawn(site, screen, "down", "j"))
    assert "Client1" in selected(drawn(site, screen, "up"))
    site.do(end(1))
    assert "Client1" in selected(drawn(site, screen))  # though it is one line higher
    site.do(end(2))
    assert "Client2" in selected(drawn(site, screen))  # the next one, where it was
    assert "Client3" in selected(drawn(site, screen, "page down", "page down"))
    assert "Client2" in selected(drawn(site, screen, "home", "up"))


@pytest.mark.parametrize(
    ("typed", "found"),
    [("client2", "Client2"), ("c3", "Client3"), ("USER C1", "Client1"), ("view", "Client4")],
)
def test_a_filter_is_a_part_of_a_user_client_or_scope(site: Site, typed: str, found: str) -> None:
    """As it is typed; Enter keeps it, Escape takes it away."""
    site.do(*(grant(key, key) for key in range(1, 5)), view(5, 5))
    screen = Screen()
    lines = drawn(site, screen, "/", *typed)
    assert found in selected(lines)
    assert lines[1].startswith(f"filter '{typed}': 1 row")
    assert lines[-2] == f"Filter: {typed}_"
    lines = drawn(site, screen, "enter")
    assert sum("192.0.2.1" in line and "last used" not in line for line in lines) == 1
    assert screen.mode is Mode.LIST
    assert not drawn(site, screen, "escape")[1].startswith("filter")


def test_a_filter_that_nothing_matches_selects_nothing(site: Site) -> None:
    site.do(grant(1, 1))
    screen = Screen()
    lines = drawn(site, screen, "/", *"nobody", "enter")
    assert not [line for line in lines if line.startswith(">")]
    assert drawn(site, screen, "e")[-2] == "There is no session to end."
    assert "TestClientId" in selected(drawn(site, screen, "/", *["backspace"] * 6, "enter"))


def test_what_is_typed_is_bounded_and_its_end_is_seen(site: Site) -> None:
    screen = Screen()
    lines = drawn(site, screen, "/", *"x" * (TYPED_MAX + 50), "y")
    assert len(screen.filter) == TYPED_MAX
    assert lines[-2].endswith("xxx_")


def test_p_shows_one_pool_after_the_other(tmp_path: Path) -> None:
    pools = [Pool(id=1, name="full", seats=5), Pool(id=2, name="mobile", seats=3)]
    site = Site(tmp_path, jim_test(pools=pools))
    site.do(grant(1, 1), view(2, 2))
    screen = Screen()
    shown = ["\n".join(drawn(site, screen, *keys)) for keys in ((), "p", "p", "p", "p")]
    site.store.close()
    assert ["full  [" in text for text in shown] == [True, True, False, False, True]
    assert ["mobile  [" in text for text in shown] == [True, False, True, False, True]
    assert ["1 session without" in text for text in shown] == [True, False, False, True, True]
    assert "pool mobile" in shown[2].splitlines()[1]


def test_s_sorts_by_user_and_by_client(tmp_path: Path) -> None:
    clients = [client(1, "Zebra", "AB"), client(2, "Ant", "CD")]
    site = Site(tmp_path, jim_test(clients=clients))
    one_by_one(site, grant(1, 1), grant(2, 2))
    screen = Screen()
    by_client = drawn(site, screen, "s", "s", "s")
    site.store.close()
    assert by_client[1] == "by client"
    rows = [line for line in by_client if "192.0.2.1" in line and "last used" not in line]
    assert ["Ant" in row for row in rows] == [True, False]


def test_help_lists_every_key_and_any_key_leaves_it(site: Site) -> None:
    screen = Screen()
    text = "\n".join(drawn(site, screen, "?", width=76))
    for key in ("e ", "/ ", "p ", "t ", "s ", "q "):
        assert f"\n{key}" in text
    assert "in use in" in drawn(site, screen, "q")[0]
    assert screen.mode is Mode.LIST


# Ending a session


def test_e_asks_for_a_reason_and_then_whether_to(site: Site) -> None:
    site.do(grant(1, 1))
    screen = Screen()
    assert drawn(site, screen, "e")[-2] == "Reason: _"
    assert drawn(site, screen, *"it hangs")[-2] == "Reason: it hangs_"
    asked = drawn(site, screen, "enter")[-2]
    assert asked == "End this session? [y/N]  client TestClientId, user TC User TC"
    (row,) = screen._rows
    assert screen.press("y") == Order("end", row.sid, "it hangs")
    assert screen.mode is Mode.LIST


@pytest.mark.parametrize("keys", [["escape"], ["enter", "n"], ["enter", "enter"], ["enter", "escape"]])
def test_anything_but_yes_ends_nothing(site: Site, keys: list[str]) -> None:
    site.do(grant(1, 1))
    assert drawn(site, Screen(), "e", *keys)[-2] == "Not ended."


def test_the_session_that_was_asked_about_is_the_one_that_ends(site: Site) -> None:
    """Though the list has changed meanwhile."""
    one_by_one(site, grant(1, 1), grant(2, 2))
    screen = Screen()
    drawn(site, screen, "e", "enter")
    (first, _) = screen._rows
    site.do(end(1))
    assert "TestClientId" in drawn(site, screen)[-2]
    assert screen.press("y") == Order("end", first.sid, "")


def test_a_seat_on_hold_has_no_session_to_end(tmp_path: Path) -> None:
    """L18."""
    site = Site(tmp_path, jim_test(pools=[Pool(id=1, name="full", seats=5, hold_s=1200)]))
    site.do(grant(1, 1))
    site.do(end(1))
    assert drawn(site, Screen(), "e")[-2].startswith("A seat on hold has no session to end")
    site.store.close()


def test_a_session_ends_with_a_reason_and_by_whom_in_the_journal(cli: CommandLine) -> None:
    """A refused reason is said, and what ended by itself is not called ended."""
    sid = cli.grant("TestClientId")
    store = cli.store()
    look = running._Top(store, None)
    assert look._end(Order("end", sid, "x" * 1000)).startswith("Not ended: ")
    assert look._end(Order("end", sid, "it hangs")) == "1 session ended; 1 seat came back."
    assert look._end(Order("end", sid)) == "It had ended already."
    store.close()
    events = json.dumps(cli.json("journal", "--only", "event", "--lines", "1"))
    assert "it hangs" in events
    assert "at the command line" in events


# In a terminal


def test_keys_are_read_by_their_names() -> None:
    """ECMA-48; a key without a name, and a character that cannot be shown, are passed over."""
    assert read_keys("\x1b[A\x1bOB\x1b[5~\x1b[6~\x1b[H\x1b[F") == [
        *("up", "down", "page up", "page down", "home", "end")
    ]
    assert read_keys("aé\r\x7f\x1b") == ["a", "é", "enter", "backspace", "escape"]
    assert read_keys("\x1b[15~\x1b[200~\x01\x1b[1;5A") == []


def test_q_ends_it_and_the_terminal_is_as_it_was(site: Site) -> None:
    """With exit code 0."""
    site.do(grant(1, 1))
    with terminal("top", "--data", str(site.data)) as screen:
        assert "1 of 5 seats in use in Jim_Test" in screen.read_until("q quit")
        assert attributes(screen) != screen.attributes_before  # nothing is echoed
        screen.press("q")
        assert screen.ended() == 0
        assert attributes(screen) == screen.attributes_before
        assert screen.raw.endswith("\x1b[?1049l")  # xterm: back to the screen from before


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_and_the_terminal_is_as_it_was(site: Site, number: int, code: int) -> None:
    """As in a shell: 128 and the number of the signal."""
    with terminal("top", "--data", str(site.data)) as screen:
        screen.read_until("q quit")
        screen.process.send_signal(number)
        assert screen.ended() == code
        assert attributes(screen) == screen.attributes_before
        assert screen.raw.endswith("\x1b[?1049l")


def test_it_follows_what_happens(site: Site) -> None:
    """Without a key."""
    with terminal("top", "--data", str(site.data)) as screen:
        screen.read_until("0 of 5 seats in use in Jim_Test")
        site.do(grant(1, 1))
        screen.read_until("1 of 5 seats in use in Jim_Test")
        site.do(end(1))
        screen.press("x")
        screen.read_until("0 of 5 seats in use in Jim_Test")


def test_a_session_is_ended_by_its_keys(cli: CommandLine) -> None:
    """Select, filter, end, reason, yes. A yes that is pasted before the question is there is no answer."""
    cli.grant("TestClientId")
    with terminal("top", "--data", str(cli.data)) as screen:
        screen.read_until("1 of 5 seats in use")
        screen.press("/test\re")
        screen.read_until("Reason: _")
        screen.press("it hangs\ry")
        screen.read_until("End this session? [y/N]  client TestClientId")
        assert len(cli.json("session", "list")) == 1
        screen.press("y")
        screen.read_until("1 session ended; 1 seat came back.")
        screen.press("q")
        assert screen.ended() == 0
    assert cli.json("session", "list") == []


def test_t_shows_the_next_tenant(cli: CommandLine) -> None:
    """Where none is named, it begins with the first."""
    cli.run("tenant", "add", "Other", "--seats", "3")
    with terminal("top", "--data", str(cli.data)) as screen:
        screen.read_until("0 of 5 seats in use in Jim_Test")
        screen.read_until("t tenant")
        screen.press("t")
        screen.read_until("0 of 3 seats in use in Other")
        cli.run("tenant", "remove", "Other", "--yes")
        screen.press("x")
        screen.read_until("0 of 5 seats in use in Jim_Test")
        screen.press("t")
        screen.read_until("There is one tenant only.")
        screen.press("q")
        assert screen.ended() == 0


def test_ctrl_z_gives_the_terminal_back_and_fg_continues(cli: CommandLine, tmp_path: Path) -> None:
    """And another size is seen at once: no line is wider than 70 columns."""
    with bash(tmp_path, cli.data) as shell:
        shell.type("licet top\r", "q quit")
        whole_lines = attributes(shell)
        shell.type("\x1a", "Stopped")
        told = shell.type("stty -a | grep -o -- '-*icanon'; echo is$((1))one\r", "is1one")
        assert re.search(r"[\r\n]icanon\r\n", told)
        shell.type("fg\r", "q quit")
        assert attributes(shell) == whole_lines
        shell.resize(70, 12)
        shell.read_until(lambda text: any(map(is_narrow, text.split("q quit")[:-1])))
        shell.type("\x03echo is$((2))two $?\r", "is2two 130")
        told = shell.type("stty -a | grep -o -- '-*icanon'; echo is$((3))three\r", "is3three")
        assert re.search(r"[\r\n]icanon\r\n", told)


def test_a_pipe_gets_it_once(site: Site) -> None:
    """As `licet seats` prints it."""
    assert site.run("top").stdout == site.run("seats").stdout
