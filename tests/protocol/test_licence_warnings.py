"""What a token answer says of the licence: L13, L14, at each moment of a licence's life."""

from typing import Any

import pytest
from msgspec.structs import replace

from licet.ledger.commands import Granted
from licet.licences.licence import SignedLicence
from licet.licences.steps import signed_seats
from licet.model import SEATS_MAX, Session
from licet.protocol.licence_warnings import licence_members
from support.examples import FULL, jim_test, sid
from support.licences.licences import licence

DAY_S = 86_400
SESSION = Session(
    sid=sid(1),
    tenant_id=1,
    client_key=1,
    scope="all",
    pool_id=1,
    holder="client:TestClientId",
    started_at_ms=0,
    renewed_at_ms=0,
    expires_at_ms=1_200_000,
    address="192.0.2.1",
)
GRANTED = Granted(session=SESSION, may_refresh=True, scope="all", at_ms=0, access_expires_at_ms=600_000)
YEAR = licence(ends_s=365 * DAY_S, grace_s=14 * DAY_S)
ENDS, OVER = "1971-01-01T00:00:00Z", "1971-01-15T00:00:00Z"


def said(days: float, *licences: SignedLicence, number: int = 1, seats: int = SEATS_MAX) -> dict[str, Any]:
    """What a token answer after so many days says, for the seat of this number."""
    pool = replace(FULL, seats=seats, signed=signed_seats(licences, "full"))
    granted: Granted = replace(GRANTED, at_ms=int(days * DAY_S * 1000), seat_number=number)
    return licence_members(granted, jim_test(pools=(pool,)))


@pytest.mark.parametrize(
    ("days", "expected"),
    [
        (334.9, {}),
        (335, {"licence_expires_at": ENDS, "warnings": ["licence_expires_soon"]}),
        (364.9, {"licence_expires_at": ENDS, "warnings": ["licence_expires_soon"]}),
        (365, {"licence_expires_at": OVER, "warnings": ["licence_grace"]}),
        (378.9, {"licence_expires_at": OVER, "warnings": ["licence_grace"]}),
    ],
)
def test_the_end_of_a_licence_is_said_in_its_last_thirty_days_and_in_its_grace(
    days: float, expected: dict[str, Any]
) -> None:
    """To the moment."""
    assert said(days, YEAR) == expected


def test_a_renewal_that_is_installed_takes_the_warning_away() -> None:
    """Though it has not begun."""
    assert said(350, YEAR, licence(serial=2, begins_s=360 * DAY_S)) == {}
    fewer = licence(serial=2, begins_s=360 * DAY_S, seats=3)
    assert said(350, YEAR, fewer)["licence_expires_at"] == "1970-12-27T00:00:00Z"


def test_a_grace_that_ends_later_than_in_thirty_days_is_said_without_its_end() -> None:
    """Ninety days at most."""
    assert said(365, licence(ends_s=365 * DAY_S, grace_s=90 * DAY_S)) == {"warnings": ["licence_grace"]}


def test_a_seat_above_those_that_were_bought_is_overdraft() -> None:
    """L14."""
    bought = licence(seats=2, overdraft=1)
    assert said(1, bought, number=2) == {}
    assert said(1, bought, number=3) == {"warnings": ["overdraft"]}
    both = licence(seats=2, overdraft=1, ends_s=10 * DAY_S)
    assert said(1, both, number=3)["warnings"] == ["licence_expires_soon", "overdraft"]


def test_a_pool_in_no_licence_and_a_perpetual_one_have_nothing_to_say() -> None:
    """Nor has a pool that is signed no more by the time of the answer."""
    assert said(1000, licence()) == {}
    assert licence_members(replace(GRANTED, seat_number=1), jim_test(pools=(FULL,))) == {}
