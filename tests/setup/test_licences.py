"""Trusting vendors, installing and removing their licences, by the set-up and the ledger together."""

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import delete, insert, update

from licet.ledger.commands import Granted, Refresh, SessionUnknown, Sweep
from licet.licences.errors import LicenceCode, LicenceRefused
from licet.model import Duplicates
from licet.refusal import Code
from licet.setup.change import changing
from licet.setup.check import check
from licet.setup.licence_terms import LicenceKept
from licet.setup.licences import distrust, install, installed, remove, trust, trusted, unsign
from licet.store import schema
from licet.store.errors import NotFound, SetupError, StillInUse
from licet.store.nodes import SILENT_AFTER_MS
from support.licences.signed_pools import file_of, text_of, the_vendor, vendor_file
from support.licences.signed_site import HOLD_S, denied, licence, numbers, put, signed_site
from support.licences.vendors import TestVendor
from support.store.hold_site import end, set_pool, wait
from support.store.kinds import Place
from support.store.setup_site import ADA, JIM, START_MS, Site

NOW_S = START_MS // 1000


@pytest.fixture
def site(make_place: Callable[[int], Place]) -> Iterator[Site]:
    """Three clients, and a pool without a hold whose vendor is trusted."""
    with signed_site(make_place(START_MS)) as made:
        yield made


def events(site: Site) -> list[tuple[str, str, str]]:
    """What was recorded of licences and trust."""
    return [
        (row.action, row.target, row.detail)
        for row in site.rows(schema.event)
        if row.target.startswith(("licence", "vendor"))
    ]


def test_a_pool_has_the_seats_of_its_licence_from_the_moment_it_is_installed(site: Site) -> None:
    """And its hold, and numbers; what an administrator typed beyond that is no seat."""
    change = put(site, licence())
    assert change.tally.total().are_any is False
    first = site.grant("c1")
    assert first.seat_number == 1
    assert site.grant("c2").seat_number == 2
    assert denied(site, "c3").seats == 2
    end(site, first)
    assert denied(site, "c3").retry_after_s == 60


def test_the_seats_in_use_get_numbers_the_oldest_first(site: Site) -> None:
    """And are held for their last tokens from now on."""
    for client in ("c2", "c1"):
        site.grant(client)
        wait(site, 10)
    put(site, licence())
    assert numbers(site) == {"c2": 1, "c1": 2}
    assert site.grant("c1").seat_number == 2
    [row] = site.rows(schema.pool)
    assert (row.in_use, row.numbers_used) == (2, 2)


def test_what_a_licence_has_no_number_for_ends_and_is_counted_before(site: Site) -> None:
    """The newest seats; with their holds."""
    for client in ("c3", "c1", "c2"):
        site.grant(client)
        wait(site, 10)
    change = put(site, licence(seats=1))
    assert change.tally.total().sessions_ended == 2
    assert numbers(site) == {"c3": 1}
    assert site.pool().in_use == 1
    assert denied(site, "c1").reason == "all_in_use"


def test_what_lives_beyond_the_end_of_a_licence_is_cut_short(site: Site) -> None:
    """To the millisecond: sessions and seats; the seats that stay are as they were."""
    sessions = [site.grant(client) for client in ("c1", "c2")]
    change = put(site, licence(seats=1), licence(name="B", seats=1, exp=NOW_S + 100))
    ending = change.tally.total()
    assert (ending.sessions_ended, ending.sessions_cut_short) == (0, 1)
    assert sorted(row.expires_at_ms - START_MS for row in site.rows(schema.seat)) == [100_000, 1_200_000]
    wait(site, 100)
    assert not isinstance(site.commit(_refresh(site, sessions[0])), SessionUnknown)
    assert site.commit(_refresh(site, sessions[1])) == SessionUnknown()


def test_a_step_to_come_cuts_a_seat_also_where_a_renewal_comes_before_it(site: Site) -> None:
    """The renewal lengthens nothing, a refresh does; the number of who did not ask is held all the same."""
    put(site, licence(), licence(serial=2, exp=NOW_S + 30))
    refreshed, silent = site.grant("c1"), site.grant("c2")
    wait(site, 10)
    put(site, licence(serial=3))
    site.commit(_refresh(site, refreshed))
    wait(site, 20)
    assert site.lives(refreshed)
    assert not site.lives(silent)
    answer = denied(site, "c3")
    assert (answer.reason, answer.in_use, answer.seats) == ("all_in_use", 1, 2)
    assert answer.retry_after_s == HOLD_S - 30
    wait(site, HOLD_S - 30)
    assert site.grant("c3").seat_number == 2


def _refresh(site: Site, granted: Granted) -> Refresh:
    key = granted.session.client_key
    return Refresh(tenant_id=site.tenant.id, client_key=key, sid=granted.session.sid)


def test_a_renewal_and_a_licence_more_give_their_seats_at_once(site: Site) -> None:
    """A higher serial takes the place of the lower; another id adds up."""
    put(site, licence())
    put(site, licence(serial=2, seats=1), licence(name="B", seats=2))
    for client in ("c1", "c2", "c3"):
        site.grant(client)
    assert seats_signed(site) == 3


def seats_signed(site: Site) -> int:
    """How many seats are signed now."""
    [pool] = site.tenant.pools.values()
    signed = pool.signed
    assert signed is not None
    return signed.at(site.clock.now_ms()).signed


def test_the_same_file_once_more_changes_nothing(site: Site) -> None:
    """Not even the version of the set-up."""
    put(site, licence_text := licence())
    version = site.store.setup_version
    put(site, licence_text)
    assert site.store.setup_version == version


def test_a_longer_hold_counts_for_numbers_that_are_free(site: Site) -> None:
    """From the last token of each: nobody gets one sooner."""
    put(site, licence(seats=1))
    end(site, site.grant("c1"))
    wait(site, 60)
    end(site, site.grant("c2"))
    wait(site, 61)
    site.commit(Sweep(sessions_max=10))
    put(site, licence(serial=2, seats=1, hold=300))
    assert denied(site, "c3").retry_after_s == 239
    wait(site, 239)
    assert site.grant("c3").seat_number == 1


@pytest.mark.parametrize("duplicates", [Duplicates.NONE, Duplicates.USER])
def test_a_pool_that_is_counted_otherwise_is_refused_and_why(site: Site, duplicates: Duplicates) -> None:
    """It has to be changed first; nothing is installed."""
    set_pool(site, duplicates=duplicates)
    with pytest.raises(SetupError, match="counts its seats by") as refused:
        put(site, licence(duplicates=["client"]))
    assert (refused.value.code, refused.value.field) == (Code.NOT_TOGETHER, "duplicates")
    assert site.rows(schema.licence) == []


def test_a_licence_of_a_pool_that_is_not_there_is_refused(site: Site) -> None:
    """It is added first."""
    with pytest.raises(SetupError, match="is for pool other, and tenant Jim_Test has none") as refused:
        put(site, text_of("other", "all", seats=2))
    assert refused.value.code is Code.NOT_FOUND


def test_it_is_refused_while_a_server_works_that_knows_no_numbers(site: Site) -> None:
    """It would give seats without one. A silent one is gone."""
    node = {
        "id": "1", "name": "old:8080", "version": "0.1.0", "schema": "0004", "url": "", "token_keys": "[]",
        "pepper": "", "started_at_ms": 0, "seen_at_ms": START_MS, "skew_ms": 0,
    }  # fmt: skip
    with site.store.transaction() as transaction:
        transaction.connection.execute(insert(schema.node).values(node))
    with pytest.raises(StillInUse, match=r"old:8080 \(0.1.0\)") as refused:
        put(site, licence())
    assert refused.value.code is Code.OLDER_NODES
    wait(site, SILENT_AFTER_MS // 1000 + 1)
    put(site, licence())


def test_a_licence_of_nobody_who_is_trusted_or_of_another_tenant_is_refused(site: Site) -> None:
    """And what is installed stays."""
    put(site, licence())
    stranger = TestVendor()
    for text, code in (
        (stranger.sign(stranger.pool(seats=99)), LicenceCode.UNKNOWN_KEY),
        (licence(serial=2, tenant="Other"), LicenceCode.OTHER_TENANT),
        (licence(seats=9), LicenceCode.SERIAL_TAKEN),
    ):
        with pytest.raises(LicenceRefused) as refused:
            put(site, text)
        assert refused.value.code is code
    assert seats_signed(site) == 2


def test_one_licence_of_a_file_that_is_refused_refuses_the_file(site: Site) -> None:
    """Nothing of it is installed."""
    with pytest.raises(LicenceRefused):
        put(site, licence(), licence(name="B", tenant="Other"))
    assert site.rows(schema.licence) == []


def test_a_licence_that_is_removed_ends_what_it_gave_and_is_not_installed_again(site: Site) -> None:
    """Nor is a lower serial; and the pool stays signed."""
    put(site, licence())
    put(site, licence(serial=2))
    site.grant("c1")
    with changing(site.store, ADA) as change:
        remove(change, JIM, "C-1", 2)
        assert change.tally.total().sessions_ended == 1
    assert denied(site, "c1").reason == "licence_expired"
    for serial in (1, 2):
        with pytest.raises(LicenceRefused) as refused:
            put(site, licence(serial=serial))
        assert refused.value.code is LicenceCode.REMOVED_SERIAL
    put(site, licence(serial=3))
    wait(site, 60)
    assert site.grant("c1").seat_number == 1
    with pytest.raises(NotFound), changing(site.store, ADA) as change:
        remove(change, JIM, "C-1", 9)


def test_numbers_are_held_for_their_last_tokens_and_no_longer_over_a_time_without_a_licence(
    site: Site,
) -> None:
    """L18: without a licence there is no hold; with the next one it is again that since the last token."""
    put(site, licence())
    site.grant("c1")
    site.grant("c2")
    wait(site, 10)
    site.grant("c1")
    wait(site, 10)
    with changing(site.store, ADA) as change:
        remove(change, JIM, "C-1", 1)
    wait(site, 5)
    put(site, licence(serial=2))
    assert denied(site, "c3").retry_after_s == HOLD_S - 25
    wait(site, HOLD_S - 25)
    assert site.grant("c3").seat_number == 2
    assert denied(site, "c2").retry_after_s == 10
    wait(site, 10)
    assert site.grant("c2").seat_number == 1


def test_without_trust_a_licence_gives_nothing_and_stays_installed(site: Site) -> None:
    """It counts again when its vendor is trusted again."""
    put(site, licence())
    site.grant("c1")
    with changing(site.store, ADA) as change:
        distrust(change, "acme", "jim2-api")
        assert change.tally.total().sessions_ended == 1
    assert denied(site, "c1").reason == "licence_expired"
    tenant_id = site.tenant.id
    with site.store.reading() as connection:
        assert trusted(connection) == []
        [row] = installed(connection, tenant_id, JIM)
    assert (row.name, row.serial, row.licence) == ("C-1", 1, None)
    with pytest.raises(NotFound), changing(site.store, ADA) as change:
        distrust(change, "acme", "jim2-api")
    with changing(site.store, ADA) as change:
        assert trust(change, vendor_file(the_vendor()).encode())
    wait(site, 60)
    assert site.grant("c1").seat_number == 1


def test_a_row_that_was_damaged_can_be_installed_again(site: Site) -> None:
    """It contributes nothing until then."""
    put(site, text := licence())
    with site.store.transaction() as transaction:
        transaction.connection.execute(update(schema.licence).values(text="x"))
    put(site, text)
    assert site.grant("c1").seat_number == 1


def test_a_pool_is_made_unsigned_when_no_licence_is_left(site: Site) -> None:
    """Then it has the seats that were set, without numbers."""
    put(site, licence())
    site.grant("c1")
    with pytest.raises(StillInUse, match="C-1"), changing(site.store, ADA) as change:
        unsign(change, JIM, "full")
    with changing(site.store, ADA) as change:
        remove(change, JIM, "C-1", 1)
    with changing(site.store, ADA) as change:
        assert unsign(change, JIM, "full")
    with changing(site.store, ADA) as change:
        assert not unsign(change, JIM, "full")
    assert [site.grant(client).seat_number for client in ("c1", "c2", "c3")] == [0, 0, 0]
    assert site.rows(schema.seat_free) == []


def test_who_owns_one_tenant_installs_and_does_nothing_else(site: Site) -> None:
    """Trust and removal are for whoever owns all tenants."""
    with changing(site.store, ADA, keeps_licence=True) as change:
        install(change, JIM, file_of(licence()))
    for what in (
        lambda change: remove(change, JIM, "C-1", 1),
        lambda change: unsign(change, JIM, "full"),
        lambda change: distrust(change, "acme", "jim2-api"),
        lambda change: trust(change, vendor_file(TestVendor("b")).encode()),
    ):
        with pytest.raises(LicenceKept), changing(site.store, ADA, keeps_licence=True) as change:
            what(change)


def test_a_pool_that_is_removed_and_added_again_is_still_signed(site: Site) -> None:
    """Its licence names it."""
    put(site, licence())
    with changing(site.store, ADA) as change:
        setup = change.tenant(JIM)
        setup.set_scope("all", pool=None)
        setup.remove_pool("full")
        setup.add_pool("full", seats=100)
        setup.set_scope("all", pool="full")
    site.store.refresh_tenants()
    assert seats_signed(site) == 2
    assert site.grant("c1").seat_number == 1


def test_a_tenant_that_is_removed_takes_its_licences_with_it(site: Site) -> None:
    """Another of its name has none."""
    put(site, licence())
    with changing(site.store, ADA) as change:
        change.remove_tenant(JIM)
    assert site.rows(schema.licence) == []


def test_each_change_leaves_an_event(site: Site) -> None:
    """Who, what, and how many seats; no text of a licence."""
    put(site, licence(overdraft=1))
    with changing(site.store, ADA) as change:
        remove(change, JIM, "C-1", 1)
        distrust(change, "acme", "jim2-api")
    kid = the_vendor().kid
    assert events(site) == [
        ("trust", "vendor acme", f"product jim2-api, keys {kid}"),
        ("install", "licence C-1", "serial 1 of acme: full 2 seats and 1 above, expires never"),
        ("remove", "licence C-1", "serial 1 of acme"),
        ("distrust", "vendor acme", "product jim2-api"),
    ]


def test_a_file_that_is_no_vendors_changes_nothing(site: Site) -> None:
    """Nor does the same file once more."""
    with pytest.raises(LicenceRefused), changing(site.store, ADA) as change:
        trust(change, b"{}")
    with changing(site.store, ADA) as change:
        assert not trust(change, vendor_file(the_vendor()).encode())


def test_a_licence_that_counts_for_nothing_is_found(site: Site) -> None:
    """By `licet check`, which says what to do; one that was removed is no finding."""
    put(site, licence(), licence(name="B"))
    with site.store.transaction() as transaction:
        row = schema.licence.c
        transaction.connection.execute(update(schema.licence).where(row.licence == "B").values(text="x"))
    assert found(site) == [("licence B", "serial 1 gives no seats: its text was changed")]
    with changing(site.store, ADA) as change:
        remove(change, JIM, "B", 1)
    assert found(site) == []


def found(site: Site) -> list[tuple[str, str]]:
    """What `licet check` finds wrong of licences and pools."""
    site.store.refresh_tenants()
    with site.store.reading() as connection:
        findings = check(connection, site.store.tenants(), site.clock.now_ms())
    about = ("licence", "pool")
    return [(it.target, it.problem) for it in findings if it.is_wrong and it.target.startswith(about)]


def test_overdraft_is_no_overuse(site: Site) -> None:
    """L14. The pool has the seats that were bought, and one more is in use."""
    set_pool(site, seats=2)
    put(site, licence(seats=2, overdraft=1))
    for client in ("c1", "c2", "c3"):
        site.grant(client)
    assert (site.pool().room, site.pool().overuse) == (3, 0)
    assert found(site) == []


def test_a_number_that_is_lost_is_found(site: Site) -> None:
    """Whoever edited the tables: it can be nobody's any more."""
    put(site, licence())
    end(site, site.grant("c1"))
    wait(site, 60)
    site.commit(Sweep(sessions_max=1))
    with site.store.transaction() as transaction:
        transaction.connection.execute(delete(schema.seat_free))
    assert found(site) == [("pool full", "its highest number is 1, and 0 are taken or free")]
    with site.store.transaction() as transaction:
        transaction.connection.execute(update(schema.pool).values(numbers_used=0, numbers_free=0))
