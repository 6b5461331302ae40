"""The verbs that keep an installation in order: migrate, check and key."""

import json
import re
import sqlite3
import stat
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from licet.clock import SystemClock
from licet.credentials.keyring import fingerprint, read_keyring
from licet.store.migrate import COMPATIBLE_FROM, HEAD
from licet.store.nodes import KeyMark, Node, key_marks, note_node
from licet.store.sqlite.store import SqliteStore
from support.cli.cli_site import CommandLine
from support.store.next_version import NEXT, NextVersion
from support.store.postgres import Postgres

UNPROVEN = "it cannot authenticate: no password works for it, no secret and no key"
NODE: dict[str, Any] = {
    "id": "1",
    "name": "licence1:8080",
    "version": "0.1.0",
    "schema": "0001",
    "url": "https://licence.example.com",
    "token_keys": (KeyMark(id=1, fingerprint="5f0c11aa", signs_at_ms=0),),
    "pepper": "77aa90b1",
}


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# migrate


def set_schema(cli: CommandLine, *, pre: str = HEAD, post: str = COMPATIBLE_FROM) -> None:
    with closing(sqlite3.connect(cli.store_file)) as connection, connection:
        connection.execute("UPDATE schema_version SET version_num = ?", (pre,))
        connection.execute("UPDATE alembic_version SET version_num = ?", (post,))


def test_tables_of_another_version_are_exit_code_3(cli: CommandLine) -> None:
    set_schema(cli, pre="0000")
    told = f"the store is at schema 0000, this version needs {HEAD}; run: licet migrate --data {cli.data}"
    assert cli.error("pool", "list", exit_code=3) == told


def test_migrate_has_nothing_to_do(cli: CommandLine) -> None:
    told = f"The store in {cli.data} is at schema {HEAD}, as this version needs it.\n"
    assert cli.out("migrate") == cli.out("migrate", "--check") == told


def test_migrate_check_tells_what_is_due(cli: CommandLine) -> None:
    set_schema(cli, pre="0000")
    assert cli.error("migrate", "--check").startswith("the store is at schema 0000, this version needs")


def test_migrate_makes_the_tables(cli: CommandLine) -> None:
    cli.store_file.unlink()
    cli.store_file.touch()
    assert cli.error("tenant", "list", exit_code=3).startswith("the store has no tables yet; run: ")
    assert cli.out("migrate") == f"The store in {cli.data} is at schema {HEAD} now.\n"
    assert cli.json("tenant", "list") == []


def test_migrate_has_two_steps_and_servers_of_both_versions_work_between_them(
    cli: CommandLine, tmp_path: Path
) -> None:
    next_version, store = NextVersion(tmp_path / "next"), f"The store in {cli.data}"
    due = "the last step is due when no server of an older version runs: licet migrate --finish"
    with next_version.code():
        told = cli.out("migrate").splitlines()
        assert told == [
            f"{store} is at schema {NEXT} now. Servers of the previous version go on working.",
            f"{due[0].upper()}{due[1:]}.",
        ]
        assert cli.error("migrate", "--check") == f"the store in {cli.data}: {due}"
        assert due in cli.error("migrate", "--check")
        cli.out("tenant", "list")
    cli.out("tenant", "list")
    assert cli.out("migrate") == (
        f"{store} is at schema {NEXT}, of a later version of Licet;"
        f" this one, of schema {HEAD}, can work on it.\n"
    )
    with next_version.code():
        assert cli.out("migrate", "--finish") == (
            f"{store} is at schema {NEXT} now. Servers of versions that need a schema before {NEXT}"
            " cannot work on it any more.\n"
        )
        assert cli.out("migrate", "--finish") == f"{store} is at schema {NEXT}; nothing is left to do.\n"
        cli.out("migrate", "--check")
    assert cli.error("tenant", "list", exit_code=3).startswith(f"the store in {cli.data}: it is at schema")


def test_migrate_does_not_finish_while_an_older_server_runs(cli: CommandLine, tmp_path: Path) -> None:
    with closing(SqliteStore(cli.store_file, SystemClock())) as store:
        note_node(store, Node(**NODE), SystemClock().now_ms)
    with NextVersion(tmp_path / "next").code():
        told = "servers of an older version still run: licence1:8080 (0.1.0); stop them first, or say --force"
        assert cli.error("migrate", "--finish") == told
        assert cli.out("migrate", "--finish", "--force").endswith("cannot work on it any more.\n")


def test_the_options_of_migrate_that_do_not_go_together_are_wrong_use(cli: CommandLine) -> None:
    told = "--check and --finish exclude each other"
    assert cli.error("migrate", "--check", "--finish", exit_code=2) == told
    told = "--force is about the last step; say --finish with it"
    assert cli.error("migrate", "--force", exit_code=2) == told


def test_a_store_of_a_later_version_is_left_alone(cli: CommandLine) -> None:
    set_schema(cli, pre="9999", post="9999")
    advice = "it is at schema 9999, which only a later version of Licet knows; use that one"
    assert advice in cli.error("migrate", exit_code=3)
    assert advice in cli.error("migrate", "--check", exit_code=3)


# check


def test_check_finds_nothing_wrong(cli: CommandLine) -> None:
    cli.run("client", "set", "TestClientId", "--introspects")
    assert cli.out("check") == "Nothing is wrong.\n"
    assert cli.json("check") == {"nodes": [], "findings": []}


def test_a_hint_is_nothing_wrong(cli: CommandLine) -> None:
    assert cli.out("check").splitlines() == [
        "hint: Jim_Test, clients: none may introspect, so that no API can ask about tokens",
        "  licet client set CLIENT_ID --introspects, for the API's own client",
    ]
    assert cli.json("check")["findings"] == [
        {
            "kind": "hint",
            "code": "no_introspection",
            "tenant": "Jim_Test",
            "target": "clients",
            "problem": "none may introspect, so that no API can ask about tokens",
            "advice": "licet client set CLIENT_ID --introspects, for the API's own client",
        }
    ]


def test_what_is_wrong_is_exit_code_1(cli: CommandLine) -> None:
    cli.run("user", "password", "TC", "--no-password")
    result = cli.run("check", exit_code=1)
    assert result.stdout.splitlines()[:2] == [
        f"wrong: Jim_Test, client TestClientId: {UNPROVEN}",
        "  licet user password TC, or licet client secret add TestClientId",
    ]
    assert result.stderr == "1 thing to correct.\n"


def wrong(cli: CommandLine) -> list[str]:
    found = json.loads(cli.run("check", "--json", exit_code=1).stdout)["findings"]
    return [f"{it['target']}: {it['problem']}" for it in found if it["kind"] == "wrong"]


def test_check_looks_at_the_modes_of_files(cli: CommandLine) -> None:
    cli.data.chmod(0o755)
    cli.store_file.chmod(0o640)
    cli.secrets_file.chmod(0o604)
    assert wrong(cli) == [
        f"{cli.data}: it can be read by others",
        f"{cli.store_file}: it can be read by others",
        f"secrets.json: {cli.secrets_file} is readable by others",
    ]


def test_check_looks_at_the_settings(cli: CommandLine) -> None:
    (cli.data / "licet.toml").write_text("port = 99999\nhots = '::1'\n")
    assert wrong(cli) == [
        f"settings: {cli.data}/licet.toml, hots: there is no such key; did you mean host?",
        f"settings: {cli.data}/licet.toml, port: 99999 is too large; allowed: 0 to 65535",
    ]


def test_check_looks_at_the_tables(cli: CommandLine) -> None:
    set_schema(cli, pre="0000")
    assert wrong(cli) == [f"licet.db: the store is at schema 0000, this version needs {HEAD}"]
    set_schema(cli)
    connection = sqlite3.connect(cli.store_file)
    with connection:
        connection.execute("UPDATE tenant SET access_ttl_s = 9999")
    connection.close()
    (found,) = wrong(cli)
    assert found.startswith("tables: the set-up was changed by hand: tenant Jim_Test: access_ttl is")


def test_check_finds_sessions_of_a_time_when_the_clock_was_ahead(cli: CommandLine) -> None:
    """They keep their seats until that time comes, and nothing else would say why."""
    cli.run("client", "set", "TestClientId", "--introspects")
    cli.grant("TestClientId")
    assert cli.out("check") == "Nothing is wrong.\n"
    with closing(sqlite3.connect(cli.store_file)) as connection, connection:
        a_day = "renewed_at_ms = renewed_at_ms + 86400000, expires_at_ms = expires_at_ms + 86400000"
        connection.execute(f"UPDATE session SET {a_day}")  # noqa: S608 - as above
    (found,) = wrong(cli)
    assert found.startswith("sessions: the clock was ahead when some began; they keep their seats until 20")
    cli.run("session", "end", "--all", "--yes")
    assert cli.out("check") == "Nothing is wrong.\n"


def test_check_looks_at_pools_and_clients(cli: CommandLine) -> None:
    for seats in ("2", "1"):
        cli.run("pool", "set", "full", "--seats", seats)
    cli.run("user", "add", "AP", "--no-password")
    cli.run("client", "add", "Api", "--user", "AP")
    cli.run("user", "disable", "AP")
    cli.run("client", "add", "Off", "--user", "AP")
    cli.run("client", "disable", "Off")
    cli.run("pool", "add", "old", "--seats", "0", "--expires", "2020-01-01")
    cli.run("scope", "add", "orders", "--pool", "old")
    assert wrong(cli) == [
        "pool old: the licence expired at the end of 2020-01-01",
        "pool old: it has no seats",
        "client Api: its user AP is disabled",
        f"client Api: {UNPROVEN}",
    ]


def test_check_tells_of_the_last_step(cli: CommandLine, tmp_path: Path) -> None:
    with NextVersion(tmp_path / "next").code():
        cli.run("migrate")
        found = cli.json("check")["findings"]
    assert found[0]["kind"] == "hint"
    assert found[0]["advice"] == "licet migrate --finish, when no older node runs"


def test_check_names_the_tenant_where_there_are_several(cli: CommandLine) -> None:
    cli.run("tenant", "add", "Other", "--seats", "5")
    told = [it["advice"] for it in cli.json("check")["findings"]]
    assert told == [
        "licet client set CLIENT_ID --introspects --tenant Jim_Test, for the API's own client",
        "licet client add CLIENT_ID --user INITIALS --tenant Other",
    ]


def test_check_shows_the_nodes(cli: CommandLine) -> None:
    keyring = read_keyring(cli.secrets_file)
    node = Node(**NODE | {"token_keys": key_marks(keyring), "pepper": fingerprint(keyring.pepper)})
    with closing(SqliteStore(cli.store_file, SystemClock())) as store:
        note_node(store, node, SystemClock().now_ms)
    mark = f"1:{fingerprint(keyring.newest.key)}"
    heading, row, blank, *_ = cli.out("check").splitlines()
    assert heading.split("  ")[0] == "node"
    assert row.startswith("licence1:8080  0.1.0    0001    20")
    assert row.endswith(f"Z  right  {mark}")
    assert not blank
    (shown,) = cli.json("check")["nodes"]
    assert shown.pop("started_at") == shown.pop("seen_at")
    assert shown == {
        "name": "licence1:8080",
        "version": "0.1.0",
        "schema": "0001",
        "url": "https://licence.example.com",
        "silent": False,
        "skew_ms": 0,
        "token_keys": [mark],
        "pepper": fingerprint(keyring.pepper),
    }


def test_check_compares_the_secrets_here_with_those_of_the_nodes(cli: CommandLine) -> None:
    with closing(SqliteStore(cli.store_file, SystemClock())) as store:
        note_node(store, Node(**NODE), SystemClock().now_ms)
    assert "nodes: secrets.json here has another pepper than the nodes, which refuse what is made here" in (
        wrong(cli)
    )


def test_a_second_node_makes_no_secrets_of_its_own(
    postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What one node signs, all have to accept."""
    monkeypatch.setenv("LICET_STORE", postgres.create_database("several"))
    first, second = CommandLine(tmp_path / "first"), CommandLine(tmp_path / "second")
    first.run("init", "--tenant", "Jim_Test", "--seats", "5")
    told = second.error("init", "--tenant", "Jim_Test", "--seats", "5")
    assert f"has a store already; copy secrets.json from another node into {second.data}" in told
    assert not second.data.exists()
    assert second.out("tenant", "list") == first.out("tenant", "list")
    postgres.drop_database("several")


def test_check_looks_at_overuse(cli: CommandLine) -> None:
    """L6: the overuse is shown."""
    cli.grant("TestClientId")
    cli.run("pool", "set", "full", "--seats", "0")
    assert "pool full: more seats are in use than it has: 1 of 0" in wrong(cli)


# key


def test_keys_that_are_lost_can_be_made_anew_and_are_never_replaced(cli: CommandLine) -> None:
    file = cli.data / "secrets.json"
    assert cli.error("key", "new", "--yes") == f"{file} is there; to add a key: licet key rotate"
    file.unlink()
    assert "licet key new" in cli.error("key", "list", exit_code=3)
    assert "say --yes" in cli.error("key", "new", exit_code=2)
    assert not file.exists()
    assert cli.out("key", "new", "--yes") == f"Made {file}; keep a copy of it.\n"
    assert file.stat().st_mode & 0o777 == 0o600
    assert len(read_keyring(file).token_keys) == 1


def test_keys_are_listed_rotated_and_pruned(cli: CommandLine) -> None:
    cli.run("key", "rotate")
    rotated = cli.json("key", "list")
    assert [(key["id"], key["signs"]) for key in rotated] == [(1, False), (2, True)]
    assert set(rotated[0]) == {"id", "fingerprint", "created_at", "signs_at", "signs"}
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT[\d:.]+Z", rotated[1]["created_at"])
    asked = cli.error("key", "prune", exit_code=2)
    assert asked == "Remove 1 older key? What they signed stops working. Nobody can be asked here; say --yes"
    assert cli.out("key", "prune", "--yes") == "1 older key removed.\n"
    assert [key["id"] for key in cli.json("key", "list")] == [2]
    assert cli.out("key", "prune") == "There is one key only; nothing to remove.\n"
    assert mode(cli.secrets_file) == 0o600


def test_a_key_can_wait_until_all_nodes_have_it(cli: CommandLine) -> None:
    told = cli.out("key", "rotate", "--signs-after", "1h")
    assert re.fullmatch(rf"Key 2 signs from 20.*Z on; copy {cli.secrets_file} to all nodes before.\n", told)
    first, second = cli.json("key", "list")
    assert (first["signs"], second["signs"]) == (True, False)
    assert second["signs_at"] in told
    left = f"Key 1 signs until {second['signs_at']}; nothing to remove before.\n"
    assert cli.out("key", "prune", "--yes") == left
    assert "--signs-after is 31d at most" in cli.error("key", "rotate", "--signs-after", "32d", exit_code=2)
    assert "a duration is written" in cli.error("key", "rotate", "--signs-after", "soon", exit_code=2)


def events(cli: CommandLine) -> list[tuple[str, str, str]]:
    with closing(sqlite3.connect(cli.store_file)) as connection:
        rows = connection.execute("SELECT action, target, detail FROM event WHERE tenant = '' ORDER BY id")
        return rows.fetchall()


def test_what_is_done_to_keys_becomes_an_event(cli: CommandLine) -> None:
    cli.run("key", "rotate")
    first, second = cli.json("key", "list")
    cli.run("key", "prune", "--yes")
    cli.secrets_file.unlink()
    cli.run("key", "new", "--yes")
    (third,) = cli.json("key", "list")
    assert events(cli) == [
        ("add", "key 2", f"fingerprint {second['fingerprint']}, signs from {second['signs_at']}"),
        ("remove", "key 1", f"fingerprint {first['fingerprint']}"),
        ("add", "key 1", f"fingerprint {third['fingerprint']}, new secrets, as the old ones were lost"),
    ]


def test_a_store_that_is_down_keeps_nobody_from_a_rotation(cli: CommandLine) -> None:
    cli.store_file.unlink()
    result = cli.run("key", "rotate")
    assert result.stdout.startswith("Key 2 signs from now on")
    assert result.stderr.startswith("No event was recorded: there is no store in ")
    assert len(cli.json("key", "list")) == 2


def test_there_are_only_so_many_keys(cli: CommandLine) -> None:
    for _ in range(15):
        cli.run("key", "rotate")
    told = "there are 16 keys already; remove the older ones first: licet key prune"
    assert cli.error("key", "rotate") == told


def test_no_key_is_ever_shown(cli: CommandLine) -> None:
    secrets = json.loads(cli.secrets_file.read_text())
    hidden = [secrets["pepper"], *(key["key"] for key in secrets["token_keys"])]
    shown = "".join(cli.run(*verb.split()).output for verb in ("key list", "key rotate", "check", "export"))
    assert not [secret for secret in hidden if secret in shown]
