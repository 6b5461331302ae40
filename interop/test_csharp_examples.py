"""The programs of examples/csharp, on .NET Core against a real Licet: a seat's life, and a Licet for tests.

Where .NET cannot be had the tests fail, with `PASS_OVER=1` they are skipped.
"""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from interop.dotnet import dotnet
from interop.installing import Missing, may_be_passed_over
from licet.testing import LicetServer

SOURCES = Path(__file__).parent.parent / "examples" / "csharp"
NO_SEAT = "No token: temporarily_unavailable, No seat is free: 1 of 1 in use.\nTry again in 1200 s.\n"
PATIENCE_S = 120
pytestmark = pytest.mark.timeout(900)  # 35 MB are fetched
Program = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def program(tmp_path: Path) -> Callable[..., Program]:
    """Builds a program of these files; the result runs it with more variables of the environment."""

    def build(*names: str) -> Program:
        path = tmp_path / f"{names[0]}.dll"
        try:
            runtime = dotnet()
            runtime.build(path, [SOURCES / f"{name}.cs" for name in names])
        except Missing as missing:
            if may_be_passed_over():
                pytest.skip(str(missing))
            pytest.fail(f"{missing}; PASS_OVER=1 leaves out what cannot be run")

        def run(**variables: str) -> subprocess.CompletedProcess[str]:
            kept = {
                name: value for name, value in runtime.environment.items() if not name.startswith("LICET")
            }
            return subprocess.run(
                runtime.command(path),
                env=kept | variables,
                cwd=tmp_path,
                capture_output=True,
                text=True,
                timeout=PATIENCE_S,
                check=False,
            )

        return run

    return build


def test_a_program_takes_a_seat_renews_it_and_gives_it_back(
    program: Callable[..., Program], licet: LicetServer
) -> None:
    """And says why there is none, and when to try again, where another client has the only seat."""
    run = program("SeatLife")
    tenant = licet.tenant("Jim_Test", seats=1, clients=["One", "Two"])
    variables = {"TENANT_URL": tenant.url, "CLIENT_ID": "One", "CLIENT_SECRET": tenant.secrets["One"]}
    done = run(**variables)
    printed = [
        "A seat is taken. The access token is good for 600 s.",
        "Renewed. The seat is kept for 1200 s more.",
        "Logged off. The seat is free: True.",
    ]
    assert (done.returncode, done.stdout.splitlines(), done.stderr) == (0, printed, "")
    assert tenant.seats_in_use == 0
    tenant.token("Two")
    denied = run(**variables)
    assert denied.returncode == 1
    assert denied.stdout == NO_SEAT


def test_a_test_in_csharp_has_a_licet_of_its_own(program: Callable[..., Program], tmp_path: Path) -> None:
    """Which is gone with its data at the end."""
    (tmp_path / "tmp").mkdir()
    licet = Path(sys.executable).with_name("licet")
    done = program("FullPoolTest", "LicetDemo")(LICET=str(licet), TMPDIR=str(tmp_path / "tmp"))
    assert (done.returncode, done.stdout) == (0, "2 passed\n"), done.stderr
    assert not list((tmp_path / "tmp").glob("licet-test-*"))
