"""Clients that wait in the queue of a pool, without a network."""

from itertools import count

from licet.ledger.commands import Grant, Outcome
from licet.ledger.rules import ScopeGrant, resolve_scope
from support.store.setup_site import Site

_SIDS = count(1 << 80)


def wait(site: Site, client_id: str) -> Outcome:
    """A client asks for a seat, and waits in line where there is none."""
    tenant = site.tenant
    client = tenant.clients[client_id]
    grant = resolve_scope(tenant, client, ())
    assert isinstance(grant, ScopeGrant)
    return site.commit(
        Grant(
            tenant_id=tenant.id,
            client_key=client.key,
            sid=next(_SIDS).to_bytes(20, "big"),
            scope=grant.scope,
            pool_id=grant.pool_id,
            other_pool_ids=grant.other_pool_ids,
            address="192.0.2.1",
            queue=True,
        )
    )
