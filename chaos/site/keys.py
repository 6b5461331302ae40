"""Makes the key pairs of clients that authenticate by signed assertions."""

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from licet.credentials.public_keys import read_keys
from licet.model import PublicKey


def new_key() -> tuple[str, PublicKey]:
    """A private key for ES256, in PEM, and the public one for the set-up: signing takes some 25 us."""
    private = ec.generate_private_key(ec.SECP256R1())
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    [key] = read_keys(public.decode())
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(), key
