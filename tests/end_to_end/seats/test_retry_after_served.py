"""L16, L17, as clients of a real server meet them: a denial says when this client could be served."""

import pytest

from licet.model import Duplicates
from licet.options import Share
from support.server.served_tenant import ServedTenant

GRANT = {"grant_type": "client_credentials"}


@pytest.fixture
def tenant(tenant_of_each: ServedTenant) -> ServedTenant:
    """Its pool is counted by session; twelve seats of others expire before any more do."""
    tenant = tenant_of_each
    with tenant.server.changing() as change:
        change.tenant(tenant.name).set_pool("full", seats=30, duplicates=Duplicates.NONE)
    for client_id in ("Client2", "Client3"):
        for _ in range(6):
            tenant.ask("token", client_id, **GRANT).raise_for_status()
    tenant.server.advance(seconds=300)
    return tenant


def test_who_has_as_many_seats_as_it_may_is_served_at_the_second_that_the_denial_said(
    tenant: ServedTenant,
) -> None:
    """L16: and the header says the same; the seats of others that expire before do not help it."""
    limit = (Share(who="client:TestClientId", seats=2),)
    with tenant.server.changing() as change:
        change.tenant(tenant.name).set_pool("full", max=limit)
    tenant.ask("token", **GRANT).raise_for_status()
    tenant.server.advance(seconds=100)
    tenant.ask("token", **GRANT).raise_for_status()
    refused = tenant.ask("token", **GRANT)
    content = refused.json()
    assert (content["reason"], content["retry_after"]) == ("max_reached", 1100)
    assert refused.headers["retry-after"] == "1100"
    tenant.server.advance(seconds=1099)
    assert tenant.ask("token", **GRANT).json()["retry_after"] == 1
    tenant.server.advance(seconds=1)
    assert tenant.ask("token", **GRANT).status_code == 200


def test_no_time_is_named_where_all_seats_are_reserved_for_others(tenant: ServedTenant) -> None:
    """L17: nor a header; and who they are reserved for gets one."""
    with tenant.server.changing() as change:
        reserve = (Share(who="client:Client3", seats=1),)
        change.tenant(tenant.name).add_pool("own", seats=1, reserve=reserve)
        change.tenant(tenant.name).add_scope("own", pool="own")
    refused = tenant.ask("token", "Client2", scope="own", **GRANT)
    assert refused.json()["reason"] == "reserved"
    assert "retry_after" not in refused.json()
    assert "retry-after" not in refused.headers
    assert tenant.ask("token", "Client3", scope="own", **GRANT).status_code == 200
