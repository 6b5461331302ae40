"""Raising alerts: what is told of a pool, once, however busy it is."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from licet.alerts.deliveries import message_instants
from licet.alerts.evaluation import look
from licet.alerts.notices import QUIET_MS
from licet.alerts.webhooks import changing
from licet.setup.change import changing as changing_setup
from licet.store import schema
from licet.store.errors import StoreUnavailable
from support.alerts.watched import URL, Watched
from support.store.kinds import Place
from support.store.setup_site import ADA, JIM, START_MS

QUIET_S = QUIET_MS / 1000


@pytest.fixture
def site(make_place: Callable[[int], Place]) -> Iterator[Watched]:
    site = Watched(make_place(START_MS))
    site.begin()
    yield site
    site.close()


def data(**more: object) -> dict[str, object]:
    return {"tenant": JIM, "pool": "full", "seats": 5, **more}


# A pool that fills up and empties


def test_a_threshold_is_told_when_it_is_reached(site: Watched) -> None:
    site.take(1, 2, 3)
    assert site.told() == []
    site.take(4)
    assert site.told() == [("pool.threshold_reached", data(in_use=4, threshold=80, peak=4))]
    assert site.thresholds() == {"80"}


def test_it_is_told_once(site: Watched) -> None:
    site.take(1, 2, 3, 4)
    assert len(site.told()) == 1
    assert site.told(seconds=5) == site.told(seconds=5) == []


def test_of_several_that_are_reached_at_once_the_highest_is_told(site: Watched) -> None:
    """All of them are raised: the others are not told a moment later."""
    site.take(1, 2, 3, 4, 5)
    assert site.told() == [("pool.threshold_reached", data(in_use=5, threshold=100, peak=5))]
    assert site.thresholds() == {"80", "90", "100"}
    assert site.told(seconds=5) == []


def test_a_peak_between_two_looks_is_told(site: Watched) -> None:
    """Of a minute its highest use is kept."""
    assert site.told() == []
    site.give_back(*site.take(1, 2, 3, 4))
    assert site.told(seconds=70) == [("pool.threshold_reached", data(in_use=0, threshold=80, peak=4))]


def test_a_pool_is_back_to_normal_after_a_quiet_time(site: Watched) -> None:
    sessions = site.take(1, 2, 3, 4, 5)
    site.told()
    site.give_back(*sessions)
    assert site.told(seconds=QUIET_S - 60) == []
    assert site.told(seconds=120) == [
        ("pool.back_to_normal", data(in_use=0, threshold=80, since="2023-11-14T22:14:00Z"))
    ]
    assert site.raised() == []
    assert site.told(seconds=60) == []


def test_a_pool_that_goes_up_and_down_is_told_once(site: Watched) -> None:
    """Hysteresis in time: 4 and 3 of 5 seats, for half an hour."""
    sessions = site.take(1, 2, 3)
    messages = []
    for _ in range(15):
        [fourth] = site.take(4)
        messages += site.told(seconds=60)
        site.give_back(fourth)
        messages += site.told(seconds=60)
        site.hold_on(sessions, seconds=0)
    assert [type_ for type_, _ in messages] == ["pool.threshold_reached"]


def test_a_little_below_a_threshold_is_not_normal(make_place: Callable[[int], Place]) -> None:
    """Hysteresis in use: 80 per cent is left below 75."""
    site = Watched(make_place(START_MS))
    site.begin(seats=50, clients=40)
    sessions = site.take(*range(1, 41))
    site.told()
    site.give_back(*sessions[:2])  # 38 of 50 are 76 per cent
    site.hold_on(sessions[2:], seconds=2 * QUIET_S)
    assert site.told() == []
    site.give_back(sessions[2])  # 74 per cent
    site.hold_on(sessions[3:], seconds=QUIET_S + 60)
    assert [type_ for type_, _ in site.told()] == ["pool.back_to_normal"]
    site.close()


def test_only_the_last_one_left_is_back_to_normal(site: Watched) -> None:
    """From all to 4 of 5 seats it is still at 80 per cent; all of them again is told again."""
    sessions = site.take(1, 2, 3, 4, 5)
    site.told()
    site.give_back(sessions[0])
    site.hold_on(sessions[1:], seconds=QUIET_S + 60)
    assert site.told() == []
    assert site.thresholds() == {"80"}
    site.take(1)
    assert [it["threshold"] for _, it in site.told()] == [100]


def test_other_seats_count_at_once(site: Watched) -> None:
    site.take(1, 2, 3, 4)
    site.told()
    with changing_setup(site.store, ADA) as change:
        change.tenant(JIM).set_pool("full", seats=10)
    assert [type_ for type_, _ in site.told()] == ["pool.back_to_normal"]
    with changing_setup(site.store, ADA) as change:
        change.tenant(JIM).set_pool("full", seats=2)
    assert [it["threshold"] for _, it in site.told()] == [100]


def test_a_pool_without_seats_is_not_full(site: Watched) -> None:
    with changing_setup(site.store, ADA) as change:
        change.tenant(JIM).add_pool("empty", seats=0)
    assert site.told() == []


def test_what_is_no_longer_wanted_is_forgotten(site: Watched) -> None:
    """Without a word: nothing changed but what is told."""
    site.take(1, 2, 3, 4, 5)
    site.told()
    with changing_setup(site.store, ADA) as change:
        change.tenant(JIM).set_pool("full", alerts=("80",))
    assert site.told() == []
    assert site.thresholds() == {"80"}
    with changing_setup(site.store, ADA) as change:
        change.tenant(JIM).set_pool("full", alerts=())
    assert site.told() == []
    assert site.raised() == []


def test_a_pool_without_alerts_tells_nothing(site: Watched) -> None:
    with changing_setup(site.store, ADA) as change:
        change.tenant(JIM).set_pool("full", alerts=())
    site.take(1, 2, 3, 4, 5)
    site.ask("c6")
    assert site.told() == []
    assert site.raised() == []


# Who gets no seat


def test_the_first_is_told_at_once(site: Watched) -> None:
    site.take(1, 2, 3, 4, 5)
    site.told()
    site.clock.advance(seconds=20)
    site.ask("c6")
    assert site.told() == [
        (
            "pool.denied",
            data(in_use=5, denials=1, reasons=["all_in_use"], since="2023-11-14T22:14:20Z"),
        )
    ]
    assert site.thresholds() == {"80", "90", "100", "denied"}


def test_those_that_follow_are_told_together(site: Watched) -> None:
    """A busy pool does not send a hundred."""
    sessions = site.take(1, 2, 3, 4, 5)
    site.ask("c6")
    assert len(site.told()) == 2
    messages = []
    for _ in range(19):
        site.deny(500)
        messages += site.told(seconds=30)
        site.hold_on(sessions, seconds=0)
    assert messages == []
    site.deny(500)
    [(type_, told)] = site.told(seconds=30)
    assert (type_, told["denials"], told["since"]) == ("pool.denied", 10_000, "2023-11-14T22:14:00Z")
    assert site.told(seconds=60) == []


def test_a_late_one_of_a_minute_that_was_told_counts(site: Watched) -> None:
    """A batch may be committed a moment after a look that does not see it."""
    site.take(1, 2, 3, 4, 5)
    site.clock.advance(seconds=59)
    site.deny(3)
    site.told(seconds=2)
    site.deny(4, at_ms=START_MS + 59_000)
    site.clock.advance(seconds=QUIET_S)
    [(_, told), *_] = site.told()
    assert told["denials"] == 4


def test_after_a_quiet_time_it_is_no_longer_raised(site: Watched) -> None:
    """Nothing is told of it: there is nothing to do."""
    site.deny(1)
    site.told()
    assert site.told(seconds=QUIET_S - 1) == []
    assert "denied" in site.thresholds()
    site.told(seconds=2)
    assert "denied" not in site.thresholds()
    assert site.told(seconds=3600, is_first=True) == []


def test_the_next_one_after_that_is_told_at_once(site: Watched) -> None:
    site.deny(7)
    site.told()
    site.told(seconds=QUIET_S)
    site.told(seconds=QUIET_S)
    site.deny(1)
    assert [it["denials"] for _, it in site.told(seconds=5)] == [1]


def test_what_was_denied_while_nobody_looked_is_told(site: Watched) -> None:
    site.deny(7)
    assert site.told(seconds=1800) == []
    assert [it["denials"] for _, it in site.told(is_first=True)] == [7]


@pytest.mark.parametrize("reason", ["suspended", "excluded", "not_included"])
def test_whom_an_administrator_keeps_out_is_no_denial(site: Watched, reason: str) -> None:
    """No seat was missing."""
    site.deny(7, reason=reason)
    assert site.told() == []


# Nothing is told twice, and nothing is lost


def test_a_crash_before_the_commit_tells_it_later(site: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    site.take(1, 2, 3, 4)

    def crash(*_: object, **__: object) -> None:
        raise StoreUnavailable("the power is gone")

    with monkeypatch.context() as patch:
        patch.setattr("licet.alerts.evaluation._queue", crash)
        with pytest.raises(StoreUnavailable):
            look(site.store)
    assert site.raised() == []
    assert len(site.told()) == 1


def test_another_server_does_not_tell_it_again(site: Watched) -> None:
    site.take(1, 2, 3, 4)
    site.deny(1)
    assert len(site.told()) == 2
    assert look(site.second(), is_first=True) == 0


def test_two_that_look_at_once_tell_it_once(site: Watched) -> None:
    """The house may change hands in the middle of a look."""
    site.take(1, 2, 3, 4)
    site.deny(1)
    stores = [site.store, site.second(), site.second(), site.second()]
    with ThreadPoolExecutor(len(stores)) as pool:
        told = list(pool.map(look, stores))
    assert sum(told) == 2
    assert len(site.rows(schema.delivery)) == 2


def test_without_anybody_to_tell_it_is_raised_all_the_same(site: Watched) -> None:
    """The page shows it."""
    [webhook] = site.rows(schema.webhook)
    with changing(site.store, ADA) as change:
        change.remove(webhook.id)
    site.take(1, 2, 3, 4)
    assert site.told() == []
    assert site.thresholds() == {"80"}


def test_each_webhook_of_the_tenant_and_of_all_is_told(site: Watched) -> None:
    with changing_setup(site.store, ADA) as change:
        other = change.add_tenant("Other", seats=1).tenant.id
    with changing(site.store, ADA) as change:
        change.add(URL, tenant_id=site.tenant.id)
        change.add(URL, tenant_id=other)
        disabled = change.add(URL, tenant_id=None)
        change.set(disabled.id, enabled=False)
    site.take(1, 2, 3, 4)
    assert look(site.store, by_mail=True) == 3
    rows = site.rows(schema.delivery)
    assert len({row.id for row in rows}) == len({row.webhook_id for row in rows}) == 3
    assert len({row.payload for row in rows}) == 1


def test_a_message_names_nobody(site: Watched) -> None:
    """Who holds a seat, or was denied one, is nobody's business outside."""
    site.take(1, 2, 3, 4, 5)
    site.ask("c6")
    site.told()
    text = "".join(row.payload for row in site.rows(schema.delivery))
    assert not [name for name in ("c1", "c6", "U1", "U6", "User", "192.0.2.1", "secret") if name in text]


# Who it was reported to


def test_an_alert_with_a_receiver_has_a_message_of_that_instant(site: Watched) -> None:
    """So whoever reads both never finds an alert that was reported and no message, or the reverse."""
    site.take(1, 2, 3, 4)
    assert site.told()
    instants = {alert.told_at_ms for alert in site.raised() if alert.told_at_ms is not None}
    tenant_id = site.tenant.id
    with site.store.reading() as connection:
        assert message_instants(connection, None, instants) == {(JIM, at_ms) for at_ms in instants}
        assert message_instants(connection, tenant_id, instants) == set()  # none of its own webhooks


def test_an_alert_from_before_there_was_a_receiver_has_no_message(site: Watched) -> None:
    with changing(site.store, ADA) as change:
        (row,) = site.rows(schema.webhook)
        change.remove(row.id)
    site.take(1, 2, 3, 4)
    assert site.told() == []
    with changing(site.store, ADA) as change:
        change.add(URL, tenant_id=None)
    (alert,) = site.raised()
    assert alert.told_at_ms is not None
    with site.store.reading() as connection:
        assert message_instants(connection, None, {alert.told_at_ms}) == set()
