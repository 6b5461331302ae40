"""Sends the requests of a client to the nodes, and records each with its answer.

Nearly all requests of every second tenant go to one node, its home. So what the node remembers of the tenant
is of use, and wrong if another node has written since. The requests of the other tenants go to any node.
"""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext, suppress

import msgspec

from chaos.history import Kind, Operation, Writer, now_us
from chaos.load.assertions import Assertions, Repetition, Signed
from chaos.load.leaving import Leavers
from chaos.load.outcomes import Held, outcome_of, seat_of, sid_in
from chaos.load.process import Count, Spec
from chaos.load.wire import PATIENCE_S, SWEEP_S, Answer, Connection, Line, basic, claims_of, post
from chaos.site.plans import ClientSite, TenantSite

GRANT = "client_credentials"
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
        self.public_url = spec.public_url
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


class _Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A request of a client, before it is known who gets it."""

    kind: Kind
    endpoint: str
    form: dict[str, str] | None
    held: Held | None = None
    licensed: bool = False
    by_access: bool = False
    authorization: str = ""
    wait_s: int = 0


class Requests:
    """The requests of one client, one at a time; the share `at_home` goes to the node `home`, if any.

    Only requests with the same assertion may be under way together.
    """

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
        self._assertions: Assertions | None = None
        if client.private_key:
            issuer = f"{target.public_url}/{tenant.name}"
            self._assertions = Assertions(client.client_id, issuer, client.private_key, dice)
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
        """Send a request to a node or an API that can be reached, and record it with its answer.

        If its assertion is sent again with the same request, this is what came of the one that was granted.
        """
        asked = _Asked(
            kind=kind,
            endpoint=endpoint,
            form=form,
            held=held,
            licensed=licensed,
            by_access=by_access,
            authorization=authorization,
            wait_s=wait_s,
        )
        if authorization or self._assertions is None:
            operation, answer = await self._send(asked, *await self._reach(asked))
        else:
            operation, answer = await self._send_signed(asked, self._assertions)
        if operation.outcome == "invalid_client":  # An administrator may have removed this secret.
            self._secrets.reverse()
            await self.pause(self._dice.random() * (REFUSED_IN_LINE_S if self._has_line else REFUSED_S))
        elif operation.left_us:
            await self.pause(self.leavers.away_s())
        elif operation.is_unknown:
            await self.pause(self._dice.random() * UNANSWERED_S)
        return operation, answer

    async def _send_signed(self, asked: _Asked, assertions: Assertions) -> tuple[Operation, Answer | None]:
        """Send a request with a new assertion, and perhaps another one with the same."""
        node, connection = await self._reach(asked)
        signed = assertions.sign()  # only now, because it expires
        sending = self._send(asked, node, connection, signed)
        repetition = assertions.repetition()
        if repetition is not None and repetition.when != "afterwards":
            repeating = self._send_again(asked, signed, repetition, but_not=node)
            return _better(*await asyncio.gather(sending, repeating))
        first = await sending
        if repetition is None and first[0].is_unknown:
            repetition = assertions.repetition_unanswered()
        if repetition is None or first[0].left_us:
            return first
        return _better(first, await self._send_again(asked, signed, repetition))

    async def _send_again(
        self, asked: _Asked, signed: Signed, repetition: Repetition, but_not: int | None = None
    ) -> tuple[Operation, Answer | None]:
        """Send an assertion again, at once to another node than the first time."""
        again = msgspec.structs.replace(asked, wait_s=0)
        if repetition.is_other or (self._has_line and repetition.when != "afterwards"):
            # The order of a line is certain only if a client asks for one seat at a time.
            is_lacking = asked.kind != "grant" or not asked.licensed
            licensed = is_lacking and (not self._has_line or repetition.when == "afterwards")
            again = _Asked(
                kind="grant", endpoint="token", form=grant_form(licensed=licensed), licensed=licensed
            )
        if repetition.after_s:
            await self.pause(repetition.after_s)
        excluded = but_not if repetition.when == "at once" else None
        return await self._send(again, *await self._reach(again, but_not=excluded), signed)

    async def _reach(self, asked: _Asked, but_not: int | None = None) -> tuple[int, Connection]:
        """A connection to a node or an API that can be reached; at first one other than `but_not`."""
        patience_s = asked.wait_s + WAIT_MORE_S if asked.wait_s else 0.0
        lines = self._lines(asked)
        is_at_home = asked.endpoint and self._home is not None and self._dice.random() < self.at_home
        node = self._home if is_at_home and self._home is not None else self._dice.randrange(len(lines))
        if node == but_not:
            node = (node + self._dice.randrange(1, max(2, len(lines)))) % len(lines)
        while not lines[node].has_room or (connection := await lines[node].take(patience_s)) is None:
            await asyncio.sleep(self._dice.uniform(1, 3) * UNREACHED_S)
            node = self._dice.randrange(len(lines))
        return node, connection

    def _lines(self, asked: _Asked) -> list[Line]:
        return self._target.nodes if asked.endpoint else self._target.apis

    async def _send(
        self, asked: _Asked, node: int, connection: Connection, signed: Signed | None = None
    ) -> tuple[Operation, Answer | None]:
        """Send a request by this connection, and record it with its answer."""
        kind, held, wait_s = asked.kind, asked.held, asked.wait_s
        path = f"{self._tenant}/{asked.endpoint}" if asked.endpoint else self._tenant
        if signed is None:
            request = post(path, asked.authorization or self._secrets[0], asked.form, wait_s)
        else:
            request = post(path, "", {**(asked.form or {}), **signed.form}, wait_s)
        sent_us = now_us()
        with self.leavers.wait(connection, wait_s) if wait_s else nullcontext():
            answer = await connection.ask(request)
        received_us = now_us()
        self._lines(asked)[node].give_back(connection)
        issued_ms, number = seat_of(answer, held)
        operation = Operation(
            kind=kind,
            sent_us=sent_us,
            received_us=received_us if answer else 0,
            lost_us=0 if answer else received_us,
            node=node,
            tenant=self._tenant,
            client=self._client,
            licensed=held.licensed if held else asked.licensed,
            outcome=outcome_of(kind, answer, held),
            status=answer.status if answer else 0,
            sid=held.sid if held else sid_in(answer),
            token_sent_us=held.sent_us if held and asked.by_access else 0,
            token_received_us=held.received_us if held and asked.by_access else 0,
            seats=answer.said.seats if answer else 0,
            in_use=answer.said.in_use if answer else 0,
            released=answer.said.seat_released if answer else False,
            issued_ms=issued_ms,
            number=number,
            queue=asked.form is not None and "queue" in asked.form,
            position=answer.said.queue_position if answer else 0,
            wait_s=wait_s,
            left_us=connection.left_us,
            claims=claims_of(answer.said.access_token) if answer and self._is_jwt else None,
            assertion=signed.jti if signed else "",
        )
        self._target.note(operation)
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


def grant_form(*, licensed: bool) -> dict[str, str]:
    """The form of a grant with a seat, or without one."""
    return {"grant_type": GRANT, "scope": "all" if licensed else "view"}


def _better(
    first: tuple[Operation, Answer | None], again: tuple[Operation, Answer | None]
) -> tuple[Operation, Answer | None]:
    """What came of the second request with an assertion where it was granted instead, else of the first."""
    is_instead = again[0].outcome == "granted" and again[0].kind == first[0].kind
    return again if is_instead and first[0].outcome != "granted" else first
