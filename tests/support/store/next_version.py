"""Simulates the migrations of the next version, whose code needs a schema that this version does not know.

    with next_version.code():
        upgrade(connection)  # its pre step
    check_current(connection)  # this version's code goes on working

Its pre step adds a column to events; its post step drops an old one, when no older code runs any more.
"""

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from licet.store import migrate
from licet.store.migrate import COMPATIBLE_FROM, HEAD, MIGRATIONS

NEXT = "9001"
STEPS = {
    "pre": f"""
import sqlalchemy as sa
from alembic import op

revision, down_revision = "{NEXT}", "{HEAD}"


def upgrade() -> None:
    op.add_column("event", sa.Column("address", sa.Text()))
""",
    "post": f"""
from alembic import op

revision, down_revision = "{NEXT}", "{COMPATIBLE_FROM}"


def upgrade() -> None:
    op.drop_column("event", "detail")
""",
}
# The command line with the migrations of a directory, which is its first argument.
_PROGRAM = f"""
import sys
from pathlib import Path
from licet.store import migrate

migrate.MIGRATIONS, migrate.HEAD, migrate.COMPATIBLE_FROM = Path(sys.argv.pop(1)), "{NEXT}", "{NEXT}"
from licet.cli import app

app()
"""


class NextVersion:
    """The migrations of the next version, in a directory of their own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        shutil.copytree(MIGRATIONS, directory, ignore=shutil.ignore_patterns("__pycache__"))
        for kind, step in STEPS.items():
            (directory / kind / f"{NEXT}.py").write_text(step, encoding="ascii")

    def spoil(self) -> None:
        """Let the pre step fail halfway."""
        step = self.directory / "pre" / f"{NEXT}.py"
        step.write_text(f'{step.read_text(encoding="ascii")}    op.drop_table("nothing")\n', encoding="ascii")

    def command(self, *arguments: str) -> list[str]:
        """The command of the next version, to be run as a process."""
        return [sys.executable, "-W", "error", "-c", _PROGRAM, str(self.directory), *arguments]

    @contextmanager
    def code(self) -> Iterator[None]:
        """Act as the next version during a `with` block."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(migrate, "MIGRATIONS", self.directory)
            patch.setattr(migrate, "HEAD", NEXT)
            patch.setattr(migrate, "COMPATIBLE_FROM", NEXT)
            yield
