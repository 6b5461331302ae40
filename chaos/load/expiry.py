"""Measures how long the seat of a client that died stays taken.

A client takes the only seat of a pool, and sends nothing more. Shortly before its session expires, another
client begins to ask for the seat again and again. Both tokens say when they were issued, by the clock of the
store: so the difference is exact, and a seat that is given too early shows as well.

The time from the last denied request to the answer of the granted one is not counted, because a busy machine
may take long for them.
"""

import time
from collections.abc import Callable
from http.client import HTTPConnection

import msgspec

from chaos.history import now_us
from chaos.load.wire import Said, basic, issued_ms_of
from chaos.site.nodes import PATIENCE_S
from licet.credentials.generated import ClientSecrets
from licet.credentials.keyring import Keyring
from licet.setup.change import changing
from licet.store.contract import Store

SHORT_S = 1
FULL_S = 1200  # the default life of a session
LEAD_S = 0.3  # how long before the expiry the second client begins to ask
OK, DENIED = 200, 400


class ExpirySite(msgspec.Struct, frozen=True, kw_only=True):
    """A tenant with one seat and two clients; `first` and `second` are their `Authorization` headers."""

    name: str
    session_ttl_s: int
    first: str
    second: str


def make_expiry_site(store: Store, keyring: Keyring, session_ttl_s: int) -> ExpirySite:
    """Make the tenant.

    Raises StoreUnavailable.
    """
    name = f"Expiry{session_ttl_s}"
    generating = ClientSecrets(keyring.pepper)
    secrets = {client: generating.generate() for client in ("First", "Second")}
    with changing(store, "chaos") as change:
        access_ttl_s = max(1, session_ttl_s // 2)
        tenant = change.add_tenant(name, seats=1, session_ttl_s=session_ttl_s, access_ttl_s=access_ttl_s)
        tenant.add_user("EX")
        for client, secret in secrets.items():
            tenant.add_client(client, secret, user="EX")
    first, second = (basic(client, secret.secret) for client, secret in secrets.items())
    return ExpirySite(name=name, session_ttl_s=session_ttl_s, first=first, second=second)


def measure_expiry(site: ExpirySite, port: int, move: Callable[[float], None] | None = None) -> float:
    """How many seconds after its session's expiry a seat was still taken; below 0 it was given too early.

    `move` moves the clock of the store forward; without it, this waits for the session to expire.

    Raises TimeoutError if the seat did not become free.
    """
    connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    taken = _grant(connection, site, site.first)
    assert taken, "the seat is free at first"
    assert not _grant(connection, site, site.second), "there is one seat"
    if move is not None:
        move(site.session_ttl_s - LEAD_S)
    else:
        time.sleep(site.session_ttl_s - LEAD_S)
    denied_us = now_us()
    give_up_us = denied_us + round(PATIENCE_S * 1e6)
    while True:
        asked_us = now_us()
        if given := _grant(connection, site, site.second):
            break
        denied_us = asked_us  # then, or later
        if now_us() > give_up_us:
            raise TimeoutError("the seat of a client that died was never free")
    unseen_s = (now_us() - denied_us) / 1e6
    _log_off(connection, site, given)
    connection.close()
    late_s = (issued_ms_of(given) - issued_ms_of(taken)) / 1000 - site.session_ttl_s
    return late_s if late_s < 0 else max(0.0, late_s - unseen_s)


def _grant(connection: HTTPConnection, site: ExpirySite, authorization: str) -> str:
    """An access token, or '' if there was no seat."""
    headers = {"authorization": authorization, "content-type": "application/x-www-form-urlencoded"}
    connection.request("POST", f"/{site.name}/token", "grant_type=client_credentials", headers)
    answer = connection.getresponse()
    said = msgspec.json.decode(answer.read(), type=Said)
    assert answer.status in {OK, DENIED}, answer.status
    return said.access_token


def _log_off(connection: HTTPConnection, site: ExpirySite, access_token: str) -> None:
    connection.request("POST", f"/{site.name}/logoff", headers={"authorization": f"Bearer {access_token}"})
    answer = connection.getresponse()
    answer.read()
    assert answer.status == OK, answer.status
