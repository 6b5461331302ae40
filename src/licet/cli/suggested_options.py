"""Adds `--data` and `--tenant` to a suggested command, so that it can be pasted and finds the same data.

The command is pasted into the same shell, so it has the same environment.
"""

import os
import re
from pathlib import Path

from licet.platforms.shells import quoted


def of_data(data: Path | None) -> str:
    """` --data /srv/licet`, for a command about the whole store; '' where it is not needed."""
    return _option("--data", None if data is None else str(data), "LICET_DATA")


def of_tenant(tenant: str | None, data: Path | None) -> str:
    """The same with ` --tenant Jim_Test`, for a command about a part of a tenant."""
    return _option("--tenant", tenant, "LICET_TENANT") + of_data(data)


def options_first(template: str) -> str:
    """A template of lines that take a name which begins with a hyphen: names come last, after `--`."""
    return _NAMES_FIRST.sub(r"\2 --\1", template)


_NAMES_FIRST = re.compile(r"( \{(?:name|client)\}[^{]*?(?: \{\w+\})?)(\{(?:to|at)\})")


def _option(name: str, given: str | None, variable: str) -> str:
    return "" if given is None or os.environ.get(variable) == given else f" {name} {quoted(given)}"
