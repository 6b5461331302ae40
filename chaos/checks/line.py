"""Checks the line of clients that wait for a seat (L19): no client gets a seat that belongs to one before it.

`places` says when a place belongs to a client. This module finds:

- A client that was overtaken. A client that gets a new seat needs one free seat for itself, and one for each
  client that stood before it for certain and could have had one. Seats that were held for certain were not
  free. A client whose place an administrator removed stands behind all that were in line by then.
- A client that stands before others which were in line for certain when it came.
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
BEGUN_US = 2_500_000  # after which a request waits for certain
OTHERS = 3  # requests that a node must have answered meanwhile: so it did answer
BEHIND = "seats for who was behind others in line, beside those that were theirs"
NEXT = f"{BEHIND}, where one more would have been overtaken"
BEFORE = "places in line with no more before them than had to stand there"
ORDER = "moments at which a seat was free, and was not given to who asked, as it was for others before it"
AGAIN = f"{ORDER}, some since an administrator took its place away"
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
        self._shut = {
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
        """Whether neither the options nor who has the place can have been changed meanwhile."""
        if self._limits.at(stay.first_us, until_us) is None:
            return False
        clients = self._clients_of[self._holder_of[stay.client]]
        return not any(self._shut[client].touch(stay.first_us, until_us) for client in clients)

    def is_highest(self, client: str, at_us: int) -> bool:
        """Whether nobody has a higher priority."""
        limits = self._limits.at(at_us, at_us)
        return limits is not None and self._limits.level(limits, client) == max(0, limits.level)

    def put(self, holder: str, walk: Walk) -> None:
        """Those of one place, in order."""
        self._stays[holder] = walk.stays

    def check(self, grant: Operation, life: Life, walk: Walk, findings: Findings) -> None:
        """Find a seat that belonged to somebody before it in line."""
        if (found := self._set_aside(grant, life.holder, walk)) is None:
            return
        before, free, waiting = found
        findings.checked[BEHIND] += 1
        findings.checked[NEXT] += free == waiting + 1
        if free < waiting + 1:
            text = f"{grant.client} got one of {free} seats, and before it waited {before}"
            findings.add("overtaken", text, grant)

    def check_position(self, denied: Operation, walk: Walk, findings: Findings) -> None:
        """Find a place before others whose places are older.

        An answer that was put off says what was so at several moments.
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
        """Count it, where who was denied would have overtaken somebody, had it got the seat that was free.

        An answer that was put off says what was so at several moments.
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
        """Who stood before it, how many seats can have been free at most, and how many those could have.

        None where that is not known, or nobody stood there.
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
        # The most that can have been free without it.
        free = min(seats - all_held, max(0, seats - limits.reserve) - common_held)
        return before, free, self._could_have(before, limits)

    def _could_have(self, before: Sequence[Stay], limits: Limits) -> int:
        """How many seats those who wait could have: each user has a limit."""
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
        """Who stood before a client, and could have had a seat as it did, all the time between these."""
        for stay in self._stood(client, may_since_us, limits, from_us, until_us):
            other = stay.client
            is_barred = self._limits.barred(limits, other) or self._limits.draws_on_reserve(limits, other)
            if not is_barred and not self._may_be_limited(limits, other, from_us, until_us):
                yield stay

    def _stood(
        self, client: str, may_since_us: int, limits: Limits, from_us: int, until_us: int
    ) -> Iterator[Stay]:
        """Who stood before a client all the time between these."""
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
        # As if it had none: more of a user may stand in line, and each of them counts.
        is_limited = bool(self._limits.of_user(limits, client))
        of_user = is_limited and self._limits.may_of_user(client, *window) > 0
        of_group = bool(limits.max) and self._limits.counts_as_sales(client)
        return of_user or of_group or self._limits.may_be_at_limit(limits, client, *window)

    def _held(self, but: str, limits: Limits, from_us: int, until_us: int) -> tuple[int, int]:
        """How many seats were held all the time between these; and how many by whom none is reserved for."""
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
    """Find clients that were overtaken in line, that lost a place, and that waited and were not answered."""
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
        if life.since_us == grant.sent_us:  # Nobody can have shared a seat with it.
            line.check(grant, life, walk, findings)


def _check_waits(grants: Sequence[Operation], faults: Faults, findings: Findings) -> None:
    """Find requests that waited and were not answered, by a node that answered others."""
    answered: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for grant in grants:
        if grant.received_us:
            answered[grant.node].append((grant.asked_us or grant.sent_us, grant.received_us))
    for grant in grants:
        if not grant.wait_s or grant.received_us or grant.left_us:
            continue
        # Where it is lost soon, its connection was closed as it was sent, because nobody had used it.
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
    """When each holder certainly had its seat: from, and until, in order."""
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
