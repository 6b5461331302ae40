"""What every store remembers of its tenants, and when it learns what has changed elsewhere."""

from sqlalchemy import delete, insert, update

from licet.lanes.commit import apply_all
from licet.ledger.commands import ClientRefused, Denied, Granted, SessionUnknown
from licet.model import EndReason, NoSeatReason
from licet.store import schema
from licet.store.contract import Store
from support.examples import add_tenant, bump, end, grant, jim_test, refresh
from support.store.kinds import Place
from support.store.store_site import OTHER, begin, do, in_use


class TestTheSetUp:
    """A change of the set-up counts from the next transaction on, wherever it was made."""

    def test_a_transaction_sees_what_another_store_changed(self, place: Place, store: Store) -> None:
        """The ledger decides on what is true at its own instant."""
        other = place.open()
        with other.transaction() as transaction:
            transaction.connection.execute(update(schema.pool).values(seats=0))
            bump(transaction.connection, 1)
        assert store.tenants()[1].pools[1].seats == 5
        [denied] = do(store, grant(1, 1))
        assert isinstance(denied, Denied)
        assert denied.reason is NoSeatReason.NO_SEATS
        assert store.tenants()[1].pools[1].seats == 0

    def test_looking_for_changes_finds_them_and_reads_only_what_changed(self, place: Place) -> None:
        """A snapshot of a tenant is one value until the tenant changes."""
        store = begin(place, jim_test(), OTHER)
        jim, other_tenant = store.tenants()[1], store.tenants()[2]
        other = place.open()
        with other.transaction() as transaction:
            transaction.connection.execute(update(schema.pool).filter_by(tenant_id=1).values(seats=7))
            bump(transaction.connection, 1)
        assert store.tenant("Jim_Test") is jim
        store.refresh_tenants()
        changed = store.tenant("Jim_Test")
        assert changed is not None
        assert changed.pools[1].seats == 7
        assert store.tenant("Other") is other_tenant
        store.refresh_tenants()
        assert store.tenant("Jim_Test") is changed

    def test_a_client_that_was_disabled_elsewhere_is_refused_at_once(
        self, place: Place, store: Store
    ) -> None:
        """L4. Its sessions are ended in the transaction that disables it."""
        do(store, grant(1, 1), grant(2, 2))
        other = place.open()
        with other.transaction() as transaction:
            apply_all(transaction, [end(1, EndReason.DISABLED)])
            transaction.connection.execute(update(schema.client).filter_by(key=1).values(enabled=False))
            bump(transaction.connection, 1)
        assert do(store, grant(1, 3), refresh(1, 1)) == [ClientRefused(), SessionUnknown()]
        assert in_use(store) == 1

    def test_a_change_that_the_database_has_lost_is_forgotten(self, place: Place, store: Store) -> None:
        """As by a failover to a standby that had not received it."""
        other = place.open()
        with other.transaction() as transaction:
            transaction.connection.execute(update(schema.client).filter_by(key=1).values(enabled=False))
            bump(transaction.connection, 1)
        assert do(store, grant(1, 1)) == [ClientRefused()]
        with other.transaction() as transaction:
            transaction.connection.execute(update(schema.client).filter_by(key=1).values(enabled=True))
            for table in (schema.setup, schema.tenant):
                transaction.connection.execute(update(table).values(version=table.c.version - 1))
        [granted] = do(store, grant(1, 2))
        assert isinstance(granted, Granted)
        other.refresh_tenants()
        assert other.tenants()[1].clients["TestClientId"].usable

    def test_a_tenant_that_was_removed_is_gone_and_one_that_was_added_is_there(
        self, place: Place, store: Store
    ) -> None:
        """Every tenant."""
        other = place.open()
        with other.transaction() as transaction:
            for table in (schema.scope, schema.client, schema.user, schema.pool):
                transaction.connection.execute(delete(table))
            bump(transaction.connection, 1)
            transaction.connection.execute(delete(schema.tenant))
            add_tenant(transaction.connection, OTHER)
        assert do(store, grant(1, 1)) == [ClientRefused()]
        assert store.tenant("Jim_Test") is None
        assert list(store.tenants()) == [2]
        assert isinstance(do(store, grant(50, 2, pool_id=9, tenant_id=2))[0], Granted)

    def test_a_client_secret_belongs_to_its_client(self, store: Store) -> None:
        """Several secrets per client, each with expiry and last use."""
        with store.transaction() as transaction:
            for name, key in ("a", 1), ("b", 2), ("c", 1):
                transaction.connection.execute(
                    insert(schema.client_secret).values(
                        secret_id=name, tenant_id=1, client_key=key, hash=name.encode(), created_at_ms=1
                    )
                )
            bump(transaction.connection, 1)
        store.refresh_tenants()
        clients = store.tenants()[1].clients
        assert [it.secret_id for it in clients["TestClientId"].secrets] == ["a", "c"]
        assert [it.hash for it in clients["Client1"].secrets] == [b"b"]
