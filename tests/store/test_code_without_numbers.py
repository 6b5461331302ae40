"""L13: code of a version that knows no numbers of seats cannot give a seat of a signed pool.

Three things keep it out: a licence is not installed while such a server runs, nor before the upgrade is
finished; after that it does not start; and one that began in between gives no seat, as the tables refuse it.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from alembic import command
from sqlalchemy import Connection, text, update
from sqlalchemy.exc import IntegrityError

from licet.refusal import Code
from licet.store import migrate, schema
from licet.store.errors import Contradiction, SchemaUnknown, StillInUse
from licet.store.migrate import _config, check_current, current, finish, is_unfinished, upgrade
from licet.store.nodes import store_now_ms
from licet.store.opening import SQLITE_NAME, StoreAt
from support.licences.signed_site import HOLD_S, licence, put, signed_site
from support.store.hold_site import end, wait
from support.store.kinds import KINDS, Place
from support.store.setup_site import START_MS, Site

if TYPE_CHECKING:
    from support.store.postgres import Postgres

BEFORE = "0004"  # the last schema whose code knows no numbers
Begin = Callable[[], AbstractContextManager[Connection]]


@pytest.fixture
def site(make_place: Callable[[int], Place]) -> Iterator[Site]:
    """Three clients, and a pool whose vendor is trusted."""
    with signed_site(make_place(START_MS)) as made:
        yield made


@pytest.fixture(params=KINDS)
def begin(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Begin]:
    """Begins a transaction on an empty store of each kind."""
    if request.param == "sqlite":
        (tmp_path / SQLITE_NAME).touch()
        yield StoreAt(tmp_path).migrating
        return
    server: Postgres = request.getfixturevalue("postgres")
    yield StoreAt(tmp_path, server.create_database("numbers")).migrating
    server.drop_database("numbers")


def test_no_licence_is_installed_before_the_upgrade_is_finished(site: Site) -> None:
    """Else such a server could still start; what to do is said."""
    with site.store.transaction() as transaction:
        transaction.connection.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    with pytest.raises(StillInUse, match="finish the upgrade first") as refused:
        put(site, licence())
    assert refused.value.code is Code.OLDER_NODES
    with site.store.transaction() as transaction:
        finish(transaction.connection, transaction.now_ms)
    put(site, licence())


def test_a_licence_is_installed_during_an_upgrade_from_a_version_that_knows_numbers(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A last step that is left to do keeps out nobody who could give such a seat wrongly."""
    monkeypatch.setattr(migrate, "COMPATIBLE_FROM", "9001")
    with site.store.reading() as connection:
        assert is_unfinished(connection)
    put(site, licence())


def test_it_does_not_start_any_more(begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    """It finds a schema that only a later version knows, as every version since the first looks for that."""
    with begin() as connection:
        upgrade(connection)
        monkeypatch.setattr(migrate, "HEAD", BEFORE)
        with pytest.raises(SchemaUnknown, match="which only a later version of Licet knows"):
            check_current(connection)


# What it does to give a seat, and to take one back.
_SEAT = (
    "INSERT INTO seat (pool_id, holder, tenant_id, client_id, initials, taken_at_ms, expires_at_ms)"
    " VALUES (1, 'client:c9', 1, 'c9', 'U9', 1, 9999999999999)"
)
_COUNTS = (
    "UPDATE pool SET in_use = in_use + {0}, overuse = CASE WHEN in_use + {0} > seats THEN overuse ELSE 0 END"
)


def must_fail(site: Site, *statements: str) -> None:
    """Execute these in one transaction, the last of which the tables refuse."""
    *first, last = map(text, statements)
    with suppress(Contradiction), site.store.transaction() as transaction:
        for statement in first:
            transaction.connection.execute(statement)
        with pytest.raises((IntegrityError, Contradiction)) as refused:
            transaction.connection.execute(last)
        assert "ck_pool" in str(refused.value)
        raise Contradiction(str(refused.value))


@pytest.mark.parametrize("in_use", [0, 1, 2])
def test_the_tables_refuse_its_seats(site: Site, in_use: int) -> None:
    """Whether numbers are free, all are taken, or none was ever used."""
    put(site, licence())
    granted = [site.grant(client) for client in ("c1", "c2")[:in_use]]
    if in_use:
        end(site, granted[0])
        wait(site, HOLD_S)
    must_fail(site, _SEAT, _COUNTS.format(1))


def test_the_tables_refuse_that_it_takes_a_number_back(site: Site) -> None:
    """The number would be nobody's and not free: lost."""
    put(site, licence())
    site.grant("c1")
    must_fail(site, "DELETE FROM seat", _COUNTS.format(-1))


def test_a_pool_that_was_signed_before_the_checks_keeps_its_numbers(begin: Begin) -> None:
    """Which of them are free is counted by the migration."""
    with begin() as connection:
        assert current(connection) is None
        command.upgrade(_config(connection, "pre"), "0005")
        command.upgrade(_config(connection, "post"), "0001")
        for row in (
            (
                "tenant (id, name, version, session_ttl_s, access_ttl_s, scope_default, no_seat_status)"
                " VALUES (1, 'T', 1, 2, 1, 'all', 400)"
            ),
            (
                "pool (id, tenant_id, name, seats, duplicates, is_signed, in_use, overuse, numbers_used)"
                " VALUES (1, 1, 'full', 1, 'client', true, 2, 1, 3)"
            ),
            "pool (id, tenant_id, name, seats, duplicates, in_use) VALUES (2, 1, 'plain', 2, 'client', 1)",
            "seat_free (pool_id, number, from_ms) VALUES (1, 2, 5)",
        ):
            connection.execute(text(f"INSERT INTO {row}"))
        upgrade(connection)
        finish(connection, store_now_ms(connection))
        pools = connection.execute(text("SELECT in_use, numbers_free, room, overuse FROM pool ORDER BY id"))
        assert [tuple(row) for row in pools] == [(2, 1, 2, 0), (1, 0, None, 0)]
    for values in ({"in_use": 3}, {"numbers_free": 0}, {"room": 1}):
        with pytest.raises((IntegrityError, Contradiction)), begin() as connection:
            connection.execute(update(schema.pool).filter_by(id=1).values(values))
    with pytest.raises((IntegrityError, Contradiction)), begin() as connection:
        connection.execute(update(schema.pool).filter_by(id=2).values(in_use=3))
