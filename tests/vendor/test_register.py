"""The register gives each serial once, whoever asks at the same time, and whatever is killed."""

import os
import signal
import sqlite3
import stat
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from licet.vendor.errors import VendorCode, VendorRefused
from licet.vendor.register import Register
from support.server.nursery import Program

TAKE = """
    import sys
    from pathlib import Path
    from licet.vendor.register import Register
    register = Register(Path(sys.argv[1]))
    for _ in range(int(sys.argv[2])):
        print(register.take("C-1", "Jim_Test"), flush=True)
"""
WAIT_S = 60


def taking(path: Path, times: int) -> Program:
    """Another process that takes serials, and prints each."""
    script = [sys.executable, "-c", textwrap.dedent(TAKE), str(path), str(times)]
    return Program(script, stdout=subprocess.PIPE)


def test_serials_count_up_from_one(tmp_path: Path) -> None:
    """Each licence by itself."""
    register = Register(tmp_path / "register.db")
    assert [register.take("C-1", "Jim_Test") for _ in range(3)] == [1, 2, 3]
    assert register.take("C-2", "Jim_Test") == 1
    register.keep("C-1", 2, "signed")
    assert [(it.licence, it.serial, it.text) for it in register.entries()] == [
        ("C-1", 1, None),
        ("C-1", 2, "signed"),
        ("C-1", 3, None),
        ("C-2", 1, None),
    ]


def test_a_register_is_for_its_owner_only(tmp_path: Path) -> None:
    """It says who bought what."""
    path = tmp_path / "register.db"
    Register(path).take("C-1", "Jim_Test")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_serial_may_be_said_but_not_twice(tmp_path: Path) -> None:
    """After a register was lost, the next one begins above what was given out."""
    register = Register(tmp_path / "register.db")
    assert register.take("C-1", "Jim_Test", 7) == 7
    assert register.take("C-1", "Jim_Test") == 8
    for serial in (1, 7, 8):
        with pytest.raises(VendorRefused, match="is not above 8, which was given out") as refused:
            register.take("C-1", "Jim_Test", serial)
        assert refused.value.code is VendorCode.SERIAL_TAKEN
    register.take("C-1", "Jim_Test", 2**31 - 1)
    with pytest.raises(VendorRefused, match="no serial left"):
        register.take("C-1", "Jim_Test")


def test_signers_at_once_never_get_the_same_serial(tmp_path: Path) -> None:
    """Four processes, and four threads beside them; the file is made by whoever is first."""
    path = tmp_path / "register.db"
    others = [taking(path, 25) for _ in range(4)]
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda _: Register(path).take("C-1", "Jim_Test"), range(100)))
    for other in others:
        printed, _ = other.communicate(timeout=WAIT_S)
        assert other.returncode == 0
        found += map(int, printed.split())
    assert sorted(found) == list(range(1, 201))


def test_a_signer_that_is_killed_loses_no_serial_that_it_said(tmp_path: Path) -> None:
    """SIGKILL between any two steps: what it printed is never given out again."""
    path = tmp_path / "register.db"
    highest = 0
    for _ in range(4):
        other = taking(path, 10_000)
        assert other.stdout is not None
        serials = [int(other.stdout.readline()) for _ in range(5)]
        os.kill(other.pid, signal.SIGKILL)
        other.wait(WAIT_S)
        serials += [int(line) for line in other.stdout.read().split(b"\n")[:-1]]
        other.stdout.close()
        assert min(serials) > highest
        highest = max(serials)
    assert Register(path).take("C-1", "Jim_Test") > highest
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"nonsense" * 1000, "is damaged"), (b"SQLite format 3\0" + bytes(200), "register.db")],
)
def test_a_damaged_register_signs_nothing(tmp_path: Path, content: bytes, message: str) -> None:
    """It is not begun anew, as serials would come again."""
    path = tmp_path / "register.db"
    path.write_bytes(content)
    with pytest.raises(VendorRefused, match=message) as refused:
        Register(path).take("C-1", "Jim_Test")
    assert refused.value.code is VendorCode.REGISTER_FAILED
    assert path.read_bytes() == content


def test_a_register_that_cannot_be_made_says_so(tmp_path: Path) -> None:
    """Where there is no directory."""
    with pytest.raises(VendorRefused, match="cannot be opened: No such file or directory"):
        Register(tmp_path / "none" / "register.db").take("C-1", "Jim_Test")
    assert Register(tmp_path / "none" / "register.db").entries() == ()
