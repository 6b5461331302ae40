"""Each module of `licet.platforms` does without each name that a system may lack."""

import asyncio
import importlib.util
import os
import re
import select
import signal
import socket
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from licet.cli.run.demo_lines import lines_of
from licet.credentials.keyring import KeyringUnusable, new_keyring, read_keyring, write_keyring
from licet.platforms import files as platform_files
from licet.platforms import windows
from licet.settings.load import SettingsError, load_settings
from support.paths import ROOT

LEAF = ROOT / "src" / "licet" / "platforms"
ME = "S-1-5-21-1-2-3-1001"
MINE = f"O:{ME}D:(A;;FA;;;SY)(A;;FA;;;{ME})"
OPEN = f"{MINE}(A;;0x1200a9;;;WD)"


def loaded(name: str) -> Any:
    """A module of the room, as it is on a system that lacks what is missing by now."""
    spec = importlib.util.spec_from_file_location(f"elsewhere_{name}", LEAF / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def lists(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Access control lists by a file's name; others are private."""
    texts: dict[str, str] = {}
    monkeypatch.setattr(windows, "own_sid", lambda: ME)
    monkeypatch.setattr(windows, "security_of", lambda path: texts.get(Path(path).name, MINE))
    monkeypatch.delattr(os, "geteuid")
    return texts


class TestEventLoop:
    """Without uvloop."""

    def test_without_uvloop_the_loop_is_that_of_asyncio(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """It is slower, and does the same."""
        monkeypatch.setitem(sys.modules, "uvloop", None)
        loop = loaded("loops").new_event_loop()
        assert type(loop).__module__.startswith("asyncio.")
        assert loaded("loops").watches_sockets(loop)
        loop.close()

    def test_a_loop_of_windows_is_not_asked_to_watch_a_socket(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """It would raise: what PostgreSQL answers is read by a thread there."""
        loop = loaded("loops").new_event_loop()
        assert loaded("loops").watches_sockets(loop)
        monkeypatch.setattr(asyncio, "ProactorEventLoop", type(loop), raising=False)
        assert not loaded("loops").watches_sockets(loop)
        loop.close()

    def test_with_uvloop_the_loop_is_its_own(self) -> None:
        """It costs nobody anything where there is one."""
        loop = loaded("loops").new_event_loop()
        assert type(loop).__module__ == "uvloop"
        assert not isinstance(loop, asyncio.SelectorEventLoop)
        loop.close()


class TestProcesses:
    """Without signals that are blocked, numbers of processors, and select on pipes."""

    def test_without_handing_over_sockets_commits_run_in_a_thread(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """That is the default there."""
        monkeypatch.setattr("licet.settings.model.HANDS_OVER_SOCKETS", False)
        assert not load_settings(environment={}).commit_process

    def test_a_committing_process_that_cannot_be_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Whoever asks for it learns it at the start, not from a traceback."""
        monkeypatch.setattr("licet.settings.model.HANDS_OVER_SOCKETS", False)
        with pytest.raises(SettingsError, match="cannot hand a socket to another process; leave it out"):
            load_settings(environment={"LICET_COMMIT_PROCESS": "true"})
        assert not load_settings(environment={"LICET_COMMIT_PROCESS": "false"}).commit_process

    def test_it_is_known_whether_sockets_can_be_handed_over(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """By what is needed for it."""
        assert loaded("processes").HANDS_OVER_SOCKETS
        monkeypatch.delattr(signal, "pthread_sigmask")
        assert not loaded("processes").HANDS_OVER_SOCKETS

    def test_what_ends_a_terminal_of_windows_stops_a_server(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """SIGBREAK is there alone."""
        assert set(loaded("processes").STOP_SIGNALS) == {signal.SIGTERM, signal.SIGINT}
        monkeypatch.setattr(signal, "SIGBREAK", 21, raising=False)
        assert 21 in loaded("processes").STOP_SIGNALS

    def test_without_affinities_all_processors_count(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """And one at least."""
        monkeypatch.delattr(os, "sched_getaffinity")
        assert loaded("processes").processors() == os.cpu_count()
        monkeypatch.setattr(os, "cpu_count", lambda: None)
        assert loaded("processes").processors() == 1

    @pytest.mark.parametrize("is_windows", [False, True])
    def test_a_pipe_is_read_within_its_time_or_not_at_all(
        self, monkeypatch: pytest.MonkeyPatch, *, is_windows: bool
    ) -> None:
        """What is there, its end, or that nothing came."""
        if is_windows:
            monkeypatch.setattr(windows, "has_bytes", lambda it: bool(select.select([it], [], [], 0)[0]))
            monkeypatch.delattr(select, "poll")
        read_pipe = loaded("processes").read_pipe
        reading, writing = os.pipe()
        with os.fdopen(reading, "rb") as pipe:
            with os.fdopen(writing, "wb", buffering=0) as end:
                assert read_pipe(pipe, 10, 0.0) is None
                end.write(b"some bytes more")
                assert read_pipe(pipe, 10, 5.0) == b"some bytes"
                assert read_pipe(pipe, 10, 5.0) == b" more"
            assert read_pipe(pipe, 10, 5.0) == b""

    def test_a_port_of_windows_is_taken_so_that_nobody_can_listen_there_too(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """SO_REUSEADDR would allow just that there."""
        options: list[tuple[int, ...]] = []

        class Listening:
            def setsockopt(self, *option: int) -> None:
                options.append(option)

        loaded("processes").take_port_alone(Listening())
        monkeypatch.setattr(socket, "SO_EXCLUSIVEADDRUSE", ~socket.SO_REUSEADDR, raising=False)
        loaded("processes").take_port_alone(Listening())
        assert options == [
            (socket.SOL_SOCKET, socket.SO_REUSEADDR, 1),
            (socket.SOL_SOCKET, ~socket.SO_REUSEADDR, 1),
        ]


class TestUptime:
    """Without the clocks of POSIX."""

    @pytest.mark.parametrize("missing", [(), ("CLOCK_BOOTTIME",), ("CLOCK_BOOTTIME", "CLOCK_MONOTONIC")])
    def test_it_never_goes_back_whatever_clock_it_is(
        self, monkeypatch: pytest.MonkeyPatch, missing: tuple[str, ...]
    ) -> None:
        """Windows has no `clock_gettime` at all."""
        for name in missing:
            monkeypatch.delattr(time, name)
        if len(missing) > 1:
            monkeypatch.delattr(time, "clock_gettime_ns")
        uptime_ns = loaded("uptime").uptime_ns
        read = [uptime_ns() for _ in range(100)]
        assert read == sorted(read)
        assert read[0] > 0


class TestFiles:
    """Without file modes."""

    def test_without_modes_the_access_control_list_says_who_reads_a_file(
        self, tmp_path: Path, lists: dict[str, str]
    ) -> None:
        """Its mode means nothing then."""
        path = tmp_path / "secrets.json"
        path.touch()
        path.chmod(0o600)
        files = loaded("files")
        assert not files.is_open_to_others(path)
        lists[path.name] = OPEN
        assert files.is_open_to_others(path)
        assert files.how_to_close(path).startswith("icacls ")

    def test_with_modes_they_say_it(self, tmp_path: Path) -> None:
        """The group of a file may read it only where that is allowed."""
        path = tmp_path / "key.pem"
        path.touch()
        files = loaded("files")
        for mode, is_open, beyond_group in ((0o600, False, False), (0o640, True, False), (0o604, True, True)):
            path.chmod(mode)
            assert files.is_open_to_others(path) is is_open
            assert files.is_open_to_others(path, group=True) is beyond_group

    @pytest.mark.usefixtures("lists")
    def test_without_modes_no_directory_is_opened_to_sync_it(self, tmp_path: Path) -> None:
        """Windows would refuse it."""
        files = loaded("files")
        files.sync_directory(tmp_path / "is not there")
        assert files.owner_name(tmp_path)

    def test_without_owners_nobody_is_named(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """There is no module pwd then."""
        monkeypatch.setitem(sys.modules, "pwd", None)
        assert loaded("files").owner_name(tmp_path) == ""

    def test_a_file_that_is_open_is_replaced_when_it_is_closed(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Windows refuses it until then."""
        monkeypatch.delattr(os, "geteuid")
        files = loaded("files")
        draft, path = tmp_path / "draft", tmp_path / "path"
        draft.write_bytes(b"new")
        tries: list[str] = []
        replace = Path.replace

        def refused_twice(source: Path, target: Path) -> Path:
            tries.append(source.name)
            if len(tries) < 3:
                raise PermissionError(13, "it is open")
            return replace(source, target)

        monkeypatch.setattr(Path, "replace", refused_twice)
        files.place(draft, path, replacing=True)
        assert (len(tries), path.read_bytes()) == (3, b"new")

    def test_a_file_that_stays_open_is_reported_at_the_end(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It is not tried for ever."""
        monkeypatch.delattr(os, "geteuid")
        files = loaded("files")
        monkeypatch.setattr(files, "_TRY_FOR_S", 0.0)

        def refused(*_: object) -> None:
            raise PermissionError(13, "it is open")

        monkeypatch.setattr(Path, "replace", refused)
        with pytest.raises(PermissionError, match="it is open"):
            files.place(tmp_path / "draft", tmp_path / "path", replacing=True)

    def test_without_flock_a_byte_of_the_file_is_locked(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Of a directory, it is that of a file in it."""
        held: set[int] = set()
        runtime: Any = ModuleType("msvcrt")

        def locking(descriptor: int, _mode: int, _bytes: int) -> None:
            inode = os.fstat(descriptor).st_ino
            if inode in held:
                raise PermissionError(13, "Permission denied")
            held.add(inode)

        runtime.locking = locking
        monkeypatch.setitem(sys.modules, "msvcrt", runtime)
        monkeypatch.setitem(sys.modules, "fcntl", None)
        files = loaded("files")
        with (
            files.locked(tmp_path, waiting=False),
            pytest.raises(BlockingIOError),
            files.locked(tmp_path, waiting=False),
        ):
            pytest.fail("two have it")
        assert [path.name for path in tmp_path.iterdir()] == [".lock"]


class TestSecrets:
    """The file of secrets, where there are no file modes."""

    def kept(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A file of secrets, looked at as on Windows."""
        write_keyring(path, new_keyring(1_700_000_000_000))
        monkeypatch.setattr(platform_files, "HAS_MODES", False)

    def test_a_file_of_secrets_that_others_can_read_is_refused(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lists: dict[str, str]
    ) -> None:
        """With the command that closes it."""
        path = tmp_path / "secrets.json"
        self.kept(path, monkeypatch)
        assert read_keyring(path).token_keys
        lists[path.name] = OPEN
        with pytest.raises(KeyringUnusable, match="readable by others; correct it: icacls"):
            read_keyring(path)

    def test_a_file_of_secrets_is_refused_where_nobody_can_say_who_reads_it(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It fails closed: there is neither a mode nor a list."""
        path = tmp_path / "secrets.json"
        self.kept(path, monkeypatch)
        with pytest.raises(KeyringUnusable, match="no access control lists"):
            read_keyring(path)


class TestDemo:
    """The lines of the demo, for PowerShell."""

    def test_the_lines_for_powershell_do_what_those_for_a_shell_do(self) -> None:
        """The same requests, in the same order."""
        given = ("http://127.0.0.1:8080/Jim_Test", "password", "two are", None)
        shell, powershell = (lines_of(*given, powershell=it) for it in (False, True))
        requests = re.compile(r"curl(?:\.exe)? .*?/(token|introspect|logoff)")
        assert requests.findall(powershell) == requests.findall(shell)
        assert [it for it in powershell.splitlines() if "#" in it] == [
            it for it in shell.splitlines() if "#" in it
        ]
        assert "sed" not in powershell
        assert "{" not in powershell.replace("{_}", "").replace("Object {", "")


class TestShells:
    """Words for PowerShell, and commands with the paths of Windows."""

    @pytest.mark.parametrize(
        ("word", "quoted"),
        [
            (r"C:\ProgramData\Licet", r"C:\ProgramData\Licet"),
            (r"C:\Program Files\x", r"'C:\Program Files\x'"),
            ("it's", "'it''s'"),
            ("$(calc)", "'$(calc)'"),
            ("", "''"),
        ],
    )
    def test_a_word_for_powershell_is_one_word_there(self, word: str, quoted: str) -> None:
        """Nothing in it is run or replaced."""
        assert loaded("shells").quoted_for_powershell(word) == quoted

    def test_a_backslash_parts_folders_on_windows(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Elsewhere it takes the meaning of what follows."""
        command = r'"C:\Program Files\sign.exe" --key C:\keys\a'
        shells = loaded("shells")
        assert shells.words_of(r"sign --with 'two words' a\ b") == ["sign", "--with", "two words", "a b"]
        monkeypatch.setattr(shells, "IS_POWERSHELL", True)
        assert shells.words_of(command) == [r"C:\Program Files\sign.exe", "--key", r"C:\keys\a"]
        assert shells.words_of('"no end') == []
