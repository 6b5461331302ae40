"""L13, L14: what an administrator set of a pool, beside what is signed for it."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from licet.ledger.commands import Denied
from licet.model import Duplicates
from licet.refusal import Code
from licet.reports import live
from licet.reports.occupancy import occupancy
from licet.reports.overview import overview
from licet.setup.change import changing
from licet.setup.check import check
from licet.setup.file import read, write
from licet.setup.licence_terms import LicenceKept
from licet.setup.licences import remove, unsign
from licet.setup.plan import apply
from licet.store.errors import SetupError
from support.licences.signed_site import HOLD_S, denied, licence, numbers, put, signed_site
from support.store.hold_site import end, set_pool, wait
from support.store.kinds import Place
from support.store.setup_site import ADA, JIM, START_MS, Site


@pytest.fixture
def site(make_place: Callable[[int], Place]) -> Iterator[Site]:
    """Three clients, and a pool of ten seats whose vendor is trusted."""
    with signed_site(make_place(START_MS)) as made:
        yield made


def limits(site: Site) -> tuple[int, int, int | None, int]:
    """The seats of the row, those in use, its room, and by how many too many are in use."""
    row = site.pool()
    return row.seats, row.in_use, row.room, row.overuse


def notes(site: Site) -> list[str]:
    """What `licet check` says of the pool that is no contradiction."""
    with site.store.reading() as connection:
        found = check(connection, site.store.tenants(), site.clock.now_ms())
    return [it.problem for it in found if it.target == "pool full"]


def set_tenant(site: Site, **changes: Any) -> None:
    """Change the tenant."""
    with changing(site.store, ADA) as change:
        change.tenant(JIM).set(**changes)
    site.store.refresh_tenants()


class TestSeats:
    """The lesser of both numbers counts."""

    def test_an_administrator_who_sets_none_has_all_that_are_signed(self, site: Site) -> None:
        """Also more than before, without anybody doing anything."""
        put(site, licence())
        set_pool(site, seats=None)
        site.grant("c1")
        site.grant("c2")
        assert denied(site, "c3").seats == 2
        put(site, licence(serial=2, seats=3))
        site.grant("c3")
        assert limits(site) == (0, 3, 3, 0)
        assert site.event()[-1] == "serial 2 of acme: full 3 seats, expires never"

    def test_fewer_seats_than_are_signed_are_the_administrators_limit(self, site: Site) -> None:
        """L6: who is in stays, is overuse, and may refresh (L5)."""
        put(site, licence(seats=3))
        first = site.grant("c1")
        site.grant("c2")
        set_pool(site, seats=1)
        assert limits(site) == (1, 2, 1, 1)
        assert (denied(site, "c3").reason, denied(site, "c3").seats) == ("all_in_use", 1)
        assert not isinstance(site.refresh(first), Denied)
        end(site, first)
        wait(site, HOLD_S + 1)
        assert denied(site, "c3").in_use == 1
        assert limits(site)[3] in {0, 1}

    def test_a_pool_without_a_licence_and_without_a_number_has_none(self, site: Site) -> None:
        """So that a set-up file can be applied before the licence comes."""
        set_pool(site, seats=None)
        outcome = denied(site, "c1")
        assert (outcome.reason, outcome.seats, outcome.retry_after_s) == ("licence_missing", 0, None)
        assert notes(site) == ["it is in no licence, and no number of seats is set: it has none"]
        put(site, licence())
        assert site.grant("c1").seat_number == 1
        assert notes(site) == []

    def test_the_file_leaves_the_number_out(self, site: Site) -> None:
        """And no licence is in it."""
        put(site, licence())
        set_pool(site, seats=None, overdraft=1)
        text = write([site.tenant])
        assert '[tenant.Jim_Test.pool.full]\nduplicates = "client"\noverdraft = 1\n' in text
        assert "C-1" not in text
        assert apply(site.store, read(text, "f.toml"), ADA).changes == 0

    def test_a_file_with_more_seats_than_are_signed_is_taken_and_says_so(self, site: Site) -> None:
        """So does the check; nothing of it gives a seat."""
        put(site, licence())
        text = write([site.tenant]).replace("seats = 10", "seats = 40\noverdraft = 3")
        applied = apply(site.store, read(text, "f.toml"), ADA)
        said = "40 seats are set, and 2 are signed: it has 2; an overdraft of 3 is set, and 0 signed"
        assert applied.notes == (f"pool full of {JIM}: {said}",)
        site.store.refresh_tenants()
        assert notes(site) == [said]
        for client in ("c1", "c2"):
            site.grant(client)
        assert denied(site, "c3").seats == 2


class TestOverdraft:
    """L14. Signed; an administrator may only lower it."""

    @pytest.mark.parametrize(("overdraft", "room"), [(None, 2), (5, 2), (1, 2), (0, 1)])
    def test_the_lesser_of_the_one_set_and_the_one_signed_counts(
        self, site: Site, overdraft: int | None, room: int
    ) -> None:
        """None is all of it."""
        put(site, licence(seats=1, overdraft=1))
        set_pool(site, overdraft=overdraft)
        for client in ("c1", "c2", "c3")[:room]:
            site.grant(client)
        assert (denied(site, "c3").seats, denied(site, "c3").in_use) == (1, room)
        assert limits(site) == (10, room, room, 0)

    def test_a_pool_in_no_licence_has_none_whatever_is_set(self, site: Site) -> None:
        """It is the vendor's to give."""
        set_pool(site, seats=1, overdraft=5)
        site.grant("c1")
        assert denied(site, "c2").in_use == 1

    def test_one_that_is_lowered_ends_no_session_and_gives_no_new_seat(self, site: Site) -> None:
        """As with seats (L6)."""
        put(site, licence(seats=1, overdraft=1))
        site.grant("c1")
        site.grant("c2")
        set_pool(site, overdraft=0)
        assert limits(site) == (10, 2, 1, 1)
        assert denied(site, "c3").reason == "all_in_use"

    def test_it_is_for_who_owns_all_tenants(self, site: Site) -> None:
        """As all that is part of the licence."""
        put(site, licence(seats=1, overdraft=1))
        for changes in ({"overdraft": 0}, {"seats": None}):
            with pytest.raises(LicenceKept), changing(site.store, ADA, keeps_licence=True) as change:
                change.tenant(JIM).set_pool("full", **changes)
        with pytest.raises(LicenceKept), changing(site.store, ADA, keeps_licence=True) as change:
            change.tenant(JIM).set(licence_required=True)


class TestLicenceRequired:
    """A tenant may take no seat that nobody has signed."""

    def test_a_pool_in_no_licence_gives_none(self, site: Site) -> None:
        """Though its administrator set a number; waiting does not help."""
        kept = site.grant("c1")
        set_tenant(site, licence_required=True)
        outcome = denied(site, "c2")
        assert (outcome.reason, outcome.retry_after_s) == ("licence_missing", None)
        assert denied(site, "c1").reason == "licence_missing"
        assert not isinstance(site.refresh(kept), Denied)
        assert notes(site) == ["it is in no licence, which its tenant requires: it gives no seat"]
        site.grant("c2", "view")

    def test_one_that_is_signed_is_as_ever(self, site: Site) -> None:
        """And one whose licences are over says that, and not that there is none."""
        set_tenant(site, licence_required=True)
        put(site, licence(exp=START_MS // 1000 + 100))
        assert site.grant("c1").seat_number == 1
        wait(site, 100)
        assert denied(site, "c1").reason == "licence_expired"

    def test_one_that_is_made_unsigned_gives_none_any_more(self, site: Site) -> None:
        """Before that its licence is removed."""
        set_tenant(site, licence_required=True)
        put(site, licence())
        with changing(site.store, ADA) as change:
            remove(change, JIM, "C-1", 1)
            unsign(change, JIM, "full")
        site.store.refresh_tenants()
        assert denied(site, "c1").reason == "licence_missing"


class TestUnsigned:
    """A pool that is made unsigned has what its administrator set."""

    def test_it_counts_from_then_on_without_numbers(self, site: Site) -> None:
        """Sessions that were not ended with the licence go on."""
        put(site, licence(), licence(name="B", seats=1))
        with changing(site.store, ADA) as change:
            remove(change, JIM, "B", 1)
            remove(change, JIM, "C-1", 1)
        with changing(site.store, ADA) as change:
            assert unsign(change, JIM, "full")
        site.store.refresh_tenants()
        for client in ("c1", "c2", "c3"):
            assert site.grant(client).seat_number == 0
        assert limits(site) == (10, 3, None, 0)
        assert numbers(site) == {"c1": 0, "c2": 0, "c3": 0}

    def test_a_pool_cannot_be_counted_as_its_licence_does_not_allow(self, site: Site) -> None:
        """Refused where it is set, as where the licence is installed; and a grant would be denied."""
        put(site, licence(duplicates=["client"]))
        for duplicates in (Duplicates.USER, Duplicates.NONE):
            with pytest.raises(SetupError, match="C-1 lets pool full count") as refused:
                set_pool(site, duplicates=duplicates)
            assert (refused.value.code, refused.value.field) == (Code.NOT_TOGETHER, "duplicates")


def test_seats_above_those_that_were_bought_are_shown_as_overdraft(site: Site) -> None:
    """L14. Not as overuse: in the live list, the overview, the metrics; what is beyond is too many (L6)."""
    set_pool(site, seats=None)
    put(site, licence(seats=1, overdraft=1))
    for client in ("c1", "c2"):
        site.grant(client)
    assert shown(site) == [(1, 2, 1, 0)] * 3
    set_pool(site, overdraft=0)
    assert shown(site) == [(1, 2, 0, 1)] * 3


def test_a_step_is_shown_when_it_comes(site: Site) -> None:
    """Though nobody asked for a seat since."""
    put(site, licence(seats=3), licence(serial=2, seats=2, nbf=START_MS // 1000 + 100))
    site.grant("c1")
    assert shown(site) == [(3, 1, 0, 0)] * 3
    wait(site, 100)
    assert shown(site) == [(2, 1, 0, 0)] * 3


def shown(site: Site) -> list[tuple[int, int, int, int]]:
    """Seats, those in use, overdraft and overuse of the pool, in three places."""
    tenant, now_ms = site.tenant, site.clock.now_ms()
    with site.store.reading() as connection:
        [now] = live.seats(connection, tenant, now_ms).pools
        [of_tenant] = overview(connection, now_ms, known=site.store.tenant, tenant_id=tenant.id).tenants
        [counted] = occupancy(connection, now_ms, pools=tenant.pools, tenants_max=10).pools
    [pool] = of_tenant.pools
    overdraft = min(pool.in_use - pool.seats, pool.overdraft) if pool.in_use > pool.seats else 0
    return [
        *((it.seats, it.in_use, it.overdraft_in_use, it.overuse) for it in (now, counted)),
        (pool.seats, pool.in_use, overdraft, pool.overuse),
    ]
