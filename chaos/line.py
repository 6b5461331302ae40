"""Checks the line of those who wait for a seat (L19): nobody gets a seat that belongs to those before it.

When a place is certain:

- From the answer that names it, for half of the time for which a place is kept, counted from when the client
  asked: within that time the server need not write the place again.
- It is the same place as the one before, if that was certain until this answer.
- It is certain no more when its client asks anew, unless that is denied for certain, nor when the options or
  the client may have been changed.
- No place is certain while a grant that nobody answered may still be given a seat, as that ends the place.

What is found:

- Somebody was overtaken. Whoever gets a new seat needs one seat free, and one more for each who stood before
  it for certain and could have had one; seats that were held for certain were not free.
- A place was lost, or moved back although nobody has a higher priority, whatever died meanwhile.
- A request that waited was not answered in time, though nothing was broken and its node answered others.
"""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from chaos.findings import Findings
from chaos.history import Action, Limits, Operation, TenantPlan
from chaos.holders import BARRED, DENIALS
from chaos.limits import Limiting
from chaos.lives import Life, Lives
from chaos.signed import Room
from chaos.times import ALLOWANCE_US, FOREVER, Faults, Spans

# With these a client loses the place that it has: waiting would not help.
ENDING = BARRED | {"max_reached", "no_seats", "licence_expired", "licence_missing"}
GAVE_UP_US = 7_500_000  # how long after its wait whoever waits gives up
BEGUN_US = 2_500_000  # after which a request waits for certain
OTHERS = 3  # requests that a node answered meanwhile: it is no node that answers nobody
BEHIND = "seats for who was behind others in line, beside those that were theirs"
NEXT = "the same where one more waiting would have been overtaken"
KEPT = "places in line that had to be kept"
WAITED = "requests that waited in line and were served"


class Stay(NamedTuple):
    """A place in line that was somebody's for certain from one moment until another, as an answer said.

    `asked_us` is when the client asked for that answer, `first_us` when it asked for the first one about the
    same place, and `since_us` when that one came: by then it had the place.
    """

    client: str
    asked_us: int
    from_us: int
    until_us: int
    first_us: int
    since_us: int
    position: int


class _Walk:
    """What one client did about its place, in order: `stays`, and when each grant's place may have begun."""

    def __init__(self, client: str, line: "_Line", faults: Faults, findings: Findings) -> None:
        self.stays: list[Stay] = []
        self.may_since: dict[str, int] = {}  # by the session that was granted: since when it may have waited
        self._client = client
        self._line = line
        self._faults = faults
        self._findings = findings
        self._served_by_us = 0  # until when a grant that nobody answered may be given a seat
        # Requests for a place: when it was asked for, and by when it was taken at the latest.
        self._open: list[tuple[int, int]] = []

    def step(self, grant: Operation) -> None:
        """The next grant."""
        asked_us = grant.asked_us or grant.sent_us
        if grant.queue:
            by_us = self._faults.late_us(grant.due_us) if grant.is_unknown else grant.received_us
            self._open.append((asked_us, by_us))
        if grant.is_unknown:
            self._cut(asked_us)
            self._served_by_us = max(self._served_by_us, self._faults.late_us(grant.due_us))
        elif grant.outcome in ENDING:
            self._cut(asked_us)
        elif grant.outcome == "granted":
            self._cut(asked_us)
            self.may_since[grant.sid] = min((sent_us for sent_us, _ in self._open), default=FOREVER)
            # Who is served waits no more; what nobody answered may still be done.
            self._open = [it for it in self._open if it[1] > grant.received_us]
        elif grant.queue and grant.outcome in DENIALS and asked_us > self._served_by_us:
            self._stand(grant, asked_us)

    def _stand(self, grant: Operation, asked_us: int) -> None:
        before = self.stays[-1] if self.stays else None
        if before is not None:
            is_kept = before.from_us <= asked_us and grant.received_us <= before.until_us
            if not is_kept or not self._line.is_steady(before, grant.received_us):
                before = None
        if before is not None:
            self._findings.checked[KEPT] += 1
            if not grant.position:
                text = f"{self._client} had place {before.position}, and has none"
                self._findings.add("lost_place", text, grant)
            elif grant.position > before.position and self._line.is_highest(self._client, grant.received_us):
                text = f"{self._client} had place {before.position}, and has {grant.position}"
                self._findings.add("lost_place", text, grant)
        if grant.position:
            first_us = asked_us if before is None else before.first_us
            since_us = grant.received_us if before is None else before.since_us
            until_us = asked_us + self._line.kept_us
            self.stays.append(
                Stay(self._client, asked_us, grant.received_us, until_us, first_us, since_us, grant.position)
            )

    def _cut(self, at_us: int) -> None:
        """From this moment on, nothing is certain of the places before."""
        for number in range(len(self.stays) - 1, -1, -1):
            if self.stays[number].until_us <= at_us:
                break
            self.stays[number] = self.stays[number]._replace(until_us=at_us)


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
        self.kept_us = plan.line_hold_s * 500_000 - ALLOWANCE_US
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
        self._must_hold = _must_hold(lives.holding())
        self._stays: dict[str, list[Stay]] = {}
        self._ends: dict[str, list[int]] = {}

    def is_steady(self, stay: Stay, until_us: int) -> bool:
        """Whether neither the options nor its client can have been changed meanwhile."""
        is_same = self._limits.at(stay.first_us, until_us) is not None
        return is_same and not self._shut[stay.client].touch(stay.first_us, until_us)

    def is_highest(self, client: str, at_us: int) -> bool:
        """Whether nobody has a higher priority."""
        limits = self._limits.at(at_us, at_us)
        return limits is not None and self._limits.level(limits, client) == max(0, limits.level)

    def put(self, client: str, stays: list[Stay]) -> None:
        """Those of one client, in order."""
        self._stays[client] = stays

    def check(self, grant: Operation, life: Life, may_since_us: int, findings: Findings) -> None:
        """Find a seat that belonged to somebody before it in line."""
        window = grant.sent_us, grant.received_us
        limits = self._limits.at(*window)
        if limits is None or self._limits.draws_on_reserve(limits, grant.client):
            return
        before = list(self._before(grant.client, may_since_us, limits, *window))
        if not before:
            return
        all_held, common_held = self._held(life.holder, limits, *window)
        seats = self._seats.most(*window)
        # The least that can have been free without it.
        free = min(seats - all_held, max(0, seats - limits.reserve) - common_held)
        waiting = self._could_have(before, limits)
        findings.checked[BEHIND] += 1
        findings.checked[NEXT] += free == waiting + 1
        if free < waiting + 1:
            text = f"{grant.client} got one of {free} seats, and before it waited {before}"
            findings.add("overtaken", text, grant)

    def _could_have(self, before: Sequence[Stay], limits: Limits) -> int:
        """How many seats those who wait could have: each user has a limit."""
        if not limits.max_per_user:
            return len(before)
        users: dict[str, int] = defaultdict(int)
        for stay in before:
            users[self._user_of[stay.client]] += 1
        return sum(min(limits.max_per_user, many) for many in users.values())

    def _before(
        self, client: str, may_since_us: int, limits: Limits, from_us: int, until_us: int
    ) -> Iterator[Stay]:
        """Who stood before a client, and could have had a seat as it did, all the time between these."""
        level = self._limits.level(limits, client)
        for other, stays in self._stays.items():
            if other == client or not (stay := _at(stays, from_us, until_us)):
                continue
            others = self._limits.level(limits, other)
            if others < level or (others == level and stay.since_us > may_since_us):
                continue
            if self._limits.barred(limits, other) or self._limits.draws_on_reserve(limits, other):
                continue
            if self._may_be_limited(limits, other, from_us, until_us):
                continue
            if self.is_steady(stay, until_us):
                yield stay

    def _may_be_limited(self, limits: Limits, client: str, from_us: int, until_us: int) -> bool:
        window = from_us, until_us
        # As if it had none: more of a user may stand in line, and each of them counts.
        of_user = bool(limits.max_per_user) and self._limits.may_of_user(client, *window) > 0
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
    """Find who was overtaken in line, whose place was lost, and who waited and was not answered."""
    line = _Line(plan, lives, seats, limits, actions, faults)
    grants = sorted(
        (it for it in operations if it.kind == "grant" and it.licensed),
        key=lambda grant: grant.asked_us or grant.sent_us,
    )
    walks = {it.client_id: _Walk(it.client_id, line, faults, findings) for it in plan.clients}
    for grant in grants:
        walks[grant.client].step(grant)
    for client, walk in walks.items():
        line.put(client, walk.stays)
    for grant in grants:
        life = lives.by_sid.get(grant.sid)
        if grant.outcome != "granted" or life is None:
            continue
        findings.checked[WAITED] += grant.wait_s > 0
        if life.since_us == grant.sent_us:  # Nobody can have shared a seat with it.
            line.check(grant, life, walks[grant.client].may_since[grant.sid], findings)
    _check_waits(grants, faults, findings)


def _check_waits(grants: Sequence[Operation], faults: Faults, findings: Findings) -> None:
    """Find requests that waited and were not answered, by a node that answered others."""
    answered: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for grant in grants:
        if grant.received_us:
            answered[grant.node].append((grant.asked_us or grant.sent_us, grant.received_us))
    for grant in grants:
        if not grant.wait_s or grant.received_us:
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


def _at(stays: Sequence[Stay], from_us: int, until_us: int) -> Stay | None:
    """The place that was somebody's all the time between these."""
    at = bisect_right(stays, from_us, key=lambda stay: stay.from_us) - 1
    while at >= 0:
        if stays[at].until_us >= until_us:
            return stays[at]
        if stays[at].until_us < from_us:
            return None
        at -= 1
    return None
