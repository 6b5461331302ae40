"""What a verb imports: nothing that it does not need, as half of a short verb's time is importing.

One interpreter runs the verbs, the light ones first, and says after each what is imported.
"""

import json
import os
import subprocess
import sys

import pytest

from support.cli.cli_site import CommandLine, new_data

_RUN = """
import contextlib, io, json, sys
from licet.cli import app
found = {}
for line in sys.argv[1:]:
    with contextlib.redirect_stdout(io.StringIO()):
        with contextlib.suppress(SystemExit):
            app(line.split(), prog_name="licet")
    found[line] = sorted(sys.modules)
print(json.dumps(found))
"""
# No verb that looks at a store in a file, or changes it, needs one of these.
_NEVER = {
    "aiosqlite",
    "alembic",
    "argon2",
    "cryptography",
    "fastapi",
    "httpx",
    "jinja2",
    "matplotlib",
    "psycopg",
    "pydantic_settings",
    "sqlalchemy.dialects.postgresql",
    "sqlalchemy.orm",
    "starlette",
    "tomllib",
    "uvicorn",
    "uvloop",
    "licet.admin",
    "licet.protocol",
    "licet.server",
    "licet.settings.model",
    "licet.store.postgres",
    "licet.web",
}
_HELPS = ("--version", "pool set --help", "usage --help", "session end --help")
_LOOKS = ("seats", "pool list", "client list", "session list", "alerts", "journal", "usage")
_CHANGES = ("pool set full --seats 6", "client disable TestClientId", "session end --all --yes")


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """What is imported after each verb; they are run in this order."""
    cli = CommandLine(new_data(tmp_path_factory.mktemp("imports") / "licet-data"))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LICET_")}
    done = subprocess.run(
        [sys.executable, "-c", _RUN, *_HELPS, *_LOOKS, *_CHANGES],
        env=environment | {"LICET_DATA": str(cli.data)},
        capture_output=True,
        text=True,
        check=True,
    )
    return {line: set(found) for line, found in json.loads(done.stdout).items()}


@pytest.mark.parametrize("line", _HELPS)
def test_a_help_imports_nothing_of_the_database(imported: dict[str, set[str]], line: str) -> None:
    assert not {"sqlalchemy", "sqlite3", "licet.setup.change", *_NEVER} & imported[line]


@pytest.mark.parametrize("line", [*_LOOKS, *_CHANGES])
def test_a_verb_imports_only_what_it_needs(imported: dict[str, set[str]], line: str) -> None:
    assert "sqlalchemy" in imported[line]  # It did its work.
    assert not _NEVER & imported[line]
