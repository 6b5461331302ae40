"""Signing in at the admin listener, and API keys: who is let in, who has to wait, and what nobody is told."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from licet.accounts.administrators import changing
from licet.accounts.sign_ins import Lives
from licet.admin.sign_in import Access, SignInRefused, TooManyAttempts
from licet.credentials.generated import ApiKeys, ClientSecrets, NewApiKey
from licet.credentials.passwords import PASSWORD_CHARS_MAX, Passwords
from licet.journal.failures import FailureFilter, failures
from licet.lanes.contract import QueueFull
from licet.lanes.hashing import ADMINS_WAITING_MAX, Hashing
from licet.model import FailureCause, InvalidValue, Role
from licet.store import schema
from licet.store.errors import StoreUnavailable
from licet.store.sqlite.store import SqliteStore
from licet.web.recording import Recorder
from licet.web.refusals import LogRateLimit
from support.kinds import SqlitePlaces
from support.setup_site import JIM, START_MS, Site

pytestmark = pytest.mark.anyio

PATIENCE_S = 10.0
HERE, THERE = "192.0.2.1", "198.51.100.1"
PASSWORD, WRONG, NEW = "pass+word", "wrong word", "another one"
PEPPER = b"p" * 32


class CountingPasswords(Passwords):
    """Argon2id as weak as it can be, counted; while the gate is shut, a check does not end."""

    def __init__(self, *, time_cost: int = 1) -> None:
        super().__init__(memory_kib=8, time_cost=time_cost)
        self.checks = 0
        self.gate = threading.Event()
        self.gate.set()
        self.begun = threading.Event()

    def verify_hash(self, kept: str | None, password: str) -> bool:
        """Whether this password is kept so."""
        self.checks += 1
        self.begun.set()
        assert self.gate.wait(PATIENCE_S)
        return super().verify_hash(kept, password)


class Log:
    """What was logged."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, Any]]] = []

    def info(self, event: str, **fields: Any) -> None:
        """One line."""
        self.lines.append((event, fields))

    warning = error = exception = info


class Gate:
    """An access with the administrators `ada`, owner of all, and `gone`, who is disabled."""

    def __init__(self, site: Site, **options: Any) -> None:
        self.site, self.store = site, site.store
        self.clock = site.clock
        self.passwords = options.pop("passwords", None) or CountingPasswords()
        self.log = Log()
        self._hashing = Hashing(workers=2, queue_max=options.pop("queue_max", 100))
        self.recorder = Recorder(self.clock, ClientSecrets(PEPPER))
        self.access = Access(
            store=self.store,
            passwords=self.passwords,
            hashing=self._hashing,
            pepper=PEPPER,
            log=self.log,
            refusals=LogRateLimit(self.log),
            recorder=self.recorder,
            lives=Lives(idle_s=1800, longest_s=43_200),
            **options,
        )

    async def tried(self, name: str = "ada", password: str = WRONG, source: str = HERE) -> str:
        """`in`, or why not."""
        try:
            await self.access.sign_in(name, password, source)
        except (SignInRefused, TooManyAttempts, QueueFull) as refused:
            return type(refused).__name__
        return "in"

    def key(self, name: str = "deploy", expires_at_ms: int | None = None) -> NewApiKey:
        """A new API key, of an operator of the tenant."""
        made = ApiKeys(PEPPER).generate()
        with changing(self.store, "ada") as change:
            change.add_api_key(
                name, made, role=Role.OPERATOR, tenant_id=self.site.tenant.id, expires_at_ms=expires_at_ms
            )
        return made

    async def close(self) -> None:
        """Let go of it."""
        self.passwords.gate.set()
        await self.access.close()
        self._hashing.close()


OLD_HASH = Passwords(memory_kib=8, time_cost=1).hash(PASSWORD)
Open = Callable[..., Gate]


@pytest.fixture
async def open_gate(sqlite_places: SqlitePlaces, tmp_path: Path) -> AsyncIterator[Open]:
    """What makes the gate."""
    opened: list[Gate] = []
    site = Site(sqlite_places.make(tmp_path, START_MS))
    site.begin(seats=1, clients=1)
    with changing(site.store, "a test") as change:
        change.add_admin("ada", password_hash=OLD_HASH, role=Role.OWNER)
        change.add_admin("gone", password_hash=OLD_HASH, role=Role.OWNER, enabled=False)

    def make(**options: Any) -> Gate:
        opened.append(Gate(site, **options))
        return opened[-1]

    yield make
    for gate in opened:
        await gate.close()
    site.close()


@pytest.fixture
async def gate(open_gate: Open) -> Gate:
    """The gate as a server has it."""
    return open_gate()


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


# Guessing


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


# Forgery


async def test_each_token_has_a_csrf_token_that_does_not_tell_it(gate: Gate) -> None:
    token, other = [await gate.access.sign_in("ada", PASSWORD, HERE) for _ in range(2)]
    found = await gate.access.signed_in(token)
    assert found is not None
    assert found.csrf == gate.access.csrf(token)
    assert gate.access.is_csrf(token, found.csrf)
    for sent in ("", token, gate.access.csrf(other), found.csrf[:-1], found.csrf + "=", "\ud800", "é"):
        assert not gate.access.is_csrf(token, sent)


# Keys


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
    assert gate.access.api_keys_used == {}
    gate.clock.advance(seconds=10)
    await gate.access.of_key(made.key, HERE)
    await gate.close()
    assert gate.site.rows(schema.api_key)[0].last_used_at_ms == START_MS + 20_000


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
