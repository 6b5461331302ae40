"""Defines why a command of a vendor is refused, as data: a code, and a text that says what is wrong.

The text names no verb of the command line; which one helps stands in `licet.cli.errors`, by the code.
"""

from enum import StrEnum
from pathlib import Path


class VendorCode(StrEnum):
    """What is wrong."""

    UNREADABLE = "unreadable"
    UNWRITABLE = "unwritable"
    ALREADY_THERE = "already_there"
    OPEN_TO_OTHERS = "open_to_others"
    DAMAGED = "damaged"
    NO_VENDOR = "no_vendor"
    VENDOR_THERE = "vendor_there"
    NO_KEY = "no_key"
    NO_PRIVATE_KEY = "no_private_key"
    WRONG_KEY = "wrong_key"
    TOO_MANY_KEYS = "too_many_keys"
    WRONG_PASSPHRASE = "wrong_passphrase"  # noqa: S105 - a code, no secret
    WEAK_PASSPHRASE = "weak_passphrase"  # noqa: S105 - the same
    SIGNER_FAILED = "signer_failed"
    REGISTER_FAILED = "register_failed"
    SERIAL_TAKEN = "serial_taken"
    BAD_ORDER = "bad_order"
    BAD_STATEMENT = "bad_statement"


class VendorRefused(Exception):
    """The command is refused; the text says why, and never holds a passphrase or a private key.

    `directory` is the vendor's, where the refusal is about that.
    """

    def __init__(self, code: VendorCode, text: str, *, directory: Path | None = None) -> None:
        super().__init__(text)
        self.code = code
        self.directory = directory
