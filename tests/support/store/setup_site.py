"""A store with a tenant that a test changes, asks for sessions, and whose rows it reads."""

from collections import Counter
from itertools import count
from typing import Any

from sqlalchemy import FromClause, func, select

from licet.credentials.generated import ClientSecrets, NewClientSecret
from licet.lanes.commit import commit
from licet.ledger.commands import Command, Grant, Granted, Outcome, Refresh
from licet.ledger.scopes import ScopeGrant, resolve_scope
from licet.model import Client, Tenant
from licet.setup.change import changing
from licet.setup.check import check
from licet.store import schema
from licet.store.contract import Store
from support.store.filling_again import filled
from support.store.kinds import Place

JIM = "Jim_Test"
ADA = "ada"
START_MS = 1_700_000_040_000
SESSION_S = 1200
_BUG = "bug of Licet"

# A minimal set-up file, and one with something of everything.
SMALL = """
[tenant.Jim_Test.pool.full]
seats = 5

[tenant.Jim_Test.user.TC]
name = "Test Client"

[tenant.Jim_Test.client.TestClientId]
user = "TC"
"""
RICH = """
[tenant.Jim_Test]
session_ttl = "30m"
access_ttl = 300
default_scope = "orders"
no_seat_status = 429

[tenant.Jim_Test.pool.full]
seats = 5
expires = 2027-01-31

[tenant.Jim_Test.pool."mobile.1"]
seats = 0
duplicates = "user"
expires = 2027-01-31T18:00:00.250+01:00

[tenant.Jim_Test.scope.orders]
pool = "mobile.1"

[tenant.Jim_Test.scope."a:b/c"]
read_only = true

[tenant.Jim_Test.user."T.C"]
name = 'Ada "the first" \\ Lovelace'

[tenant.Jim_Test.user.AP]
enabled = false

[tenant.Jim_Test.client."a b.c"]
user = "T.C"
scopes = ["view", "orders"]
grant_types = ["client_credentials"]
max_sessions = 7
introspects = true
password_allowed = false

[tenant.Jim_Test.client.Gone]
user = "AP"
enabled = false
scopes = []

[tenant.Other.pool.full]
seats = 1
expires = "never"
"""


class Site:
    """A store with the tenant `Jim_Test`, and the actions of a test on it."""

    def __init__(self, place: Place) -> None:
        self.clock = place.clock
        self.store = place.open()
        self._place = place
        self._sids = count(1)

    def second(self) -> Store:
        """Open the same store again, as another process would."""
        return self._place.open()

    def begin(self, *, seats: int = 5, clients: int = 3) -> None:
        """Add the tenant with clients `c1`, `c2`, ... of the users `U1`, `U2`, ..."""
        key = ("begin", seats, clients)
        filled(self.store, self.clock.now_ms(), key, lambda: self._begin(seats, clients))

    def _begin(self, seats: int, clients: int) -> None:
        with changing(self.store, ADA) as change:
            tenant = change.add_tenant(JIM, seats=seats)
            for number in range(1, clients + 1):
                tenant.add_user(f"U{number}", name=f"User {number}", password_hash="hash")
                tenant.add_client(f"c{number}", user=f"U{number}")

    @property
    def tenant(self) -> Tenant:
        """The tenant as it is now."""
        self.store.refresh_tenants()
        tenant = self.store.tenant(JIM)
        assert tenant is not None
        return tenant

    def client(self, client_id: str) -> Client:
        """A client as it is now."""
        return self.tenant.clients[client_id]

    def commit(self, command: Command) -> Outcome:
        """Commit a command, and return its outcome."""
        outcome = commit(self.store, [command])[0]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def ask(self, client_id: str, *scopes: str, queue: bool = False) -> Outcome:
        """Ask for a session of a client; with `queue`, for a place in line if there is no seat."""
        tenant = self.tenant
        grant = resolve_scope(tenant, tenant.clients[client_id], scopes)
        assert isinstance(grant, ScopeGrant), grant
        return self.commit(
            Grant(
                tenant_id=tenant.id,
                client_key=tenant.clients[client_id].key,
                sid=next(self._sids).to_bytes(20, "big"),
                scope=grant.scope,
                pool_id=grant.pool_id,
                other_pool_ids=grant.other_pool_ids,
                address="192.0.2.1",
                queue=queue,
            )
        )

    def grant(self, client_id: str, *scopes: str) -> Granted:
        """Ask for a session of a client, which must be granted."""
        outcome = self.ask(client_id, *scopes)
        assert isinstance(outcome, Granted), outcome
        return outcome

    def refresh(self, granted: Granted) -> Outcome:
        """Ask for a session to be refreshed."""
        session = granted.session
        return self.commit(
            Refresh(tenant_id=session.tenant_id, client_key=session.client_key, sid=session.sid)
        )

    def lives(self, granted: Granted) -> bool:
        """Whether a session is live."""
        return bool(self.store.read_sessions([granted.session.sid]).sessions)

    def rows(self, table: FromClause) -> list[Any]:
        """All rows of a table."""
        with self.store.reading() as connection:
            return list(connection.execute(select(table).order_by(*table.primary_key)))

    def count(self, table: FromClause) -> int:
        """How many rows a table has."""
        with self.store.reading() as connection:
            number: int = connection.execute(select(func.count()).select_from(table)).scalar_one()
            return number

    def pool(self, name: str = "full") -> Any:
        """The row of a pool."""
        return next(row for row in self.rows(schema.pool) if row.name == name)

    def version(self) -> int:
        """The version of the set-up."""
        version: int = self.rows(schema.setup)[0].version
        return version

    def event(self) -> tuple[str, str, str, str, str]:
        """The last event."""
        row = self.rows(schema.event)[-1]
        return row.actor, row.tenant, row.action, row.target, row.detail

    def endings(self) -> dict[str, int]:
        """The number of ended sessions in the journal, by reason."""
        ended: Counter[str] = Counter()
        for row in self.rows(schema.whole_journal):
            if row.kind == "ended":
                ended[row.reason] += row.times
        return dict(ended)

    def check(self) -> None:
        """Check that ledger and set-up are consistent."""
        self.store.refresh_tenants()
        with self.store.reading() as connection:
            found = check(connection, self.store.tenants(), self.clock.now_ms())
        assert not [finding for finding in found if _BUG in finding.advice]

    def close(self) -> None:
        """Close the store."""
        self._place.close()


def secret() -> NewClientSecret:
    """A generated client secret."""
    return ClientSecrets(b"p" * 32).generate()
