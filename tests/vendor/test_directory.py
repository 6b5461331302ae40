"""The directory of a vendor, when two processes change it at the same time."""

import threading
from pathlib import Path

import pytest

from licet.licences.vendor_file import Vendor
from licet.vendor.directory import VendorDirectory, keep_another, keep_new, read_directory
from licet.vendor.errors import VendorCode, VendorRefused
from licet.vendor.files import alone_in
from licet.vendor.private_keys import new_private_key


def made(path: Path) -> VendorDirectory:
    """A vendor with one key."""
    key = new_private_key().public
    return keep_new(path, Vendor(name="acme", product="jim2-api", keys={key.kid: key}), None)


def test_two_that_add_a_key_at_once_lose_none(tmp_path: Path) -> None:
    """Both read vendor.json before either writes; the second finds the key of the first."""
    before = made(tmp_path / "vendor")
    keys = [new_private_key().public for _ in range(2)]
    adding = [threading.Thread(target=keep_another, args=(before, key, None)) for key in keys]
    with alone_in(before.path):
        for thread in adding:
            thread.start()
    for thread in adding:
        thread.join()
    assert set(read_directory(before.path).vendor.keys) == {*before.vendor.keys, *(key.kid for key in keys)}


def test_a_key_that_another_added_meanwhile_is_refused(tmp_path: Path) -> None:
    """And vendor.json stays as it is."""
    before, key = made(tmp_path / "vendor"), new_private_key().public
    added = keep_another(before, key, None)
    with pytest.raises(VendorRefused) as refused:
        keep_another(before, key, None)
    assert refused.value.code is VendorCode.ALREADY_THERE
    assert read_directory(before.path) == added
