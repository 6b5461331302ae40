"""The certificate of a server and its key: which pair is used, and what is said of one that is not."""

import ssl
from pathlib import Path

import pytest

from licet.web.http.certificate import Certificate, CertificateUnusable
from support.web.certificates import Pair, put


class Changes(list[str | None]):
    """What was said when a file had changed."""


def refusal(directory: Path) -> str:
    """Why the pair of a directory is not used."""
    with pytest.raises(CertificateUnusable) as unusable:
        Certificate(directory / "certificate.pem", directory / "key.pem")
    return str(unusable.value).replace(str(directory), "")


def test_a_pair_that_does_not_belong_together_is_refused(tmp_path: Path) -> None:
    """At the start."""
    Pair().write(tmp_path)
    put(tmp_path / "key.pem", Pair().key_pem())
    assert refusal(tmp_path) == "/key.pem is not the key of /certificate.pem"


@pytest.mark.parametrize("name", ["certificate.pem", "key.pem"])
def test_a_file_that_is_no_pem_is_refused(tmp_path: Path, name: str) -> None:
    """Also an empty one."""
    for content in (b"", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", b"\x00" * 99):
        Pair().write(tmp_path)
        put(tmp_path / name, content)
        assert refusal(tmp_path) == "/certificate.pem and /key.pem are not a certificate and a key in PEM"


@pytest.mark.parametrize("name", ["certificate.pem", "key.pem"])
def test_a_file_that_is_missing_is_named(tmp_path: Path, name: str) -> None:
    """Nothing else would help."""
    Pair().write(tmp_path)
    (tmp_path / name).unlink()
    assert refusal(tmp_path) == f"/{name} cannot be read (No such file or directory)"


def test_a_key_with_a_passphrase_is_refused(tmp_path: Path) -> None:
    """OpenSSL would ask for it on the terminal, and the server would wait for ever."""
    pair = Pair()
    pair.write(tmp_path)
    put(tmp_path / "key.pem", pair.key_pem(b"a passphrase"))
    assert refusal(tmp_path).startswith("/key.pem is encrypted")


def test_a_key_that_everybody_can_read_is_refused(tmp_path: Path) -> None:
    """The group may: so a service gets the key that root renews."""
    pair = Pair()
    pair.write(tmp_path)
    put(tmp_path / "key.pem", pair.key_pem(), mode=0o644)
    assert refusal(tmp_path) == "/key.pem is readable by everybody; correct it: chmod o= /key.pem"
    put(tmp_path / "key.pem", pair.key_pem(), mode=0o640)
    Certificate(*pair.write(tmp_path))


def test_a_renewed_pair_is_used_for_the_next_handshake(tmp_path: Path) -> None:
    """The context is another only then."""
    changes = Changes()
    certificate = Certificate(*Pair().write(tmp_path), changed=changes.append)
    first = certificate.context()
    assert certificate.context() is first
    Pair().write(tmp_path)
    second = certificate.context()
    assert second is not first
    assert certificate.context() is second
    assert changes == [None]


def test_when_it_expires_is_that_of_the_pair_in_use(tmp_path: Path) -> None:
    """Also while a broken one lies there."""
    certificate = Certificate(*Pair(days=5).write(tmp_path))
    first = certificate.expires_at_s
    put(tmp_path / "certificate.pem", Pair(days=9).pem)
    certificate.context()
    assert certificate.expires_at_s == first
    Pair(days=9).write(tmp_path)
    certificate.context()
    assert certificate.expires_at_s == first + 4 * 86_400


def test_a_pair_that_is_half_renewed_waits_for_its_other_half(tmp_path: Path) -> None:
    """The one from before is used until then. It is said once for each change."""
    changes = Changes()
    certificate = Certificate(*Pair().write(tmp_path), changed=changes.append)
    first, new = certificate.context(), Pair()
    put(tmp_path / "certificate.pem", new.pem)
    assert [certificate.context() for _ in range(3)] == [first] * 3
    (told,) = changes
    assert told is not None
    assert told.endswith(
        "is not the key of " + f"{tmp_path}/certificate.pem; the one from before is still used"
    )
    put(tmp_path / "key.pem", new.key_pem())
    assert certificate.context() is not first
    assert changes[1:] == [None]


def test_a_pair_that_is_gone_stays_in_use(tmp_path: Path) -> None:
    """A server that runs goes on."""
    changes = Changes()
    files = Pair().write(tmp_path)
    certificate = Certificate(*files, changed=changes.append)
    first = certificate.context()
    files[1].unlink()
    assert certificate.context() is first
    assert len(changes) == 1


def test_what_is_weak_is_not_spoken(tmp_path: Path) -> None:
    """RFC 9325 3.1 and 4.2: no version before 1.2, forward secrecy, authenticated encryption."""
    context = Certificate(*Pair().write(tmp_path)).context()
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.options & ssl.OP_NO_RENEGOTIATION
    assert context.options & ssl.OP_NO_COMPRESSION
    spoken = [cipher["name"] for cipher in context.get_ciphers()]
    assert all("GCM" in name or "POLY1305" in name for name in spoken)
    assert all(name.startswith(("TLS_", "ECDHE-")) for name in spoken)
