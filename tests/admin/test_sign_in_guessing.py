"""Guessing at the passwords of administrators: who has to wait, and who does not because of it."""

import asyncio

import pytest

from licet.accounts.administrators import changing
from licet.admin.authentication import TooManyAttempts
from licet.lanes.hashing import ADMINS_WAITING_MAX
from licet.model import Role
from support.admin.sign_in_gate import HERE, OLD_HASH, PASSWORD, PATIENCE_S, THERE, Open

pytestmark = pytest.mark.anyio


async def test_who_guesses_at_a_name_has_to_wait_for_the_next_minute(open_gate: Open) -> None:
    gate = open_gate(failures_per_name_max=3)
    assert [await gate.tried() for _ in range(4)] == [*["SignInRefused"] * 3, "TooManyAttempts"]
    assert await gate.tried(password=PASSWORD) == "TooManyAttempts"
    assert gate.passwords.checks == 3
    with pytest.raises(TooManyAttempts) as told:
        await gate.access.sign_in("ada", PASSWORD, HERE)
    gate.clock.advance(seconds=told.value.retry_after_s)
    assert await gate.tried(password=PASSWORD) == "in"


async def test_a_guesser_elsewhere_does_not_shut_out_who_knows_the_password(open_gate: Open) -> None:
    gate = open_gate(failures_per_name_max=3)
    for _ in range(5):
        await gate.tried(source=THERE)
    assert await gate.tried(password=PASSWORD) == "in"


async def test_who_tries_many_names_has_to_wait_as_well(open_gate: Open) -> None:
    gate = open_gate(failures_per_source_max=3)
    told = [await gate.tried(f"name{at}") for at in range(4)]
    assert told == [*["SignInRefused"] * 3, "TooManyAttempts"]
    assert await gate.tried(password=PASSWORD, source=THERE) == "in"


async def test_names_that_are_none_are_counted_alike_however_they_are_written(open_gate: Open) -> None:
    gate = open_gate(failures_per_name_max=2)
    assert [await gate.tried(it) for it in ("ada", "ADA", " Ada")][-1] == "TooManyAttempts"


async def test_guesses_that_come_at_once_are_no_more_than_one_after_the_other(open_gate: Open) -> None:
    """An attempt under way counts as a failure until it is none."""
    gate = open_gate(failures_per_name_max=3)
    gate.passwords.gate.clear()
    trying = [asyncio.create_task(gate.tried(password=f"wrong {at}")) for at in range(30)]
    assert await asyncio.to_thread(gate.passwords.begun.wait, PATIENCE_S)
    gate.passwords.gate.set()
    told = await asyncio.gather(*trying)
    assert (told.count("SignInRefused"), told.count("TooManyAttempts")) == (3, 27)
    assert gate.passwords.checks == 3


async def test_the_administrators_of_one_office_sign_in_at_once(open_gate: Open) -> None:
    """Behind one address, after a start; nobody is refused, and each waits for its turn."""
    gate = open_gate(failures_per_name_max=3, failures_per_source_max=3)
    names = [f"admin{at}" for at in range(20)]
    with changing(gate.store, "a test") as change:
        for name in names:
            change.add_admin(name, password_hash=OLD_HASH, role=Role.VIEWER)
    assert set(await asyncio.gather(*(gate.tried(name, PASSWORD) for name in names))) == {"in"}


async def test_only_so_many_sign_ins_wait_and_an_address_gives_way_to_others(open_gate: Open) -> None:
    gate = open_gate(queue_max=2)
    gate.passwords.gate.clear()
    flood = [
        asyncio.create_task(gate.tried(f"name{at}", source=THERE)) for at in range(2 * ADMINS_WAITING_MAX)
    ]
    assert await asyncio.to_thread(gate.passwords.begun.wait, PATIENCE_S)
    await asyncio.wait(flood, timeout=PATIENCE_S, return_when=asyncio.FIRST_COMPLETED)
    good = asyncio.create_task(gate.tried(password=PASSWORD))
    gate.passwords.gate.set()
    assert await good == "in"
    assert (await asyncio.gather(*flood)).count("TooManyAttempts") >= ADMINS_WAITING_MAX
