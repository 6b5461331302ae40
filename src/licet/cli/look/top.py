"""Runs `licet top`: shows who holds which seats, live, and ends a session from there.

It is drawn again each second, with each key, and when the terminal has another size. Whoever runs it works on
the store itself, and is in the journal with a name. However it ends, the terminal is as it was before.
"""

from typing import TYPE_CHECKING

import typer

from licet.cli.look.seats import read_now, seats
from licet.cli.look.session import end_these, what_ended
from licet.cli.look.top_screen import Mode, Order, Screen
from licet.cli.options import Data, TenantName
from licet.cli.output import on_terminal
from licet.cli.stores import chosen_tenant, opened
from licet.cli.terminal import page
from licet.model import InvalidValue
from licet.platforms.terminal import Keyboard, keyboard
from licet.store.contract import Store
from licet.store.errors import SetupError

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live

    from licet.model import Tenant
    from licet.reports.live import SeatsNow

EVERY_S = 1.0
INTERRUPTED, TERMINATED = 130, 143  # as in a shell: 128 and the number of the signal


def top(*, tenant: TenantName = None, data: Data = None) -> None:
    """Who holds which seat, live: as [bold]licet seats[/], refreshed each second.

    Keys choose a tenant and a pool, filter, sort, and end the selected session; `?` lists them, `q` or Ctrl-C
    quits. Without a terminal, or on a dumb one, the list is printed once.

    Example: [bold]licet top --tenant Jim_Test[/]
    """
    if not on_terminal() or page().is_dumb_terminal:  # which cannot move its cursor
        seats(tenant=tenant, data=data)
        return
    with opened(data) as store:
        try:
            _Top(store, tenant).run()
        except KeyboardInterrupt:
            raise typer.Exit(INTERRUPTED) from None


class _Top:
    """One look at a store."""

    def __init__(self, store: Store, tenant: str | None) -> None:
        self._store = store
        self._tenant = _first(store, tenant)
        self._screen = Screen()
        self._now = self._read()

    def run(self) -> None:
        """Until a key or a signal ends it."""
        from rich.live import Live

        console = page()
        with keyboard() as keys, Live(console=console, screen=True, auto_refresh=False) as live:
            self._draw(live)
            while not keys.ends:
                if keys.stops:
                    self._stop(keys, live)
                if self._press(keys.wait(EVERY_S)):
                    return
                self._now = self._read()
                self._draw(live)
        raise typer.Exit(TERMINATED)

    def _press(self, pressed: list[str]) -> bool:
        """Do what these keys say; whether to quit."""
        for key in pressed:
            order = self._screen.press(key)
            if order is not None and order.what == "quit":
                return True
            if order is not None:
                self._do(order)
            if self._screen.mode is Mode.CONFIRM:
                break  # What was typed, or pasted, before the question can be read is no answer to it.
        return False

    def _do(self, order: Order) -> None:
        if order.what == "tenant":
            names = [tenant.name for tenant in _tenants(self._store)]
            at = names.index(self._tenant.name) if self._tenant.name in names else -1
            self._tenant = _first(self._store, names[(at + 1) % len(names)])
        else:
            self._screen.message = self._end(order)

    def _end(self, order: Order) -> str:
        """End a session; what was done, or why not."""
        try:
            done = end_these(self._store, self._tenant.name, [order.sid], reason=order.reason)
        except (InvalidValue, SetupError) as fault:
            return f"Not ended: {fault}"
        return " ".join(what_ended(done)) if done.sessions else "It had ended already."

    def _stop(self, keys: Keyboard, live: "Live") -> None:
        """Let the shell have the terminal until it continues this."""
        live.stop()
        with keys.released():
            keys.stop()
        live.start()

    def _read(self) -> "SeatsNow":
        self._store.refresh_tenants()
        tenants = _tenants(self._store)
        self._screen.tenants = len(tenants)
        current = next((tenant for tenant in tenants if tenant.id == self._tenant.id), None)
        self._tenant = current or _first(self._store, None)  # It may have been removed.
        return read_now(self._store, self._tenant)

    def _draw(self, live: "Live") -> None:
        live.update(_drawn(self._screen, self._now, live.console), refresh=True)


def _drawn(screen: Screen, now: "SeatsNow", console: "Console") -> "RenderableType":
    from rich.console import Group

    return Group(*screen.lines(now, console))


def _first(store: Store, name: str | None) -> "Tenant":
    """The tenant of this name, or the first one.

    Raises NotFound.
    """
    if name is None and (tenants := _tenants(store)):
        return tenants[0]
    return chosen_tenant(store, name)


def _tenants(store: Store) -> "list[Tenant]":
    return sorted(store.tenants().values(), key=lambda tenant: tenant.name)
