"""Alerts about licences that a vendor signed: what costs seats is reported once, over restarts and nodes."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import delete, update

from licet.alerts.evaluation import look
from licet.alerts.mail_sender import subject
from licet.formats import instant
from licet.ledger.commands import Sweep
from licet.model import EXPIRES
from licet.setup.change import changing
from licet.setup.licences import distrust, install, remove, trust
from licet.store import schema
from support.alerts.watched import Watched
from support.licences.signed_pools import file_of, text_of, the_vendor, vendor_file
from support.store.kinds import Place
from support.store.setup_site import ADA, JIM, START_MS

NOW_S = START_MS // 1000
DAY_S = 86_400
SOON, GRACE, EXPIRED, INVALID = (
    "licence.expires_soon",
    "licence.grace_began",
    "licence.expired",
    "licence.invalid",
)


@pytest.fixture
def site(make_place: Callable[[int], Place]) -> Iterator[Watched]:
    """A tenant with a pool whose administrator has set more seats than are signed, and a trusted vendor."""
    site = Watched(make_place(START_MS))
    site.begin(seats=50)
    with changing(site.store, ADA) as change:
        trust(change, vendor_file(the_vendor()).encode())
    yield site
    site.close()


def put(site: Watched, *licences: str) -> None:
    """Install these licences."""
    with changing(site.store, ADA) as change:
        install(change, JIM, file_of(*licences))


def licence(days: float | None = None, *, seats: int = 5, **members: Any) -> str:
    """A licence that ends in so many days from the beginning of the test."""
    end = {} if days is None else {"exp": NOW_S + round(days * DAY_S)}
    return text_of("full", "all", **(end | {"seats": seats, "hold": 1} | members))


def steps(told: list[tuple[str, dict[str, Any]]]) -> list[tuple[str, Any]]:
    """What was reported, with the days before the end."""
    return [(type_, content.get("days")) for type_, content in told]


def over(site: Watched, days: int) -> list[tuple[str, Any]]:
    """What is reported in so many days, each evaluated once."""
    return [step for _ in range(days) for step in steps(site.told(seconds=DAY_S))]


def test_each_step_before_the_end_the_grace_and_the_end_are_reported_once(site: Watched) -> None:
    put(site, licence(31, grace=2 * DAY_S))
    assert site.told() == []
    assert over(site, 36) == [
        (SOON, 30), (SOON, 14), (SOON, 7), (SOON, 1), (GRACE, None), (EXPIRED, None),
    ]  # fmt: skip


def test_a_message_says_which_licence_whose_and_how_many_seats_are_lost(site: Watched) -> None:
    put(site, licence(5, grace=3 * DAY_S, overdraft=1), licence(None, seats=2, name="B"))
    site.take(1)  # and nothing sweeps it away
    [(type_, content)] = site.told()
    about = {
        "tenant": JIM,
        "pool": "full",
        "licences": ["C-1"],
        "vendor": "acme",
        "product": "jim2-api",
        "seats_before": 8,
        "seats_after": 2,
        "expires_at": instant(START_MS + 5 * DAY_S * 1000),
        "grace_until": instant(START_MS + 8 * DAY_S * 1000),
    }
    assert (type_, content) == (SOON, about | {"in_use": 1, "days": 7})
    assert site.told(seconds=6 * DAY_S) == [(GRACE, about | {"in_use": 1})]
    assert site.told(seconds=6 * DAY_S) == [(EXPIRED, about | {"in_use": 1})]


def test_of_several_steps_at_once_the_last_is_reported(site: Watched) -> None:
    """As when no server ran for weeks, also over the end itself."""
    put(site, licence(40, grace=5 * DAY_S))
    assert steps(site.told(seconds=36 * DAY_S)) == [(SOON, 7)]
    assert steps(site.told(seconds=30 * DAY_S)) == [(EXPIRED, None)]
    assert site.told(seconds=300 * DAY_S) == []
    assert [alert.threshold for alert in site.raised()] == ["licence_expired"]


def test_a_renewal_that_overlaps_means_that_nothing_ends(site: Watched) -> None:
    """L13: the sum counts. What was reported before is forgotten."""
    put(site, licence(5, grace=DAY_S))
    assert steps(site.told()) == [(SOON, 7)]
    assert [alert.threshold for alert in site.raised()] == ["licence_expires"]
    put(site, licence(400, serial=2, nbf=NOW_S + 4 * DAY_S))
    assert site.told() == []
    assert site.raised() == []
    assert over(site, 8) == []


def test_of_two_licences_each_end_has_its_own_steps(site: Watched) -> None:
    put(site, licence(3), licence(12, name="B", seats=2))
    told = [content for _, content in site.told()]
    assert sorted((it["seats_before"], it["seats_after"], it["licences"], it["days"]) for it in told) == [
        (2, 0, ["B"], 14), (7, 2, ["C-1"], 7),
    ]  # fmt: skip
    assert over(site, 14) == [(SOON, 1), (EXPIRED, None), (SOON, 7), (SOON, 1), (EXPIRED, None)]


def test_seats_that_are_lost_while_others_are_left_are_raised_for_a_month(site: Watched) -> None:
    put(site, licence(1), licence(None, name="B", seats=2))
    over(site, 2)
    assert [alert.threshold for alert in site.raised()] == ["licence_expired"]
    assert site.told(seconds=30 * DAY_S) == []
    assert site.raised() == []


def test_who_wants_no_alert_of_the_end_gets_none(site: Watched) -> None:
    """The word is that of an end that the administrator has set."""
    with changing(site.store, ADA) as change:
        change.tenant(JIM).set_pool("full", alerts=("80", "denied"))
    put(site, licence(2))
    assert over(site, 4) == []
    with changing(site.store, ADA) as change:
        change.tenant(JIM).set_pool("full", alerts=("80", EXPIRES))
    assert steps(site.told()) == [(EXPIRED, None)]


def test_another_node_after_a_restart_reports_nothing_twice(site: Watched) -> None:
    """What was reported is in the store."""
    put(site, licence(5))
    assert steps(site.told()) == [(SOON, 7)]
    other = site.second()
    assert look(other, is_first=True) == 0
    site.clock.advance(seconds=4.5 * DAY_S)
    other.probe()
    assert look(other, is_first=True) == 1
    assert site.told() == []


def test_nodes_that_look_at_once_report_it_once(site: Watched) -> None:
    put(site, licence(5))
    for days in (0, 4.5, 1):
        site.clock.advance(seconds=days * DAY_S)
        site.store.probe()
        with ThreadPoolExecutor(4) as threads:
            told = list(threads.map(lambda _: look(site.store), range(4)))
        assert sum(told) == 1


def test_a_row_that_somebody_changed_is_reported_and_gives_no_seat(site: Watched) -> None:
    put(site, licence(), licence(name="B", seats=2))
    assert site.told() == []
    with site.store.transaction() as transaction:
        changed = schema.licence.c.licence == "C-1"
        text = licence(seats=9)[:-4] + "AAAA"
        transaction.connection.execute(update(schema.licence).where(changed).values(text=text))
        transaction.connection.execute(update(schema.setup).values(version=schema.setup.c.version + 1))
        transaction.connection.execute(update(schema.tenant).values(version=schema.tenant.c.version + 1))
    assert site.told() == [(INVALID, about_invalid("changed"))]
    assert site.told(seconds=DAY_S) == []
    assert [(alert.threshold, alert.licence) for alert in site.raised()] == [("licence_invalid", "C-1")]
    put(site, licence())
    assert site.told() == []
    assert site.raised() == []


def about_invalid(reason: str, **more: Any) -> dict[str, Any]:
    """What is reported of the licence C-1."""
    about = {"tenant": JIM, "licence": "C-1", "serial": 1, "vendor": "acme", "product": "jim2-api"}
    return about | {"reason": reason} | more


def test_a_vendor_that_is_trusted_no_more_is_reported_licence_by_licence(site: Watched) -> None:
    put(site, licence(), licence(name="B"))
    with changing(site.store, ADA) as change:
        distrust(change, "acme", "jim2-api")
    told = site.told()
    assert [type_ for type_, _ in told] == [INVALID, INVALID]
    assert sorted((it["licence"], it["reason"]) for _, it in told) == [
        ("B", "vendor_not_trusted"), ("C-1", "vendor_not_trusted"),
    ]  # fmt: skip
    assert look(site.second(), is_first=True) == 0
    with changing(site.store, ADA) as change:
        trust(change, vendor_file(the_vendor()).encode())
    assert site.told() == []
    assert site.raised() == []


def test_licences_are_verified_only_when_it_is_their_turn(site: Watched) -> None:
    """A server does it once a minute; what was reported stays raised meanwhile."""
    put(site, licence())
    with site.store.transaction() as transaction:
        transaction.connection.execute(update(schema.licence).values(text="x"))
    assert look(site.store, verifies=False) == 0
    assert look(site.store) == 1
    assert look(site.store, verifies=False) == 0
    assert [alert.threshold for alert in site.raised()] == ["licence_invalid"]


def test_a_serial_whose_place_a_later_one_took_may_be_changed_or_not(site: Watched) -> None:
    put(site, licence())
    put(site, licence(serial=2))
    with site.store.transaction() as transaction:
        first = schema.licence.c.serial == 1
        transaction.connection.execute(update(schema.licence).where(first).values(text="x"))
    assert site.told() == []


def test_a_licence_that_an_administrator_removes_is_no_alert(site: Watched) -> None:
    put(site, licence(5), licence(name="B"))
    site.told()
    with changing(site.store, ADA) as change:
        remove(change, JIM, "C-1", 1)
    assert site.told() == []
    assert site.raised() == []


def test_many_licences_that_count_for_nothing_are_reported_in_parts(site: Watched) -> None:
    """What one evaluation sends is bounded."""
    for numbers in (range(13), range(13, 25)):
        put(site, *(licence(name=f"L{number}", seats=1) for number in numbers))
    with site.store.transaction() as transaction:
        transaction.connection.execute(delete(schema.vendor))
    assert [len(site.told()) for _ in range(3)] == [20, 5, 0]


def test_overdraft_that_is_used_is_reported_until_it_is_not(site: Watched) -> None:
    """L14; once, however long it goes on."""
    put(site, licence(seats=2, overdraft=2))
    with changing(site.store, ADA) as change:
        change.tenant(JIM).set_pool("full", alerts=("100",))
    granted = site.take(1, 2)
    assert [type_ for type_, _ in site.told()] == ["pool.threshold_reached"]
    granted += site.take(3)
    assert site.told() == [
        (
            "pool.overdraft_used",
            {"tenant": JIM, "pool": "full", "seats": 2, "in_use": 3, "overdraft": 2, "peak": 3},
        )
    ]
    assert "overdraft" in site.thresholds()
    granted += site.take(4)
    assert site.told() == []
    site.give_back(*granted)
    site.clock.advance(seconds=60)
    site.commit(Sweep(sessions_max=10))
    assert site.told() == []
    assert "overdraft" in site.thresholds()
    site.told(seconds=30 * 60)
    assert site.thresholds() == set()


def test_overdraft_is_reported_with_any_of_the_alerts(site: Watched) -> None:
    """L14; also where the pool has no percentage."""
    put(site, licence(seats=2, overdraft=2))
    with changing(site.store, ADA) as change:
        change.tenant(JIM).set_pool("full", alerts=(EXPIRES,))
    site.take(1, 2, 3)
    assert [type_ for type_, _ in site.told()] == ["pool.overdraft_used"]


def test_the_percentages_of_a_signed_pool_are_those_of_its_seats(site: Watched) -> None:
    """And not of what its administrator typed; at a step down no percentage is reached."""
    put(site, licence(1, seats=5))
    with changing(site.store, ADA) as change:
        change.tenant(JIM).set_pool("full", alerts=("80",))
    site.take(1, 2, 3, 4)
    [(_, content)] = site.told()
    assert (content["seats"], content["threshold"]) == (5, 80)


def test_a_pool_with_all_seats_that_are_signed_reports_those(site: Watched) -> None:
    """Also of an end that its administrator has set."""
    put(site, licence(seats=4))
    with changing(site.store, ADA) as change:
        in_a_day_ms = START_MS + DAY_S * 1000
        change.tenant(JIM).set_pool("full", seats=None, alerts=(EXPIRES,), expires_at_ms=in_a_day_ms)
    [(type_, content)] = site.told()
    assert (type_, content["seats"]) == ("pool.expires_soon", 4)
    assert [alert.seats for alert in site.raised()] == [4]


def test_the_seats_in_use_at_an_end_are_no_full_pool(site: Watched) -> None:
    put(site, licence(1, seats=5))
    with changing(site.store, ADA) as change:
        change.tenant(JIM).set_pool("full", alerts=("80",))
    site.clock.advance(seconds=DAY_S - 60)
    site.take(1, 2)
    assert site.told() == []
    assert site.told(seconds=60) == []


@pytest.mark.parametrize(
    ("type_", "more", "said"),
    [
        (
            SOON,
            {"days": 1},
            "J, pool full: the licence expires within 1 day, at 2027-02-01T00:00:00Z, 2 of 5 seats are left",
        ),
        (
            GRACE,
            {"grace_until": "2027-02-15"},
            "J, pool full: the licence has expired, and its grace ends at 2027-02-15, 2 of 5 seats are left",
        ),
        (EXPIRED, {}, "J, pool full: the licence has expired, 2 of 5 seats are left"),
        (
            INVALID,
            {"licence": "C-1", "serial": 2, "reason": "changed"},
            "J: serial 2 of licence C-1 gives no seats, its text was changed",
        ),
        (
            "pool.overdraft_used",
            {"peak": 6, "seats": 5},
            "J, pool full: overdraft is in use, 6 of 5 seats",
        ),
    ],
)
def test_an_e_mail_says_what_happened(type_: str, more: dict[str, Any], said: str) -> None:
    content = {"tenant": "J", "pool": "full", "seats_before": 5, "seats_after": 2, "in_use": 4}
    assert subject(type_, content | {"expires_at": "2027-02-01T00:00:00Z"} | more) == said
