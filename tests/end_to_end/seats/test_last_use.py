"""When a seat was last used, at a running server: an API asks about a token, or a proxy does."""

from pathlib import Path

from licet.reports.live import seats
from support.server.running import RunningServer
from support.server.served_tenant import ServedTenant


def last_uses(tenant: ServedTenant) -> dict[str, int]:
    """How many seconds after it was taken each seat was last used, by its client."""
    with tenant.server.store() as store, store.reading() as connection:
        known = store.tenant(tenant.name)
        assert known is not None
        [pool] = seats(connection, known, store.clock.now_ms()).pools
    return {it.client_id: (it.last_used_at_ms - it.taken_at_ms) // 1000 for it in pool.in_use_by}


def verify(tenant: ServedTenant, token: str, method: str = "POST") -> int:
    """What a proxy gets for a request with this token."""
    headers = {"Authorization": f"Bearer {token}", "X-Original-Method": method}
    return tenant.server.http.get(f"/{tenant.name}/verify", headers=headers).status_code


def test_an_api_and_a_proxy_that_ask_use_a_seat_and_a_server_that_stops_has_written_it(
    tmp_path: Path,
) -> None:
    """Who asks about a refresh token, or gets no yes, uses nothing."""
    with RunningServer(tmp_path, manual_clock=True) as server:
        tenant = ServedTenant(server, "Busy")
        one, two = (tenant.grant(client_id) for client_id in ("TestClientId", "Client2"))
        server.advance(seconds=10)
        assert tenant.introspect(one["access_token"])["active"]
        assert verify(tenant, two["access_token"]) == 204
        server.advance(seconds=10)
        assert tenant.introspect(one["access_token"])["active"]
        asked = tenant.ask("introspect", "Api", token=two["refresh_token"], token_type_hint="refresh_token")
        assert asked.json()["active"]
        assert verify(tenant, two["refresh_token"]) == 401
        assert tenant.ask("introspect", "Client3", token=two["access_token"]).status_code == 400
        assert tenant.refresh(two, "Client2").status_code == 200
        server.terminate()
        assert last_uses(tenant) == {"TestClientId": 20, "Client2": 10}
        server.start()
        assert verify(tenant, one["access_token"]) == 204
        server.terminate()
        assert last_uses(tenant) == {"TestClientId": 20, "Client2": 10}


def test_a_server_that_is_killed_loses_the_last_uses_of_half_a_minute_and_nothing_else(
    tmp_path: Path,
) -> None:
    """What it wrote before stays, and it starts again."""
    with RunningServer(tmp_path, manual_clock=True) as server:
        tenant = ServedTenant(server, "Busy")
        token = tenant.grant()["access_token"]
        server.advance(seconds=10)
        tenant.introspect(token)
        server.terminate()
        server.start()
        server.advance(seconds=10)
        tenant.introspect(token)
        server.kill()
        assert last_uses(tenant)["TestClientId"] in {10, 20}  # it may have begun a turn just then
        server.start()
        assert tenant.introspect(token)["active"]
        server.terminate()
        assert last_uses(tenant) == {"TestClientId": 20}
