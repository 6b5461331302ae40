"""Sends the requests of a client to the nodes, and records each with its answer.

Nearly all requests of every second tenant go to one node, its home. So what the node remembers of the tenant
is of use, and wrong if another node has written since. The requests of the other tenants go to any node.
"""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext, suppress

from chaos.history import Kind, Operation, Writer, now_us
from chaos.load.leaving import Leavers
from chaos.load.outcomes import Held, outcome_of, seat_of, sid_in
from chaos.load.process import Count, Spec
from chaos.load.wire import PATIENCE_S, SWEEP_S, Answer, Line, basic, claims_of, post
from chaos.site.plans import ClientSite, TenantSite

WAIT_MORE_S = 7.5  # how much longer a client waits for an answer that may be delayed
UNREACHED_S = 0.1
UNANSWERED_S = 6.0  # the longest pause after a request without an answer, as the next one would fail too
CALL_S = 6.0  # more than a guard takes to find out that no server answers
REFUSED_S, REFUSED_IN_LINE_S = 0.4, 3.0  # the longest pause of a client whose secret was refused
AT_HOME = 0.95  # share of a tenant's requests that go to its home, as with a proxy that routes by path


class Target:
    """What the clients of one process share: the nodes, the APIs, and the history."""

    def __init__(self, spec: Spec, writer: Writer) -> None:
        self.count = Count()
        self.over = asyncio.Event()
        self.nodes = [Line(port) for port in spec.ports]
        self.apis = [Line(port) for port in spec.apis]
        self._writer = writer

    @asynccontextmanager
    async def swept(self) -> AsyncIterator[None]:
        """Give up on overdue answers during a `with` block."""

        async def sweep() -> None:
            while True:
                for line in self.nodes:
                    line.sweep(PATIENCE_S)
                for line in self.apis:
                    line.sweep(CALL_S)
                await asyncio.sleep(SWEEP_S)

        sweeping = asyncio.create_task(sweep())
        try:
            yield
        finally:
            sweeping.cancel()

    def note(self, operation: Operation) -> None:
        """Record a request and its answer."""
        self._writer.write(operation)
        self.count.operations += 1
        self.count.granted += operation.kind == "grant" and operation.outcome == "granted"
        self.count.unknown += operation.is_unknown


class Requests:
    """The requests of one client, one at a time; the share `at_home` goes to the node `home`, if any."""

    def __init__(
        self,
        target: Target,
        tenant: TenantSite,
        client: ClientSite,
        dice: random.Random,
        *,
        home: int | None,
        leavers: Leavers,
    ) -> None:
        self.at_home = AT_HOME
        self._target = target
        self._tenant = tenant.name
        self._is_jwt = tenant.is_jwt
        self._has_line = tenant.has_line
        self._client = client.client_id
        self._secrets = [basic(client.client_id, secret) for secret in client.secrets]
        self._dice = dice
        self._home = home
        self.leavers = leavers

    async def ask(
        self,
        kind: Kind,
        endpoint: str,
        form: dict[str, str] | None,
        *,
        held: Held | None = None,
        licensed: bool = False,
        by_access: bool = False,
        authorization: str = "",
        wait_s: int = 0,
    ) -> tuple[Operation, Answer | None]:
        """Send a request to a node or an API that can be reached, and record it with its answer."""
        path = f"{self._tenant}/{endpoint}" if endpoint else self._tenant
        request = post(path, authorization or self._secrets[0], form, wait_s)
        patience_s = wait_s + WAIT_MORE_S if wait_s else 0.0
        lines = self._target.nodes if endpoint else self._target.apis
        is_at_home = endpoint and self._home is not None and self._dice.random() < self.at_home
        node = self._home if is_at_home and self._home is not None else self._dice.randrange(len(lines))
        while not lines[node].has_room or (connection := await lines[node].take(patience_s)) is None:
            await asyncio.sleep(self._dice.uniform(1, 3) * UNREACHED_S)
            node = self._dice.randrange(len(lines))
        sent_us = now_us()
        with self.leavers.wait(connection, wait_s) if wait_s else nullcontext():
            answer = await connection.ask(request)
        received_us = now_us()
        lines[node].give_back(connection)
        issued_ms, number = seat_of(answer, held)
        operation = Operation(
            kind=kind,
            sent_us=sent_us,
            received_us=received_us if answer else 0,
            lost_us=0 if answer else received_us,
            node=node,
            tenant=self._tenant,
            client=self._client,
            licensed=held.licensed if held else licensed,
            outcome=outcome_of(kind, answer, held),
            status=answer.status if answer else 0,
            sid=held.sid if held else sid_in(answer),
            token_sent_us=held.sent_us if held and by_access else 0,
            token_received_us=held.received_us if held and by_access else 0,
            seats=answer.said.seats if answer else 0,
            in_use=answer.said.in_use if answer else 0,
            released=answer.said.seat_released if answer else False,
            issued_ms=issued_ms,
            number=number,
            queue=form is not None and "queue" in form,
            position=answer.said.queue_position if answer else 0,
            wait_s=wait_s,
            left_us=connection.left_us,
            claims=claims_of(answer.said.access_token) if answer and self._is_jwt else None,
        )
        self._target.note(operation)
        if operation.outcome == "invalid_client":  # An administrator may have removed this secret.
            self._secrets.reverse()
            await self.pause(self._dice.random() * (REFUSED_IN_LINE_S if self._has_line else REFUSED_S))
        elif operation.left_us:
            await self.pause(self.leavers.away_s())
        elif operation.is_unknown:
            await self.pause(self._dice.random() * UNANSWERED_S)
        return operation, answer

    async def pause(self, seconds: float) -> None:
        """Wait for so long, or until the load is over."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._target.over.wait(), seconds)


def home_of(at: int, spec: Spec) -> int | None:
    """The home of the tenant with this number; every second one has none, except in a load of renewals."""
    if spec.renewals:
        return at % len(spec.ports)
    return at // 2 % len(spec.ports) if at % 2 else None
