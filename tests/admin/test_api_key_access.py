"""API keys at the admin listener: whose is let in, and what is recorded of one that is not."""

import pytest

from licet.accounts.administrators import changing
from licet.admin.authentication import TooManyAttempts
from licet.credentials.generated import ApiKeys
from licet.journal.failures import FailureFilter, failures
from licet.model import FailureCause, Role
from licet.store import schema
from licet.store.errors import StoreUnavailable
from support.admin.sign_in_gate import HERE, PASSWORD, PEPPER, Gate, Open
from support.store.setup_site import JIM, START_MS

pytestmark = pytest.mark.anyio


async def test_a_key_is_who_it_was_made_for(gate: Gate) -> None:
    """L10: neither it nor its use takes a seat."""
    found = await gate.access.of_key(gate.key().key, HERE)
    assert found is not None
    assert (found.actor, found.role, found.tenant_id) == (
        "key deploy",
        Role.OPERATOR,
        gate.site.tenant.id,
    )
    assert found.may(Role.VIEWER)
    assert found.may(Role.OPERATOR)
    assert not found.may(Role.OWNER)
    assert [found.sees(it) for it in (gate.site.tenant.id, gate.site.tenant.id + 1, None)] == [
        True,
        False,
        False,
    ]


async def test_a_key_that_is_none_is_nobody_s(gate: Gate) -> None:
    made = gate.key()
    other = ApiKeys(b"q" * 32).generate()
    wrong_end = made.key[:-1] + ("A" if made.key[-1] != "A" else "B")
    for key in (
        "",
        "lck_",
        wrong_end,
        made.key + "x",
        other.key,
        made.key[:16],
        "\ud800",
        "x" * 100_000,
    ):
        assert await gate.access.of_key(key, f"of {key[:20]!a}") is None
    assert await gate.access.of_key(made.key, HERE) is not None


async def test_a_key_works_until_it_expires_or_is_removed(gate: Gate) -> None:
    short, removed = gate.key("short", START_MS + 60_000), gate.key("removed")
    gate.clock.advance(seconds=59.999)
    assert await gate.access.of_key(short.key, HERE) is not None
    gate.clock.advance(seconds=0.001)
    assert await gate.access.of_key(short.key, HERE) is None
    with changing(gate.store, "ada") as change:
        change.remove_api_key("removed")
    assert await gate.access.of_key(removed.key, HERE) is None


async def test_who_guesses_has_to_wait_and_who_has_a_key_does_not(open_gate: Open) -> None:
    gate = open_gate(failures_per_source_max=3)
    made = gate.key()
    assert await gate.access.of_key(made.key, HERE) is not None
    for _ in range(3):
        await gate.access.of_key(ApiKeys(PEPPER).generate().key, HERE)
    with pytest.raises(TooManyAttempts):
        await gate.access.of_key(ApiKeys(PEPPER).generate().key, HERE)
    assert await gate.access.of_key(made.key, HERE) is not None
    assert await gate.tried(password=PASSWORD) == "in"
    gate.clock.advance(seconds=60)
    assert await gate.access.of_key(ApiKeys(PEPPER).generate().key, HERE) is None


async def test_the_log_names_a_key_and_never_shows_it(gate: Gate) -> None:
    made = gate.key()
    await gate.access.of_key(made.key[:-2] + "xx", HERE)
    await gate.access.of_key("hunter2", HERE)
    assert gate.log.lines == [
        ("api_key_refused", {"key": "deploy", "address": HERE}),
        ("api_key_refused", {"key": None, "address": HERE}),
    ]


async def test_its_last_use_is_written_beside_the_requests_and_at_the_end(open_gate: Open) -> None:
    gate = open_gate()
    made = gate.key()
    await gate.access.of_key(made.key, HERE)
    assert gate.site.rows(schema.api_key)[0].last_used_at_ms is None
    gate.clock.advance(seconds=10)
    await gate.access.of_key(made.key, HERE)
    await gate.access.write_down()
    assert gate.site.rows(schema.api_key)[0].last_used_at_ms == START_MS + 10_000
    assert gate.access.api_keys_used.take() == {}
    gate.clock.advance(seconds=10)
    await gate.access.of_key(made.key, HERE)
    await gate.close()
    assert gate.site.rows(schema.api_key)[0].last_used_at_ms == START_MS + 20_000


async def test_a_last_use_that_could_not_be_written_is_written_with_the_next(
    open_gate: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that is away for a moment loses none."""

    def away(*_: object) -> None:
        raise StoreUnavailable("away")

    gate = open_gate()
    await gate.access.of_key(gate.key().key, HERE)
    with monkeypatch.context() as patch:
        patch.setattr("licet.accounts.sign_ins.note_api_keys_used", away)
        with pytest.raises(StoreUnavailable):
            await gate.access.write_down()
    assert gate.site.rows(schema.api_key)[0].last_used_at_ms is None
    await gate.access.write_down()
    assert gate.site.rows(schema.api_key)[0].last_used_at_ms == START_MS


async def test_administrators_work_on_a_full_pool_and_take_no_seat(gate: Gate) -> None:
    """L10."""
    gate.site.grant("c1")
    before = (gate.site.pool().in_use, gate.site.count(schema.session), gate.site.count(schema.whole_journal))
    assert gate.site.pool().in_use == gate.site.pool().seats
    token = await gate.access.sign_in("ada", PASSWORD, HERE)
    assert await gate.access.signed_in(token) is not None
    assert await gate.access.of_key(gate.key().key, HERE) is not None
    assert (
        gate.site.pool().in_use,
        gate.site.count(schema.session),
        gate.site.count(schema.whole_journal),
    ) == before
    assert JIM in {row.name for row in gate.site.rows(schema.tenant)}


async def test_failed_sign_ins_and_keys_are_recorded_with_their_cause(open_gate: Open) -> None:
    """A name is kept where it is an administrator's or a key's, and nothing else that was sent."""
    gate = open_gate()
    for name in ("ada", "gone", "hunter2"):
        await gate.tried(name)
    made, short = gate.key(), gate.key("short", expires_at_ms=gate.clock.now_ms() + 1000)
    gate.clock.advance(seconds=1)
    for key in (made.key[:-2] + "xx", short.key, ApiKeys(PEPPER).generate().key, "hunter2"):
        assert await gate.access.of_key(key, HERE) is None
    await gate.recorder.write_down(gate.store)
    with gate.store.reading() as connection:
        found = failures(connection, None, only=FailureFilter(with_administrators=True)).ranges
        assert failures(connection, None).ranges == ()
    assert sorted((it.who, it.name, it.cause) for it in found) == [
        ("administrator", "", "unknown_administrator"),
        ("administrator", "ada", "wrong_secret"),
        ("administrator", "gone", "administrator_disabled"),
        ("api_key", "", "unknown_api_key"),
        ("api_key", "deploy", "wrong_secret"),
        ("api_key", "short", "expired_secret"),
    ]
    assert gate.recorder.counts[FailureCause.UNKNOWN_API_KEY] == 2


async def test_sign_ins_that_are_not_looked_at_are_recorded_as_throttled(open_gate: Open) -> None:
    """By then nobody asks whose name it is."""
    gate = open_gate(failures_per_name_max=1)
    assert [await gate.tried() for _ in range(3)] == ["SignInRefused", "TooManyAttempts", "TooManyAttempts"]
    assert gate.recorder.counts == {"wrong_secret": 1, "throttled": 2}
