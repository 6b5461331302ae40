"""Finds when a client certainly has a place in line (L19), when it may have one, and when it has lost it.

The time for which a place is kept is called its hold here. When a place is certain:

- It is certain from the answer that names it, for half a hold after the request: within that time the server
  need not write the place again. It is certain for the whole hold if the server must have written the place
  at this request, because the client certainly had none, or had it for at least half a hold.
- It is the same place as the one before, if that one was certain until this answer.
- It is no longer certain when the client asks again, unless that request is certainly denied; nor when the
  options or the client may have been changed, or an administrator may have removed the place.
- No place is certain while a grant without an answer may still get a seat, as a seat ends the place.

A client may have a place from its request until one hold after the last answer, or after the server saw that
the client left; unless a seat or an administrator ended the place before.

This module finds: a place that was lost, or moved back although no client has a higher priority; a place
behind more clients than may have one; a client without a place although the line cannot have been full; and
a removal by an administrator that found no place where there was one, or one where there can have been none.

A place belongs to the client or, in a pool where seats belong to users, to the user: all clients of the user
share it.
"""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import NamedTuple, Protocol

from chaos.checks.findings import Findings
from chaos.checks.holders import BARRED, DENIALS, MostHolders
from chaos.checks.limits import Limiting
from chaos.checks.times import ALLOWANCE_US, Faults
from chaos.history import FOREVER, Action, Operation, TenantPlan

# A client that is denied for these reasons loses its place: waiting would not help.
ENDING = BARRED | {"max_reached", "no_seats", "licence_expired", "licence_missing"}
KEPT = "places in line that had to be kept"
NO_MORE = "places in line with as many before them as may have been there"
FULL = "lines that had to be full, as a client got no place"
REMOVED = "places in line that an administrator removed, and that had to be there"
BY_API = f"{REMOVED}, by the admin API, which does not say whether they were"
TAKEN = "places in line that an administrator removed"

LAST = "places in line as far in front as one without a seat can be"

Spans = Sequence[tuple[int, int, None]]  # from and until when a place may have been there


class Stay(NamedTuple):
    """The time in which a client certainly had a place in line, by one answer.

    `asked_us` is when the client sent the request, `first_us` when it sent the first one that got this place,
    and `since_us` when that one was answered: by then it had the place. The server last wrote the place
    between `written_us` and `written_by_us`.
    """

    client: str
    asked_us: int
    from_us: int
    until_us: int
    first_us: int
    since_us: int
    position: int
    written_us: int = 0
    written_by_us: int = 0


class Judge(Protocol):
    """What a `Walk` needs to know of the line."""

    hold_us: int

    def is_steady(self, stay: Stay, until_us: int) -> bool:
        """Whether neither the options nor the client of the place can have been changed since it asked."""

    def is_highest(self, client: str, at_us: int) -> bool:
        """Whether no client can have a higher priority."""


def place_holder(plan: TenantPlan, client: str, user: str) -> str:
    """Who has the place of a client: the client, or its user."""
    return f"user {user}" if plan.duplicates == "user" else client


class Walk:
    """Goes through the requests for one place: finds `stays`, and since when the place may have existed."""

    def __init__(self, judge: Judge, may_stand: Spans, faults: Faults, findings: Findings) -> None:
        self.stays: list[Stay] = []
        self._may_from = [from_us for from_us, _, _ in may_stand]
        self._may_reach = [*accumulate((until_us for _, until_us, _ in may_stand), max)]
        self._judge = judge
        self._faults = faults
        self._findings = findings
        self._served_by_us = 0  # until when a grant may get a seat, or an administrator remove the place
        # Requests for a place: when each was sent, and by when it got the place at the latest.
        self._open: list[tuple[int, int]] = []
        self._served: list[Operation] = []  # grants of a seat, which end the requests before them
        self._removals: list[Action] = []
        self._ends: list[int] = []  # the beginnings of all that may end the place
        self._may_since: dict[int, int] = {}  # by the `id` of each grant

    def go(self, grants: Sequence[Operation], removals: Sequence[Action]) -> None:
        """Go through all grants and removals, in order."""
        self._removals = [it for it in removals if it.done == "done"]
        ends = [_asked_us(it) for it in grants if _may_end_place(it)]
        self._ends = sorted([*ends, *(it.begun_us for it in removals)])
        at = 0
        for grant in grants:
            while at < len(removals) and removals[at].begun_us < _asked_us(grant):
                self._remove(removals[at], grants)
                at += 1
            self._step(grant)
        for removal in removals[at:]:
            self._remove(removal, grants)

    def may_since_us(self, grant: Operation) -> int:
        """Since when the place of a grant may have existed when the grant was decided."""
        return self._may_since.get(id(grant), FOREVER)

    def is_back(self, grant: Operation) -> bool:
        """Whether an administrator removed the place shortly before, so that this is a new one."""
        asked_us = _asked_us(grant)
        since_us = asked_us - self._judge.hold_us
        return any(since_us <= it.begun_us and it.ended_us < grant.sent_us for it in self._removals if it.had)

    def _step(self, grant: Operation) -> None:
        asked_us = _asked_us(grant)
        self._end_what_was_served(asked_us)
        if grant.queue:
            by_us = self._faults.by_us(grant) if grant.is_unknown else grant.received_us
            self._open.append((asked_us, by_us))
        self._may_since[id(grant)] = self._since_us(grant.sent_us)
        if grant.is_unknown:
            self._cut(asked_us)
            self._served_by_us = max(self._served_by_us, self._faults.by_us(grant))
        elif _may_end_place(grant):
            self._cut(asked_us)
            self._served_by_us = max(self._served_by_us, grant.received_us)
            if grant.outcome == "granted":
                self._served.append(grant)
        elif grant.queue and grant.outcome in DENIALS and asked_us > self._served_by_us:
            self._stand(grant, asked_us)

    def _end_what_was_served(self, by_us: int) -> None:
        """Drop the requests that a granted seat has ended; those without an answer may still be carried out.

        Another client of the user to whom a place belongs may have asked meanwhile, and still have the place.
        """
        for served in [it for it in self._served if it.received_us <= by_us]:
            self._served.remove(served)
            own = _asked_us(served), served.received_us
            self._open = [it for it in self._open if it[1] > served.sent_us and it != own]

    def _since_us(self, decided_us: int) -> int:
        """Since when a place may have existed that is used in a decision at `decided_us` or later."""
        since_us, kept_us = FOREVER, -1
        for asked_us, by_us in self._open:
            if asked_us > kept_us:  # The earlier place has expired.
                since_us = FOREVER
            kept_us = max(kept_us, by_us + self._judge.hold_us + ALLOWANCE_US)
            for removal in self._removals:
                if removal.ended_us < decided_us and asked_us < removal.begun_us:
                    asked_us = removal.begun_us if by_us >= removal.begun_us else FOREVER  # noqa: PLW2901
            since_us = min(since_us, asked_us)
        return since_us

    def _remove(self, removal: Action, grants: Sequence[Operation]) -> None:
        """Note that an administrator removed the place."""
        is_done = removal.done == "done"
        if is_done and self._had_to_be_there(removal, grants):
            self._findings.checked[REMOVED] += 1
            self._findings.checked[BY_API] += removal.by == "api"
            if removal.by != "api" and not removal.had:
                self._findings.add(
                    "lost_place", f"{removal.client} had a place, and it was not there", removal
                )
        self._cut(removal.begun_us)
        by_us = removal.ended_us if is_done else self._faults.late_us(removal.begun_us)
        self._served_by_us = max(self._served_by_us, by_us)

    def _had_to_be_there(self, removal: Action, grants: Sequence[Operation]) -> bool:
        stay = at(self.stays, removal.begun_us, removal.ended_us)
        if stay is None or stay.client != removal.client:
            return False
        first = bisect_left(grants, removal.begun_us, key=_asked_us)
        is_asked_anew = first < len(grants) and _asked_us(grants[first]) <= removal.ended_us
        return not is_asked_anew and self._judge.is_steady(stay, removal.ended_us)

    def _stand(self, grant: Operation, asked_us: int) -> None:
        if bisect_right(self._ends, asked_us) < bisect_right(self._ends, grant.received_us):
            return  # Meanwhile another client of the user, or an administrator, may have ended the place.
        before = self.stays[-1] if self.stays else None
        if before is not None:
            is_kept = before.from_us <= asked_us and grant.received_us <= before.until_us
            if not is_kept or not self._judge.is_steady(before, grant.received_us):
                before = None
        if before is not None:
            self._findings.checked[KEPT] += 1
            if not grant.position:
                text = f"{grant.client} had place {before.position}, and has none"
                self._findings.add("lost_place", text, grant)
            elif grant.position > before.position and self._judge.is_highest(grant.client, grant.received_us):
                text = f"{grant.client} had place {before.position}, and has {grant.position}"
                self._findings.add("lost_place", text, grant)
        if grant.position:
            first_us = asked_us if before is None else before.first_us
            since_us = grant.received_us if before is None else before.since_us
            written_us, by_us = self._written(asked_us, grant.received_us, before)
            stay = Stay(
                client=grant.client,
                asked_us=asked_us,
                from_us=grant.received_us,
                until_us=written_us + self._judge.hold_us - ALLOWANCE_US,
                first_us=first_us,
                since_us=since_us,
                position=grant.position,
                written_us=written_us,
                written_by_us=by_us,
            )
            self.stays.append(stay)

    def _written(self, asked_us: int, received_us: int, before: Stay | None) -> tuple[int, int]:
        """Between which moments the server last wrote the place; it does so once in each half of a hold."""
        half_us = self._judge.hold_us // 2
        if before is None:
            number = bisect_left(self._may_from, asked_us) - 1
            is_new = number < 0 or self._may_reach[number] < asked_us
            return asked_us if is_new else asked_us - half_us, received_us
        if asked_us >= before.written_by_us + half_us + ALLOWANCE_US:
            return asked_us, received_us
        is_as_before = received_us < before.written_us + half_us - ALLOWANCE_US
        by_us = before.written_by_us if is_as_before else received_us
        return max(before.written_us, asked_us - half_us), by_us

    def _cut(self, at_us: int) -> None:
        """Let no earlier place be certain from this moment on."""
        for number in range(len(self.stays) - 1, -1, -1):
            if self.stays[number].until_us <= at_us:
                break
            self.stays[number] = self.stays[number]._replace(until_us=at_us)


def at(stays: Sequence[Stay], from_us: int, until_us: int) -> Stay | None:
    """The place that was certain during this whole time, if any."""
    number = bisect_right(stays, from_us, key=lambda stay: stay.from_us) - 1
    while number >= 0:
        if stays[number].until_us >= until_us:
            return stays[number]
        if stays[number].until_us < from_us:
            return None
        number -= 1
    return None


def check_places(  # noqa: PLR0917 - what the checks of a tenant are given
    plan: TenantPlan,
    limits: Limiting,
    of_holder: dict[str, list[Operation]],
    removals: dict[str, list[Action]],
    spans: dict[str, Spans],
    findings: Findings,
) -> None:
    """Find places behind more clients than may have one, and clients without a place where one was free."""
    for holder, taken in removals.items():
        for removal in taken:
            findings.checked[TAKEN] += removal.had
            if removal.had and not _touch(spans.get(holder, ()), removal):
                findings.add("stale_place", f"{removal.client} can have had no place in line", removal)
    most = MostHolders(spans.values())
    for grants in of_holder.values():
        for grant in grants:
            if grant.queue and not grant.is_unknown and grant.outcome in DENIALS - ENDING:
                _check_place(plan, limits, grant, most, findings)


def _check_place(
    plan: TenantPlan, limits: Limiting, grant: Operation, most: MostHolders, findings: Findings
) -> None:
    may = most.between(_asked_us(grant), grant.received_us)
    if grant.position:
        findings.checked[NO_MORE] += grant.position == may
        if grant.position > may:
            text = f"{grant.client} has place {grant.position}, and {may} may have one"
            findings.add("stale_place", text, grant)
        _check_before(plan, limits, grant, findings)
        return
    now = limits.at(_asked_us(grant), grant.received_us)
    if now is None or not now.queue:
        return
    others = may - 1  # It may have had one as well, and has none.
    findings.checked[FULL] += others == now.queue
    if others < now.queue:
        text = f"{grant.client} has no place in a line of {now.queue}, and {others} others may have one"
        findings.add("stale_place", text, grant)


def _check_before(plan: TenantPlan, limits: Limiting, grant: Operation, findings: Findings) -> None:
    """Report a client that waits although there are free seats for all before it, and one more for it.

    Left out are signed pools, where a number may be held although its seat is gone; clients with a limit that
    may count those before them too; and delayed answers, which describe several moments.
    """
    now = limits.at(_asked_us(grant), grant.received_us)
    if plan.signed or grant.wait_s or now is None:
        return
    if limits.of_user(now, grant.client) or (now.max and limits.counts_as_sales(grant.client)):
        return
    spoken_for = grant.in_use + (grant.position - 1) + now.reserve
    findings.checked[LAST] += spoken_for == grant.seats
    if spoken_for < grant.seats:
        text = (
            f"{grant.client} has place {grant.position}, and {grant.in_use} of {grant.seats} seats are in use"
        )
        findings.add("unexplained_denial", text, grant)


def may_stand(
    plan: TenantPlan, grants: Sequence[Operation], removals: Iterable[Action], faults: Faults
) -> Spans:
    """The times from and until which this place may have existed."""
    hold_us = plan.line_hold_s * 1_000_000 + ALLOWANCE_US
    events: list[tuple[int, Operation | Action]] = [(_asked_us(grant), grant) for grant in grants]
    events += [(it.begun_us, it) for it in removals if it.done == "done"]
    spans: list[tuple[int, int, int]] = []  # from, by when it was requested, until
    for _, event in sorted(events, key=lambda it: it[0]):
        if isinstance(event, Action):
            spans = _ended(spans, event.begun_us, event.ended_us)
            continue
        by_us = faults.by_us(event) if event.is_unknown else event.received_us
        if event.outcome == "granted" or event.outcome in ENDING:
            spans = _ended(spans, _asked_us(event), by_us)
            if event.queue:
                spans.append((_asked_us(event), by_us, by_us))
        elif event.queue:
            spans.append((_asked_us(event), by_us, by_us + hold_us))
    return sorted((from_us, until_us, None) for from_us, _, until_us in spans)


def _ended(spans: list[tuple[int, int, int]], begun_us: int, by_us: int) -> list[tuple[int, int, int]]:
    """These spans, with those requested before `begun_us` ended by `by_us`."""
    return [
        (from_us, asked_by_us, min(until_us, by_us) if asked_by_us <= begun_us else until_us)
        for from_us, asked_by_us, until_us in spans
    ]


def _touch(spans: Spans, action: Action) -> bool:
    return any(from_us <= action.ended_us and action.begun_us <= until_us for from_us, until_us, _ in spans)


def _may_end_place(grant: Operation) -> bool:
    """Whether a grant may have ended the place; a client that left may have had a seat for a moment."""
    return grant.is_unknown or grant.outcome in ENDING or grant.outcome == "granted" or grant.left_us > 0


def _asked_us(grant: Operation) -> int:
    return grant.asked_us or grant.sent_us


def by_place(
    plan: TenantPlan, grants: Iterable[Operation], actions: Iterable[Action]
) -> tuple[dict[str, list[Operation]], dict[str, list[Action]]]:
    """The grants and the removals of each place, both in order."""
    holder_of = {
        client.client_id: place_holder(plan, client.client_id, client.user) for client in plan.clients
    }
    of_holder: dict[str, list[Operation]] = {holder: [] for holder in holder_of.values()}
    for grant in sorted(grants, key=_asked_us):
        of_holder[holder_of[grant.client]].append(grant)
    removals: dict[str, list[Action]] = defaultdict(list)
    for action in sorted(actions, key=lambda it: it.begun_us):
        if action.kind == "remove_place":
            removals[holder_of[action.client]].append(action)
    return of_holder, removals
