"""After a copy of the store was put back, nothing that was issued before goes on."""

from pathlib import Path

import pytest

from licet.accounts import sign_ins
from licet.accounts.administrators import find_admin
from licet.clock import SystemClock
from licet.licences.armour import armoured
from licet.store import schema
from licet.store.sqlite.store import SqliteStore
from support.cli.cli_site import CommandLine, new_data
from support.cli.command_line import run, terminal
from support.licences.signed_pools import text_of, the_vendor, vendor_file

END = ("session", "end", "--all", "--after-restore")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two tenants, a session in one, and an administrator who is signed in."""
    data = new_data(tmp_path_factory.mktemp("restored") / "licet-data")
    cli = CommandLine(data)
    cli.run("admin", "add", "ada", "--role", "owner", "--password-stdin", stdin="battery staple\n")
    cli.run("admin", "key", "add", "deploy", "--role", "viewer")
    cli.grant("TestClientId")
    cli.run("tenant", "add", "Other", "--seats", "1")
    store = SqliteStore(cli.store_file, SystemClock())
    with store.reading() as connection:
        admin = find_admin(connection, "ada")
    assert admin is not None
    assert sign_ins.begin(store, admin, b"h" * 32, "192.0.2.1", sign_ins.Lives())
    store.close()
    return data


def signed_in(cli: CommandLine) -> int:
    """How many sign-ins there are."""
    store = SqliteStore(cli.store_file, SystemClock())
    with store.reading() as connection:
        rows = connection.execute(schema.admin_session.select()).all()
    store.close()
    return len(rows)


def test_sessions_of_all_tenants_and_all_sign_ins_end(cli: CommandLine) -> None:
    """A logoff and a sign-out since the copy are unknown to it; whose keys count again is listed."""
    told = cli.out(*END, "--yes").splitlines()
    assert told == [
        "1 session ended; 1 seat came back.",
        "1 sign-in at the dashboard ended.",
        "Look over what is again as it was when the copy was made:",
        "  administrators: ada",
        "  API keys: deploy",
        "  set-up: licet check, licet export",
    ]
    assert cli.json("session", "list", "--tenant", "Jim_Test") == []
    assert signed_in(cli) == 0
    kept = cli.out("journal", "--json")
    assert "sign out" in kept
    assert "restore" in kept


def test_where_nobody_is_in_it_is_done_all_the_same(cli: CommandLine) -> None:
    """A script goes on: exit code 0."""
    cli.run(*END, "--yes")
    assert cli.out(*END, "--yes").startswith("0 sessions ended; 0 seats came back.\n0 sign-ins")


def test_it_says_how_long_assertions_are_refused_where_clients_sign_them(
    cli: CommandLine, tmp_path: Path
) -> None:
    """Which were used since the copy is not known, and each is good for an hour and the leeways."""
    private = tmp_path / "private.pem"
    public = run("client", "key", "new", "--out", str(private)).stdout
    cli.run("client", "key", "add", "TestClientId", "-", "--tenant", "Jim_Test", stdin=public)
    told = cli.out(*END, "--yes")
    assert "1 client can sign assertions. Those that may have been used before now are refused" in told
    assert "for 1m, and for up to 62m without iat" in told


def test_it_asks_on_a_terminal_and_needs_yes_elsewhere(cli: CommandLine) -> None:
    """As all that ends sessions does."""
    asked = "1 session ends at once: TestClientId. End them, and all sign-ins at the dashboard?"
    assert cli.error(*END, exit_code=2) == f"{asked} Nobody can be asked here; say --yes"
    with terminal(*END, "--data", str(cli.data)) as screen:
        screen.read_until("[y/N]: ")
        screen.press("n\n")
        assert screen.ended() == 1
    assert signed_in(cli) == 1


def test_a_signed_pool_gives_no_seat_until_its_hold_has_passed(cli: CommandLine, tmp_path: Path) -> None:
    """An API knows who has which number, and the copy may not."""
    vendor, licence = tmp_path / "vendor.json", tmp_path / "c1.licence"
    vendor.write_text(vendor_file(the_vendor()), encoding="utf-8")
    licence.write_text(armoured(text_of("full", "all", seats=2)), encoding="utf-8")
    cli.out("trust", "add", str(vendor))
    cli.out("licence", "install", str(licence), "--tenant", "Jim_Test")
    told = cli.out(*END, "--yes").splitlines()[2]
    assert told.startswith("Pool full of Jim_Test gives no seat until 20")
    assert told.endswith("when its hold has passed: an API may have let in others since the copy was made.")
    with pytest.raises(AssertionError, match=r"ALL_IN_USE.*retry_after_s=(59|60)"):
        cli.grant("TestClientId")


@pytest.mark.parametrize(
    "options", [("--client", "TestClientId"), ("--tenant", "Other"), ("--cool-down", "5m"), ("--reason", "x")]
)
def test_it_concerns_all_tenants_and_takes_nothing_else(cli: CommandLine, options: tuple[str, ...]) -> None:
    """A half of it would be taken for the whole."""
    every = () if "--client" in options else ("--all",)
    told = cli.error("session", "end", *every, "--after-restore", *options, "--yes", exit_code=2)
    assert told.startswith(("--after-restore goes with --all", "say which"))


def test_a_tenant_that_a_variable_names_for_other_verbs_is_no_restriction(cli: CommandLine) -> None:
    """A shell of an administrator has it, and the line of the guide is pasted into it."""
    done = run(*END, "--yes", LICET_DATA=str(cli.data), LICET_TENANT="Jim_Test")
    assert "1 session ended" in done.stdout
