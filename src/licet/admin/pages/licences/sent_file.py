"""Reads what was sent with a form: a file that was chosen, or its text that was pasted.

A form sends both (RFC 7578); the file counts where one was chosen. What is pasted from a mail has blanks at
the ends of its lines, which say nothing and are taken away: what is signed is on the lines.
"""

from typing import NamedTuple

from fastapi import Request
from starlette.datastructures import UploadFile

from licet.admin.context import form_of
from licet.admin.pages.frame import Posted

FILE, TEXT = "file", "text"  # fields of a form


class Sent(NamedTuple):
    """What was sent, and its text for the form, where it is one; `name` is that of a file."""

    content: bytes
    text: str
    name: str


async def sent_file(request: Request, posted: Posted) -> Sent:
    """What was sent, which is empty where nothing was.

    Raises Problem.
    """
    found = (await form_of(request)).get(FILE)
    if isinstance(found, UploadFile) and found.filename:
        content = await found.read()
        await found.close()
        return Sent(content, _shown(content), found.filename)
    text = "\n".join(line.strip() for line in posted.text(TEXT).strip().splitlines())
    return Sent(f"{text}\n".encode() if text else b"", text, "")


def _shown(content: bytes) -> str:
    """The text of a file, to be shown again; '' where it is none."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return ""
    return text if all(char.isprintable() or char in "\t\r\n" for char in text) else ""
