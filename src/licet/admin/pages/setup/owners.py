"""Defines the base classes of nouns by owner: one tenant (`OfTenant`), a client (`OfClient`), or `OfAll`."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, ClassVar, Self, TypeVar

from fastapi import Request

from licet.accounts import administrators
from licet.admin.context import AdminContext
from licet.admin.pages.forms import Field, Kind, Option
from licet.admin.pages.frame import Visit, link
from licet.admin.pages.setup.cells import Cell, Row, expiry, last_use
from licet.admin.pages.setup.error_links import ROOT
from licet.admin.pages.setup.noun import Empty, Noun, Part
from licet.admin.problems import not_found
from licet.journal.history import EventEntry
from licet.model import Client, ClientSecret, PublicKey, Tenant
from licet.refusal import Subject
from licet.setup.change import SetupChange
from licet.setup.check import authenticates_by
from licet.setup.consequences import Attempt, Consequences
from licet.setup.tenant import TenantSetup
from licet.store.errors import unknown

ALL_TENANTS = ""  # as in a form
_IN_JOURNAL = frozenset({"pool", "client", "user"})  # nouns that the journal can be narrowed by

Credential = TypeVar("Credential", ClientSecret, PublicKey)


class OfTenant(Noun[Part]):
    """The nouns within a tenant: pools, scopes, users and clients."""

    after = "The journal and the usage reports keep what was."
    tenant: Tenant

    @classmethod
    async def seen(cls, context: AdminContext, _: Request, visit: Visit) -> Self:
        """The noun for the chosen tenant, as it is now."""
        return cls(context, visit, await _chosen(context, visit))

    @property
    def of(self) -> str:
        """The tenant."""
        return f" in {self.tenant.name}"

    def nothing_yet(self) -> Empty:
        """To add the first one to the tenant."""
        return Empty(self.empty, f"{self.command} --tenant {self.tenant.name}")

    def question(self, name: str, _: Part) -> str:
        """With the tenant."""
        return f"Remove {self.called(name)} from {self.tenant.name}?"

    def journal(self, name: str | None) -> str:
        """The link to its journal, where the journal has such a filter."""
        only: dict[str, object] = {self.word: name} if name and self.word in _IN_JOURNAL else {}
        return link(self.visit, "/journal", kind="event", within="all", **only)

    def parts(self) -> Mapping[str, Part]:
        """Those of the tenant."""
        return self.parts_of(self.tenant)

    def parts_of(self, tenant: Tenant) -> Mapping[str, Part]:
        """Those of this tenant, by name."""
        raise NotImplementedError

    def enter(self, change: SetupChange) -> TenantSetup:
        """The tenant in a change."""
        return change.tenant(self.tenant.name)

    def current(self, change: TenantSetup, name: str) -> Part:
        """One of the tenant, as the change finds it."""
        part = self.parts_of(change.tenant).get(name)
        if part is None:
            raise unknown(Subject(self.word, name))
        return part


class OfClient(Noun[Credential]):
    """The nouns of a client: its secrets and public keys, which are on its page."""

    plural = "clients"  # their tab
    actions: ClassVar[tuple[str, ...]] = ("add", "remove")
    sees_list = None
    after = "Sessions that it began go on until they have to be renewed."
    tenant: Tenant

    def __init__(self, context: AdminContext, visit: Visit, tenant: Tenant, client: Client) -> None:
        super().__init__(context, visit, tenant)
        self.client = client

    @classmethod
    async def seen(cls, context: AdminContext, request: Request, visit: Visit) -> Self:
        """The noun for the client that the address names."""
        tenant = await _chosen(context, visit)
        name = request.query_params.get("name", "")
        client = tenant.clients.get(name)
        if client is None:
            raise not_found(f"There is no client {name[:64]} in {tenant.name}. It may have been removed.")
        return cls(context, visit, tenant, client)

    @property
    def back(self) -> str:
        """The page of the client."""
        return link(self.visit, f"{ROOT}/clients/edit", name=self.client.client_id)

    def link_to(self, action: str, name: str) -> str:
        """A page of one, with the client."""
        query = {"name": self.client.client_id, self.asked: name}
        return link(self.visit, f"{ROOT}/{self.path}/{action}", **query)

    @property
    def of(self) -> str:
        """The client and its tenant."""
        return f" for client {self.client.client_id} in {self.tenant.name}"

    def question(self, name: str, _: Credential) -> str:
        """With the client."""
        return f"Remove {self.called(name)} of client {self.client.client_id}?"

    def rows(self) -> Sequence[Row]:
        """The rows on the client's page, oldest first, each with the link to remove it."""
        parts = sorted(self.parts().items(), key=lambda pair: pair[1].created_at_ms)
        return [
            Row(name, self.link_to("remove", name), self.row(part), self.short(part)) for name, part in parts
        ]

    def row(self, part: Credential) -> Sequence[Cell]:
        """Since when, until when, and the last use."""
        created = Cell("", at_ms=part.created_at_ms)
        expires = expiry(part.expires_at_ms, self.visit.now_ms)
        return created, expires, last_use(part.last_used_at_ms, "ago")

    def short(self, part: Credential) -> str:
        """What distinguishes one from the others."""
        raise NotImplementedError

    def lost_without(self, left: Client) -> list[str]:
        """The warning where the client could no longer authenticate without it."""
        before, after = (authenticates_by(client, self.visit.now_ms) for client in (self.client, left))
        return ["the only thing by which the client can authenticate"] if before and not after else []

    def enter(self, change: SetupChange) -> TenantSetup:
        """The tenant in a change."""
        return change.tenant(self.tenant.name)


class OfAll(Noun[Part]):
    """The nouns of one tenant or all: administrators, API keys and webhooks.

    An administrator of one tenant sees and changes those of that tenant only. `tenant` is the reader's own.
    """

    tenant_label: ClassVar[str] = "Of"
    is_rehearsed = False  # no session ends with one

    @classmethod
    async def seen(cls, context: AdminContext, _: Request, visit: Visit) -> Self:
        """Those of the reader's tenants."""
        own = next((tenant for tenant in visit.tenants if tenant.id == visit.identity.tenant_id), None)
        return cls(context, visit, own)

    @property
    def within(self) -> int | None:
        """The id of the reader's own tenant; None is all."""
        return self.visit.identity.tenant_id

    @property
    def tenant_names(self) -> dict[int, str]:
        """The names of the tenants that the reader sees, by id."""
        return {tenant.id: tenant.name for tenant in self.visit.tenants}

    def tenant_name(self, tenant_id: int | None) -> str:
        """The name of a tenant as a list shows it."""
        return (
            "all tenants" if tenant_id is None else self.tenant_names.get(tenant_id, "a tenant that is new")
        )

    def tenant_field(self, *, is_fixed: bool = False) -> Field:
        """The field of its tenant: a choice for readers who may see all tenants."""
        if is_fixed or self.within is not None:
            return Field(name="tenant", label=self.tenant_label, kind=Kind.FIXED)
        tenants = (Option(value=tenant.name, label=tenant.name) for tenant in self.visit.tenants)
        every = Option(value=ALL_TENANTS, label="all tenants")
        return Field(name="tenant", label=self.tenant_label, kind=Kind.CHOICE, options=(every, *tenants))

    def tenant_text(self, tenant_id: int | None) -> tuple[str]:
        """What that field holds."""
        return (ALL_TENANTS if tenant_id is None else self.tenant_name(tenant_id),)

    def tenant_id(self, values: Mapping[str, Any]) -> int | None:
        """The id of the chosen tenant; an administrator of one tenant has no choice."""
        if self.within is not None:
            return self.within
        if values["tenant"] == ALL_TENANTS:
            return None
        return {tenant.name: tenant.id for tenant in self.visit.tenants}[values["tenant"]]

    def changes(self, name: str | None) -> tuple[EventEntry, ...]:
        """All that the reader may see, by name."""
        is_new_here = self.within is not None and self.tenant is None
        return () if is_new_here else tuple(super().changes(name))

    def attempt(self, do: Callable[[Any], None], _: int) -> Attempt:
        """In a transaction of their own."""
        with self.changing() as change:
            do(change)
        return Attempt(is_made=True, ending=Consequences())

    def changing(self) -> AbstractContextManager[Any]:
        """Such a transaction: of accounts."""
        return administrators.changing(self.context.store, self.visit.identity.actor, within=self.within)


async def _chosen(context: AdminContext, visit: Visit) -> Tenant:
    """The chosen tenant, as it is now.

    Raises Problem, NotFound.
    """
    if visit.the_tenant is None:
        raise not_found("Say of which tenant.")
    return await context.tenant(visit.identity, visit.the_tenant.name)
