"""Takes the licences out of a file, and puts one into its armour for people to send.

    -----BEGIN LICET LICENCE-----
    eyJhbGciOiJFUzI1NiIsImtpZCI6Ii4uLg... in lines of 64 characters
    -----END LICET LICENCE-----

A file has one licence or more, and beside them blank lines only: what else stood there would look as if it
were signed. Lines end as on Unix or as on Windows, all of a file alike, and a byte order mark may stand
first: editors add that, and it changes nothing that is signed.
"""

from typing import Final

from licet.licences.errors import LicenceCode, LicenceRefused
from licet.licences.jws import LICENCE_BYTES_MAX

LICENCES_MAX: Final = 16  # of one file
FILE_BYTES_MAX: Final = 300_000  # 16 licences of 16 KiB, their armour and line ends
LINE_CHARS: Final = 64  # as PEM has them (RFC 7468 2)
BEGIN: Final = "-----BEGIN LICET LICENCE-----"
END: Final = "-----END LICET LICENCE-----"

_MARK = b"\xef\xbb\xbf"  # U+FEFF in UTF-8


def split(content: bytes) -> tuple[str, ...]:
    """The licences of a file, each as a compact JWS; nothing of them is verified yet.

    Raises LicenceRefused.
    """
    if len(content) > FILE_BYTES_MAX:
        problem = f"a file of licences has {FILE_BYTES_MAX} bytes at most"
        raise LicenceRefused(LicenceCode.TOO_LARGE, problem, limit=FILE_BYTES_MAX)
    content = content.removeprefix(_MARK)
    if BEGIN.encode() not in content:
        raise LicenceRefused(LicenceCode.NOT_A_LICENCE, f"no line of the file is {BEGIN}")
    try:
        text = content.decode("ascii")
    except UnicodeDecodeError:
        raise _damaged("there are characters in it that no licence has") from None
    found = _licences(_lines(text))
    if len(found) > LICENCES_MAX:
        problem = f"a file has {LICENCES_MAX} licences at most, and this has {len(found)}"
        raise LicenceRefused(LicenceCode.TOO_MANY, problem, limit=LICENCES_MAX)
    return found


def armoured(text: str) -> str:
    """A compact JWS in its armour, with a line end behind it."""
    lines = [text[at : at + LINE_CHARS] for at in range(0, len(text), LINE_CHARS)]
    return "\n".join([BEGIN, *lines, END, ""])


def _lines(text: str) -> list[str]:
    if "\r" in text:
        if not text.count("\r\n") == text.count("\r") == text.count("\n"):
            raise _damaged("its lines do not all end alike")
        text = text.replace("\r\n", "\n")
    return text.split("\n")


def _licences(lines: list[str]) -> tuple[str, ...]:
    found: list[str] = []
    inside: list[str] | None = None
    for number, line in enumerate(lines, 1):
        if inside is None:
            if line == BEGIN:
                inside = []
            elif line:
                raise _damaged(f"line {number} belongs to no licence")
        elif line == END:
            found.append(_joined(inside, number))
            inside = None
        else:
            inside.append(line)
    if inside is not None:
        raise _damaged(f"it breaks off: the last licence has no line {END}")
    return tuple(found)


def _joined(lines: list[str], number: int) -> str:
    *whole, last = lines or [""]
    if any(len(line) != LINE_CHARS for line in whole) or not 0 < len(last) <= LINE_CHARS:
        raise _damaged(f"a line of the licence that ends in line {number} was broken, joined or lost")
    text = "".join(lines)
    if len(text) > LICENCE_BYTES_MAX:
        problem = f"a licence has {LICENCE_BYTES_MAX} bytes at most"
        raise LicenceRefused(LicenceCode.TOO_LARGE, problem, limit=LICENCE_BYTES_MAX)
    return text


def _damaged(why: str) -> LicenceRefused:
    return LicenceRefused(LicenceCode.DAMAGED_FILE, f"the file is damaged: {why}")
