"""L18, as clients of a real server meet it: a seat is nobody else's until its hold is over."""

from typing import Any

import pytest

from licet.model import Duplicates, TokenFormat
from support.server.served_tenant import ServedTenant

GRANT = {"grant_type": "client_credentials"}


@pytest.fixture
def tenant(tenant_of_each: ServedTenant) -> ServedTenant:
    """It has one seat, and a hold of a minute."""
    set_pool(tenant_of_each, seats=1, hold_s=60)
    return tenant_of_each


def set_pool(tenant: ServedTenant, **changes: Any) -> None:
    with tenant.server.changing() as change:
        change.tenant(tenant.name).set_pool("full", **changes)


def ask(tenant: ServedTenant, client_id: str) -> dict[str, Any]:
    content: dict[str, Any] = tenant.ask("token", client_id, **GRANT).json()
    return content


def log_off(tenant: ServedTenant, granted: dict[str, Any]) -> dict[str, Any]:
    content: dict[str, Any] = tenant.post("logoff", authorization=f"Bearer {granted['access_token']}").json()
    return content


def on_hold(seconds: int) -> dict[str, object]:
    return {"logged_off": True, "seat_released": False, "seat_released_in": seconds}


def test_a_seat_is_somebody_elses_at_the_second_that_the_denial_said(tenant: ServedTenant) -> None:
    """L18, with what is answered on the way: to who logs off, to who waits, and to who comes back."""
    first = ask(tenant, "TestClientId")
    tenant.server.advance(seconds=10)
    assert log_off(tenant, first) == on_hold(50)
    assert tenant.introspect(first["access_token"]) == {"active": False}
    refused = ask(tenant, "Client2")
    assert (refused["reason"], refused["in_use"], refused["retry_after"]) == ("all_in_use", 1, 50)
    tenant.server.advance(seconds=20)
    again = ask(tenant, "TestClientId")
    assert tenant.seats_in_use() == 1
    assert log_off(tenant, again) == on_hold(60)
    tenant.server.advance(seconds=59)
    assert ask(tenant, "Client2")["retry_after"] == 1
    tenant.server.advance(seconds=1)
    assert ask(tenant, "Client2")["scope"] == "all"


def test_a_second_logoff_of_a_session_says_nothing_of_the_hold(tenant: ServedTenant) -> None:
    """It had ended before: as without a hold."""
    first = ask(tenant, "TestClientId")
    log_off(tenant, first)
    assert log_off(tenant, first) == {"logged_off": True, "seat_released": False}


def test_while_another_session_of_the_holder_lives_nothing_is_said_of_the_hold(tenant: ServedTenant) -> None:
    """The seat is in use, and when it will be free nobody knows."""
    first, second = ask(tenant, "TestClientId"), ask(tenant, "TestClientId")
    assert log_off(tenant, first) == {"logged_off": True, "seat_released": False}
    assert log_off(tenant, second) == on_hold(60)


def test_a_seat_that_jwts_were_issued_with_is_held_for_their_life(tenant: ServedTenant) -> None:
    """Whatever the pool says; so no JWT is let in by a guard that asks nobody while the seat is another's."""
    set_pool(tenant, hold_s=0)
    with tenant.server.changing() as change:
        change.tenant(tenant.name).set(token_format=TokenFormat.JWT)
    first = ask(tenant, "TestClientId")
    tenant.server.advance(seconds=1)
    assert log_off(tenant, first) == on_hold(59)
    tenant.server.advance(seconds=58)
    assert ask(tenant, "Client2")["retry_after"] == 1
    tenant.server.advance(seconds=1)
    assert ask(tenant, "Client2")["scope"] == "all"


def test_clients_that_take_turns_get_no_more_than_one_of_them_could(tenant: ServedTenant) -> None:
    """Each grants and logs off at once, again and again: within a hold only the first has the seat at all."""
    names = ["TestClientId", "Client2", "Client3"]
    had = []
    for _ in range(4):
        for name in names:
            answer = ask(tenant, name)
            if "access_token" in answer:
                had.append(name)
                log_off(tenant, answer)
        tenant.server.advance(seconds=10)
    assert set(had) == {"TestClientId"}
    set_pool(tenant, hold_s=0)
    for name in names:
        log_off(tenant, ask(tenant, name))


def test_revocation_leaves_a_seat_on_hold(tenant: ServedTenant) -> None:
    """RFC 7009 has nothing to say of it: the answer is empty."""
    set_pool(tenant, duplicates=Duplicates.NONE)
    first = ask(tenant, "TestClientId")
    assert tenant.ask("revoke", "TestClientId", token=first["access_token"]).json() == {}
    assert ask(tenant, "TestClientId")["retry_after"] == 60
