"""Defines where objects of the set-up belong (store, tenant or client), and how a command changes them.

Each of these says which options lead there, of what its records are made, and how it is changed.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from inspect import Parameter
from pathlib import Path
from typing import Annotated, Any, ClassVar

import typer

from licet.cli import completing
from licet.cli.change import change_tenant
from licet.cli.noun import argument, option
from licet.cli.options import Data, TenantName, actor, confirm
from licet.cli.output import Absent, say
from licet.cli.stores import chosen_tenant, opened
from licet.cli.suggested_options import of_data, of_tenant
from licet.platforms.shells import quoted
from licet.refusal import Subject
from licet.store.contract import Store
from licet.store.errors import unknown

# What verbs about a client, or something of one, take
ClientId = Annotated[
    str,
    typer.Argument(metavar="CLIENT_ID", help="The client's client_id.", autocompletion=completing.clients),
]
NoPassword = Annotated[
    bool, typer.Option("--no-password", help="From now on the user's password does not work for it.")
]

Change = Callable[..., object]  # as `TenantSetup.set_pool`: False says that nothing was to be changed


class OfStore:
    """What belongs to no tenant, or to many. `changing` begins a change."""

    arguments: ClassVar[tuple[Parameter, ...]] = ()
    options: ClassVar[tuple[Parameter, ...]] = (option("data", Data),)
    ends_sessions: ClassVar[bool] = False  # a change may, and asks before

    def __init__(self, data: Path | None) -> None:
        self.data = data

    @staticmethod
    def changing(store: Store, actor: str) -> Any:
        """Begin a change, as `licet.alerts.webhooks.changing`."""
        raise NotImplementedError

    @contextmanager
    def parts(self) -> Iterator[tuple[Any, ...]]:
        """Of what records are made: the store.

        Raises NotFound, WrongUse, StoreUnavailable, as all that opens a store.
        """
        with opened(self.data) as store:
            yield (store,)

    def change(self, done: str, change_it: Change, *, ask: str = "", yes: bool = False) -> None:
        """Make a change, once the question is answered if there is one, and say that it is done.

        Raises SetupError, InvalidValue, StoreUnavailable, Refused, WrongUse.
        """
        if ask:
            confirm(ask, yes=yes)
        with opened(self.data) as store, type(self).changing(store, actor()) as change:
            is_changed = change_it(change) is not False
        say(f"{done}." if is_changed else "Nothing to change.")

    def which(self, word: str, name: str) -> str:
        """One of it: `webhook wh_9f86d081884c`."""
        return f"{word} {name}"

    def line(self, command: str, rest: str) -> str:
        """A line to be pasted, about the same: `licet webhook add URL --data /srv/licet`."""
        return f"licet {command} {rest}".rstrip() + of_data(self.data)


def tenant_id(store: Store, name: str | None) -> int | None:
    """The id of a tenant that an option names; None is all tenants.

    Raises NotFound.
    """
    return None if name is None else chosen_tenant(store, name).id


def tenant_name(store: Store, tenant_id: int | None) -> str | Absent:
    """The name of the tenant that something is of, to show."""
    if tenant_id is None:
        return Absent("all")
    tenant = store.tenants().get(tenant_id)
    return str(tenant_id) if tenant is None else tenant.name  # removed at this moment


class OfTenant(OfStore):
    """What belongs to a tenant. Records are made of the store and the tenant, changes of a `TenantSetup`."""

    options = (option("tenant", TenantName), *OfStore.options)
    ends_sessions = True

    def __init__(self, data: Path | None, tenant: str | None) -> None:
        super().__init__(data)
        self.tenant = tenant

    @contextmanager
    def parts(self) -> Iterator[tuple[Any, ...]]:
        """Of what records are made."""
        with opened(self.data) as store:
            yield store, chosen_tenant(store, self.tenant)

    def change(self, done: str, change_it: Change, *, ask: str = "", yes: bool = False) -> None:
        """Make a change, and say that it is done; what ends with it is asked about first."""
        change_tenant(
            self.data, self.tenant, done, lambda setup: change_it(setup) is not False, ask=ask, yes=yes
        )

    def line(self, command: str, rest: str) -> str:
        """A line to be pasted, about the same."""
        return f"licet {command} {rest}".rstrip() + of_tenant(self.tenant, self.data)


class OfClient(OfTenant):
    """What belongs to a client. Records are made of the client and the tenant; a change is given its id."""

    arguments = (argument("client_id", ClientId),)

    def __init__(self, data: Path | None, tenant: str | None, client_id: str) -> None:
        super().__init__(data, tenant)
        self.client_id = client_id

    @contextmanager
    def parts(self) -> Iterator[tuple[Any, ...]]:
        """Of what records are made."""
        with super().parts() as (_, tenant):
            if self.client_id not in tenant.clients:
                raise unknown(Subject("client", self.client_id, tenant.name), tenant.clients)
            yield tenant.clients[self.client_id], tenant

    def change(self, done: str, change_it: Change, *, ask: str = "", yes: bool = False) -> None:
        """Make a change, and say that it is done."""
        super().change(done, lambda setup: change_it(setup, self.client_id), ask=ask, yes=yes)

    def which(self, word: str, name: str) -> str:
        """One of it: `secret ApfHy2FNBhRl of client TestClientId`."""
        return f"{word} {name} of client {self.client_id}"

    def line(self, command: str, rest: str) -> str:
        """A line to be pasted, about the same."""
        if self.client_id.startswith("-"):
            options = of_tenant(self.tenant, self.data)
            return f"licet {command}{options} -- {quoted(self.client_id)} {rest}".rstrip()
        return super().line(f"{command} {quoted(self.client_id)}", rest)
