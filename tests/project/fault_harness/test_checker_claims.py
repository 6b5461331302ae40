"""The checker of the fault harness finds JWTs that do not say what was decided, or that are over."""

from typing import Any

import pytest
from msgspec.structs import replace

from chaos.checks.findings import FindingKind
from chaos.history import POOL, ApiPlan, Claims
from support.checked_history import ACCESS_S, CheckedHistory

SAID = Claims(
    client="a",
    user="AB",
    scope="view all",
    pool=POOL,
    counted_for="client",
    number=1,
    iat=1000,
    exp=1000 + ACCESS_S,
)
VIEW = replace(SAID, scope="view", pool="", counted_for="", number=0)


@pytest.mark.parametrize(
    ("said", "licensed", "is_true"),
    [
        ({}, True, True),
        ({"exp": 1001}, True, True),
        ({"client": "b"}, True, False),
        ({"user": "CC"}, True, False),
        ({"scope": "view"}, True, False),
        ({"pool": ""}, True, False),
        ({"pool": "other"}, True, False),
        ({"counted_for": "user"}, True, False),
        ({"counted_for": ""}, True, False),
        ({"number": 0}, True, False),
        ({"exp": 1000 + ACCESS_S + 1}, True, False),
        ({"exp": 999}, True, False),
        ({}, False, False),
    ],
)
def test_a_token_says_what_was_decided(said: dict[str, Any], licensed: bool, is_true: bool) -> None:
    """L13, L18: an API that asks nobody has nothing else to go by."""
    history = CheckedHistory(signed=2, is_jwt=True)
    history.grant(0, "a", licensed=licensed, number=1 if licensed else 0, claims=replace(SAID, **said))
    assert history.found() == (set() if is_true else {"false_token"})


def test_a_token_without_a_seat_names_none() -> None:
    """L1."""
    for claims, found in ((VIEW, set[FindingKind]()), (replace(VIEW, number=1), {"false_token"})):
        history = CheckedHistory(signed=2, is_jwt=True)
        history.grant(0, "a", licensed=False, claims=claims)
        assert history.found() == found


@pytest.mark.parametrize(
    ("at_s", "outcome", "found"),
    [
        (4, "let_in", set()),
        (5.5, "let_in", {"undone_logoff"}),
        (5.5, "invalid_token", set()),
    ],
)
def test_a_token_that_is_over_is_refused(at_s: float, outcome: str, found: set[FindingKind]) -> None:
    """It is good for five seconds, whatever became of its session; and no longer."""
    history = CheckedHistory(signed=2, is_jwt=True, hold_s=5, apis=[ApiPlan(memory="one")])
    sid = history.grant(0, "a", number=1, claims=SAID)
    history.log_off(1, "a", sid)
    history.call(at_s, "a", sid, outcome)
    assert history.found() == found
