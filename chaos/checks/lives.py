"""Finds the life of each session from requests and answers: when it may have lived, and when it must have.

A session must have lived from the answer to its grant until the first of

- the sending of a request that may have ended it: a logoff, a revocation, an action of an administrator;
- the sending of the grant that may have superseded it (L8): if its client may have n sessions, the n-th
  grant that was not decided before it;
- its expiry, counted from the sending of the last request that renewed it (L3).

It may have lived from the sending of its grant until the answer to a request that ended it, or until its
expiry, counted from the last request that may have renewed it.

A client that left while it waited in line, and was then answered that it has no seat, may have been given one
for a moment: the server gave it back before that answer (L19), or as soon as it could reach the store.

In a pool with a hold, the seat was held for that long after the last request that was granted, however the
session ended (L18). It may have been held for that long after the last request that may have been granted.

In a signed pool both end when the number of the seat is more than the signed seats (L13): the certainty when
this may be so, and the possibility when it must be.
"""

import heapq
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from chaos.checks.signed import Signed, numbers_of
from chaos.checks.times import ALLOWANCE_US, LEFT_US, Faults
from chaos.history import FOREVER, Action, Operation, TenantPlan

# Prefixes of the names of holders that no answer named.
_UNANSWERED, _GIVEN_BACK = "unanswered ", "given back "


class Life(msgspec.Struct, kw_only=True, gc=False):
    """A session that a client was granted. `holder` is '' if it needs no seat."""

    sid: str
    client: str
    holder: str
    ttl_us: int
    hold_us: int
    sent_us: int
    received_us: int
    renewed_sent_us: int  # by the last request that was granted
    renewed_by_us: int  # at the latest, by any request that may have been
    end_sent_us: int = FOREVER
    ended_us: int = FOREVER
    since_us: int = 0  # the earliest at which its seat may have been taken
    number: int = 0  # of its seat; 0 if no answer named it
    cut_us: int = FOREVER  # from when on fewer seats may have been signed

    @property
    def must_until_us(self) -> int:
        """Until when it certainly lived."""
        return min(self.end_sent_us, self.cut_us, self.renewed_sent_us + self.ttl_us - ALLOWANCE_US)

    @property
    def may_until_us(self) -> int:
        """Until when it may have lived."""
        return min(self.ended_us, self.renewed_by_us + self.ttl_us + ALLOWANCE_US)

    @property
    def must_hold_until_us(self) -> int:
        """Until when its holder certainly had the seat."""
        if not self.hold_us:
            return self.must_until_us
        held_us = min(self.cut_us, self.renewed_sent_us + self.hold_us - ALLOWANCE_US)
        return max(self.must_until_us, held_us)

    @property
    def may_hold_until_us(self) -> int:
        """Until when its holder may have had the seat."""
        if not self.hold_us:
            return self.may_until_us
        return max(self.may_until_us, self.renewed_by_us + self.hold_us + ALLOWANCE_US)

    def must_hold(self, from_us: int, until_us: int) -> bool:
        """Whether its holder certainly had the seat during this whole time."""
        return self.received_us <= from_us and until_us <= self.must_hold_until_us

    def must_live(self, from_us: int, until_us: int) -> bool:
        """Whether it certainly lived during this whole time."""
        return self.received_us <= from_us and until_us <= self.must_until_us


class Lives:
    """All sessions of one tenant. `operations` are in the order in which they were sent."""

    def __init__(
        self,
        plan: TenantPlan,
        operations: Sequence[Operation],
        actions: Sequence[Action],
        faults: Faults,
        signed: Signed | None = None,
    ) -> None:
        self.plan = plan
        self.by_sid: dict[str, Life] = {}
        self.unanswered: list[tuple[int, int, str, bool]] = []  # grants: sent, done by, client, licensed
        self.given_back: list[tuple[int, int, str]] = []  # grants: given from, and back by; client
        self._faults = faults
        self._ttl_us = plan.session_ttl_s * 1_000_000
        self._hold_us = plan.hold_s * 1_000_000
        self._users = {client.client_id: client.user for client in plan.clients}
        self._some_client = {client.user: client.client_id for client in reversed(plan.clients)}
        grants: dict[str, list[tuple[int, int, Life | None]]] = defaultdict(list)
        for operation in operations:
            self._add(operation, grants[operation.client])
        for client in plan.clients:
            _supersede(grants[client.client_id], client.sessions_max)
        for action in actions:
            self._act(action, grants)
        if signed is not None:
            self._cut(signed, numbers_of(operations))
        self._find_since()

    def holder(self, client: str, sid: str) -> str:
        """The holder for whom a seat is counted (L2), as in the tables."""
        match self.plan.duplicates:
            case "client":
                return f"client:{client}"
            case "user":
                return f"user:{self._users[client]}"
            case _:
                return f"session:{sid}"

    def client_of(self, holder: str) -> str:
        """The client of a holder; of a user, one of its clients. It is '' if the session is not known."""
        kind, _, name = holder.partition(":")
        if kind == "client":
            return name
        if kind == "user":
            return self._some_client[name]
        if name.startswith(_GIVEN_BACK):
            return self.given_back[int(name.removeprefix(_GIVEN_BACK))][2]
        if name.startswith(_UNANSWERED):
            return self.unanswered[int(name.removeprefix(_UNANSWERED))][2]
        return life.client if (life := self.by_sid.get(name)) is not None else ""

    def holding(self) -> Iterable[Life]:
        """The sessions that hold a seat."""
        return (life for life in self.by_sid.values() if life.holder)

    def may_hold(self) -> Mapping[str, list[tuple[int, int, Life | None]]]:
        """When each holder may have held a seat: from, until, and the session if it is known."""
        spans: dict[str, list[tuple[int, int, Life | None]]] = defaultdict(list)
        for life in self.holding():
            spans[life.holder].append((life.sent_us, life.may_hold_until_us, life))
        for number, (sent_us, by_us, client, licensed) in enumerate(self.unanswered):
            if licensed:
                holder = self.holder(client, f"{_UNANSWERED}{number}")
                longest_us = max(self._ttl_us, self._hold_us)
                spans[holder].append((sent_us, by_us + longest_us + ALLOWANCE_US, None))
        for number, (from_us, by_us, client) in enumerate(self.given_back):
            spans[self.holder(client, f"{_GIVEN_BACK}{number}")].append((from_us, by_us, None))
        for of_holder in spans.values():
            of_holder.sort(key=lambda entry: entry[0])
        return spans

    def _add(self, operation: Operation, grants: list[tuple[int, int, Life | None]]) -> None:
        if operation.kind == "grant":
            self._add_grant(operation, grants)
        elif (life := self.by_sid.get(operation.sid)) is not None:
            self._change(life, operation)

    def _add_grant(self, operation: Operation, grants: list[tuple[int, int, Life | None]]) -> None:
        if operation.is_unknown:
            by_us = self._faults.by_us(operation)
            self.unanswered.append((operation.sent_us, by_us, operation.client, operation.licensed))
            grants.append((operation.sent_us, by_us, None))
        elif operation.outcome == "granted":
            life = self.by_sid[operation.sid] = Life(
                sid=operation.sid,
                client=operation.client,
                holder=self.holder(operation.client, operation.sid) if operation.licensed else "",
                ttl_us=self._ttl_us,
                hold_us=self._hold_us,
                sent_us=operation.sent_us,
                received_us=operation.received_us,
                renewed_sent_us=operation.sent_us,
                renewed_by_us=operation.received_us,
            )
            grants.append((operation.sent_us, operation.received_us, life))
        elif operation.left_us and operation.licensed:
            self._add_given_back(operation)

    def _add_given_back(self, grant: Operation) -> None:
        """Add a grant whose client left, and was then answered that it has no seat."""
        is_noticed = self._faults.is_noticed(grant)
        from_us = max(grant.sent_us, grant.left_us - LEFT_US) if is_noticed else grant.sent_us
        by_us = grant.received_us if is_noticed else self._faults.late_us(grant.received_us) + self._ttl_us
        self.given_back.append((from_us, by_us + self._hold_us + ALLOWANCE_US, grant.client))

    def _change(self, life: Life, operation: Operation) -> None:
        match operation.kind, operation.outcome:
            case "refresh", "granted":
                life.renewed_sent_us = max(life.renewed_sent_us, operation.sent_us)
                life.renewed_by_us = max(life.renewed_by_us, operation.received_us)
            case ("logoff", "logged_off") | ("revoke", "revoked"):
                life.end_sent_us = min(life.end_sent_us, operation.sent_us)
                life.ended_us = min(life.ended_us, operation.received_us)
            case _ if operation.is_unknown and operation.kind == "refresh":
                by_us = self._faults.late_us(operation.sent_us)
                life.renewed_by_us = max(life.renewed_by_us, by_us)
            case _ if operation.is_unknown and operation.kind in {"logoff", "revoke"}:
                life.end_sent_us = min(life.end_sent_us, operation.sent_us)

    def _act(self, action: Action, grants: Mapping[str, Sequence[tuple[int, int, Life | None]]]) -> None:
        if action.kind == "disable":
            found = [life for _, _, life in grants.get(action.client, ()) if life is not None]
        else:
            found = [self.by_sid[sid] for sid in action.sids if sid in self.by_sid]
        by_us = action.ended_us if action.done == "done" else self._faults.late_us(action.begun_us)
        for life in found:
            if by_us > life.sent_us:
                life.end_sent_us = min(life.end_sent_us, action.begun_us)
            if action.done == "done" and (action.sids or action.begun_us >= life.received_us):
                life.ended_us = min(life.ended_us, action.ended_us)

    def _cut(self, signed: Signed, numbers: Mapping[str, int]) -> None:
        """End the sessions whose seat number is more than the signed seats."""
        for life in self.holding():
            life.number = numbers.get(life.sid, 0)
            if life.number:
                life.cut_us = signed.may_be_below_from(life.number, life.sent_us)
                beyond_us = signed.must_be_below_from(life.number, life.received_us)
                life.ended_us = min(life.ended_us, beyond_us)
            else:  # an unknown number is at most what was signed when the seat was given
                highest = max(signed.between(life.sent_us, life.received_us))
                life.cut_us = signed.may_be_below_from(highest, life.sent_us)

    def _find_since(self) -> None:
        """Find when each seat was taken: a holder that may have kept it since an earlier session did so."""
        for spans in self.may_hold().values():
            since_us = reach_us = -1
            for from_us, until_us, life in spans:
                if from_us > reach_us:
                    since_us = from_us
                reach_us = max(reach_us, until_us)
                if life is not None:
                    life.since_us = since_us


def _supersede(grants: Sequence[tuple[int, int, Life | None]], sessions_max: int) -> None:
    """Find the grant that may have superseded each session of a client that may have `sessions_max`."""
    undecided: list[int] = []  # until when those sent before may have been decided
    for at, (sent_us, by_us, life) in enumerate(grants):
        while undecided and undecided[0] <= sent_us:
            heapq.heappop(undecided)
        if life is not None:
            further = sessions_max - len(undecided)
            if further <= 0:
                life.end_sent_us = min(life.end_sent_us, sent_us)
            elif at + further < len(grants):
                life.end_sent_us = min(life.end_sent_us, grants[at + further][0])
        heapq.heappush(undecided, by_us)
