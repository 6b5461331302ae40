"""A vendor's directory with a key, which is made once in a process and copied for each test.

Its passphrase is hashed with a low cost; tests/vendor/test_private_keys.py tests the real cost.
"""

import shutil
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import pytest

from licet.vendor import pkcs8
from support.cli.command_line import run

PASSPHRASE = "correct horse battery staple wren"
HASH = "2RPcS67qy7OeMdQR0OI5PasHIPqgqGmm6DoDkp4q-Ng"  # of an installation
SIGN = ("--customer", "C-1", "--tenant", "Jim_Test", "--pool", "full=25")


@cache
def _made() -> Path:
    directory = Path(mkdtemp(prefix="licet-vendor-")) / "vendor"
    arguments = ("--vendor", "acme", "--product", "jim2-api", "-o", str(directory), "--passphrase-stdin")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(pkcs8, "SCRYPT_N", 2)
        patched.setattr(pkcs8, "SCRYPT_P", 1)
        run("vendor", "key", "new", *arguments, stdin=f"{PASSPHRASE}\n")
    return directory


class VendorSite:
    """A vendor's directory, with the commands that a test runs on it."""

    def __init__(self, base: Path) -> None:
        self.directory = Path(shutil.copytree(_made(), base / "vendor"))
        self.file = base / "c1.licence"

    def sign(self, *arguments: str, exit_code: int = 0, stdin: str = f"{PASSPHRASE}\n") -> str:
        """Sign a licence for C-1 with these additional options, and return the output."""
        key = ("--key", str(self.directory), "--passphrase-stdin", "-o", str(self.file))
        result = run("vendor", "sign", *key, *SIGN, *arguments, stdin=stdin, exit_code=exit_code)
        return result.output

    def error(self, *arguments: str, exit_code: int = 1, stdin: str = f"{PASSPHRASE}\n") -> str:
        """The message of a `licet vendor` command that fails, which must be one line."""
        result = run("vendor", *arguments, exit_code=exit_code, stdin=stdin)
        assert not result.stdout
        (line,) = result.stderr.splitlines()
        said, _, text = line.partition(": ")
        assert said == "licet"
        return text
