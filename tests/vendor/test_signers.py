"""A command that signs is believed only if its signature is right, and waited for no longer than a while."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from licet.licences.vendor_file import VendorKey
from licet.vendor.errors import VendorCode, VendorRefused
from licet.vendor.private_keys import read_public_key
from licet.vendor.signers import by_command

CONTENT = b"what is to be signed"


@pytest.fixture(scope="module")
def hsm(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, VendorKey]:
    """A private key that only another program has, and its public half."""
    directory = tmp_path_factory.mktemp("hsm")
    private, public = directory / "private.pem", directory / "public.pem"
    options = "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out"
    subprocess.run(["openssl", *options.split(), str(private)], check=True, capture_output=True)
    command = ["openssl", "pkey", "-in", str(private), "-pubout", "-out", str(public)]
    subprocess.run(command, check=True)
    return private, read_public_key(public)


def script(*lines: str) -> str:
    """A command that runs some lines of Python."""
    return f"{shlex.quote(sys.executable)} -c {shlex.quote(chr(10).join(lines))}"


def refusal(command: str, key: VendorKey, *, wait_s: float = 30.0) -> VendorRefused:
    """Why nothing was signed."""
    with pytest.raises(VendorRefused) as refused:
        by_command(command, key, wait_s=wait_s)(CONTENT)
    assert refused.value.code is VendorCode.SIGNER_FAILED
    return refused.value


@pytest.mark.parametrize("form", ["der", "raw", "base64 of der", "base64url of raw"])
def test_a_signature_is_taken_in_each_form_that_tools_print(hsm: tuple[Path, VendorKey], form: str) -> None:
    """`openssl dgst` and clouds print DER, PKCS #11 two numbers; some do so in base64, with a line end."""
    private, key = hsm
    openssl = ["openssl", "dgst", "-sha256", "-sign", str(private)]
    numbers = (
        "from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature as numbers",
        "raw = b''.join(it.to_bytes(32, 'big') for it in numbers(der))",
    )
    printed = {
        "der": "der",
        "raw": "raw",
        "base64 of der": "base64.encodebytes(der)",
        "base64url of raw": "base64.urlsafe_b64encode(raw).rstrip(b'=') + b'\\n'",
    }
    command = script(
        "import base64, subprocess, sys",
        f"der = subprocess.run({openssl}, stdin=sys.stdin, stdout=subprocess.PIPE).stdout",
        *numbers,
        f"sys.stdout.buffer.write({printed[form]})",
    )
    signature = by_command(command, key)(CONTENT)
    assert len(signature) == 64
    assert key.is_signed(CONTENT, signature)


def test_openssl_alone_is_a_signer(hsm: tuple[Path, VendorKey]) -> None:
    """As the how-to has it."""
    private, key = hsm
    signature = by_command(f"openssl dgst -sha256 -sign '{private}'", key)(CONTENT)
    assert key.is_signed(CONTENT, signature)


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("", "a signer is a command"),
        ("'unfinished", "a signer is a command"),
        ("/nowhere/signer", "/nowhere/signer cannot be run: No such file or directory; nothing was signed"),
        ("true", "what true printed is no signature of these bytes"),
        ("false", "false ended with exit code 1; nothing was signed"),
        ("cat", "what cat printed is no signature of these bytes"),
        ("head -c 64 /dev/zero", "printed is no signature of these bytes"),
        ("cat /dev/zero", "printed no end of bytes; nothing was signed"),
        (script("import os, signal; os.kill(os.getpid(), signal.SIGKILL)"), "ended with exit code -9"),
        (script("import sys; sys.stdout.buffer.write(bytes(4097))"), "printed no end of bytes"),
    ],
)
def test_a_command_that_signs_nothing_is_refused(
    hsm: tuple[Path, VendorKey], command: str, message: str
) -> None:
    """Each with what it did."""
    assert message in str(refusal(command, hsm[1]))


def test_a_signer_with_another_key_is_refused(hsm: tuple[Path, VendorKey], tmp_path: Path) -> None:
    """The wrong slot of an HSM would make licences that nobody can use."""
    other = tmp_path / "other.pem"
    options = "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out"
    subprocess.run(["openssl", *options.split(), str(other)], check=True, capture_output=True)
    refused = refusal(f"openssl dgst -sha256 -sign {other}", hsm[1])
    assert f"under the key {hsm[1].kid}" in str(refused)


@pytest.mark.parametrize(
    "lines",
    ["import time; time.sleep(600)", "print(flush=True); import os, time; os.close(1); time.sleep(600)"],
)
def test_a_signer_that_does_not_end_is_not_waited_for_forever(
    hsm: tuple[Path, VendorKey], lines: str
) -> None:
    """Whether or not it has printed something."""
    assert "did not end within" in str(refusal(script(lines), hsm[1], wait_s=0.5))


def test_a_signer_is_run_without_a_shell(hsm: tuple[Path, VendorKey], tmp_path: Path) -> None:
    """What looks like one is text."""
    trace = tmp_path / "trace"
    refusal(f"echo x; touch {trace}", hsm[1])
    refusal(f"echo $(touch {trace})", hsm[1])
    assert not trace.exists()
