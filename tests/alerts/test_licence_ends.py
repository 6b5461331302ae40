"""Alerts about the end of a licence: each step once, over restarts and nodes, also when the end is moved."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import pytest
from sqlalchemy import select

from licet.alerts.evaluation import look
from licet.alerts.mail_sender import subject
from licet.formats import instant
from licet.model import ALERTS, EXPIRES
from licet.setup.change import changing
from licet.store import schema
from licet.store.contract import Purpose, Store
from support.alerts.watched import Watched
from support.store.kinds import Place
from support.store.setup_site import ADA, JIM, START_MS

DAY_MS = 86_400_000
DAY_S = 86_400
SOON, EXPIRED = "pool.expires_soon", "pool.expired"


@pytest.fixture
def site(make_place: Callable[[int], Place]) -> Iterator[Watched]:
    """A tenant whose pool has no end yet."""
    site = Watched(make_place(START_MS))
    site.begin()
    yield site
    site.close()


def ends_in(site: Watched, days: float | None) -> int | None:
    """Set the end of the licence; the instant of it."""
    at_ms = None if days is None else site.clock.now_ms() + round(days * DAY_MS)
    with changing(site.store, ADA) as change:
        change.tenant(JIM).set_pool("full", expires_at_ms=at_ms)
    return at_ms


def steps(told: list[tuple[str, dict[str, Any]]]) -> list[tuple[str, Any]]:
    """What was reported, with the days before the end."""
    return [(type_, content.get("days")) for type_, content in told]


def test_a_new_pool_reports_the_end_of_its_licence(site: Watched) -> None:
    assert EXPIRES in ALERTS
    pool = site.tenant.pool_named("full")
    assert pool is not None
    assert pool.alerts == ALERTS


def test_each_step_is_reported_once(site: Watched) -> None:
    at_ms = ends_in(site, 40)
    assert site.told() == []
    found = []
    for _ in range(2 * 41):
        found += site.told(seconds=DAY_S / 2)
        assert site.told() == []
    assert steps(found) == [(SOON, 30), (SOON, 14), (SOON, 7), (SOON, 1), (EXPIRED, None)]
    assert {content["expires_at"] for _, content in found} == {instant(at_ms)}
    assert found[0][1] == {
        "tenant": JIM,
        "pool": "full",
        "seats": 5,
        "in_use": 0,
        "expires_at": instant(at_ms),
        "days": 30,
    }


@pytest.mark.parametrize(
    ("days", "step"),
    [(30.001, None), (30, 30), (14.001, 30), (14, 14), (7, 7), (1.001, 7), (1, 1), (0.0001, 1)],
)
def test_a_step_begins_so_many_days_before(site: Watched, days: float, step: int | None) -> None:
    ends_in(site, days)
    assert steps(site.told()) == ([] if step is None else [(SOON, step)])


def test_of_several_steps_at_once_the_last_is_reported(site: Watched) -> None:
    """As when no server ran for weeks."""
    ends_in(site, 40)
    assert steps(site.told(seconds=36 * DAY_S)) == [(SOON, 7)]
    assert steps(site.told(seconds=30 * DAY_S)) == [(EXPIRED, None)]
    assert site.told(seconds=300 * DAY_S) == []


def test_it_is_raised_until_the_end_is_moved(site: Watched) -> None:
    at_ms = ends_in(site, 20)
    assert site.raised() == []
    site.told()
    (alert,) = site.raised()
    assert (alert.threshold, alert.expires_at_ms, alert.pool) == (EXPIRES, at_ms, "full")
    ends_in(site, 400)
    assert site.raised() == []
    assert site.told() == []
    assert site.rows(schema.licence_notice) == []
    assert site.told(seconds=360 * DAY_S) == []
    assert steps(site.told(seconds=10 * DAY_S)) == [(SOON, 30)]


def test_an_end_that_is_moved_is_another_end(site: Watched) -> None:
    ends_in(site, 5)
    assert steps(site.told()) == [(SOON, 7)]
    later = ends_in(site, 6)
    assert site.told() == [
        (
            SOON,
            {"tenant": JIM, "pool": "full", "seats": 5, "in_use": 0, "expires_at": instant(later), "days": 7},
        )
    ]
    ends_in(site, 0.5)
    assert steps(site.told()) == [(SOON, 1)]
    assert steps(site.told(seconds=DAY_S)) == [(EXPIRED, None)]
    ends_in(site, 10)  # it was renewed
    assert site.raised() == []
    assert steps(site.told()) == [(SOON, 14)]
    ends_in(site, None)
    assert site.told() == []
    assert site.raised() == []


def test_a_pool_whose_alerts_do_not_name_it_reports_nothing(site: Watched) -> None:
    with changing(site.store, ADA) as change:
        change.tenant(JIM).set_pool("full", alerts=("80",))
    ends_in(site, 2)
    assert site.told() == []
    with changing(site.store, ADA) as change:
        change.tenant(JIM).set_pool("full", alerts=("80", EXPIRES))
    assert steps(site.told()) == [(SOON, 7)]
    with changing(site.store, ADA) as change:
        change.tenant(JIM).set_pool("full", alerts=())
    assert site.told() == []
    assert site.raised() == []


def test_nodes_that_look_at_once_report_it_once(site: Watched) -> None:
    ends_in(site, 5)
    with ThreadPoolExecutor(4) as threads:
        told = list(threads.map(lambda _: look(site.store), range(4)))
    assert sum(told) == 1
    ends_in(site, 4)
    with ThreadPoolExecutor(4) as threads:
        told = list(threads.map(lambda _: look(site.store), range(4)))
    assert sum(told) == 1


def test_code_of_the_schema_before_does_not_see_the_word(site: Watched) -> None:
    """It would not know it, and take the set-up for damaged; what it writes leaves it as it is."""
    (row,) = site.rows(schema.pool)
    assert (row.alerts, row.alerts_more) == ("80 90 100 denied", "expires")
    with site.store.reading() as connection:
        assert connection.execute(select(schema.alert.c.threshold)).all() == []


def test_a_pool_that_is_removed_takes_its_row_along(site: Watched) -> None:
    ends_in(site, 5)
    site.told()
    with changing(site.store, ADA) as change:
        change.remove_tenant(JIM)
    assert site.told() == []


@pytest.mark.parametrize(
    ("type_", "days", "said"),
    [
        (
            SOON,
            7,
            "J, pool full: the licence expires within 7 days, at 2027-02-01T00:00:00Z, 4 of 5 seats in use",
        ),
        (
            SOON,
            1,
            "J, pool full: the licence expires within 1 day, at 2027-02-01T00:00:00Z, 4 of 5 seats in use",
        ),
        (EXPIRED, None, "J, pool full: the licence has expired, at 2027-02-01T00:00:00Z"),
    ],
)
def test_an_e_mail_says_when(type_: str, days: int | None, said: str) -> None:
    content = {"tenant": "J", "pool": "full", "seats": 5, "in_use": 4, "expires_at": "2027-02-01T00:00:00Z"}
    assert subject(type_, content | ({"days": days} if days else {})) == said


class _Interrupted:
    """A store in which something else happens before its next transaction begins."""

    def __init__(self, store: Store, happens: Callable[[], None]) -> None:
        self._store = store
        self._happens = happens

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def transaction(self, purpose: Purpose) -> Any:
        self._happens()
        return self._store.transaction(purpose)


def test_what_is_committed_while_alerts_wait_to_be_written_is_seen_at_once(site: Watched) -> None:
    """A query that is not read to its end would keep the connection that looks at the set-up in the past."""
    with changing(site.store, ADA) as change:
        for number in range(6):
            soon_ms = site.clock.now_ms() + DAY_MS
            change.tenant(JIM).add_pool(f"pool{number}", seats=1, expires_at_ms=soon_ms)
    seen = []

    def add_a_tenant() -> None:
        with changing(site.second(), ADA) as change:
            change.add_tenant("Other", seats=1)
        site.store.refresh_tenants()
        seen.append(site.store.tenant("Other"))

    look(cast("Store", _Interrupted(site.store, add_a_tenant)))
    [tenant] = seen
    assert tenant is not None
