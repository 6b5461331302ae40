"""Checks holders against the options of their pool: who may have seats (L15), and how many (L16, L17).

The holders that an option counts are checked as all holders of a pool are (`holders.py`): the one that took
its seat last must have taken it while the option allowed so many. A holder keeps its seat when options become
stricter.

A client outside the group of a reserve never gets a seat of that reserve. So all such clients together have
at most the seats outside the reserve, whether the reserve is in use or not.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property

from chaos.checks.findings import Findings
from chaos.checks.holders import Excess, MostHolders, check_most
from chaos.checks.lives import Life, Lives
from chaos.checks.signed import Room
from chaos.checks.times import Settings
from chaos.history import Action, Final, Limits, LineRow, Operation, Sample, SeatRow, TenantPlan

LIMITED, COMMON = (
    "moments at which an option allowed no more",
    "moments at which all but the reserve was held",
)
BARRED_TEXTS = {
    "excluded": "grants of the excluded that had to be denied",
    "not_included": "grants of those not included that had to be denied",
}
OWN = "moments at which a user's own limit allowed no more"
NO_LIMIT = 1 << 30


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
        self._staff = frozenset(lives.plan.staff)
        self._first = frozenset(lives.plan.first)
        self._named = frozenset(lives.plan.named)
        self._capped = frozenset(lives.plan.capped)
        self._user_of = {client.client_id: client.user for client in lives.plan.clients}

    def check(self, operations: Sequence[Operation], findings: Findings) -> None:
        """Find seats that an option does not allow."""
        lives = list(self._lives.holding())
        self._check_max([life for life in lives if life.client in self._sales], "max", operations, findings)
        by_user: dict[str, list[Life]] = defaultdict(list)
        by_client: dict[str, list[Life]] = defaultdict(list)
        for life in lives:
            by_user[self._user_of[life.client]].append(life)
            by_client[life.client].append(life)
        for user, of_user in by_user.items():
            self._check_user(user, of_user, operations, findings)
        for of_client in by_client.values():
            self._check_max(of_client, "max_per_client", operations, findings)
        self._check_common([life for life in lives if life.client not in self._desk], operations, findings)
        for operation in operations:
            if operation.kind == "grant" and operation.licensed:
                self._check_barred(operation, findings)

    def at(self, from_us: int, until_us: int) -> Limits | None:
        """The options, if they were certainly the same during this whole time; None otherwise."""
        possible = self._limits.between(from_us, until_us)
        return next(iter(possible)) if len(possible) == 1 else None

    def barred(self, limits: Limits, client: str) -> str:
        """The reason why a client may have no seat at all (L15), as in a denial; '' where it may have one."""
        if limits.excludes and client in self._out:
            return "excluded"
        if limits.reserve and client in self._desk:  # counts as included
            return ""
        is_named = not limits.names or self._user_of[client] in self._named
        return "" if is_named and (not limits.includes or client in self._staff) else "not_included"

    def level(self, limits: Limits, client: str) -> int:
        """The priority of a client in line (L19)."""
        return limits.level if client in self._first else 0

    def draws_on_reserve(self, limits: Limits, client: str) -> bool:
        """Whether a client may have a reserved seat."""
        return bool(limits.reserve) and client in self._desk

    def may_be_at_limit(self, limits: Limits, client: str, from_us: int, until_us: int) -> bool:
        """Whether a client may have reached one of its limits at some moment of this time (L16)."""
        window = from_us, until_us
        return (
            (client in self._sales and self._of_sales.between(*window) >= (limits.max or NO_LIMIT))
            or self.may_of_user(client, *window) >= (self.of_user(limits, client) or NO_LIMIT)
            or self._of_client[client].between(*window) >= (limits.max_per_client or NO_LIMIT)
        )

    def counts_as_sales(self, client: str) -> bool:
        """Whether a seat of a client counts towards the limit of the group `sales`."""
        return client in self._sales

    def of_user(self, limits: Limits, client: str) -> int:
        """The limit of seats of a client's user, 0 if none: the user's own one, else that of every user."""
        is_own = limits.max_of_user and self._user_of[client] in self._capped
        return limits.max_of_user if is_own else limits.max_per_user

    def may_of_user(self, client: str, from_us: int, until_us: int) -> int:
        """The most seats that the user of a client may have had during this time."""
        return self._of_user[self._user_of[client]].between(from_us, until_us)

    def explains(self, denied: Operation) -> bool:
        """Whether an option may be the reason of a denial, as the denial says."""
        window = denied.sent_us, denied.received_us
        possible = self._limits.between(*window)
        match denied.outcome:
            case "excluded" | "not_included":
                return any(self.barred(limits, denied.client) == denied.outcome for limits in possible)
            case "max_reached":
                return any(self.may_be_at_limit(limits, denied.client, *window) for limits in possible)
            case "reserved":
                reserves = [min(limits.reserve, denied.seats) for limits in possible if limits.reserve]
                if not reserves or self._of_all.between(*window) < denied.seats - max(reserves):
                    return False
                return denied.client not in self._desk or self._of_desk.between(*window) >= min(reserves)
            case _:
                most = max(limits.queue for limits in possible)
                has_place = denied.position > 0
                return most > 0 and denied.position <= most and (denied.queue or not has_place)

    def check_counted(self, seats: Iterable[SeatRow], final: Final, findings: Findings) -> None:
        """Find the seats that the counters of the options do not count correctly at the end."""
        possible = self._limits.between(final.begun_us, final.ended_us)
        by_sid = {row.sid: row.client for row in final.sessions}
        for seat in seats:
            kind, _, name = seat.holder.partition(":")
            client = by_sid.get(name, "") if kind == "session" else self._lives.client_of(seat.holder)
            if client and not any(self._is_counted(limits, client, set(seat.counted)) for limits in possible):
                findings.add("tables", f"{self._plan.name}: {seat.holder} is counted as {seat.counted}")

    def _is_counted(self, limits: Limits, client: str, counted: set[str]) -> bool:
        """Whether these options count a seat of a client by exactly these counters."""
        user = self._user_of[client]
        is_own = limits.max_of_user and user in self._capped
        kind = "max" if is_own else "each"
        expected = {f"{kind}=user:{user}"} if self.of_user(limits, client) else set()
        expected |= {f"each=client:{client}"} if limits.max_per_client else set()
        expected |= {"max=group:sales"} if limits.max and client in self._sales else set()
        sources = {"common", "reserve=group:desk"} if client in self._desk else {"common"}
        return counted - sources == expected and len(counted & sources) == bool(limits.reserve)

    def _check_user(
        self, user: str, lives: list[Life], operations: Sequence[Operation], findings: Findings
    ) -> None:
        """Check the seats of one user against its own limit, or else that of every user (L16)."""
        if user not in self._capped:
            self._check_max(lives, "max_per_user", operations, findings)
            return

        def most(from_us: int, until_us: int) -> int:
            possible = self._limits.between(from_us, until_us)
            return max((it.max_of_user or it.max_per_user or NO_LIMIT) for it in possible)

        least = min((it.max_of_user or it.max_per_user or NO_LIMIT) for it in self._ever)
        self._check_most(lives, most, least, "max of a user", OWN, operations, findings)

    def _check_max(
        self, lives: list[Life], option: str, operations: Sequence[Operation], findings: Findings
    ) -> None:
        def of(limits: Limits) -> int:
            return int(getattr(limits, option)) or NO_LIMIT

        def most(from_us: int, until_us: int) -> int:
            return max(map(of, self._limits.between(from_us, until_us)))

        self._check_most(lives, most, min(map(of, self._ever)), option, LIMITED, operations, findings)

    def _check_common(self, lives: list[Life], operations: Sequence[Operation], findings: Findings) -> None:
        def most(from_us: int, until_us: int) -> int:
            reserve = min(limits.reserve for limits in self._limits.between(from_us, until_us))
            return max(0, self._seats.most(from_us, until_us) - reserve)

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
        excess = Excess("over_limit", checked, what, self._plan.name)
        check_most(lives, most, least_ever, excess, operations, findings)

    def _check_barred(self, operation: Operation, findings: Findings) -> None:
        if operation.is_unknown:
            return
        possible = self._limits.between(operation.sent_us, operation.received_us)
        reasons = {self.barred(limits, operation.client) for limits in possible}
        if "" in reasons:
            return
        findings.checked[BARRED_TEXTS[max(reasons)]] += 1
        if operation.outcome == "granted":
            findings.add("over_limit", f"a client that is {max(reasons)} has a seat", operation)

    def _most(self, is_of: Callable[[str], bool]) -> MostHolders:
        may_hold = self._lives.may_hold().items()
        return MostHolders(spans for holder, spans in may_hold if is_of(self._lives.client_of(holder)))

    def _most_by(self, name_of: Callable[[str], str]) -> dict[str, MostHolders]:
        """The most holders for each name that `name_of` gives to their clients."""
        spans = defaultdict(list)
        for holder, of_holder in self._lives.may_hold().items():
            spans[name_of(self._lives.client_of(holder))].append(of_holder)
        return defaultdict(lambda: MostHolders(()), {name: MostHolders(of) for name, of in spans.items()})

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
        return self._most_by(self._user_of.__getitem__)

    @cached_property
    def _of_client(self) -> dict[str, MostHolders]:
        return self._most_by(str)


def limiting(plan: TenantPlan, lives: Lives, seats: Room, actions: Sequence[Action]) -> Limiting | None:
    """The options of a tenant's pool; None where it has none."""
    return None if plan.limits is None else Limiting(lives, plan.limits, seats, actions)


def check_counts(seen: Sample | Final, findings: Findings) -> None:
    """Check that the counters of options, and the lines, agree with the seats; they must at every moment."""
    for count in seen.counts:
        findings.checked["counts of options that are the seats counted"] += count.in_use == count.rows > 0
        if count.in_use != count.rows:
            text = f"{count.tenant}: {count.what} is {count.in_use}, and {count.rows} seats are counted so"
            findings.add("tables", text, *([seen] if isinstance(seen, Sample) else []))
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
