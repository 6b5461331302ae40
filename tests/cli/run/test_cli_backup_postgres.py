"""Tests `licet backup` and `licet restore` on PostgreSQL: its programs work, and nothing is half done."""

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import select

from licet.clock import SystemClock
from licet.lanes.commit import commit
from licet.ledger.commands import End, Grant, Granted
from licet.model import EndReason
from licet.store import schema
from licet.store.nodes import Node, note_node
from licet.store.opening import StoreAt
from support.cli.cli_site import CommandLine
from support.store.postgres import Postgres

NAME = "backed_up"
NODE = Node(id="n1", name="licence1:8080", version="0.2.0", schema="0001", url="u", token_keys=(), pepper="p")
ARGUMENTS = "arguments"


@pytest.fixture
def cli(postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CommandLine]:
    """A store with an API key in a database; the programs of PostgreSQL are found as by an administrator."""
    monkeypatch.setenv("PATH", f"{postgres._programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("LICET_STORE", postgres.create_database(NAME))
    made = CommandLine(tmp_path / "data")
    made.run("init", "--tenant", "Jim_Test", "--seats", "5")
    made.run("admin", "key", "add", "deploy", "--role", "viewer")
    yield made
    postgres.drop_database(NAME)


def keys(cli: CommandLine) -> list[str]:
    return [it["name"] for it in cli.json("admin", "key", "list")]


def test_what_a_dump_has_takes_the_place_of_the_tables(cli: CommandLine, tmp_path: Path) -> None:
    """And who had been removed is named."""
    file = tmp_path / "licet.dump"
    cli.run("backup", str(file))
    assert file.stat().st_mode & 0o777 == 0o600
    cli.run("admin", "key", "remove", "deploy", "--yes")
    cli.run("tenant", "add", "Later", "--seats", "1")
    told = cli.out("restore", str(file), "--yes").splitlines()
    assert told[0].endswith(f"database {NAME} is restored.")
    assert "  API keys: deploy" in told
    assert keys(cli) == ["deploy"]
    assert [it["name"] for it in cli.json("tenant", "list")] == ["Jim_Test"]


@pytest.mark.wide
def test_a_dump_is_not_loaded_while_a_node_works_on_the_store(cli: CommandLine, tmp_path: Path) -> None:
    """It would commit into tables that are about to go."""
    file = tmp_path / "licet.dump"
    cli.run("backup", str(file))
    cli.run("admin", "key", "remove", "deploy", "--yes")
    with closing(StoreAt(cli.data, os.environ["LICET_STORE"]).open(SystemClock())) as store:
        note_node(store, NODE, SystemClock().now_ms)
    told = cli.error("restore", str(file), "--yes")
    assert told.endswith("licence1:8080; stop them first; after a kill, wait 15 seconds")
    assert keys(cli) == []


@pytest.mark.parametrize("nobody_was_logged_on", [False, True])
def test_a_node_that_was_paused_during_a_restore_believes_nothing_that_it_remembers(
    cli: CommandLine, tmp_path: Path, *, nobody_was_logged_on: bool
) -> None:
    """Else it would grant on a seat that is not there, where as much was changed before as by the restore."""
    cli.run("user", "add", "TC", "--name", "Test", "--no-password")
    cli.run("client", "add", "App", "--user", "TC", "--secret")
    cli.run("migrate", "--finish")
    file = tmp_path / "licet.dump"
    with closing(StoreAt(cli.data, os.environ["LICET_STORE"]).open(SystemClock())) as node:
        [tenant] = node.tenants().values()
        [client], [pool] = tenant.clients.values(), tenant.pools.values()
        sids: list[bytes] = []

        def granted(times: int) -> None:
            for _ in range(times):
                grant = Grant(
                    tenant_id=tenant.id,
                    client_key=client.key,
                    sid=os.urandom(20),
                    scope="all",
                    pool_id=pool.id,
                    address="",
                )
                [outcome] = commit(node, [grant])
                assert isinstance(outcome, Granted)
                sids.append(grant.sid)

        granted(40)  # in a row: then it remembers the tenant
        if nobody_was_logged_on:
            commit(node, [End(tenant_id=tenant.id, sid=sid, reason=EndReason.LOGOFF) for sid in sids])
        cli.run("backup", str(file))
        if not nobody_was_logged_on:
            cli.run("session", "end", "--all", "--yes")
        granted(5)
        cli.run("restore", str(file), "--yes")
        granted(1)
        seats = cli.json("seats")
        assert [it["in_use"] for it in seats["pools"]] == [1]
        with node.reading() as connection:
            assert connection.execute(select(schema.seat.c.client_id)).scalars().all() == ["App"]


@pytest.mark.wide
def test_a_dump_that_would_leave_a_table_behind_is_refused(
    cli: CommandLine, tmp_path: Path, postgres: Postgres
) -> None:
    """As that of an older version would: tables of two versions are no store."""
    file = tmp_path / "licet.dump"
    postgres.execute("ALTER TABLE seat_free RENAME TO away", NAME)
    cli.run("backup", str(file))
    postgres.execute("ALTER TABLE away RENAME TO seat_free", NAME)
    told = cli.error("restore", str(file), "--yes")
    assert "has tables that the dump does not know: seat_free; restore it into a new database" in told
    assert keys(cli) == ["deploy"]


def test_what_is_no_dump_is_refused(cli: CommandLine, tmp_path: Path) -> None:
    """With what pg_restore says of it."""
    file = tmp_path / "licet.dump"
    file.write_text("no dump")
    told = cli.error("restore", str(file), "--yes", exit_code=3)
    assert told.startswith("pg_restore: ")
    assert keys(cli) == ["deploy"]


def test_without_the_programs_it_says_what_to_install(
    cli: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The driver is not enough."""
    monkeypatch.setenv("PATH", str(tmp_path))
    told = cli.error("backup", str(tmp_path / "licet.dump"), exit_code=3)
    assert told == "pg_dump is missing; install the client programs of PostgreSQL (postgresql-client)"
    assert not (tmp_path / "licet.dump").exists()


def test_the_password_reaches_the_program_and_not_its_arguments(
    cli: CommandLine, tmp_path: Path, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everybody on the machine can read arguments."""
    program, said = tmp_path / "pg_dump", tmp_path / "said"
    program.write_text(f'#!/bin/sh\necho "$@" > {said}\necho "$PGPASSWORD" >> {said}\n')
    program.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("LICET_STORE", postgres.url(NAME, password="battery-staple"))
    cli.run("backup", str(tmp_path / "licet.dump"))
    arguments, password = said.read_text().splitlines()
    assert password == "battery-staple"
    assert f"dbname={NAME}" in arguments
    assert "battery" not in arguments
