"""The verbs for clients, their generated secrets, and sessions."""

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from licet.clock import SystemClock
from licet.credentials.generated import ClientSecrets
from licet.credentials.keyring import read_keyring
from support.cli.cli_site import Desk

TIME = re.compile(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


# client


def test_a_change_tells_what_it_ended(desk: Desk) -> None:
    desk.run("user", "add", "AP", "--no-password")
    for change in (
        ["set", "TestClientId", "--scope", "view"],
        ["set", "TestClientId", "--user", "AP", "--every-scope"],
        ["disable", "TestClientId"],
    ):
        desk.grant("TestClientId", *(["view"] if "AP" in change else []))
        assert desk.out("client", *change, "--yes").endswith("; 1 session ended.\n")
        user = "TC" if "AP" not in change else "AP"
        desk.run("client", "set", "TestClientId", "--every-scope", "--user", user, "--yes")
    desk.run("client", "enable", "TestClientId")
    desk.grant("TestClientId")
    desk.grant("TestClientId", "view")
    assert desk.out("client", "remove", "TestClientId", "--yes") == (
        "Client TestClientId removed; 2 sessions ended.\n"
    )


def works(desk: Desk, client_id: str, secret: str) -> bool:
    secrets = ClientSecrets(read_keyring(desk.secrets_file).pepper)
    return secrets.find(desk.tenant().clients[client_id], secret, SystemClock().now_ms()) is not None


def test_a_generated_secret_is_alone_on_standard_output(desk: Desk) -> None:
    result = desk.run("client", "add", "Api", "--user", "TC", "--secret")
    secret = result.stdout.rstrip("\n")
    assert works(desk, "Api", secret)
    assert result.stderr == "Client Api added.\n"
    assert not desk.tenant().clients["Api"].password_allowed


def test_a_generated_secret_as_json(desk: Desk) -> None:
    made = desk.json(
        "client", "add", "Api", "--user", "TC", "--secret", "--secret-expires", "2099-01-31", "--password"
    )
    assert set(made) == {"client_id", "secret_id", "client_secret", "expires_at"}
    assert (made["client_id"], made["expires_at"]) == ("Api", "2099-02-01T00:00:00Z")
    assert works(desk, "Api", made["client_secret"])
    assert desk.tenant().clients["Api"].password_allowed
    more = desk.json("client", "secret", "add", "Api", "--no-password")
    assert more["expires_at"] is None
    assert works(desk, "Api", more["client_secret"])
    assert not desk.tenant().clients["Api"].password_allowed


def test_secrets_are_listed_and_removed_by_their_ids(desk: Desk) -> None:
    assert desk.run("client", "secret", "list", "TestClientId").stderr == (
        "No secret yet. Add the first one: licet client secret add TestClientId\n"
    )
    old = desk.json("client", "secret", "add", "TestClientId", "--expires", "2099-01-31")
    new = desk.json("client", "secret", "add", "TestClientId")
    listed = desk.json("client", "secret", "list", "TestClientId")
    assert {it["secret_id"] for it in listed} == {old["secret_id"], new["secret_id"]}
    first = next(it for it in listed if it["secret_id"] == old["secret_id"])
    assert TIME.fullmatch(first.pop("created_at"))
    assert first == {
        "secret_id": old["secret_id"],
        "expires_at": "2099-02-01T00:00:00Z",
        "last_used_at": None,
        "expired": False,
    }
    shown = desk.out("client", "secret", "list", "TestClientId")
    assert re.search(rf"^{old['secret_id']}  20\S+Z  2099-02-01T00:00:00Z  never$", shown, re.MULTILINE)
    assert desk.json("client", "show", "TestClientId")["authenticates_by"] == ["password", "secret"]
    assert "  password or secret\n" in desk.out("client", "show", "TestClientId")
    for given in (old, new):
        assert given["client_secret"] not in shown + desk.out("export") + desk.out("client", "list", "--json")
    removed = desk.out("client", "secret", "remove", "TestClientId", "--yes", "--", old["secret_id"])
    assert removed == f"Secret {old['secret_id']} of client TestClientId removed.\n"
    assert not works(desk, "TestClientId", old["client_secret"])
    assert works(desk, "TestClientId", new["client_secret"])


def test_no_new_client_has_a_character_that_cannot_be_seen(desk: Desk, tmp_path: Path) -> None:
    """A direction mark is no control character, and yet shows another name."""
    said = (
        "a new client_id has only characters that can be seen; this one has U+202E (RIGHT-TO-LEFT OVERRIDE)"
    )
    assert said in desk.error("client", "add", "a\u202eb", "--user", "TC", exit_code=2)
    file = tmp_path / "licet.toml"
    more = '\n[tenant.Jim_Test.client."a\\u202Eb"]\nuser = "TC"\n'
    file.write_text(desk.out("export") + more, encoding="utf-8")
    assert said in desk.run("apply", str(file), "--yes", exit_code=2).stderr
    assert set(desk.tenant().clients) == {"TestClientId"}


@pytest.mark.parametrize("client_id", [" App", "App ", " "])
def test_no_new_client_begins_or_ends_with_a_space(desk: Desk, client_id: str) -> None:
    """A rule of a pool could not name it on a page, where a line has no space at its end."""
    said = "a new client_id neither begins nor ends with a space: nobody could see it"
    assert said in desk.error("client", "add", client_id, "--user", "TC", exit_code=2)
    desk.run("client", "add", "My App", "--user", "TC")


def test_a_client_of_before_is_shown_escaped_exported_and_removed(desk: Desk, tmp_path: Path) -> None:
    """What it may do to a terminal it does in no form; JSON and the set-up file have the name, escaped."""
    with closing(sqlite3.connect(desk.store_file)) as store, store:
        store.execute("UPDATE client SET client_id = ?", ("a\u202eb",))
    for shown in (desk.out("client", "list"), desk.out("client", "list", "--json"), desk.out("export")):
        assert re.search(r"a\\[uU](0000)?202eb", shown)
        assert "\u202e" not in shown
    assert desk.json("client", "list")[0]["client_id"] == "a\u202eb"
    file = tmp_path / "licet.toml"
    file.write_text(desk.out("export"), encoding="utf-8")
    assert "Nothing" in desk.run("apply", str(file), "--yes").stderr + desk.out("apply", str(file), "--yes")
    assert desk.out("client", "remove", "a\u202eb", "--yes") == "Client a\\u202eb removed.\n"


# session


def test_sessions_are_listed_and_shown(desk: Desk) -> None:
    sid = desk.grant("TestClientId")
    (session,) = desk.json("session", "list")
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
    heading, line = desk.out("session", "list").splitlines()
    assert heading.split() == ["session", "client", "user", "scope", "pool", "since", "expires", "address"]
    assert line.split()[0] == sid
    assert desk.json("session", "show", sid[:12])["sid"] == sid
    assert desk.json("session", "list", "--client", "TestClientId", "--user", "TC") == [session | times]
    desk.run("session", "end", sid, "--yes")
    assert desk.run("session", "list", "--client", "TestClientId").stderr == "No active session.\n"


def test_one_session_is_ended_by_the_beginning_of_its_name(desk: Desk) -> None:
    """L4."""
    first, second = desk.grant("TestClientId"), desk.grant("TestClientId", "view")
    told = "2 sessions begin with 3030; say more of it"
    assert desk.error("session", "end", "3030", "--yes") == told
    told = "End the session of client TestClientId, user TC? Nobody can be asked here; say --yes"
    assert desk.error("session", "end", first, exit_code=2) == told
    assert desk.out("session", "end", first[:16].upper(), "--yes") == "1 session ended; 1 seat came back.\n"
    assert [session["sid"] for session in desk.json("session", "list")] == [second]
    assert desk.out("session", "end", second, "--yes") == "1 session ended; 0 seats came back.\n"


@pytest.mark.parametrize("which", [["--client", "TestClientId"], ["--user", "TC"], ["--all"]])
def test_many_sessions_are_ended_together(desk: Desk, which: list[str]) -> None:
    """L4."""
    desk.run("user", "add", "AP", "--no-password")
    desk.run("client", "add", "Api", "--user", "AP")
    for client_id in ("TestClientId", "TestClientId", "Api"):
        desk.grant(client_id)
    number = 3 if which == ["--all"] else 2
    asked = desk.error("session", "end", *which, exit_code=2)
    assert asked == f"End {number} sessions? Nobody can be asked here; say --yes"
    seats = "2 seats" if number == 3 else "1 seat"
    assert desk.out("session", "end", *which, "--yes") == f"{number} sessions ended; {seats} came back.\n"
    assert desk.json("pool", "show", "full")["in_use"] == 3 - number
