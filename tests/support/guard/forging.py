"""Attacks by the administrator of a forged server, who tries to have more holders than signed seats.

Requests go through real guards on a clock of the test. Only the socket is left out, as an hour of them is
many thousands. `Record` knows who was let in when, and checks the bound on hand-overs.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

from licet.guard import Guard, Refused
from licet.guard.introspection import Introspection, Secret
from licet.guard.introspector import Found
from licet.guard.seat_claims import who_has
from support.guard.seat_memories import Time
from support.guard.signed_server import TENANT, SignedServer

HOLD_S, ACCESS_TTL_S, CLOCKS_S = 60, 600, 300


class Direct:
    """Introspection without a socket: the guard reads the server's answer as if it had been sent."""

    def __init__(self, server: SignedServer, guard: Guard) -> None:
        self._server = server
        self._cache = guard._cache
        self._introspection = Introspection(
            url=f"{server.url}/",
            client_id="Api",
            secret=Secret("-"),
            tenant=TENANT,
            issuer=None,
            is_counted=True,
        )

    def ask(self, token: Secret) -> Found:
        """The result of introspection for a token."""
        said = self._server.introspected.pop(token.reveal(), {"active": False})
        at = format_datetime(datetime.fromtimestamp(int(self._server.time.s), UTC), usegmt=True)
        found = self._introspection.read(200, {"date": at}, json.dumps(said).encode())
        self._cache.keep(token, found, self._server.time.s)
        return found

    async def aask(self, token: Secret) -> Found:
        """The same, as a coroutine."""
        return self.ask(token)

    def close(self) -> None:
        """There is no connection to close."""

    async def aclose(self) -> None:
        """There is no connection to close."""


def direct(server: SignedServer, guard: Guard) -> Guard:
    """The guard, changed so that it introspects without a socket."""
    if server.kind == "introspection":
        guard._introspector = Direct(server, guard)
    return guard


class Record:
    """Who was let in with which seat, and when."""

    def __init__(self, time: Time) -> None:
        self._time = time
        self.let_in: dict[Any, list[tuple[float, Any]]] = defaultdict(list)

    def add(self, seat: Any, who: Any) -> None:
        """Record that somebody was let in with a seat."""
        self.let_in[seat].append((self._time.s, who))

    def hand_overs(self, seat: Any) -> list[float]:
        """The times at which the seat changed its holder; the first holder counts as the first change."""
        found: list[float] = []
        before = object()
        for at_s, who in self.let_in[seat]:
            if who != before:
                found.append(at_s)
            before = who
        return found

    def must_keep_to_the_bound(self, hold_s: int = HOLD_S, ttl_s: int = ACCESS_TTL_S) -> None:
        """Check: in W seconds there are at most 1 + (2 W + access_ttl_max + 600) / hold hand-overs."""
        for seat in self.let_in:
            found = self.hand_overs(seat)
            for first, from_s in enumerate(found):
                for last, to_s in enumerate(found[first:], first):
                    bound = 1 + (2 * (to_s - from_s) + ttl_s + 2 * CLOCKS_S) / hold_s
                    assert last - first + 1 <= bound, (seat, from_s, to_s)


Claims = dict[str, Any]


class Attacker:
    """Tries to use a seat as one client after another, with tokens whose claims it chooses."""

    def __init__(
        self,
        server: SignedServer,
        guards: Iterable[Guard] = (),
        *,
        hold_s: int = HOLD_S,
        ttl_s: int = ACCESS_TTL_S,
    ) -> None:
        self.server = server
        self.hold_s = hold_s
        self.ttl_s = ttl_s
        self.guards = list(guards)
        self.record = Record(server.time)
        self.people = 0
        self.then: Callable[[], None] = lambda: None  # after each try

    def tries(self, number: int, iat: int, who: int | None = None, **claims: Any) -> bool:
        """Whether a guard lets in a new client, or the client with the number `who`."""
        if who is None:
            self.people += 1
        person = (self.people if who is None else who) % 1000
        said: Claims = {"client": f"C{person}", "exp": iat + self.ttl_s, "iat": iat} | claims
        if self.server.kind == "jwt":  # an expired JWT is always refused
            said["exp"] = int(self.server.time.s) + self.ttl_s
        if not self.is_let_in(self.server.token(number, **said), number, said):
            return False
        self.record.add(number, who_has("client", said["client"], said.get("username", "TC")))
        return True

    def is_let_in(self, token: str, _number: int, _said: Claims) -> bool:
        """Whether a guard accepts this token."""
        guard = self.guards[self.people % len(self.guards)]
        try:
            guard.check("POST", f"Bearer {token}")
        except Refused:
            return False
        finally:
            self.then()
        return True


Strategy = Callable[[Attacker, int, int], None]


def fresh(attacker: Attacker, number: int, now: int) -> None:
    """A fresh token for each request."""
    attacker.tries(number, now)


def ahead(attacker: Attacker, number: int, now: int) -> None:
    """`iat` runs ahead of the clock as far as is accepted."""
    for iat in range(now, now + 2 * CLOCKS_S, attacker.hold_s):
        attacker.tries(number, iat)
    attacker.tries(number, now + CLOCKS_S)


def from_1970(attacker: Attacker, number: int, now: int) -> None:
    """`iat` climbs from 1970."""
    attacker.tries(number, attacker.people * attacker.hold_s)
    attacker.tries(number, now)


def back(attacker: Attacker, number: int, now: int) -> None:
    """`iat` climbs from the oldest accepted to the newest, again and again."""
    for iat in range(now - attacker.ttl_s - CLOCKS_S, now + CLOCKS_S + 1, attacker.hold_s):
        attacker.tries(number, iat)


def rest(attacker: Attacker, number: int, now: int) -> None:
    """Many tries at once, and then none until the seat counts as silent."""
    if now % (2 * attacker.hold_s) < 5:
        back(attacker, number, now)


def by_one_client(attacker: Attacker, number: int, now: int) -> None:
    """One client, and a different user in every token: the API acts as that user."""
    attacker.tries(number, now, who=0, username=f"U{attacker.people}")
    attacker.people += 1


def greedy(attacker: Attacker, number: int, now: int) -> None:
    """The oldest token if the seat was silent, otherwise the oldest that is new enough."""
    oldest = now - attacker.ttl_s - CLOCKS_S
    times = attacker.record.let_in[number]
    if not times or now - times[-1][0] >= attacker.hold_s:
        attacker.tries(number, oldest)
    if now % (attacker.hold_s * 3) < 5:  # otherwise it rests, so that there is silence as well
        for iat in range(oldest, now + CLOCKS_S + 1, attacker.hold_s // 4):
            attacker.tries(number, iat)


STRATEGIES: tuple[Strategy, ...] = (fresh, ahead, from_1970, back, rest, by_one_client, greedy)
