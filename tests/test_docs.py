"""The documentation is true: its lines run, its links lead somewhere, and nothing there is goes unmentioned.

In a page a block of `bash` is run as it stands, in the order of the page, by a shell that stays the same. A
block of `json` or `text` behind it is what it prints, with `...` for what is another each time. `bash server`
is for a terminal of its own and goes on until the page ends; `bash refused` is expected to fail. Blocks
of `sh` are for people: they need another machine, or a package index.
"""

import ast
import json
import os
import re
import select
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, Self

import pytest

from licet.cli.demo import TENANT
from licet.model import EndReason, NoSeatReason, Value
from licet.protocol.errors import Refusal
from licet.settings import Settings

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
HOW_TO = sorted((DOCS / "how-to").glob("*.md"))
URL = "http://127.0.0.1:8080"  # what the pages call their server
PATIENCE_S = 30.0  # for what must happen: a test that waits as long as this has failed
MOMENTS = frozenset({"exp", "iat", "retry_after"})  # numbers that are others each time

_FENCE = re.compile(r"^```(\w*)(?: (\w+))?\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
_DONE = "-- done:"


class Block(NamedTuple):
    """A fenced block of a page."""

    language: str
    kind: str
    text: str


class Step(NamedTuple):
    """Lines to paste, and the block that tells what they print."""

    kind: str
    lines: str
    told: Block | None


def steps(page: Path) -> Iterator[Step]:
    """The lines of a page that run, each with what it prints."""
    blocks = [Block(*found.groups("")) for found in _FENCE.finditer(page.read_text(encoding="utf-8"))]
    for block, following in zip(blocks, [*blocks[1:], None], strict=True):
        if block.language == "bash":
            told = following if following and following.language in {"json", "text"} else None
            yield Step(block.kind, block.text, told)


class Terminal:
    """A shell into which lines are pasted. `licet` is on its path, and `.venv` where it starts."""

    def __init__(self, directory: Path, **variables: str) -> None:
        self.directory = directory
        (directory / ".venv").symlink_to(sys.prefix)
        others = {key: value for key, value in os.environ.items() if not key.startswith("LICET_")}
        path = f"{sys.prefix}/bin{os.pathsep}{os.environ['PATH']}"
        self.environment = {**others, "PATH": path, "TMPDIR": str(directory), **variables}
        self._shell = self.start("bash", stderr=subprocess.STDOUT)
        self._servers: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in (*self._servers, self._shell):
            os.killpg(process.pid, signal.SIGTERM)  # with what runs in it
            process.communicate(timeout=PATIENCE_S)

    def start(self, *command: str, stderr: int) -> "subprocess.Popen[bytes]":
        """Run a command where the terminal is."""
        return subprocess.Popen(
            command,
            cwd=self.directory,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            start_new_session=True,
        )

    def paste(self, lines: str) -> tuple[str, int]:
        """What these lines print, and the exit code of the last one."""
        assert self._shell.stdin is not None
        self._shell.stdin.write(f"{lines}\nprintf '\\n%s%s\\n' '{_DONE}' $?\n".encode())
        self._shell.stdin.flush()
        printed = self._read_until(_DONE)
        text, _, exit_code = printed.rpartition(_DONE)
        return text.strip(), int(exit_code)

    def serve(self, lines: str) -> str:
        """Run a server in a terminal of its own; its URL, once it listens."""
        process = self.start("bash", "-c", f"exec 2>&1\n{lines}", stderr=subprocess.STDOUT)
        self._servers.append(process)
        assert process.stdout is not None
        for line in process.stdout:
            if b'"event": "started"' in line:
                url: str = json.loads(line)["url"]
                return url
        raise AssertionError(f"it did not start: {lines}")

    def _read_until(self, end: str) -> str:
        assert self._shell.stdout is not None
        descriptor = self._shell.stdout.fileno()
        printed = b""
        while not re.search(rf"{end}\d+\n$", printed.decode(errors="replace")):
            ready, _, _ = select.select([descriptor], [], [], PATIENCE_S)
            read = os.read(descriptor, 65_536) if ready else b""
            assert read, printed.decode(errors="replace")
            printed += read
        return printed.decode()


@contextmanager
def demo(directory: Path) -> Iterator[tuple[Terminal, str]]:
    """A terminal beside a running demo, and the demo's URL."""
    with Terminal(directory, LICET_DATA=str(directory / "licet-data"), LICET_TENANT=TENANT) as terminal:
        yield terminal, terminal.serve(f"licet demo --port 0 --data {directory / 'licet-data'}")


def follow(page: Path, terminal: Terminal, url: str = URL) -> int:
    """Do what a page says, and hold what comes against what it tells; how many blocks that were."""
    count = 0
    for step in steps(page):
        count += 1
        lines = step.lines.replace(URL, url)
        if step.kind == "server":
            url = terminal.serve(lines)
            continue
        printed, exit_code = terminal.paste(lines)
        assert (exit_code == 0) == (step.kind != "refused"), f"{lines}\n{printed}"
        if step.told is None:
            continue
        told = step.told.text.replace(URL, url)
        if step.told.language == "json":
            must_fit(json.loads(told), json.loads(printed.splitlines()[-1]), lines)
        else:
            assert pattern(told).fullmatch(printed), f"{lines}\nprints:\n{printed}\nand not:\n{told}"
    return count


def pattern(told: str) -> re.Pattern[str]:
    """A text in which `...` stands for anything, and any space for any other."""
    parts = (re.escape(part) for part in re.split(r"(\.\.\.|\s+)", told.strip()))
    anything, space = re.escape("..."), re.compile(r"(?:\\?\s)+")
    return re.compile(
        "".join(".*?" if part == anything else r"\s+" if space.fullmatch(part) else part for part in parts),
        re.DOTALL,
    )


def must_fit(told: object, found: object, lines: str, key: str = "") -> None:
    """Return if what was found is what a page tells."""
    match told, found:
        case dict(), dict():
            assert told.keys() == found.keys(), f"{lines}\nprints: {found}"
            for name in told:
                must_fit(told[name], found[name], lines, name)
        case str(), str():
            assert pattern(told).fullmatch(found), f"{lines}\n{key}: {found}"
        case int(), int() if key in MOMENTS:
            pass
        case _:
            assert told == found, f"{lines}\n{key}: {found}"


class TestLines:
    """What a page tells to paste does what it says."""

    def test_the_tour_of_the_readme(self, tmp_path: Path) -> None:
        """Beside a demo that keeps its data where it likes."""
        with Terminal(tmp_path) as terminal:
            url = terminal.serve("licet demo --port 0")
            assert follow(ROOT / "README.md", terminal, url) > 5

    def test_the_tutorial(self, tmp_path: Path) -> None:
        """From an empty directory to the end."""
        with Terminal(tmp_path, LICET_PORT="0") as terminal:
            assert follow(DOCS / "tutorial" / "first-seat.md", terminal) > 10

    @pytest.mark.parametrize("page", [page for page in HOW_TO if any(steps(page))], ids=lambda page: page.stem)
    def test_a_how_to(self, page: Path, tmp_path: Path) -> None:
        """Beside a demo, whose data directory is in LICET_DATA."""
        with demo(tmp_path) as (terminal, url):
            assert follow(page, terminal, url)

    def test_the_examples_of_the_token_page(self, tmp_path: Path) -> None:
        """Those for a shell; those in C# need another machine."""
        with demo(tmp_path) as (terminal, url):
            assert follow(DOCS / "reference" / "token.md", terminal, url)
