"""The completion of names in a shell: which, from where, in silence, and in a real Bash."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.core import TyperGroup

from licet.cli import _PANELS, _loader, completing
from licet.clock import SystemClock
from licet.store.sqlite.store import SqliteStore
from support.cli.bash import bash
from support.cli.cli_site import TENANT, CommandLine, copy_of
from support.cli.screen import WAIT_S
from support.server.nursery import ran
from support.store.postgres import Postgres

_LICET = Path(sys.executable).with_name("licet")
_NAMES = {
    "CLIENT_ID",
    "INITIALS",
    "POOL",
    "SCOPE",
    "TENANT|URL",
    "WHO",
    "N:WHO",
}  # what is completed, as the help calls it


def completed(line: str, data: Path) -> str:
    """What bash would complete."""
    done = ran([sys.executable, str(_LICET)], WAIT_S, env=environment(line, data))
    assert not done.stderr
    return done.stdout.strip()


def environment(line: str, data: Path) -> dict[str, str]:
    """As the script for bash sets it."""
    variables = {"_LICET_COMPLETE": "complete_bash", "COMP_WORDS": line, "LICET_DATA": str(data)}
    return {**os.environ, **variables, "COMP_CWORD": str(len(line.split(" ")) - 1)}


def state(directory: Path) -> dict[str, tuple[int, bytes]]:
    """The files of a directory: when each was written, and what is in it."""
    return {
        path.name: (path.stat().st_mtime_ns, path.read_bytes())
        for path in directory.iterdir()
        if not path.name.endswith("-shm")  # readers of an open store note there where they are
    }


# Which names


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("licet pool set ", "full"),
        ("licet scope show a", "all"),
        ("licet user disable ", "TC"),
        ("licet client set Test", "TestClientId"),
        ("licet client set TestClientId --scope v", "view"),
        ("licet client add x --user ", "TC"),
        ("licet scope set all --pool ", "full"),
        ("licet client secret list ", "TestClientId"),
        ("licet session end --client ", "TestClientId"),
        ("licet seats --tenant J", "Jim_Test"),
        ("licet journal --pool ", "full"),
        ("licet token J", "Jim_Test"),
        ("licet token Jim_Test --client-id ", "TestClientId"),
        ("licet token https://licence.example.com/Jim_Test --client-id ", "TestClientId"),
        ("licet token Other --client-id ", ""),
        ("licet pool set x", ""),
        ("licet pool set full --exclude us", "user:TC"),
        ("licet pool set full --exclude ", "user:TC\nclient:TestClientId"),
        ("licet pool set full --exclude users:", ""),
        ("licet pool set full --exclude user:", "user:TC"),
        ("licet pool set full --reserve 2:client:Te", "2:client:TestClientId"),
        ("licet pool set full --named ", "TC"),
        ("licet group add sales --client ", "TestClientId"),
        ("licet queue remove --pool ", "full"),
    ],
)
def test_a_shell_completes_names_that_are_in_the_store(made: Path, line: str, found: str) -> None:
    """Where LICET_DATA says that it is."""
    assert completed(line, made) == found


def test_every_argument_and_option_that_takes_such_a_name_is_completed() -> None:
    """A new name of something is not for `add`."""
    for path, command in _verbs():
        for param in command.params:
            if param.metavar in _NAMES and not (
                path.endswith(" add") and param.param_type_name == "argument"
            ):
                assert param._custom_shell_complete is not None, (path, param.name)


def _verbs() -> Iterator[tuple[str, Any]]:
    for panel in _PANELS.values():
        for verb in panel:
            yield from _below(f"licet {verb.name}", _loader(verb)())


def _below(path: str, command: Any) -> Iterator[tuple[str, Any]]:
    if not isinstance(command, TyperGroup):
        yield path, command
        return
    for name, part in command.commands.items():
        yield from _below(f"{path} {name}", part)


def test_the_names_are_those_of_the_tenant_that_is_named(cli: CommandLine) -> None:
    """Where there are several and none is named, it could be any of them."""
    cli.run("tenant", "add", "Other", "--seats", "1")
    cli.run("pool", "add", "mobile", "--seats", "1", "--tenant", "Other")
    assert completed("licet pool set --tenant Other ", cli.data).split() == ["full", "mobile"]
    assert completed("licet pool set ", cli.data) == ""
    assert completed("licet seats --tenant ", cli.data).split() == [TENANT, "Other"]
    cli.run("tenant", "remove", "Other", "--yes")
    assert completed("licet pool set ", cli.data) == "full"


@pytest.mark.parametrize("name", ["-rf", "$(reboot)", "a b", "a;b", "`reboot`", "a'b", "*", "~root", "a&b"])
def test_a_name_that_a_shell_could_take_for_more_than_a_word_is_left_out(cli: CommandLine, name: str) -> None:
    """Zsh evaluates what it is given here, and every shell runs the line."""
    cli.run("client", "add", "--user", "TC", "--", name)
    assert completed("licet client show ", cli.data) == "TestClientId"


def test_names_are_read_from_a_database_too(
    postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LICET_STORE", postgres.create_database("completed"))
    cli = CommandLine(tmp_path / "data")
    cli.run("init", "--tenant", TENANT, "--seats", "5")
    context: Any = SimpleNamespace(params={"data": cli.data})
    assert completing.tenants(context, "J") == [TENANT]
    assert completing.pools(context, "") == ["full"]
    assert completing.scopes(context, "v") == ["view"]
    assert completing.users(context, "") == completing.clients(context, "") == []
    postgres.drop_database("completed")


# In silence


def test_where_there_is_no_store_nothing_is_completed_and_nothing_is_said(tmp_path: Path) -> None:
    """Somebody is typing."""
    assert not completed("licet pool set ", tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_a_file_that_is_no_store_is_passed_over(cli: CommandLine) -> None:
    cli.store_file.write_bytes(b"no database, but long enough to be taken for one" * 100)
    assert not completed("licet pool set ", cli.data)


def test_a_mistake_in_the_settings_is_passed_over(cli: CommandLine) -> None:
    (cli.data / "licet.toml").write_text("prot = 1\n")
    assert not completed("licet pool set ", cli.data)


def test_a_store_that_is_locked_is_not_waited_for(made: Path, tmp_path: Path) -> None:
    """It is read without a lock, as its file is then."""
    cli = copy_of(made, tmp_path)
    with closing(sqlite3.connect(cli.store_file, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("UPDATE setup SET version = version + 1")
        assert completed("licet pool set ", cli.data) == "full"


def test_nothing_is_changed_where_no_server_runs(made: Path, tmp_path: Path) -> None:
    """No file is made or touched, and none is left behind."""
    cli = copy_of(made, tmp_path)
    before = state(cli.data), cli.data.stat().st_mtime_ns
    assert completed("licet pool set ", cli.data) == "full"
    assert (state(cli.data), cli.data.stat().st_mtime_ns) == before
    assert not list(cli.data.glob("*-shm"))


def test_what_a_server_has_just_committed_is_completed_and_nothing_is_changed(
    made: Path, tmp_path: Path
) -> None:
    """It is in the log of the store, and not in its file yet."""
    cli = copy_of(made, tmp_path)
    with closing(SqliteStore(cli.store_file, SystemClock())):
        cli.run("pool", "add", "mobile", "--seats", "1")
        before = state(cli.data)
        assert completed("licet pool set m", cli.data) == "mobile"
        assert state(cli.data) == before


def test_the_completion_of_a_name_imports_nothing_of_the_database(made: Path) -> None:
    """A person has pressed a key and waits: SQLAlchemy alone takes as long as all of it may."""
    code = (
        "import sys; sys.argv[0] = 'licet'; from licet.__main__ import main\n"
        "try: main()\nfinally: print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment("licet client set ", made),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "TestClientId"
    imported = set(done.stderr.split())
    assert "sqlite3" in imported
    assert not {"sqlalchemy", "asyncio", "rich", "licet.setup.change", "licet.settings.load"} & imported


# In a real shell


def test_bash_completes_names_with_the_script_that_licet_installs(made: Path, tmp_path: Path) -> None:
    """As the reference says: `licet --install-completion`, and a new shell."""
    with bash(tmp_path, made) as shell:
        shell.type("licet --install-completion\r", "bash completion installed in")
    with bash(tmp_path, made) as shell:
        shell.type("licet pool se\t", "licet pool set ")
        shell.type("fu\t", "full ")
        shell.type("\x15licet client show Te\t", "TestClientId ")
        assert "XX" not in shell.type("\x15licet user show X\t\t; echo $((20 + 22))\r", "42")


_WHOLE_LINE = (
    "licet pool set full --exclude user:TC --include group:sales --reserve 2:client:TestClientId"
    " --max=1:client:TestClientId --exclude client:TestClientId --priority 5:group:sales\r\n"
)


@pytest.mark.wide
def test_bash_completes_what_stands_behind_a_colon(made: Path, tmp_path: Path) -> None:
    """It takes that for a word of its own: what is typed stays, and nothing of it is there twice."""
    cli = copy_of(made, tmp_path / "store")
    cli.run("group", "add", "sales", "--client", "TestClientId")
    home = tmp_path / "home"
    home.mkdir()
    with bash(home, cli.data) as shell:
        shell.type("licet --install-completion\r", "bash completion installed in")
    with bash(home, cli.data) as shell:
        shell.resize(300, 24)
        shell.type("licet pool set full --exclude us\t", "--exclude user:TC ")
        shell.type("--include group:\t", "--include group:sales ")
        shell.type("--reserve 2:cl\t", "--reserve 2:client:TestClientId ")
        shell.type("--max=1:client:Te\t", "--max=1:client:TestClientId ")
        shell.type("--exclude client:\t", "--exclude client:TestClientId ")
        shell.type("--priority 5:group:s\t", "--priority 5:group:sales ")
        # The line as Bash has it by now, which is only printed.
        shell.type("\x01echo \x05\r", _WHOLE_LINE)


@pytest.mark.wide
def test_bash_that_breaks_no_word_at_a_colon_completes_it_too(made: Path, tmp_path: Path) -> None:
    """As some have it in their ~/.bashrc."""
    with bash(tmp_path, made) as shell:
        shell.type("licet --install-completion\r", "bash completion installed in")
    with bash(tmp_path, made) as shell:
        shell.resize(300, 24)
        shell.type("COMP_WORDBREAKS=${COMP_WORDBREAKS//:}; echo d''one\r", "done")
        shell.type("licet pool set full --exclude user:\t", "--exclude user:TC ")
        shell.type("--reserve 2:client:Te\t", "--reserve 2:client:TestClientId ")
