"""What ends sessions is asked about first, with how many and whose; without a terminal it needs --yes."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from licet.clock import SystemClock
from licet.setup.change import SetupChange, changing
from licet.setup.consequences import CLIENTS_MAX, Consequences, Tally, attempt
from licet.store.sqlite.store import SqliteStore
from support.cli.cli_site import CommandLine, new_data
from support.cli.command_line import terminal

# Each ends the one session of TestClientId, and what it says when it is done.
ENDING = (
    (("pool", "set", "full", "--expires", "2020-01-01"), "Pool full changed; 1 session ended."),
    (("scope", "set", "all", "--unlicensed"), "Scope all changed; 1 session ended."),
    (("user", "disable", "TC"), "User TC disabled; 1 session ended."),
    (("client", "set", "TestClientId", "--scope", "view"), "Client TestClientId changed; 1 session ended."),
    (("client", "disable", "TestClientId"), "Client TestClientId disabled; 1 session ended."),
    (("client", "remove", "TestClientId"), "Client TestClientId removed; 1 session ended."),
    (("tenant", "remove", "Jim_Test"), "Tenant Jim_Test removed; 1 session ended."),
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory whose client has a session."""
    data = new_data(tmp_path_factory.mktemp("asks") / "licet-data")
    CommandLine(data).grant("TestClientId")
    return data


class TestWithoutATerminal:
    """A script has to say that it means it."""

    @pytest.mark.parametrize(("arguments", "done"), ENDING)
    def test_a_verb_that_ends_a_session_needs_yes_and_says_what_would_end(
        self, cli: CommandLine, arguments: tuple[str, ...], done: str
    ) -> None:
        """Exit code 2, and nothing is changed; with --yes it is."""
        told = cli.error(*arguments, exit_code=2)
        assert "1 session ends at once: TestClientId." in told
        assert told.endswith("Nobody can be asked here; say --yes")
        assert len(cli.json("session", "list")) == 1
        assert cli.out(*arguments, "--yes") == f"{done}\n"

    def test_an_earlier_end_of_a_pool_needs_yes_where_it_cuts_sessions_short(self, cli: CommandLine) -> None:
        """L7: they end with the pool, though not at once."""
        soon = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 600))
        told = cli.error("pool", "set", "full", "--expires", soon, exit_code=2)
        assert told == (
            "1 session ends sooner than it would have: TestClientId. Do this?"
            " Nobody can be asked here; say --yes"
        )
        done = cli.out("pool", "set", "full", "--expires", soon, "--yes")
        assert done == "Pool full changed; 1 session cut short.\n"

    def test_an_end_in_the_past_needs_yes_though_nobody_is_in(self, cli: CommandLine) -> None:
        """One wrong digit, and nobody gets a seat any more."""
        cli.run("session", "end", "--all", "--yes")
        told = cli.error("pool", "set", "full", "--expires", "2020-01-01", exit_code=2)
        assert told.startswith("2020-01-01 is in the past: the licence would be over at once.")
        cli.run("pool", "set", "full", "--expires", "2020-01-01", "--yes")
        assert cli.out("pool", "set", "full", "--expires", "2020-01-01") == "Nothing to change.\n"

    @pytest.mark.parametrize(
        "arguments",
        [
            ("pool", "set", "full", "--seats", "7"),
            ("pool", "set", "full", "--expires", "2999-01-01"),
            ("client", "set", "TestClientId", "--max-sessions", "3"),
            ("tenant", "set", "Jim_Test", "--session-ttl", "30m"),
        ],
    )
    def test_a_verb_that_ends_nothing_asks_nothing(
        self, cli: CommandLine, arguments: tuple[str, ...]
    ) -> None:
        """Scripts that were right stay right."""
        assert cli.out(*arguments).endswith("changed.\n")

    def test_a_file_that_ends_sessions_needs_yes(self, cli: CommandLine, tmp_path: Path) -> None:
        """Also where it removes nothing."""
        file = tmp_path / "set-up.toml"
        text = cli.out("export")
        file.write_text(text.replace("seats = 5", "seats = 5\nexpires = 2020-01-01"), encoding="utf-8")
        refused = cli.run("apply", str(file), exit_code=2)
        assert "1 session ends at once: TestClientId. Do this? Nobody can be asked" in refused.stderr
        assert cli.out("apply", str(file), "--yes").endswith("1 change made; 1 session ended.\n")

    def test_what_is_refused_is_refused_before_anybody_is_asked(self, cli: CommandLine) -> None:
        """A client stands for the user: to say yes would be of no use."""
        assert cli.error("user", "remove", "TC").startswith("user TC is the user of client TestClientId")


class TestOnATerminal:
    """A person is asked, and sees what it is about."""

    def test_a_past_end_is_called_what_it_is_and_no_changes_nothing(self, cli: CommandLine) -> None:
        """As the dashboard asks: how many sessions, whose."""
        expire = ("pool", "set", "full", "--expires", "2020-01-01", "--data", str(cli.data))
        for answer, exit_code, left in (("n", 1, 1), ("y", 0, 0)):
            with terminal(*expire) as screen:
                seen = " ".join(screen.read_until("Do this? [y/N]: ").split())
                assert "2020-01-01 is in the past" in seen
                assert "1 session ends at once: TestClientId." in seen
                screen.press(f"{answer}\n")
                assert screen.ended() == exit_code
            assert len(cli.json("session", "list")) == left

    def test_a_user_for_whom_a_client_stands_is_not_asked_about(self, cli: CommandLine) -> None:
        """The refusal comes first."""
        with terminal("user", "remove", "TC", "--data", str(cli.data)) as screen:
            assert screen.ended() == 1
        assert "[y/N]" not in screen.text


class TestCounting:
    """What a change would end, for all who ask."""

    def test_whose_sessions_end_is_told_up_to_a_bound(self) -> None:
        """Those with most of them first; the others are counted."""
        tally = Tally()
        tally.end("Jim_Test", {(f"client{number:02}", "TC"): 1 for number in range(CLIENTS_MAX + 5)})
        tally.cut_short("Jim_Test", {("client07", "TC"): 2})
        told = tally.total()
        assert (told.sessions_ended, told.sessions_cut_short) == (CLIENTS_MAX + 5, 2)
        assert (told.clients[0].client_id, told.clients[0].sessions) == ("client07", 3)
        assert (len(told.clients), told.clients_more) == (CLIENTS_MAX, 5)

    def test_what_is_not_agreed_to_is_rolled_back_whole(self, cli: CommandLine) -> None:
        """Sessions, set-up and events are as before."""
        store = SqliteStore(cli.store_file, SystemClock())
        asked: list[Consequences] = []

        def no(ending: Consequences) -> bool:
            asked.append(ending)
            return False

        def change_it(work: Callable[[SetupChange], None]) -> None:
            with changing(store, "ada") as change:
                work(change)

        tried = attempt(change_it, lambda change: change.remove_tenant("Jim_Test"), agrees=no)
        store.close()
        assert not tried.is_made
        assert [it.sessions_ended for it in asked] == [1]
        assert len(cli.json("session", "list")) == 1
