"""Runs a test of a program once more where its runtime crashed by itself.

Mono 6.8 now and then fails an assertion of its own thread pool when a program ends that has done all it
should. That says nothing of Licet or of the program. Any other failure counts at once, and so does a second
crash.
"""

import pytest
from _pytest.runner import runtestprotocol

CRASH = "monoeg_assertion_message"


def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool:
    """Report a test by its first run, or by the second where Mono crashed in the first."""
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    reports = runtestprotocol(item, log=False, nextitem=nextitem)
    if any(report.failed and CRASH in report.longreprtext for report in reports):
        item.config.get_terminal_writer().line(f"\nMono crashed by itself, once: {item.nodeid}")
        item._initrequest()  # type: ignore[attr-defined]  # noqa: SLF001 - as pytest's own rerun plugins do
        reports = runtestprotocol(item, log=False, nextitem=nextitem)
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True
