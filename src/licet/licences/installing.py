"""Decides whether a licence can be installed beside those that are installed already.

The rules:

- The same licence once more changes nothing, also with the twin of its signature (`jws.py`). Another text
  under the same serial is refused: a vendor signs each serial once, so one of the two is a mistake.
- A serial that was removed here, or a lower one, is not installed again: the vendor has to sign a new one.
  Otherwise seats that were given back could be taken again from an old file.
- A serial that could never count, as a higher one has begun before it does, is refused as out of date.
- All licences of a pool have to agree on its vendor, scopes and ways of counting (`steps.must_agree`).
"""

from collections.abc import Iterable
from typing import NamedTuple

from licet.licences.errors import LicenceCode, LicenceRefused
from licet.licences.licence import SignedLicence
from licet.licences.steps import must_agree


class Installed(NamedTuple):
    """A licence that is installed, or was until somebody removed it."""

    licence: SignedLicence
    is_removed: bool = False


def is_new(licence: SignedLicence, installed: Iterable[Installed], now_ms: int) -> bool:
    """Whether this licence is to be added to those of its tenant; False if it is installed already.

    Licences of the same file count as installed once they were added. Raises LicenceRefused.
    """
    known = tuple(installed)
    for one in known:
        if one.licence.key != licence.key:
            continue
        if one.is_removed and licence.serial <= one.licence.serial:
            problem = f"serial {one.licence.serial} of {licence.licence} was removed here"
            raise LicenceRefused(LicenceCode.REMOVED_SERIAL, problem, field="serial")
        if one.is_removed:
            continue
        if one.licence.serial == licence.serial:
            if one.licence.text.rsplit(".", 1)[0] == licence.text.rsplit(".", 1)[0]:  # a twin is the same
                return False
            problem = f"another licence is installed as serial {licence.serial} of {licence.licence}"
            raise LicenceRefused(LicenceCode.SERIAL_TAKEN, problem, field="serial")
        if one.licence.serial > licence.serial and one.licence.begins_at_ms <= max(
            licence.begins_at_ms, now_ms
        ):
            problem = f"serial {one.licence.serial} of {licence.licence} is installed and has taken its place"
            raise LicenceRefused(LicenceCode.OUT_OF_DATE, problem, field="serial")
    must_agree([*(one.licence for one in known if not one.is_removed), licence], now_ms)
    return True
