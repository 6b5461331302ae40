"""Makes signatures: with a private key that is here, or by a command that asks an HSM.

The command reads the bytes to sign from its standard input, and prints the signature (ECDSA on P-256 with
SHA-256). Tools of HSMs and clouds differ in the format, so four are accepted: the 64 bytes of RFC 7518 3.4 or
DER, as they are or in base64. The output is used only if it verifies under the vendor's public key.
"""

import subprocess
import time
from base64 import urlsafe_b64decode
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Final

from licet.licences.jws import SIGNATURE_BYTES
from licet.licences.vendor_file import VendorKey
from licet.platforms.processes import read_pipe
from licet.platforms.shells import words_of
from licet.vendor.errors import VendorCode, VendorRefused

PRINTED_BYTES_MAX: Final = 4096  # a signature in base64 has some 100
WAIT_S: Final = 300.0  # a person may have to touch a token, or to type its PIN

Sign = Callable[[bytes], bytes]  # the signature of these bytes, RFC 7518 3.4

_NUMBER_BYTES = SIGNATURE_BYTES // 2


def by_command(command: str, key: VendorKey, *, wait_s: float = WAIT_S) -> Sign:
    """A signer that runs a command, without a shell.

    Raises VendorRefused, and so does the signer.
    """
    arguments = words_of(command)
    if not arguments:
        raise VendorRefused(VendorCode.SIGNER_FAILED, "a signer is a command, with quotes as in a shell")

    def sign(content: bytes) -> bytes:
        printed = _printed(arguments, content, wait_s)
        for signature in _signatures(printed):
            if key.is_signed(content, signature):
                return signature
        problem = (
            f"what {arguments[0]} printed is no signature of these bytes under the key {key.kid}: it has to"
            " sign all of its standard input by ECDSA on P-256 with SHA-256, with that key"
        )
        raise VendorRefused(VendorCode.SIGNER_FAILED, problem)

    return sign


def _printed(arguments: list[str], content: bytes, wait_s: float) -> bytes:
    """What a command prints. It shares our stderr and terminal, so that it can ask for a PIN."""
    name = arguments[0]
    try:
        process = subprocess.Popen(  # noqa: S603 - the command is its caller's own
            arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
    except OSError as fault:
        raise _failed(f"{name} cannot be run: {fault.strerror}") from None
    try:
        printed = _exchange(process, content, time.monotonic() + wait_s)
        if printed is None:
            raise _failed(f"{name} did not end within {wait_s:.0f} s, or printed no end of bytes")
        code = process.wait(wait_s)
    except subprocess.TimeoutExpired:
        raise _failed(f"{name} did not end within {wait_s:.0f} s") from None
    finally:
        process.kill()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with suppress(OSError):
                    stream.close()
        process.wait()
    if code:
        raise _failed(f"{name} ended with exit code {code}")
    return printed


def _exchange(process: "subprocess.Popen[bytes]", content: bytes, until_s: float) -> bytes | None:
    """Send the content and read what comes, until its end; None if that does not come."""
    assert process.stdin is not None
    assert process.stdout is not None
    with suppress(BrokenPipeError):  # it may know without reading; whether it does is seen in what it prints
        process.stdin.write(content)  # 16 KiB at most, which a pipe takes at once
        process.stdin.close()
    printed = b""
    while len(printed) <= PRINTED_BYTES_MAX:
        read = read_pipe(process.stdout, PRINTED_BYTES_MAX, until_s - time.monotonic())
        if read is None:
            return None
        if not read:
            return printed
        printed += read
    return None


def _signatures(printed: bytes) -> Iterator[bytes]:
    """The signatures that this output can stand for, each as 64 bytes."""
    for content in (printed, _from_base64(printed)):
        if len(content) == SIGNATURE_BYTES:
            yield content
        if (numbers := _from_der(content)) is not None:
            yield numbers


def _from_base64(printed: bytes) -> bytes:
    text = b"".join(printed.split()).replace(b"+", b"-").replace(b"/", b"_").rstrip(b"=")
    try:
        return urlsafe_b64decode(text + b"=" * (-len(text) % 4))
    except ValueError:
        return b""


def _from_der(content: bytes) -> bytes | None:
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature  # noqa: PLC0415 - as above

    try:
        r, s = decode_dss_signature(content)
        return r.to_bytes(_NUMBER_BYTES, "big") + s.to_bytes(_NUMBER_BYTES, "big")
    except (ValueError, OverflowError):
        return None


def _failed(problem: str) -> VendorRefused:
    return VendorRefused(VendorCode.SIGNER_FAILED, f"{problem}; nothing was signed")
