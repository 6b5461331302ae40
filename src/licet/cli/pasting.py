"""Says which options a line of advice needs besides its own, to find the tenant and the data of this call.

The line is pasted into the same shell: what the environment says, it says to that line as well.
"""

import os
from pathlib import Path
from shlex import quote


def of_data(data: Path | None) -> str:
    """` --data /srv/licet`, for a line about the whole store; '' where it is found without."""
    return _option("--data", None if data is None else str(data), "LICET_DATA")


def of_tenant(tenant: str | None, data: Path | None) -> str:
    """The same with ` --tenant Jim_Test`, for a line about a part of a tenant."""
    return _option("--tenant", tenant, "LICET_TENANT") + of_data(data)


def _option(name: str, given: str | None, variable: str) -> str:
    return "" if given is None or os.environ.get(variable) == given else f" {name} {quote(given)}"
