"""Finds the blank lines of what comes in, in whatever pieces it comes.

Heads and chunked bodies end with a blank line and nowhere else: the parser, as it is configured, takes no
line end but CR LF. So bytes up to a blank line never reach into the next message.
"""

from typing import Final

_BLANK_LINE: Final = b"\r\n\r\n"
_BYTES: Final = len(_BLANK_LINE)
_KEPT: Final = _BYTES - 1  # that may be the beginning of a blank line


class BlankLines:
    """The blank lines of one connection."""

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last = b""  # the last bytes, unless a blank line ended with them

    @property
    def is_behind_one(self) -> bool:
        """Whether the bytes so far end with a blank line."""
        return not self._last

    def end_of(self, data: bytes, at: int) -> int:
        """Where the bytes from `at` on have had a blank line; their end if there is none.

        The next call goes on behind that place. The bytes there are not copied, so that a flood of blank
        lines does not cost the square of its length.
        """
        last = self._last
        if last:
            begun = (last + data[at : at + _KEPT]).find(_BLANK_LINE)
            if begun >= 0:
                self._last = b""
                return at + begun + _BYTES - len(last)
        found = data.find(_BLANK_LINE, at)
        if found >= 0:
            self._last = b""
            return found + _BYTES
        self._last = (last + data[max(at, len(data) - _KEPT) :])[-_KEPT:]
        return len(data)
