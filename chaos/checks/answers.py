"""Checks each answer against the sessions: a live token is active, an ended one is not, an error has a cause.

Operations are read in the order in which they were sent, because a later one cannot have renewed a session
for an earlier one.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from chaos.checks.findings import FindingKind, Findings
from chaos.checks.holders import DENIALS
from chaos.checks.lives import Life, Lives
from chaos.checks.times import ALLOWANCE_US, Disabled, Faults, Spans
from chaos.history import Action, Operation


class _Client:
    """When the requests of a client may be refused, and when they must be."""

    def __init__(self, actions: Sequence[Action], faults: Faults) -> None:
        self.may_be_disabled = Spans(actions, "disable", "enable", faults)
        self.may_lack_secret = Spans(actions, "take_secret", "give_secret", faults)
        self.is_disabled = Disabled(actions)


def check_answers(
    lives: Lives,
    operations: Iterable[Operation],
    actions: Sequence[Action],
    faults: Faults,
    findings: Findings,
) -> None:
    """Find the answers that cannot be correct."""
    checking = _Answers(lives, actions, faults, findings)
    for operation in operations:
        if not operation.is_unknown:
            checking.check(operation)
        elif operation.kind == "refresh":
            checking.may_renew(operation, faults.late_us(operation.sent_us))


class _Answers:
    """Checks the answers of one tenant, in the order in which the requests were sent."""

    def __init__(self, lives: Lives, actions: Sequence[Action], faults: Faults, findings: Findings) -> None:
        self._lives = lives
        self._access_us = lives.plan.access_ttl_s * 1_000_000
        self._sooner_us = 1_000_000 if lives.plan.is_jwt else 0  # the end of a JWT is a whole second
        self._findings = findings
        self._renewed_by_us: dict[str, int] = {}
        self._released: dict[str, Operation] = {}
        of_client: dict[str, list[Action]] = defaultdict(list)
        for action in actions:
            of_client[action.client].append(action)
        self._clients = {
            client.client_id: _Client(of_client[client.client_id], faults) for client in lives.plan.clients
        }

    def check(self, operation: Operation) -> None:
        """Check an operation that was answered."""
        if operation.outcome == "invalid_client":
            self._check_refusal(operation)
        elif operation.kind == "grant":
            self._check_grant(operation)
        elif (life := self._lives.by_sid.get(operation.sid)) is not None:
            match operation.kind:
                case "refresh":
                    self._check_refresh(operation, life)
                case "introspect":
                    self._check_introspection(operation, life)
                case "call":  # `guards.py` checks it
                    pass
                case _:
                    self._check_ending(operation, life)

    def may_renew(self, operation: Operation, by_us: int) -> None:
        """Note an operation that may have renewed its session, at `by_us` at the latest."""
        known_us = self._renewed_by_us.get(operation.sid, 0)
        self._renewed_by_us[operation.sid] = max(known_us, by_us)

    def _check_grant(self, operation: Operation) -> None:
        match operation.outcome:
            case "granted":
                self.may_renew(operation, operation.received_us)
                if self._clients[operation.client].is_disabled.cover(
                    operation.sent_us, operation.received_us
                ):
                    self._findings.add("undone_logoff", "a client that is disabled was granted", operation)
            case outcome if outcome not in DENIALS:
                self._findings.add("unexplained_refusal", outcome, operation)

    def _check_refresh(self, operation: Operation, life: Life) -> None:
        must_live = life.must_live(operation.sent_us, operation.received_us)
        self._findings.checked["refreshes that had to be granted"] += must_live
        match operation.outcome:
            case "granted":
                self._must_not_be_over(operation, life)
                self.may_renew(operation, operation.received_us)
            case "invalid_grant":
                self._must_be_over(operation, life)
                if must_live:
                    self._findings.add("lost_refresh", f"{life.sid} must live", operation)
            case "another_session":
                self._findings.add("doubled", "a refresh made another session", operation)
            case outcome:
                kind: FindingKind = "lost_refresh" if outcome in DENIALS else "unexplained_refusal"
                self._findings.add(kind, f"a refresh was answered {outcome}", operation)

    def _check_introspection(self, operation: Operation, life: Life) -> None:
        must_live = life.must_live(operation.sent_us, operation.received_us)
        must_live = must_live and not self._may_have_expired(operation)
        self._findings.checked["introspections that had to be active"] += must_live
        if operation.outcome == "active":
            self._must_not_be_over(operation, life)
            if operation.token_sent_us:
                ran_out_us = operation.token_received_us + self._access_us + ALLOWANCE_US
                if operation.sent_us > ran_out_us:
                    self._findings.add("undone_logoff", "the access token has expired (L3)", operation)
        elif operation.outcome != "inactive":
            self._findings.add("unexplained_refusal", operation.outcome, operation)
        elif must_live:
            disabled = self._clients[life.client].may_be_disabled
            if not disabled.touch(operation.sent_us, operation.received_us):
                self._findings.add("lost_grant", f"{life.sid} must live", operation)
        else:
            self._must_be_over(operation, life)

    def _check_ending(self, operation: Operation, life: Life) -> None:
        if operation.outcome not in {"logged_off", "revoked"}:
            if operation.outcome == "invalid_token" and self._may_have_expired(operation):
                return
            self._findings.add("unexplained_refusal", operation.outcome, operation)
        elif operation.released:
            if (before := self._released.get(life.sid)) is not None:
                self._findings.add("doubled", "its seat was given back twice", before, operation)
            elif not life.holder:
                self._findings.add("doubled", "it had no seat to give back", operation)
            self._released[life.sid] = operation

    def _check_refusal(self, operation: Operation) -> None:
        if operation.assertion:  # `assertions.py` checks it
            return
        client = self._clients[operation.client]
        window = operation.sent_us, operation.received_us
        if operation.kind != "introspect" and (
            client.may_be_disabled.touch(*window) or client.may_lack_secret.touch(*window)
        ):
            return
        self._findings.add("unexplained_refusal", "the client authenticated", operation)

    def _must_be_over(self, operation: Operation, life: Life) -> None:
        """Count an answer that only a session that is over can get."""
        is_over = operation.sent_us > min(life.ended_us, life.may_until_us)
        self._findings.checked["sessions that had to be over"] += is_over

    def _must_not_be_over(self, operation: Operation, life: Life) -> None:
        renewed_us = self._renewed_by_us.get(life.sid, life.received_us)
        over_us = min(life.ended_us, renewed_us + life.ttl_us + ALLOWANCE_US)
        if operation.sent_us > over_us:
            why = "it was ended" if over_us == life.ended_us else "it has expired"
            self._findings.add("undone_logoff", f"{life.sid} lives, and {why} by {over_us}", operation)

    def _may_have_expired(self, operation: Operation) -> bool:
        """Whether the access token that was sent may have expired."""
        ran_out_us = operation.token_sent_us + self._access_us - self._sooner_us - ALLOWANCE_US
        return bool(operation.token_sent_us) and operation.received_us > ran_out_us
