"""Runs `licet demo`: a throw-away server with a set-up, and lines to paste.

Its data is in `licet-demo` in the current directory, so that a second terminal finds it, and is removed at
the end. The next demo removes what a killed one left there; anything else of that name stays.
"""

import shutil
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from threading import Event, Thread
from typing import Annotated, NamedTuple

import typer

from licet.accounts import administrators
from licet.cli.errors import Refused
from licet.cli.options import actor
from licet.cli.run.demo_cast import FULL_SEATS, MEMBERS, POOLS
from licet.cli.run.demo_history import DAYS, OPERATOR, History
from licet.cli.run.demo_lines import lines
from licet.cli.run.serve import AdminPort, Host, Port, TlsCertificate, TlsKey
from licet.cli.run.serving import run
from licet.clock import Clock, ManualClock, SystemClock
from licet.credentials.generated import ClientSecrets
from licet.credentials.keyring import FILE_NAME, new_keyring, write_keyring
from licet.credentials.passwords import Passwords
from licet.model import Role
from licet.platforms import files
from licet.platforms.shells import quoted
from licet.settings.load import load_settings
from licet.setup.change import changing
from licet.store.contract import Store
from licet.store.errors import StoreUnavailable
from licet.store.opening import SQLITE_NAME, StoreAt
from licet.units import DAY_MS

DIRECTORY = Path("licet-demo")
TENANT = "Jim_Test"
SEATS = 5
ADMIN = "admin"
PASSWORD = "password"  # noqa: S105 - the demo's, and it says so
CLIENTS = {"TestClientId": "TC", **{f"Client{number}": f"C{number}" for number in range(1, 7)}, "Api": "AP"}

_WELCOME = """
This is a demo: every password is "{password}". Keep it off the network.

The dashboard is at {dashboard}
Sign in as "{admin}" with the password "{password}"; it may change everything.

{tenant_has}
Paste this into another terminal, from the top:

{lines}
  # Who holds the seats? (licet top shows it live.)
  {licet} seats --data {data}

Ctrl-C ends it{keeps}.
"""
_TENANT_HAS = f"""\
Tenant {TENANT} has a pool "full" of {SEATS} seats, the clients TestClientId and Client1 to Client6,
and Api, which may introspect."""
_POOLS = f'"stock" of {POOLS["stock"]} and "reports" of {POOLS["reports"]}'
_TENANT_HAS_HISTORY = f"""\
Tenant {TENANT} has {DAYS} days of history, the pools "full" of {FULL_SEATS} seats, {_POOLS},
and {len(MEMBERS)} clients: among them TestClientId, Client1 to Client6, and Api, which may introspect."""
_FULL_POOL = "TestClientId has a seat, four of these get one, two are"
_FULL_POOL_WITH_HISTORY = "who finds a free seat gets it, the others are"
_LOOK_EVERY_S = 1.0  # for what the clients of a history are about to do
_LOCK = "demo.lock"  # held while the demo runs; it also shows that a demo made the directory


def demo(
    *,
    host: Host = None,
    port: Port = None,
    admin_port: AdminPort = None,
    tls_certificate: TlsCertificate = None,
    tls_key: TlsKey = None,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            metavar="DIR",
            help="Keep the data here; by default it is in licet-demo, and removed at the end.",
        ),
    ] = None,
    with_history: Annotated[
        bool,
        typer.Option(
            "--with-history",
            help="Add eight days of history of forty clients, to show on the dashboard.",
        ),
    ] = False,
) -> None:
    """Run a temporary server with a tenant, clients and 5 seats, and say what to try.

    Example: [bold]licet demo --with-history[/]
    """
    # Until the server handles SIGTERM, it ends this like Ctrl-C, so that nothing is left behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with ExitStack() as stack:
        directory = data or stack.enter_context(_thrown_away(DIRECTORY.absolute()))
        # A demo is the same everywhere: no file or variable configures it.
        overrides = {"host": host, "port": port, "admin_port": admin_port, "data": directory}
        overrides |= {"tls_certificate": tls_certificate, "tls_key": tls_key}
        settings = load_settings(environment={}, overrides=overrides)
        history = _make(directory, with_history=with_history)

        def welcome(port: int, admin_port: int | None) -> None:
            dashboard = settings.admin_base_url(admin_port)
            urls = _Urls(settings.base_url(port), dashboard)
            _welcome(urls, directory, tls_certificate, kept=data is not None, with_history=with_history)
            if history is not None:
                stack.enter_context(_going_on(history, directory))

        run(settings, welcome, loads_dashboard=True)


@contextmanager
def _thrown_away(directory: Path) -> Iterator[Path]:
    """A directory that is made, locked, and removed at the end.

    Raises Refused where another demo runs in it, or something else has its name.
    """
    lock = directory / _LOCK
    try:
        if directory.is_symlink() or (directory.exists() and not lock.is_file()):
            raise Refused(f"{directory} is there already, and no demo made it; choose another with --data")
        files.make_directory(directory)
        lock.touch()
    except OSError as fault:
        raise Refused(f"{directory} cannot be made: {fault.strerror}; choose another with --data") from None
    held = ExitStack()
    try:
        held.enter_context(files.locked(lock, waiting=False))
    except BlockingIOError:
        raise Refused(f"a demo runs in {directory} already; give this one another with --data") from None
    try:
        _empty(directory)  # of what a killed demo left
        yield directory
    finally:
        _empty(directory)
        held.close()  # Windows removes no file that is open
        shutil.rmtree(directory, ignore_errors=True)


def _empty(directory: Path) -> None:
    """Remove all but the lock; it does not follow links."""
    for path in directory.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        elif path.name != _LOCK:
            with suppress(OSError):
                path.unlink()


class _Urls(NamedTuple):
    server: str
    dashboard: str


@contextmanager
def _going_on(history: History, directory: Path) -> Iterator[None]:
    """Let the clients of a history work on beside the server."""
    stopping = Event()

    def go_on() -> None:
        with _opened(StoreAt(directory).open(SystemClock())) as store:
            history.go_on(store)
            while not stopping.wait(_LOOK_EVERY_S):
                with suppress(StoreUnavailable):
                    history.work_now()

    thread = Thread(target=go_on, name="demo-history", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join()


def _make(directory: Path, *, with_history: bool) -> History | None:
    """Make the store where there is none; the history that goes on in it, if any. Raises Refused."""
    if (directory / SQLITE_NAME).exists():
        if with_history:
            raise Refused(f"{directory} has a store already; a history is written into a new one only")
        return None
    try:
        files.make_directory(directory)
    except OSError as fault:
        raise Refused(f"{directory} cannot be made: {fault.strerror}") from None
    if with_history:
        typer.echo(f"Writing {DAYS} days of history, which takes some seconds ...")
        return _make_with_history(directory)
    _make_plain(directory)
    return None


def _make_plain(directory: Path) -> None:
    clock = SystemClock()
    write_keyring(directory / FILE_NAME, new_keyring(clock.now_ms()))
    passwords = Passwords()
    with _new_store(directory, clock) as store:
        with changing(store, actor()) as change:
            tenant = change.add_tenant(TENANT, seats=SEATS)
            for client_id, initials in CLIENTS.items():
                tenant.add_user(initials, name=client_id, password_hash=passwords.hash(PASSWORD))
                tenant.add_client(client_id, user=initials, introspects=client_id == "Api")
        _add_admins(store, passwords.hash(PASSWORD), {ADMIN: Role.OWNER})


def _make_with_history(directory: Path) -> History:
    now_ms = SystemClock().now_ms()
    clock = ManualClock(now_ms - DAYS * DAY_MS)
    keyring = new_keyring(clock.now_ms())
    write_keyring(directory / FILE_NAME, keyring)
    password_hash = Passwords().hash(PASSWORD)  # one for all: forty would take seconds
    with _new_store(directory, clock) as store:
        _add_admins(store, password_hash, {ADMIN: Role.OWNER, OPERATOR: Role.OPERATOR})
        history = History(store, clock, ClientSecrets(keyring.pepper), TENANT)
        history.begin(password_hash, actor=ADMIN)
        history.play(now_ms)
    return history


def _new_store(directory: Path, clock: Clock) -> AbstractContextManager[Store]:
    return _opened(StoreAt(directory).open(clock, create=True))


@contextmanager
def _opened(store: Store) -> Iterator[Store]:
    try:
        yield store
    finally:
        store.close()


def _add_admins(store: Store, password_hash: str, roles: Mapping[str, Role]) -> None:
    with administrators.changing(store, actor()) as change:
        for name, role in roles.items():
            change.add_admin(name, password_hash=password_hash, role=role)


def _welcome(urls: _Urls, directory: Path, authority: Path | None, *, kept: bool, with_history: bool) -> None:
    full_pool = _FULL_POOL_WITH_HISTORY if with_history else _FULL_POOL
    text = _WELCOME.format(
        lines=lines(f"{urls.server}/{TENANT}", PASSWORD, full_pool, authority),
        dashboard=urls.dashboard,
        admin=ADMIN,
        tenant_has=_TENANT_HAS_HISTORY if with_history else _TENANT_HAS,
        password=PASSWORD,
        data=quoted(str(directory.absolute())),
        licet=_command(),
        keeps="; its data stays in the directory" if kept else " and leaves nothing behind",
    )
    typer.echo(text)


def _command() -> str:
    """How this command was called, for lines to paste."""
    called = Path(sys.argv[0])
    return str(called) if called.name == "licet" else "licet"
