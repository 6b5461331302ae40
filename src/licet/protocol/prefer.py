"""Reads how long a client would like to wait, of `Prefer: wait=30` (RFC 7240 4.3).

The rules:

- There may be several headers, each with several preferences, and with parameters (RFC 7240 2); what is not
  known is ignored, and so is a header that is not well-formed.
- Of a preference that is there twice the first counts, even where it has no usable value (RFC 7240 2).
- A client waits for 60 seconds at most: one that would like more waits for 60.
"""

import re
from collections.abc import Iterable
from typing import Final

from licet.protocol.errors import Header

WAIT_S_MAX: Final = 60
"""Proxies give up an answer after a minute (nginx: proxy_read_timeout)."""

_SECONDS_DIGITS_MAX: Final = 10  # delta-seconds: 2^31 may stand for more (RFC 9111 1.2.2)

# RFC 9110 5.6.2 to 5.6.4: token, quoted-string with quoted-pair, and the white space around them. Nothing is
# tried twice (`*+`): else a header could take as long as it likes to be read.
_NAME: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]++"
_WORD: Final = rf'(?:{_NAME}|"(?:[^"\\\x00-\x08\x0a-\x1f\x7f]|\\[^\x00-\x08\x0a-\x1f\x7f])*+")'
_VALUE: Final = rf"(?:[ \t]*+=[ \t]*+{_WORD}?)?"
_PARAMETERS: Final = rf"(?:[ \t]*+;[ \t]*+(?:{_NAME}{_VALUE})?)*+"
_PREFERENCE: Final = re.compile(
    rf"[ \t]*+(?:({_NAME})(?:[ \t]*+=[ \t]*+({_WORD})?)?{_PARAMETERS})?[ \t]*+(?:,|\Z)"
)


def wait_s(headers: Iterable[tuple[bytes, bytes]]) -> int:
    """For how many seconds a client would like to wait, `WAIT_S_MAX` at most; 0 where it would not."""
    for name, value in headers:
        if name == b"prefer" and (found := _wait_of(value.decode("latin-1"))) is not None:
            return min(int(found), WAIT_S_MAX) if _is_seconds(found) else 0
    return 0


def applied(seconds: int) -> Header:
    """The header of an answer that says so (RFC 7240 3)."""
    return (b"preference-applied", b"wait=%d" % seconds)


def _wait_of(text: str) -> str | None:
    """The value of the first `wait` of a header, '' where it has none; None where there is no such one."""
    at = 0
    while at < len(text):
        match = _PREFERENCE.match(text, at)
        if match is None:
            return None
        if (match[1] or "").lower() == "wait":
            return _plain(match[2] or "")
        at = match.end()
    return None


def _plain(word: str) -> str:
    return re.sub(r"\\(.)", r"\1", word[1:-1]) if word.startswith('"') else word


def _is_seconds(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= _SECONDS_DIGITS_MAX
