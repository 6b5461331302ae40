"""`licet admin`, and ending sessions with a cool-down, as their caller meets them."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from licet.accounts.administrators import find_admin
from licet.accounts.api_keys import find_api_key
from licet.clock import SystemClock
from licet.credentials.generated import ApiKeys
from licet.credentials.keyring import read_keyring
from licet.credentials.passwords import Passwords
from licet.store import schema
from licet.store.sqlite.store import SqliteStore
from support.cli.cli_site import TENANT, CommandLine, new_data

PASSWORD = "battery staple"
LATER = "2035-01-31"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with the owner `ada`."""
    data = new_data(tmp_path_factory.mktemp("admin") / "licet-data")
    CommandLine(data).run("admin", "add", "ada", "--role", "owner", "--password-stdin", stdin=f"{PASSWORD}\n")
    return data


@pytest.fixture
def store(cli: CommandLine) -> Iterator[SqliteStore]:
    """Its store."""
    opened = SqliteStore(cli.store_file, SystemClock())
    yield opened
    opened.close()


def add(cli: CommandLine, name: str, *options: str) -> str:
    return cli.out("admin", "add", name, *options, "--password-stdin", stdin=f"{PASSWORD}\n")


# Administrators


def test_administrators_are_added_listed_changed_and_removed(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tenant in a variable, which is for other verbs, makes nobody an administrator of that tenant only."""
    monkeypatch.setenv("LICET_TENANT", TENANT)
    assert add(cli, "grace") == "Administrator grace added: viewer of all tenants.\n"
    told = f"Administrator eve added: operator of tenant {TENANT}.\n"
    assert add(cli, "eve", "--role", "operator", "--tenant", TENANT) == told
    assert cli.out("admin", "set", "grace", "--role", "owner") == "Administrator grace changed.\n"
    assert cli.out("admin", "set", "grace", "--role", "owner") == "Nothing to change.\n"
    assert cli.out("admin", "set", "eve", "--all-tenants") == "Administrator eve changed.\n"
    assert cli.out("admin", "set", "eve", "--tenant", TENANT) == "Administrator eve changed.\n"
    assert cli.out("admin", "disable", "eve") == "Administrator eve disabled.\n"
    lines = cli.out("admin", "list").splitlines()
    assert [re.sub(r" {2,}", "  ", line).rsplit("  ", 1)[0] for line in lines] == [
        "administrator  role  tenant  enabled",
        "ada  owner  all  yes",
        f"eve  operator  {TENANT}  no",
        "grace  owner  all  yes",
    ]
    assert cli.out("admin", "enable", "eve") == "Administrator eve enabled.\n"
    (_, eve, _) = cli.json("admin", "list")
    assert (eve["name"], eve["role"], eve["tenant"], eve["enabled"]) == ("eve", "operator", TENANT, True)
    assert cli.out("admin", "remove", "eve", "--yes") == "Administrator eve removed.\n"
    assert [it["tenant"] for it in cli.json("admin", "list")] == [None, None]


def test_what_was_done_is_an_event_of_who_did_it(cli: CommandLine, store: SqliteStore) -> None:
    add(cli, "grace", "--tenant", TENANT)
    with store.reading() as connection:
        row = connection.execute(select(schema.event).order_by(schema.event.c.id.desc())).first()
    assert row is not None
    assert row.actor.endswith("the command line")
    assert (row.tenant, row.action, row.target) == (TENANT, "add", "admin grace")
    assert row.detail == f"viewer of tenant {TENANT}"


def test_a_password_is_read_from_standard_input_and_kept_as_a_hash(
    cli: CommandLine, store: SqliteStore
) -> None:
    told = cli.out("admin", "password", "ada", "--password-stdin", stdin="another one\n")
    assert told == "Password of administrator ada set.\n"
    with store.reading() as connection:
        ada = find_admin(connection, "ada")
    assert ada is not None
    assert Passwords().verify_hash(ada.password_hash, "another one")


@pytest.mark.parametrize(
    ("arguments", "exit_code", "told"),
    [
        (
            "set ada --role operator",
            1,
            "ada is the last enabled owner of all tenants; make another one first",
        ),
        ("set ada --tenant Jim_Test", 1, "ada is the last enabled owner of all tenants"),
        ("disable ada", 1, "ada is the last enabled owner of all tenants"),
        ("remove ada --yes", 1, "ada is the last enabled owner of all tenants"),
        ("remove ada", 2, "Remove administrator ada? Nobody can be asked here; say --yes"),
        ("set ada", 2, "say what to change"),
        ("set ada --tenant Jim_Test --all-tenants", 2, "--tenant and --all-tenants exclude each other"),
        ("set ada --tenant Nowhere", 1, "there is no tenant Nowhere; there is: Jim_Test"),
        ("set ada --role king", 2, "invalid value for '--role': 'king' is not one of 'viewer'"),
        ("set nobody --role owner", 1, "there is no administrator nobody; licet admin list shows those"),
        ("enable nobody", 1, "there is no administrator nobody"),
        ("remove nobody --yes", 1, "there is no administrator nobody"),
        ("password nobody", 1, "there is no administrator nobody"),
        ("password ada", 2, "a password for administrator ada is asked for on a terminal; elsewhere say"),
        ("add ada", 1, "there is an administrator ada already; change it with: licet admin set"),
        ("add Ada", 2, "the name of an administrator is 1 to 64 small letters"),
        ("add bob --tenant Nowhere", 1, "there is no tenant Nowhere"),
        ("add bob", 2, "a password for administrator bob is asked for on a terminal; elsewhere say"),
        ("key remove nobody --yes", 1, "there is no API key nobody; licet admin key list shows those"),
        ("key remove nobody", 2, "Remove API key nobody? Nobody can be asked here; say --yes"),
        ("key add k --expires 2020-01-01", 2, "a new API key expires later than now"),
        ("key add k --expires soon", 2, "--expires: a moment is written 2027-01-31"),
        ("key add A", 2, "the name of an API key is 1 to 64 small letters"),
        ("key add k --tenant Nowhere", 1, "there is no tenant Nowhere"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(
    cli: CommandLine, arguments: str, exit_code: int, told: str
) -> None:
    assert cli.error("admin", *arguments.split(), exit_code=exit_code).startswith(told)


def test_a_password_that_is_too_short_makes_nobody(cli: CommandLine) -> None:
    add_bob = ("admin", "add", "bob", "--password-stdin")
    assert cli.error(*add_bob, exit_code=2, stdin="short\n") == "a password is 8 to 256 characters"
    assert cli.error(*add_bob, exit_code=2, stdin="") == "there is no password on standard input"
    assert len(cli.json("admin", "list")) == 1


def test_without_a_store_it_is_out_of_reach(tmp_path: Path) -> None:
    nowhere = CommandLine(tmp_path / "nowhere")
    for verb in (["list"], ["add", "x"], ["key", "list"], ["disable", "x"]):
        assert "there is no store in" in nowhere.error("admin", *verb, exit_code=3)


# API keys


def test_a_key_is_shown_once_and_only_its_hash_is_kept(cli: CommandLine, store: SqliteStore) -> None:
    made = cli.run(
        "admin", "key", "add", "deploy", "--role", "operator", "--tenant", TENANT, "--expires", LATER
    )
    assert made.stderr == f"API key deploy added: operator of tenant {TENANT}.\n"
    key = made.stdout.strip()
    key_id = ApiKeys.id_of(key)
    assert key_id is not None
    with store.reading() as connection:
        kept = find_api_key(connection, key_id)
    assert kept is not None
    assert ApiKeys(read_keyring(cli.secrets_file).pepper).matches(key, kept.hash)
    assert key.encode() not in cli.store_file.read_bytes()
    (record,) = cli.json("admin", "key", "list")
    del record["created_at"], record["created_by"]
    assert record == {
        "name": "deploy",
        "key_id": key_id,
        "role": "operator",
        "tenant": TENANT,
        "expires_at": "2035-02-01T00:00:00Z",
        "last_used_at": None,
        "expired": False,
    }
    assert key_id in cli.out("admin", "key", "list")
    assert cli.error("admin", "key", "add", "deploy").startswith("there is an API key deploy already")
    assert cli.out("admin", "key", "remove", "deploy", "--yes") == "API key deploy removed.\n"
    assert cli.run("admin", "key", "list").stderr.startswith("No API key yet. Add the first one: ")


def test_a_key_as_json_has_what_a_script_needs(cli: CommandLine) -> None:
    made = cli.json("admin", "key", "add", "deploy")
    assert ApiKeys.id_of(made["api_key"]) == made["key_id"]
    assert (made["name"], made["expires_at"]) == ("deploy", None)


# The first administrator


def test_who_ends_a_session_is_told_when_its_seat_on_hold_is_free(cli: CommandLine) -> None:
    """L18."""
    cli.out("pool", "set", "full", "--hold", "20m")
    cli.grant("TestClientId")
    told = cli.out("session", "end", "--client", "TestClientId", "--yes")
    assert told == "1 session ended; 0 seats came back.\n1 seat is on hold, and free in 20 min.\n"


# A cool-down


def test_an_ended_client_gets_no_seat_until_the_cool_down_is_over_or_lifted(
    cli: CommandLine, store: SqliteStore
) -> None:
    """L12. The list of clients says so."""
    cli.grant("TestClientId")
    told = cli.out(
        "session", "end", "--client", "TestClientId", "--reason", "It hangs", "--cool-down", "5m", "--yes"
    )
    assert told == "1 session ended; 1 seat came back.\nNo seat for TestClientId for 5m.\n"
    until = cli.json("client", "show", "TestClientId")["suspended_until"]
    assert f"suspended until   {until}" in cli.out("client", "show", "TestClientId")
    with store.reading() as connection:
        row = connection.execute(select(schema.event).order_by(schema.event.c.id.desc())).first()
    assert row is not None
    assert (row.action, row.target) == ("end", "client TestClientId")
    assert row.detail == f"1 session ended, no seat until {until}: It hangs"
    assert cli.out("client", "resume", "TestClientId") == "Client TestClientId may have a seat again.\n"
    assert cli.out("client", "resume", "TestClientId") == "Nothing to change.\n"
    assert cli.json("client", "show", "TestClientId")["suspended_until"] is None
    cli.grant("TestClientId")


def test_the_question_says_what_the_cool_down_does(cli: CommandLine) -> None:
    cli.grant("TestClientId")
    end = ("session", "end", "--all", "--cool-down", "3600")
    asked = "End the session of client TestClientId, user TC, and give its client no seat for 1h?"
    assert cli.error(*end, exit_code=2).startswith(asked)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--cool-down", "2d"], "a cool-down is at most 24h; to keep a client out for longer, disable it"),
        (["--cool-down", "soon"], "--cool-down: a duration is written 1200, 1200s, 20m, 8h or 31d"),
        (["--reason", "x" * 201], "a reason is one line of at most 200 characters"),
        (["--reason", "a\nb"], "a reason is one line of at most 200 characters"),
    ],
)
def test_a_wrong_reason_or_cool_down_ends_nothing(cli: CommandLine, options: list[str], told: str) -> None:
    cli.grant("TestClientId")
    assert cli.error("session", "end", "--all", *options, "--yes", exit_code=2).startswith(told)
    assert len(cli.json("session", "list")) == 1
