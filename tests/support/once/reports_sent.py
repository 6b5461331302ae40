"""Lets a process of tests send only what a run shows: of a test that passed, its result and its end.

pytest-xdist also sends that a test began, that it was set up and that it was torn down. To write and to read
these messages took a fiftieth of the processor time of a run. What did not pass is sent whole.
"""

from typing import Any

import pytest

_UNSHOWN = frozenset({"logstart"})


def send_less(config: pytest.Config) -> None:
    """Send less, unless the run shows durations, or each test with its phases."""
    option = config.option
    if option.durations is not None or option.verbose > 0 or option.xmlpath:
        return
    for _, plugin in config.pluginmanager.list_name_plugin():
        if hasattr(plugin, "sendevent"):
            _filter(plugin)


def _filter(interactor: Any) -> None:
    send = interactor.sendevent

    def sendevent(name: str, **content: Any) -> None:
        if name not in _UNSHOWN and not (name == "testreport" and _is_unshown(content["data"])):
            send(name, **content)

    interactor.sendevent = sendevent


def _is_unshown(report: dict[str, Any]) -> bool:
    return bool(report["outcome"] == "passed" and report["when"] != "call")
