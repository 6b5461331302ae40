"""What the command line says of a mistake: what is wrong in a word of ours, and what to do."""

import os
import stat
from pathlib import Path

import pytest

from licet.cli.errors import WrongUse
from licet.cli.run.migrate import _fits
from licet.cli.stores import must_be_readable
from licet.server.sockets import bind
from licet.store.migrate import HEAD
from support.cli.cli_site import CommandLine
from support.cli.command_line import run


@pytest.mark.parametrize(
    ("arguments", "exit_code", "told"),
    [
        ("pool set full --seats abc", 2, "from 0 to 1,000,000, or all; this is not: 'abc'"),
        ("usage --days 0", 2, "invalid value for '--days': it has to be at least 1; this is not: '0'"),
        ("usage --days x", 2, "invalid value for '--days': it has to be a whole number; this is not: 'x'"),
        ("pool set full --expires 2027-02-30", 2, "there is no day 2027-02-30"),
        (
            "user add XX --password hunter2",
            2,
            "a password is never an argument, which others",
        ),
        (
            "session end abc",
            1,
            "no active session in Jim_Test has an id that begins with abc; see:",
        ),
        ("session end --client Nope --yes", 1, "there is no client Nope in tenant Jim_Test; there is: "),
        ("session end --user ZZ --yes", 1, "there is no user ZZ in tenant Jim_Test; there is: "),
        ("session list --client Nope", 1, "there is no client Nope"),
        (
            "session end --client TestClientId --yes",
            1,
            "there is no active session of client TestClientId",
        ),
        ("usage --from 2999-01-01", 2, "--from is in the future: 2999-01-01"),
        ("usage --from 2020-02-01 --until 2020-01-01", 2, "--until is not after --from: 2020-01-01"),
        ("usage --from 2001-01-01", 2, "at most 3660 days from --from on"),
        ("usage --csv - --png x.png", 2, "--csv and pictures (--svg, --png) exclude each other"),
        ("usage --svg - --png -", 2, "only one picture can be the output"),
        ("webhook add ftp://x", 2, "a webhook is a URL like https://example.com/alerts; ftp is not https"),
        ("webhook add https:x", 2, "a webhook is a URL like https://example.com/alerts; it names no host"),
        ("webhook add example.com", 2, "it does not begin with https://"),
    ],
)
def test_a_mistake_is_told_in_words_of_ours(made: Path, arguments: str, exit_code: int, told: str) -> None:
    """No sentence of a library, and one sentence for one mistake."""
    assert told in CommandLine(made).error(*arguments.split(), exit_code=exit_code)


def test_a_secret_that_was_typed_as_an_argument_is_not_repeated(made: Path) -> None:
    """It stands in the history of the shell already, and not in a log too."""
    for arguments in (("user", "add", "XX", "--password", "hunter2"), ("token", "x", "--secret", "hunter2")):
        assert "hunter2" not in run(*arguments, "--data", str(made), exit_code=2).output


def test_an_address_of_another_machine_is_no_question_of_the_port(made: Path) -> None:
    """192.0.2.1 is nobody's (RFC 5737)."""
    told = CommandLine(made).error("serve", "--host", "192.0.2.1", "--port", "0", exit_code=2)
    assert "choose an address of this machine with --host" in told
    assert "--port" not in told


def test_a_port_that_is_taken_is_one(made: Path) -> None:
    """Another port is the advice."""
    with bind("127.0.0.1", 0) as taken:
        port = str(taken.getsockname()[1])
        told = CommandLine(made).error("serve", "--port", port, exit_code=2)
    assert told.endswith("choose another with --port")


def test_somebody_elses_data_directory_says_whose_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who runs the tests may be root, who may read all; so the answer of the system is another one here."""
    tmp_path.chmod(stat.S_IRWXU)
    must_be_readable(tmp_path)
    must_be_readable(tmp_path / "not-there")
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(WrongUse, match=r"can be read by \S+ only; run it as its owner: sudo -u \S+ licet"):
        must_be_readable(tmp_path)


def test_a_later_schema_is_not_called_the_one_that_is_needed() -> None:
    """It can be worked on, which is another thing."""
    assert _fits(HEAD) == "as this version needs it"
    assert _fits("0099") == f"of a later version of Licet; this one, of schema {HEAD}, can work on it"


def test_a_session_has_its_pool(cli: CommandLine) -> None:
    """In the list, and as JSON; none where it holds no seat."""
    cli.grant("TestClientId")
    cli.grant("TestClientId", "view")
    assert [it["pool"] for it in cli.json("session", "list")] == ["full", None]
    assert " full " in cli.out("session", "list").splitlines()[1]


def test_a_report_of_a_tenant_begins_when_it_was_made(cli: CommandLine) -> None:
    """A store that is a minute old had no 22 hours, nor 7 days."""
    found = cli.json("usage", "--days", "7")
    assert len(found["pools"][0]["days"]) in {1, 2}  # midnight may be between
    assert found["from"] > "2026"
    assert len(cli.json("usage", "--from", "2026-01-01")["pools"][0]["days"]) > 2


@pytest.mark.wide
def test_two_pictures_are_drawn_of_one_report(cli: CommandLine, tmp_path: Path) -> None:
    """One to print, and one for a page."""
    drawn = tmp_path / "a.svg", tmp_path / "a.png"
    cli.run("usage", "--svg", str(drawn[0]), "--png", str(drawn[1]))
    assert drawn[0].read_bytes().startswith(b"<?xml")
    assert drawn[1].read_bytes().startswith(b"\x89PNG")
