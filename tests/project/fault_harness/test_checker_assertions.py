"""The checker of the fault harness finds assertions that were accepted twice, or refused without a cause."""

from typing import Any

import pytest

from chaos.checks.assertions import ACROSS, AGAIN, IN_VAIN, NEW, REFUSED, USED
from chaos.checks.checker import check
from chaos.checks.findings import FindingKind
from chaos.history import Limits, Operation
from support.checked_history import CheckedHistory

LIMITS = Limits(reserve=0, max=0, max_per_user=0, excludes=False, queue=5)
ONE: dict[str, Any] = {"assertion": "one"}
REFUSED_ONE: dict[str, Any] = {"outcome": "invalid_client", "status": 401, **ONE}


def refuse(history: CheckedHistory, at_s: float, client: str = "a", **more: Any) -> Operation:
    """Add a grant that is refused as its assertion is not valid."""
    return history.ask(at_s, client, "grant", sid="", **{**REFUSED_ONE, **more})


def lose(history: CheckedHistory, at_s: float, outcome: str = "") -> None:
    """Add a grant without an answer, or with 503."""
    history.ask(at_s, "a", "grant", outcome, "", status=503 if outcome else 0, **ONE)


@pytest.mark.parametrize("at_s", [0.0, 0.005, 3.0])
@pytest.mark.parametrize("client", ["a", "b"])
def test_an_assertion_is_accepted_once(at_s: float, client: str) -> None:
    """RFC 7523 3: by whatever node, at whatever moment; another client's is another one."""
    history = CheckedHistory()
    history.grant(0, "a", **ONE)
    history.grant(at_s, client, node=1, **ONE)
    assert history.found() == ({"used_twice"} if client == "a" else set())


def test_whoever_is_answered_has_been_authenticated() -> None:
    """Also by a denial, or by the refusal of a token."""
    denied = CheckedHistory()
    denied.grant(0, "a", licensed=False, **ONE)
    sids = [denied.grant(0, client) for client in "cd"]
    denied.deny(1, "a", status=400, **ONE)
    assert denied.found() == {"used_twice"}
    ended = CheckedHistory()
    sid = ended.grant(0, "a")
    ended.log_off(1, "a", sid)
    ended.grant(2, "a", **ONE)
    ended.ask(3, "a", "refresh", "invalid_grant", sid, status=400, **ONE)
    assert ended.found() == {"used_twice"}
    assert len(sids) == 2


def test_one_of_two_is_refused() -> None:
    """Whichever came first."""
    for first, second in ((0, 1), (1, 0)):
        history = CheckedHistory()
        history.grant(first / 1000, "a", **ONE)
        refuse(history, second / 1000)
        assert history.found() == set()


@pytest.mark.parametrize("outcome", ["", "unavailable"])
@pytest.mark.parametrize("is_granted", [True, False])
def test_without_an_answer_an_assertion_may_have_been_used_or_not(outcome: str, is_granted: bool) -> None:
    """So the next request with it may be granted or refused; but only one of those that are answered."""
    history = CheckedHistory()
    lose(history, 0, outcome)
    if is_granted:
        history.grant(1, "a", **ONE)
    else:
        refuse(history, 1)
    lose(history, 2, outcome)
    refuse(history, 3)
    assert history.found() == set()
    if is_granted:
        history.grant(4, "a", **ONE)
        assert history.found() == {"used_twice"}


def test_too_many_requests_neither_use_an_assertion_nor_hide_that_it_was_used() -> None:
    """429: nothing was checked. The limits of the nodes are such that none is expected."""
    history = CheckedHistory()
    history.grant(0, "a", **ONE)
    history.ask(1, "a", "grant", "rate_limited", "", status=429, **ONE)
    assert history.found() == {"unexplained_refusal"}
    history.grant(2, "a", **ONE)
    assert history.found() == {"unexplained_refusal", "used_twice"}
    unused = CheckedHistory()
    unused.ask(0, "a", "grant", "rate_limited", "", status=429, **ONE)
    refuse(unused, 1)
    assert check(unused.records).findings.count["unexplained_refusal"] == 2


def test_a_new_assertion_is_accepted() -> None:
    """A refusal needs another request before it, which was answered otherwise or not at all."""
    for after_s in (None, 1):
        history = CheckedHistory()
        refuse(history, 0)
        if after_s is not None:
            history.grant(after_s, "a", **ONE)
        assert history.found() == {"unexplained_refusal"}


def test_a_request_that_waits_in_line_uses_its_assertion_when_it_is_sent() -> None:
    """L19: it is decided later, and another request may be refused before."""
    history = CheckedHistory(limits=LIMITS)
    history.grant(0, "c", licensed=False)
    history.grant(1, "a", took_s=3, wait_s=8, queue=True, **ONE)
    refuse(history, 1.01)
    assert history.found() == set()


def test_a_removed_secret_explains_no_refusal_of_an_assertion() -> None:
    """A client with a key does without."""
    history = CheckedHistory()
    history.act(0, "take_secret", "a")
    refuse(history, 1)
    assert history.found() == {"unexplained_refusal"}


def test_a_client_that_is_disabled_is_refused() -> None:
    """Also later: the assertion of a client that is disabled at that moment counts as used."""
    history = CheckedHistory()
    history.act(0, "disable", "a")
    refuse(history, 1)
    history.act(2, "enable", "a")
    refuse(history, 8)
    assert history.found() == set()


@pytest.mark.parametrize(
    ("at_s", "node", "found"),
    [
        (3, 0, set[FindingKind]()),
        (50, 0, set[FindingKind]()),
        (70, 0, {"unexplained_refusal"}),
        (50, 1, {"unexplained_refusal"}),
    ],
)
def test_a_node_that_has_just_started_may_refuse_until_it_accepts_one(
    at_s: float, node: int, found: set[FindingKind]
) -> None:
    """What may have been used before a restore is refused, if the store could not say whether it was."""
    history = CheckedHistory()
    history.fault(1, 2)
    history.grant(10, "c", node=1, assertion="another")
    refuse(history, at_s, node=node)
    assert history.found() == found


def test_a_request_that_was_refused_has_no_session() -> None:
    """It would be one that nobody asked for."""
    history = CheckedHistory()
    history.grant(0, "a", licensed=False, **ONE)
    refuse(history, 1)
    sid = history.records[1].sid  # type: ignore[union-attr]
    journal = [("a", "granted", 2)]
    history.end(5, [(sid, "a", "", 10), ("ghost", "a", "client:a", 11)], journal)
    assert history.found() == {"tables"}


@pytest.mark.parametrize("is_used", [True, False])
def test_a_request_without_an_answer_has_no_session_if_another_has_used_its_assertion(is_used: bool) -> None:
    """It would have used it in the same commit."""
    history = CheckedHistory()
    lose(history, 0)
    sid = history.grant(1, "a", **(ONE if is_used else {"assertion": "another"}))
    journal = [("a", "granted", 2)]
    history.end(5, [(sid, "a", "client:a", 11), ("lost", "a", "client:a", 10)], journal)
    assert history.found() == ({"tables"} if is_used else set())
    assert check(history.records).findings.checked[IN_VAIN] == is_used


def test_a_run_says_how_much_was_tried() -> None:
    """Otherwise a run without clients that have keys would look like a good one."""
    history = CheckedHistory()
    assert {USED, AGAIN} <= check(history.records).findings.checked.keys()
    history.grant(0, "a", **ONE)
    refuse(history, 1, node=1)
    history.grant(2, "a", assertion="two")
    checked = check(history.records).findings.checked
    assert {what: checked[what] for what in (USED, AGAIN, ACROSS, REFUSED, NEW)} == {
        USED: 2,
        AGAIN: 1,
        ACROSS: 1,
        REFUSED: 1,
        NEW: 2,
    }
