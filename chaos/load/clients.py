"""Plays the clients of one load process: each has a few sessions, and does random things with them.

A client may die: then it does not use its sessions any more, and does not give back its seats. It also asks
about sessions that have ended, because these must stay ended. In a signed tenant it also calls an API behind
a guard, with live tokens and with those of ended sessions.

In a load of `renewals`, each tenant has a home node, at which its clients renew what they have again and
again; now and then one of them logs off all of its sessions at another node. So a node may decide nearly all
requests on what it remembers, and sometimes that is out of date.

Some clients hold a seat as a working program does: they renew it a few times, before or after half of its
life, and then are silent until it has nearly expired. A server that relies on the row of the seat as first
written, and not on its last renewal, gives the seat to another client meanwhile.

Some leave while they wait in line (`leaving.py`).
"""

import asyncio
import random
from collections import deque

from chaos.history import UNKNOWN, Writer, now_us
from chaos.load import leaving
from chaos.load.leaving import Leavers
from chaos.load.outcomes import Held
from chaos.load.process import Spec
from chaos.load.requests import Requests, Target, grant_form, home_of
from chaos.load.wire import basic
from chaos.site.plans import ASKER, TenantSite

REFRESH = "refresh_token"
ENDED_REMEMBERED = 4  # ended sessions of one client that it still asks about
HELD_MAX = 8  # sessions of one client; it logs off further ones
DENIED_S = 0.4  # the longest pause of a client without a seat before it asks again
LIMITED_S = 8.0  # the same in a pool with options, unless the client waits for the answer
AWAY_S = 1.5  # the longest pause between a logoff and the next grant
QUEUES = 0.7  # share of the grants in a pool with a line that ask for a place in it
WAITS, WAITS_S = 0.8, (3, 8)  # share of those that wait for the answer, and for how many seconds
WAITS_LESS = 0.1  # the same where nobody changes the line: clients that ask again and again show its order
ASKS_AGAIN_S = 1.2  # and their longest pause before they ask again
FORGETS, FORGETS_MORE = (
    0.05,
    0.2,
)  # share of the clients with a place that pause, so that others ask meanwhile
FORGETS_S = (0.2, 1.3)  # for how long, as a part of the hold of the place: some lose it
WANTS, WANTS_MORE = 0.8, 0.98  # share of the grants that need a seat; in a pool with options
CALLS = 0.5  # share of the uses of a signed tenant's session that call an API
CALLS_MAX = 6  # one after the other
KEPT = 0.12  # share of the seats that are kept with few renewals
KEPT_IN_LINE = 0.01  # the same in a pool with a line
BARRED_S = 12.0  # the longest pause of a client that cannot get a seat
IN_VAIN = frozenset({"excluded", "not_included", "licence_expired", "no_seats"})
THINK_S = 0.4  # the longest pause of a client with a seat in a pool with a line, so that others wait for it
SOON_OVER = 0.5  # share of the uses of a session there that end it
KEPT_TTL_S_MAX = 20  # sessions that live longer have their next request early enough
RENEWALS_MAX = 3
OTHERS_S = 3.0
RENEWED_MAX = 3  # sessions of one client in a load of renewals
# Random numbers up to these renew, introspect or log off a session in a load of renewals; above, all log off.
RENEWED, INTROSPECTED, LOGGED_OFF = 0.9, 0.93, 0.97


class Load:
    """All clients of one process."""

    def __init__(self, spec: Spec, writer: Writer) -> None:
        self.target = Target(spec, writer)
        dice = random.Random(spec.seed)
        leavers = {tenant.name: Leavers(random.Random(dice.getrandbits(64))) for tenant in spec.tenants}
        self._actors: list[Actor] = []
        for at, tenant in enumerate(spec.tenants):
            home = home_of(at, spec)
            for client in tenant.clients:
                for _ in range(spec.actors_per_client):
                    own = random.Random(dice.getrandbits(64))
                    requests = Requests(
                        self.target, tenant, client, own, home=home, leavers=leavers[tenant.name]
                    )
                    self._actors.append(Actor(self.target, requests, tenant, own, renews=spec.renewals))

    async def run(self) -> None:
        """Act until the load is over; then introspect all sessions that are left."""
        async with self.target.swept():
            await asyncio.gather(*(actor.run() for actor in self._actors))
            await asyncio.gather(*(actor.look_back() for actor in self._actors))


class Actor:
    """One client, with one request at a time."""

    def __init__(
        self,
        target: Target,
        requests: Requests,
        tenant: TenantSite,
        dice: random.Random,
        *,
        renews: bool,
    ) -> None:
        self._target = target
        self._requests = requests
        self._renews = renews
        if renews:
            requests.at_home = 1.0
        self._dice = dice
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
        self._leavers = requests.leavers
        self._forgets = FORGETS_MORE if tenant.is_steady else FORGETS
        self._line_hold_s = tenant.line_hold_s
        self._calls = CALLS if target.apis and tenant.is_signed else 0.0
        self._asker = basic(ASKER, tenant.asker_secret)
        self._held: list[Held] = []
        self._ended: deque[Held] = deque(maxlen=ENDED_REMEMBERED)

    async def run(self) -> None:
        """Act until the load is over."""
        await asyncio.sleep(self._dice.random() * DENIED_S)
        while not self._target.over.is_set():
            await self._act()

    async def look_back(self) -> None:
        """Introspect all sessions that the client knows, live and ended ones."""
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
                await self._requests.pause(self._dice.random() * THINK_S)
            await self._use(self._dice.choice(self._held), self._dice.random())

    async def _renew(self) -> None:
        """Renew sessions, nearly always at the home node."""
        lot = self._dice.random()
        if not self._held or (lot < RENEWED / 2 and len(self._held) < RENEWED_MAX):
            await self._grant()
        elif lot < RENEWED:
            await self._refresh(self._dice.choice(self._held))
        elif lot < INTROSPECTED:
            await self._introspect(self._dice.choice(self._held), by_access=False)
        elif lot < LOGGED_OFF:
            await self._log_off(self._dice.choice(self._held), by_bearer=True)
        else:
            self._requests.at_home = 0.0
            for held in [*self._held]:
                await self._log_off(held, by_bearer=True)
            await self._wait_for_others()
            self._requests.at_home = 1.0

    async def _wait_for_others(self) -> None:
        """Pause, so that others get the seat: a grant of a new seat makes a batch more than renewals."""
        await self._requests.pause(self._dice.uniform(0.2, OTHERS_S))

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
        elif lot < 0.76:  # The client dies, or loses this session.
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
        form = grant_form(licensed=licensed)
        wait_s = 0
        if self._dice.random() < self._queues:
            form["queue"] = "true"
            wait_s = self._dice.choice(WAITS_S) if self._dice.random() < self._waits else 0
            if wait_s and self._leavers.means_to_leave():
                wait_s = leaving.WAIT_S
        operation, answer = await self._requests.ask("grant", "token", form, licensed=licensed, wait_s=wait_s)
        if answer is not None and operation.outcome == "granted":
            held = Held(
                sid=operation.sid,
                access=answer.said.access_token,
                refresh=answer.said.refresh_token,
                licensed=operation.licensed,
                sent_us=operation.sent_us,
                received_us=operation.received_us,
                issued_ms=operation.issued_ms,
                number=operation.number,
            )
            self._held.append(held)
            if self._calls and held.licensed and not held.number:
                await self._introspect(held, by_access=True)
            if held.licensed and self._dice.random() < self._kept:
                await self._keep(held)
        elif answer is not None and operation.seats:
            if self._queues:
                if operation.position and self._dice.random() < self._forgets:
                    await self._requests.pause(self._dice.uniform(*FORGETS_S) * self._line_hold_s)
                elif not wait_s or not operation.position:
                    longest_s = BARRED_S if operation.outcome in IN_VAIN else self._limited_s
                    await self._requests.pause(self._dice.random() * longest_s)
                return
            await (self._wait_for_others() if self._renews else asyncio.sleep(self._dice.random() * DENIED_S))

    async def _refresh(self, held: Held) -> None:
        form = {"grant_type": REFRESH, "refresh_token": held.refresh}
        operation, answer = await self._requests.ask("refresh", "token", form, held=held)
        if answer is not None and operation.outcome == "granted":
            held.access, held.issued_ms = answer.said.access_token, operation.issued_ms
            held.number = operation.number
            held.sent_us, held.received_us = operation.sent_us, operation.received_us
        elif operation.outcome == "invalid_grant":
            self._end(held)

    async def _keep(self, held: Held) -> None:
        """Renew a session a few times with pauses, the last of which takes most of its life."""
        for _ in range(self._dice.randint(1, RENEWALS_MAX)):
            await self._rest(self._dice.uniform(0.25, 0.85))
            await self._refresh(held)
            if held not in self._held or self._target.over.is_set():
                return
        await self._rest(self._dice.uniform(0.75, 0.95))
        await self._introspect(held, by_access=False)

    async def _rest(self, share: float) -> None:
        """Pause for this share of a session's life."""
        await self._requests.pause(share * self._ttl_s)

    async def _introspect(self, held: Held, *, by_access: bool) -> None:
        form = {"token": held.access} if by_access else {"token": held.refresh, "token_type_hint": REFRESH}
        operation, _ = await self._requests.ask(
            "introspect", "introspect", form, held=held, by_access=by_access, authorization=self._asker
        )
        held.number = operation.number or held.number
        if operation.outcome == "inactive" and not by_access:
            self._end(held)

    async def _call(self, held: Held, times: int) -> None:
        """Call an API several times with the access token."""
        bearer = f"Bearer {held.access}"
        for _ in range(times):
            await self._requests.ask("call", "", None, held=held, by_access=True, authorization=bearer)

    async def _log_off(self, held: Held, *, by_bearer: bool) -> None:
        self._leavers.seat_comes_back()
        if by_bearer:
            bearer = f"Bearer {held.access}"
            operation, _ = await self._requests.ask(
                "logoff", "logoff", None, held=held, by_access=True, authorization=bearer
            )
        else:
            form = {"refresh_token": held.refresh}
            operation, _ = await self._requests.ask("logoff", "logoff", form, held=held)
        if operation.outcome in {"logged_off", UNKNOWN}:
            self._end(held)
            if self._queues and not self._held:  # So that reserved seats are free now and then.
                await self._requests.pause(self._dice.random() * AWAY_S)

    async def _revoke(self, held: Held, *, by_access: bool) -> None:
        form = {"token": held.access if by_access else held.refresh}
        operation, _ = await self._requests.ask("revoke", "revoke", form, held=held, by_access=by_access)
        if operation.outcome in {"revoked", UNKNOWN}:
            self._end(held)

    def _end(self, held: Held) -> None:
        if held in self._held:
            self._held.remove(held)
            self._ended.append(held)

    def _forget_expired(self) -> None:
        if self._held:
            before_us = now_us() - self._ttl_us
            for held in [held for held in self._held if held.received_us < before_us]:
                self._end(held)
