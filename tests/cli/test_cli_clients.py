"""The verbs for clients, their generated secrets, and sessions."""

import re
import shlex
from pathlib import Path

import pytest

from licet.clock import SystemClock
from licet.credentials.generated import ClientSecrets
from licet.credentials.keyring import read_keyring
from licet.model import Tenant
from licet.store.sqlite.store import SqliteStore
from support.cli_site import TENANT, Desk, copy_of, new_desk

TIME = re.compile(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


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


# client


def test_clients_are_added_changed_shown_and_removed(desk: Desk) -> None:
    added = desk.out(
        "client", "add", "Api", "--user", "TC", "--introspects", "--max-sessions", "7",
        "--scope", "view", "--grant-type", "client_credentials",
    )  # fmt: skip
    assert added == "Client Api added.\n"
    assert desk.out("client", "list").splitlines() == [
        "client        user  enabled  scopes  introspects  authenticates by",
        "Api           TC    yes      view    yes          password",
        "TestClientId  TC    yes      every   no           password",
    ]
    assert desk.json("client", "show", "Api") == {
        "client_id": "Api",
        "user": "TC",
        "enabled": True,
        "scopes": ["view"],
        "grant_types": ["client_credentials"],
        "max_sessions": 7,
        "introspects": True,
        "password_allowed": True,
        "secrets": 0,
        "keys": 0,
        "authenticates_by": ["password"],
        "suspended_until": None,
    }
    changed = desk.out("client", "set", "Api", "--every-scope", "--no-introspection", "--no-password")
    assert changed == "Client Api changed.\n"
    api = tenant_of(desk).clients["Api"]
    assert (api.scopes, api.introspects, api.password_allowed) == (None, False, False)
    assert desk.json("client", "show", "Api")["scopes"] is None
    assert desk.out("client", "disable", "Api") == "Client Api disabled.\n"
    assert desk.out("client", "enable", "Api") == "Client Api enabled.\n"
    assert desk.out("client", "set", "Api", "--password") == "Client Api changed.\n"
    assert desk.out("client", "remove", "Api", "--yes") == "Client Api removed.\n"


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


@pytest.mark.parametrize(
    ("arguments", "exit_code", "told"),
    [
        ("add TestClientId --user TC", 1, "there is a client TestClientId already"),
        ("add x --user XX", 1, "there is no user XX in tenant Jim_Test; there is: TC"),
        ("add x --user TC --scope x", 1, "there is no scope x"),
        ("add '' --user TC", 2, "a client_id is 1 to 128 characters"),
        ("add x --user TC --max-sessions 0", 2, "client x: max_sessions is 1 to 100000, not 0"),
        ("add x --user TC --grant-type password", 2, "invalid value for '--grant-type'"),
        ("add x --user TC --json", 2, "--secret-expires and --json are about a generated secret"),
        ("add x --user TC --secret-expires never", 2, "--secret-expires and --json are about"),
        ("add x --user TC --secret --secret-expires 2020-01-01", 2, "a new secret expires later"),
        ("set TestClientId", 2, "say what to change"),
        ("set TestClientId --scope view --every-scope", 2, "--scope and --every-scope exclude"),
        ("set TestClientId --introspects --no-introspection", 2, "--introspects and --no-introspection"),
        ("set TestClientId --password --no-password", 2, "--password and --no-password exclude"),
        ("set x --user TC", 1, "there is no client x"),
        ("show x", 1, "there is no client x in tenant Jim_Test; there is: TestClientId"),
        ("remove x", 1, "there is no client x in tenant Jim_Test; there is: TestClientId"),
        ("secret list x", 1, "there is no client x"),
        ("secret add x", 1, "there is no client x"),
        ("secret add TestClientId --expires 2020-01-01", 2, "a new secret expires later than now"),
        ("secret remove TestClientId x --yes", 1, "there is no secret of client TestClientId x"),
    ],
)
def test_client_refuses(desk: Desk, arguments: str, exit_code: int, told: str) -> None:
    assert desk.error("client", *shlex.split(arguments), exit_code=exit_code).startswith(told)


def works(desk: Desk, client_id: str, secret: str) -> bool:
    secrets = ClientSecrets(read_keyring(desk.secrets_file).pepper)
    return secrets.find(tenant_of(desk).clients[client_id], secret, SystemClock().now_ms()) is not None


def test_a_generated_secret_is_alone_on_standard_output(desk: Desk) -> None:
    result = desk.run("client", "add", "Api", "--user", "TC", "--secret")
    secret = result.stdout.rstrip("\n")
    assert works(desk, "Api", secret)
    assert result.stderr == "Client Api added.\n"
    assert not tenant_of(desk).clients["Api"].password_allowed


def test_a_generated_secret_as_json(desk: Desk) -> None:
    made = desk.json(
        "client", "add", "Api", "--user", "TC", "--secret", "--secret-expires", "2099-01-31", "--password"
    )
    assert set(made) == {"client_id", "secret_id", "client_secret", "expires_at"}
    assert (made["client_id"], made["expires_at"]) == ("Api", "2099-02-01T00:00:00Z")
    assert works(desk, "Api", made["client_secret"])
    assert tenant_of(desk).clients["Api"].password_allowed
    more = desk.json("client", "secret", "add", "Api", "--no-password")
    assert more["expires_at"] is None
    assert works(desk, "Api", more["client_secret"])
    assert not tenant_of(desk).clients["Api"].password_allowed


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


def test_what_is_shown_cannot_take_over_a_terminal(desk: Desk) -> None:
    """Direction marks and the like are no control characters, and yet not shown."""
    desk.run("client", "add", "a\u202eb", "--user", "TC")
    assert "a\N{REPLACEMENT CHARACTER}b" in desk.out("client", "list")
    assert {"a\u202eb", "TestClientId"} == {client["client_id"] for client in desk.json("client", "list")}


# session


def test_sessions_are_listed_and_shown(desk: Desk) -> None:
    sid = desk.grant("TestClientId")
    (session,) = desk.json("session", "list")
    times = {key: session.pop(key) for key in ("started_at", "renewed_at", "expires_at")}
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


@pytest.mark.parametrize(
    ("arguments", "exit_code", "told"),
    [
        ("end --yes", 2, "say which: a session, --client or --user, or --all"),
        ("end 30 --all --yes", 2, "say which: a session"),
        ("end --client x --all --yes", 2, "say which: a session"),
        ("end ffff --yes", 1, "no active session in Jim_Test has an id that begins with ffff"),
        ("end --client x --yes", 1, "there is no client x"),
        ("show ffff", 1, "no active session in Jim_Test has an id that begins with ffff"),
    ],
)
def test_session_refuses(desk: Desk, arguments: str, exit_code: int, told: str) -> None:
    assert desk.error("session", *shlex.split(arguments), exit_code=exit_code).startswith(told)
