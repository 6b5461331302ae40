"""A line of advice is pasted as it stands, in a terminal, and works: it names its tenant and data."""

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.cli.cli_site import CommandLine, new_data
from support.cli.pasting import Shell

DATA = "my data"  # with a space: a shell takes it for two
NAME = "it's (c) $HOME"  # a client's, in which a shell finds much


@pytest.fixture(scope="module")
def cli(tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    """A data directory with the tenants `Jim_Test` and `Other`."""
    cli = CommandLine(new_data(tmp_path_factory.mktemp("pasting") / DATA))
    cli.run("tenant", "add", "Other", "--seats", "2")
    cli.run("client", "add", NAME, "--user", "TC", "--tenant", "Jim_Test")
    return cli


@pytest.fixture(scope="module")
def shell(cli: CommandLine) -> Iterator[Shell]:
    """A terminal whose environment says nothing of Licet, beside the data directory."""
    others = {key: value for key, value in os.environ.items() if not key.startswith("LICET_")}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    shell = Shell(cli.data.parent, {**others, "PATH": path})
    yield shell
    shell.close()


@pytest.mark.parametrize(
    ("refused", "adds", "done"),
    [
        ("client secret remove TestClientId x --yes --tenant Jim_Test", "", "lcs_"),
        (f'client secret remove "{NAME.replace("$", chr(92) + "$")}" x --yes --tenant Jim_Test', "", "lcs_"),
        ("pool add full --seats 1 --tenant Other", " --seats 3", "Pool full changed."),
        ("scope add all --pool full --tenant Other", " --pool full", "Nothing to change."),
        ("user add TC --no-password --tenant Jim_Test", " --name Tom", "User TC changed."),
        ("tenant add Other --seats 1", " --session-ttl 30m", "Tenant Other changed."),
        ("webhook remove wh_0 --yes", "", "No webhook yet."),
        ("session show ffff --tenant Other", "", "No active session."),
    ],
)
def test_the_line_that_a_refusal_advises_works_when_it_is_pasted(
    shell: Shell, refused: str, adds: str, done: str
) -> None:
    """Where there are several tenants, and the data is not where it is looked for by itself."""
    text, exit_code = shell.paste(f"licet {refused} --data '{DATA}'")
    assert exit_code == 1, text
    line = re.search(r"licet [a-z]+ [^;]*?(?= shows |$)", text.partition("licet: ")[2])
    assert line is not None, text
    text, exit_code = shell.paste(f"{line[0]}{adds}")
    assert (exit_code, done in text) == (0, True), (line[0], text)


def test_the_lines_that_a_list_and_the_check_advise_work_when_they_are_pasted(shell: Shell) -> None:
    """An empty list says how the first one is made; the check says how to mend."""
    text, _ = shell.paste(f"licet webhook list --data '{DATA}'")
    added, exit_code = shell.paste(text.partition("Add the first one: ")[2])
    assert (exit_code, "Webhook wh_" in added) == (0, True), added
    text, _ = shell.paste(f"licet check --data '{DATA}'")
    line = re.search(r"licet pool set full --expires DATE[^\n]*|licet client add CLIENT_ID[^\n]*", text)
    assert line is not None, text
    assert line[0].endswith(f"--tenant Other --data '{DATA}'")
    typed = line[0].replace("CLIENT_ID", "first").replace("INITIALS", "ZZ")
    text, exit_code = shell.paste(typed)
    assert (exit_code, "there is no user ZZ in tenant Other" in text) == (1, True), text


def test_what_the_environment_says_is_not_said_again(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says it to the line that is pasted as well."""
    monkeypatch.setenv("LICET_TENANT", "Other")
    assert cli.error("pool", "add", "full", "--seats", "1").endswith(": licet pool set full")
    told = cli.error("pool", "add", "full", "--seats", "1", "--tenant", "Jim_Test")
    assert told.endswith(": licet pool set full --tenant Jim_Test")
