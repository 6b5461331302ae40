"""The load: one process of many clients, each with a few sessions, on nodes that each request chooses by lot.

`python -m chaos.load.load SPEC` runs until its standard input says `quiet`; then it lets what is under way
end, asks about every session that it still has, and is over. Each second it prints what it has done so far.
A client may die: then it never comes back to its sessions, and nobody gives back its seats. It asks about
sessions that are over as well, because what is over has to stay over. In a signed tenant it calls an API too,
behind a guard that counts, with tokens that live and with those of sessions that are over.

Every second tenant has a node that nearly all of its requests go to, so that what a node remembers of it is
of use, and wrong if somebody else has written since; those of the others go to any.

Where it is mostly renewals (`renewals`), each tenant has such a node, at which its clients ask again and
again for what they have; now and then one of them gives back all that it has at another. So nearly all that
a node commits may be decided on what it remembers, and sometimes that is wrong.

Some hold a seat as a program at work does: they renew it a few times, before half of its life or after, and
are silent until the life is nearly over. A server that believes what was written of their seat at first, and
not its last renewal, gives it to somebody else meanwhile.

Some leave while they wait in line (`chaos.load.leaving`).
"""

import asyncio
import random
import sys
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext, suppress
from pathlib import Path

import msgspec
import uvloop

from chaos.history import UNKNOWN, Kind, Operation, Writer, now_us
from chaos.load import leaving
from chaos.load.leaving import Leavers
from chaos.load.outcomes import Held, outcome_of, seat_of, sid_in
from chaos.load.wire import PATIENCE_S, SWEEP_S, Answer, Line, basic, claims_of, post
from chaos.site.plans import ASKER, ClientSite, TenantSite

GRANT, REFRESH = "client_credentials", "refresh_token"
ENDED_REMEMBERED = 4  # sessions of one client that are over, and asked about now and then
HELD_MAX = 8  # sessions of one client; more it logs off
DENIED_S = 0.4  # how long a client without a seat waits at most before it asks again
LIMITED_S = 8.0  # the same where options limit seats, unless it waits for the answer
AWAY_S = 1.5  # the same, at most between a logoff and the next grant
QUEUES = 0.7  # of the grants where there is a line, how many ask for a place in it
WAITS, WAITS_S = 0.8, (3, 8)  # of those, how many would wait for the answer, and for how long
WAITS_LESS = 0.1  # the same where a line is never changed: who asks now and then shows its order
ASKS_AGAIN_S = 1.2  # and there it waits so long at most before it asks again
FORGETS, FORGETS_MORE = 0.05, 0.2  # of those with a place, how many let others ask for what is set aside
FORGETS_S = (0.2, 1.3)  # for what part of the time for which it is kept: some lose it
WAIT_MORE_S = 7.5  # that long, and as long as for any, it waits for an answer that was put off
WANTS, WANTS_MORE = 0.8, 0.98  # of the grants, how many need a seat; where options limit seats
UNREACHED_S = 0.1
UNANSWERED_S = 6.0  # how long who was not answered waits at most: who asks on at once, asks mostly in vain
SAY_EVERY_S = 0.25
CALLS = 0.5  # of what is done with a session of a signed tenant
CALL_S = 6.0  # more than its guard takes to find out that nobody answers
CALLS_MAX = 6  # one after the other
KEPT = 0.12  # of the seats taken, how many are kept by renewals that are few and far between
KEPT_IN_LINE = 0.01  # the same where there is a line
BARRED_S = 12.0  # the same for whom asking again does not help
IN_VAIN = frozenset({"excluded", "not_included", "licence_expired", "no_seats"})
THINK_S = 0.4  # how long who has a seat there is silent at most, so that others wait for it
SOON_OVER = 0.5  # of what is done with a session there, how much ends it
KEPT_TTL_S_MAX = 20  # a session that lives longer has its next request soon enough
RENEWALS_MAX = 3
OTHERS_S = 3.0
RENEWED_MAX = 3  # sessions of one client there
RENEWED, LOOKED, LEFT = 0.9, 0.93, 0.97  # of what is done in a load of renewals: that, and what comes before
AT_HOME = 0.95  # of the requests of a tenant that has one node for its own, as a proxy by path gives it


class Spec(msgspec.Struct, frozen=True, kw_only=True):
    """The orders for a process of the load: its number, the nodes, and the clients that it plays."""

    seed: int
    ports: tuple[int, ...]
    tenants: tuple[TenantSite, ...]
    history: str
    actors_per_client: int = 1
    apis: tuple[int, ...] = ()
    renewals: bool = False


class Count(msgspec.Struct, kw_only=True):
    """What a process of the load has done so far."""

    operations: int = 0
    granted: int = 0
    unknown: int = 0


class Load:
    """All clients of one process."""

    def __init__(self, spec: Spec, writer: Writer) -> None:
        self.count = Count()
        self.over = asyncio.Event()
        self.dice = random.Random(spec.seed)
        self.lines = [Line(port) for port in spec.ports]
        self.apis = [Line(port) for port in spec.apis]
        self.leavers = {
            tenant.name: Leavers(random.Random(self.dice.getrandbits(64))) for tenant in spec.tenants
        }
        self._writer = writer
        self._actors = [
            Actor(
                self,
                tenant,
                client,
                random.Random(self.dice.getrandbits(64)),
                _home_of(at, spec),
                renews=spec.renewals,
            )
            for at, tenant in enumerate(spec.tenants)
            for client in tenant.clients
            for _ in range(spec.actors_per_client)
        ]

    async def run(self) -> None:
        """Act until it is over; then ask about what is left."""
        async with self._swept():
            await asyncio.gather(*(actor.run() for actor in self._actors))
            await asyncio.gather(*(actor.look_back() for actor in self._actors))

    @asynccontextmanager
    async def _swept(self) -> AsyncIterator[None]:
        async def sweep() -> None:
            while True:
                for line in self.lines:
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
        """Keep what was asked and answered."""
        self._writer.write(operation)
        self.count.operations += 1
        self.count.granted += operation.kind == "grant" and operation.outcome == "granted"
        self.count.unknown += operation.is_unknown


class Actor:
    """One client at work: a request at a time."""

    def __init__(
        self,
        load: Load,
        tenant: TenantSite,
        client: ClientSite,
        dice: random.Random,
        home: int | None,
        *,
        renews: bool,
    ) -> None:
        self._load = load
        self._home = home
        self._renews = renews
        self._at_home = 1.0 if renews else AT_HOME
        self._dice = dice
        self._tenant = tenant.name
        self._is_jwt = tenant.is_jwt
        self._client = client.client_id
        self._ttl_us = tenant.session_ttl_s * 1_000_000
        self._ttl_s = tenant.session_ttl_s
        self._kept = KEPT if tenant.session_ttl_s <= KEPT_TTL_S_MAX else 0.0
        if tenant.has_line:
            self._kept = KEPT_IN_LINE
        self._soon_over = SOON_OVER if tenant.has_line else 0.0
        self._queues = QUEUES if tenant.has_line else 0.0
        self._wants = WANTS_MORE if tenant.has_line else WANTS
        self._waits = WAITS_LESS if tenant.is_steady else WAITS
        self._limited_s = ASKS_AGAIN_S if tenant.is_steady else LIMITED_S
        self._leavers = load.leavers[tenant.name]
        self._forgets = FORGETS_MORE if tenant.is_steady else FORGETS
        self._line_hold_s = tenant.line_hold_s
        self._calls = CALLS if load.apis and tenant.is_signed else 0.0
        self._secrets = [basic(client.client_id, secret) for secret in client.secrets]
        self._asker = basic(ASKER, tenant.asker_secret)
        self._held: list[Held] = []
        self._ended: deque[Held] = deque(maxlen=ENDED_REMEMBERED)

    async def run(self) -> None:
        """Act until the load is over."""
        await asyncio.sleep(self._dice.random() * DENIED_S)
        while not self._load.over.is_set():
            await self._act()

    async def look_back(self) -> None:
        """Ask about everything that it knows: what is alive, and what is over."""
        for held in (*self._held, *self._ended):
            await self._introspect(held, by_access=False)

    async def _act(self) -> None:
        self._forget_expired()
        if self._renews:
            await self._renew()
            return
        lot = self._dice.random()
        past = 0.2 if self._calls else 0.06
        if self._ended and lot < past:
            await self._ask_about_the_past()
        elif not self._held or lot < past + 0.12:
            await self._grant()
        else:
            if self._queues:
                await self._pause(self._dice.random() * THINK_S)
            await self._use(self._dice.choice(self._held), self._dice.random())

    async def _renew(self) -> None:
        """Ask for what it has, nearly always where it asked before."""
        lot = self._dice.random()
        if not self._held or (lot < RENEWED / 2 and len(self._held) < RENEWED_MAX):
            await self._grant()
        elif lot < RENEWED:
            await self._refresh(self._dice.choice(self._held))
        elif lot < LOOKED:
            await self._introspect(self._dice.choice(self._held), by_access=False)
        elif lot < LEFT:
            await self._log_off(self._dice.choice(self._held), by_bearer=True)
        else:
            self._at_home = 0.0
            for held in [*self._held]:
                await self._log_off(held, by_bearer=True)
            await self._wait_for_others()
            self._at_home = 1.0

    async def _wait_for_others(self) -> None:
        """Let others have a seat; where one asks that has none, a batch is no mere renewals."""
        await self._pause(self._dice.uniform(0.2, OTHERS_S))

    async def _use(self, held: Held, lot: float) -> None:
        if len(self._held) > HELD_MAX or self._dice.random() < self._soon_over:
            lot = 0.75 + lot / 4
        elif held.licensed and self._dice.random() < self._calls:
            await self._call(held, self._dice.randint(1, CALLS_MAX))
            return
        if lot < 0.40:
            await self._introspect(held, by_access=lot < 0.20)
        elif lot < 0.74:
            await self._refresh(held)
        elif lot < 0.76:  # It dies, or loses what it knew of this session.
            self._held.remove(held)
        elif lot < 0.92:
            await self._log_off(held, by_bearer=lot < 0.86)
        else:
            await self._revoke(held, by_access=lot < 0.96)

    async def _ask_about_the_past(self) -> None:
        held = self._dice.choice(self._ended)
        if held.licensed and self._dice.random() < 2 * self._calls:
            await self._call(held, 1)
            return
        match self._dice.randrange(4):
            case 0:
                await self._refresh(held)
            case 1:
                await self._log_off(held, by_bearer=True)
            case _:
                await self._introspect(held, by_access=False)

    async def _grant(self) -> None:
        licensed = self._dice.random() < self._wants
        form = {"grant_type": GRANT, "scope": "all" if licensed else "view"}
        wait_s = 0
        if self._dice.random() < self._queues:
            form["queue"] = "true"
            wait_s = self._dice.choice(WAITS_S) if self._dice.random() < self._waits else 0
            if wait_s and self._leavers.means_to_leave():
                wait_s = leaving.WAIT_S
        operation, answer = await self._ask("grant", "token", form, licensed=licensed, wait_s=wait_s)
        if answer is not None and operation.outcome == "granted":
            held = Held(
                sid=operation.sid,
                access=answer.said.access_token,
                refresh=answer.said.refresh_token,
                licensed=licensed,
                sent_us=operation.sent_us,
                received_us=operation.received_us,
                issued_ms=operation.issued_ms,
                number=operation.number,
            )
            self._held.append(held)
            if self._calls and licensed and not held.number:
                await self._introspect(held, by_access=True)
            if licensed and self._dice.random() < self._kept:
                await self._keep(held)
        elif answer is not None and operation.seats:
            if self._queues:
                if operation.position and self._dice.random() < self._forgets:
                    await self._pause(self._dice.uniform(*FORGETS_S) * self._line_hold_s)
                elif not wait_s or not operation.position:
                    in_vain = operation.outcome in IN_VAIN
                    await self._pause(self._dice.random() * (BARRED_S if in_vain else self._limited_s))
                return
            await (self._wait_for_others() if self._renews else asyncio.sleep(self._dice.random() * DENIED_S))

    async def _refresh(self, held: Held) -> None:
        form = {"grant_type": REFRESH, "refresh_token": held.refresh}
        operation, answer = await self._ask("refresh", "token", form, held=held)
        if answer is not None and operation.outcome == "granted":
            held.access, held.issued_ms = answer.said.access_token, operation.issued_ms
            held.number = operation.number
            held.sent_us, held.received_us = operation.sent_us, operation.received_us
        elif operation.outcome == "invalid_grant":
            self._end(held)

    async def _keep(self, held: Held) -> None:
        """Renew a session a few times and be silent in between, at the end for most of its life."""
        for _ in range(self._dice.randint(1, RENEWALS_MAX)):
            await self._rest(self._dice.uniform(0.25, 0.85))
            await self._refresh(held)
            if held not in self._held or self._load.over.is_set():
                return
        await self._rest(self._dice.uniform(0.75, 0.95))
        await self._introspect(held, by_access=False)

    async def _rest(self, share: float) -> None:
        """Be silent for this share of a session's life."""
        await self._pause(share * self._ttl_s)

    async def _pause(self, seconds: float) -> None:
        """Be silent for so long, or until the load is over."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._load.over.wait(), seconds)

    async def _introspect(self, held: Held, *, by_access: bool) -> None:
        form = {"token": held.access} if by_access else {"token": held.refresh, "token_type_hint": REFRESH}
        operation, _ = await self._ask(
            "introspect", "introspect", form, held=held, by_access=by_access, authorization=self._asker
        )
        held.number = operation.number or held.number
        if operation.outcome == "inactive" and not by_access:
            self._end(held)

    async def _call(self, held: Held, times: int) -> None:
        """Use an API for a while, as whoever has a token may."""
        bearer = f"Bearer {held.access}"
        for _ in range(times):
            await self._ask("call", "", None, held=held, by_access=True, authorization=bearer)

    async def _log_off(self, held: Held, *, by_bearer: bool) -> None:
        self._leavers.seat_comes_back()
        if by_bearer:
            bearer = f"Bearer {held.access}"
            operation, _ = await self._ask(
                "logoff", "logoff", None, held=held, by_access=True, authorization=bearer
            )
        else:
            operation, _ = await self._ask("logoff", "logoff", {"refresh_token": held.refresh}, held=held)
        if operation.outcome in {"logged_off", UNKNOWN}:
            self._end(held)
            if self._queues and not self._held:  # So that what is reserved is idle now and then.
                await self._pause(self._dice.random() * AWAY_S)

    async def _revoke(self, held: Held, *, by_access: bool) -> None:
        form = {"token": held.access if by_access else held.refresh}
        operation, _ = await self._ask("revoke", "revoke", form, held=held, by_access=by_access)
        if operation.outcome in {"revoked", UNKNOWN}:
            self._end(held)

    async def _ask(
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
        """Ask a node, or an API, whichever can be reached, and keep what it answered."""
        path = f"{self._tenant}/{endpoint}" if endpoint else self._tenant
        request = post(path, authorization or self._secrets[0], form, wait_s)
        patience_s = wait_s + WAIT_MORE_S if wait_s else 0.0
        lines = self._load.lines if endpoint else self._load.apis
        is_at_home = endpoint and self._home is not None and self._dice.random() < self._at_home
        node = self._home if is_at_home and self._home is not None else self._dice.randrange(len(lines))
        while not lines[node].has_room or (connection := await lines[node].take(patience_s)) is None:
            await asyncio.sleep(self._dice.uniform(1, 3) * UNREACHED_S)
            node = self._dice.randrange(len(lines))
        sent_us = now_us()
        with self._leavers.wait(connection, wait_s) if wait_s else nullcontext():
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
        self._load.note(operation)
        if operation.outcome == "invalid_client":  # Perhaps this secret was taken away just now.
            self._secrets.reverse()
            await self._pause(self._dice.random() * (BARRED_S / 4 if self._queues else DENIED_S))
        elif operation.left_us:
            await self._pause(self._leavers.away_s())
        elif operation.is_unknown:
            await self._pause(self._dice.random() * UNANSWERED_S)
        return operation, answer

    def _end(self, held: Held) -> None:
        if held in self._held:
            self._held.remove(held)
            self._ended.append(held)

    def _forget_expired(self) -> None:
        if self._held:
            before_us = now_us() - self._ttl_us
            for held in [held for held in self._held if held.received_us < before_us]:
                self._end(held)


def _home_of(at: int, spec: Spec) -> int | None:
    """The node that nearly all requests of a tenant go to; every second one has none, but where all renew."""
    if spec.renewals:
        return at % len(spec.ports)
    return at // 2 % len(spec.ports) if at % 2 else None


async def _serve(spec: Spec) -> None:
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    with Writer(Path(spec.history)) as writer:
        load = Load(spec, writer)
        running = asyncio.create_task(load.run())
        reporting = asyncio.create_task(_report(load))
        await reader.readline()  # `quiet`, or the end of who started it
        load.over.set()
        await running
        reporting.cancel()
        _say(load)


async def _report(load: Load) -> None:
    while True:
        await asyncio.sleep(SAY_EVERY_S)
        _say(load)


def _say(load: Load) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(load.count) + b"\n")
    sys.stdout.flush()


def main() -> None:
    """Run the load of a specification, whose file is the only argument."""
    spec = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Spec)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(spec))


if __name__ == "__main__":
    main()
