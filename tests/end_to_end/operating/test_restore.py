"""A copy of the store, made and put back by the lines of the page that tells how, is worth something."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from licet.clock import SystemClock
from licet.credentials.keyring import FILE_NAME
from licet.lanes.commit import commit
from licet.ledger.commands import End, Grant, Granted
from licet.ledger.scopes import ScopeGrant, resolve_scope
from licet.model import EndReason
from licet.setup.change import changing
from licet.setup.check import check
from licet.store import schema
from licet.store.contract import Store
from licet.store.opening import SQLITE_NAME, StoreAt
from support.cli.pasting import Shell
from support.paths import DOCS
from support.server.nursery import ran
from support.store.kinds import KINDS

PAGE = DOCS / "how-to" / "back-up-and-restore.md"
TITLES = {"sqlite": "SQLite", "postgres": "PostgreSQL"}
PATIENCE_S = 60.0
_NOT_HERE = re.compile(r"^sudo systemctl .*$", re.MULTILINE)
_AS_WHOM = re.compile(r"sudo (-u \w+ )?")


def lines_of(heading: str, language: str) -> str:
    """The block of a language under a heading of the page."""
    section = PAGE.read_text(encoding="utf-8").partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines, end, _ = section.partition(f"```{language}\n")[2].partition("```\n")
    assert end, heading
    return lines


class Installation(NamedTuple):
    """A data directory with its store, and where the lines of the page find things here."""

    at: StoreAt
    place: Path
    environment: Mapping[str, str]

    def paste(self, lines: str) -> str:
        """Run lines of the page, with the paths and users of this place; what they print."""
        here = _AS_WHOM.sub("", _NOT_HERE.sub("", lines))
        here = here.replace("/opt/licet/.venv/bin/licet", "licet").replace("-o licet -g licet ", "")
        here = here.replace("/var/lib/licet", str(self.at.data)).replace(" /backup", f" {self.place}/backup")
        done = subprocess.run(
            ["bash", "-e", "-u"],
            input=here,
            env=self.environment,
            cwd=self.place,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=PATIENCE_S,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{here}\n{done.stdout}"
        return done.stdout

    @contextmanager
    def opened(self) -> Iterator[Store]:
        """The store."""
        store = self.at.open(SystemClock())
        yield store
        store.close()


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    kind: str = request.param
    return kind


@pytest.fixture
def installation(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Installation]:
    """An installation with a tenant and its client c1, like the guides make it."""
    data = tmp_path / "data"
    others = {key: value for key, value in os.environ.items() if not key.startswith(("LICET_", "PG"))}
    path = f"{sys.prefix}/bin{os.pathsep}{others['PATH']}"
    environment = {**others, "PATH": path, "LICET_DATA": str(data)}
    at, postgres = StoreAt(data), None
    if kind == "postgres":
        postgres = request.getfixturevalue("postgres")
        postgres.execute("CREATE ROLE licet LOGIN")
        postgres.execute("CREATE DATABASE licet OWNER licet")
        at = StoreAt(data, postgres.url("licet", user="licet"))
        environment |= {
            "PATH": f"{postgres._programs}{os.pathsep}{path}",
            "PGHOST": "127.0.0.1",
            "PGPORT": str(postgres.port),
            "PGUSER": "postgres",
            "LICET_STORE": str(at.url),
        }
    made = Installation(at, tmp_path, environment)
    command = [sys.executable, "-m", "licet", "init", "--tenant", "Jim_Test", "--seats", "5"]
    done = ran(command, PATIENCE_S, cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
    with made.opened() as store, changing(store, "a test") as change:
        tenant = change.tenant("Jim_Test")
        tenant.add_user("U1", password_hash="hash")
        tenant.add_client("c1", user="U1")
    shell = Shell(tmp_path, environment)  # which forks what bash is told to start
    environment |= shell.variables
    yield made
    shell.close()
    if postgres is not None:
        postgres.drop_database("licet")
        postgres.execute("DROP ROLE licet")


def grant(store: Store, number: int) -> Grant:
    """The client c1 gets a session."""
    store.refresh_tenants()
    tenant = store.tenant("Jim_Test")
    assert tenant is not None
    client = tenant.clients["c1"]
    found = resolve_scope(tenant, client, ())
    assert isinstance(found, ScopeGrant)
    asked = Grant(
        tenant_id=tenant.id,
        client_key=client.key,
        sid=number.to_bytes(20, "big"),
        scope=found.scope,
        pool_id=found.pool_id,
        address="192.0.2.1",
    )
    [outcome] = commit(store, [asked])
    assert isinstance(outcome, Granted), outcome
    return asked


def live(store: Store, *grants: Grant) -> list[bool]:
    found = store.read_sessions([it.sid for it in grants]).sessions
    return [it.sid in found for it in grants]


def test_a_store_is_backed_up_and_restored_by_the_lines_of_the_page(
    installation: Installation, kind: str
) -> None:
    """What was ended after the copy was made does not live again, and no seat is lost or given twice."""
    with installation.opened() as store:
        before = grant(store, 1)
    installation.paste(lines_of(f"Back up the store: {TITLES[kind]}", "bash"))
    installation.paste(lines_of("Back up the secrets", "bash"))
    with installation.opened() as store:
        end = End(tenant_id=before.tenant_id, sid=before.sid, reason=EndReason.LOGOFF)
        commit(store, [end])
        after = grant(store, 2)
        assert live(store, before, after) == [False, True]
    lose(installation, kind)
    told = installation.paste(lines_of(f"Restore: {TITLES[kind]}", "sh"))
    assert "1 session ended; 1 seat came back." in told  # That of before: the copy knew of no logoff.
    with installation.opened() as store:
        assert live(store, before, after) == [False, False]
        grant(store, 3)
        with store.reading() as connection:
            [in_use] = connection.execute(schema.pool.select()).mappings()
            assert in_use["in_use"] == 1
            found = check(connection, store.tenants(), store.clock.now_ms())
        assert [it for it in found if it.is_wrong] == []
    assert "Nothing is wrong" not in installation.paste("licet check")  # A hint: no client introspects.


def lose(installation: Installation, kind: str) -> None:
    """The store is gone, or as good as gone."""
    if kind == "sqlite":
        (installation.at.data / SQLITE_NAME).write_bytes(b"")
    else:
        installation.paste('psql -q -d licet -c "DROP TABLE session, seat, pool CASCADE"')


@pytest.mark.wide
def test_the_secrets_are_restored_by_the_lines_of_the_page(installation: Installation) -> None:
    """Readable by their owner only."""
    installation.paste("mkdir -p backup")
    installation.paste(lines_of("Back up the secrets", "bash"))
    secrets = installation.at.data / FILE_NAME
    content = secrets.read_bytes()
    secrets.unlink()
    installation.paste(lines_of("What to check after a restore", "sh"))
    assert secrets.read_bytes() == content
    assert secrets.stat().st_mode & 0o777 == 0o600
