"""The verbs that change a tenant: what they print, what they refuse, and their JSON."""

import json
import subprocess
import sys
from pathlib import Path

from licet.credentials.passwords import Passwords
from licet.model import TokenFormat
from support.cli.cli_site import PASSWORD, TENANT, CommandLine
from support.cli.command_line import terminal
from support.store.setup_site import SMALL

# tenant


def test_a_tenant_takes_strict_assertions_only_where_that_is_said(cli: CommandLine) -> None:
    assert cli.out("tenant", "set", TENANT, "--strict-assertions") == "Tenant Jim_Test changed.\n"
    assert cli.json("tenant", "show", TENANT)["strict_assertions"] is True
    assert cli.out("tenant", "set", TENANT, "--strict-assertions") == "Nothing to change.\n"
    assert cli.out("tenant", "set", TENANT, "--lax-assertions") == "Tenant Jim_Test changed.\n"
    assert not cli.tenant().strict_assertions
    cli.out("tenant", "add", "Other", "--seats", "1", "--strict-assertions")
    assert cli.json("tenant", "show", "Other")["strict_assertions"] is True


def test_a_token_format_brings_its_own_life_of_access_tokens(cli: CommandLine) -> None:
    """60 s for a JWT, which no logoff reaches; what was said for the one does not hold for the other."""
    changed = cli.run("tenant", "set", TENANT, "--token-format", "jwt")
    assert changed.stdout == "Tenant Jim_Test changed.\n"
    assert "licet tenant show Jim_Test" in changed.stderr
    shown = cli.json("tenant", "show", TENANT)
    assert (shown["token_format"], shown["access_ttl_s"]) == ("jwt", 60)
    cli.out("tenant", "set", TENANT, "--access-ttl", "6m")
    assert cli.tenant().access_ttl_s == 360
    cli.out("tenant", "set", TENANT, "--token-format", "reference")
    assert (cli.tenant().token_format, cli.tenant().access_ttl_s) == (TokenFormat.REFERENCE, 600)
    cli.out("tenant", "add", "Other", "--seats", "1", "--token-format", "jwt", "--access-ttl", "2m")
    other = cli.json("tenant", "show", "Other")
    assert (other["token_format"], other["access_ttl_s"]) == ("jwt", 120)


# pool


def test_the_hold_of_a_pool_is_set_and_shown_with_the_one_that_counts(cli: CommandLine) -> None:
    """L18: where access tokens are JWTs it is at least their life."""
    assert cli.out("pool", "set", "full", "--hold", "20m") == "Pool full changed.\n"
    assert "20m" in cli.out("pool", "list")
    cli.out("tenant", "set", "Jim_Test", "--token-format", "jwt")
    cli.out("pool", "set", "full", "--hold", "45s")
    shown = cli.json("pool", "show", "full")
    assert (shown["hold_s"], shown["effective_hold_s"]) == (45, 60)
    lines = dict(line.split("  ", 1) for line in cli.out("pool", "show", "full").splitlines())
    assert (lines["hold"].strip(), lines["effective hold"].strip()) == ("45s", "1m")
    told = cli.error("pool", "set", "full", "--hold", "2d", exit_code=2)
    assert told.startswith("--hold: 0s to 1d, and not 2d")
    told = cli.error("pool", "add", "other", "--seats", "1", "--hold", "soon", exit_code=2)
    assert told.startswith("--hold: a duration is written 1200, 1200s, 20m")


def test_too_few_seats_are_told(cli: CommandLine) -> None:
    """L6: the overuse is shown."""
    cli.grant("TestClientId")
    result = cli.run("pool", "set", "full", "--seats", "0")
    assert result.stdout == "Pool full changed.\n"
    assert result.stderr == (
        "1 seat too many in use. Sessions go on; no new seat is given until 1 came back.\n"
    )
    assert cli.json("pool", "show", "full")["overuse"] == 1


def test_a_licence_that_is_over_tells_what_it_ended(cli: CommandLine) -> None:
    """L7."""
    cli.grant("TestClientId")
    assert (
        cli.out("pool", "set", "full", "--expires", "2020-01-01", "--yes")
        == "Pool full changed; 1 session ended.\n"
    )


# user


def test_who_adds_a_user_without_a_password_reads_what_its_clients_need(cli: CommandLine) -> None:
    """On standard error, beside the result."""
    added = cli.run("user", "add", "AP", "--no-password")
    assert added.stdout == "User AP added.\n"
    assert (
        added.stderr
        == "AP has no password; its clients need a secret: licet client add CLIENT_ID --user AP --secret\n"
    )


def test_a_password_comes_from_standard_input(cli: CommandLine) -> None:
    """Without the end of its line, whichever that is."""
    done = cli.out("user", "password", "TC", "--password-stdin", stdin=" battery staple \r\nmore\n")
    assert done == "Password of user TC set.\n"
    user = cli.tenant().users["TC"]
    assert Passwords().verify(user, " battery staple ")
    assert not Passwords().verify(user, PASSWORD)
    cli.run("user", "password", "TC", "--no-password")
    assert cli.tenant().users["TC"].password_hash is None


def test_a_disabled_user_is_out_at_once(cli: CommandLine) -> None:
    """L4."""
    cli.grant("TestClientId")
    assert cli.out("user", "disable", "TC", "--yes") == "User TC disabled; 1 session ended.\n"


def test_a_password_is_in_no_list_of_processes_and_in_no_output(cli: CommandLine) -> None:
    """A password comes from a prompt or standard input, never from an argument."""
    command = [
        sys.executable,
        "-m",
        "licet",
        "user",
        "password",
        "TC",
        "--password-stdin",
        "--data",
        str(cli.data),
    ]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    listed = Path(f"/proc/{process.pid}/cmdline").read_bytes() if Path("/proc").is_dir() else b""
    shown, _ = process.communicate("battery staple\n", timeout=60)
    assert b"battery" not in listed
    assert shown == "Password of user TC set.\n"


# apply and export


def test_a_set_up_is_exported_and_applied(cli: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "set-up.toml"
    assert cli.out("export", "--output", str(file)) == f"1 tenant written to {file}.\n"
    assert file.read_text() == cli.out("export") == cli.out("export", "--tenant", TENANT)
    assert cli.out("apply", str(file)) == "Nothing to change.\n"
    file.write_text(file.read_text().replace("seats = 5", "seats = 7"))
    dry = cli.out("apply", str(file), "--dry-run").splitlines()
    assert dry == [
        "   tenant    what       change",
        "~  Jim_Test  pool full  seats 5 -> 7",
        "1 change to make; nothing was changed.",
    ]
    assert cli.out("apply", str(file)).splitlines() == [*dry[:2], "1 change made."]
    assert cli.out("apply", str(file)) == "Nothing to change.\n"


def test_a_set_up_comes_from_standard_input(cli: CommandLine) -> None:
    result = cli.run("apply", "-", "--json", stdin=SMALL)
    assert json.loads(result.stdout) == []
    assert result.stderr == "Nothing to change.\n"


def test_pruning_needs_a_yes_and_tells_what_it_ends(cli: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "set-up.toml"
    file.write_text("[tenant.Jim_Test.pool.full]\nseats = 5\n")
    cli.grant("TestClientId")
    kept = cli.run("apply", str(file))
    assert kept.stdout.splitlines()[1:] == [
        "=  Jim_Test  client TestClientId",
        "=  Jim_Test  user TC",
        "Nothing to change.",
    ]
    assert kept.stderr == "What is marked with = is not in the file and stays; --prune removes it.\n"
    dry = cli.run("apply", str(file), "--prune", "--dry-run", "--json")
    assert json.loads(dry.stdout) == [
        {"action": "remove", "tenant": TENANT, "target": "client TestClientId", "detail": ""},
        {"action": "remove", "tenant": TENANT, "target": "user TC", "detail": ""},
    ]
    assert dry.stderr == "2 changes to make, 1 session to end; nothing was changed.\n"
    refused = cli.run("apply", str(file), "--prune", exit_code=2)
    assert refused.stderr.endswith("Nobody can be asked here; say --yes\n")
    assert len(cli.json("client", "list")) == 1
    assert cli.out("apply", str(file), "--prune", "--yes").endswith("2 changes made; 1 session ended.\n")
    assert cli.json("client", "list") == []


def test_a_file_that_is_wrong_is_exit_code_2(cli: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "set-up.toml"
    file.write_text("[tenant.X.pool.full]\nseats = -1\nseat = 1\n")
    result = cli.run("apply", str(file), exit_code=2)
    assert not result.stdout
    assert result.stderr.splitlines() == [
        f"licet: {file} has 2 mistakes:",
        "  tenant.X.pool.full.seats: pool full: seats is 0 to 1000000, not -1",
        "  tenant.X.pool.full.seat: there is no such key; did you mean seats?",
    ]
    file.write_bytes(b"\xff")
    assert cli.error("apply", str(file), exit_code=2) == f"{file} is not UTF-8"
    file.unlink()
    assert cli.error("apply", str(file), exit_code=2) == f"{file} cannot be read: No such file or directory"
    told = cli.error("export", "-o", str(tmp_path), exit_code=2)
    assert told == f"{tmp_path} cannot be written: Is a directory"


def test_long_work_shows_how_far_it_is_on_a_terminal_and_nothing_elsewhere(cli: CommandLine) -> None:
    file = cli.data / "setup.toml"
    file.write_text(cli.out("export"))
    with terminal("apply", str(file), "--data", str(cli.data)) as screen:
        assert screen.ended() == 0
        assert "rehearsing" in screen.text
    assert "rehearsing" not in cli.run("apply", str(file)).stderr
