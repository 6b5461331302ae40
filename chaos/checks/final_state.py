"""Compares the tables after the end of the load with each other, and with all answers (L4, L6, L9, L11)."""

from collections import Counter
from collections.abc import Iterable

from chaos.checks.findings import Findings
from chaos.checks.holders import DENIALS
from chaos.checks.lives import Lives
from chaos.checks.numbers import check_numbers_at_the_end
from chaos.checks.signed import Room
from chaos.checks.times import ALLOWANCE_US
from chaos.history import FOREVER, Final, Operation, PoolRow, Sample, SessionRow, TenantPlan

GIVEN_BACK = "seats that were certainly given to clients that had left, and given back"


def check_sample(pools: Iterable[PoolRow], seen: Sample | Final, findings: Findings) -> None:
    """Check that the counters of the pools agree with their rows; they must at every moment."""
    for pool in pools:
        if pool.in_use != pool.rows:
            text = f"{pool.tenant}: in_use is {pool.in_use}, and there are {pool.rows} seats"
            findings.add("tables", text, *([seen] if isinstance(seen, Sample) else []))
        if pool.in_use > pool.seats + pool.overuse:
            findings.add("tables", f"{pool.tenant}: {pool}")


def check_final(
    lives: Lives, seats: Room, operations: Iterable[Operation], final: Final, findings: Findings
) -> None:
    """Check the tables of one tenant."""
    name = lives.plan.name
    pools = [pool for pool in final.pools if pool.tenant == name]
    check_sample(pools, final, findings)
    for pool in pools:
        if pool.minute_in_use != pool.in_use:
            text = f"{name}: usage says {pool.minute_in_use} in use, and the pool {pool.in_use}"
            findings.add("tables", text)
        if pool.minute_peak > seats.most_ever:
            findings.add("tables", f"{name}: usage has a peak of {pool.minute_peak}")
        if not seats.may_be_set(pool.seats, final.begun_us, final.ended_us):
            findings.add("tables", f"{name}: there are {pool.seats} seats")
    sessions = [row for row in final.sessions if row.tenant == name]
    plan = lives.plan
    known_us = (plan.hold_s + plan.session_ttl_s) * 1_000_000 + ALLOWANCE_US
    if not seats.may_cut(final.begun_us - known_us):
        _check_seats(plan, sessions, final, findings)
    if plan.signed:
        check_numbers_at_the_end(lives, final, findings)
    _check_sessions(lives, sessions, final, findings)
    _check_journal(lives, operations, sessions, final, findings)


def _check_seats(plan: TenantPlan, sessions: Iterable[SessionRow], final: Final, findings: Findings) -> None:
    """Check that a seat is held until its last session and its hold are over, and no longer (L4, L18).

    In a pool without a hold, the row of a seat may have an earlier expiry than its sessions, but must exist.
    """
    name, until_ms = plan.name, dict[str, int]()
    is_exact = bool(plan.hold_s or plan.signed)
    for seat in final.seats if plan.hold_s else ():
        held_ms = seat.issued_at_ms + plan.hold_s * 1000
        if seat.tenant == name and held_ms > final.now_ms:
            until_ms[seat.holder] = held_ms
    for row in sessions:
        if row.holder and row.expires_at_ms > final.now_ms:
            until_ms[row.holder] = max(until_ms.get(row.holder, 0), row.expires_at_ms)
    seats = {
        row.holder: row.expires_at_ms
        for row in final.seats
        if row.tenant == name and (row.expires_at_ms > final.now_ms or row.holder in until_ms)
    }
    for holder in sorted(until_ms.keys() | seats.keys()):
        last_ms, row_ms = until_ms.get(holder), seats.get(holder)
        is_behind = not is_exact and last_ms is not None and row_ms is not None and row_ms < last_ms
        if last_ms != row_ms and not is_behind:
            text = f"{holder} has sessions until {until_ms.get(holder)}, a seat until {seats.get(holder)}"
            findings.add("tables", f"{name}: {text}")


def _check_sessions(lives: Lives, sessions: Iterable[SessionRow], final: Final, findings: Findings) -> None:
    """Check that sessions that must live are in the tables, and that ended ones are not (L9)."""
    live = {row.sid: row for row in sessions if row.expires_at_ms > final.now_ms}
    for life in lives.by_sid.values():
        if life.sid not in live:
            if life.must_live(final.begun_us, final.ended_us):
                findings.add("lost_grant", f"{life.sid} of {life.client} must be in the tables")
        elif life.ended_us < final.begun_us:
            findings.add("undone_logoff", f"{life.sid} of {life.client} was ended, and is in the tables")
        elif life.holder != live[life.sid].holder:
            findings.add("tables", f"{life.sid} holds for {live[life.sid].holder}, not for {life.holder}")
    unanswered = Counter(client for _, _, client, _ in lives.unanswered)
    strange = Counter(row.client for sid, row in live.items() if sid not in lives.by_sid)
    for client, count in strange.items():
        if count > unanswered[client]:
            findings.add("tables", f"{client} has {count} sessions that nobody asked for")


def _answered(operations: Iterable[Operation]) -> Counter[tuple[str, str]]:
    """The number of grants and denials that each client was answered."""
    answered: Counter[tuple[str, str]] = Counter()
    for operation in operations:
        if operation.kind == "grant" and operation.outcome == "granted":
            answered[operation.client, "granted"] += 1
        elif operation.kind == "grant" and operation.outcome in DENIALS:
            answered[operation.client, "denied"] += 1
    return answered


def _check_journal(
    lives: Lives,
    operations: Iterable[Operation],
    sessions: Iterable[SessionRow],
    final: Final,
    findings: Findings,
) -> None:
    """Check that the journal has every grant, denial and ending once (L11)."""
    written: Counter[tuple[str, str]] = Counter()
    for row in final.journal:
        if row.tenant == lives.plan.name:
            written[row.client, row.kind] += row.times
    operations = tuple(operations)
    answered = _answered(operations)
    # A request that waits in line may be denied several times before it is answered.
    waited = {operation.client for operation in operations if operation.wait_s}
    unanswered = Counter(client for _, _, client, _ in lives.unanswered)
    given_back = Counter(client for _, _, client in lives.given_back)
    rows = Counter(row.client for row in sessions)
    for client in (it.client_id for it in lives.plan.clients):
        for kind in ("granted", "denied"):
            least, most = answered[client, kind], answered[client, kind] + unanswered[client]
            if kind == "denied" and client in waited:
                most = FOREVER
            if kind == "granted":
                most += given_back[client]
                more = written[client, kind] - least - unanswered[client]
                findings.checked[GIVEN_BACK] += max(0, more)
            if not least <= written[client, kind] <= most:
                text = f"{client}: {least} to {most} {kind}, {written[client, kind]} in the journal"
                findings.add("tables", text)
        left = written[client, "granted"] - written[client, "ended"]
        if left != rows[client]:
            text = f"{client}: {left} more granted than ended, and {rows[client]} rows"
            findings.add("tables", text)
