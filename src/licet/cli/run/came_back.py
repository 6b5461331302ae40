"""Compares a copy of the store with the store that it replaces: which credentials count again.

The copy does not know what was removed or disabled since. Where there is no store to compare with, all that
the copy has may have come back.
"""

from typing import NamedTuple

from licet.accounts.administrators import read_admins
from licet.accounts.api_keys import read_api_keys
from licet.cli.stores import opened
from licet.formats import counted
from licet.model import Tenant
from licet.store.contract import Store
from licet.store.errors import StoreUnavailable
from licet.store.opening import StoreAt


class Credentials(NamedTuple):
    """Who can use a store, by name: administrators, API keys, and clients with their tenants."""

    administrators: frozenset[str]
    api_keys: frozenset[str]
    clients: frozenset[str]


def credentials_in(store: Store) -> Credentials:
    """Who can use a store now.

    Raises StoreUnavailable.
    """
    with store.reading() as connection:
        admins, keys = read_admins(connection), read_api_keys(connection)
    return Credentials(
        administrators=frozenset(admin.name for admin in admins if admin.enabled),
        api_keys=frozenset(key.name for key in keys),
        clients=frozenset(name for tenant in store.tenants().values() for name in _clients(tenant)),
    )


def credentials_at(at: StoreAt) -> Credentials | None:
    """The same of the store at a place; None where there is none that can be read."""
    try:
        with opened(at) as store:
            return credentials_in(store)
    except StoreUnavailable:
        return None


def back_again(before: Credentials | None, copy: Credentials) -> list[str]:
    """What an administrator has to look over, as lines."""
    if before is None:
        return [
            "There was no store to compare the copy with. Look over who can use it:",
            *_lines(copy, none="none"),
        ]
    back = Credentials(*(now - then for now, then in zip(copy, before, strict=True)))
    lines = _lines(back, none=None)
    if not lines:
        return ["Nobody came back who had been removed or disabled since the copy was made."]
    return ["These had been removed or disabled since the copy was made, and count again:", *lines]


def _lines(found: Credentials, none: str | None) -> list[str]:
    labels = {"administrators": "administrators", "api_keys": "API keys", "clients": "clients"}
    return [
        f"  {labels[kind]}: {_names(names) or none}"
        for kind, names in found._asdict().items()
        if names or none is not None
    ]


_NAMES_MAX = 20


def _names(names: frozenset[str]) -> str:
    shown = sorted(names)[:_NAMES_MAX]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {counted(more, 'other')}" if more else "")


def _clients(tenant: Tenant) -> list[str]:
    return [f"{client.client_id} of {tenant.name}" for client in tenant.clients.values() if client.usable]
