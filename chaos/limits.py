"""Holders against the options of their pool: MAX (L16), RESERVE (L17), EXCLUDE (L15), the queue (L19).

Of those whom an option counts, it is as of all holders of a pool (`chaos.holders`): the one that took its
seat last took it when the option allowed so many. Options may have become stricter since; who has a seat
keeps it.

Nobody outside of the group with a reserve ever has a seat of it: so these have no more than the pool has
beside the reserve, whether anybody uses that or not.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property

from chaos.findings import Findings
from chaos.history import Action, Final, Limits, LineRow, Look, Operation, SeatRow, TenantPlan
from chaos.holders import MostHolders, Told, check_most
from chaos.lives import Life, Lives
from chaos.signed import Room
from chaos.times import Settings

LIMITED, COMMON = (
    "moments at which an option allowed no more",
    "moments at which all but the reserve was held",
)
EXCLUDED = "grants of the excluded that had to be denied"


class Limiting:
    """The options of a pool, and what follows from them."""

    def __init__(self, lives: Lives, first: Limits, seats: Room, actions: Iterable[Action]) -> None:
        changes = [(it, it.limits) for it in actions if it.limits is not None]
        self._lives = lives
        self._plan = lives.plan
        self._seats = seats
        self._limits: Settings[Limits] = Settings(first, changes)
        self._ever = [first, *(limits for _, limits in changes)]
        self._desk = frozenset(lives.plan.desk)
        self._sales = frozenset(lives.plan.sales)
        self._out = frozenset(lives.plan.out)
        self._user_of = {client.client_id: client.user for client in lives.plan.clients}

    def check(self, operations: Sequence[Operation], findings: Findings) -> None:
        """Find the seats that an option does not allow."""
        lives = list(self._lives.holding())
        self._check_max([life for life in lives if life.client in self._sales], "max", operations, findings)
        by_user: dict[str, list[Life]] = defaultdict(list)
        for life in lives:
            by_user[self._user_of[life.client]].append(life)
        for of_user in by_user.values():
            self._check_max(of_user, "max_per_user", operations, findings)
        self._check_common([life for life in lives if life.client not in self._desk], operations, findings)
        for operation in operations:
            if operation.kind == "grant" and operation.licensed and operation.client in self._out:
                self._check_excluded(operation, findings)

    def explains(self, denied: Operation) -> bool:
        """Whether an option may be the reason of a denial that says so."""
        window = denied.sent_us, denied.received_us
        possible = self._limits.between(*window)
        match denied.outcome:
            case "excluded":
                return denied.client in self._out and any(limits.excludes for limits in possible)
            case "max_reached":
                may_be = [self._of_user[self._user_of[denied.client]].between(*window)]
                at_most = [min(limits.max_per_user for limits in possible)]
                if denied.client in self._sales:
                    may_be.append(self._of_sales.between(*window))
                    at_most.append(min(limits.max for limits in possible))
                return any(many >= most for many, most in zip(may_be, at_most, strict=True))
            case "reserved":
                reserves = [min(limits.reserve, denied.seats) for limits in possible if limits.reserve]
                if not reserves or self._of_all.between(*window) < denied.seats - max(reserves):
                    return False
                return denied.client not in self._desk or self._of_desk.between(*window) >= min(reserves)
            case _:
                return any(limits.queue for limits in possible)

    def check_counted(self, seats: Iterable[SeatRow], final: Final, findings: Findings) -> None:
        """Find the seats that are not counted as they have to be, at the end."""
        possible = self._limits.between(final.begun_us, final.ended_us)
        for seat in seats:
            client, counted = seat.holder.removeprefix("client:"), set(seat.counted)
            expected = {f"each=user:{self._user_of[client]}"}
            expected |= {"max=group:sales"} if client in self._sales else set()
            sources = {"common", "reserve=group:desk"} if client in self._desk else {"common"}
            may_be = {1 if limits.reserve else 0 for limits in possible}
            if counted - sources != expected or len(counted & sources) not in may_be:
                findings.add("tables", f"{self._plan.name}: {seat.holder} is counted as {sorted(counted)}")

    def _check_max(
        self, lives: list[Life], option: str, operations: Sequence[Operation], findings: Findings
    ) -> None:
        def of(limits: Limits) -> int:
            return int(getattr(limits, option))

        def most(from_us: int, until_us: int) -> int:
            return max(map(of, self._limits.between(from_us, until_us)))

        self._check_most(lives, most, min(map(of, self._ever)), option, LIMITED, operations, findings)

    def _check_common(self, lives: list[Life], operations: Sequence[Operation], findings: Findings) -> None:
        def most(from_us: int, until_us: int) -> int:
            reserve = min(limits.reserve for limits in self._limits.between(from_us, until_us))
            return self._seats.most(from_us, until_us) - reserve

        least = self._seats.least_ever - max(limits.reserve for limits in self._ever)
        self._check_most(lives, most, least, "seats beside the reserve", COMMON, operations, findings)

    def _check_most(  # noqa: PLR0917 - a private step
        self,
        lives: Iterable[Life],
        most: Callable[[int, int], int],
        least_ever: int,
        what: str,
        checked: str,
        operations: Sequence[Operation],
        findings: Findings,
    ) -> None:
        told = Told("over_limit", checked, what, self._plan.name)
        check_most(lives, most, least_ever, told, operations, findings)

    def _check_excluded(self, operation: Operation, findings: Findings) -> None:
        possible = self._limits.between(operation.sent_us, operation.received_us)
        if not operation.is_unknown and all(limits.excludes for limits in possible):
            findings.checked[EXCLUDED] += 1
            if operation.outcome == "granted":
                findings.add("over_limit", "a client that is excluded has a seat", operation)

    def _most(self, is_of: Callable[[str], bool]) -> MostHolders:
        may_hold = self._lives.may_hold().items()
        return MostHolders(spans for holder, spans in may_hold if is_of(holder.removeprefix("client:")))

    @cached_property
    def _of_all(self) -> MostHolders:
        return self._most(lambda _: True)

    @cached_property
    def _of_sales(self) -> MostHolders:
        return self._most(self._sales.__contains__)

    @cached_property
    def _of_desk(self) -> MostHolders:
        return self._most(self._desk.__contains__)

    @cached_property
    def _of_user(self) -> dict[str, MostHolders]:
        spans = defaultdict(list)
        for holder, of_holder in self._lives.may_hold().items():
            spans[self._user_of[holder.removeprefix("client:")]].append(of_holder)
        return defaultdict(lambda: MostHolders(()), {user: MostHolders(of) for user, of in spans.items()})


def limiting(plan: TenantPlan, lives: Lives, seats: Room, actions: Sequence[Action]) -> Limiting | None:
    """The options of a tenant's pool; None where it has none."""
    return None if plan.limits is None else Limiting(lives, plan.limits, seats, actions)


def check_counts(seen: Look | Final, findings: Findings) -> None:
    """Do counts by options, and lines, agree with the seats, at whatever moment somebody looks?"""
    for count in seen.counts:
        findings.checked["counts of options that are the seats counted"] += count.in_use == count.rows > 0
        if count.in_use != count.rows:
            text = f"{count.tenant}: {count.what} is {count.in_use}, and {count.rows} seats are counted so"
            findings.add("tables", text, *([seen] if isinstance(seen, Look) else []))
    for line in seen.lines:
        _check_line(line, findings)


def _check_line(line: LineRow, findings: Findings) -> None:
    findings.checked["lines that were full"] += len(line.places) == line.queue
    if len(line.places) > line.queue:
        findings.add("tables", f"{line.tenant}: {len(line.places)} wait in a line of {line.queue}")
    if len(set(line.places)) < len(line.places):
        findings.add("tables", f"{line.tenant}: somebody has two places in line: {line.places}")
    if line.seated:
        findings.add("tables", f"{line.tenant}: {line.seated} have seats and places in line")
