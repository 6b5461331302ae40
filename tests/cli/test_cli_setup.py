"""The verbs that change a tenant: what they print, what they refuse, and their JSON."""

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from licet.clock import SystemClock
from licet.credentials.passwords import Passwords
from licet.model import Tenant, TokenFormat
from licet.store.sqlite.store import SqliteStore
from support.cli_site import PASSWORD, TENANT, Desk, copy_of, new_desk
from support.command_line import terminal
from support.setup_site import SMALL


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory, made once."""
    return new_desk(tmp_path_factory.mktemp("made") / "licet-data")


@pytest.fixture
def desk(made: Path, tmp_path: Path) -> Desk:
    """A copy of it, for one test."""
    return copy_of(made, tmp_path)


def tenant_of(desk: Desk) -> Tenant:
    store = SqliteStore(desk.store_file, SystemClock())
    tenant = store.tenant(TENANT)
    store.close()
    assert tenant is not None
    return tenant


# tenant


def test_tenants_are_added_changed_shown_and_removed(desk: Desk) -> None:
    added = desk.out("tenant", "add", "Other", "--seats", "1", "--session-ttl", "1h", "--access-ttl", "600")
    assert added == "Tenant Other added, with a pool full of 1 seat.\n"
    assert desk.out("tenant", "set", "Other", "--no-seat-status", "429") == "Tenant Other changed.\n"
    assert desk.out("tenant", "set", "Other", "--no-seat-status", "429") == "Nothing to change.\n"
    assert desk.json("tenant", "show", "Other") == {
        "name": "Other",
        "session_ttl_s": 3600,
        "access_ttl_s": 600,
        "default_scope": "all",
        "no_seat_status": 429,
        "token_format": "reference",
        "strict_assertions": False,
        "time_zone": "UTC",
        "seats": 1,
        "pools": 1,
        "scopes": 2,
        "users": 0,
        "clients": 0,
    }
    assert desk.out("tenant", "list").splitlines() == [
        "tenant    seats  users  clients  session  access",
        "Jim_Test  5      1      1        20m      10m",
        "Other     1      0      0        1h       10m",
    ]
    told = "Remove tenant Other with 0 clients and its journal? Nobody can be asked here; say --yes"
    assert desk.error("tenant", "remove", "Other", exit_code=2) == told
    assert desk.out("tenant", "remove", "Other", "--yes") == "Tenant Other removed.\n"
    assert [tenant["name"] for tenant in desk.json("tenant", "list")] == [TENANT]


def test_a_tenant_takes_strict_assertions_only_where_that_is_said(desk: Desk) -> None:
    assert desk.out("tenant", "set", TENANT, "--strict-assertions") == "Tenant Jim_Test changed.\n"
    assert desk.json("tenant", "show", TENANT)["strict_assertions"] is True
    assert desk.out("tenant", "set", TENANT, "--strict-assertions") == "Nothing to change.\n"
    assert desk.out("tenant", "set", TENANT, "--lax-assertions") == "Tenant Jim_Test changed.\n"
    assert not tenant_of(desk).strict_assertions
    desk.out("tenant", "add", "Other", "--seats", "1", "--strict-assertions")
    assert desk.json("tenant", "show", "Other")["strict_assertions"] is True


def test_a_token_format_brings_its_own_life_of_access_tokens(desk: Desk) -> None:
    """60 s for a JWT, which no logoff reaches; what was said for the one does not hold for the other."""
    changed = desk.run("tenant", "set", TENANT, "--token-format", "jwt")
    assert changed.stdout == "Tenant Jim_Test changed.\n"
    assert "licet tenant show Jim_Test" in changed.stderr
    shown = desk.json("tenant", "show", TENANT)
    assert (shown["token_format"], shown["access_ttl_s"]) == ("jwt", 60)
    desk.out("tenant", "set", TENANT, "--access-ttl", "6m")
    assert tenant_of(desk).access_ttl_s == 360
    desk.out("tenant", "set", TENANT, "--token-format", "reference")
    assert (tenant_of(desk).token_format, tenant_of(desk).access_ttl_s) == (TokenFormat.REFERENCE, 600)
    desk.out("tenant", "add", "Other", "--seats", "1", "--token-format", "jwt", "--access-ttl", "2m")
    other = desk.json("tenant", "show", "Other")
    assert (other["token_format"], other["access_ttl_s"]) == ("jwt", 120)


@pytest.mark.parametrize(
    ("arguments", "exit_code", "told"),
    [
        (
            "set Jim_Test --token-format saml",
            2,
            "invalid value for '--token-format': 'saml' is not one of 'reference', 'jwt'",
        ),
        (
            "add Jim_Test --seats 1",
            1,
            "there is a tenant Jim_Test already; change it with: licet tenant set Jim_Test",
        ),
        ("add 'a b' --seats 1", 2, "a tenant's name is 1 to 64 letters"),
        ("add X --seats 1 --session-ttl soon", 2, "--session-ttl: a duration is written 1200, 1200s, 20m"),
        ("set Jim_Test", 2, "say what to change; --help lists the options"),
        ("set Jim_Test --default-scope x", 1, "there is no scope x in tenant Jim_Test; there is: all, view"),
        ("set Jim_Test --access-ttl 21m", 2, "tenant Jim_Test: access_ttl is 1 s to session_ttl"),
        ("set Jim --access-ttl 1m", 1, "there is no tenant Jim; there is: Jim_Test"),
        ("show Jim", 1, "there is no tenant Jim; there is: Jim_Test"),
        ("remove Jim --yes", 1, "there is no tenant Jim; there is: Jim_Test"),
    ],
)
def test_tenant_refuses(desk: Desk, arguments: str, exit_code: int, told: str) -> None:
    assert desk.error("tenant", *shlex.split(arguments), exit_code=exit_code).startswith(told)


# pool


def test_pools_are_added_changed_shown_and_removed(desk: Desk) -> None:
    added = desk.out(
        "pool", "add", "mobile", "--seats", "3", "--duplicates", "user", "--expires", "2099-01-30"
    )
    assert added == "Pool mobile added.\n"
    alerts = "80 90 100 denied expires"
    assert desk.out("pool", "list").splitlines() == [
        "pool    seats  in use  over  shared by  held for  scopes  expires               alerts",
        f"full    5      0       0     client     0s        all     never                 {alerts}",
        f"mobile  3      0       0     user       0s        -       2099-01-31T00:00:00Z  {alerts}",
    ]
    assert desk.out("pool", "set", "mobile", "--expires", "never", "--seats", "4") == "Pool mobile changed.\n"
    assert desk.json("pool", "show", "mobile") == {
        "name": "mobile",
        "seats": 4,
        "in_use": 0,
        "overuse": 0,
        "duplicates": "user",
        "hold_s": 0,
        "effective_hold_s": 0,
        "scopes": [],
        "expires_at": None,
        "alerts": ["80", "90", "100", "denied", "expires"],
    }
    assert desk.out("pool", "set", "mobile", "--alerts", "none") == "Pool mobile changed.\n"
    assert desk.json("pool", "show", "mobile")["alerts"] == []
    assert desk.out("pool", "remove", "mobile", "--yes") == "Pool mobile removed.\n"


def test_the_hold_of_a_pool_is_set_and_shown_with_the_one_that_counts(desk: Desk) -> None:
    """L18: where access tokens are JWTs it is at least their life."""
    assert desk.out("pool", "set", "full", "--hold", "20m") == "Pool full changed.\n"
    assert "20m" in desk.out("pool", "list")
    desk.out("tenant", "set", "Jim_Test", "--token-format", "jwt")
    desk.out("pool", "set", "full", "--hold", "45s")
    shown = desk.json("pool", "show", "full")
    assert (shown["hold_s"], shown["effective_hold_s"]) == (45, 60)
    lines = dict(line.split("  ", 1) for line in desk.out("pool", "show", "full").splitlines())
    assert (lines["hold"].strip(), lines["effective hold"].strip()) == ("45s", "1m")
    told = desk.error("pool", "set", "full", "--hold", "2d", exit_code=2)
    assert told.startswith("--hold: 0s to 1d, and not 2d")
    told = desk.error("pool", "add", "other", "--seats", "1", "--hold", "soon", exit_code=2)
    assert told.startswith("--hold: a duration is written 1200, 1200s, 20m")


def test_too_few_seats_are_told(desk: Desk) -> None:
    """L6: the overuse is shown."""
    desk.grant("TestClientId")
    result = desk.run("pool", "set", "full", "--seats", "0")
    assert result.stdout == "Pool full changed.\n"
    assert result.stderr == (
        "1 seat too many in use. Sessions go on; no new seat is given until 1 came back.\n"
    )
    assert desk.json("pool", "show", "full")["overuse"] == 1


def test_a_licence_that_is_over_tells_what_it_ended(desk: Desk) -> None:
    """L7."""
    desk.grant("TestClientId")
    assert (
        desk.out("pool", "set", "full", "--expires", "2020-01-01", "--yes")
        == "Pool full changed; 1 session ended.\n"
    )


@pytest.mark.parametrize(
    ("arguments", "exit_code", "told"),
    [
        ("add full --seats 1", 1, "there is a pool full already"),
        ("add 'a b' --seats 1", 2, "a pool's name is"),
        ("add x --seats -1", 2, "pool x: seats is 0 to 1000000, not -1"),
        ("add x --seats 1 --duplicates each", 2, "invalid value for '--duplicates'"),
        (
            "set full --expires soon",
            2,
            "--expires: a moment is written 2027-01-31, 2027-01-31T18:00 or never",
        ),
        ("set full --alerts '80 101'", 2, "--alerts: alerts are up to 10 percentages from 1 to 100"),
        ("set full", 2, "say what to change"),
        ("set x --seats 1", 1, "there is no pool x in tenant Jim_Test; there is: full"),
        ("show x", 1, "there is no pool x in tenant Jim_Test; there is: full"),
        ("remove full", 1, "pool full is drawn on by scope all; remove it or give it another pool"),
        (
            "remove full --yes",
            1,
            "pool full is drawn on by scope all; remove it or give it another pool",
        ),
    ],
)
def test_pool_refuses(desk: Desk, arguments: str, exit_code: int, told: str) -> None:
    assert desk.error("pool", *shlex.split(arguments), exit_code=exit_code).startswith(told)


# scope


def test_scopes_are_added_changed_shown_and_removed(desk: Desk) -> None:
    assert desk.out("scope", "add", "orders", "--pool", "full", "--read-only") == "Scope orders added.\n"
    assert desk.out("scope", "list").splitlines() == [
        "scope   licensed  pool  read-only  default",
        "all     yes       full  no         yes",
        "orders  yes       full  yes        no",
        "view    no        -     yes        no",
    ]
    desk.run("client", "set", "TestClientId", "--scope", "orders", "--scope", "all")
    desk.grant("TestClientId", "orders")
    changed = desk.out("scope", "set", "orders", "--unlicensed", "--read-write", "--yes")
    assert changed == "Scope orders changed; 1 session ended.\n"
    assert desk.json("scope", "show", "orders") == {
        "name": "orders",
        "licensed": False,
        "pool": None,
        "read_only": False,
        "default": False,
        "clients": ["TestClientId"],
    }
    desk.run("client", "set", "TestClientId", "--every-scope")
    assert desk.out("scope", "remove", "orders", "--yes") == "Scope orders removed.\n"


@pytest.mark.parametrize(
    ("arguments", "exit_code", "told"),
    [
        ("add view", 1, "there is a scope view already"),
        ("add 'a b'", 2, "a scope is 1 to 64 printable ASCII characters"),
        ("add x --pool x", 1, "there is no pool x"),
        ("set all", 2, "say what to change"),
        ("set all --pool full --unlicensed", 2, "--pool and --unlicensed exclude each other"),
        ("set all --read-only --read-write", 2, "--read-only and --read-write exclude each other"),
        ("set view --read-write", 2, "scope view is built in: it is read-only and needs no seat"),
        ("show x", 1, "there is no scope x in tenant Jim_Test; there is: all, view"),
        ("remove x", 1, "there is no scope x in tenant Jim_Test; there is: "),
        ("remove all --yes", 1, "scope all is built in and stays"),
    ],
)
def test_scope_refuses(desk: Desk, arguments: str, exit_code: int, told: str) -> None:
    assert desk.error("scope", *shlex.split(arguments), exit_code=exit_code).startswith(told)


# user


def test_users_are_added_changed_shown_and_removed(desk: Desk) -> None:
    added = desk.run("user", "add", "AP", "--no-password")
    assert added.stdout == "User AP added.\n"
    assert (
        added.stderr
        == "AP has no password; its clients need a secret: licet client add CLIENT_ID --user AP --secret\n"
    )
    assert desk.out("user", "set", "AP", "--name", "An API") == "User AP changed.\n"
    assert desk.out("user", "disable", "AP") == "User AP disabled.\n"
    assert desk.out("user", "disable", "AP") == "Nothing to change.\n"
    assert desk.out("user", "list").splitlines() == [
        "user  name         enabled  password  clients",
        "AP    An API       no       no        -",
        "TC    Test Client  yes      yes       TestClientId",
    ]
    assert desk.out("user", "enable", "AP") == "User AP enabled.\n"
    assert desk.json("user", "show", "AP") == {
        "initials": "AP",
        "name": "An API",
        "enabled": True,
        "has_password": False,
        "clients": [],
    }
    assert desk.out("user", "remove", "AP", "--yes") == "User AP removed.\n"


def test_a_password_comes_from_standard_input(desk: Desk) -> None:
    """Without the end of its line, whichever that is."""
    done = desk.out("user", "password", "TC", "--password-stdin", stdin=" battery staple \r\nmore\n")
    assert done == "Password of user TC set.\n"
    user = tenant_of(desk).users["TC"]
    assert Passwords().verify(user, " battery staple ")
    assert not Passwords().verify(user, PASSWORD)
    desk.run("user", "password", "TC", "--no-password")
    assert tenant_of(desk).users["TC"].password_hash is None


def test_a_disabled_user_is_out_at_once(desk: Desk) -> None:
    """L4."""
    desk.grant("TestClientId")
    assert desk.out("user", "disable", "TC", "--yes") == "User TC disabled; 1 session ended.\n"


@pytest.mark.parametrize(
    ("arguments", "stdin", "exit_code", "told"),
    [
        ("add XX", "", 2, "a password for user XX is asked for on a terminal; elsewhere say"),
        ("add XX --password-stdin", "", 2, "there is no password on standard input"),
        ("add XX --password-stdin", "short\n", 2, "a password is 8 to 256 characters"),
        ("add XX --password-stdin", "lcs_looks_like_a_secret\n", 2, "a password does not begin with lcs_"),
        ("add XX --password-stdin", "password1\n", 2, "a password must be hard to guess"),
        ("add XX --name 'Ada Byron' --password-stdin", "ada.byron.26\n", 2, "a password is more than a name"),
        ("password TC --password-stdin", "test-client-1\n", 2, "a password is more than a name"),
        ("add XX --password-stdin --no-password", "", 2, "--no-password and --password-stdin exclude"),
        ("add TC --no-password", "", 1, "there is a user TC already"),
        ("add tc --no-password", "", 1, "there is a user TC already, and tc differs by case alone"),
        ("add LONG --no-password", "", 2, "initials are 2 or 3 letters, digits or dots"),
        ("set TC", "", 2, "say what to change"),
        ("set TC --name '\x1b]0;x'", "", 2, "--name: 1 to 100 characters without control"),
        ("password XX --no-password", "", 1, "there is no user XX in tenant Jim_Test; there is: TC"),
        ("disable XX", "", 1, "there is no user XX"),
        ("show XX", "", 1, "there is no user XX in tenant Jim_Test; there is: TC"),
        ("remove TC", "", 1, "user TC is the user of client TestClientId; remove it or give it"),
    ],
)
def test_user_refuses(desk: Desk, arguments: str, stdin: str, exit_code: int, told: str) -> None:
    assert desk.error("user", *shlex.split(arguments), exit_code=exit_code, stdin=stdin).startswith(told)


def test_a_password_is_in_no_list_of_processes_and_in_no_output(desk: Desk) -> None:
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
        str(desk.data),
    ]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    listed = Path(f"/proc/{process.pid}/cmdline").read_bytes() if Path("/proc").is_dir() else b""
    shown, _ = process.communicate("battery staple\n", timeout=60)
    assert b"battery" not in listed
    assert shown == "Password of user TC set.\n"


# apply and export


def test_a_set_up_is_exported_and_applied(desk: Desk, tmp_path: Path) -> None:
    file = tmp_path / "set-up.toml"
    assert desk.out("export", "--output", str(file)) == f"1 tenant written to {file}.\n"
    assert file.read_text() == desk.out("export") == desk.out("export", "--tenant", TENANT)
    assert desk.out("apply", str(file)) == "Nothing to change.\n"
    file.write_text(file.read_text().replace("seats = 5", "seats = 7"))
    dry = desk.out("apply", str(file), "--dry-run").splitlines()
    assert dry == [
        "   tenant    what       change",
        "~  Jim_Test  pool full  seats 5 -> 7",
        "1 change to make; nothing was changed.",
    ]
    assert desk.out("apply", str(file)).splitlines() == [*dry[:2], "1 change made."]
    assert desk.out("apply", str(file)) == "Nothing to change.\n"


def test_a_set_up_comes_from_standard_input(desk: Desk) -> None:
    result = desk.run("apply", "-", "--json", stdin=SMALL)
    assert json.loads(result.stdout) == []
    assert result.stderr == "Nothing to change.\n"


def test_pruning_needs_a_yes_and_tells_what_it_ends(desk: Desk, tmp_path: Path) -> None:
    file = tmp_path / "set-up.toml"
    file.write_text("[tenant.Jim_Test.pool.full]\nseats = 5\n")
    desk.grant("TestClientId")
    kept = desk.run("apply", str(file))
    assert kept.stdout.splitlines()[1:] == [
        "=  Jim_Test  client TestClientId",
        "=  Jim_Test  user TC",
        "Nothing to change.",
    ]
    assert kept.stderr == "What is marked with = is not in the file and stays; --prune removes it.\n"
    dry = desk.run("apply", str(file), "--prune", "--dry-run", "--json")
    assert json.loads(dry.stdout) == [
        {"action": "remove", "tenant": TENANT, "target": "client TestClientId", "detail": ""},
        {"action": "remove", "tenant": TENANT, "target": "user TC", "detail": ""},
    ]
    assert dry.stderr == "2 changes to make, 1 session to end; nothing was changed.\n"
    refused = desk.run("apply", str(file), "--prune", exit_code=2)
    assert refused.stderr.endswith("Nobody can be asked here; say --yes\n")
    assert len(desk.json("client", "list")) == 1
    assert desk.out("apply", str(file), "--prune", "--yes").endswith("2 changes made; 1 session ended.\n")
    assert desk.json("client", "list") == []


def test_a_file_that_is_wrong_is_exit_code_2(desk: Desk, tmp_path: Path) -> None:
    file = tmp_path / "set-up.toml"
    file.write_text("[tenant.X.pool.full]\nseats = -1\nseat = 1\n")
    result = desk.run("apply", str(file), exit_code=2)
    assert not result.stdout
    assert result.stderr.splitlines() == [
        f"licet: {file} has 2 mistakes:",
        "  tenant.X.pool.full.seats: pool full: seats is 0 to 1000000, not -1",
        "  tenant.X.pool.full.seat: there is no such key; did you mean seats?",
    ]
    file.write_bytes(b"\xff")
    assert desk.error("apply", str(file), exit_code=2) == f"{file} is not UTF-8"
    file.unlink()
    assert desk.error("apply", str(file), exit_code=2) == f"{file} cannot be read: No such file or directory"
    told = desk.error("export", "-o", str(tmp_path), exit_code=2)
    assert told == f"{tmp_path} cannot be written: Is a directory"


def test_long_work_shows_how_far_it_is_on_a_terminal_and_nothing_elsewhere(desk: Desk) -> None:
    file = desk.data / "setup.toml"
    file.write_text(desk.out("export"))
    with terminal("apply", str(file), "--data", str(desk.data)) as screen:
        assert screen.ended() == 0
        assert "rehearsing" in screen.text
    assert "rehearsing" not in desk.run("apply", str(file)).stderr
