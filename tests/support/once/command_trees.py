"""Builds the command tree of each Typer application once in a test process.

Typer builds the commands from the signatures of functions at each call. In a shell, `licet` does this once;
in a test process with a thousand calls it is two fifths of their time.
"""

import sys
from functools import cache
from typing import Any

from typer import Typer, main, testing

from licet import cli

_made = cache(main.get_command)


def share() -> None:
    """Make each call use the commands that an earlier call built."""
    shared: dict[Any, str] = {main: "get_command", testing: "_get_command", cli: "get_command"}
    for module, name in shared.items():
        setattr(module, name, _made)


def make() -> None:
    """Build the commands of all modules that are already imported."""
    _made(cli.app)
    for name, module in tuple(sys.modules.items()):
        if name.startswith("licet.cli.") and isinstance(app := vars(module).get("app"), Typer):
            _made(app)
