"""Clients of the fault harness sign a new assertion for each request, and send some of them again."""

import random
from collections import Counter

import msgspec

from chaos.history import ClientPlan, Operation
from chaos.load.assertions import AGAIN, AGAIN_UNANSWERED, Assertions
from chaos.site.keys import new_key
from chaos.site.plans import plan
from licet.credentials.client_assertions import flaw, parse, signing_key
from licet.credentials.public_keys import Signatures
from licet.model import Client, User

ISSUER = "http://127.0.0.1:8400/Jim_Test"
TRIES = 2000


def an_assertions(private_key: str) -> Assertions:
    """Those of one client."""
    return Assertions("a", ISSUER, private_key, random.Random(7))  # noqa: S311 - an example, not a secret


def test_each_assertion_is_new_and_valid() -> None:
    """RFC 7523 3: also after a request without an answer a client signs anew."""
    private_key, public = new_key()
    assertions = an_assertions(private_key)
    first, second = assertions.sign(), assertions.sign()
    assert first.jti != second.jti
    signatures = Signatures()
    signatures.prepare()
    client = Client(
        key=1, client_id="a", user=User(initials="AB", name="", password_hash=None), keys=(public,)
    )
    for signed in (first, second):
        parsed = parse(signed.form["client_assertion"])
        now_ms = int(parsed.issued_at_s or 0) * 1000
        assert parsed.jti == signed.jti
        assert flaw(parsed, {ISSUER}, now_ms, is_strict=True) is None
        assert signing_key(parsed, client, signatures, now_ms) == public


def test_some_assertions_are_sent_again() -> None:
    """At the same moment, soon, or afterwards; most of those without an answer afterwards only."""
    assertions = an_assertions(new_key()[0])
    found = [assertions.repetition() for _ in range(TRIES)]
    again = [it for it in found if it is not None]
    assert 0.8 * AGAIN < len(again) / TRIES < 1.2 * AGAIN
    assert {it.when for it in again} == {"at once", "soon", "afterwards"}
    assert Counter(it.is_other for it in again).keys() == {True, False}
    unanswered = [assertions.repetition_unanswered() for _ in range(TRIES)]
    assert {it.when for it in unanswered if it is not None} == {"afterwards"}
    assert 0.8 * AGAIN_UNANSWERED < 1 - unanswered.count(None) / TRIES < 1.2 * AGAIN_UNANSWERED


def test_a_fifth_of_the_clients_has_keys() -> None:
    """In every tenant at least one."""
    for with_options in (False, True):
        tenants = plan(1, "sqlite", 2, with_options=with_options).tenants
        clients = [client for tenant in tenants for client in tenant.clients]
        assert 0.15 < sum(client.has_key for client in clients) / len(clients) < 0.25
        assert all(any(client.has_key for client in tenant.clients) for tenant in tenants)


def test_a_history_of_before_can_be_read() -> None:
    """What it does not say has the value that was meant then."""
    client = msgspec.json.decode(b'["a","AB",3]', type=ClientPlan)
    assert not client.has_key
    line = b'["op","grant",1,2,0,"Jim_Test","a",true,"granted",200,"sid1"]'
    assert not msgspec.json.decode(line, type=Operation).assertion
