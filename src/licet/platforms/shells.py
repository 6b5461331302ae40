"""Quotes words for the shell of this system, and reads the words of a command that was typed as one."""

import os
import shlex
from typing import Final

IS_POWERSHELL: Final = os.sep == "\\"


def quoted(text: str) -> str:
    """A word for a line to paste into a shell: on Windows into PowerShell."""
    return shlex.quote(text) if not IS_POWERSHELL else quoted_for_powershell(text)


def quoted_for_powershell(text: str) -> str:
    """A word in PowerShell, which has two ways to write a quote within quotes."""
    if text and all(letter.isalnum() or letter in "_-.:\\/=+" for letter in text):
        return text
    return "'" + text.replace("'", "''") + "'"


def words_of(command: str) -> list[str]:
    """The words of a command that a user has typed as one; none where its quotes have no end."""
    lexer = shlex.shlex(command, posix=True, punctuation_chars=False)
    lexer.whitespace_split, lexer.commenters = True, ""
    if IS_POWERSHELL:
        lexer.escape = ""  # a backslash parts folders
    try:
        return list(lexer)
    except ValueError:
        return []
