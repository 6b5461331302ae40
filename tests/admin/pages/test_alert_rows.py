"""The alerts of a pool as one row: what is worst, what else there is, and who it was reported to."""

from typing import Any

import pytest

from licet.admin.pages.alert_rows import OTHERS_MAX, alert_rows, of_pools
from licet.alerts.notices import LICENCE_EXPIRED, LICENCE_EXPIRES, OVERDRAFT, QUEUE_FULL
from licet.alerts.raised import Raised
from licet.model import DENIED, EXPIRES, SHARED

NOW_MS = 1_700_000_000_000
DAY_MS = 86_400_000


def alert(threshold: str, **more: Any) -> Raised:
    """One of the pool `full`, of which 7 of 8 seats are in use; it was reported a second ago."""
    fields: dict[str, Any] = {
        "tenant": "Jim_Test",
        "pool": "full",
        "raised_at_ms": NOW_MS - 60_000,
        "told_at_ms": NOW_MS - 1000,
        "seats": 8,
        "in_use": 7,
        "threshold": threshold,
    }
    return Raised(**(fields | more))


def test_twelve_alerts_of_three_pools_are_three_rows() -> None:
    found = [
        alert(kind, pool=pool) for pool in ("full", "stock", "mobile") for kind in ("80", "90", "100", DENIED)
    ]
    rows = alert_rows(found, NOW_MS)
    assert [(row.pool, row.main.text) for row in rows] == [
        (pool, "a seat was denied") for pool in ("full", "stock", "mobile")
    ]
    assert [[line.text for line in row.others] for row in rows] == [["100 % reached"]] * 3
    assert of_pools(rows) == "3 pools have an alert"
    assert of_pools(rows[:1]) == "1 pool has an alert"


def test_pools_of_one_name_in_two_tenants_are_two_rows() -> None:
    assert len(alert_rows([alert("80"), alert("80", tenant="Other")], NOW_MS)) == 2


@pytest.mark.parametrize(
    ("kinds", "text"),
    [
        (("100", DENIED), "a seat was denied"),
        (("80", "100"), "100 % reached"),
        (("90", OVERDRAFT), "overdraft in use"),
        (("90", QUEUE_FULL), "the queue is full"),
        (("100", QUEUE_FULL), "100 % reached"),
        ((DENIED, LICENCE_EXPIRED), "licence expired"),
        (("100", LICENCE_EXPIRES), "100 % reached"),
    ],
)
def test_what_is_worst_stands_first(kinds: tuple[str, ...], text: str) -> None:
    assert alert_rows([alert(kind) for kind in kinds], NOW_MS)[0].main.text == text


@pytest.mark.parametrize(("ends_in_ms", "text"), [(-1, "licence expired"), (1, "a seat was denied")])
def test_an_end_that_has_come_is_worse_than_a_denial(ends_in_ms: int, text: str) -> None:
    row = alert_rows([alert(DENIED), alert(EXPIRES, expires_at_ms=NOW_MS + ends_in_ms)], NOW_MS)[0]
    assert row.main.text == text


def test_a_percentage_that_is_no_longer_reached_says_when_its_alert_ends() -> None:
    """100 per cent stand beside 7 of 8 seats."""
    main = alert_rows([alert("100")], NOW_MS)[0].main
    assert (main.text, main.note) == (
        "100 % reached",
        "less is in use now: ends when use was below 95 % for 10 minutes",
    )
    assert alert_rows([alert("100", in_use=8)], NOW_MS)[0].main.note == ""
    assert alert_rows([alert("80")], NOW_MS)[0].main.note == ""
    low = alert_rows([alert("5", in_use=0)], NOW_MS)[0].main.note
    assert low == "less is in use now: ends when no seat was in use for 10 minutes"


def test_very_many_shared_seats_are_a_few_lines_and_their_number() -> None:
    found = [alert(SHARED, client_id=f"Client{number}", addresses=6) for number in range(30)]
    row = alert_rows([*found, alert("80")], NOW_MS)[0]
    assert row.main.text == "80 % reached"
    assert (len(row.others), row.more) == (OTHERS_MAX, 30 - OTHERS_MAX)
    assert row.others[0].text == "Client0: used from 6 addresses in a day"


def test_what_nobody_received_was_reported_to_nobody() -> None:
    """A message of another tenant, or of another moment, is none of this alert."""
    messages = {("Other", NOW_MS - 1000), ("Jim_Test", NOW_MS - 2000)}
    row = alert_rows([alert("100")], NOW_MS, messages)[0]
    assert (row.reported, row.reported_at_ms) == ("never", None)
    long_ago = alert_rows([alert("100", told_at_ms=NOW_MS - 2 * DAY_MS)], NOW_MS)[0]
    assert long_ago.reported == "unknown"
    assert alert_rows([alert("100", told_at_ms=None)], NOW_MS)[0].reported == "not yet"
    there = alert_rows([alert("100")], NOW_MS, messages | {("Jim_Test", NOW_MS - 1000)})[0]
    assert (there.reported, there.reported_at_ms) == ("at", NOW_MS - 1000)
