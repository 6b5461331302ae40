"""Takes an options file apart into lines and words, and bounds how much of it is read.

    lines_of(b"GROUP sales anne", FLEXNET) -> [Line(first=1, last=1, words=("GROUP", "sales", "anne"), ...)]

The rules:

- Each line of the file is in exactly one `Line`, also a blank one and a comment: `first` to `last` say which.
- A line that cannot be read says why, in `wrong`; it never stops the lines behind it.
- Only space and tab are between words. Any other character that is not printable makes a line wrong: it could
  look like a space, or take over a terminal.
- A comment may have any bytes: what is in it means nothing. It has a line of its own: a # behind other words
  makes the line wrong, as the words of a comment could be taken for names.
"""

import re
from typing import Final

from licet.formats import printable
from licet.model import Value

FILE_BYTES_MAX: Final = 1_048_576  # a guess: a thousand groups of a hundred names
LINES_MAX: Final = 10_000
JOINED_CHARS_MAX: Final = 65_536  # of lines joined by \: more is no list that a person has written

_MARK = b"\xef\xbb\xbf"  # U+FEFF in UTF-8, which editors of Windows put first
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_WORD = re.compile(r'(?:[^ \t"]|"[^"]*")+')
_TABS_AND_SPACES = " \t"
COMMENT: Final = "#"


class FileUnreadable(Exception):
    """The file as a whole cannot be read; the text says why."""


class Layout(Value, frozen=True, kw_only=True):
    """How a format writes lines: its name, the longest line it reads, and what else it allows."""

    name: str
    line_chars_max: int
    joins_lines: bool  # by a \ at the end
    forbidden: str  # characters that no word has


FLEXNET: Final = Layout(name="FlexNet", line_chars_max=4000, joins_lines=True, forbidden="")
RLM: Final = Layout(name="RLM", line_chars_max=1024, joins_lines=False, forbidden="<>&\"'`")


class Line(Value, frozen=True, kw_only=True):
    """One line, or several that are joined; without words it is blank or a comment."""

    first: int
    last: int
    text: str = ""  # printable, as it stands in the file
    words: tuple[str, ...] = ()
    wrong: str = ""  # why its words cannot be read

    @property
    def where(self) -> str:
        """`line 3`, or `lines 3 to 5`."""
        return f"line {self.first}" if self.first == self.last else f"lines {self.first} to {self.last}"


def lines_of(content: bytes, layout: Layout) -> list[Line]:
    """All lines of a file.

    Raises FileUnreadable.
    """
    if len(content) > FILE_BYTES_MAX:
        raise FileUnreadable(f"an options file has {FILE_BYTES_MAX} bytes at most")
    if content.startswith(_UTF16):
        raise FileUnreadable("it is UTF-16; save it as UTF-8")
    if b"\r" in content.rstrip(b"\r") and b"\n" not in content:
        # As old editors of the Mac wrote it: all of it would be one line, or one comment.
        raise FileUnreadable("its lines end with CR alone; save it with the line ends of Unix or Windows")
    raw = content.removeprefix(_MARK).split(b"\n")
    if raw[-1] == b"":
        raw.pop()  # what is behind the last line end is no line
    if len(raw) > LINES_MAX:
        raise FileUnreadable(f"an options file has {LINES_MAX} lines at most, and this has {len(raw)}")
    found, at = [], 0
    while at < len(raw):
        end = _end_of(raw, at) if layout.joins_lines else at
        found.append(_line(raw[at : end + 1], at + 1, layout))
        at = end + 1
    return found


def _end_of(raw: list[bytes], at: int) -> int:
    """The last of the lines that are joined with this one; a comment is never joined."""
    while not raw[at].lstrip(b" \t").startswith(b"#") and _is_continued(raw[at]) and at + 1 < len(raw):
        at += 1
    return at


def _is_continued(line: bytes) -> bool:
    return line.rstrip(b" \t\r").endswith(b"\\")


def _line(raw: list[bytes], first: int, layout: Layout) -> Line:
    last = first + len(raw) - 1
    if len(raw) == 1 and (not raw[0].strip() or raw[0].lstrip(b" \t").startswith(b"#")):
        return Line(first=first, last=last)
    parts, wrong = [], ""
    for number, part in enumerate(raw, first):
        text, why = _decoded(part.removesuffix(b"\r"), layout)
        wrong = wrong or (f"line {number}: {why}" if why and len(raw) > 1 else why)
        parts.append(text.rstrip(_TABS_AND_SPACES).removesuffix("\\") if layout.joins_lines else text)
    joined = " ".join(part.strip(_TABS_AND_SPACES) for part in parts).strip()
    if not wrong and len(joined) > JOINED_CHARS_MAX:
        wrong = f"joined, its lines have more than {JOINED_CHARS_MAX} characters"
    words, why = ((), wrong) if wrong else _words(joined, layout)
    text = printable(joined.replace("\t", " "))
    return Line(first=first, last=last, text=text, words=words, wrong=why)


def _decoded(raw: bytes, layout: Layout) -> tuple[str, str]:
    """The text of a line, and why it cannot be read, if it cannot."""
    text = raw.decode("utf-8", errors="replace")
    if len(text) > layout.line_chars_max:
        return (
            text,
            f"{layout.name} reads {layout.line_chars_max} characters of a line, and it has {len(text)}",
        )
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return text, "it is not UTF-8; save the file as UTF-8"
    strange = next((char for char in text if not char.isprintable() and char != "\t"), None)
    return text, "" if strange is None else f"it has a character that cannot be seen, U+{ord(strange):04X}"


def _words(text: str, layout: Layout) -> tuple[tuple[str, ...], str]:
    """The words, without the quotation marks that hold some together, and what is wrong with them."""
    for char in layout.forbidden:
        if char in text:
            return (), f"{layout.name} allows no {char} in an option"
    if text.count('"') % 2:
        return (), "a quotation mark is left open"
    words = _WORD.findall(text)
    if any(word.startswith(COMMENT) for word in words):
        return (), f"a comment has a line of its own; what begins with {COMMENT} here would be read as words"
    return tuple(word.replace('"', "") for word in words), ""
