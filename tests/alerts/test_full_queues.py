"""The alert of a queue in which nobody gets a place any more: reported once, over restarts and nodes."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from licet.alerts.evaluation import look
from licet.alerts.mail_sender import subject
from licet.alerts.notices import QUIET_MS
from licet.ledger.commands import Denied
from licet.model import EXPIRES
from licet.setup.change import changing
from licet.store import schema
from licet.units import MINUTE_MS
from support.alerts.watched import Watched
from support.store.kinds import Place
from support.store.setup_site import ADA, JIM, START_MS

QUEUE_FULL = "pool.queue_full"
HOLD_S = 300
MINUTE_S, QUIET_S = MINUTE_MS // 1000, QUIET_MS // 1000


@pytest.fixture
def site(make_place: Callable[[int], Place]) -> Iterator[Watched]:
    """A tenant with one seat, which is in use, and a queue of two."""
    site = Watched(make_place(START_MS))
    site.begin(seats=1)
    set_pool(site, queue=2, queue_hold_s=HOLD_S, alerts=(EXPIRES,))
    site.take(1)
    yield site
    site.close()


def set_pool(site: Watched, **options: object) -> None:
    """An administrator changes the pool."""
    with changing(site.store, ADA) as change:
        change.tenant(JIM).set_pool("full", **options)


def wait(site: Watched, *numbers: int) -> list[int]:
    """These clients stand in line, or go on to; their positions."""
    outcomes = [site.ask(f"c{number}", queue=True) for number in numbers]
    assert all(isinstance(it, Denied) for it in outcomes)
    return [it.queue_position for it in outcomes if isinstance(it, Denied)]


def wait_on(site: Watched, *numbers: int, minutes: int) -> list[object]:
    """They ask all this time, and the seat is in use; what is reported, an evaluation a minute."""
    told: list[object] = []
    for _ in range(minutes):
        told += site.told(seconds=MINUTE_S)
        site.take(1)
        wait(site, *numbers)
    return told


def test_it_is_reported_when_the_last_place_is_taken_and_once(site: Watched) -> None:
    assert wait(site, 2) == [1]
    assert site.told() == []
    assert wait(site, 3, 4) == [2, 0]
    about = {"tenant": JIM, "pool": "full", "seats": 1, "in_use": 1, "queue": 2, "waiting": 2}
    assert site.told() == [(QUEUE_FULL, about)]
    assert site.thresholds() == {"queue_full"}
    assert site.told(seconds=5) == []
    assert subject(QUEUE_FULL, about) == f"{JIM}, pool full: the queue is full, 2 of 2 places taken"


def test_places_that_have_lapsed_fill_no_queue(site: Watched) -> None:
    """L19: although they are in the store until somebody sweeps them."""
    wait(site, 2, 3)
    assert site.told(seconds=HOLD_S) == []
    assert len(site.rows(schema.queue_place)) == 2


def test_a_queue_that_is_full_again_and_again_is_reported_once(site: Watched) -> None:
    """As a pool that goes up and down is: until it was not for ten minutes."""
    wait(site, 2, 3)
    assert len(site.told()) == 1
    assert wait_on(site, 2, 3, minutes=8) == []
    assert wait_on(site, 2, minutes=9) == []
    assert wait_on(site, 2, 3, minutes=8) == []
    assert site.thresholds() == {"queue_full"}


def test_it_ends_when_for_ten_minutes_places_were_free_and_is_reported_again_then(site: Watched) -> None:
    wait(site, 2, 3)
    site.told()
    assert wait_on(site, 2, 3, minutes=30) == []
    assert site.told(seconds=HOLD_S) == []
    assert site.thresholds() == {"queue_full"}
    assert site.told(seconds=QUIET_S) == []
    assert site.thresholds() == set()
    wait(site, 2, 3)
    assert [type_ for type_, _ in site.told()] == [QUEUE_FULL]


@pytest.mark.parametrize("changed", [{"queue": 0}, {"alerts": ()}], ids=["no queue", "no alerts"])
def test_it_is_forgotten_where_it_is_no_longer_wanted(site: Watched, changed: dict[str, object]) -> None:
    wait(site, 2, 3)
    site.told()
    set_pool(site, **changed)
    assert site.told() == []
    assert site.thresholds() == set()


def test_a_pool_without_alerts_reports_no_full_queue(site: Watched) -> None:
    set_pool(site, alerts=())
    wait(site, 2, 3)
    assert site.told() == []


def test_of_two_that_evaluate_at_once_one_reports_it(site: Watched) -> None:
    wait(site, 2, 3)
    stores = [site.store, site.second(), site.second(), site.second()]
    with ThreadPoolExecutor(len(stores)) as pool:
        assert sum(pool.map(look, stores)) == 1
    assert len(site.rows(schema.delivery)) == 1


def test_a_longer_queue_is_full_later(site: Watched) -> None:
    """And one that was made shorter than its line at once: who has a place keeps it."""
    wait(site, 2, 3)
    set_pool(site, queue=3)
    assert site.told() == []
    set_pool(site, queue=1)
    assert [type_ for type_, _ in site.told()] == [QUEUE_FULL]
