"""Defines why a licence or a vendor's file is refused: a code, the member, the bound, and what helps.

    raise LicenceRefused(LicenceCode.OUT_OF_RANGE, "serial is 1 to 2147483647", field="serial", limit=1)

The rules:

- The text says what is wrong, and `advice` what helps; `str()` has both. Neither names a command, an
  operation of an API or a page, so that every face can show it.
- What the text repeats of a file is short, and has no control characters.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

_SHOWN_MAX: Final = 60  # characters of what a file says


class LicenceCode(StrEnum):
    """What is wrong. Programs depend on these words: one is never given another meaning."""

    # The file
    TOO_LARGE = "too_large"
    TOO_MANY = "too_many"
    NOT_A_LICENCE = "not_a_licence"
    DAMAGED_FILE = "damaged_file"
    # The JWS
    MALFORMED = "malformed"
    SEVERAL_SIGNATURES = "several_signatures"
    WRONG_ALGORITHM = "wrong_algorithm"
    WRONG_TYPE = "wrong_type"
    UNKNOWN_HEADER = "unknown_header"
    UNKNOWN_KEY = "unknown_key"
    BAD_SIGNATURE = "bad_signature"
    # What it says
    NOT_JSON = "not_json"
    DUPLICATE_MEMBER = "duplicate_member"
    NOT_A_WHOLE_NUMBER = "not_a_whole_number"
    MISSING_CLAIM = "missing_claim"
    WRONG_VALUE = "wrong_value"
    OUT_OF_RANGE = "out_of_range"
    UNKNOWN_POOL_MEMBER = "unknown_pool_member"
    UNKNOWN_MUST = "unknown_must"
    NOT_TOGETHER = "not_together"
    # For whom it is
    OTHER_VENDOR = "other_vendor"
    OTHER_PRODUCT = "other_product"
    OTHER_TENANT = "other_tenant"
    OTHER_INSTALLATION = "other_installation"
    UPDATES_ENDED = "updates_ended"
    # Beside others
    SERIAL_TAKEN = "serial_taken"
    REMOVED_SERIAL = "removed_serial"
    OUT_OF_DATE = "out_of_date"
    TWO_VENDORS = "two_vendors"
    NO_COMMON_SCOPE = "no_common_scope"
    NO_COMMON_HOLDER = "no_common_holder"
    # The vendor's file
    NOT_A_VENDOR = "not_a_vendor"
    PRIVATE_KEY = "private_key"
    UNSUPPORTED_KEY = "unsupported_key"
    WRONG_KID = "wrong_kid"


_AS_SENT: Final = "use the file exactly as the vendor sent it, or ask the vendor to send it again"
_SIGN_AGAIN: Final = "ask the vendor for a new licence"
_VENDOR_FILE: Final = "ask the vendor for vendor.json again"

ADVICE: Final[Mapping[LicenceCode, str]] = MappingProxyType(
    {
        LicenceCode.TOO_LARGE: "check that it is the licence and not another file",
        LicenceCode.TOO_MANY: "ask the vendor to put them into fewer, larger ones",
        LicenceCode.NOT_A_LICENCE: "check that it is the licence and not another file",
        LicenceCode.DAMAGED_FILE: _AS_SENT,
        LicenceCode.MALFORMED: _AS_SENT,
        LicenceCode.SEVERAL_SIGNATURES: "ask the vendor for one in the compact form, with one signature",
        LicenceCode.WRONG_ALGORITHM: "ask the vendor for a licence that is signed with ES256",
        LicenceCode.WRONG_TYPE: "check that it is the licence and not another token",
        LicenceCode.UNKNOWN_HEADER: _SIGN_AGAIN,
        LicenceCode.UNKNOWN_KEY: "if the vendor has a new key, get the vendor's newest vendor.json first",
        LicenceCode.BAD_SIGNATURE: _AS_SENT,
        LicenceCode.NOT_JSON: _SIGN_AGAIN,
        LicenceCode.DUPLICATE_MEMBER: _SIGN_AGAIN,
        LicenceCode.NOT_A_WHOLE_NUMBER: _SIGN_AGAIN,
        LicenceCode.MISSING_CLAIM: _SIGN_AGAIN,
        LicenceCode.WRONG_VALUE: _SIGN_AGAIN,
        LicenceCode.OUT_OF_RANGE: _SIGN_AGAIN,
        LicenceCode.UNKNOWN_POOL_MEMBER: "it limits in a way that this version does not know; upgrade first",
        LicenceCode.UNKNOWN_MUST: "it limits in a way that this version does not know; upgrade first",
        LicenceCode.NOT_TOGETHER: _SIGN_AGAIN,
        LicenceCode.OTHER_VENDOR: "check that it is the licence of this product",
        LicenceCode.OTHER_PRODUCT: "check that it is the licence of this product",
        LicenceCode.OTHER_TENANT: "install it in that tenant, or ask the vendor for one for this tenant",
        LicenceCode.OTHER_INSTALLATION: "send the vendor the hash that the product shows here, for a new one",
        LicenceCode.UPDATES_ENDED: "ask the vendor to extend the updates, or go back to the older build",
        LicenceCode.SERIAL_TAKEN: "ask the vendor to sign it again, with the next serial",
        LicenceCode.REMOVED_SERIAL: "ask the vendor for a new serial",
        LicenceCode.OUT_OF_DATE: "use the newest file of the vendor",
        LicenceCode.TWO_VENDORS: "remove the licences of one of them, or ask for another name of the pool",
        LicenceCode.NO_COMMON_SCOPE: "ask the vendor for licences of this pool that agree",
        LicenceCode.NO_COMMON_HOLDER: "ask the vendor for licences of this pool that agree",
        LicenceCode.NOT_A_VENDOR: _VENDOR_FILE,
        LicenceCode.PRIVATE_KEY: (
            "whoever has it can sign licences: show it to nobody, and take the vendor.json without it"
        ),
        LicenceCode.UNSUPPORTED_KEY: _VENDOR_FILE,
        LicenceCode.WRONG_KID: _VENDOR_FILE,
    }
)


class LicenceRefused(Exception):
    """A licence or a vendor's file is refused.

    `field` is the path of the member, `pools.full.seats`, or '' where no member is to blame; `limit` the
    bound that it does not keep.
    """

    def __init__(self, code: LicenceCode, text: str, *, field: str = "", limit: int | None = None) -> None:
        super().__init__(f"{text}; {ADVICE[code]}")
        self.code = code
        self.text = text
        self.field = field
        self.limit = limit

    @property
    def advice(self) -> str:
        """What to do next."""
        return ADVICE[self.code]


def shown(value: object) -> str:
    """A value of a file, short and harmless enough to stand in a message or on a terminal."""
    text = ascii(value) if not isinstance(value, str) or not value.isprintable() else repr(value)
    return text if len(text) <= _SHOWN_MAX else f"{text[:_SHOWN_MAX]}..."
