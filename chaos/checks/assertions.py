"""Checks that a signed assertion authenticates its client once, on all nodes together (RFC 7523 3).

Of all requests with one assertion at most one may be answered otherwise than with `invalid_client`: also a
denial, or the refusal of a token, tells that the client was authenticated. A request without an answer, or
with 503, may have used the assertion or not; one that was answered 429 has not.

A refusal has to have a cause: another request that may have used the assertion by then, or a client that may
have been disabled. A node that starts while it cannot read its store refuses what may have been used before
a restore: so for a while after its start a refusal says nothing, until it has accepted one.

That a refused request has no effect, is checked as for all requests: its session would be one that nobody
asked for, in the tables and in the journal. A request without an answer has no effect either if another one
has used its assertion, because it uses it in the same commit: the other checks are not shown it.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet

from chaos.checks.findings import Findings
from chaos.checks.times import Faults, Spans
from chaos.history import Action, Fault, Operation

USED = "assertions that were used"
AGAIN = "assertions that were sent again"
ACROSS = "assertions that were sent again, to another node"
REFUSED = "requests that had to be refused, as another one had used their assertion"
NEW = "assertions that had to be accepted, as nobody can have used them"
UNANSWERED = "assertions that were sent again, after a request without an answer"
IN_VAIN = "requests without an answer that had to have no effect, as another one used their assertion"
TOO_MANY = 429
STARTING = frozenset({"kill", "kill all", "replaced"})  # after these faults, nodes start
# For so long after its start a node may refuse new assertions: 60 s, by which clocks may differ, and a second
# for the start.
DOUBT_US = 61_000_000


def check_assertions(
    operations: Iterable[Operation],
    actions: Sequence[Action],
    struck: Iterable[Fault],
    faults: Faults,
    findings: Findings,
) -> None:
    """Find the assertions of one tenant that were accepted twice, or refused without a cause."""
    sent = _by_assertion(operations)
    doubt = _Doubt(struck, (it for requests in sent.values() for it in requests if _has_used(it)))
    checking = _Assertions(actions, doubt, faults, findings)
    findings.checked[USED] += 0  # so that a run shows when it has tried nothing
    findings.checked[AGAIN] += 0
    for requests in sent.values():
        checking.check(requests)


def not_in_vain(operations: Iterable[Operation], findings: Findings) -> list[Operation]:
    """The operations of a tenant that may have had an effect, and all that waited in line."""
    operations = [*operations]
    used = {key for key, requests in _by_assertion(operations).items() if any(map(_has_used, requests))}
    found = [it for it in operations if not _is_in_vain(it, used)]
    findings.checked[IN_VAIN] += len(operations) - len(found)
    return found


def _is_in_vain(operation: Operation, used: AbstractSet[tuple[str, str]]) -> bool:
    is_unknown = operation.is_unknown and not operation.wait_s
    return is_unknown and (operation.client, operation.assertion) in used


def _by_assertion(operations: Iterable[Operation]) -> dict[tuple[str, str], list[Operation]]:
    """The requests with each assertion, by client and identifier."""
    sent: dict[tuple[str, str], list[Operation]] = defaultdict(list)
    for operation in operations:
        if operation.assertion:
            sent[operation.client, operation.assertion].append(operation)
    return sent


class _Assertions:
    """Checks the assertions of one tenant."""

    def __init__(
        self, actions: Sequence[Action], doubt: "_Doubt", faults: Faults, findings: Findings
    ) -> None:
        self._findings = findings
        self._doubt = doubt
        of_client: dict[str, list[Action]] = defaultdict(list)
        for action in actions:
            of_client[action.client].append(action)
        self._may_be_disabled: Mapping[str, Spans] = {
            client: Spans(of_one, "disable", "enable", faults) for client, of_one in of_client.items()
        }

    def check(self, requests: Sequence[Operation]) -> None:
        """Check the requests with one assertion."""
        checked = self._findings.checked
        uses = [it for it in requests if _has_used(it)]
        checked[USED] += bool(uses)
        checked[AGAIN] += len(requests) > 1
        checked[UNANSWERED] += len(requests) > 1 and any(it.is_unknown for it in requests)
        checked[ACROSS] += len({it.node for it in requests}) > 1
        if len(uses) > 1:
            nodes = ", ".join(str(it.node) for it in uses)
            text = f"{requests[0].assertion} was accepted {len(uses)} times, by the nodes {nodes}"
            self._findings.add("used_twice", text, *requests)
        for request in requests:
            if _has_used(request) or _is_refused(request):
                self._check_one(request, requests)

    def _check_one(self, request: Operation, requests: Sequence[Operation]) -> None:
        """Count what had to be refused; find a refusal without a cause."""
        others = [it for it in requests if it is not request and _asked_us(it) <= request.received_us]
        checked = self._findings.checked
        checked[REFUSED] += any(_has_used(it) and it.received_us <= _asked_us(request) for it in others)
        if any(_may_have_used(it) or self._may_be_barred(it) for it in others):
            return
        if self._may_be_barred(request) or self._doubt.touches(request):
            return
        checked[NEW] += 1
        if _is_refused(request):
            text = "the client authenticated by an assertion that nobody can have used"
            self._findings.add("unexplained_refusal", text, *requests)

    def _may_be_barred(self, request: Operation) -> bool:
        """Whether the client may have been disabled: what is refused then may be used all the same."""
        spans = self._may_be_disabled.get(request.client)
        return spans is not None and spans.touch(_asked_us(request), request.received_us)


class _Doubt:
    """When a node may have taken its store for a restored one: from its start until it accepts a request."""

    def __init__(self, struck: Iterable[Fault], accepted: Iterable[Operation]) -> None:
        self._starts = [fault for fault in struck if fault.kind in STARTING]
        self._accepted: dict[int, list[Operation]] = defaultdict(list)
        for operation in accepted:
            self._accepted[operation.node].append(operation)
        self._until_us: dict[tuple[int, int], int] = {}  # by the number of the start, and the node

    def touches(self, request: Operation) -> bool:
        """Whether its node may have been in doubt during a request."""
        return any(
            fault.begun_us <= request.received_us
            and _asked_us(request) <= self._over_us(number, request.node)
            for number, fault in enumerate(self._starts)
            if request.node in fault.nodes or not fault.nodes
        )

    def _over_us(self, number: int, node: int) -> int:
        known_us = self._until_us.get((number, node))
        if known_us is None:
            started_us = self._starts[number].ended_us
            accepted = (it.received_us for it in self._accepted[node] if _asked_us(it) >= started_us)
            known_us = self._until_us[number, node] = min((started_us + DOUBT_US, *accepted))
        return known_us


def _asked_us(operation: Operation) -> int:
    """When a request was sent: one that waits in line uses its assertion then, and is decided later."""
    return operation.asked_us or operation.sent_us


def _is_refused(operation: Operation) -> bool:
    return operation.outcome == "invalid_client"


def _may_have_used(operation: Operation) -> bool:
    return operation.status != TOO_MANY and not _is_refused(operation)


def _has_used(operation: Operation) -> bool:
    """Whether the client was certainly authenticated."""
    return _may_have_used(operation) and not operation.is_unknown and operation.status < 500
