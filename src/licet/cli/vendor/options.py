"""Defines the options that the verbs of a vendor share, and asks for passphrases.

A passphrase is asked for on a terminal, twice when it is new, or read from standard input: never from an
argument or a variable, which others can read.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from licet.cli.errors import WrongUse

PASSPHRASE_READ_MAX = 1024  # characters of a line of standard input: more than one may have

Key = Annotated[
    Path,
    typer.Option(
        "--key", metavar="DIR", readable=False, show_default=False, help="The vendor's directory: vendor."
    ),
]
PassphraseStdin = Annotated[
    bool, typer.Option("--passphrase-stdin", help="Read the passphrase from standard input, one line.")
]
Public = Annotated[
    Path | None,
    typer.Option(
        "--public",
        metavar="FILE",
        readable=False,
        help="The public key, in PEM or as a JWK, of a private key in an HSM. No key is made then.",
    ),
]
VENDOR = Path("vendor")


def ask_passphrase(what: str, *, is_new: bool, from_stdin: bool) -> str:
    """The passphrase of a key.

    Raises WrongUse where there is none to be had.
    """
    if from_stdin:
        return _of_stdin()
    if not sys.stdin.isatty():
        raise WrongUse(
            f"the passphrase of {what} is asked for on a terminal; elsewhere say --passphrase-stdin"
        )
    # Asked for on stderr: a licence may go to standard output.
    return str(typer.prompt(f"Passphrase of {what}", hide_input=True, confirmation_prompt=is_new, err=True))


def _of_stdin() -> str:
    try:
        line = sys.stdin.readline(PASSPHRASE_READ_MAX).rstrip("\r\n")
        line.encode()  # what was no text may have been read as halves of characters
    except UnicodeError:
        raise WrongUse("the passphrase on standard input is no text in UTF-8") from None
    if not line:
        raise WrongUse("there is no passphrase on standard input")
    return line
