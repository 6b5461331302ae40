"""Keeps the directory of a vendor: `vendor.json` for everybody, private keys and a register for the vendor.

    vendor/vendor.json          name, product and public keys: compiled into the API, sent to customers
    vendor/key-KID.pem          a private key, encrypted; none for a key that an HSM keeps
    vendor/register.db          which serials were given to whom

An existing key is never overwritten. The first key of `vendor.json` signs unless another is named, so that a
new key can be added, and reach every API, before it signs.
"""

from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple

from licet.licences.errors import LicenceRefused
from licet.licences.vendor_file import (
    KEYS_MAX,
    VENDOR_BYTES_MAX,
    Vendor,
    VendorKey,
    read_vendor,
    vendor_file,
)
from licet.vendor.errors import VendorCode, VendorRefused
from licet.vendor.files import PRIVATE, PUBLIC, alone_in, make_directory, read_bounded, write_file
from licet.vendor.private_keys import PrivateKey, open_private_key, read_private_file

VENDOR_FILE: Final = "vendor.json"
REGISTER_FILE: Final = "register.db"


class VendorDirectory(NamedTuple):
    """A vendor and the directory of its files."""

    path: Path
    vendor: Vendor

    @property
    def register(self) -> Path:
        """The file of the register."""
        return self.path / REGISTER_FILE

    def key(self, kid: str | None) -> VendorKey:
        """The key of this name, or of the beginning of it; the first one for None.

        Raises VendorRefused.
        """
        keys = self.vendor.keys
        found = [key for name, key in keys.items() if name.startswith(kid or next(iter(keys)))]
        if len(found) == 1:
            return found[0]
        problem = f"{'no key' if not found else 'more than one key'} of {self.path / VENDOR_FILE} is {kid}"
        raise VendorRefused(VendorCode.NO_KEY, f"{problem}; there is: {', '.join(keys)}")

    def key_file(self, key: VendorKey) -> Path:
        """Where the private half of a key is, if it is here at all."""
        return self.path / f"key-{key.kid}.pem"

    def must_have(self, key: VendorKey) -> None:
        """Return if the private half of a key is here, and only its owner can read the file.

        Raises VendorRefused.
        """
        path = self.key_file(key)
        if not path.exists():
            problem = f"{path} is not there: put back a copy of it"
            raise VendorRefused(VendorCode.NO_PRIVATE_KEY, problem)
        read_private_file(path)

    def open(self, key: VendorKey, passphrase: str) -> PrivateKey:
        """The private half of a key.

        Raises VendorRefused.
        """
        self.must_have(key)
        path = self.key_file(key)
        found = open_private_key(path, passphrase)
        if found.public.kid != key.kid:
            problem = f"{path} holds another key: put back the file of this one"
            raise VendorRefused(VendorCode.WRONG_KEY, problem)
        return found


def read_directory(path: Path) -> VendorDirectory:
    """The directory of a vendor, or the one in which this `vendor.json` is.

    Raises VendorRefused, LicenceRefused.
    """
    directory = path.parent if path.is_file() else path
    file = path if path.is_file() else directory / VENDOR_FILE
    if not file.exists():
        raise VendorRefused(VendorCode.NO_VENDOR, f"{file} is not there", directory=path)
    try:
        return VendorDirectory(directory, read_vendor(read_bounded(file, VENDOR_BYTES_MAX)))
    except LicenceRefused as refused:
        problem = f"{file}: {refused.text}; put back a copy of it"
        raise VendorRefused(VendorCode.DAMAGED, problem) from None


def must_be_new(path: Path) -> None:
    """Return if no vendor is kept here yet.

    Raises VendorRefused.
    """
    if (path / VENDOR_FILE).exists():
        problem = f"{path / VENDOR_FILE} is there already, and stays"
        raise VendorRefused(VendorCode.VENDOR_THERE, problem, directory=path)


def keep_new(path: Path, vendor: Vendor, encrypted: bytes | None) -> VendorDirectory:
    """Make the directory of a vendor with one key; `encrypted` is its private half, if that is kept here.

    Raises VendorRefused.
    """
    must_be_new(path)
    make_directory(path)
    kept = VendorDirectory(path, vendor)
    _keep_key(kept, next(iter(vendor.keys.values())), encrypted)
    write_file(path / VENDOR_FILE, vendor_file(vendor), mode=PUBLIC)
    return kept


def keep_another(kept: VendorDirectory, key: VendorKey, encrypted: bytes | None) -> VendorDirectory:
    """Add a key after the existing ones, also those that another process has added meanwhile.

    Raises VendorRefused.
    """
    with alone_in(kept.path):
        now = read_directory(kept.path)
        vendor = now.vendor
        if key.kid in vendor.keys:
            raise VendorRefused(VendorCode.ALREADY_THERE, f"the key {key.kid} is there already")
        must_have_room(now)
        added = now._replace(vendor=replace(vendor, keys={**vendor.keys, key.kid: key}))
        _keep_key(added, key, encrypted)
        write_file(now.path / VENDOR_FILE, vendor_file(added.vendor), mode=PUBLIC, replacing=True)
    return added


def must_have_room(kept: VendorDirectory) -> None:
    """Return if there may be another key.

    Raises VendorRefused.
    """
    if len(kept.vendor.keys) >= KEYS_MAX:
        problem = (
            f"there are {KEYS_MAX} keys; take one out of {VENDOR_FILE} by which no licence is signed now"
        )
        raise VendorRefused(VendorCode.TOO_MANY_KEYS, problem)


def _keep_key(kept: VendorDirectory, key: VendorKey, encrypted: bytes | None) -> None:
    if encrypted is not None:
        write_file(kept.key_file(key), encrypted, mode=PRIVATE)
