"""Defines the base of administrators and API keys: name, tenant, and the event that each change records."""

import re
from typing import Protocol

from sqlalchemy import ColumnElement, Table, func, select

from licet.model import InvalidValue, Role
from licet.refusal import Code, Subject, SubjectKind
from licet.store import schema
from licet.store.contract import Transaction
from licet.store.errors import AlreadyThere, NotFound, SetupError, StillInUse
from licet.store.events import Event

_NAME = re.compile(r"[a-z0-9][a-z0-9_.@+-]{0,63}")


class NotYours(SetupError):
    """An administrator of one tenant cannot give rights to another tenant, or to all."""


def check_name(kind: SubjectKind, name: str) -> None:
    """Return if an administrator or API key may have this name.

    Raises InvalidValue.
    """
    if not is_name(name):
        text = (
            f"the name of an {kind} is 1 to 64 small letters, digits, _ . @ + -, and begins with a letter or"
            f" digit; this is not: {name[:80]!r}"
        )
        raise InvalidValue(text, code=Code.MALFORMED, field="name")


def is_name(text: str) -> bool:
    """Whether this could be the name of an administrator."""
    return _NAME.fullmatch(text) is not None


class Account(Protocol):
    """What administrators and API keys have in common."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def tenant_id(self) -> int | None:
        """The tenant that it administers; None is all."""


class AccountChange:
    """One change of accounts: who makes it, for which tenant, and the events that it records."""

    def __init__(self, transaction: Transaction, actor: str, within: int | None) -> None:
        self.events: list[Event] = []
        self._connection = transaction.connection
        self._now_ms = transaction.now_ms
        self._actor = actor
        self._reach = within

    def _reaches(self, tenant_id: int | None) -> bool:
        return self._reach is None or self._reach == tenant_id

    def _must_reach(self, tenant_id: int | None) -> None:
        if not self._reaches(tenant_id):
            text = "who looks after one tenant gives out accounts of that tenant only"
            raise NotYours(text, code=Code.NOT_YOURS, field="tenant")
        if tenant_id is not None:
            self._tenant_name(tenant_id)

    def _must_have_room(self, table: Table, most: int, kind: SubjectKind) -> None:
        if self._connection.execute(select(func.count()).select_from(table)).scalar_one() >= most:
            text = f"there are {most} {kind}s already; remove one first"
            raise StillInUse(text, code=Code.TOO_MANY, subject=Subject(kind), limit=most)

    def _tenant_name(self, tenant_id: int | None) -> str:
        if tenant_id is None:
            return ""
        query = select(schema.tenant.c.name).where(schema.tenant.c.id == tenant_id)
        name: str | None = self._connection.execute(query).scalar_one_or_none()
        if name is None:
            text = "the tenant is gone; somebody removed it just now"
            raise NotFound(text, code=Code.NOT_FOUND, field="tenant", subject=Subject("tenant"))
        return name

    def _rights_text(self, role: Role, tenant_id: int | None) -> str:
        return f"{role.value} of {self._tenants_text(tenant_id)}"

    def _tenants_text(self, tenant_id: int | None) -> str:
        return "all tenants" if tenant_id is None else f"tenant {self._tenant_name(tenant_id)}"

    def _record(self, action: str, what: str, account: Account, detail: str) -> None:
        tenant = self._tenant_name(account.tenant_id)
        target = f"{what} {account.name}"
        self.events.append(
            Event(actor=self._actor, tenant=tenant, action=action, target=target, detail=detail)
        )


def there_already(kind: SubjectKind, name: str) -> AlreadyThere:
    """What to raise when an account has this name."""
    text = f"there is an {kind} {name} already"
    return AlreadyThere(text, code=Code.ALREADY_THERE, field="name", subject=Subject(kind, name))


def of_tenant(table: Table, tenant_id: int | None) -> list[ColumnElement[bool]]:
    """Which rows of a table are of this tenant; None is all of them."""
    return [] if tenant_id is None else [table.c.tenant_id == tenant_id]
