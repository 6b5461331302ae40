"""Reads the objects of one kind, all or one, and opens the transaction that changes them.

The address says whose they are. Where that owner is not there, NotThere is raised; what is not
there itself is None, but for a tenant, which is TenantNotThere. What reads is called in a thread.
"""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Mapping
from collections.abc import Collection as Collection_
from contextlib import AbstractContextManager
from typing import Generic, TypeVar

from sqlalchemy import Connection

from licet.admin.api.call import Call, there
from licet.admin.api.parameters import NamePath, TenantPath
from licet.model import Client, Tenant
from licet.setup.change import SetupChange
from licet.setup.tenant import TenantSetup
from licet.store.errors import NotFound

Change = TypeVar("Change")  # what changes them, in a transaction
Thing = TypeVar("Thing")
Made = TypeVar("Made")
Owner = tuple[str, ...]  # whose they are: a tenant's, those of a client of a tenant, or nobody's


async def nobody() -> Owner:
    """A dependency that reads from the address whose things are meant; here there is no owner."""
    return ()


async def a_tenant(tenant: TenantPath) -> Owner:
    """The same for what a tenant has."""
    return (tenant,)


async def a_client(tenant: TenantPath, client_id: NamePath) -> Owner:
    """The same for what a client has."""
    return tenant, client_id


class Collection(ABC, Generic[Change, Thing]):
    """Where the things of a noun are."""

    owner: Callable[..., Awaitable[Owner]] = staticmethod(nobody)
    can_be_rehearsed = True
    ends_sessions = True  # if one is changed or removed

    @abstractmethod
    def all(self, call: Call, owner: Owner, /) -> Mapping[str, Thing]:
        """All that the caller sees, by name."""

    def find(self, call: Call, owner: Owner, name: str, /) -> Thing | None:
        """One of them."""
        return self.all(call, owner).get(name)

    @abstractmethod
    def find_in(self, change: Change, call: Call, owner: Owner, name: str, /) -> Thing | None:
        """One as it is in a transaction."""

    def names_in(self, change: Change, owner: Owner, /) -> Collection_[str]:  # noqa: ARG002 - as any kind
        """The names in a transaction that may be told to the caller, where they are known."""
        return ()

    @abstractmethod
    async def change(self, call: Call, owner: Owner, work: Callable[[Change], Made], /) -> Made:
        """What `work` gives, which changes them in one transaction."""


class Tenants(Collection[SetupChange, Tenant]):
    """The tenants themselves."""

    def all(self, call: Call, _: Owner) -> Mapping[str, Tenant]:
        """As they are now."""
        return {tenant.name: tenant for tenant in call.context.tenants_now(call.identity)}

    def find(self, call: Call, _: Owner, name: str) -> Tenant:
        """Raises TenantNotThere."""
        return call.tenant(name)

    def find_in(self, change: SetupChange, call: Call, _: Owner, name: str) -> Tenant:
        """Raises TenantNotThere."""
        return call.setup(change, name).tenant

    async def change(self, call: Call, _: Owner, work: Callable[[SetupChange], Made]) -> Made:
        """In a change of the set-up."""
        return await call.change_setup(work)


class InTenant(Collection[TenantSetup, Thing]):
    """What is within one tenant."""

    @abstractmethod
    def parts(self, tenant: Tenant | TenantSetup, owner: Owner, /) -> Mapping[str, Thing]:
        """All of them, by name, of a tenant as it is now or in a transaction."""

    def all(self, call: Call, owner: Owner) -> Mapping[str, Thing]:
        """As they are now."""
        return self.parts(call.tenant(owner[0]), owner)

    def find_in(self, change: TenantSetup, _: Call, owner: Owner, name: str) -> Thing | None:
        """One as it is in a transaction."""
        return self.parts(change, owner).get(name)

    def names_in(self, change: TenantSetup, owner: Owner) -> Collection_[str]:
        """All of them."""
        return self.parts(change, owner).keys()

    async def change(self, call: Call, owner: Owner, work: Callable[[TenantSetup], Made]) -> Made:
        """In a change of the set-up."""
        return await call.change(owner[0], work)


class OfTenant(InTenant[Thing]):
    """What a tenant has of one kind."""

    owner = staticmethod(a_tenant)

    def __init__(self, parts: Callable[[Tenant | TenantSetup], Mapping[str, Thing]]) -> None:
        self._parts = parts

    def parts(self, tenant: Tenant | TenantSetup, _: Owner) -> Mapping[str, Thing]:
        """All of the tenant's."""
        return self._parts(tenant)


class OfClient(InTenant[Thing]):
    """What a client of a tenant has of one kind."""

    owner = staticmethod(a_client)
    ends_sessions = False  # what was begun with it lives on

    def __init__(self, parts: Callable[[Client], Mapping[str, Thing]]) -> None:
        self._parts = parts

    def parts(self, tenant: Tenant | TenantSetup, owner: Owner) -> Mapping[str, Thing]:
        """All of the client's; raises NotThere."""
        return self._parts(there(tenant.clients.get(owner[1]), "client", owner[1], tenant.clients))


class OfStore(Collection[Change, Thing]):
    """Accounts and webhooks: who is of one tenant has those of that tenant."""

    can_be_rehearsed = False
    ends_sessions = False

    def __init__(
        self,
        read: Callable[[Connection, int | None], Iterable[Thing]],
        name: Callable[[Thing], str],
        changing: Callable[..., AbstractContextManager[Change]],
        find_in: Callable[[Change, str], Thing],
    ) -> None:
        self._read, self._name = read, name
        self._changing, self._find_in = changing, find_in

    def all(self, call: Call, _: Owner) -> Mapping[str, Thing]:
        """As they are now."""
        found = call.context.read_now(lambda connection: self._read(connection, call.identity.tenant_id))
        return {self._name(value): value for value in found}

    def find_in(self, change: Change, _: Call, __: Owner, name: str) -> Thing | None:
        """One as it is in a transaction."""
        try:
            return self._find_in(change, name)
        except NotFound:
            return None

    async def change(self, call: Call, _: Owner, work: Callable[[Change], Made]) -> Made:
        """In a transaction of their own."""

        def run() -> Made:
            identity = call.identity
            with self._changing(call.context.store, identity.actor, within=identity.tenant_id) as change:
                return work(change)

        return await call.context.run(run)
