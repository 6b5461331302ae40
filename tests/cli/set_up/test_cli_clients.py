"""The verbs for clients, their generated secrets, and sessions."""

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from licet.clock import SystemClock
from licet.credentials.generated import ClientSecrets
from licet.credentials.keyring import read_keyring
from support.cli.cli_site import CommandLine

TIME = re.compile(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


# client


def test_a_change_tells_what_it_ended(cli: CommandLine) -> None:
    cli.run("user", "add", "AP", "--no-password")
    for change in (
        ["set", "TestClientId", "--scope", "view"],
        ["set", "TestClientId", "--user", "AP", "--every-scope"],
        ["disable", "TestClientId"],
    ):
        cli.grant("TestClientId", *(["view"] if "AP" in change else []))
        assert cli.out("client", *change, "--yes").endswith("; 1 session ended.\n")
        user = "TC" if "AP" not in change else "AP"
        cli.run("client", "set", "TestClientId", "--every-scope", "--user", user, "--yes")
    cli.run("client", "enable", "TestClientId")
    cli.grant("TestClientId")
    cli.grant("TestClientId", "view")
    assert cli.out("client", "remove", "TestClientId", "--yes") == (
        "Client TestClientId removed; 2 sessions ended.\n"
    )


def works(cli: CommandLine, client_id: str, secret: str) -> bool:
    secrets = ClientSecrets(read_keyring(cli.secrets_file).pepper)
    return secrets.find(cli.tenant().clients[client_id], secret, SystemClock().now_ms()) is not None


def test_a_generated_secret_is_alone_on_standard_output(cli: CommandLine) -> None:
    result = cli.run("client", "add", "Api", "--user", "TC", "--secret")
    secret = result.stdout.rstrip("\n")
    assert works(cli, "Api", secret)
    assert result.stderr == "Client Api added.\n"
    assert not cli.tenant().clients["Api"].password_allowed


def test_a_generated_secret_as_json(cli: CommandLine) -> None:
    made = cli.json(
        "client", "add", "Api", "--user", "TC", "--secret", "--secret-expires", "2099-01-31", "--password"
    )
    assert set(made) == {"client_id", "secret_id", "client_secret", "expires_at"}
    assert (made["client_id"], made["expires_at"]) == ("Api", "2099-02-01T00:00:00Z")
    assert works(cli, "Api", made["client_secret"])
    assert cli.tenant().clients["Api"].password_allowed
    more = cli.json("client", "secret", "add", "Api", "--no-password")
    assert more["expires_at"] is None
    assert works(cli, "Api", more["client_secret"])
    assert not cli.tenant().clients["Api"].password_allowed


def test_secrets_are_listed_and_removed_by_their_ids(cli: CommandLine) -> None:
    assert cli.run("client", "secret", "list", "TestClientId").stderr == (
        "No secret yet. Add the first one: licet client secret add TestClientId\n"
    )
    old = cli.json("client", "secret", "add", "TestClientId", "--expires", "2099-01-31")
    new = cli.json("client", "secret", "add", "TestClientId")
    listed = cli.json("client", "secret", "list", "TestClientId")
    assert {it["secret_id"] for it in listed} == {old["secret_id"], new["secret_id"]}
    first = next(it for it in listed if it["secret_id"] == old["secret_id"])
    assert TIME.fullmatch(first.pop("created_at"))
    assert first == {
        "secret_id": old["secret_id"],
        "expires_at": "2099-02-01T00:00:00Z",
        "last_used_at": None,
        "expired": False,
    }
    shown = cli.out("client", "secret", "list", "TestClientId")
    assert re.search(rf"^{old['secret_id']}  20\S+Z  2099-02-01T00:00:00Z  never$", shown, re.MULTILINE)
    assert cli.json("client", "show", "TestClientId")["authenticates_by"] == ["password", "secret"]
    assert "  password or secret\n" in cli.out("client", "show", "TestClientId")
    for given in (old, new):
        assert given["client_secret"] not in shown + cli.out("export") + cli.out("client", "list", "--json")
    removed = cli.out("client", "secret", "remove", "TestClientId", "--yes", "--", old["secret_id"])
    assert removed == f"Secret {old['secret_id']} of client TestClientId removed.\n"
    assert not works(cli, "TestClientId", old["client_secret"])
    assert works(cli, "TestClientId", new["client_secret"])


def test_no_new_client_has_a_character_that_cannot_be_seen(cli: CommandLine, tmp_path: Path) -> None:
    """A direction mark is no control character, and yet shows another name."""
    said = (
        "a new client_id has only characters that can be seen; this one has U+202E (RIGHT-TO-LEFT OVERRIDE)"
    )
    assert said in cli.error("client", "add", "a\u202eb", "--user", "TC", exit_code=2)
    file = tmp_path / "licet.toml"
    more = '\n[tenant.Jim_Test.client."a\\u202Eb"]\nuser = "TC"\n'
    file.write_text(cli.out("export") + more, encoding="utf-8")
    assert said in cli.run("apply", str(file), "--yes", exit_code=2).stderr
    assert set(cli.tenant().clients) == {"TestClientId"}


@pytest.mark.parametrize("client_id", [" App", "App ", " "])
def test_no_new_client_begins_or_ends_with_a_space(cli: CommandLine, client_id: str) -> None:
    """A rule of a pool could not name it on a page, where a line has no space at its end."""
    said = "a new client_id neither begins nor ends with a space: nobody could see it"
    assert said in cli.error("client", "add", client_id, "--user", "TC", exit_code=2)
    cli.run("client", "add", "My App", "--user", "TC")


def test_a_client_of_before_is_shown_escaped_exported_and_removed(cli: CommandLine, tmp_path: Path) -> None:
    """What it may do to a terminal it does in no form; JSON and the set-up file have the name, escaped."""
    with closing(sqlite3.connect(cli.store_file)) as store, store:
        store.execute("UPDATE client SET client_id = ?", ("a\u202eb",))
    for shown in (cli.out("client", "list"), cli.out("client", "list", "--json"), cli.out("export")):
        assert re.search(r"a\\[uU](0000)?202eb", shown)
        assert "\u202e" not in shown
    assert cli.json("client", "list")[0]["client_id"] == "a\u202eb"
    file = tmp_path / "licet.toml"
    file.write_text(cli.out("export"), encoding="utf-8")
    assert "Nothing" in cli.run("apply", str(file), "--yes").stderr + cli.out("apply", str(file), "--yes")
    assert cli.out("client", "remove", "a\u202eb", "--yes") == "Client a\\u202eb removed.\n"


# session


def test_sessions_are_listed_and_shown(cli: CommandLine) -> None:
    sid = cli.grant("TestClientId")
    (session,) = cli.json("session", "list")
    times = {key: session.pop(key) for key in ("started_at", "renewed_at", "last_used_at", "expires_at")}
    assert all(TIME.fullmatch(it) for it in times.values())
    assert session == {
        "sid": sid,
        "client_id": "TestClientId",
        "user": "TC",
        "name": "Test Client",
        "scope": "all",
        "pool": "full",
        "address": "192.0.2.1",
    }
    heading, line = cli.out("session", "list").splitlines()
    assert heading.split() == ["session", "client", "user", "scope", "pool", "since", "expires", "address"]
    assert line.split()[0] == sid
    assert cli.json("session", "show", sid[:12])["sid"] == sid
    assert cli.json("session", "list", "--client", "TestClientId", "--user", "TC") == [session | times]
    cli.run("session", "end", sid, "--yes")
    assert cli.run("session", "list", "--client", "TestClientId").stderr == "No active session.\n"


def test_one_session_is_ended_by_the_beginning_of_its_name(cli: CommandLine) -> None:
    """L4."""
    first, second = cli.grant("TestClientId"), cli.grant("TestClientId", "view")
    told = "2 sessions begin with 3030; say more of it"
    assert cli.error("session", "end", "3030", "--yes") == told
    told = "End the session of client TestClientId, user TC? Nobody can be asked here; say --yes"
    assert cli.error("session", "end", first, exit_code=2) == told
    assert cli.out("session", "end", first[:16].upper(), "--yes") == "1 session ended; 1 seat came back.\n"
    assert [session["sid"] for session in cli.json("session", "list")] == [second]
    assert cli.out("session", "end", second, "--yes") == "1 session ended; 0 seats came back.\n"


@pytest.mark.parametrize("which", [["--client", "TestClientId"], ["--user", "TC"], ["--all"]])
def test_many_sessions_are_ended_together(cli: CommandLine, which: list[str]) -> None:
    """L4."""
    cli.run("user", "add", "AP", "--no-password")
    cli.run("client", "add", "Api", "--user", "AP")
    for client_id in ("TestClientId", "TestClientId", "Api"):
        cli.grant(client_id)
    number = 3 if which == ["--all"] else 2
    asked = cli.error("session", "end", *which, exit_code=2)
    assert asked == f"End {number} sessions? Nobody can be asked here; say --yes"
    seats = "2 seats" if number == 3 else "1 seat"
    assert cli.out("session", "end", *which, "--yes") == f"{number} sessions ended; {seats} came back.\n"
    assert cli.json("pool", "show", "full")["in_use"] == 3 - number
