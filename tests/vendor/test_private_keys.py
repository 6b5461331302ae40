"""A vendor's private key is encrypted at rest, and is shown by nothing."""

import os
import subprocess
import traceback
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from licet.licences.errors import LicenceRefused
from licet.vendor.errors import VendorCode, VendorRefused
from licet.vendor.private_keys import (
    PrivateKey,
    check_new_passphrase,
    new_private_key,
    open_private_key,
    read_public_key,
)

PASSPHRASE = "correct horse battery staple wren"


@pytest.fixture(scope="module")
def key() -> PrivateKey:
    """A key."""
    return new_private_key()


@pytest.fixture(scope="module")
def kept(key: PrivateKey, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its file."""
    path = tmp_path_factory.mktemp("keys") / "key.pem"
    path.write_bytes(key.encrypted(PASSPHRASE))
    path.chmod(0o600)
    return path


def written(path: Path, content: bytes) -> Path:
    """A file for its owner only."""
    path.write_bytes(content)
    path.chmod(0o600)
    return path


def test_a_key_is_opened_with_its_passphrase(key: PrivateKey, kept: Path) -> None:
    """And then signs under the same public key."""
    opened = open_private_key(kept, PASSPHRASE)
    assert opened.public == key.public
    assert key.public.is_signed(b"content", opened.sign(b"content"))
    assert not key.public.is_signed(b"other content", opened.sign(b"content"))


def test_openssl_opens_what_we_encrypt(key: PrivateKey, kept: Path) -> None:
    """RFC 5958, RFC 8018, RFC 7914: scrypt, and no PBKDF2 with a few rounds."""
    shown = subprocess.run(
        ["openssl", "asn1parse", "-in", str(kept)], capture_output=True, text=True, check=True
    )
    assert ":scrypt" in shown.stdout
    assert ":aes-256-cbc" in shown.stdout
    assert "PBKDF2" not in shown.stdout
    command = ["openssl", "pkey", "-in", str(kept), "-passin", "env:PASSPHRASE", "-pubout"]
    environment = os.environ | {"PASSPHRASE": PASSPHRASE}
    public = subprocess.run(command, env=environment, capture_output=True, check=True).stdout
    path = kept.with_name("public.pem")
    path.write_bytes(public)
    assert read_public_key(path) == key.public


def test_a_key_that_openssl_encrypted_is_opened(tmp_path: Path) -> None:
    """A vendor may bring a key."""
    plain, encrypted = tmp_path / "plain.pem", tmp_path / "key.pem"
    options = "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out"
    subprocess.run(["openssl", *options.split(), str(plain)], check=True, capture_output=True)
    command = ["openssl", "pkcs8", "-topk8", "-scrypt", "-passout", f"pass:{PASSPHRASE}"]
    subprocess.run([*command, "-in", str(plain), "-out", str(encrypted)], check=True, capture_output=True)
    encrypted.chmod(0o600)
    assert open_private_key(encrypted, PASSPHRASE).public.kid


@pytest.mark.parametrize("passphrase", ["", "correct horse", f"{PASSPHRASE} ", "\0"])
def test_a_wrong_passphrase_opens_nothing(kept: Path, passphrase: str) -> None:
    """And is not repeated, nor is the right one."""
    with pytest.raises(VendorRefused) as refused:
        open_private_key(kept, passphrase)
    assert refused.value.code in {VendorCode.WRONG_PASSPHRASE, VendorCode.DAMAGED}
    assert not passphrase or passphrase not in str(refused.value)


def test_a_passphrase_is_the_same_however_it_is_typed(tmp_path: Path) -> None:
    """RFC 8265 4.2.2: a letter with its accent, and a letter and its accent."""
    key = new_private_key()
    path = written(tmp_path / "key.pem", key.encrypted("caf\u00e9 battery staple"))
    assert open_private_key(path, "cafe\u0301 battery staple").public == key.public


def test_a_key_that_others_can_read_is_refused(kept: Path, tmp_path: Path) -> None:
    """It may be known to them."""
    path = written(tmp_path / "key.pem", kept.read_bytes())
    for mode in (0o640, 0o604, 0o660):
        path.chmod(mode)
        with pytest.raises(
            VendorRefused, match="is readable by others; if nobody has read it: chmod 600"
        ) as refused:
            open_private_key(path, PASSPHRASE)
        assert refused.value.code is VendorCode.OPEN_TO_OTHERS


def test_what_is_no_encrypted_key_of_p256_is_refused(tmp_path: Path) -> None:
    """Each with its own reason."""
    secret = BestAvailableEncryption(PASSPHRASE.encode())
    own = ec.generate_private_key(ec.SECP256R1())
    contents = {
        VendorCode.WRONG_PASSPHRASE: b"nonsense",
        VendorCode.DAMAGED: own.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        VendorCode.WRONG_KEY: ec.generate_private_key(ec.SECP384R1()).private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, secret
        ),
    }
    for code, content in contents.items():
        with pytest.raises(VendorRefused) as refused:
            open_private_key(written(tmp_path / "key.pem", content), PASSPHRASE)
        assert refused.value.code is code
    with pytest.raises(VendorRefused, match="cannot be read: No such file"):
        open_private_key(tmp_path / "none.pem", PASSPHRASE)


def test_a_private_key_shows_nothing_of_itself(key: PrivateKey) -> None:
    """Neither its `repr` nor a traceback."""
    number = key._private.private_numbers().private_value
    assert repr(key) == f"PrivateKey({key.public.kid})"
    with pytest.raises(TypeError) as failed:
        key.sign("text")  # type: ignore[arg-type]
    text = "".join(traceback.format_exception(failed.value))
    assert str(number) not in text
    assert f"{number:x}" not in text


@pytest.mark.parametrize(
    ("passphrase", "message"),
    [
        ("short", "12 to 256 characters"),
        ("x" * 257, "12 to 256 characters"),
        ("correct horse\x07battery", "no control characters"),
        ("passwordpassword", "must be hard to guess"),
        ("acme jim2-api", "must be hard to guess"),
        ("111111111111111111111", "must be hard to guess"),
    ],
)
def test_a_passphrase_that_is_easily_guessed_is_refused(passphrase: str, message: str) -> None:
    """Whoever has the file has all the time to guess."""
    with pytest.raises(VendorRefused, match=message) as refused:
        check_new_passphrase(passphrase, "acme", "jim2-api")
    assert refused.value.code is VendorCode.WEAK_PASSPHRASE
    assert passphrase not in str(refused.value)


def test_a_passphrase_of_several_words_will_do() -> None:
    """As the message asks for."""
    check_new_passphrase(PASSPHRASE, "acme", "jim2-api")


class TestPublic:
    """The public half of a key that an HSM keeps."""

    def test_a_public_key_is_read_from_pem_and_jwk(self, key: PrivateKey, tmp_path: Path) -> None:
        """As tools write them."""
        public = key._private.public_key()
        pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        jwk = repr(key.public.jwk()).replace("'", '"').encode()
        for content in (pem, b"\n" + pem, jwk):
            assert read_public_key(written(tmp_path / "public", content)) == key.public

    def test_what_is_no_public_key_of_p256_is_refused(self, key: PrivateKey, tmp_path: Path) -> None:
        """A private one above all."""
        other = rsa.generate_private_key(65_537, 2048).public_key()
        contents = {
            "is a private key; give the public one": key.encrypted(PASSPHRASE),
            "is no key of P-256": other.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
            "is no public key in PEM": b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
            "is no public key of P-256, in PEM or as a JWK": b"nonsense",
        }
        for message, content in contents.items():
            with pytest.raises((VendorRefused, LicenceRefused), match=message):
                read_public_key(written(tmp_path / "public", content))
