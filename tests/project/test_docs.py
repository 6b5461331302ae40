"""The documentation is true: its lines run, its links lead somewhere, and nothing there is goes unmentioned.

In a page a block of `bash` is pasted as it stands, in the order of the page, into a terminal that stays the
same; one of `python` is for an interpreter of its own, or with a name behind it for one that is kept open for
all blocks of that name. A block of `json` or `text` behind it is what it prints, with `...` for what is
another each time. `bash server` is for another terminal and goes on until the page ends. Blocks of `sh` are
for people: they need another machine, or a package index.
"""

import ast
import json
import os
import re
import runpy
import select
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import NamedTuple, Self

import pytest

from licet.cli.run.demo import TENANT
from licet.model import NoSeatReason
from licet.protocol.errors import Refusal
from licet.settings.model import Settings
from support.cli.pasting import Shell
from support.paths import _FENCE, ROOT, text_of

DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
HOW_TO = sorted((DOCS / "how-to").glob("*.md"))
URL = "http://127.0.0.1:8080"  # what the pages call their server
API_URL = "http://127.0.0.1:8000"  # and the API before which they put a guard
PATIENCE_S = 60.0  # for what must happen: a test that waits as long as this has failed
MOMENTS = frozenset({"exp", "iat", "retry_after"})  # numbers that are others each time

_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")  # of a picture as well
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
_DONE = "-- done:"
_RUNNING = re.compile(rb"(?:unning on|development server at) (http://[\w.:]+)")  # uvicorn, Flask, Django


class Block(NamedTuple):
    """A fenced block of a page: its language, what else stands behind the fence, and what is in it."""

    language: str
    kind: str
    text: str


class Step(NamedTuple):
    """Lines to paste, and the block that tells what they print."""

    block: Block
    told: Block | None


def steps(page: Path) -> Iterator[Step]:
    """The lines of a page that run, each with what it prints."""
    blocks = [Block(*found.groups("")) for found in _FENCE.finditer(page.read_text(encoding="utf-8"))]
    for block, following in zip(blocks, [*blocks, None][1:], strict=True):
        if block.language in {"bash", "python"}:
            yield Step(block, following if following and following.language in {"json", "text"} else None)


class Terminal:
    """A terminal into which lines are pasted. `licet` is on its path, and `.venv` where it starts."""

    def __init__(self, directory: Path, *, is_executed: bool = False, **variables: str) -> None:
        """`is_executed`: each `licet` starts as a program, and is not forked."""
        self.directory = directory
        (directory / ".venv").symlink_to(sys.prefix)
        others = {key: value for key, value in os.environ.items() if not key.startswith("LICET_")}
        path = f"{sys.prefix}/bin{os.pathsep}{os.environ['PATH']}"
        self.environment = {**others, "PATH": path, "TMPDIR": str(directory), "PYTHONUNBUFFERED": "1"}
        self.environment["PYTEST_ADDOPTS"] = "-p no:schemathesis -p no:hypothesispytest"  # which take seconds
        self.environment |= variables
        self._shell = Shell(directory, self.environment, is_executed=is_executed)
        self.environment |= self._shell.variables
        self._servers: list[subprocess.Popen[bytes]] = []
        self._interpreters: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._shell.close()
        for process in (*self._interpreters.values(), *self._servers):
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
        return self._shell.paste(lines)

    def converse(self, name: str, lines: str) -> tuple[str, int]:
        """What Python prints that is kept open under this name, with the value of each line."""
        if name not in self._interpreters:
            # What goes wrong is told among the errors, and missing in what is printed.
            self._interpreters[name] = self.start(sys.executable, "-i", "-q", stderr=subprocess.DEVNULL)
        return _told(self._interpreters[name], f"{lines}\nprint('{_DONE}0')\n")

    def interpret(self, lines: str) -> tuple[str, int]:
        """What Python prints for these lines, and its exit code."""
        process = self.start(sys.executable, "-", stderr=subprocess.STDOUT)
        printed, _ = process.communicate(lines.encode(), timeout=PATIENCE_S)
        return printed.decode().strip(), process.returncode

    def serve(self, lines: str) -> str:
        """Run a server in a terminal of its own, Licet or an API; its URL, once it listens."""
        process = self.start("bash", "-c", f"exec 2>&1\n{lines}", stderr=subprocess.STDOUT)
        self._servers.append(process)
        assert process.stdout is not None
        for line in process.stdout:
            if b'"event": "started"' in line:
                url: str = json.loads(line)["url"]
                return url
            if found := _RUNNING.search(line):
                return found[1].decode()
        raise AssertionError(f"it did not start: {lines}")


def _told(process: "subprocess.Popen[bytes]", lines: str) -> tuple[str, int]:
    """What an interpreter prints for these lines, and the number behind the mark at its end."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(lines.encode())
    process.stdin.flush()
    printed = b""
    while not re.search(rf"{_DONE}\d+\n$", printed.decode(errors="replace")):
        ready, _, _ = select.select([process.stdout], [], [], PATIENCE_S)
        read = os.read(process.stdout.fileno(), 65_536) if ready else b""
        assert read, printed.decode(errors="replace")
        printed += read
    text, _, number = printed.decode().rpartition(_DONE)
    return text.strip(), int(number)


@contextmanager
def demo(directory: Path) -> Iterator[tuple[Terminal, str]]:
    """A terminal beside a running demo, and the demo's URL."""
    with Terminal(directory, LICET_DATA=str(directory / "licet-data"), LICET_TENANT=TENANT) as terminal:
        yield (
            terminal,
            terminal.serve(f"licet demo --port 0 --admin-port 0 --data {directory / 'licet-data'}"),
        )


def follow(page: Path, terminal: Terminal, url: str = URL, *, blocks_max: int | None = None) -> int:
    """Do what a page says, and hold what comes against what it tells; how many blocks that were."""
    count, urls = 0, {URL: url, API_URL: API_URL}
    for count, (block, told) in enumerate(islice(steps(page), blocks_max), 1):  # noqa: B007 - the result
        lines = _at(urls, block.text)
        if block.kind == "server":
            server = URL if "licet" in lines else API_URL
            urls[server] = terminal.serve(re.sub(r"\b8000\b", "0", lines))
            continue
        printed, exit_code = _done(terminal, block, lines)
        deadline_s = time.monotonic() + PATIENCE_S
        # A failed authentication is in the journal a second later: no reader pastes as quickly as a test.
        while "Nothing like this happened" in printed and time.monotonic() < deadline_s:
            printed, exit_code = _done(terminal, block, lines)
        assert exit_code == 0, f"{lines}\n{printed}"
        if told is not None:
            must_print(told.language, _at(urls, told.text), printed, lines)
    return count


def _done(terminal: Terminal, block: Block, lines: str) -> tuple[str, int]:
    if block.language == "bash":
        return terminal.paste(lines)
    return terminal.converse(block.kind, lines) if block.kind else terminal.interpret(lines)


def _at(urls: Mapping[str, str], text: str) -> str:
    """A text of a page, with the servers where they really are."""
    for told, real in urls.items():
        text = text.replace(told, real)
    return text


def must_print(language: str, told: str, printed: str, lines: str) -> None:
    """Return if these lines print what a page tells."""
    if language == "json":
        must_fit(json.loads(told), json.loads(printed.splitlines()[-1]), lines)
    else:
        assert pattern(told).fullmatch(printed), f"{lines}\nprints:\n{printed}\nand not:\n{told}"


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
        """Beside a demo that keeps its data where it likes; all of it starts as it does for a reader."""
        with Terminal(tmp_path, is_executed=True) as terminal:
            url = terminal.serve("licet demo --port 0 --admin-port 0")
            assert follow(ROOT / "README.md", terminal, url) > 5

    def test_the_tutorial(self, tmp_path: Path) -> None:
        """From an empty directory to the end."""
        with Terminal(tmp_path, LICET_PORT="0", LICET_ADMIN_PORT="0") as terminal:
            assert follow(DOCS / "tutorial" / "first-seat.md", terminal) > 10

    def test_the_tutorial_of_an_api_begins_well(self, tmp_path: Path) -> None:
        """Its data directory and its clients: init and what is pasted behind it stand in one block."""
        page = DOCS / "tutorial" / "license-an-api.md"
        with Terminal(tmp_path, LICET_PORT="0", LICET_ADMIN_PORT="0") as terminal:
            assert follow(page, terminal, blocks_max=3) == 3

    @pytest.mark.wide
    def test_the_tutorial_of_an_api(self, tmp_path: Path) -> None:
        """From an empty directory to a seat that changes hands."""
        with Terminal(tmp_path, LICET_PORT="0", LICET_ADMIN_PORT="0") as terminal:
            assert follow(DOCS / "tutorial" / "license-an-api.md", terminal) > 10

    def test_the_tutorial_of_a_vendor_begins_well(self, tmp_path: Path) -> None:
        """A key, and a licence that it signs."""
        with Terminal(tmp_path) as terminal:
            assert follow(DOCS / "tutorial" / "sell-twenty-five-seats.md", terminal, blocks_max=3) == 3

    @pytest.mark.wide
    def test_the_tutorial_of_a_vendor(self, tmp_path: Path) -> None:
        """From a key to an administrator's own licence, which the API refuses."""
        with Terminal(tmp_path, LICET_PORT="0", LICET_ADMIN_PORT="0") as terminal:
            assert follow(DOCS / "tutorial" / "sell-twenty-five-seats.md", terminal) > 10

    @pytest.mark.wide
    @pytest.mark.parametrize(
        "page", [page for page in HOW_TO if any(steps(page))], ids=lambda page: page.stem
    )
    def test_a_how_to(self, page: Path, tmp_path: Path) -> None:
        """Beside a demo, whose data directory is in LICET_DATA."""
        with demo(tmp_path) as (terminal, url):
            assert follow(page, terminal, url)

    @pytest.mark.wide
    def test_the_examples_of_the_token_page(self, tmp_path: Path) -> None:
        """Those in C# need another machine."""
        with demo(tmp_path) as (terminal, url):
            assert follow(DOCS / "reference" / "token.md", terminal, url) == 3


class TestLinks:
    """Every way from page to page."""

    @pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
    def test_every_link_leads_to_something_in_the_project(self, page: Path) -> None:
        """To a file, and where it says so to a heading of it."""
        for target in _LINK.findall(text_of(page)):
            if "://" in target:
                continue
            name, _, heading = target.partition("#")
            found = (page.parent / name).resolve() if name else page
            assert found.is_relative_to(ROOT), target
            assert found.exists(), target
            assert not heading or heading in headings(found), target

    def test_every_page_is_in_the_index(self) -> None:
        """docs/README.md."""
        index = DOCS / "README.md"
        linked = {(DOCS / target).resolve() for target in _LINK.findall(text_of(index))}
        assert set(DOCS.rglob("*.md")) - {index} <= linked


class TestWhole:
    """What there is has a place in the reference."""

    def test_the_page_of_the_command_line_is_the_one_that_is_made(self) -> None:
        """`python docs/make_command_line.py > docs/reference/command-line.md` renews it."""
        made = runpy.run_path(str(DOCS / "make_command_line.py"))["page"]()
        assert (DOCS / "reference" / "command-line.md").read_text(encoding="utf-8") == made

    def test_the_page_of_a_connection_is_made_from_its_table(self) -> None:
        """`python docs/make_connection.py > docs/explanation/connection.md` renews it."""
        made = runpy.run_path(str(DOCS / "make_connection.py"))["page"]()
        assert (DOCS / "explanation" / "connection.md").read_text(encoding="utf-8") == made

    def test_every_error_has_a_row(self) -> None:
        """Code and status, as in the error table of the code."""
        rows = (DOCS / "reference" / "errors.md").read_text(encoding="utf-8").splitlines()
        found = [it for row in rows if (it := re.match(r"\| `(\w+)` \| ([^|]+) \|", row))]
        told = {(it[1], int(status)) for it in found for status in re.findall(r"\d{3}", it[2])}
        assert {(it.error, it.status) for it in Refusal} <= told

    def test_every_reason_has_a_row(self) -> None:
        """On the page of errors, and on that of the token endpoint."""
        for name in ("errors.md", "token.md"):
            page = (DOCS / "reference" / name).read_text(encoding="utf-8")
            for reason in (*NoSeatReason, "rate_limited"):
                assert f"`{reason}`" in page, (name, reason)

    def test_every_error_of_the_token_endpoint_is_on_its_page(self) -> None:
        """All but those of a token that was sent."""
        page = (DOCS / "reference" / "token.md").read_text(encoding="utf-8")
        for refusal in set(Refusal) - {Refusal.NO_TOKEN, Refusal.INVALID_TOKEN, Refusal.INSUFFICIENT_SCOPE}:
            assert f"`{refusal.error}`" in page, refusal

    def test_every_setting_is_named(self) -> None:
        """The page itself is made by `python -m licet.settings.page`."""
        page = (DOCS / "reference" / "configuration.md").read_text(encoding="utf-8")
        assert all(f"`LICET_{key.upper()}`" in page for key in Settings.model_fields)

    def test_every_event_of_the_log_is_named(self) -> None:
        """What is logged anywhere in the code, and with which fields."""
        page = (DOCS / "reference" / "logs.md").read_text(encoding="utf-8")
        told = set(re.findall(r"`(\w+)`", page))
        events = list(logged())
        assert {"started", "refused", "fault", "lines_suppressed"} <= {event for event, _ in events}
        for event, fields in events:
            assert {event, *fields} - {"exc_info"} <= told, event

    def test_every_rule_of_the_licence_is_explained(self) -> None:
        """L1 to L20, which the code cites."""
        page = (DOCS / "explanation" / "licence-rules.md").read_text(encoding="utf-8")
        cited = {
            rule for path in sources() for rule in re.findall(r"\bL(\d+)\b", path.read_text(encoding="utf-8"))
        }
        explained = set(re.findall(r"^## L(\d+):", page, re.MULTILINE))
        assert cited <= explained == {str(it) for it in range(1, 21)}

    def test_every_dependency_has_its_reason(self) -> None:
        """One line for each name in pyproject.toml."""
        project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
        groups = [
            *project["project"]["optional-dependencies"].values(),
            *project["dependency-groups"].values(),
        ]
        wanted = [*project["project"]["dependencies"], *(it for group in groups for it in group)]
        names = {re.split(r"[<>=;\[ ]", it)[0] for it in wanted}
        page = (DOCS / "explanation" / "dependencies.md").read_text(encoding="utf-8")
        assert names == set(re.findall(r"^\| `([\w-]+)` \|", page, re.MULTILINE))

    @pytest.mark.parametrize(
        "page", [ROOT / "ARCHITECTURE.md", ROOT / "CONTRIBUTING.md"], ids=lambda page: page.stem
    )
    def test_every_file_that_a_page_names_is_there(self, page: Path) -> None:
        """By its name, or by its path."""
        names = {path.name for path in ROOT.rglob("*.py") if ".venv" not in path.parts}
        for name in re.findall(r"`([\w./-]+\.py)`", text_of(page)):
            assert name in names or any(
                (place / name).exists() for place in (ROOT, ROOT / "src" / "licet")
            ), name

    def test_every_room_is_in_the_architecture(self) -> None:
        """A folder, or a module that stands by itself: with a line of its own."""
        page = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
        inside = ROOT / "src" / "licet"
        rooms = {path.relative_to(inside).parts[0] for path in sources()}
        named = {f"{it}/" if (inside / it).is_dir() else it for it in rooms if not it.startswith("__")}
        assert {it for it in named if f"`{it}`" not in page} == set()

    def test_every_module_says_what_it_is_for(self) -> None:
        """In its first line; a folder does so in its own module."""
        for path in sources():
            if "migrations" not in path.parts:
                first = path.read_text(encoding="utf-8").partition("\n")[0]
                assert re.fullmatch(r'""".{10,}', first.removesuffix('"""')), path
        assert all((it.parent / "__init__.py").exists() for it in sources() if "migrations" not in it.parts)


def headings(page: Path) -> set[str]:
    """What a link can name in a page."""
    found = _HEADING.findall(text_of(page))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


def sources() -> Iterator[Path]:
    """The modules of Licet."""
    yield from (ROOT / "src" / "licet").rglob("*.py")


def logged() -> Iterator[tuple[str, set[str]]]:
    """Every event that the code logs, and its fields."""
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(
                    func=ast.Attribute(attr="debug" | "info" | "warning" | "error") | ast.Name(id="write"),
                    args=[ast.Constant(value=str(event))],
                    keywords=keywords,
                ) if event.isidentifier():  # a sentence is for uvicorn's logger, which a server switches off
                    yield event, {keyword.arg for keyword in keywords if keyword.arg is not None}
                case ast.Call(func=ast.Name(id="Kind"), args=[_, ast.Constant(value=str(event)), *_]):
                    yield event, set()
                case ast.Call(
                    func=ast.Attribute(attr="_replace"),
                    keywords=[ast.keyword(arg="event", value=ast.Constant(value=str(event)))],
                ):
                    yield event, set()
                case ast.Call(
                    func=ast.Attribute(attr="write"), args=[ast.Name() | ast.Call()], keywords=keywords
                ):
                    yield "refused", {keyword.arg for keyword in keywords if keyword.arg is not None}
