"""Tests `licet backup` and `licet restore` on SQLite: a copy is whole, and safely replaces a store."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from licet.clock import SystemClock
from licet.platforms import services
from licet.platforms.services import how_to_stop
from licet.store.sqlite.store import SqliteStore
from support.cli.cli_site import CommandLine, copy_of, new_data
from support.cli.command_line import terminal


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with a session, an API key and an administrator."""
    data = new_data(tmp_path_factory.mktemp("kept") / "licet-data")
    cli = CommandLine(data)
    cli.run("admin", "add", "ada", "--role", "owner", "--password-stdin", stdin="battery staple\n")
    cli.run("admin", "key", "add", "deploy", "--role", "viewer")
    cli.run("admin", "key", "add", "other", "--role", "viewer")
    cli.grant("TestClientId")
    return data


@pytest.fixture
def cli(made: Path, tmp_path: Path) -> CommandLine:
    return copy_of(made, tmp_path)


@pytest.fixture
def copy(cli: CommandLine, tmp_path: Path) -> Path:
    """A copy of its store."""
    file = tmp_path / "copy.db"
    cli.run("backup", str(file))
    return file


def kept(cli: CommandLine) -> list[Path]:
    """The stores that were replaced."""
    return sorted(cli.data.glob("licet.db.before-*"))


def test_a_copy_is_readable_by_its_owner_only_and_says_what_is_not_in_it(
    cli: CommandLine, tmp_path: Path
) -> None:
    """Whoever has the store and the secrets can do all that the server can."""
    file = tmp_path / "copy.db"
    told = cli.run("backup", str(file)).stderr
    assert told == f"The store in {cli.data} is copied to {file}. secrets.json is not in it.\n"
    assert file.stat().st_mode & 0o777 == 0o600
    assert [it.name for it in tmp_path.iterdir() if "copy" in it.name] == ["copy.db"]


def test_a_copy_is_not_written_over_another(cli: CommandLine, copy: Path) -> None:
    """The older one may be the only good one."""
    content = copy.read_bytes()
    assert cli.error("backup", str(copy)) == f"{copy} exists; choose another name, or say --overwrite"
    assert copy.read_bytes() == content
    cli.run("client", "remove", "TestClientId", "--yes")
    cli.run("backup", str(copy), "--overwrite")
    assert copy.read_bytes() != content


def test_a_copy_that_cannot_be_written_leaves_nothing(cli: CommandLine, tmp_path: Path) -> None:
    """It says why."""
    told = cli.error("backup", str(tmp_path / "absent" / "copy.db"))
    assert told == f"{tmp_path}/absent/copy.db cannot be written: No such file or directory"


def test_a_damaged_store_gives_no_copy(cli: CommandLine, tmp_path: Path) -> None:
    """A copy that cannot be used would be found out when it is needed."""
    damage(cli.store_file)
    told = cli.error("backup", str(tmp_path / "copy.db"), exit_code=3)
    assert "malformed" in told or "damaged" in told
    assert not (tmp_path / "copy.db").exists()


def damage(file: Path) -> None:
    """Overwrite the pages behind the first ones."""
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("PRAGMA journal_mode = DELETE")
    size = file.stat().st_size
    with file.open("r+b") as store:
        store.seek(size // 3)
        store.write(os.urandom(size // 2))


def test_what_a_copy_has_takes_the_place_of_the_store(cli: CommandLine, copy: Path) -> None:
    """Its sessions end, who was removed since is named, and what is replaced is kept."""
    cli.run("admin", "key", "remove", "deploy", "--yes")
    cli.run("admin", "add", "bob", "--role", "viewer", "--password-stdin", stdin="correct horse battery\n")
    cli.run("client", "disable", "TestClientId", "--yes")
    told = cli.out("restore", str(copy), "--yes").splitlines()
    [before] = kept(cli)
    is_kept = f"What it replaced is kept as {before}; remove it when you do not need it."
    assert told == [
        f"The store in {cli.data} is restored. {is_kept}",
        "1 session ended; 1 seat came back.",
        "0 sign-ins at the dashboard ended.",
        "These had been removed or disabled since the copy was made, and count again:",
        "  API keys: deploy",
        "  clients: TestClientId of Jim_Test",
        "Look over the set-up, then start the server: licet check",
    ]
    assert cli.json("session", "list") == []
    assert [it["name"] for it in cli.json("admin", "list")] == ["ada"]
    assert {it["name"] for it in cli.json("admin", "key", "list")} == {"deploy", "other"}
    assert cli.store_file.stat().st_mode & 0o777 == 0o600
    before.rename(cli.store_file)  # it is whole, without what lies beside a store in use
    assert [it["name"] for it in cli.json("admin", "list")] == ["ada", "bob"]


def test_where_nobody_was_removed_it_says_so(cli: CommandLine, copy: Path) -> None:
    """Then there is nothing to look over."""
    told = cli.out("restore", str(copy), "--yes")
    assert "Nobody came back who had been removed or disabled since the copy was made.\n" in told


def test_without_a_store_to_compare_all_are_named(cli: CommandLine, copy: Path) -> None:
    """The first thing after a lost disk."""
    cli.store_file.unlink()
    told = cli.out("restore", str(copy), "--yes").splitlines()
    assert told[0] == f"The store in {cli.data} is restored."
    assert told[3:7] == [
        "There was no store to compare the copy with. Look over who can use it:",
        "  administrators: ada",
        "  API keys: deploy, other",
        "  clients: TestClientId of Jim_Test",
    ]
    assert kept(cli) == []


def test_a_damaged_store_is_replaced_and_kept(cli: CommandLine, copy: Path) -> None:
    """Somebody may save more of it."""
    cli.store_file.write_bytes(b"no database at all")
    cli.run("restore", str(copy), "--yes")
    [before] = kept(cli)
    assert before.read_bytes() == b"no database at all"
    assert cli.json("admin", "list")


def test_a_store_in_use_is_not_replaced(cli: CommandLine, copy: Path) -> None:
    """A server would go on with the old file, and issue its seats once more."""
    with closing(SqliteStore(cli.store_file, SystemClock())):
        told = cli.error("restore", str(copy), "--yes")
    assert told == f"a server uses the store in {cli.data}; stop it first: {how_to_stop()}"
    assert kept(cli) == []
    assert len(cli.json("session", "list")) == 1


def not_sqlite(file: Path) -> None:
    file.write_bytes(b"x" * 8192)


def of_another(file: Path) -> None:
    file.unlink()
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE other (id)")


def of_a_later_version(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("UPDATE schema_version SET version_num = '9999'")
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (not_sqlite, "this is no copy of a store: {file} is not a database of SQLite"),
        (of_another, "this is no copy of a store: it has none of its tables"),
        (of_a_later_version, "the copy is of a later version of Licet"),
        (damage, "this is no copy of a store: "),
        (Path.unlink, "{file} is not there, or cannot be read by who runs this"),
    ],
)
def test_a_file_that_is_no_good_copy_changes_nothing(
    cli: CommandLine, copy: Path, spoil: object, why: str
) -> None:
    """The store is examined before anything is replaced."""
    assert callable(spoil)
    spoil(copy)
    assert cli.error("restore", str(copy), "--yes").startswith(why.format(file=copy))
    assert len(cli.json("session", "list")) == 1
    assert kept(cli) == []
    assert not list(cli.data.glob(".restoring-*"))


def test_it_asks_on_a_terminal_and_changes_nothing_when_the_answer_is_no(
    cli: CommandLine, copy: Path
) -> None:
    """What it asks says what is replaced, and whose sessions end."""
    with terminal("restore", str(copy), "--data", str(cli.data)) as screen:
        shown = " ".join(screen.read_until("[y/N]: ").split())
        assert "1 session ends at once: TestClientId. All sign-ins at the dashboard end." in shown
        screen.press("n\n")
        assert screen.ended() == 1
    assert len(cli.json("session", "list")) == 1
    assert kept(cli) == []


def test_elsewhere_it_needs_yes(cli: CommandLine, copy: Path) -> None:
    """A script that restores says so."""
    told = cli.error("restore", str(copy), exit_code=2)
    assert told.endswith("Restore it? Nobody can be asked here; say --yes")


def test_a_copy_may_come_and_go_by_the_standard_streams(cli: CommandLine, tmp_path: Path) -> None:
    """So that root keeps what the user of the server cannot read."""
    copied = cli.run("backup", "-").stdout_bytes
    file = tmp_path / "copy.db"
    file.write_bytes(copied)
    cli.run("client", "remove", "TestClientId", "--yes")
    assert cli.error("restore", "-", exit_code=2).startswith("where the copy comes from standard input")
    cli.run("restore", str(file), "--yes")
    assert [it["client_id"] for it in cli.json("client", "list")] == ["TestClientId"]


@pytest.mark.parametrize("missing", ["systemd", "unit"])
def test_who_has_no_service_of_systemd_is_told_no_command_of_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, missing: str
) -> None:
    """A container, a laptop, Windows."""
    (tmp_path / "system").mkdir()
    (tmp_path / "licet.service").touch()
    monkeypatch.setattr(services, "_SYSTEMD", tmp_path / "system")
    monkeypatch.setattr(services, "_UNIT", tmp_path / "licet.service")
    assert how_to_stop() == "sudo systemctl stop licet"
    monkeypatch.setattr(services, f"_{missing.upper()}", tmp_path / "missing")
    assert how_to_stop() == "Ctrl-C where it was started, or stop its service or container"
