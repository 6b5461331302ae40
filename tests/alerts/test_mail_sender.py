"""Alerts by e-mail: a mail server that takes them, refuses them, or is not what it should be."""

import json
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any, Self

import pytest
from msgspec.structs import replace

from licet.alerts.destinations import MailServer
from licet.alerts.mail_sender import mail, subject
from licet.alerts.outbox import BY_MAIL, Attempt, Message

PASSWORD = "correct horse battery"
RECEIVERS = ("ada@example.com", "grace@example.com")


class Postbox:
    """A mail server that speaks as much SMTP (RFC 5321) as is needed, and keeps what it was handed."""

    def __init__(
        self,
        tls: ssl.SSLContext | None = None,
        *,
        is_tls_at_once: bool = False,
        refuses: str = "",
        refusal: str = "550 No",
    ) -> None:
        self.letters: list[bytes] = []
        self.commands: list[str] = []
        self._tls = tls
        self._is_tls_at_once = is_tls_at_once
        self._refuses = refuses  # a command that it refuses
        self._refusal = refusal
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        # Only a shutdown wakes who waits in `accept`.
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join(60)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            with suppress(OSError), connection:  # A caller may not trust it.
                if self._tls and self._is_tls_at_once:
                    with self._tls.wrap_socket(connection, server_side=True) as wrapped:
                        self._talk(wrapped, "220 postbox")
                else:
                    self._talk(connection, "220 postbox")

    def _talk(self, connection: socket.socket, *greeting: str) -> None:
        self._say(connection, *greeting)
        with connection.makefile("rb") as file:
            while line := file.readline():
                command = line.decode().strip()
                self.commands.append(command)
                if command.upper() == "STARTTLS" and self._tls:
                    self._say(connection, "220 Go ahead")
                    with self._tls.wrap_socket(connection, server_side=True) as wrapped:
                        self._talk(wrapped)
                    return
                if command.upper() == "DATA" and self._refuses != "DATA":
                    self._say(connection, "354 Go on")
                    self.letters.append(b"".join(iter(file.readline, b".\r\n")))
                self._say(connection, *self._answer(command))
                if command.upper() == "QUIT":
                    return

    def _answer(self, command: str) -> list[str]:
        if self._refuses and command.upper().startswith(self._refuses):
            return [self._refusal]
        verb = command.split(" ", maxsplit=1)[0].upper()
        if verb == "EHLO":
            return ["250-postbox", "250-AUTH PLAIN", *(["250-STARTTLS"] if self._tls else []), "250 8BITMIME"]
        return ["235 Welcome" if verb == "AUTH" else "221 Bye" if verb == "QUIT" else "250 Well"]

    @staticmethod
    def _say(connection: socket.socket, *lines: str) -> None:
        connection.sendall("".join(f"{line}\r\n" for line in lines).encode())


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of localhost that nobody else has seen, with its key."""
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl to make a certificate with")
    directory = tmp_path_factory.mktemp("tls")
    options = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost"
    alternative = ["-addext", "subjectAltName=DNS:localhost"]
    files = ["-keyout", str(directory / "key.pem"), "-out", str(directory / "certificate.pem")]
    subprocess.run(["openssl", *options.split(), *alternative, *files], check=True, capture_output=True)
    return directory


@pytest.fixture
def tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "certificate.pem", certificate / "key.pem")
    return context


@pytest.fixture
def postbox() -> Iterator[Postbox]:
    with Postbox() as postbox:
        yield postbox


def server(postbox: Postbox, **others: Any) -> MailServer:
    plain = MailServer(
        host="localhost",
        port=postbox.port,
        security="none",
        user=None,
        password_file=None,
        sender="licet@example.com",
        receivers=RECEIVERS,
    )
    return replace(plain, **others)


def message(type_: str = "pool.denied", **data: Any) -> Message:
    data = {"tenant": "Jim_Test", "pool": "full", "seats": 5, "in_use": 5, **data}
    if type_ == "pool.denied":
        data |= {"denials": 7, "reasons": ["all_in_use"], "since": "2023-11-14T22:10:00Z"}
    return Message(
        id="msg_1",
        webhook_id=BY_MAIL,
        url=None,
        private_allowed=False,
        secret_number=0,
        rotated_at_ms=None,
        type=type_,
        payload=json.dumps({"type": type_, "timestamp": "2023-11-14T22:14:00Z", "data": data}),
        created_at_ms=1_700_000_040_000,
        attempts=1,
    )


def letter(postbox: Postbox) -> EmailMessage:
    [found] = postbox.letters
    parsed = message_from_bytes(found, policy=default)
    assert isinstance(parsed, EmailMessage)
    return parsed


def test_an_alert_arrives_as_plain_text(postbox: Postbox) -> None:
    assert mail(server(postbox), message()) == Attempt()
    found = letter(postbox)
    assert dict(found.items()) | {"Content-Type": "", "MIME-Version": ""} == {
        "Subject": "[Licet] Jim_Test, pool full: 7 grants denied, 5 of 5 seats in use",
        "From": "licet@example.com",
        "To": "ada@example.com, grace@example.com",
        "Date": "Tue, 14 Nov 2023 22:14:00 +0000",
        "Message-ID": "<msg_1@example.com>",
        "Auto-Submitted": "auto-generated",
        "Content-Type": "",
        "Content-Transfer-Encoding": "7bit",
        "MIME-Version": "",
    }
    assert found.get_content().splitlines() == [
        "Jim_Test, pool full: 7 grants denied, 5 of 5 seats in use.",
        "",
        "time     2023-11-14T22:14:00Z",
        "tenant   Jim_Test",
        "pool     full",
        "seats    5",
        "in use   5",
        "denials  7",
        "reasons  all_in_use",
        "since    2023-11-14T22:10:00Z",
    ]
    assert [it for it in postbox.commands if it.startswith("rcpt")] == [
        f"rcpt TO:<{name}>" for name in RECEIVERS
    ]


@pytest.mark.parametrize(
    ("type_", "data", "told"),
    [
        ("pool.threshold_reached", {"threshold": 80, "peak": 4}, "80 per cent reached, 4 of 5 seats"),
        ("pool.back_to_normal", {"threshold": 80, "in_use": 3}, "back to normal, 3 of 5 seats in use"),
        ("pool.denied", {"denials": 1}, "1 grant denied, 5 of 5 seats in use"),
    ],
)
def test_its_subject_says_what_happened(type_: str, data: dict[str, Any], told: str) -> None:
    data = {"tenant": "Jim_Test", "pool": "full", "seats": 5, "in_use": 5, **data}
    assert subject(type_, data) == f"Jim_Test, pool full: {told}"


def test_the_password_goes_over_tls_and_nowhere_else(
    certificate: Path, tls: ssl.SSLContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`starttls`, and a server whose certificate the system trusts."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "certificate.pem"))
    (tmp_path / "password").write_text(f"{PASSWORD}\n", encoding="utf-8")
    signs_in = {"security": "starttls", "user": "licet", "password_file": tmp_path / "password"}
    with Postbox(tls) as postbox:
        assert mail(server(postbox, **signs_in), message()) == Attempt()
        assert len(postbox.letters) == 1
        verbs = [it.split(" ")[0].upper() for it in postbox.commands]
        assert verbs.index("STARTTLS") < verbs.index("AUTH") < verbs.index("MAIL")
    assert PASSWORD not in repr(server(postbox, **signs_in))


def test_without_tls_on_the_other_side_nothing_is_sent(postbox: Postbox, tmp_path: Path) -> None:
    """What is to be encrypted is encrypted or not sent."""
    (tmp_path / "password").write_text(PASSWORD, encoding="utf-8")
    signs_in = {"security": "starttls", "user": "licet", "password_file": tmp_path / "password"}
    attempt = mail(server(postbox, **signs_in), message())
    assert attempt.error == "no answer: STARTTLS extension not supported by server."
    assert not [it for it in postbox.commands if it.upper().startswith(("AUTH", "MAIL"))]


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_a_certificate_nobody_vouches_for_is_refused(
    tls: ssl.SSLContext, security: str, tmp_path: Path
) -> None:
    (tmp_path / "password").write_text(PASSWORD, encoding="utf-8")
    with Postbox(tls, is_tls_at_once=security == "tls") as postbox:
        attempt = mail(server(postbox, security=security), message())
        assert "certificate verify failed" in attempt.error
        assert postbox.letters == []


@pytest.mark.parametrize(
    ("refuses", "refusal", "told"),
    [
        ("MAIL", "451 Later", "answered 451 Later"),
        ("DATA", "554 Never", "answered 554 Never"),
        ("RCPT TO:<GRACE", "550 Who?", "not taken for grace@example.com"),
        ("RCPT", "550 Who?", "not taken for ada@example.com, grace@example.com"),
    ],
)
def test_what_the_mail_server_refuses_is_a_failure(refuses: str, refusal: str, told: str) -> None:
    with Postbox(refuses=refuses, refusal=refusal) as postbox:
        assert mail(server(postbox), message()) == Attempt(told)


def test_a_refused_password_is_told_without_it(
    certificate: Path, tls: ssl.SSLContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "certificate.pem"))
    (tmp_path / "password").write_text(PASSWORD, encoding="utf-8")
    signs_in = {"security": "starttls", "user": "licet", "password_file": tmp_path / "password"}
    with Postbox(tls, refuses="AUTH", refusal="535 Bad credentials") as postbox:
        assert mail(server(postbox, **signs_in), message()) == Attempt("answered 535 Bad credentials")


@pytest.mark.parametrize("file", [None, "missing", "latin1"])
def test_a_password_that_cannot_be_read_is_a_failure(
    certificate: Path, tls: ssl.SSLContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str | None
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "certificate.pem"))
    (tmp_path / "latin1").write_bytes(b"caf\xe9")
    path = None if file is None else tmp_path / file
    with Postbox(tls) as postbox:
        error = mail(server(postbox, security="starttls", user="licet", password_file=path), message()).error
    told = {
        None: "smtp_password_file",
        "missing": "No such file",
        "latin1": "smtp_password_file is not UTF-8",
    }
    assert told[file] in error
    assert "caf" not in error


def test_what_was_taken_is_not_sent_again_however_they_part() -> None:
    with Postbox(refuses="QUIT", refusal="500 What?") as postbox:
        assert mail(server(postbox), message()) == Attempt()


def test_tls_from_the_first_byte(
    certificate: Path, tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "certificate.pem"))
    with Postbox(tls, is_tls_at_once=True) as postbox:
        assert mail(server(postbox, security="tls"), message()) == Attempt()
        assert len(postbox.letters) == 1


def test_where_nobody_listens_is_a_failure() -> None:
    with Postbox() as gone:
        pass
    assert mail(server(gone), message()).error.startswith("no answer: ")


def test_a_mail_server_that_hangs_is_a_failure(postbox: Postbox) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        hanging = replace(server(postbox), port=silent.getsockname()[1])
        assert mail(hanging, message(), answer_s=0.2).error.endswith("timed out")
