"""Migrates the tables between schemas, and says which code may work on which schema.

A schema is a number. Nodes are upgraded one after the other, so for a while code of two versions works on
the same tables. That is why a change comes in two steps:

- A `pre` step only adds, so that code of the previous schema still works. Run it before the first new node
  starts, while the old ones run.
- A `post` step removes what only older code needs. Run it when the last old node has stopped. Most changes
  have none.

So code of schema n works on tables whose pre steps are done at least up to n, and whose post steps are done
at most up to n. The steps of a kind run in order. A pre step must work whether or not the post steps before
it are done; a post step may rely on all pre steps of its version.

Two tables record which steps are done. `schema_version` has the last pre step. `alembic_version` has the last
post step, because version 0.1.0, which has no such steps, reads there which is the oldest code that may work
on the tables. The heads are constants, so that a server starts without reading the migrations; a test checks
them.
"""

import itertools
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from licet.model import Value
from licet.refusal import Code
from licet.store.errors import SchemaOutdated, SchemaUnknown, StillInUse

if TYPE_CHECKING:
    from alembic.config import Config
    from sqlalchemy import Connection

HEAD = "0013"  # the last pre step: what this code needs
COMPATIBLE_FROM = "0010"  # the last post step: the oldest code that may work when all steps are done

Kind = Literal["pre", "post"]
Ask = Callable[[str], Iterable[Sequence[Any]]]  # executes a statement; its rows
Report = Callable[[int, int], None]  # gets the steps done, and of how many
AfterStep = Callable[..., None]  # is told of a step that is done, in Alembic's words

MIGRATIONS = Path(__file__).parent / "migrations"
_TABLES = {"pre": "schema_version", "post": "alembic_version"}
_LOCK = 0x6C69_6365_74  # "licet" in ASCII: on PostgreSQL one migrates, and the next one waits


class Schema(Value, frozen=True, kw_only=True):
    """How far the tables of a store are: the last `pre` step done, and the last `post` step."""

    pre: str
    post: str


def check_current(connection: "Connection") -> None:
    """Return if this code may work on the tables.

    Raises SchemaOutdated, SchemaUnknown.
    """
    must_be_current(current(connection))


def must_be_current(schema: Schema | None) -> None:
    """Return if this code may work on tables of this schema; None: there are none.

    Raises SchemaOutdated, SchemaUnknown.
    """
    if schema is None:
        raise SchemaOutdated("the store has no tables yet")
    _must_be_known(schema)
    if schema.pre < HEAD:
        raise SchemaOutdated(f"the store is at schema {schema.pre}, this version needs {HEAD}")


def current(connection: "Connection") -> Schema | None:
    """The schema of the tables; None when there are none."""
    from sqlalchemy import inspect  # noqa: PLC0415 - a process that only commits does without SQLAlchemy

    tables = inspect(connection)
    there = {name for name in _TABLES.values() if tables.has_table(name)}
    return schema_of(there, connection.exec_driver_sql)


def schema_of(tables: set[str], ask: Ask) -> Schema | None:
    """The schema, in a store that has these tables, as a driver's statements find it; None: it has none."""
    if _TABLES["pre"] in tables:
        [(pre, post)] = ask(
            "SELECT pre.version_num, post.version_num FROM schema_version pre, alembic_version post"
        )
        return Schema(pre=pre, post=post)
    if _TABLES["post"] in tables:  # 0.1.0 made them.
        [(only,)] = ask("SELECT version_num FROM alembic_version")
        return Schema(pre=only, post=only)
    return None


def is_unfinished(connection: "Connection") -> bool:
    """Whether a `post` step of this version is left to do."""
    schema = current(connection)
    return schema is not None and schema.post < COMPATIBLE_FROM


def may_have_older_code(connection: "Connection", step: str) -> bool:
    """Whether code that is older than a schema may work on the tables: no later `post` step keeps it out."""
    schema = current(connection)
    return schema is not None and schema.post < step


def upgrade(connection: "Connection", report: Report = lambda *_: None) -> None:
    """Bring the tables to this version, as far as code of the previous version can still work on them.

    The caller commits: all steps are one transaction. Raises SchemaUnknown when the tables are
    a later version's.
    """
    _wait_for_others(connection)
    schema = current(connection)
    if schema is None:
        _run(connection, ("pre", "post"), report)
    else:
        _must_be_known(schema)
        _run(connection, ("pre",), report)


def finish(
    connection: "Connection", now_ms: int, report: Report = lambda *_: None, *, force: bool = False
) -> None:
    """Do all steps that are left: after that no older version can work on the tables.

    The caller commits. Raises StillInUse when a node of an older version runs, unless by
    `force`, and SchemaUnknown when the tables are a later version's.
    """
    upgrade(connection, report)
    due = _due(connection, "post")
    if due and not force:
        _must_be_unused(connection, due[-1], now_ms)
    _run(connection, ("post",), report)


def _wait_for_others(connection: "Connection") -> None:
    from sqlalchemy import func, select  # noqa: PLC0415 - as above

    if connection.dialect.name == "postgresql":  # The lock ends with the transaction.
        connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))


def _must_be_known(schema: Schema) -> None:
    if schema.post > HEAD:
        raise SchemaUnknown(f"it is at schema {schema.post}, which only a later version of Licet knows")


def _must_be_unused(connection: "Connection", step: str, now_ms: int) -> None:
    from licet.store.nodes import is_silent, read_nodes  # noqa: PLC0415 - as above

    older = [
        f"{node.name} ({node.version})"
        for node in read_nodes(connection)
        if node.schema < step and not is_silent(node, now_ms)
    ]
    if older:
        raise StillInUse(
            f"servers of an older version still run: {', '.join(older)}; stop them first",
            code=Code.OLDER_NODES,
        )


def _run(connection: "Connection", kinds: Sequence[Kind], report: Report) -> None:
    """Do the steps of these kinds that are left: one call of Alembic a kind, as each call reads all files."""
    _take_over(connection)
    due = {kind: steps for kind in kinds if (steps := _due(connection, kind))}
    if not due:
        return
    from alembic import command  # noqa: PLC0415 - a fifth of a second that only a migration should cost

    count = sum(map(len, due.values()))
    done = itertools.count(1)
    report(0, count)
    for kind, steps in due.items():
        command.upgrade(_config(connection, kind, lambda **_: report(next(done), count)), steps[-1])


def _take_over(connection: "Connection") -> None:
    """Write down which pre steps 0.1.0 has done: it kept no table of them."""
    from sqlalchemy import inspect  # noqa: PLC0415 - as above

    schema = current(connection)
    if schema is not None and not inspect(connection).has_table(_TABLES["pre"]):
        from alembic import command  # noqa: PLC0415 - as above

        command.stamp(_config(connection, "pre"), schema.pre)


def _due(connection: "Connection", kind: Kind) -> list[str]:
    """The steps of a kind that are left to do, in their order; the name of each file begins with its step."""
    schema = current(connection)
    done = "" if schema is None else getattr(schema, kind)
    steps = (file.stem.partition("_")[0] for file in (MIGRATIONS / kind).glob("[0-9]*.py"))
    return sorted(step for step in steps if step > done)


def _config(connection: "Connection", kind: Kind, after_step: AfterStep = lambda **_: None) -> "Config":
    from alembic.config import Config  # noqa: PLC0415 - as above

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "newline")
    config.set_main_option("version_locations", str(MIGRATIONS / kind))
    config.attributes.update(connection=connection, version_table=_TABLES[kind], after_step=after_step)
    return config
