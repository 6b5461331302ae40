"""What is kept of a question about a session: at any moment the answer is that of one that is read anew."""

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from licet.credentials.tokens import AccessToken
from licet.model import Pool, Session, Tenant
from licet.protocol import forward_auth, introspect
from licet.protocol.errors import OAuthError
from licet.protocol.introspect import Question
from licet.web.last_uses import LastUses
from licet.web.read_requests import IntrospectionRequest, VerifyRequest
from licet.web.sessions_read import Read
from support.examples import jim_test, sid

NOW_MS = 1_700_000_000_123
LIFE_MS = 20_000
SESSION = Session(
    sid=sid(1),
    tenant_id=1,
    client_key=1,
    scope="view all",
    pool_id=1,
    holder="client:TestClientId",
    started_at_ms=NOW_MS,
    renewed_at_ms=NOW_MS,
    expires_at_ms=NOW_MS + LIFE_MS,
    address="192.0.2.1",
)
QUESTION = Question(
    sid=SESSION.sid,
    token_type="Bearer",
    issued_at_ms=NOW_MS,
    expires_at_ms=NOW_MS + LIFE_MS // 2,
    scope="all",
)
ACCESS = AccessToken(sid=SESSION.sid, scope="view", issued_at_ms=NOW_MS, expires_at_ms=NOW_MS + LIFE_MS // 2)
ASKED = forward_auth.Asked(method="GET", query=b"", headers=[(b"x-original-method", b"GET")], is_below=False)


def renewed(later_ms: int) -> Session:
    """The session, renewed so much later."""
    at_ms = NOW_MS + later_ms
    return replace(SESSION, renewed_at_ms=at_ms, expires_at_ms=at_ms + LIFE_MS)


# The clock may be set back; the seats of a signed pool have numbers.
READS = st.lists(
    st.builds(
        Read,
        st.integers(NOW_MS - 10_000, NOW_MS + LIFE_MS + 1000),
        st.sampled_from([None, SESSION, SESSION, renewed(3000)]),
        st.sampled_from([0, 0, 7]),
    ),
    min_size=2,
    max_size=12,
)


def means() -> Any:
    """As far as questions about sessions need them."""
    return SimpleNamespace(public_url="https://licence.example.com", uses=LastUses())


def tenant_with(hold_s: int) -> Tenant:
    """A tenant whose pool holds a seat for so long."""
    return jim_test(pools=(Pool(id=1, name="full", seats=2, hold_s=hold_s),))


@given(reads=READS, hold_s=st.sampled_from([0, 1, 6, 60]), is_refresh=st.booleans())
def test_an_introspection_that_comes_again_has_the_answer_of_one_that_is_read_anew(
    reads: list[Read], hold_s: int, *, is_refresh: bool
) -> None:
    """RFC 7662 2.2, L18: `cache_for` counts down, and the token expires, while nothing else changes."""
    tenant = tenant_with(hold_s)
    question = replace(QUESTION, expires_at_ms=None, issued_at_ms=None, scope="") if is_refresh else QUESTION
    kept = IntrospectionRequest(means(), question)
    for read in reads:
        anew = IntrospectionRequest(means(), question)
        assert kept.answer(read, tenant).body == anew.answer(read, tenant).body


@given(reads=READS)
def test_a_verification_that_comes_again_has_the_answer_of_one_that_is_read_anew(reads: list[Read]) -> None:
    """Also where that is a no."""
    tenant, kept = tenant_with(0), VerifyRequest(means(), ASKED, ACCESS)
    for read in reads:
        anew = VerifyRequest(means(), ASKED, ACCESS)
        assert _verified(kept, read, tenant) == _verified(anew, read, tenant)


def _verified(request: VerifyRequest, read: Read, tenant: Tenant) -> object:
    try:
        return request.answer(read, tenant)
    except OAuthError as refused:
        return refused.error, refused.detail


def test_an_answer_that_is_still_right_is_not_written_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """That is what it is kept for; the session is read each time, and its use noted."""
    made, tenant = means(), tenant_with(0)
    question = IntrospectionRequest(made, QUESTION)
    question.answer(Read(NOW_MS, SESSION), tenant)
    second = question.answer(Read(NOW_MS, SESSION), tenant)
    monkeypatch.delattr(introspect, "respond")
    made.uses.take()
    assert question.answer(Read(NOW_MS + 1, replace(SESSION)), tenant) is second
    assert list(made.uses.take()) == [SESSION.sid]
