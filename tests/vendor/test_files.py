"""A file is written whole or not at all, and never over another by mistake."""

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from licet.vendor.errors import VendorCode, VendorRefused
from licet.vendor.files import PRIVATE, PUBLIC, make_directory, read_bounded, write_file


def test_a_file_is_never_written_over_another(tmp_path: Path) -> None:
    """Unless it is asked to."""
    path = tmp_path / "file"
    write_file(path, b"first", mode=PRIVATE)
    with pytest.raises(VendorRefused, match="is there already") as refused:
        write_file(path, b"second", mode=PRIVATE)
    assert refused.value.code is VendorCode.ALREADY_THERE
    assert path.read_bytes() == b"first"
    write_file(path, b"second", mode=PRIVATE, replacing=True)
    assert path.read_bytes() == b"second"
    assert [it.name for it in tmp_path.iterdir()] == ["file"]


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    """Neither to a file that is there nor to one that is not."""
    (tmp_path / "target").write_bytes(b"precious")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    (tmp_path / "dangling").symlink_to(tmp_path / "none")
    for name in ("link", "dangling"):
        with pytest.raises(VendorRefused, match="is there already"):
            write_file(tmp_path / name, b"new", mode=PRIVATE)
    write_file(tmp_path / "link", b"new", mode=PRIVATE, replacing=True)
    assert (tmp_path / "target").read_bytes() == b"precious"


def test_a_private_file_is_its_owners_from_the_first_moment(tmp_path: Path) -> None:
    """Whatever the umask is."""
    before = os.umask(0)
    try:
        write_file(tmp_path / "private", b"x", mode=PRIVATE)
        make_directory(tmp_path / "directory")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "private").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "directory").stat().st_mode) == 0o700


def test_a_disk_without_hard_links_is_written_to_as_carefully(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A memory stick."""

    def no_links(*_: Any) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "hardlink_to", no_links)
    write_file(tmp_path / "file", b"first", mode=PUBLIC)
    with pytest.raises(VendorRefused, match="is there already"):
        write_file(tmp_path / "file", b"second", mode=PUBLIC)
    assert (tmp_path / "file").read_bytes() == b"first"
    assert [it.name for it in tmp_path.iterdir()] == ["file"]


def test_what_cannot_be_written_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk: the old file stays."""

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    path = tmp_path / "file"
    write_file(path, b"first", mode=PUBLIC)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(VendorRefused, match="cannot be written: No space left on device"):
        write_file(path, b"second", mode=PUBLIC, replacing=True)
    assert path.read_bytes() == b"first"
    assert [it.name for it in tmp_path.iterdir()] == ["file"]


def test_no_more_is_read_than_may_be(tmp_path: Path) -> None:
    """One byte more, by which that is seen."""
    assert len(read_bounded(Path("/dev/zero"), 10)) == 11
    with pytest.raises(VendorRefused, match="cannot be read: Is a directory"):
        read_bounded(tmp_path, 10)
