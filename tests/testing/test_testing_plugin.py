"""The plugin of `licet.testing` in projects of others: runs of pytest with tests of their own."""

import signal
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from support.server.running import PATIENCE_S, is_over
from support.waiting import until

pytest_plugins = ["pytester"]

# What an integrator has: tests of a program, which is a function here.
PROGRAM = """
import httpx
import pytest
from licet.testing import LicetServer, LicetTenant


def work(token_url: str, credentials: tuple[str, str]) -> str:
    form = {"grant_type": "client_credentials"}
    answer = httpx.post(token_url, data=form, auth=credentials)
    if answer.status_code == 503:
        return "out of order"
    return "working" if answer.is_success else answer.json().get("reason", "refused")
"""

TESTS = f"""{PROGRAM}

def test_it_works(licet: LicetServer) -> None:
    tenant = licet.tenant("Jim_Test", seats=1, clients=["Alpha", "Beta"])
    assert work(tenant.token_url, tenant.credentials("Alpha")) == "working"
    assert tenant.seats_in_use == 1
    assert work(tenant.token_url, tenant.credentials("Beta")) == "all_in_use"
    licet.clock.advance(minutes=20)
    assert work(tenant.token_url, tenant.credentials("Beta")) == "working"


def test_it_sees_nothing_of_the_other_test(licet: LicetServer) -> None:
    tenant = licet.tenant("Jim_Test", seats=1, clients=["Alpha", "Beta"])
    assert not tenant.denials()
    assert work(tenant.token_url, tenant.credentials("Beta")) == "working"


@pytest.mark.licet(seats=1, clients=["Alpha"])
def test_the_marker(licet_tenant: LicetTenant) -> None:
    with licet_tenant.full_pool():
        assert work(licet_tenant.token_url, licet_tenant.credentials("Alpha")) == "all_in_use"


def test_a_store_that_is_down(licet: LicetServer, licet_tenant: LicetTenant) -> None:
    with licet.store_down():
        assert work(licet_tenant.token_url, licet_tenant.credentials("TestClientId")) == "out of order"


def test_what_it_keeps_is_read_by_nobody_else(licet: LicetServer) -> None:
    for path in (licet.data, licet.data / "secrets.json", licet.data / "licet.db"):
        assert path.stat().st_mode & 0o077 == 0
"""

# Plugins that an integrator need not have, and that take longer to import than the tests run.
OTHERS = "-p no:schemathesis -p no:hypothesispytest -p no:anyio"
STRICT = f"""
[pytest]
addopts = --strict-markers --strict-config -p no:cacheprovider {OTHERS}
filterwarnings = error
"""


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    """A project that lets nothing pass."""
    pytester.makefile(".ini", pytest=STRICT)
    return pytester


def ran(project: pytest.Pytester, *arguments: str, **outcomes: int) -> pytest.RunResult:
    """A run in a process of its own, which ended like this."""
    result = project.runpytest_subprocess(*arguments, timeout=PATIENCE_S * 6)
    assert result.parseoutcomes() == outcomes, result.stdout.str()
    return result


@pytest.mark.wide
def test_a_project_has_the_fixtures_when_licet_is_installed(project: pytest.Pytester) -> None:
    """Without a line of set-up, with warnings as errors; tests with the same tenant do not meet."""
    project.makepyfile(test_one=TESTS)
    ran(project, passed=5)


@pytest.mark.wide
def test_each_worker_of_xdist_has_a_server_of_its_own(project: pytest.Pytester) -> None:
    """What one turns, the other does not notice."""
    project.makepyfile(test_one=TESTS, test_two=TESTS)
    ran(project, "-n", "2", "--dist", "loadfile", passed=10)


@pytest.mark.wide
def test_a_test_that_fails_shows_what_the_server_logged(project: pytest.Pytester) -> None:
    """The cause is in the log, as the client is not told it; the next test has a server all the same."""
    project.makepyfile(
        PROGRAM
        + """
def test_it_fails(licet_tenant: LicetTenant) -> None:
    assert work(licet_tenant.token_url, ("TestClientId", "wrong")) == "working"


def test_a_server_that_is_killed(licet: LicetServer, licet_tenant: LicetTenant) -> None:
    licet._process.kill()


def test_the_next_one(licet: LicetServer) -> None:
    tenant = licet.tenant()
    assert work(tenant.token_url, tenant.credentials("TestClientId")) == "working"
"""
    )
    result = ran(project, passed=2, failed=1, errors=1)
    result.stdout.fnmatch_lines(
        ["*Licet has ended*", "*what Licet logged*", "*unknown or disabled client, or a wrong secret*"]
    )


@pytest.mark.wide
def test_a_project_can_do_without_the_plugin(project: pytest.Pytester) -> None:
    """`-p no:licet`."""
    project.makepyfile("def test_it(licet): ...", test_other="def test_another(): ...")
    result = ran(project, "-p", "no:licet", passed=1, errors=1)
    result.stdout.fnmatch_lines(["*fixture 'licet' not found*"])


def test_without_the_server_a_fixture_says_what_to_install(project: pytest.Pytester) -> None:
    """The base install is for programs. A test that asks for a server fails, and others do not notice."""
    project.makeconftest("import sys\nsys.modules['msgspec'] = None")
    project.makepyfile(
        test_it="def test_it(licet_tenant): ...",
        test_types="import pytest\nimport licet.testing\n\n"
        "def test_types():\n    with pytest.raises(ImportError, match=r'pip install'):\n"
        "        licet.testing.LicetServer",
    )
    result = ran(project, passed=1, errors=1)
    result.stdout.fnmatch_lines(["*msgspec is missing: pip install *[[]server]*"])


@pytest.mark.wide
def test_a_server_that_does_not_start_is_no_riddle(project: pytest.Pytester) -> None:
    """The end of its log is the error."""
    project.makepyfile("def test_it(licet_server_factory): licet_server_factory(port=70_000)")
    result = ran(project, failed=1)
    result.stdout.fnmatch_lines(["*Licet did not start*", "*LICET_PORT: '70000' is too large*"])


@pytest.mark.wide
def test_no_server_outlives_its_tests(project: pytest.Pytester) -> None:
    """Also where nothing could be cleared away, and no fixture ended."""
    project.makepyfile(
        f"""
import os
from pathlib import Path


def test_it(licet, licet_server_factory):
    servers = [licet, licet_server_factory(commit_process=True)]
    Path("pids").write_text(" ".join(str(it._process.process.pid) for it in servers))
    os.kill(os.getpid(), {signal.SIGKILL.value})
"""
    )
    project.runpytest_subprocess(timeout=PATIENCE_S * 6)
    pids = (project.path / "pids").read_text(encoding="utf-8").split()
    assert len(pids) == 2
    for pid in map(int, pids):
        until(lambda pid=pid: not Path(f"/proc/{pid}").exists() or is_over(pid))  # type: ignore[misc]


def test_a_run_that_does_not_use_it_pays_next_to_nothing() -> None:
    """Of all that Licet is made of, pytest imports three small modules."""
    code = (
        "import sys, pytest; before = set(sys.modules); import licet.testing.plugin;"
        " print(*sorted(set(sys.modules) - before))"
    )
    command = [sys.executable, "-c", code]
    printed = subprocess.run(command, check=True, capture_output=True, text=True, timeout=PATIENCE_S).stdout
    assert printed.split() == ["licet", "licet.testing", "licet.testing.plugin"]


def test_pytest_finds_it_by_its_name() -> None:
    """The entry point."""
    (found,) = (it for it in entry_points(group="pytest11") if it.name == "licet")
    assert found.value == "licet.testing.plugin"


def test_what_is_not_there_is_an_error_like_any() -> None:
    """The names of the package are found when they are used."""
    import licet.testing  # noqa: PLC0415 - it is what is looked at

    assert not hasattr(licet.testing, "Nothing")
    for name in licet.testing.__all__:
        assert getattr(licet.testing, name).__name__ == name
