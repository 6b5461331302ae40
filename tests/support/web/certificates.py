"""Certificates for servers in tests, and TLS contexts of clients that trust one of them."""

import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)

NOW = datetime.now(UTC)


class Pair:
    """A self-signed certificate for 127.0.0.1, and its key."""

    def __init__(self, *, days: int = 90) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "licet.test")])
        names = x509.SubjectAlternativeName(
            [x509.IPAddress(ip_address("127.0.0.1")), x509.DNSName("localhost")]
        )
        made = (
            x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(self.key.public_key())
        )
        made = made.serial_number(x509.random_serial_number()).add_extension(names, critical=False)
        made = made.not_valid_before(NOW - timedelta(days=99)).not_valid_after(NOW + timedelta(days=days))
        self.certificate = made.sign(self.key, SHA256())

    @property
    def pem(self) -> bytes:
        """The certificate in PEM."""
        return self.certificate.public_bytes(Encoding.PEM)

    def key_pem(self, passphrase: bytes | None = None) -> bytes:
        """The key in PEM, encrypted if there is a passphrase."""
        encryption: KeySerializationEncryption = NoEncryption()
        if passphrase is not None:
            encryption = BestAvailableEncryption(passphrase)
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)

    def write(self, directory: Path) -> tuple[Path, Path]:
        """Replace the files of both, as a program does that renews certificates."""
        for name, content in (("certificate.pem", self.pem), ("key.pem", self.key_pem())):
            put(directory / name, content)
        return directory / "certificate.pem", directory / "key.pem"

    def context(self, version: ssl.TLSVersion | None = None) -> ssl.SSLContext:
        """The context of a client that trusts only this certificate, and speaks only `version` if given."""
        context = ssl.create_default_context(cadata=self.pem.decode())
        if version is not None:
            context.minimum_version = context.maximum_version = version
        return context


def put(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Replace a file in one step."""
    draft = path.with_suffix(".new")
    draft.touch(mode)
    draft.chmod(mode)
    draft.write_bytes(content)
    draft.replace(path)
