"""The command line as a whole: help, exit codes, errors, and the verbs for an installation."""

import json
import os
import re
import shlex
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from typer.core import TyperGroup

from licet.cli import _PANELS, _loader
from licet.credentials.keyring import read_keyring
from support.cli.cli_site import TENANT, CommandLine
from support.cli.command_line import run, terminal

UNPROVEN = "it cannot authenticate: no password works for it, no secret and no key"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def verbs() -> Iterator[tuple[str, Any]]:
    """Every verb by what its caller types, with the command that it is."""
    for panel in _PANELS.values():
        for verb in panel:
            yield from _verbs(f"licet {verb.name}", _loader(verb)())


def _verbs(path: str, command: Any) -> Iterator[tuple[str, Any]]:
    if not isinstance(command, TyperGroup):
        yield path, command
        return
    for name, part in command.commands.items():
        yield from _verbs(f"{path} {name}", part)


# Help


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_licet_alone_shows_its_help(arguments: list[str]) -> None:
    shown = run(*arguments).stdout
    for verb in ("demo", "init", "serve", "check", "seats", "token", "tenant", "client", "apply"):
        assert re.search(rf"│ {verb} +[A-Z]", shown)
    assert "Exit codes: 0 done, 1 refused or not found, 2 wrong use, 3 store unreachable." in shown


def test_a_noun_alone_shows_its_help() -> None:
    result = run("pool", exit_code=2)
    assert "remove" in result.stdout
    assert not result.stderr


def test_the_version_is_told() -> None:
    assert run("--version").stdout == f"licet {version('licet')}\n"


def test_every_verb_has_an_example_of_itself() -> None:
    found = dict(verbs())
    assert len(found) > 40
    for path in found.keys() - {"licet seats", "licet top"}:  # which nothing needs to be said to
        command = found[path]
        assert re.search(rf"Examples?: \[bold\]{path}\b", command.help or ""), path


def test_every_help_fits_into_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERMINAL_WIDTH", "80")
    for path, _ in verbs():
        shown = run(*path.split()[1:], "--help").stdout
        assert max(map(len, shown.splitlines())) <= 80
        assert "…" not in shown, path
        assert not re.search(r"<(str|int|path)>|<=x|x>=", shown), path  # a library's words for a value


def test_a_help_is_laid_out_by_the_width_of_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not by the lines of the source: a paragraph has no short line but its last."""
    monkeypatch.setenv("TERMINAL_WIDTH", "80")
    shown = run("session", "end", "--help").stdout
    assert re.search(
        r"\n --after-restore after you restore a copy of the store, before the server *\n", shown
    )
    assert "N [1 to 3,660]" in run("usage", "--help").stdout


def test_no_option_takes_a_password_or_secret() -> None:
    """Product, section 6: passwords come from a prompt or standard input, never from an argument."""
    for path, command in verbs():
        for param in command.params:
            if re.search("password|secret", param.name) and not re.search("expires|secret_id", param.name):
                assert param.is_flag, (path, param.name)


def test_the_help_costs_nothing_of_the_database_and_the_hashing() -> None:
    code = "import sys, licet.cli; print({'sqlalchemy', 'argon2', 'pydantic', 'uvicorn'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a file that is always full")
def test_an_output_that_cannot_be_written_is_said_in_one_line() -> None:
    """As where the disk is full to which a report is redirected."""
    code = "from licet.__main__ import main; main()"
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-c", code, "--version"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert (done.returncode, done.stderr) == (
        2,
        "licet: the output cannot be written: No space left on device\n",
    )


def test_a_shell_completes_the_verbs_of_a_noun() -> None:
    """Also those of a noun that is not imported yet."""
    environment = {"_LICET_COMPLETE": "complete_bash", "COMP_WORDS": "licet client sec", "COMP_CWORD": "2"}
    licet = Path(sys.executable).with_name("licet")
    done = subprocess.run(
        [licet], env={**os.environ, **environment}, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["secret"]


# Errors


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["bogus"], "no such command 'bogus' (see: licet --help)"),
        (["tenan"], "no such command 'tenan'. Did you mean 'tenant', 'token'? (see: licet --help)"),
        (["--bogus"], "no such option: --bogus (see: licet --help)"),
        (["pool", "bogus"], "no such command 'bogus' (see: licet pool --help)"),
        (["pool", "add"], "missing argument 'NAME' (see: licet pool add --help)"),
        (["pool", "add", "x"], "missing option '--seats' (see: licet pool add --help)"),
        (["pool", "add", "x", "--seats"], "option '--seats' requires an argument"),
        (["pool", "add", "x", "--seats", "many"], "--seats: a whole number from 0 to 1,000,000, or all"),
        (["client", "set", "x", "--max-sessions", "many"], "invalid value for '--max-sessions'"),
        (["pool", "list", "--jsn"], "no such option: --jsn"),
    ],
)
def test_wrong_use_is_one_line_and_exit_code_2(arguments: list[str], told: str) -> None:
    result = run(*arguments, exit_code=2)
    assert not result.stdout
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"licet: {told}")


def test_no_store_is_exit_code_3(tmp_path: Path) -> None:
    nowhere = CommandLine(tmp_path / "nowhere")
    told = f"there is no store in {nowhere.data}; make one: licet init --data {nowhere.data}"
    assert nowhere.error("pool", "list", exit_code=3) == told
    (tmp_path / "file").touch()
    below_a_file = CommandLine(tmp_path / "file")
    assert below_a_file.error("check", exit_code=3).startswith(f"there is no store in {below_a_file.data}; ")


def test_a_store_that_is_no_database_is_exit_code_3(cli: CommandLine) -> None:
    cli.store_file.write_bytes(b"no database, but long enough to be taken for one" * 100)
    told = cli.error("pool", "list", exit_code=3)
    assert told.startswith(f"the store in {cli.data} cannot be opened: ")
    assert told.endswith("file is not a database")


def test_a_set_up_that_was_damaged_by_hand_is_named(cli: CommandLine) -> None:
    connection = sqlite3.connect(cli.store_file)
    with connection:
        connection.execute("UPDATE tenant SET access_ttl_s = 9999")
    connection.close()
    told = cli.error("pool", "list", exit_code=3)
    assert told.startswith("the set-up was changed by hand: tenant Jim_Test: access_ttl is")


def test_a_keyring_that_others_can_read_is_exit_code_3(cli: CommandLine) -> None:
    cli.secrets_file.chmod(0o644)
    told = f"{cli.secrets_file} is readable by others; correct it: chmod 600 {cli.secrets_file}"
    assert cli.error("key", "list", exit_code=3) == told
    assert cli.error("client", "add", "Api", "--user", "TC", "--secret", exit_code=3) == told
    assert "Api" not in cli.out("client", "list")


def test_wrong_settings_are_exit_code_2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LICET_PORT", "high")
    monkeypatch.delenv("LICET_DATA", raising=False)
    told = run("pool", "list", exit_code=2).stderr
    assert told.startswith("licet: The settings have a mistake:\n  LICET_PORT: 'high' is not a whole number")


def test_a_bug_shows_where_it_is(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("licet.cli.set_up.key.read_keyring", lambda _: 1 // 0)
    result = run("key", "list", "--data", str(cli.data), exit_code=1)
    assert isinstance(result.exception, ZeroDivisionError)


# Which tenant


def test_the_only_tenant_needs_no_name(cli: CommandLine) -> None:
    assert cli.json("pool", "list") == cli.json("pool", "list", "--tenant", TENANT)


def test_of_several_tenants_one_is_named(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    cli.run("tenant", "add", "Other", "--seats", "1")
    told = "which tenant? Say --tenant or LICET_TENANT: Jim_Test, Other"
    assert cli.error("pool", "list", exit_code=2) == told
    monkeypatch.setenv("LICET_TENANT", "Other")
    assert [pool["seats"] for pool in cli.json("pool", "list")] == [1]
    assert [pool["seats"] for pool in cli.json("pool", "list", "--tenant", TENANT)] == [5]


def test_a_tenant_that_is_not_there_is_told_with_those_there_are(cli: CommandLine) -> None:
    assert cli.error("pool", "list", "--tenant", "Jim") == "there is no tenant Jim; there is: Jim_Test"
    cli.run("tenant", "remove", TENANT, "--yes")
    assert cli.error("user", "list") == "there is no tenant yet; add one: licet tenant add NAME --seats 5"


# init


def test_init_makes_what_only_its_owner_can_read(tmp_path: Path) -> None:
    data = tmp_path / "deep" / "licet-data"
    shown = run("init", "--tenant", TENANT, "--seats", "5", "--data", str(data)).stdout
    assert [mode(path) for path in (data, data / "licet.db", data / "secrets.json")] == [0o700, 0o600, 0o600]
    assert len(read_keyring(data / "secrets.json").token_keys) == 1
    assert shown.splitlines() == [
        f"Made {data}: the store, and the keys that sign tokens (secrets.json; keep a copy of it).",
        "Tenant Jim_Test has a pool full of 5 seats.",
        "What is next:",
        f'  licet user add TC --name "Test Client" --no-password --data {data}',
        f"  licet client add TestClientId --user TC --secret --data {data}",
        f"  licet admin add ada --role owner --data {data}",
        f"  licet serve --data {data}",
    ]


def test_init_can_leave_out_the_tenant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LICET_DATA", raising=False)
    assert "  licet tenant add Jim_Test --seats 5\n" in run("init").stdout
    assert (tmp_path / "licet-data" / "licet.db").exists()
    assert json.loads(run("tenant", "list", "--json").stdout) == []
    assert (
        run("tenant", "list").stderr == "No tenant yet. Add the first one: licet tenant add NAME --seats 5\n"
    )


def test_what_is_next_works_as_it_is_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pasted line by line, with one tenant and with two, the lines lead to a client with a secret."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LICET_DATA", raising=False)

    def pasted(text: str, *nouns: str) -> str:
        lines = [shlex.split(line)[1:] for line in text.splitlines() if line.startswith("  licet ")]
        told = ""
        for line in lines:
            if line[0] in nouns:
                told = run(*line).stderr
        return told

    told = pasted(run("init", "--no-admin").stdout, "tenant")
    assert "--tenant" not in told
    pasted(told, "user", "client")
    told = run("tenant", "add", "Other", "--seats", "1").stderr
    pasted(told, "user", "client")
    for name in (TENANT, "Other"):
        assert (
            len(
                json.loads(run("client", "secret", "list", "TestClientId", "--tenant", name, "--json").stdout)
            )
            == 1
        )


def test_init_never_touches_what_is_there(cli: CommandLine) -> None:
    before = cli.store_file.read_bytes(), cli.secrets_file.read_bytes()
    told = f"{cli.data} has licet.db and secrets.json already; choose another directory with --data"
    assert cli.error("init") == told
    assert (cli.store_file.read_bytes(), cli.secrets_file.read_bytes()) == before
    cli.store_file.unlink()
    assert cli.error("init").startswith(f"{cli.data} has secrets.json already; ")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--seats", "5"], "--seats is about the first tenant; say --tenant with it"),
        (["--tenant", "X"], "how many seats has the first tenant? Say --seats"),
        (["--tenant", "a b", "--seats", "5"], "a tenant's name is 1 to 64 letters"),
        (["--tenant", "X", "--seats", "-1"], "pool full: seats is 0 to 1000000, not -1"),
        (["--admin", "ada", "--no-admin"], "--admin and --no-admin exclude each other"),
        (["--admin", "A B", "--admin-password-stdin"], "the name of an administrator is 1 to 64 small"),
        (
            ["--admin", "ada"],
            "a password for administrator ada is asked for on a terminal; elsewhere say --admin",
        ),
        (["--admin-password-stdin"], "--admin-password-stdin is about an administrator; say --admin with it"),
    ],
)
def test_init_makes_nothing_when_the_tenant_is_wrong(arguments: list[str], told: str, tmp_path: Path) -> None:
    cli = CommandLine(tmp_path / "licet-data")
    assert cli.error("init", *arguments, exit_code=2).startswith(told)
    assert not cli.data.exists()


def test_init_shuts_an_empty_directory_and_leaves_a_full_one(tmp_path: Path) -> None:
    cli = CommandLine(tmp_path / "data")
    cli.data.mkdir(mode=0o755)
    (cli.data / "licet.toml").touch()
    cli.run("init")
    assert mode(cli.data) == 0o700
    full = CommandLine(tmp_path / "full")
    full.data.mkdir(mode=0o755)
    (full.data / "thesis.txt").touch()
    told = f"{full.data} can be read by others and is not empty; chmod 700 {full.data}, or choose another"
    assert full.error("init") == told
    assert mode(full.data) == 0o755


def test_init_where_nobody_may_write_is_exit_code_3(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    cli = CommandLine(tmp_path / "file" / "data")
    assert cli.error("init", exit_code=3) == f"{cli.data} cannot be made: Not a directory"


@pytest.mark.parametrize("options", [(), ("--tenant", "Jim_Test", "--seats", "7")])
def test_init_asks_nothing_on_a_terminal_and_says_how_to_add_an_administrator(
    options: tuple[str, ...], tmp_path: Path
) -> None:
    """What is pasted behind it would be taken for the answer."""
    with terminal("init", "--data", str(tmp_path / "licet-data"), *options) as screen:
        assert screen.ended() == 0
    assert "licet admin add ada --role owner" in screen.text


def test_init_asks_for_the_password_of_an_administrator_who_was_named(tmp_path: Path) -> None:
    """Twice and hidden; nothing else."""
    data = tmp_path / "licet-data"
    with terminal("init", "--data", str(data), "--admin", "ada") as screen:
        for prompt in ("Password of administrator ada: ", "Repeat for confirmation: "):
            screen.read_until(prompt)
            screen.press("battery staple\n")
        assert screen.ended() == 0
    assert "battery" not in screen.text
    assert "licet admin add" not in screen.text
    (admin,) = CommandLine(data).json("admin", "list")
    assert (admin["name"], admin["role"], admin["tenant"]) == ("ada", "owner", None)


@pytest.mark.parametrize("made", ["secrets.json", "licet.db"])
def test_init_takes_nothing_from_a_store_that_was_made_while_it_asked(made: str, tmp_path: Path) -> None:
    """A server may run on it by then: its keys are not replaced, and nothing of it is removed."""
    cli = CommandLine(tmp_path / "licet-data")
    with terminal("init", "--data", str(cli.data), "--admin", "ada") as screen:
        screen.read_until("Password of administrator ada: ")
        cli.run("init", "--tenant", "Jim_Test", "--seats", "5")
        if made == "licet.db":  # as a restore leaves it until the secrets are copied
            (cli.data / "secrets.json").unlink()
        before = {path.name: path.read_bytes() for path in cli.data.iterdir()}
        screen.press("battery staple\n")
        screen.read_until("Repeat for confirmation: ")
        screen.press("battery staple\n")
        assert screen.ended() == 1
    assert f"has {made} already" in screen.text.replace("\r\n", " ")
    assert {path.name: path.read_bytes() for path in cli.data.iterdir()} == before


def test_init_reads_the_password_of_an_administrator_from_standard_input(tmp_path: Path) -> None:
    """For scripts; --no-admin is for those who want none, and are told nothing of it."""
    cli = CommandLine(tmp_path / "with")
    cli.run("init", "--admin", "ada", "--admin-password-stdin", stdin="battery staple\n")
    assert [it["name"] for it in cli.json("admin", "list")] == ["ada"]
    assert "licet admin add" not in CommandLine(tmp_path / "without").out("init", "--no-admin")


# A terminal


def test_on_a_terminal_it_asks_before_it_destroys(cli: CommandLine) -> None:
    remove = ("client", "remove", "TestClientId", "--data", str(cli.data))
    for answer, exit_code in (("n", 1), ("y", 0)):
        with terminal(*remove) as screen:
            screen.read_until("Remove client TestClientId? [y/N]: ")
            screen.press(f"{answer}\n")
            assert screen.ended() == exit_code
        assert ("licet: nothing was changed" in screen.text) == (answer == "n")
    assert cli.json("client", "list") == []


def test_on_a_terminal_a_password_is_asked_for_twice_and_not_shown(cli: CommandLine) -> None:
    with terminal("user", "password", "TC", "--data", str(cli.data)) as screen:
        for prompt in ("Password of user TC: ", "Repeat for confirmation: "):
            screen.read_until(prompt)
            screen.press("battery staple\n")
        assert screen.ended() == 0
    assert "Password of user TC set." in screen.text
    assert "battery" not in screen.text


def test_on_a_terminal_a_generated_secret_comes_with_a_word_about_it(cli: CommandLine) -> None:
    with terminal("client", "secret", "add", "TestClientId", "--data", str(cli.data)) as screen:
        assert screen.ended() == 0
    assert re.search(r"Its secret, which nobody can show again:\s+lcs_\S{55}\s*$", screen.text)


def test_on_a_terminal_a_table_cuts_no_value_off(cli: CommandLine) -> None:
    cli.run("client", "add", "x" * 100, "--user", "TC")
    with terminal("client", "list", "--data", str(cli.data)) as screen:
        assert screen.ended() == 0
    assert screen.text.count("x") == 100
    assert "…" not in screen.text
    assert max(map(len, screen.text.splitlines())) <= 80
