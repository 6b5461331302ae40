"""Builds the guards once for all tests, and runs a test once more where its runtime crashed by itself.

Mono 6.8 now and then fails an assertion of its own thread pool when a program ends that has done all it
should. That says nothing of Licet or of the program. Any other failure counts at once, and so does a second
crash.
"""

from collections.abc import Callable
from functools import cache

import pytest
from _pytest.runner import runtestprotocol

from interop.guarding import PROGRAMS, Built
from interop.installing import Missing, may_be_passed_over

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


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Built]:
    """The program of a language in `guards/`, built once. A test whose tools are missing fails."""

    @cache
    def build(language: str) -> Built:
        try:
            return PROGRAMS[language](tmp_path_factory.mktemp(language))
        except Missing as missing:
            if may_be_passed_over():
                pytest.skip(str(missing))
            pytest.fail(f"{missing}; PASS_OVER=1 leaves out what cannot be run")

    return build


@pytest.fixture(params=sorted(PROGRAMS))
def guard(request: pytest.FixtureRequest, build: Callable[[str], Built]) -> Built:
    """The program in each language."""
    return build(request.param)


@pytest.fixture
def csharp(build: Callable[[str], Built]) -> Built:
    """The program in C#."""
    return build("csharp")
