"""Records the SQL statements of a released version, and replays them on the tables of later versions.

    .venv/bin/python tests/support/store/statements.py > tests/fixtures/statements-0002.json

records the statements of this version in order, with the answers of the store; the number is that of its
schema (`licet.store.migrate.HEAD`). This is done when a version is released, and never again for that
version. `tests/store/test_migrate.py` replays them on a store after the next `pre` step, and expects the same
answers. The recorded statements are those of SQLite.
"""

import json
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from typer.testing import CliRunner

from licet.cli import app
from licet.clock import ManualClock, SystemClock
from licet.journal.retention import remove_aged, remove_used_assertions
from licet.lanes.commit import commit
from licet.ledger.commands import Command, End, Grant, Refresh, Sweep, UseAssertion
from licet.ledger.scopes import ScopeGrant, resolve_scope
from licet.model import EndReason
from licet.setup.last_used import keep_password_hash, note_keys_used, note_secrets_used
from licet.store.sqlite.store import SqliteStore

DAY_MS = 86_400_000
CLIENTS = ("c1", "c2", "c3")
SET_UP = """
pool add mobile --seats 3 --duplicates user
pool add spare --seats 1
scope add orders --pool mobile
scope add look --read-only
user add U1 --name One --password-stdin
user add U2 --password-stdin
user add U3 --password-stdin
user add U4 --no-password
client add c1 --user U1
client add c2 --user U2 --scope all --scope orders --scope view
client add c3 --user U3 --secret --password
client add c4 --user U3 --max-sessions 2
client add c5 --user U4 --introspects
client secret add c3
client secret rotate c3
client set c2 --max-sessions 5
client disable c5
client enable c5
user set U2 --name Two
user disable U4
user enable U4
pool set spare --seats 4 --expires 2099-01-31
pool remove spare --yes
scope set look --pool mobile
scope remove look --yes
tenant set Jim_Test --session-ttl 15m
tenant add Third --seats 1
tenant remove Third --yes
pool set full --hold 60s --alerts 80,expires
tenant set Jim_Test --time-zone Australia/Sydney
admin add ada --role owner --password-stdin
admin key add prometheus --role viewer
webhook add https://alerts.example.com/licet
"""
LOOK = """
admin list
admin key list
webhook list
alerts
journal
seats
seats --json
session list
pool list
pool show full
scope list
scope show all
user list
user show U1
client list
client show c3
client secret list c3
client key list Machine --tenant Other
client key remove Machine a --tenant Other --yes
tenant list
tenant show Jim_Test
usage
usage --json
export
pool set full --seats 1
pool set mobile --expires 2001-01-31 --yes
user password U2 --no-password
session end --user U1 --yes
session end --all --yes
admin key remove prometheus --yes
client remove c2 --yes
user remove U2 --yes
"""
SETUP = """
[tenant.Other.pool.full]
seats = 1
expires = 2099-01-31

[tenant.Other.user.AB]

[tenant.Other.client.Machine]
user = "AB"
keys = [{kty = "OKP", crv = "Ed25519", x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", kid = "a"}]
"""


class Call(NamedTuple):
    """A statement on one of the connections; if `parameters` are None, the connection is closed."""

    connection: int
    statement: str
    parameters: list[Any] | None
    is_many: bool = False


class Recording(NamedTuple):
    """The recorded calls, their answers, and how many of the calls make the store."""

    calls: list[Call]
    answers: list[Any]
    made: int


def read_recording(path: Path) -> Recording:
    """The recording in a file."""
    content = json.loads(path.read_bytes())
    calls = [
        Call(connection, content["statements"][at], _values(parameters), is_many)
        for connection, at, parameters, is_many in content["calls"]
    ]
    return Recording(calls, content["answers"], content["made"])


def replay(path: Path, calls: list[Call], opened: dict[int, sqlite3.Connection]) -> Iterator[Any]:
    """Replay the calls, each on its connection, and yield the answers."""
    for call in calls:
        if call.connection not in opened:
            opened[call.connection] = sqlite3.connect(path, isolation_level=None)
        connection = opened[call.connection]
        if call.parameters is None:
            opened.pop(call.connection).close()
        yield None if call.parameters is None else _answer(connection, call)


def _answer(connection: sqlite3.Connection, call: Call) -> Any:
    assert call.parameters is not None
    try:
        if call.is_many:
            return connection.executemany(call.statement, call.parameters).rowcount
        cursor = connection.execute(call.statement, call.parameters)
        rows = cursor.fetchall()
    except sqlite3.Error as fault:
        return str(fault)
    if call.statement.startswith("PRAGMA") and "table_" not in call.statement:
        return None  # The answer is about the file, and not about its content.
    return [_plain(list(row)) for row in rows] if cursor.description else cursor.rowcount


class _Cursor(sqlite3.Cursor):
    """Records its statements."""

    def execute(self, statement: str, parameters: Any = ()) -> "_Cursor":
        """As in the parent class."""
        connection = self.connection
        assert isinstance(connection, _Connection)
        connection.calls.append(Call(connection.number, statement, list(parameters)))
        super().execute(statement, parameters)
        return self

    def executemany(self, statement: str, parameters: Any) -> "_Cursor":
        """As in the parent class."""
        connection = self.connection
        assert isinstance(connection, _Connection)
        rows = [list(row) for row in parameters]
        connection.calls.append(Call(connection.number, statement, rows, is_many=True))
        super().executemany(statement, rows)
        return self


class _Connection(sqlite3.Connection):
    """A connection with such cursors; it also records commits, rollbacks and its closing."""

    calls: list[Call]
    number: int

    def cursor(self, *_: Any) -> Any:
        """As in the parent class."""
        return super().cursor(_Cursor)

    def execute(self, *arguments: Any) -> Any:
        """As in the parent class."""
        return self.cursor().execute(*arguments)

    def executemany(self, *arguments: Any) -> Any:
        """As in the parent class."""
        return self.cursor().executemany(*arguments)

    def commit(self) -> None:
        """As in the parent class."""
        if self.in_transaction:
            self.execute("COMMIT")

    def rollback(self) -> None:
        """As in the parent class."""
        if self.in_transaction:
            self.execute("ROLLBACK")

    def close(self) -> None:
        """As in the parent class."""
        self.calls.append(Call(self.number, "", None))
        super().close()


def _record(directory: Path) -> tuple[list[Call], int]:
    calls: list[Call] = []
    numbers = count()
    connect = sqlite3.connect

    def recorded(*arguments: Any, **options: Any) -> sqlite3.Connection:
        connection = connect(*arguments, factory=_Connection, **options)
        assert isinstance(connection, _Connection)
        connection.calls, connection.number = calls, next(numbers)
        return connection

    sqlite3.connect = recorded  # type: ignore[assignment]
    try:
        verb = partial(_verb, directory)
        verb("init --tenant Jim_Test --seats 2")
        made = len(calls)
        _use(directory, verb)
    finally:
        sqlite3.connect = connect
    return calls, made


def _verb(
    directory: Path, line: str, stdin: str | None = None, *, exit_codes: tuple[int, ...] = (0,)
) -> None:
    variables = {"LICET_DATA": str(directory), "LICET_TENANT": "Jim_Test"}
    result = CliRunner().invoke(app, line.split(), input=stdin, env=variables)
    assert result.exit_code in exit_codes, (line, result.output, result.exception)


def _use(directory: Path, verb: Callable[..., None]) -> None:
    """Use the store in every way in which servers and the command line use it."""
    (directory / "setup.toml").write_text(SETUP, encoding="ascii")
    for line in SET_UP.strip().splitlines():
        verb(line, "correct horse battery\n" if "stdin" in line else None)
    verb(f"apply {directory / 'setup.toml'}")
    with closing(SqliteStore(directory / "licet.db", SystemClock())) as store:
        _serve(store)
    verb("check", exit_codes=(0, 1))
    for line in LOOK.strip().splitlines():
        verb(line)
    verb(f"apply {directory / 'setup.toml'} --prune --yes")


def _serve(store: SqliteStore) -> None:
    """Use the store as a server does: grants up to a denial, refreshes, endings, sweeps, housekeeping."""
    first, second, third = (_grant(store, client, number) for number, client in enumerate(CLIENTS))
    commit(store, [first, second, third, _grant(store, "c1", 3), _grant(store, "c1", 4, "view")])
    commit(store, [_refresh(first), _refresh(second), _grant(store, "c2", 5, "orders")])
    commit(store, [_refresh(third)])
    store.read_sessions([first.sid, second.sid, b"?" * 20])
    commit(store, [_end(first), _end(second), _grant(store, "c1", 6), _grant(store, "c2", 7)])
    commit(store, [_grant(store, "c4", number) for number in range(8, 12)])  # It may have two.
    commit(store, [_spend(store, 1), _spend(store, 2)])
    commit(store, [_spend(store, 2), _spend(store, 3), _grant(store, "c2", 12)])
    store.refresh_tenants()
    store.probe()
    store.upkeep()
    _keep_house(store)
    later = SqliteStore(store.path, ManualClock(SystemClock().now_ms() + DAY_MS))
    with closing(later):
        commit(later, [Sweep(sessions_max=3), _grant(later, "c1", 20)])
        commit(later, [Sweep(sessions_max=100)])
        remove_aged(later, DAY_MS // 24)
        remove_used_assertions(later)
    commit(store, [_grant(store, "c1", 30), _grant(store, "c2", 31, "orders"), _grant(store, "c3", 32)])


def _keep_house(store: SqliteStore) -> None:
    tenant = store.tenant("Jim_Test")
    assert tenant is not None
    client = tenant.clients["c3"]
    note_secrets_used(store, {secret.secret_id: SystemClock().now_ms() for secret in client.secrets})
    other = store.tenant("Other")
    assert other is not None
    machine = other.clients["Machine"]
    note_keys_used(store, {(machine.key, machine.keys[0].thumbprint): SystemClock().now_ms()})
    assert client.user.password_hash is not None
    old, new = client.user.password_hash, f"{client.user.password_hash} "
    keep_password_hash(store, tenant.id, client.user.initials, old=old, new=new)


def _grant(store: SqliteStore, client_id: str, number: int, *scopes: str) -> Grant:
    tenant = store.tenant("Jim_Test")
    assert tenant is not None
    client = tenant.clients[client_id]
    found = resolve_scope(tenant, client, scopes)
    assert isinstance(found, ScopeGrant)
    return Grant(
        tenant_id=tenant.id,
        client_key=client.key,
        sid=number.to_bytes(20, "big"),
        scope=found.scope,
        pool_id=found.pool_id,
        address="192.0.2.1",
    )


def _spend(store: SqliteStore, number: int) -> Command:
    grant = _grant(store, "c1", number)
    return UseAssertion(
        tenant_id=grant.tenant_id,
        client_key=grant.client_key,
        jti=number.to_bytes(16, "big"),
        until_ms=SystemClock().now_ms(),
    )


def _refresh(grant: Grant) -> Command:
    return Refresh(tenant_id=grant.tenant_id, client_key=grant.client_key, sid=grant.sid)


def _end(grant: Grant) -> Command:
    return End(tenant_id=grant.tenant_id, sid=grant.sid, reason=EndReason.LOGOFF)


def _plain(value: Any) -> Any:
    """A value that JSON can write."""
    match value:
        case bytes() | memoryview():
            return {"hex": value.hex()}
        case list() | tuple():
            return [_plain(part) for part in value]
        case _:
            return value


def _values(content: Any) -> Any:
    """The value that `_plain` has made JSON of."""
    match content:
        case {"hex": str(text)}:
            return bytes.fromhex(text)
        case list():
            return [_values(part) for part in content]
        case _:
            return content


def _main() -> None:
    with TemporaryDirectory() as directory:
        calls, made = _record(Path(directory) / "data")
        answers = list(replay(Path(directory) / "again.db", calls, {}))
    texts = list(dict.fromkeys(call.statement for call in calls))
    content = {
        "made": made,
        "statements": texts,
        "calls": [
            [made.connection, texts.index(made.statement), _plain(made.parameters), made.is_many]
            for made in calls
        ],
        "answers": answers,
    }
    lines = ",\n".join(
        f'"{key}": [\n{_lines(value)}\n]' if isinstance(value, list) else f'"{key}": {value}'
        for key, value in content.items()
    )
    sys.stdout.write(f"{{{lines}}}\n")


def _lines(values: list[Any]) -> str:
    return ",\n".join(json.dumps(value, ensure_ascii=False) for value in values)


if __name__ == "__main__":
    _main()
