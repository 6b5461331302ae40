"""Checks the guards of signed pools: one holder of a seat number at a time, and no live token is refused.

A guard lets in another holder of a number if its token was issued at least one hold after the newest token of
the holder before, or if that holder made no call for one hold. So of two holders that were let in within one
hold, the later one must have had a token that is newer by the hold. At a hand-over, two APIs that share a
memory may differ for `overlap_s`.

A guard may refuse a live token only if it could reach no node: there was a fault, or its node left other
requests without an answer too, as on a busy machine. It may also refuse one for some seconds after the
installation of the licence that includes its number: a guard fetches the licences before it refuses a
request for lack of one, but at most every ten seconds.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from chaos.checks.findings import Findings
from chaos.checks.lives import Life, Lives
from chaos.checks.signed import Signed
from chaos.checks.times import ALLOWANCE_US, LATE_US, Faults, Spans
from chaos.history import ACCESS_TTL_S_MAX, UNKNOWN, Action, ApiPlan, Operation, RunPlan

SECOND_US = 1_000_000
OVER = "calls with the token of a session that was over, and that had to be refused"
OVER_JWT = "calls with a JWT that had expired, and that had to be refused"
REMEMBERED_US = 5 * SECOND_US  # how long a guard remembers an introspection at most
LOOK_AGAIN_US = 10 * SECOND_US
FETCH_US = 7 * SECOND_US  # until a guard whose request failed has tried again, with its time-out
CLOCKS_S = 300  # by how much two clocks may differ
LICENCE_REASONS = frozenset({"beyond_licence", "licence_over", "wrong_pool"})


class Entry(NamedTuple):
    """A call that was let in, or may have been."""

    holder: str
    issued_s: int
    api: int
    operation: Operation


def check_calls(  # noqa: PLR0917 - what all checks are given
    lives: Lives,
    signed: Signed,
    operations: Iterable[Operation],
    actions: Sequence[Action],
    run_plan: RunPlan,
    faults: Faults,
    findings: Findings,
) -> None:
    """Find calls that were let in beside another holder or after a logoff, and refusals of live tokens."""
    let_in: dict[tuple[int | str, int], list[Entry]] = defaultdict(list)
    refusals = _Refusals(lives, signed, actions, faults, findings, run_plan.nodes)
    for operation in operations:
        if operation.kind != "call" or (life := lives.by_sid.get(operation.sid)) is None:
            continue
        findings.checked["calls that were let in"] += operation.outcome == "let_in"
        if operation.outcome in {"let_in", UNKNOWN}:
            if life.number:
                group = _group(run_plan.apis, operation.node)
                entry = Entry(life.holder, operation.issued_ms // 1000, operation.node, operation)
                let_in[group, life.number].append(entry)
        else:
            refusals.check(operation, life)
        if operation.outcome != UNKNOWN:
            _must_not_be_over(lives, life, operation, findings)
    for (_, number), entries in sorted(let_in.items(), key=str):
        overlap_us = round(run_plan.apis[entries[0].api].overlap_s * SECOND_US)
        _check_number(lives, number, entries, overlap_us, findings)


def _group(apis: Sequence[ApiPlan], api: int) -> int | str:
    """The memory that an API shares with others, or its own number."""
    return apis[api].memory if apis[api].overlap_s else api


def _must_not_be_over(lives: Lives, life: Life, operation: Operation, findings: Findings) -> None:
    expired_us = operation.token_received_us + lives.plan.access_ttl_s * SECOND_US + ALLOWANCE_US
    # A guard lets in a JWT until it expires, as it does not learn of a logoff; it remembers introspections.
    ended_us = expired_us if lives.plan.is_jwt else life.ended_us + REMEMBERED_US + ALLOWANCE_US
    if operation.sent_us <= min(expired_us + (0 if lives.plan.is_jwt else REMEMBERED_US), ended_us):
        return
    if operation.outcome == "let_in":
        findings.add("undone_logoff", f"{life.sid} was let in, and is over", operation)
    findings.checked[OVER_JWT if lives.plan.is_jwt else OVER] += 1


class _Refusals:
    """Checks whether each refusal of a guard is allowed."""

    def __init__(  # noqa: PLR0917 - what all checks are given
        self,
        lives: Lives,
        signed: Signed,
        actions: Sequence[Action],
        faults: Faults,
        findings: Findings,
        nodes: int,
    ) -> None:
        self._nodes = nodes
        # A node that has not learned yet that a client is enabled again answers that its tokens are inactive.
        self._disabled = {
            it.client_id: Spans(
                [one for one in actions if one.client == it.client_id], "disable", "enable", faults
            )
            for it in lives.plan.clients
        }
        self._lives = lives
        self._signed = signed
        self._faults = faults
        self._findings = findings
        self._access_us = lives.plan.access_ttl_s * SECOND_US
        if lives.plan.is_jwt:  # whose end is a whole second
            self._access_us -= SECOND_US

    def check(self, operation: Operation, life: Life) -> None:
        """Check one refusal."""
        ran_out_us = operation.token_sent_us + self._access_us - ALLOWANCE_US
        must_live = life.must_live(operation.sent_us, operation.received_us)
        may_be_disabled = self._disabled[life.client].touch(operation.sent_us, operation.received_us)
        if not must_live or may_be_disabled or operation.received_us > ran_out_us:
            self._findings.checked["calls refused with a token that may be over"] += 1
            return
        match operation.outcome:
            case "unavailable" if self._is_broken(operation):
                self._findings.checked["calls refused as nobody could be asked"] += 1
            case reason if reason in LICENCE_REASONS and self._is_news(operation, life):
                self._findings.checked["calls refused within ten seconds of a licence"] += 1
            case outcome:
                self._findings.add(
                    "refused_live", f"{life.sid} must live, and was answered {outcome}", operation
                )

    def _is_broken(self, operation: Operation) -> bool:
        window = operation.sent_us - FETCH_US, operation.received_us
        node = operation.node % self._nodes  # as `chaos.site.apis` configures them
        return self._faults.touch(*window) or self._faults.was_silent(node, *window)

    def _is_news(self, operation: Operation, life: Life) -> bool:
        """Whether the guard may have fetched the licences before the one that includes this number."""
        known_us = operation.sent_us - LOOK_AGAIN_US - FETCH_US
        if self._faults.touch(known_us, operation.received_us):
            return True
        return not life.number or min(self._signed.between(known_us, operation.received_us)) < life.number


def _check_number(
    lives: Lives, number: int, entries: list[Entry], overlap_us: int, findings: Findings
) -> None:
    """Find two holders of a number within one hold, and more hand-overs than the bound allows."""
    hold_s = lives.plan.hold_s
    for before, then in beside(entries, hold_s, overlap_us=overlap_us, after_us=overlap_us):
        text = f"number {number} was {then.holder}'s beside {before.holder}"
        findings.add("two_holders", text, before.operation, then.operation)
    overs = hand_overs(entries)
    findings.checked["hand-overs of a number at a guard"] += max(0, len(overs) - 1)
    if (found := beyond_bound(overs, hold_s, ACCESS_TTL_S_MAX)) is not None:
        text = f"number {number} changed hands too often"
        findings.add("two_holders", text, *(it.operation for it in found))


def beside(
    entries: Sequence[Entry], hold_s: int, *, overlap_us: int, after_us: int
) -> Iterator[tuple[Entry, Entry]]:
    """Pairs of calls of different holders within one hold, the later one without a token newer by the hold.

    `entries` are the calls with one number at one memory, in the order in which they were sent. APIs of one
    memory may rely on what they remember for `overlap_us`. Pairs that are less than `after_us` apart are left
    out.
    """
    hold_us = hold_s * SECOND_US
    certain = _certain(entries)
    received = [it.operation.received_us for it in certain]
    own: dict[str, list[Entry]] = defaultdict(list)
    for it in entries:
        own[it.holder].append(it)
    for then in certain:
        first = bisect_left(received, then.operation.received_us - hold_us)
        for before in certain[first : bisect_left(received, then.operation.sent_us - after_us)]:
            is_within = before.operation.sent_us > then.operation.received_us - hold_us + overlap_us
            if before.holder == then.holder or not is_within:
                continue
            least_s = before.issued_s + hold_s
            took_over = _took_over(own[then.holder], before, then, least_s, overlap_us)
            if then.issued_s < least_s and not took_over:
                yield before, then


def hand_overs(entries: Sequence[Entry]) -> list[Entry]:
    """The first call of each holder of a number, where it certainly came after the holder before."""
    overs: list[Entry] = []
    for entry in _certain(entries):
        if not overs or (
            entry.holder != overs[-1].holder and entry.operation.sent_us > overs[-1].operation.received_us
        ):
            overs.append(entry)
    return overs


def beyond_bound(overs: Sequence[Entry], hold_s: int, access_ttl_s_max: int) -> tuple[Entry, Entry] | None:
    """Two calls W seconds apart with more than 1 + (2 W + access_ttl_max + 600) / hold hand-overs, if any."""
    least, least_at = 0.0, overs[0] if overs else None
    for at, entry in enumerate(overs):
        # By how many the hand-overs since `least_at` exceed two in each hold.
        above = at - 2 * entry.operation.received_us / SECOND_US / hold_s - least
        if least_at is not None and at and above > (access_ttl_s_max + 2 * CLOCKS_S) / hold_s:
            return least_at, entry
        own = at - 2 * entry.operation.sent_us / SECOND_US / hold_s
        if not at or own < least:
            least, least_at = own, entry
    return None


def _certain(entries: Sequence[Entry]) -> list[Entry]:
    """The calls that were answered, in the order of their answers."""
    answered = (it for it in entries if it.operation.received_us)
    return sorted(answered, key=lambda it: it.operation.received_us)


def _took_over(own: list[Entry], before: Entry, then: Entry, least_s: int, overlap_us: int) -> bool:
    """Whether a holder may have taken over the number between two calls, with a token that was new enough."""
    from_us, until_us = before.operation.sent_us - overlap_us, then.operation.received_us
    first = bisect_left(own, from_us - LATE_US, key=lambda it: it.operation.sent_us)
    for it in own[first:]:
        if it.operation.sent_us > until_us:
            break
        is_after = not it.operation.received_us or it.operation.received_us >= from_us
        if it.issued_s >= least_s and is_after:
            return True
    return False
