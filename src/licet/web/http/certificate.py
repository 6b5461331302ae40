"""Reads a certificate and its key for TLS, and reads them again when a file has changed.

The rules:

- TLS 1.2 and 1.3, with forward secrecy and authenticated encryption only (RFC 9325 3.1, 4.2).
- A handshake first checks both files for changes, so that a renewed certificate is used at once.
- If the new pair is unusable, this is reported once, and the previous pair stays in use. So a renewal can
  write the two files one after the other.
- A key that everybody on the machine can read is refused. The group may read it, where there are groups,
  because services get keys that way.
"""

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from licet.platforms import files

_CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"  # of TLS 1.2; those of 1.3 are all as good


class CertificateUnusable(Exception):
    """The certificate or its key cannot be used; the text says why, and what to do."""


class _Seen(NamedTuple):
    """By what a file is known to be another one."""

    modified_ns: int
    size: int
    inode: int


class Certificate:
    """A certificate with the ones that lead to its authority, and its key, in two files of PEM.

    `changed` is called when a file has, with the reason where the new pair is not used. `expires_at_s` is
    when the one in use expires, in seconds since 1970. The constructor raises CertificateUnusable.
    """

    def __init__(
        self, certificate: Path, key: Path, *, changed: Callable[[str | None], None] = lambda _: None
    ) -> None:
        self._files = (certificate, key)
        self._changed = changed
        self._seen = self._look()
        self._context = context_of(certificate, key)
        self.expires_at_s = expiry_of(certificate)

    def context(self) -> ssl.SSLContext:
        """What the next handshake needs."""
        seen = self._look()
        if seen != self._seen:
            self._seen = seen  # before they are read: what is written meanwhile is another change
            try:
                self._context, self.expires_at_s = context_of(*self._files), expiry_of(self._files[0])
            except CertificateUnusable as unusable:
                self._changed(f"{unusable}; the one from before is still used")
            else:
                self._changed(None)
        return self._context

    def _look(self) -> tuple[_Seen | None, ...]:
        return tuple(map(_seen, self._files))


def context_of(certificate: Path, key: Path) -> ssl.SSLContext:
    """TLS for a server with this certificate.

    Raises CertificateUnusable.
    """
    _is_open_to_others(certificate)
    if _is_open_to_others(key):
        raise CertificateUnusable(
            f"{key} is readable by everybody; correct it: {files.how_to_close(key, group=True)}"
        )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(certificate, key, password=_no_password)
    except _IsEncrypted:
        raise CertificateUnusable(
            f"{key} is encrypted, and nobody is there to type its passphrase; decrypt it: openssl pkey"
        ) from None
    except ssl.SSLError as fault:
        if fault.reason == "KEY_VALUES_MISMATCH":
            raise CertificateUnusable(f"{key} is not the key of {certificate}") from None
        raise CertificateUnusable(f"{certificate} and {key} are not a certificate and a key in PEM") from None
    except (OSError, ValueError) as fault:
        raise CertificateUnusable(
            f"{certificate} and {key} cannot be read ({type(fault).__name__})"
        ) from None
    return context


def expiry_of(certificate: Path) -> int:
    """When a certificate expires, in seconds since 1970.

    Raises CertificateUnusable.
    """
    from cryptography.x509 import load_pem_x509_certificate  # noqa: PLC0415 - for who has a certificate

    try:
        read = load_pem_x509_certificate(certificate.read_bytes())  # the first one is the server's
    except (OSError, ValueError) as fault:
        raise CertificateUnusable(f"{certificate} cannot be read ({type(fault).__name__})") from None
    return int(read.not_valid_after_utc.timestamp())


class _IsEncrypted(Exception):
    """The key has a passphrase. Without this OpenSSL would ask for it, on the terminal."""


def _no_password() -> str:
    raise _IsEncrypted


def _is_open_to_others(path: Path) -> bool:
    """Whether others may read a file, which has to be readable itself."""
    try:
        with path.open("rb") as file:
            return files.is_open_to_others(path, file, group=True)
    except OSError as fault:
        raise CertificateUnusable(f"{path} cannot be read ({fault.strerror})") from None


def _seen(path: Path) -> _Seen | None:
    try:
        found = path.stat()
    except OSError:
        return None  # reading it will say why
    return _Seen(found.st_mtime_ns, found.st_size, found.st_ino)
