"""An administrator removes places in line: through the store, the command line, or a node's admin API.

The store and the command line say whether there was a place; the API answers the same in both cases.
"""

import random
from collections.abc import Callable
from http.client import HTTPConnection, HTTPException

import msgspec

from chaos.history import POOL, TenantPlan
from licet.model import Tenant
from licet.reports.options.queue import queue_of
from licet.setup.change import changing
from licet.setup.queue_places import remove_place
from licet.store.contract import Store
from licet.store.errors import Contradiction, StoreUnavailable

BY_COMMAND, BY_API = 0.06, 0.25  # of the removals; the others are through the store
FRONT = 3  # of the line: the removal of their places helps others most
NOBODY = 0.05  # of the removals, how many are of a client that need not wait
PATIENCE_S = 10.0
DONE, UNAVAILABLE = 204, 503
TAKEN_AWAY = "taken away"  # as the command says it

# The client, through what its place is removed, and the function that does so: whether there was a place.
Removal = tuple[str, str, Callable[[], bool]]


class AdminApi(msgspec.Struct, frozen=True, kw_only=True):
    """The admin listeners of the nodes, and the key of an operator."""

    ports: tuple[int, ...]
    key: str

    def remove(self, port: int, tenant: str, client_id: str) -> bool:
        """Remove a place; False, because the API does not say whether there was one.

        Raises StoreUnavailable where the place may not have been removed.
        """
        connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
        path = f"/api/v1/tenants/{tenant}/pools/{POOL}/queue/{client_id}"
        try:
            connection.request("DELETE", path, headers={"authorization": f"Bearer {self.key}"})
            answer = connection.getresponse()
            body = answer.read()
        except (OSError, HTTPException) as fault:
            raise StoreUnavailable(f"the admin API: {fault}") from None
        finally:
            connection.close()
        if answer.status == UNAVAILABLE:
            raise StoreUnavailable(f"the admin API: {body.decode()}")
        if answer.status != DONE:
            raise Contradiction(f"status {answer.status} of {path}: {body.decode()}")
        return False


class Removing:
    """Chooses the client whose place is removed, and through what."""

    def __init__(self, actor: str, api: AdminApi, dice: random.Random) -> None:
        self._actor = actor
        self._api = api
        self._dice = dice

    def next(
        self, store: Store, plan: TenantPlan, tenant: Tenant, command: Callable[..., Callable[[], str]]
    ) -> Removal | None:
        """The removal of a client that waits, mostly one of the first; None if none waits.

        Raises StoreUnavailable.
        """
        pool = tenant.pool_named(POOL)
        assert pool is not None
        with store.reading() as connection:
            waiting = [it.client_id for it in queue_of(connection, pool, store.clock.now_ms())]
        if self._dice.random() < NOBODY:
            waiting = [client.client_id for client in plan.clients]
        if not waiting:
            return None
        client_id = self._dice.choice(waiting[:FRONT] if self._dice.random() < 0.5 else waiting)
        lot = self._dice.random()
        if lot < BY_COMMAND:
            run = command("queue", "remove", client_id, "--pool", POOL, "--tenant", plan.name, "--yes")
            return client_id, "command", lambda: TAKEN_AWAY in run()
        if lot < BY_COMMAND + BY_API:
            port = self._dice.choice(self._api.ports)
            return client_id, "api", lambda: self._api.remove(port, plan.name, client_id)

        def remove_it() -> bool:
            with changing(store, self._actor) as change:
                return remove_place(change, plan.name, POOL, client_id)

        return client_id, "store", remove_it
