"""Names what the settings are read from, for callers that only look whether there are any.

It imports nothing of the settings themselves: a verb of the command line saves their thirty milliseconds.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

FILE_NAME: Final = "licet.toml"
PREFIX: Final = "LICET_"
# Variables of the command line, which are not settings of the server.
NOT_SETTINGS: Final = frozenset({"LICET_CONFIG", "LICET_TENANT"})
DATA: Final = Path("licet-data")  # the data directory, where nothing names another


def are_none_of_the_store(data: Path | None, environment: Mapping[str, str]) -> bool:
    """Whether no setting can say where the store is, but `data`, or the default where it is None."""
    if ((data or DATA) / FILE_NAME).exists():
        return False
    given = {name for name in environment if name.startswith(PREFIX) and environment[name]}
    if data is None:  # Any variable has to be looked at: it may be misspelt.
        return given <= {"LICET_TENANT"}
    return given.isdisjoint({"LICET_STORE", "LICET_CONFIG"})
