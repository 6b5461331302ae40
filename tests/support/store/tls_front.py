"""Puts TLS in front of a PostgreSQL that has none, or plays an impostor of the database.

    with TlsFront(postgres.port, certificate) as front:
        url = f"postgresql://wary:swordfish@db.test:{front.port}/licet?hostaddr=127.0.0.1"

The front answers PostgreSQL's SSLRequest, does the TLS handshake with a certificate that is made here, and
forwards the rest. An impostor refuses TLS, or accepts it, and then asks for the password in clear text.
"""

import datetime as dt
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

HOST = "db.test"  # it does not resolve: `hostaddr` has the address
_SSL_REQUEST, _GSS_REQUEST = 80877103, 80877104  # PostgreSQL's protocol, 54.7
_ASK_IN_CLEAR = b"R" + struct.pack("!II", 8, 3)  # AuthenticationCleartextPassword

Serve = Callable[[socket.socket], None]


class Certificate(NamedTuple):
    """The files of a self-signed certificate and its key."""

    certificate: Path
    key: Path


def make_certificate(directory: Path, host: str = HOST) -> Certificate:
    """A self-signed certificate for a host."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    directory.mkdir(exist_ok=True)
    made = Certificate(directory / "certificate.pem", directory / "key.pem")
    made.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    encoding, kind = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    made.key.write_bytes(key.private_bytes(encoding, kind, serialization.NoEncryption()))
    return made


class Listening:
    """A listener on 127.0.0.1 that serves each connection in a thread, until the end of its block.

    `heard` is all that it has read in clear text.
    """

    def __init__(self) -> None:
        self.heard = bytearray()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self._run(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for thread in self._threads:
            thread.join()

    def url(self, *, user: str, password: str, database: str = "postgres", **more: object) -> str:
        """The URL of the database behind it."""
        query = "&".join(f"{key}={value}" for key, value in {"hostaddr": "127.0.0.1", **more}.items())
        return f"postgresql://{user}:{password}@{HOST}:{self.port}/{database}?{query}"

    def serve(self, client: socket.socket) -> None:
        """Serve one client."""
        raise NotImplementedError

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._socket.accept()
                self._run(partial(self._serve, client))

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            self.serve(client)

    def _run(self, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work)
        self._threads.append(thread)
        thread.start()


class TlsFront(Listening):
    """TLS in front of a server at a port of 127.0.0.1."""

    def __init__(self, port: int, certificate: Certificate) -> None:
        super().__init__()
        self._behind = port
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.load_cert_chain(*certificate)

    def serve(self, client: socket.socket) -> None:
        """Do the TLS handshake, and forward all data."""
        answer_requests(client, b"S")
        with (
            self._tls.wrap_socket(client, server_side=True) as secure,
            socket.create_connection(("127.0.0.1", self._behind)) as behind,
        ):
            self._run(lambda: _pass_on(behind, secure))
            _pass_on(secure, behind)


class Impostor(Listening):
    """An impostor of the database that refuses TLS, and asks for the password in clear text."""

    def serve(self, client: socket.socket) -> None:
        """Refuse TLS, and ask for the password."""
        self.heard += answer_requests(client, b"N")
        client.sendall(_ASK_IN_CLEAR)
        while data := client.recv(4096):
            self.heard += data


class SecureImpostor(TlsFront):
    """An impostor with TLS and a trusted certificate: an attacker on the machine of the database."""

    def __init__(self, certificate: Certificate) -> None:
        super().__init__(0, certificate)

    def serve(self, client: socket.socket) -> None:
        """Do the TLS handshake, and ask for the password."""
        answer_requests(client, b"S")
        with self._tls.wrap_socket(client, server_side=True) as secure:
            self.heard += secure.recv(4096)
            secure.sendall(_ASK_IN_CLEAR)
            while data := secure.recv(4096):
                self.heard += data


def answer_requests(client: socket.socket, to_tls: bytes) -> bytes:
    """Refuse GSSAPI and answer `to_tls` to a request for TLS; returns the head that follows a refusal."""
    while True:
        head = client.recv(8, socket.MSG_WAITALL)
        if len(head) < 8:
            raise ConnectionResetError
        _, code = struct.unpack("!II", head)
        if code == _GSS_REQUEST:
            client.sendall(b"N")
        elif code == _SSL_REQUEST:
            client.sendall(to_tls)
            if to_tls == b"S":
                return b""
        else:
            return head


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)
