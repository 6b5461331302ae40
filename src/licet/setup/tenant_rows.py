"""Finds, updates and deletes the rows of one tenant within a change of the set-up, and records events."""

from collections.abc import Mapping
from typing import Any, Protocol, TypeVar

from sqlalchemy import Table, delete, update

from licet.model import Tenant
from licet.setup.consequences import Tally
from licet.setup.limits import names_of
from licet.store.contract import Transaction
from licet.store.errors import NotFound

Found = TypeVar("Found")


class Work(Protocol):
    """What a tenant's part of a change needs of the whole of it."""

    transaction: Transaction
    tally: Tally

    def sweep(self) -> None:
        """Clear away what has expired."""

    def tell(self, tenant: str, action: str, target: str, detail: str) -> None:
        """Keep an event."""


class TenantRows:
    """A tenant as it is in this transaction, and its rows in the store."""

    def __init__(self, work: Work, tenant: Tenant) -> None:
        self.tenant = tenant  # itself; its parts are the mappings below
        self.pools = {pool.name: pool for pool in tenant.pools.values()}
        self.scopes = dict(tenant.scopes)
        self.users = dict(tenant.users)
        self.clients = dict(tenant.clients)
        self.pools_resized: set[str] = set()
        self.is_changed = False
        self._work = work
        self._connection = work.transaction.connection

    def _find(self, what: str, name: str, known: Mapping[str, Found]) -> Found:
        if (found := known.get(name)) is not None:
            return found
        there = f"there is: {names_of(list(known))}" if known else "there is none yet"
        raise NotFound(f"there is no {what} {name} in tenant {self.tenant.name}; {there}")

    def _update(self, table: Table, key: dict[str, Any], values: Mapping[str, Any]) -> None:
        self._connection.execute(update(table).filter_by(**key).values(**values))

    def _delete(self, table: Table, key: dict[str, Any]) -> None:
        self._connection.execute(delete(table).filter_by(**key))

    def _told(self, action: str, what: str, name: str, detail: str) -> bool:
        self.is_changed = True
        self._work.tell(self.tenant.name, action, f"{what} {name}", detail)
        return True
