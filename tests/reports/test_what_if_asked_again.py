"""A replay asks the ledger once until a seat comes back, and finds what it would find by asking each time."""

from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from licet.ledger.rules import apply
from licet.model import Duplicates, EndReason, Group
from licet.reports.what_if import replay as module
from licet.reports.what_if.replay import Replayed, Rules, Setup, replay
from licet.reports.what_if.visits import Visit

MINUTE_MS = 60_000
DAY_MS = 24 * 60 * MINUTE_MS
USERS = {"Ann1": "ANN", "Ann2": "ANN", "Ben": "BEN", "Cy1": "CY", "Cy2": "CY", "Dee": "DEE", "Eve": "EVE"}
GROUPS = {"sales": Group(name="sales", users=frozenset({"ANN", "EVE"}))}
RULES = [
    Rules(),
    Rules(exclude=("user:BEN",)),
    Rules(include=("group:sales", "user:CY")),
    Rules(max=("1:group:sales", "1:client:Cy1")),
    Rules(reserve=("1:user:DEE", "1:group:sales")),
    Rules(max_per_user=1),
    Rules(max_per_client=1, reserve=("1:user:BEN",)),
]


def setup(**changes: Any) -> Setup:
    """One seat for each client, and nothing else."""
    usual = {"overdraft": 0, "hold_s": 0, "session_ttl_s": 1200, "duplicates": Duplicates.CLIENT}
    return Setup(**{"seats": 1, **usual, **changes})


def found(visits: list[Visit], by: Setup) -> Replayed:
    """The replay of a day."""
    return replay(visits, by, recorded_ttl_s=1200, until_ms=DAY_MS, groups=GROUPS)


@st.composite
def some_visits(draw: st.DrawFn) -> list[Visit]:
    """Visits of some clients in one hour, as a journal has them."""
    visits = []
    for _ in range(draw(st.integers(3, 25))):
        client_id = draw(st.sampled_from(sorted(USERS)))
        times = sorted(draw(st.lists(st.integers(1, 60), min_size=2, max_size=4, unique=True)))
        *denied, granted, ended = (it * MINUTE_MS for it in times)
        reason = draw(st.sampled_from([EndReason.LOGOFF, EndReason.EXPIRED]))
        is_served = draw(st.booleans()) or not denied
        visits.append(
            Visit(client_id, USERS[client_id], tuple(denied), granted, ended, reason)
            if is_served
            else Visit(client_id, USERS[client_id], tuple(denied), None, None)
        )
    return sorted(visits, key=lambda visit: visit.begins_at_ms)


@given(
    visits=some_visits(),
    by=st.builds(
        setup,
        seats=st.integers(2, 4),
        overdraft=st.integers(0, 1),
        hold_s=st.sampled_from([0, 300]),
        session_ttl_s=st.sampled_from([300, 1200]),
        duplicates=st.sampled_from(Duplicates),
        rules=st.sampled_from(RULES),
    ),
)
def test_a_denial_that_stands_is_what_the_ledger_would_say_again(visits: list[Visit], by: Setup) -> None:
    by_standing = found(visits, by)
    with patch.object(module._Replay, "_has_seat", return_value=True):
        assert found(visits, by) == by_standing
    event(f"denied: {by_standing.wants > 0}, served later: {by_standing.served > 0}")


def test_the_ledger_is_asked_once_for_all_who_are_denied_until_a_seat_comes_back() -> None:
    """Ann has the seat for a quarter of an hour; the others ask every minute."""
    held = Visit("Ann1", "ANN", (), MINUTE_MS, 16 * MINUTE_MS, EndReason.LOGOFF)
    others = [
        Visit(it, USERS[it], (), (2 + number) * MINUTE_MS, 60 * MINUTE_MS, EndReason.LOGOFF)
        for number, it in enumerate(["Ben", "Cy1", "Dee"])
    ]
    with patch.object(module, "apply", side_effect=apply) as asked:
        replayed = found([held, *others], setup())
    assert (replayed.grants, replayed.wants, replayed.served) == (2, 3, 1)
    # Two grants, two ends, and a denial while each of the two has the seat.
    assert asked.call_count == 6


@pytest.mark.parametrize("duplicates", [Duplicates.CLIENT, Duplicates.USER])
def test_who_shares_a_seat_is_asked_for_where_all_others_are_denied(duplicates: Duplicates) -> None:
    ended = 50 * MINUTE_MS
    visits = [
        Visit("Ann1", "ANN", (), MINUTE_MS, ended, EndReason.LOGOFF),
        Visit("Ben", "BEN", (), 2 * MINUTE_MS, ended, EndReason.LOGOFF),
        Visit("Ann2", "ANN", (), 3 * MINUTE_MS, ended, EndReason.LOGOFF),
        Visit("Ann1", "ANN", (), 4 * MINUTE_MS, ended, EndReason.LOGOFF),
    ]
    replayed = found(visits, setup(duplicates=duplicates))
    assert replayed.grants == (3 if duplicates is Duplicates.USER else 2)


def test_a_client_with_as_many_sessions_as_it_may_have_gives_a_seat_back_with_the_oldest() -> None:
    """Also where the pool counts each session, and somebody was denied before."""
    of_ann = [
        Visit("Ann1", "ANN", (), number + 1, 59 * MINUTE_MS, EndReason.LOGOFF) for number in range(1000)
    ]
    visits = [
        *of_ann,
        Visit("Ben", "BEN", (), 2 * MINUTE_MS, 3 * MINUTE_MS, EndReason.LOGOFF),
        Visit("Ann1", "ANN", (), 4 * MINUTE_MS, 59 * MINUTE_MS, EndReason.LOGOFF),
    ]
    replayed = found(visits, setup(seats=1000, duplicates=Duplicates.NONE))
    assert (replayed.grants, replayed.turned_away) == (1001, 1)
