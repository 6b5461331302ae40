"""One tree of commands for all calls of the command line in a process of tests.

Typer makes the commands of a verb from the signatures of its functions each time that it is called: once for
a `licet` in a shell, but in a process that makes a thousand calls it is two fifths of what they take.
"""

import sys
from functools import cache
from typing import Any

from typer import Typer, main, testing

from licet import cli

_made = cache(main.get_command)


def share() -> None:
    """Have each call find the commands that were made for another one."""
    shared: dict[Any, str] = {main: "get_command", testing: "_get_command", cli: "get_command"}
    for module, name in shared.items():
        setattr(module, name, _made)


def make() -> None:
    """Make those of the verbs that are imported already."""
    _made(cli.app)
    for name, module in tuple(sys.modules.items()):
        if name.startswith("licet.cli.") and isinstance(app := vars(module).get("app"), Typer):
            _made(app)
