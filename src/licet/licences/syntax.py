"""Defines the syntax of names, ids and texts in a licence or vendor's file, as regular expressions.

Names of tenants, pools and scopes are spelt as Licet spells them (`licet.model`), which this room must not
import; a test holds the two together.
"""

import re
from typing import Final

# Without control characters, which a terminal or a log would obey, and without halves of characters.
TEXT: Final = re.compile(r"(?! )[^\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]{1,100}(?<! )")
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")  # of a tenant, and of a pool
ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
WORD: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,64}")  # RFC 6749 App. A.4: scope-token
HASH: Final = re.compile(r"[A-Za-z0-9_-]{43}")  # 32 bytes in base64url
DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")

TEXT_IS: Final = "text of 1 to 100 characters, without control characters or a space at either end"
NAME_IS: Final = "1 to 64 letters, digits, _ . -, and begins with a letter or digit"
ID_IS: Final = "1 to 64 of A-Z a-z 0-9 . _ -"
WORD_IS: Final = '1 to 64 printable ASCII characters without space, " and \\'
