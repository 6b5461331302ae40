"""A store that was restored from a copy has forgotten who has which number of a signed pool (L13).

The API's guard has not: what these tests ask is the memory that a real guard has.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pytest
from sqlalchemy import Table, delete, insert

from licet.guard import OneProcess
from licet.ledger.commands import Denied, Granted
from licet.setup.change import changing, end_all_after_restore
from licet.store import schema
from support.licences.signed_site import HOLD_S, licence, put, signed_site
from support.store.hold_site import end, wait
from support.store.kinds import Place
from support.store.setup_site import ADA, JIM, START_MS, Site

_FORGOTTEN = (schema.session, schema.seat, schema.seat_free, schema.pool)
Copy = Mapping[Table, Sequence[Any]]


class Api:
    """An API behind a guard, which knows whom it let in."""

    def __init__(self, site: Site) -> None:
        self._memory = OneProcess(now_s=lambda: site.clock.now_ms() / 1000)

    def refuses(self, client: str, granted: Granted) -> bool:
        """Whether a token that was just issued is refused."""
        iat, seat = granted.at_ms // 1000, str(granted.seat_number)
        return self._memory.take(seat, client, iat, HOLD_S) is not None


@pytest.fixture
def site(make_place: Callable[[int], Place]) -> Iterator[Site]:
    """Three clients, and a pool of two seats that are signed."""
    with signed_site(make_place(START_MS)) as made:
        put(made, licence())
        yield made


def copy_of(site: Site) -> Copy:
    """What a backup has of sessions and seats."""
    return {table: [row._asdict() for row in site.rows(table)] for table in _FORGOTTEN}


def restore(site: Site, copy: Copy) -> None:
    """Put it back."""
    with site.store.transaction() as transaction:
        for table in _FORGOTTEN[:-1]:
            transaction.connection.execute(delete(table))
        for table, rows in copy.items():
            for row in rows:
                if table is schema.pool:
                    values = {name: row[name] for name in ("in_use", "overuse", "numbers_used")}
                    transaction.connection.execute(
                        schema.pool.update().filter_by(id=row["id"]).values(values)
                    )
                else:
                    transaction.connection.execute(insert(table).values(row))


def end_all(site: Site) -> dict[str, int]:
    """What `licet session end --all --after-restore` does to the tenant."""
    _, withheld = end_all_after_restore(site.store, ADA, JIM, "the store was restored from a copy")
    return withheld


def ask(site: Site, client: str) -> Granted | int | None:
    """A grant, or after how many seconds to ask again."""
    outcome = site.ask(client)
    assert isinstance(outcome, Granted | Denied)
    return outcome if isinstance(outcome, Granted) else outcome.retry_after_s


def hand_over(site: Site, api: Api) -> Copy:
    """Number 1 is handed from `c1` to `c2`; the copy was made before."""
    first = site.grant("c1")
    assert not api.refuses("c1", first)
    copy = copy_of(site)
    end(site, first)
    wait(site, HOLD_S)
    second = site.grant("c2")
    assert (first.seat_number, second.seat_number) == (1, 1)
    assert not api.refuses("c2", second)
    return copy


def test_a_copy_alone_would_give_a_token_that_the_api_refuses(site: Site) -> None:
    """Which is why sessions are ended and numbers withheld."""
    api = Api(site)
    copy = hand_over(site, api)
    restore(site, copy)
    shared = site.grant("c1")
    assert api.refuses("c1", shared)


def test_no_seat_is_given_for_the_hold_and_then_no_token_is_refused(site: Site) -> None:
    """Neither a number more nor the seat of the copy; the denial says exactly when to ask again."""
    api = Api(site)
    restore(site, hand_over(site, api))
    assert end_all(site) == {"full": site.clock.now_ms() + HOLD_S * 1000}
    assert [ask(site, client) for client in ("c1", "c2", "c3")] == [HOLD_S] * 3
    wait(site, 59.999)
    assert [ask(site, client) for client in ("c1", "c2", "c3")] == [1] * 3
    wait(site, 0.001)
    for client, number in (("c3", 1), ("c1", 2)):
        granted = ask(site, client)
        assert isinstance(granted, Granted)
        assert granted.seat_number == number
        assert not api.refuses(client, granted)


def test_whenever_somebody_asks_no_token_is_granted_that_the_api_refuses(site: Site) -> None:
    """Every seven seconds each of them, from before the copy on."""
    api = Api(site)
    restore(site, hand_over(site, api))
    end_all(site)
    granted_first_s = None
    for round_s in range(0, 210, 7):
        for client in ("c3", "c1", "c2"):
            if isinstance(granted := ask(site, client), Granted):
                granted_first_s = round_s if granted_first_s is None else granted_first_s
                assert not api.refuses(client, granted)
                if client == "c3":
                    end(site, granted)
        wait(site, 7)
    assert granted_first_s == 63


def test_it_is_recorded_and_concerns_no_pool_without_a_licence(site: Site) -> None:
    """Whose sessions end, and who may come back at once."""
    with changing(site.store, ADA) as change:
        setup = change.tenant(JIM)
        setup.add_pool("plain", seats=1)
        setup.add_scope("report", pool="plain")
    site.grant("c1", "report")
    end_all(site)
    actor, tenant, action, target, detail = site.event()
    assert (actor, tenant, action, target) == (ADA, JIM, "hold", "pool full")
    assert detail == "no seat until 2023-11-14T22:15:00Z: the store was restored from a copy"
    assert site.grant("c2", "report").seat_number == 0


def test_a_licence_with_a_longer_hold_that_the_copy_lacked_puts_it_off(site: Site) -> None:
    """It is installed again after the restore: an API that knows it counts by its hold."""
    end_all(site)
    wait(site, 10)
    put(site, licence(serial=2, hold=300))
    assert ask(site, "c1") == 290
    wait(site, 290)
    assert isinstance(ask(site, "c1"), Granted)
