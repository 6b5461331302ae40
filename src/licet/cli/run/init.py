"""Runs `licet init`: makes a data directory.

It asks only for the password of a named administrator, so that lines pasted after it are never taken for
answers. It says how to make what it did not make.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from licet.accounts import account, administrators
from licet.cli.errors import Refused, WrongUse
from licet.cli.options import Data, actor, ask_password, exclusive
from licet.cli.output import say
from licet.cli.stores import data_directory, store_at
from licet.clock import SystemClock
from licet.credentials.keyring import FILE_NAME, new_keyring, write_keyring
from licet.formats import counted
from licet.model import Pool, Role, Tenant
from licet.platforms import files
from licet.platforms.shells import quoted
from licet.settings.names import FILE_NAME as SETTINGS_FILE
from licet.setup.change import POOL_FIRST, changing
from licet.store.errors import StoreUnavailable
from licet.store.migrate import current
from licet.store.opening import SQLITE_NAME, StoreAt
from licet.store.sqlite.faults import BESIDE


class _FirstTenant(NamedTuple):
    name: str
    seats: int


class _FirstAdmin(NamedTuple):
    name: str
    password_hash: str


def init(
    *,
    tenant: Annotated[
        str | None, typer.Option("--tenant", metavar="NAME", help="A first tenant, with --seats.")
    ] = None,
    seats: Annotated[
        int | None, typer.Option("--seats", metavar="N", help="Seats of its pool `full`.")
    ] = None,
    admin: Annotated[
        str | None,
        typer.Option("--admin", metavar="NAME", help="A first administrator, owner of all tenants."),
    ] = None,
    admin_password_stdin: Annotated[
        bool,
        typer.Option(
            "--admin-password-stdin", help="Read the administrator's password from standard input, one line."
        ),
    ] = False,
    no_admin: Annotated[
        bool,
        typer.Option("--no-admin", help="Add no administrator: nobody can sign in at the dashboard yet."),
    ] = False,
    data: Data = None,
) -> None:
    """Make a data directory: a store, the keys that sign tokens, and a first tenant.

    With --admin it asks for the administrator's password, twice and hidden, and nothing else. It never
    changes existing data.

    Example: [bold]licet init --data /var/lib/licet --tenant Jim_Test --seats 5 --admin ada[/]
    """
    exclusive(("--admin", admin is not None), ("--no-admin", no_admin))
    if admin_password_stdin and admin is None:
        raise WrongUse("--admin-password-stdin is about an administrator; say --admin with it")
    directory = data_directory(data)
    _must_be_free(directory)
    _must_be_first(store_at(directory))
    first_tenant = _first_tenant(tenant, seats)
    first_admin = _first_admin(admin, from_stdin=admin_password_stdin)
    _make(directory, first_tenant, first_admin)
    say(f"Made {directory}: the store, and the keys that sign tokens ({FILE_NAME}; keep a copy of it).")
    if first_tenant is not None:
        say(f"Tenant {first_tenant.name} has a pool {POOL_FIRST} of {counted(first_tenant.seats, 'seat')}.")
    if first_admin is not None:
        say(f"Administrator {first_admin.name} may sign in at the dashboard, as owner of all tenants.")
    says_admin = first_admin is None and not no_admin
    say("\n".join(["What is next:", *_next_steps(directory, first_tenant, admin=says_admin)]))


def _must_be_free(directory: Path) -> None:
    there = [name for name in (SQLITE_NAME, FILE_NAME) if (directory / name).exists()]
    if there:
        raise _is_taken(directory, there)


def _is_taken(directory: Path, there: Sequence[str]) -> Refused:
    return Refused(f"{directory} has {' and '.join(there)} already; choose another directory with --data")


def _must_be_first(at: StoreAt) -> None:
    """Refuse a database that other servers use: their tokens need their secrets, not new ones."""
    if at.url is None:
        return
    with at.migrating() as connection:
        if current(connection) is not None:
            raise Refused(
                f"{at.place} has a store already; copy {FILE_NAME} from another node into {at.data},"
                " or, if it is lost: licet key new"
            )


def _first_tenant(name: str | None, seats: int | None) -> _FirstTenant | None:
    """The first tenant of the options, checked before anything is made."""
    if name is None:
        if seats is not None:
            raise WrongUse("--seats is about the first tenant; say --tenant with it")
        return None
    if seats is None:
        raise WrongUse("how many seats has the first tenant? Say --seats")
    first = _FirstTenant(name, seats)
    Tenant(id=0, name=first.name, version=0)
    Pool(id=0, name=POOL_FIRST, seats=first.seats)
    return first


def _first_admin(name: str | None, *, from_stdin: bool) -> _FirstAdmin | None:
    """The first administrator of the options, checked before anything is made."""
    if name is None:
        return None
    account.check_name("administrator", name)
    from licet.credentials.passwords import Passwords

    password = ask_password(f"administrator {name}", from_stdin=from_stdin, option="--admin-password-stdin")
    return _FirstAdmin(name, Passwords().hash_new(password, name))


def _make(directory: Path, first: _FirstTenant | None, admin: _FirstAdmin | None) -> None:
    try:
        _make_directory(directory)
    except OSError as fault:
        raise _cannot_be_made(directory, fault) from None
    with _whole_or_none(directory):
        _fill(directory, first, admin)


@contextmanager
def _whole_or_none(directory: Path) -> Iterator[None]:
    """Remove what was made when not all could be: the next try must not find it.

    The file of secrets is begun first, by one process alone: another one, that has asked for a password
    meanwhile, must neither replace the keys of a server that runs nor remove its store.
    """
    try:
        files.write(directory / FILE_NAME, b"")
    except FileExistsError:
        raise _is_taken(directory, [FILE_NAME]) from None
    except OSError as fault:
        raise _cannot_be_made(directory, fault) from None
    if (directory / SQLITE_NAME).exists():
        (directory / FILE_NAME).unlink()
        raise _is_taken(directory, [SQLITE_NAME])
    try:
        yield
    except BaseException:
        for name in (FILE_NAME, SQLITE_NAME, *(SQLITE_NAME + end for end in BESIDE)):
            with suppress(OSError):
                (directory / name).unlink(missing_ok=True)
        raise


def _fill(directory: Path, first: _FirstTenant | None, admin: _FirstAdmin | None) -> None:
    store = store_at(directory).open(SystemClock(), create=True)
    try:
        write_keyring(directory / FILE_NAME, new_keyring(store.clock.now_ms()))
        if first is not None:
            with changing(store, actor()) as change:
                change.add_tenant(first.name, seats=first.seats)
        if admin is not None:
            with administrators.changing(store, actor()) as change_accounts:
                change_accounts.add_admin(admin.name, password_hash=admin.password_hash, role=Role.OWNER)
    except OSError as fault:
        raise _cannot_be_made(directory, fault) from None
    finally:
        store.close()


def _cannot_be_made(directory: Path, fault: OSError) -> StoreUnavailable:
    return StoreUnavailable(f"{directory} cannot be made: {fault.strerror}")


def _make_directory(directory: Path) -> None:
    """Make a directory that nobody else can read; an existing one is used only when it is empty."""
    files.make_directory(directory)
    if not files.is_open_to_others(directory):
        return
    if any(path.name != SETTINGS_FILE for path in directory.iterdir()):
        how = files.how_to_close(directory, is_directory=True)
        raise Refused(f"{directory} can be read by others and is not empty; {how}, or choose another")
    files.close_directory(directory)


def _next_steps(directory: Path, first: _FirstTenant | None, *, admin: bool) -> list[str]:
    data = "" if directory == data_directory(None) else f" --data {quoted(str(directory))}"
    steps = [
        'licet user add TC --name "Test Client" --no-password',
        "licet client add TestClientId --user TC --secret",
        "licet serve",
    ]
    if admin:
        steps.insert(2, "licet admin add ada --role owner")
    if first is None:
        steps.insert(0, "licet tenant add Jim_Test --seats 5")
    return [f"  {step}{data}" for step in steps]
