"""A key may stay in an HSM: another program signs, and whatever it does leaves the register whole."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from support.cli.command_line import run
from support.cli.screen import WAIT_S
from support.licences.vendor_site import HASH, SIGN
from support.server.nursery import Program


@pytest.fixture
def hsm(tmp_path: Path) -> tuple[Path, str]:
    """A vendor's directory without a private key, and the command that signs."""
    private, public, where = tmp_path / "hsm.pem", tmp_path / "public.pem", tmp_path / "hsm"
    options = "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out"
    subprocess.run(["openssl", *options.split(), str(private)], check=True, capture_output=True)
    command = ["openssl", "pkey", "-in", str(private), "-pubout", "-out", str(public)]
    subprocess.run(command, check=True)
    arguments = ("--vendor", "acme", "--product", "p", "-o", str(where), "--public", str(public))
    run("vendor", "key", "new", *arguments)
    assert [path.name for path in where.iterdir()] == ["vendor.json"]
    return where, f"openssl dgst -sha256 -sign {private}"


def test_another_program_signs(hsm: tuple[Path, str], tmp_path: Path) -> None:
    """It has the key, we have the bytes."""
    where, command = hsm
    file = tmp_path / "c1.licence"
    bound = ("--installation", f"-{HASH[1:]}")  # a hash may begin with a dash
    run("vendor", "sign", "--key", str(where), *SIGN, *bound, "--signer", command, "-o", str(file))
    [licence] = json.loads(run("vendor", "read", str(file), "--key", str(where), "--json").stdout)
    assert (licence["verified"], licence["product"], licence["serial"]) == (True, "p", 1)
    assert licence["installation"] == f"-{HASH[1:]}"


def test_a_signer_that_fails_leaves_a_gap_and_no_file(hsm: tuple[Path, str], tmp_path: Path) -> None:
    """A serial is not given out again, whatever became of it."""
    where, command = hsm
    file = tmp_path / "c1.licence"
    arguments = ("vendor", "sign", "--key", str(where), *SIGN, "-o", str(file), "--signer")
    for failing in ("false", "true", "/nowhere/signer"):
        run(*arguments, failing, exit_code=1)
    assert not file.exists()
    assert "serial 4" in run(*arguments, command).stdout
    listed = run("vendor", "list", "--key", str(where)).stdout
    assert listed.count("not signed") == 3


def test_without_its_private_key_a_vendor_needs_a_signer(hsm: tuple[Path, str]) -> None:
    """And is message so before anything is asked."""
    result = run("vendor", "sign", "--key", str(hsm[0]), *SIGN, exit_code=1)
    assert "is not there: put back a copy of it, or, if an HSM keeps the key, say --signer" in result.stderr


def test_signers_at_once_get_serials_of_their_own(hsm: tuple[Path, str], tmp_path: Path) -> None:
    """Six processes."""
    where, command = hsm
    names = [tmp_path / f"{number}.licence" for number in range(6)]
    line = [
        sys.executable,
        "-m",
        "licet",
        "vendor",
        "sign",
        "--key",
        str(where),
        *SIGN,
        "--signer",
        command,
    ]
    signers = [Program([*line, "-o", str(name)], stdout=subprocess.DEVNULL) for name in names]
    assert [signer.wait(WAIT_S) for signer in signers] == [0] * 6
    files = [str(name) for name in names]
    found = json.loads(run("vendor", "read", *files, "--key", str(where), "--json").stdout)
    assert sorted(it["serial"] for it in found) == [1, 2, 3, 4, 5, 6]


def test_a_kill_while_it_signs_leaves_the_register_whole(hsm: tuple[Path, str], tmp_path: Path) -> None:
    """The serial that was taken is gone, the next one is signed, and there is no half a file."""
    where, command = hsm
    pipe, file = tmp_path / "pipe", tmp_path / "c1.licence"
    os.mkfifo(pipe)
    arguments = ["vendor", "sign", "--key", str(where), *SIGN, "-o", str(file), "--signer"]
    process = Program([sys.executable, "-m", "licet", *arguments, f"cat {pipe}"])
    with pipe.open("wb"):  # opened when its signer reads, and so after the serial was taken
        os.kill(process.pid, signal.SIGKILL)
        process.wait(WAIT_S)
    assert not file.exists()
    assert "serial 2" in run(*arguments, command).stdout
    [licence] = json.loads(run("vendor", "read", str(file), "--key", str(where), "--json").stdout)
    assert licence["serial"] == 2
