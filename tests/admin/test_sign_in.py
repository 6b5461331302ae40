"""Signing in at the admin listener, and choosing another password: who is let in, and what nobody is told."""

import asyncio

import pytest

from licet.accounts.administrators import changing
from licet.admin.authentication import SignInRefused, TooManyAttempts
from licet.credentials.passwords import PASSWORD_CHARS_MAX
from licet.model import InvalidValue, Role
from licet.store import schema
from licet.store.errors import StoreUnavailable
from licet.store.sqlite.store import SqliteStore
from support.admin.sign_in_gate import (
    HERE,
    NEW,
    OLD_HASH,
    PASSWORD,
    PATIENCE_S,
    THERE,
    WRONG,
    CountingPasswords,
    Gate,
    Open,
)
from support.store.setup_site import START_MS

pytestmark = pytest.mark.anyio


# Signing in


async def test_who_knows_the_password_is_in_and_only_a_hash_of_the_token_is_kept(gate: Gate) -> None:
    token = await gate.access.sign_in("ada", PASSWORD, HERE)
    found = await gate.access.signed_in(token)
    assert found is not None
    assert (found.identity.actor, found.identity.role, found.identity.tenant_id) == (
        "ada",
        Role.OWNER,
        None,
    )
    assert (found.since_ms, found.ends_at_ms) == (START_MS, START_MS + 1_800_000)
    (row,) = gate.site.rows(schema.admin_session)
    assert token not in str(row)
    assert row.address == HERE
    assert gate.log.lines == [("signed_in", {"admin": "ada", "address": HERE})]
    assert found.csrf not in repr(found)


async def test_a_name_may_begin_with_a_capital_and_end_with_a_space(gate: Gate) -> None:
    """As a telephone writes it."""
    assert await gate.tried("Ada ", PASSWORD) == "in"


async def test_each_sign_in_has_a_token_of_its_own(gate: Gate) -> None:
    """Who had another one before gains nothing from it (session fixation)."""
    tokens = {await gate.access.sign_in("ada", PASSWORD, HERE) for _ in range(3)}
    assert len(tokens) == 3


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("ada", WRONG),
        ("nobody", PASSWORD),
        ("gone", PASSWORD),
        ("", PASSWORD),
        ("ada", ""),
        ("ada", "x" * (PASSWORD_CHARS_MAX + 1)),
        ("ada", "\ud800"),
        ("\ud800", PASSWORD),
        ("a\0da", PASSWORD),
        ("x" * 100_000, PASSWORD),
        pytest.param("ada", OLD_HASH, id="the kept hash"),
    ],
)
async def test_all_who_are_refused_get_one_answer_after_one_hash(
    gate: Gate, name: str, password: str
) -> None:
    with pytest.raises(SignInRefused, match=r"^unknown name or wrong password$"):
        await gate.access.sign_in(name, password, HERE)
    assert gate.passwords.checks == 1
    assert gate.site.count(schema.admin_session) == 0


async def test_the_log_has_no_name_that_is_none_and_no_password(gate: Gate) -> None:
    """Somebody may have typed the password into the field of the name."""
    for name in ("ada", PASSWORD):
        await gate.tried(name)
    assert gate.log.lines == [
        ("sign_in_refused", {"admin": "ada", "address": HERE}),
        ("sign_in_refused", {"admin": None, "address": HERE}),
    ]


async def test_a_password_is_hashed_anew_when_the_settings_ask_for_more(open_gate: Open) -> None:
    gate = open_gate(passwords=CountingPasswords(time_cost=2))
    token = await gate.access.sign_in("ada", PASSWORD, HERE)
    kept = gate.site.rows(schema.admin)[0].password_hash
    assert kept != OLD_HASH
    assert not gate.passwords.is_outdated(kept)
    assert await gate.access.signed_in(token) is not None
    assert await gate.tried("ada", PASSWORD) == "in"


async def test_who_is_disabled_while_the_password_is_hashed_is_refused(gate: Gate) -> None:
    with changing(gate.store, "a test") as change:
        change.add_admin("grace", password_hash=OLD_HASH, role=Role.VIEWER)
    gate.passwords.gate.clear()
    trying = asyncio.create_task(gate.tried("grace", PASSWORD))
    assert await asyncio.to_thread(gate.passwords.begun.wait, PATIENCE_S)
    with changing(gate.store, "a test") as change:
        change.set_admin("grace", enabled=False)
    gate.passwords.gate.set()
    assert await trying == "SignInRefused"
    assert gate.site.count(schema.admin_session) == 0


async def test_signing_out_ends_it_and_may_be_said_twice(gate: Gate) -> None:
    token = await gate.access.sign_in("ada", PASSWORD, HERE)
    for _ in range(2):
        await gate.access.sign_out(token)
        assert await gate.access.signed_in(token) is None


@pytest.mark.parametrize("token", ["", "x", "x" * 43, "\ud800" * 43, "x" * 100_000])
async def test_a_token_that_is_none_is_nobody_s(gate: Gate, token: str) -> None:
    assert await gate.access.signed_in(token) is None
    await gate.access.sign_out(token)


async def test_a_store_that_is_gone_is_a_fault_and_no_refusal(gate: Gate) -> None:
    """Nobody is told that his password is wrong because a disk is."""
    token = await gate.access.sign_in("ada", PASSWORD, HERE)
    key = gate.key().key
    assert isinstance(gate.store, SqliteStore)
    gate.store.path.rename(gate.store.path.with_name("away.db"))
    with pytest.raises(StoreUnavailable):
        await gate.access.sign_in("ada", PASSWORD, HERE)
    with pytest.raises(StoreUnavailable):
        await gate.access.signed_in(token)
    with pytest.raises(StoreUnavailable):
        await gate.access.of_key(key, HERE)
    gate.store.path.with_name("away.db").rename(gate.store.path)
    assert await gate.access.signed_in(token) is not None


# Another password


async def test_who_knows_the_old_password_may_choose_another_and_is_signed_out_elsewhere(gate: Gate) -> None:
    elsewhere, here = [await gate.access.sign_in("ada", PASSWORD, HERE) for _ in range(2)]
    token = await gate.access.change_password(here, PASSWORD, NEW, HERE)
    assert [await gate.access.signed_in(it) is not None for it in (elsewhere, here, token)] == [
        False,
        False,
        True,
    ]
    assert [await gate.tried("ada", it) for it in (PASSWORD, NEW)] == ["SignInRefused", "in"]
    events = [(row.actor, row.action, row.target, row.detail) for row in gate.site.rows(schema.event)]
    assert ("ada", "set", "admin ada", "password changed") in events


async def test_a_password_is_not_changed_by_who_does_not_know_it(open_gate: Open) -> None:
    """Not even at a browser that somebody left open; and guessing there is guessing."""
    gate = open_gate(failures_per_name_max=2)
    token = await gate.access.sign_in("ada", PASSWORD, HERE)
    for _ in range(2):
        with pytest.raises(SignInRefused):
            await gate.access.change_password(token, WRONG, NEW, HERE)
    with pytest.raises(TooManyAttempts):
        await gate.access.change_password(token, PASSWORD, NEW, HERE)
    with pytest.raises(SignInRefused, match="signed in any more"):
        await gate.access.change_password("x" * 43, PASSWORD, NEW, THERE)
    with pytest.raises(InvalidValue, match="8 to 256 characters"):
        await gate.access.change_password(token, PASSWORD, "short", THERE)
    assert gate.site.rows(schema.admin)[0].password_hash == OLD_HASH


async def test_a_password_that_an_owner_reset_meanwhile_stays_reset(gate: Gate) -> None:
    """Whoever stole the old one does not win the race."""
    token = await gate.access.sign_in("ada", PASSWORD, HERE)
    gate.passwords.gate.clear()
    gate.passwords.begun.clear()
    trying = asyncio.create_task(gate.access.change_password(token, PASSWORD, NEW, HERE))
    assert await asyncio.to_thread(gate.passwords.begun.wait, PATIENCE_S)
    with changing(gate.store, "grace") as change:
        change.set_admin("ada", password_hash="reset")
    gate.passwords.gate.set()
    with pytest.raises(SignInRefused):
        await trying
    assert gate.site.rows(schema.admin)[0].password_hash == "reset"
    assert gate.site.count(schema.admin_session) == 0


# Forgery


async def test_each_token_has_a_csrf_token_that_does_not_tell_it(gate: Gate) -> None:
    token, other = [await gate.access.sign_in("ada", PASSWORD, HERE) for _ in range(2)]
    found = await gate.access.signed_in(token)
    assert found is not None
    assert found.csrf == gate.access.csrf(token)
    assert gate.access.is_csrf(token, found.csrf)
    for sent in ("", token, gate.access.csrf(other), found.csrf[:-1], found.csrf + "=", "\ud800", "é"):
        assert not gate.access.is_csrf(token, sent)
