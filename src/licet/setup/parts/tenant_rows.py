"""Finds, updates and deletes the rows of one tenant within a change of the set-up, and records events."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeVar

from sqlalchemy import Table, delete, update

from licet.model import Pool, Tenant
from licet.refusal import OTHERS_MAX, Code, Subject, SubjectKind
from licet.setup.consequences import Tally
from licet.store.contract import Transaction
from licet.store.errors import StillInUse, unknown

Found = TypeVar("Found")


class Work(Protocol):
    """The parts of a change of the set-up that a tenant needs."""

    transaction: Transaction
    tally: Tally

    def sweep(self) -> None:
        """Sweep what has expired."""

    def record(self, tenant: str, action: str, target: str, detail: str) -> None:
        """Record an event."""


class TenantRows:
    """A tenant as it is in this transaction, and its rows in the store."""

    def __init__(self, work: Work, tenant: Tenant) -> None:
        self.tenant = tenant  # its own settings; its parts are in the mappings below
        self.pools = {pool.name: pool for pool in tenant.pools.values()}
        self.scopes = dict(tenant.scopes)
        self.users = dict(tenant.users)
        self.clients = dict(tenant.clients)
        self.groups = dict(tenant.groups)
        self.pools_resized: set[str] = set()
        self.is_changed = False
        self._work = work
        self._connection = work.transaction.connection

    def pool(self, name: str) -> Pool:
        """The pool of this name.

        Raises NotFound.
        """
        return self._find("pool", name, self.pools)

    def _find(
        self, kind: SubjectKind, name: str, known: Mapping[str, Found], *, client: str = "", field: str = ""
    ) -> Found:
        """The part of this name; `field` is the value that names it, `client` its client."""
        if (found := known.get(name)) is not None:
            return found
        about = self._subject(kind, name, client)
        raise unknown(about, known, field=field, of=f"client {client}" if client else "")

    def _in_use(
        self, text: str, kind: SubjectKind, name: str, by: SubjectKind, names: Sequence[str]
    ) -> StillInUse:
        others = tuple(self._subject(by, it) for it in sorted(names)[:OTHERS_MAX])
        return StillInUse(text, code=Code.IN_USE, subject=self._subject(kind, name), others=others)

    def _subject(self, kind: SubjectKind, name: str, client: str = "") -> Subject:
        return Subject(kind, name, self.tenant.name, client)

    def _update(self, table: Table, key: dict[str, Any], values: Mapping[str, Any]) -> None:
        self._connection.execute(update(table).filter_by(**key).values(**values))

    def _delete(self, table: Table, key: dict[str, Any]) -> None:
        self._connection.execute(delete(table).filter_by(**key))

    def _recorded(self, action: str, what: str, name: str, detail: str) -> bool:
        self.is_changed = True
        self._work.record(self.tenant.name, action, f"{what} {name}", detail)
        return True
