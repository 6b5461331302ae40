"""What not every operating system has is used in one room, `licet.platforms`: the syntax trees are read.

`MODULES`, `NAMES`, `METHODS` and `ARGUMENTS` are the list.
"""

import ast
import re
from collections.abc import Iterator
from functools import cache
from importlib import import_module

import pytest

from support.paths import ROOT

SRC = ROOT / "src" / "licet"
LEAF = SRC / "platforms"


def names_of(text: str) -> frozenset[str]:
    """The names in it: a set, as each node of each tree is looked up."""
    return frozenset(text.split())


# Not on Windows; or there alone.
MODULES = names_of("""
    _winapi crypt ctypes fcntl grp msvcrt posix pty pwd resource spwd syslog termios tty uvloop win32api
    winreg
""")
# Missing there, or of another meaning: `open` opens no directory, and its mode means nothing.
NAMES = {
    "os": names_of("""
        O_CLOEXEC O_DIRECTORY O_NOFOLLOW WNOHANG chmod chown chroot ctermid fchdir fchmod fchown fork forkpty
        getegid geteuid getgid getgroups getloadavg getpgid getppid getpriority getresuid getsid getuid
        initgroups kill killpg lchown link lockf major makedev mkfifo mknod nice open openpty pathconf pipe2
        posix_fadvise posix_fallocate posix_spawn pread preadv pwrite register_at_fork rename replace
        sched_getaffinity sched_setaffinity sendfile setegid seteuid setgid setpgid setpriority setsid setuid
        symlink sync sysconf tcgetpgrp ttyname umask uname wait wait3 wait4 waitid waitpid
    """),
    "signal": names_of("""
        SIGALRM SIGCHLD SIGCONT SIGHUP SIGKILL SIGPIPE SIGQUIT SIGSTOP SIGTSTP SIGTTIN SIGTTOU SIGUSR1 SIGUSR2
        SIGWINCH SIG_BLOCK SIG_SETMASK SIG_UNBLOCK alarm getitimer pause pthread_kill pthread_sigmask
        setitimer siginterrupt sigpending sigtimedwait sigwait sigwaitinfo
    """),
    "socket": names_of("""
        AF_UNIX CMSG_LEN MSG_DONTWAIT MSG_NOSIGNAL SCM_RIGHTS SO_EXCLUSIVEADDRUSE SO_REUSEADDR SO_REUSEPORT
        recv_fds send_fds sethostname
    """),
    "select": names_of("epoll kqueue poll select"),
    "selectors": names_of("EpollSelector PollSelector"),
    "shlex": names_of("quote shlex split"),
    "stat": names_of("S_IMODE S_IRGRP S_IROTH S_IRUSR S_IRWXU S_IWGRP S_IWOTH S_IWUSR"),
    "asyncio": names_of("open_unix_connection start_unix_server"),
    "multiprocessing": names_of("Process get_context set_start_method"),
}
METHODS = names_of("""
    add_reader add_signal_handler add_writer chmod create_unix_connection create_unix_server hardlink_to
    lchmod rename st_gid st_mode st_uid symlink_to
""")
ARGUMENTS = names_of("""
    extra_groups group pass_fds preexec_fn process_group reuse_port start_new_session umask user
""")
PATHS = re.compile(r"/(proc|sys|dev|etc|tmp|run)(/\S*)?")

# Each is good everywhere, for its reason.
ALLOWED = {
    (
        "client/at_exit.py",
        "os.register_at_fork",
    ): "the client stands alone; it looks first whether this is there",
    ("cli/stores.py", ".st_mode"): "whether it is a directory",
    ("lanes/thread.py", ".add_reader"): "a server asks `platforms.loops.watches_sockets` first",
}


def used(tree: ast.Module) -> Iterator[str]:
    """What a module uses of the list."""
    for node in ast.walk(tree):
        match node:
            case ast.Import() | ast.ImportFrom():
                yield from imported(node)
            case ast.Attribute(value=ast.Name(id=owner), attr=name) if name in NAMES.get(owner, ()):
                yield f"{owner}.{name}"
            case ast.Attribute(value=ast.Name(id="files")):
                pass  # licet.platforms.files
            case ast.Attribute(attr=name) if name in METHODS:
                yield f".{name}"
            case ast.Call():
                yield from called(node)
            case ast.Constant(value=str(text)) if PATHS.fullmatch(text):
                yield text
            case _:
                pass


def imported(node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    """What an import has of it."""
    module = node.module or "" if isinstance(node, ast.ImportFrom) else ""
    if module.partition(".")[0] in MODULES:
        yield module
    for name in node.names:
        if name.name in NAMES.get(module, ()) or (not module and name.name in MODULES):
            yield f"{module}.{name.name}".strip(".")


def called(node: ast.Call) -> Iterator[str]:
    """What a call has of it."""
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    given = {keyword.arg or "" for keyword in node.keywords}
    if name == "replace" and isinstance(node.func, ast.Attribute) and len(node.args) == 1 and not given:
        yield ".replace"  # of a path: that of a text has two
    if name in {"mkdir", "makedirs", "touch"} and "mode" in given:
        yield f".{name}(mode=)"
    if name in {"Popen", "run", "check_call", "check_output", "create_server", "create_subprocess_exec"}:
        yield from sorted(f"{name}({argument}=)" for argument in given & ARGUMENTS)


@cache
def found() -> list[tuple[str, str]]:
    """All that modules of other rooms use, with the module."""
    return [
        (str(module.relative_to(SRC)), name)
        for module in sorted(SRC.rglob("*.py"))
        if LEAF not in module.parents
        for name in used(ast.parse(module.read_text(encoding="utf-8")))
    ]


def test_no_other_room_uses_what_some_systems_lack() -> None:
    """Each such import and call stands in `licet.platforms`, with what takes its place."""
    assert not [it for it in found() if it not in ALLOWED]


def test_each_exception_is_still_one() -> None:
    """One that nobody needs any more is taken out of the list."""
    assert not ALLOWED.keys() - set(found())


@pytest.mark.parametrize(
    "line",
    [
        "import uvloop",
        "import fcntl as lock",
        "from pwd import getpwuid",
        "from os import fork",
        "os.fchmod(1, 0o600)",
        "os.open(directory, os.O_RDONLY)",
        "signal.signal(signal.SIGHUP, again)",
        "loop.add_signal_handler(15, stop)",
        "listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)",
        "subprocess.Popen(command, start_new_session=True)",
        "draft.replace(path)",
        "path.chmod(0o600)",
        "path.mkdir(mode=0o700)",
        "Path('/proc/self/status')",
        "def later():\n    import termios",
    ],
)
def test_a_use_is_seen(line: str) -> None:
    """Also where it is imported late, by another name, or as a method."""
    assert list(used(ast.parse(line)))


def test_the_list_is_of_names_that_there_are() -> None:
    """A name that is written wrong would forbid nothing: some system's module has each."""
    only_elsewhere = {"SO_EXCLUSIVEADDRUSE", "kqueue"}
    for module, names in NAMES.items():
        there = vars(import_module(module))
        assert not [name for name in names if name not in there and name not in only_elsewhere], module
