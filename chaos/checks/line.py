"""Checks the line of clients that wait for a seat (L19): no client gets a seat that belongs to one before it.

`places.py` finds out when a place belongs to a client. This module finds:

- A client that was overtaken. For a client to get a new seat, there must be one free seat for it, and one for
  each client that was certainly before it in line and could have had one. Seats that were certainly held were
  not free. A client whose place an administrator removed is behind all that were in line by then.
- A client that is before others which were certainly in line when it came.
- A waiting request that was not answered in time, though nothing was broken and its node answered others.
"""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from chaos.checks.findings import Findings
from chaos.checks.limits import Limiting
from chaos.checks.lives import Life, Lives
from chaos.checks.places import Stay, Walk, at, by_place, check_places, may_stand, place_holder
from chaos.checks.signed import Room
from chaos.checks.times import Faults, Spans
from chaos.history import Action, Limits, Operation, TenantPlan

GAVE_UP_US = 7_500_000  # how long after its wait a client gives up
BEGUN_US = 2_500_000  # after this time a request certainly waits
OTHERS = 3  # a node that answered so many other requests meanwhile was working
BEHIND = "seats for clients behind others in line, while seats for those others were free"
NEXT = f"{BEHIND}, and with one seat fewer they would have been overtaken"
BEFORE = "places in line with only those before them that had to be there"
ORDER = "requests that got no seat although one was free, because it was for others before them in line"
AGAIN = f"{ORDER}, after an administrator removed their place"
LEFT = "requests that were left while they waited in line"
LEFT_BY = {"": "without a word", "granted": "with a seat", "queued": "with a place"}
WAITED = "requests that waited in line and were served"


class _Line:
    """The line of one tenant."""

    def __init__(  # noqa: PLR0917 - what the checks of a tenant are given
        self,
        plan: TenantPlan,
        lives: Lives,
        seats: Room,
        limits: Limiting,
        actions: Iterable[Action],
        faults: Faults,
    ) -> None:
        self.hold_us = plan.line_hold_s * 1_000_000
        self._lives = lives
        self._seats = seats
        self._limits = limits
        of_client: dict[str, list[Action]] = defaultdict(list)
        for action in actions:
            of_client[action.client].append(action)
        self._disabled = {
            client.client_id: Spans(of_client[client.client_id], "disable", "enable", faults)
            for client in plan.clients
        }
        self._user_of = {client.client_id: client.user for client in plan.clients}
        self._holder_of = {it.client_id: place_holder(plan, it.client_id, it.user) for it in plan.clients}
        self._clients_of: dict[str, list[str]] = defaultdict(list)
        for client_id, holder in self._holder_of.items():
            self._clients_of[holder].append(client_id)
        self._must_hold = _must_hold(lives.holding())
        self._stays: dict[str, list[Stay]] = {}

    def is_steady(self, stay: Stay, until_us: int) -> bool:
        """Whether neither the options nor the client of the place can have been changed since it asked."""
        if self._limits.at(stay.first_us, until_us) is None:
            return False
        clients = self._clients_of[self._holder_of[stay.client]]
        return not any(self._disabled[client].touch(stay.first_us, until_us) for client in clients)

    def is_highest(self, client: str, at_us: int) -> bool:
        """Whether no client can have a higher priority."""
        limits = self._limits.at(at_us, at_us)
        return limits is not None and self._limits.level(limits, client) == max(0, limits.level)

    def put(self, holder: str, walk: Walk) -> None:
        """Keep the certain times of one place, in order."""
        self._stays[holder] = walk.stays

    def check(self, grant: Operation, life: Life, walk: Walk, findings: Findings) -> None:
        """Report a seat that belonged to a client before this one in line."""
        if (found := self._set_aside(grant, life.holder, walk)) is None:
            return
        before, free, waiting = found
        findings.checked[BEHIND] += 1
        findings.checked[NEXT] += free == waiting + 1
        if free < waiting + 1:
            text = f"{grant.client} got one of {free} seats, and before it waited {before}"
            findings.add("overtaken", text, grant)

    def check_position(self, denied: Operation, walk: Walk, findings: Findings) -> None:
        """Report a place that is before older places of others.

        An answer that was delayed is left out: it describes several moments.
        """
        if not denied.position or denied.wait_s or denied.is_unknown:
            return
        window = denied.sent_us, denied.received_us
        if (limits := self._limits.at(*window)) is None:
            return
        before = list(self._stood(denied.client, walk.may_since_us(denied), limits, *window))
        findings.checked[BEFORE] += 0 < denied.position - 1 == len(before)
        if denied.position <= len(before):
            text = f"{denied.client} has place {denied.position}, and before it stood {before}"
            findings.add("overtaken", text, denied)

    def count(self, denied: Operation, walk: Walk, findings: Findings) -> None:
        """Count a denial of a client that would have overtaken another one if it had got the free seat.

        An answer that was delayed is left out: it describes several moments.
        """
        if denied.outcome != "queued" or denied.wait_s or denied.in_use >= denied.seats:
            return
        if (found := self._set_aside(denied, "", walk)) is None:
            return
        _, free, waiting = found
        limits = self._limits.at(denied.sent_us, denied.received_us)
        assert limits is not None
        if denied.in_use + limits.reserve < denied.seats and free < waiting + 1:
            findings.checked[ORDER] += 1
            findings.checked[AGAIN] += walk.is_back(denied)

    def _set_aside(self, grant: Operation, holder: str, walk: Walk) -> tuple[list[Stay], int, int] | None:
        """The places before a client, the most seats that can have been free, and how many those could have.

        None if that is not known, or no client was before it.
        """
        window = grant.sent_us, grant.received_us
        limits = self._limits.at(*window)
        if limits is None or self._limits.draws_on_reserve(limits, grant.client):
            return None
        before = list(self._before(grant.client, walk.may_since_us(grant), limits, *window))
        if not before:
            return None
        all_held, common_held = self._held(holder, limits, *window)
        seats = self._seats.most(*window)
        # The most seats that can have been free, not counting the one that `holder` took.
        free = min(seats - all_held, max(0, seats - limits.reserve) - common_held)
        return before, free, self._could_have(before, limits)

    def _could_have(self, before: Sequence[Stay], limits: Limits) -> int:
        """How many seats the waiting clients could have within the limits of their users."""
        users: dict[str, list[str]] = defaultdict(list)
        for stay in before:
            users[self._user_of[stay.client]].append(stay.client)
        return sum(
            min(self._limits.of_user(limits, clients[0]) or len(clients), len(clients))
            for clients in users.values()
        )

    def _before(
        self, client: str, may_since_us: int, limits: Limits, from_us: int, until_us: int
    ) -> Iterator[Stay]:
        """The places before a client whose owners could have had a seat during this whole time."""
        for stay in self._stood(client, may_since_us, limits, from_us, until_us):
            other = stay.client
            is_barred = self._limits.barred(limits, other) or self._limits.draws_on_reserve(limits, other)
            if not is_barred and not self._may_be_limited(limits, other, from_us, until_us):
                yield stay

    def _stood(
        self, client: str, may_since_us: int, limits: Limits, from_us: int, until_us: int
    ) -> Iterator[Stay]:
        """The places that were before that of a client during this whole time."""
        level = self._limits.level(limits, client)
        for holder, stays in self._stays.items():
            if holder == self._holder_of[client] or not (stay := at(stays, from_us, until_us)):
                continue
            others = self._limits.level(limits, stay.client)
            if others < level or (others == level and stay.since_us > may_since_us):
                continue
            if self.is_steady(stay, until_us):
                yield stay

    def _may_be_limited(self, limits: Limits, client: str, from_us: int, until_us: int) -> bool:
        window = from_us, until_us
        # A limit counts as reached at the first seat: several clients of a user may wait, and each counts.
        is_limited = bool(self._limits.of_user(limits, client))
        of_user = is_limited and self._limits.may_of_user(client, *window) > 0
        of_group = bool(limits.max) and self._limits.counts_as_sales(client)
        return of_user or of_group or self._limits.may_be_at_limit(limits, client, *window)

    def _held(self, but: str, limits: Limits, from_us: int, until_us: int) -> tuple[int, int]:
        """How many seats were held during this whole time, and how many by holders without a reserve."""
        held = common = 0
        for holder, (froms, untils) in self._must_hold.items():
            at = bisect_right(froms, from_us) - 1
            if at >= 0 and untils[at] >= until_us and holder != but:
                held += 1
                common += not self._limits.draws_on_reserve(limits, self._lives.client_of(holder))
        return held, common


def check_line(  # noqa: PLR0917 - what the checks of a tenant are given
    plan: TenantPlan,
    lives: Lives,
    seats: Room,
    limits: Limiting,
    actions: Iterable[Action],
    faults: Faults,
    operations: Sequence[Operation],
    findings: Findings,
) -> None:
    """Find clients that were overtaken in line, that lost a place, or that waited and got no answer."""
    line = _Line(plan, lives, seats, limits, actions, faults)
    grants = [it for it in operations if it.kind == "grant" and it.licensed]
    of_holder, removals = by_place(plan, grants, actions)
    spans = {holder: may_stand(plan, asked, removals[holder], faults) for holder, asked in of_holder.items()}
    check_places(plan, limits, of_holder, removals, spans, findings)
    walks = {holder: Walk(line, spans[holder], faults, findings) for holder in of_holder}
    for holder, walk in walks.items():
        walk.go(of_holder[holder], removals[holder])
        line.put(holder, walk)
    for holder, walk in walks.items():
        for grant in of_holder[holder]:
            _check_grant(grant, lives, line, walk, findings)
    _check_waits(sorted(grants, key=lambda grant: grant.asked_us or grant.sent_us), faults, findings)


def _check_grant(grant: Operation, lives: Lives, line: _Line, walk: Walk, findings: Findings) -> None:
    if grant.left_us:
        findings.checked[LEFT] += 1
        findings.checked[f"{LEFT}: {LEFT_BY.get(grant.outcome, grant.outcome)}"] += 1
    if grant.outcome != "granted":
        line.check_position(grant, walk, findings)
        line.count(grant, walk, findings)
    elif (life := lives.by_sid.get(grant.sid)) is not None:
        findings.checked[WAITED] += grant.wait_s > 0
        if life.since_us == grant.sent_us:  # It did not share a seat that its holder had already.
            line.check(grant, life, walk, findings)


def _check_waits(grants: Sequence[Operation], faults: Faults, findings: Findings) -> None:
    """Find waiting requests that their node did not answer, although it answered others."""
    answered: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for grant in grants:
        if grant.received_us:
            answered[grant.node].append((grant.asked_us or grant.sent_us, grant.received_us))
    for grant in grants:
        if not grant.wait_s or grant.received_us or grant.left_us:
            continue
        # An early loss is of an idle connection that the node closed while the request was being sent.
        if grant.lost_us < (grant.asked_us or grant.sent_us) + BEGUN_US:
            continue
        gave_up_us = min(grant.lost_us, grant.due_us + GAVE_UP_US)
        if faults.touch(grant.sent_us, gave_up_us):
            continue
        of_node = answered[grant.node]
        first = bisect_left(of_node, (min(grant.due_us, gave_up_us - BEGUN_US), 0))
        others = sum(received_us < gave_up_us for _, received_us in of_node[first : first + OTHERS])
        if others == OTHERS:
            findings.add("unanswered_wait", f"nobody answered for {grant.wait_s} s and longer", grant)


def _must_hold(lives: Iterable[Life]) -> dict[str, tuple[list[int], list[int]]]:
    """The times from and until which each holder certainly had its seat, in order."""
    spans: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for life in lives:
        if life.must_hold_until_us > life.received_us:
            spans[life.holder].append((life.received_us, life.must_hold_until_us))
    found: dict[str, tuple[list[int], list[int]]] = {}
    for holder, of_holder in spans.items():
        froms: list[int] = []
        untils: list[int] = []
        for from_us, until_us in sorted(of_holder):
            if untils and from_us <= untils[-1]:
                untils[-1] = max(untils[-1], until_us)
            else:
                froms.append(from_us)
                untils.append(until_us)
        found[holder] = froms, untils
    return found
