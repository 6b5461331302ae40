"""Usage statements that are kept: a chain without a gap, whoever makes the next one, and for how long."""

from collections.abc import Callable, Iterator
from threading import Barrier, Thread

import pytest
from sqlalchemy import delete, update

from licet.credentials.keyring import new_keyring
from licet.journal.retention import remove_aged, remove_history
from licet.model import InvalidValue
from licet.refusal import Code
from licet.reports.usage_statements.kept import KeptStatement, make_statement, statement_text, statements
from licet.store import schema
from licet.store.errors import SetupError
from licet.vendor.statements import Statement, read_statement, troubles
from support.examples import jim_test
from support.store.kinds import Place
from support.store.report_site import DAY_MS, Site
from support.store.store_site import rows

DAY = 30_000 * DAY_MS  # a midnight of UTC
KEYRING = new_keyring(DAY)


@pytest.fixture
def place(make_place: Callable[[int], Place]) -> Iterator[Place]:
    """An empty store, two hours after midnight."""
    place = make_place(DAY + 7_200_000)
    yield place
    place.close()


@pytest.fixture
def site(place: Place) -> Site:
    """A tenant of which nothing was stated yet."""
    return Site(place, jim_test())


def make(
    site: Site, from_ms: int | None = None, until_ms: int | None = None, after: Statement | None = None
) -> KeptStatement:
    """Make the next statement."""
    return make_statement(site.store, KEYRING, site.tenant, "ada", from_ms, until_ms, after=after)[0]


def kept(site: Site) -> list[KeptStatement]:
    """The statements that are kept."""
    with site.store.reading() as connection:
        return statements(connection, site.tenant.id)


def read(site: Site, seq: int) -> Statement:
    """A statement as a vendor reads it."""
    with site.store.reading() as connection:
        text = statement_text(connection, site.tenant.id, seq)
    assert text is not None
    return read_statement(text)


def test_each_statement_follows_the_one_before_without_a_file(site: Site) -> None:
    """A vendor that reads them finds nothing amiss, and each begins where the one before ended."""
    made = [make(site, DAY - 3 * DAY_MS, DAY - DAY_MS), make(site)]
    site.clock.advance(seconds=2 * 86_400)
    made.append(make(site, until_ms=DAY + DAY_MS))
    assert kept(site) == made
    assert [it.seq for it in made] == [1, 2, 3]
    assert [it.from_ms for it in made[1:]] == [it.until_ms for it in made[:-1]] == [DAY - DAY_MS, DAY]
    assert [*troubles(read(site, seq) for seq in (1, 2, 3))] == []
    assert [read(site, it.seq).hash for it in made] == [it.hash for it in made]


def test_who_made_it_is_recorded(site: Site) -> None:
    """With its number and its span."""
    make(site)
    [event] = [row for row in rows(site.store, schema.event) if "statement" in row.target]
    assert (event.actor, event.action, event.target) == ("ada", "add", "usage statement 1")


def test_of_two_that_are_made_at_once_one_is_kept_and_the_other_is_refused(place: Place, site: Site) -> None:
    """Two different statements about one time would look like fraud to the vendor."""
    stores, begun, faults = [place.open(), place.open()], Barrier(2), []

    def state(at: int) -> None:
        begun.wait(60)
        try:
            make_statement(stores[at], KEYRING, site.tenant, f"node {at}")
        except SetupError as fault:
            faults.append(fault)

    for store in stores:
        store.refresh_tenants()
    threads = [Thread(target=state, args=[at]) for at in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(kept(site)) == len(faults) == 1
    assert faults[0].code in {Code.CHANGED_MEANWHILE, Code.OUT_OF_RANGE}  # at once, or a little later


@pytest.mark.parametrize(
    ("from_ms", "until_ms", "code"),
    [
        (None, DAY + DAY_MS, Code.OUT_OF_RANGE),
        (None, DAY - DAY_MS + 1, Code.OUT_OF_RANGE),
        (DAY - DAY_MS + 1, None, Code.OUT_OF_RANGE),
        (DAY, None, Code.OUT_OF_RANGE),
        (DAY - 500 * DAY_MS, None, Code.OUT_OF_RANGE),
        (DAY, DAY - DAY_MS, Code.OUT_OF_RANGE),
    ],
)
def test_what_cannot_be_stated_is_refused_and_nothing_is_kept(
    site: Site, from_ms: int | None, until_ms: int | None, code: Code
) -> None:
    """The future, a part of a day, nothing at all, more than is kept."""
    with pytest.raises((InvalidValue, SetupError)) as refused:
        make(site, from_ms, until_ms)
    assert refused.value.code is code
    assert kept(site) == []


def test_a_statement_that_would_leave_a_gap_is_refused(site: Site) -> None:
    """It begins where the last one ended; to say just that is allowed."""
    make(site, DAY - 3 * DAY_MS, DAY - 2 * DAY_MS)
    with pytest.raises(InvalidValue, match="the next statement begins where number 1 ended"):
        make(site, DAY - DAY_MS)
    assert make(site, DAY - 2 * DAY_MS).seq == 2


class TestAfterFiles:
    """A chain that began before statements were kept, and a store that was restored from a copy."""

    def test_it_goes_on_from_a_file(self, site: Site) -> None:
        """And from then on without one."""
        make(site, DAY - 4 * DAY_MS, DAY - 3 * DAY_MS)
        make(site, None, DAY - 2 * DAY_MS)
        files = [read(site, 1), read(site, 2)]
        with site.store.transaction() as transaction:
            transaction.connection.execute(delete(schema.usage_statement))
        third = make(site, None, DAY - DAY_MS, after=files[1])
        assert (third.seq, third.from_ms) == (3, DAY - 2 * DAY_MS)
        assert make(site).seq == 4
        assert [*troubles([*files, read(site, 3), read(site, 4)])] == []

    def test_one_that_is_not_the_last_is_refused(self, site: Site) -> None:
        """An earlier one, and another with the same number: it would contradict the first."""
        make(site, DAY - 4 * DAY_MS, DAY - 3 * DAY_MS)
        first = read(site, 1)
        with site.store.transaction() as transaction:
            transaction.connection.execute(delete(schema.usage_statement))
        make(site, DAY - 4 * DAY_MS, DAY - 2 * DAY_MS)
        with pytest.raises(SetupError, match="the last statement is number 1, which is kept"):
            make(site, after=first)
        make(site)
        with pytest.raises(SetupError, match="the last statement is number 2, which is kept"):
            make(site, after=first)
        assert len(kept(site)) == 2

    def test_one_of_another_tenant_is_refused(self, site: Site) -> None:
        """Its hash would chain to nothing."""
        make(site)
        other = read(site, 1)._replace(claims={**read(site, 1).claims, "tenant": "Other"})
        with pytest.raises(SetupError, match="is of the tenant Other"):
            make(site, after=other)


class TestKeptFor:
    """How many there are."""

    def test_all_but_the_last_are_removed_by_age(self, site: Site) -> None:
        """The next one follows the last, however old it is."""
        make(site, DAY - 3 * DAY_MS, DAY - 2 * DAY_MS)
        make(site, None, DAY - DAY_MS)
        site.clock.advance(seconds=900 * 86_400)
        remove_aged(site.store, 400 * DAY_MS, 800 * DAY_MS)
        assert [it.seq for it in kept(site)] == [2]
        assert make(site, until_ms=DAY).seq == 3
        remove_aged(site.store, 400 * DAY_MS, 800 * DAY_MS)
        assert [it.seq for it in kept(site)] == [3]

    def test_they_go_with_their_tenant(self, site: Site) -> None:
        """And a statement that was under way meanwhile is refused."""
        make(site, None, DAY - DAY_MS)
        tenant = site.tenant
        with site.store.transaction() as transaction:
            transaction.connection.execute(update(schema.tenant).values(removed_at_ms=1))
        with pytest.raises(SetupError, match="was removed meanwhile"):
            make_statement(site.store, KEYRING, tenant, "ada")
        remove_history(site.store)
        assert rows(site.store, schema.usage_statement) == []
