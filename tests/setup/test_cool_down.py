"""Ending sessions by hand, with a reason and a cool-down: one transaction, one event for each client. L12."""

from collections.abc import Callable, Iterator
from threading import Barrier, Thread

import pytest

from licet.ledger.commands import Denied, Granted
from licet.model import InvalidValue, NoSeatReason
from licet.refusal import Code
from licet.setup.change import changing, end_sessions
from licet.setup.end_sessions import REASON_CHARS_MAX
from licet.store import schema
from licet.store.contract import Store
from licet.store.errors import NotFound
from support.store.kinds import Place
from support.store.setup_site import ADA, JIM, START_MS, Site

MINUTE_S = 60


@pytest.fixture
def site(make_place: Callable[[int], Place]) -> Iterator[Site]:
    """A tenant of three seats with the clients `c1` to `c3`."""
    site = Site(make_place(START_MS))
    site.begin(seats=3, clients=3)
    yield site
    site.check()
    site.close()


def suspend(site: Site, client_id: str, until_ms: int | None) -> bool:
    with changing(site.store, ADA) as change:
        return change.tenant(JIM).suspend(client_id, until_ms)


def wait(site: Site, seconds: float) -> None:
    """Let time pass; the store of a database hears of it."""
    site.clock.advance(seconds=seconds)
    site.store.probe()


def suspended(site: Site, client_id: str) -> int | None:
    """How many seconds a client has to wait; None when it gets a seat."""
    outcome = site.ask(client_id)
    if isinstance(outcome, Granted):
        return None
    assert isinstance(outcome, Denied)
    assert outcome.reason is NoSeatReason.SUSPENDED
    return outcome.retry_after_s


def events(site: Site) -> list[tuple[str, str, str]]:
    """What was done about clients after the set-up was made."""
    rows = site.rows(schema.event)
    return [(row.actor, row.target, row.detail) for row in rows if row.action in {"end", "suspend", "resume"}]


# Ending with a cool-down


def test_an_ended_client_stays_away_for_the_cool_down_and_everybody_sees_why(site: Site) -> None:
    """L12, L11."""
    granted = site.grant("c1")
    ended = end_sessions(
        site.store, ADA, JIM, [granted.session.sid], reason=" It hangs. ", cool_down_s=5 * MINUTE_S
    )
    assert (ended.sessions, ended.seats, ended.clients) == (1, 1, ("c1",))
    assert ended.suspended_until_ms == START_MS + 300_000
    assert events(site) == [
        (ADA, "client c1", "1 session ended, no seat until 2023-11-14T22:19:00Z: It hangs.")
    ]
    assert site.pool().in_use == 0
    assert suspended(site, "c1") == 300
    assert suspended(site, "c2") is None
    wait(site, 300)
    assert suspended(site, "c1") is None


def test_another_process_decides_by_it_at_once(site: Site) -> None:
    """L12. A transaction looks at the set-up again: no second in which the old one counts."""
    second = Site.__new__(Site)
    second.__dict__.update(site.__dict__, store=site.second())
    granted = second.grant("c1")
    end_sessions(site.store, ADA, JIM, [granted.session.sid], cool_down_s=MINUTE_S)
    assert suspended(second, "c1") == 60


def test_without_a_cool_down_a_client_may_come_back_at_once(site: Site) -> None:
    granted = site.grant("c1")
    ended = end_sessions(site.store, ADA, JIM, [granted.session.sid])
    assert ended.suspended_until_ms is None
    assert events(site) == [(ADA, "client c1", "1 session ended")]
    assert suspended(site, "c1") is None


def test_each_client_of_the_sessions_has_an_event_of_its_own(site: Site) -> None:
    """The journal's page links each to its client."""
    sids = [site.grant(it).session.sid for it in ("c2", "c1", "c1")]
    other = site.grant("c3")
    ended = end_sessions(
        site.store, ADA, JIM, [*sids, b"unknown", sids[0]], reason="Maintenance", cool_down_s=60
    )
    assert (ended.sessions, ended.seats, ended.clients) == (3, 2, ("c1", "c2"))
    until = "no seat until 2023-11-14T22:15:00Z: Maintenance"
    assert events(site) == [
        (ADA, "client c1", f"2 sessions ended, {until}"),
        (ADA, "client c2", f"1 session ended, {until}"),
    ]
    assert site.lives(other)
    assert site.endings() == {"administrator": 3}


def test_where_no_session_lives_any_more_nobody_is_suspended(site: Site) -> None:
    """It logged off a moment before, by itself."""
    granted = site.grant("c1")
    wait(site, 1200)
    events_before = site.count(schema.event)
    ended = end_sessions(site.store, ADA, JIM, [granted.session.sid], cool_down_s=60)
    assert (ended.sessions, ended.clients, ended.suspended_until_ms) == (0, (), None)
    assert site.count(schema.event) == events_before
    assert suspended(site, "c1") is None


def test_a_longer_cool_down_is_not_shortened_by_a_later_one(site: Site) -> None:
    """L12. Two administrators do not undo what the other chose."""
    first, view = site.grant("c1"), site.grant("c1", "view")
    end_sessions(site.store, ADA, JIM, [first.session.sid], cool_down_s=3600)
    end_sessions(site.store, "grace", JIM, [view.session.sid], cool_down_s=60)
    assert suspended(site, "c1") == 3600
    assert events(site)[-1] == ("grace", "client c1", "1 session ended, no seat until 2023-11-14T23:14:00Z")


def test_it_happens_as_a_whole_or_not_at_all(site: Site) -> None:
    granted = site.grant("c1")

    def change_and_fail() -> None:
        with changing(site.store, ADA) as change:
            change.tenant(JIM).end_sessions([granted.session.sid], cool_down_s=60)
            raise NotFound("something else of the same change", code=Code.NOT_FOUND)

    with pytest.raises(NotFound):
        change_and_fail()
    assert site.lives(granted)
    assert events(site) == []
    assert suspended(site, "c1") is None


@pytest.mark.parametrize(
    ("reason", "cool_down_s", "told"),
    [
        ("x" * (REASON_CHARS_MAX + 1), 0, "a reason is one line of at most 200 characters"),
        ("two\nlines", 0, "a reason is one line"),
        ("\x1b[2J", 0, "a reason is one line"),
        ("", -1, "a cool-down is at most 24h; to keep a client out for longer, disable it"),
        ("", 86_401, "a cool-down is at most 24h"),
    ],
)
def test_a_reason_is_a_line_and_a_cool_down_a_day_at_most(
    site: Site, reason: str, cool_down_s: int, told: str
) -> None:
    granted = site.grant("c1")
    with pytest.raises(InvalidValue, match=told):
        end_sessions(site.store, ADA, JIM, [granted.session.sid], reason=reason, cool_down_s=cool_down_s)
    assert site.lives(granted)


def test_sessions_of_another_tenant_are_none_of_these(site: Site) -> None:
    with changing(site.store, ADA) as change:
        change.add_tenant("Other", seats=1)
    granted = site.grant("c1")
    assert end_sessions(site.store, ADA, "Other", [granted.session.sid], cool_down_s=60).sessions == 0
    assert site.lives(granted)
    with pytest.raises(NotFound, match="there is no tenant Nowhere"):
        end_sessions(site.store, ADA, "Nowhere", [granted.session.sid])


def test_two_administrators_at_once_end_a_session_once(site: Site) -> None:
    granted, ready, ended = site.grant("c1"), Barrier(2), list[int]()

    def end_it(store: Store) -> None:
        ready.wait()
        ended.append(end_sessions(store, ADA, JIM, [granted.session.sid], cool_down_s=60).sessions)

    threads = [Thread(target=end_it, args=(site.second(),)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(ended) == [0, 1]
    assert len(events(site)) == 1


# Barring by itself


def test_a_client_is_suspended_and_resumed_and_each_is_an_event(site: Site) -> None:
    assert suspend(site, "c1", START_MS + 60_000)
    assert suspended(site, "c1") == 60
    assert not suspend(site, "c1", START_MS + 60_000)
    assert suspend(site, "c1", None)
    assert suspended(site, "c1") is None
    assert not suspend(site, "c1", None)
    assert events(site) == [
        (ADA, "client c1", "no seat until 2023-11-14T22:15:00Z"),
        (ADA, "client c1", "may take a seat again"),
    ]


def test_a_bar_that_is_over_is_nothing_to_lift(site: Site) -> None:
    suspend(site, "c1", START_MS + 60_000)
    wait(site, 60)
    assert not suspend(site, "c1", None)


@pytest.mark.parametrize("until_ms", [0, START_MS, START_MS + 86_400_001])
def test_a_bar_ends_later_than_now_and_within_a_day(site: Site, until_ms: int) -> None:
    with pytest.raises(InvalidValue, match="ends later than now and within 24h"):
        suspend(site, "c1", until_ms)


def test_other_changes_of_a_client_leave_its_bar_alone(site: Site) -> None:
    suspend(site, "c1", START_MS + 60_000)
    with changing(site.store, ADA) as change:
        change.tenant(JIM).set_client("c1", sessions_max=5)
        change.tenant(JIM).set_user("U1", name="Another")
    assert suspended(site, "c1") == 60
    with pytest.raises(NotFound, match="there is no client c9"):
        suspend(site, "c9", None)
