"""Opens the store of a command, finds its tenant, and refuses data directories that others can read."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from stat import S_ISDIR
from typing import TYPE_CHECKING

from licet.cli.errors import WrongUse
from licet.clock import SystemClock
from licet.credentials.keyring import FILE_NAME as KEYRING
from licet.credentials.keyring import read_keyring
from licet.model import Tenant
from licet.platforms import files
from licet.platforms.shells import quoted
from licet.refusal import Code, Subject
from licet.settings.names import DATA, are_none_of_the_store
from licet.store.contract import Store
from licet.store.errors import (
    NotFound,
    SchemaOutdated,
    SchemaUnknown,
    SetupDamaged,
    StoreUnavailable,
    unknown,
)
from licet.store.opening import StoreAt

if TYPE_CHECKING:
    from licet.settings.model import Settings


def data_directory(data: Path | None) -> Path:
    """The data directory: the option's or variable's, else that of the settings.

    Raises SettingsError.
    """
    if data is not None:
        must_be_readable(data)
        return data
    return store_at(None).data


def pepper(data: Path | None) -> bytes:
    """What the hashes of generated secrets in a data directory are made with.

    Raises KeyringUnusable, SettingsError.
    """
    return read_keyring(data_directory(data) / KEYRING).pepper


def store_at(data: Path | None) -> StoreAt:
    """The location of the store of a data directory.

    Raises SettingsError.
    """
    must_be_readable(data or DATA)
    if are_none_of_the_store(data, os.environ):
        return StoreAt(data or DATA)
    from licet.settings.load import load_settings

    return store_of(load_settings(overrides={"data": data}))


def must_be_readable(directory: Path) -> None:
    """Return unless a data directory exists and cannot be read.

    Raises WrongUse, whose text says who may read it.
    """
    try:
        status = directory.stat()
    except OSError:  # it does not exist, or that is unknown: opening it will say more
        return
    if not S_ISDIR(status.st_mode) or os.access(directory, os.R_OK | os.X_OK):
        return
    name = files.owner_name(directory)
    if not name:
        raise WrongUse(f"{directory} cannot be read by this account; run it as the owner of the directory")
    raise WrongUse(f"{directory} can be read by {name} only; run it as its owner: sudo -u {name} licet ...")


def store_of(settings: "Settings") -> StoreAt:
    """The location of the store of these settings."""
    return StoreAt(settings.data, settings.store_url())


@contextmanager
def opened(at: StoreAt | Path | None) -> Iterator[Store]:
    """A store, or that of a data directory.

    Raises StoreUnavailable and SchemaOutdated, whose texts say what to do.
    """
    at = at if isinstance(at, StoreAt) else store_at(at)
    store = _open(at)
    try:
        yield store
    finally:
        store.close()


def _open(at: StoreAt) -> Store:
    with advising(at):
        return at.open(SystemClock())


@contextmanager
def advising(at: StoreAt) -> Iterator[None]:
    """Add to a fault of a store that is opened within the block what to do.

    Raises StoreUnavailable and SchemaOutdated.
    """
    try:
        yield
    except SchemaOutdated as fault:
        raise SchemaOutdated(f"{fault}; run: licet migrate --data {quoted(str(at.data))}") from fault
    except SchemaUnknown as fault:
        raise SchemaUnknown(f"{at.place}: {fault}; use that one") from fault
    except SetupDamaged:
        raise
    except StoreUnavailable as fault:
        if at.url is not None:  # Its text has the place already.
            raise
        if isinstance(fault.__cause__, FileNotFoundError | NotADirectoryError):
            raise StoreUnavailable(
                f"there is no store in {at.data}; make one: licet init --data {quoted(str(at.data))}"
            ) from None
        raise StoreUnavailable(f"{at.place} cannot be opened: {fault}") from None


def chosen_tenant(store: Store, name: str | None) -> Tenant:
    """The tenant of this name, or the only one.

    Raises NotFound, WrongUse.
    """
    names = sorted(tenant.name for tenant in store.tenants().values())
    if not names:
        raise NotFound("there is no tenant yet", code=Code.NOT_FOUND, subject=Subject("tenant"))
    if name is None and len(names) > 1:
        raise WrongUse(f"which tenant? Say --tenant or LICET_TENANT: {', '.join(names)}")
    tenant = store.tenant(names[0] if name is None else name)
    if tenant is None:
        raise unknown(Subject("tenant", name or ""), names)
    return tenant
