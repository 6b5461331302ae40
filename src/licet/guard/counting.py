"""Counts seats in the API itself, by the vendor's signed licences, without trust in the server.

Of a request that needs a seat these steps are taken, in this order; the first that fails decides:

1. The token says which seat it has; else 401.
2. There are licences; else they are fetched, and else 503.
3. `iat` is at most `CLOCKS_S` ahead of this clock, `exp` at most as much behind; else 503. `iat` and the life
   that is signed for the pool's tokens are at most as much behind; else 401.
4. A licence covers the pool, the scopes, the way in which the seat is counted, and its number. If not,
   licences are fetched once more, and else it is 403 with a `reason`.
5. The memory lets its holder in; else 401, where another has the number with a newer token, and 503 where it
   is too soon. The memory comes last: a token that is refused leaves no trace.

Which requests need a seat: those that are not safe, and those that need a scope beyond `read_only_scopes`.
"""

import asyncio
import logging
import math
from collections.abc import Callable, Generator
from typing import Final, NamedTuple

from licet.guard.coverage import Coverage, PoolTerms, Why
from licet.guard.identity import Identity
from licet.guard.introspector import Background
from licet.guard.licence import Licence
from licet.guard.licence_source import LOOK_AGAIN_S, RETRY_AFTER_S, LicenceSource
from licet.guard.memory import Kept
from licet.guard.refusal import Refused, handed_over, invalid_token, licence_refused, unavailable
from licet.guard.seat_claims import Claimant, Seat, Ticket, seat_of
from licet.guard.sql_memory import OutOfReach

CLOCKS_S: Final = 300  # by how much clocks may differ, as for Kerberos
BELIEVED_S: Final = 5.0  # how long what was found out about a token counts at most
TELL_EVERY_S: Final = 1.0

_LOG = logging.getLogger("licet.guard")


class _Fetch(NamedTuple):
    """Licences are needed, if that was not tried in the last seconds."""

    every_s: float


class _Fault(NamedTuple):
    """The memory cannot be asked; why, for the log."""

    detail: str


class _No(NamedTuple):
    """A licence does not cover it; why, for the caller and for the log."""

    why: Why
    detail: str


_Step = _Fetch | Ticket
_Steps = Generator[_Step, Kept | _Fault | None, Identity]


class Rules(NamedTuple):
    """What a guard knows of its own."""

    realm: str
    tenant: str
    read_only_scopes: frozenset[str]
    cache_s: float
    timeout_s: float
    now_s: Callable[[], float]


class Counting:
    """The seats of one guard; any thread and any event loop may use it."""

    def __init__(self, licence: Licence, source: LicenceSource, rules: Rules) -> None:
        self._licence = licence
        self._source = source
        self._rules = rules
        self._memory = licence.memory
        self._recall = licence.memory.recall
        self._now_s = rules.now_s
        self._read_only = rules.read_only_scopes
        self._believed_s = min(rules.cache_s, BELIEVED_S)
        self._background = Background()
        self._logged_s: dict[str, float] = {}  # by what is logged: there are few

    def permit(
        self, who: Identity, needed: frozenset[str], is_writing: bool, now_s: float
    ) -> Identity | None:
        """The caller, if what was found out a moment ago still counts; None where `admit` has to be asked."""
        if not isinstance(who, Claimant):
            return None
        ticket = who.slot.ticket
        if ticket is None or now_s >= ticket.until_s:
            return None
        identity, seat = ticket.identity, ticket.seat
        # Mostly the same scopes are needed each time, as one object: then they need not be compared.
        if needed is ticket.needed and (is_writing or ticket.needs_seat):
            return identity if self._recall(seat, ticket.who, ticket.iat) else None
        if not is_writing and needed <= self._read_only:
            return identity
        if not seat or not needed <= identity.scopes or not self._recall(seat, ticket.who, ticket.iat):
            return None
        return identity

    def admit(self, who: Identity, needed: frozenset[str], *, is_writing: bool) -> Identity:
        """The caller, after all steps; for threads.

        Raises Refused.
        """
        steps = self._steps(who, needed, is_writing=is_writing)
        answer: Kept | _Fault | None = None
        try:
            while True:
                match steps.send(answer):
                    case _Fetch(every_s=every_s):
                        self._fetched(every_s)
                        answer = None
                    case ticket:
                        answer = self._taken(ticket)
        except StopIteration as done:
            found: Identity = done.value
            return found

    async def aadmit(self, who: Identity, needed: frozenset[str], *, is_writing: bool) -> Identity:
        """The same, for tasks.

        Raises Refused.
        """
        steps = self._steps(who, needed, is_writing=is_writing)
        answer: Kept | _Fault | None = None
        try:
            while True:
                match steps.send(answer):
                    case _Fetch(every_s=every_s):
                        await self._background.arun(self._source.renew(every_s))
                        answer = None
                    case ticket:
                        answer = await self._ataken(ticket)
        except StopIteration as done:
            found: Identity = done.value
            return found

    def close(self) -> None:
        """End the thread that fetches. The memory is the API's own to close."""
        self._background.close(_finished())

    def _fetched(self, every_s: float) -> None:
        try:
            self._background.run(self._source.renew(every_s), self._rules.timeout_s)
        except TimeoutError:
            self._source.why = "the licences cannot be fetched in time; do threads run in this process?"

    def _taken(self, ticket: Ticket) -> Kept | _Fault | None:
        try:
            return self._memory.take(ticket.seat, ticket.who, ticket.iat, ticket.hold_s)
        except Exception as fault:  # noqa: BLE001 - a memory may be anybody's
            return _fault(fault)

    async def _ataken(self, ticket: Ticket) -> Kept | _Fault | None:
        try:
            return await self._memory.atake(ticket.seat, ticket.who, ticket.iat, ticket.hold_s)
        except Exception as fault:  # noqa: BLE001 - a memory may be anybody's
            return _fault(fault)

    def _steps(self, who: Identity, needed: frozenset[str], *, is_writing: bool) -> _Steps:
        assert isinstance(who, Claimant)
        needs_seat = is_writing or not needed <= self._read_only
        # Without a licence, a request that needs one fetches it, and waits.
        if not (needs_seat and self._source.coverage is None) and self._source.is_due_beside():
            self._background.begin(self._source.renew(RETRY_AFTER_S))
        if not needs_seat:
            return self._viewing(who)
        seat = who.seat()
        if isinstance(seat, str):
            raise self._unauthorized(seat)
        if self._source.coverage is None and self._source.is_due(RETRY_AFTER_S):
            yield _Fetch(RETRY_AFTER_S)
        found = self._judged(who, seat, needed)
        if isinstance(found, _No) and self._source.is_due(LOOK_AGAIN_S):
            yield _Fetch(LOOK_AGAIN_S)
            found = self._judged(who, seat, needed)
        if isinstance(found, _No):
            self._log_line(logging.WARNING, f"403 {found.why}", f"a request is refused: {found.detail}")
            raise licence_refused(found.why)
        kept = yield found
        if kept is not None:
            raise self._taken_by_another(kept, found)
        who.slot.ticket = found
        return found.identity

    def _viewing(self, who: Claimant) -> Identity:
        """A caller that needs no seat."""
        coverage, seat = self._source.coverage, who.seat()
        terms = None
        if coverage is not None and not isinstance(seat, str):
            terms = coverage.terms(who.pool, self._source.wall_ms())
        signed = terms.scopes if isinstance(terms, PoolTerms) else frozenset[str]()
        who.slot.ticket = Ticket(self._seen(who, signed, coverage), self._now_s() + self._believed_s)
        return who.slot.ticket.identity

    def _judged(self, who: Claimant, seat: Seat, needed: frozenset[str]) -> Ticket | _No:
        """What the licences say of it.

        Raises Refused.
        """
        now_s, wall_s, coverage = self._now_s(), self._licence.wall_s(), self._source.coverage
        if coverage is None:
            raise self._unavailable(self._source.why)
        if (ahead_s := seat.iat - wall_s) > CLOCKS_S:
            raise self._unavailable(f"a token is from {ahead_s:.0f} s in the future by this machine's clock")
        if (behind_s := wall_s - seat.exp) > CLOCKS_S:
            raise self._unavailable(
                f"a token is active that expired {behind_s:.0f} s ago by this machine's clock"
            )
        terms = coverage.terms(who.pool, self._source.wall_ms())
        if isinstance(terms, Why):
            return _No(terms, "no licence covers its pool")
        pool = str(who.pool)  # it is signed, so it has a pool's name
        left_s = seat.iat + terms.access_ttl_max_s + CLOCKS_S - wall_s
        if left_s < 0:
            raise self._unauthorized(
                f"it is older than the {terms.access_ttl_max_s} s that are signed for {pool!r}"
            )
        identity = self._seen(who, terms.scopes, coverage)
        if not needed <= identity.scopes or identity.scopes <= self._read_only:
            return _No(Why.WRONG_POOL, f"a seat of pool {pool!r} does not reach to this scope")
        if seat.counted_for not in terms.duplicates:
            return _No(Why.COUNTED_OTHERWISE, f"pool {pool!r} is counted by what is not signed for it")
        if not 1 <= seat.number <= terms.signed:
            return _No(
                Why.BEYOND_LICENCE, f"of pool {pool!r} {terms.signed} seats are signed, and its is beyond"
            )
        life_s = min(self._believed_s, left_s, seat.exp + CLOCKS_S - wall_s)
        name = seat_of(self._licence.vendor.product, self._rules.tenant, pool, seat.number)
        return Ticket(
            identity,
            now_s + life_s,
            name,
            seat.who,
            seat.iat,
            terms.hold_s,
            needed=needed,
            needs_seat=not needed <= self._read_only,
        )

    def _seen(self, who: Claimant, signed: frozenset[str], coverage: Coverage | None) -> Identity:
        """The caller as a handler sees it: with the scopes that need no seat, and those that are signed."""
        scopes = who.scopes & (self._read_only | signed)
        features = frozenset[str]() if coverage is None else coverage.features(self._source.wall_ms())
        return Identity(
            tenant=who.tenant,
            client=who.client,
            user=who.user,
            scopes=scopes,
            session=who.session,
            pool=who.pool,
            read_only=who.read_only or scopes <= self._read_only,
            features=features,
        )

    def _taken_by_another(self, kept: Kept | _Fault, ticket: Ticket) -> Refused:
        if isinstance(kept, _Fault):
            return self._unavailable(kept.detail)
        if ticket.iat < kept.iat:
            return self._unauthorized(f"seat {ticket.seat} is another's by now, with a newer token")
        self._log_line(
            logging.WARNING,
            "503 too soon",
            f"seat {ticket.seat} has two holders at the same time, so one is refused for"
            f" {kept.left_s:.0f} s; does a copy of the server run, or was it restored?",
        )
        return handed_over(max(1, math.ceil(kept.left_s)))

    def _unauthorized(self, detail: str) -> Refused:
        self._log_line(logging.WARNING, "401", f"a token is refused: {detail}")
        return invalid_token(self._rules.realm)

    def _unavailable(self, detail: str) -> Refused:
        self._log_line(logging.ERROR, "503", f"requests are refused: {detail}")
        return unavailable()

    def _log_line(self, level: int, kind: str, text: str) -> None:
        """One line of each kind a second at most: anybody may send many."""
        now_s = self._now_s()
        if now_s >= self._logged_s.get(kind, -1e9) + TELL_EVERY_S:
            self._logged_s[kind] = now_s
            _LOG.log(level, "%s", text)


def _fault(fault: Exception) -> _Fault:
    """What of an exception may stand in a log: the text of a driver's may show how it connects."""
    detail = (
        str(fault) if isinstance(fault, OutOfReach) else f"the memory of seats raises {type(fault).__name__}"
    )
    return _Fault(detail)


async def _finished() -> None:
    """Wait for what is fetched beside requests, which is bounded in time; then the event loop may end."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    await asyncio.gather(*others, return_exceptions=True)
