"""A power cut, as far as a process can have one: SIGKILL under load, again and again on the same data.

What was answered must hold afterwards (L9). What was asked and not answered may have happened or not, and
the test learns which from the server that starts next; from then on it must hold as well.
What is random has a seed, which is printed.
"""

import asyncio
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Collection, Sequence
from contextlib import closing, suppress
from pathlib import Path

import pytest

from licet.credentials.keyring import FILE_NAME, read_keyring
from licet.credentials.tokens import REFRESH_PREFIX, Tokens
from licet.reports.live import seats
from licet.setup.change import end_sessions
from licet.store.opening import SQLITE_NAME
from support.examples import jim_test
from support.server.callers import GRANT, TENANT, Answer, Caller, bearer, in_use, opened, rows, with_secrets
from support.server.nursery import Program
from support.server.running import PATIENCE_S, RunningServer
from support.waiting import until

KILLS = 3
CONNECTIONS = 32
CLIENTS = 16  # two connections each, so that sessions share seats
SEATS = 12  # fewer than clients, so that some are denied
SESSIONS_MAX = 6  # of one connection: then it logs off
TOKENS_ASKED_ABOUT = 3  # of one session, the newest
SEED = 20_261_124
APPLY_S = 60  # for a command that another process runs: far more than it needs


class Held:
    """A session of which a connection was told: its tokens, and whether its end was asked for or answered."""

    def __init__(self, sid: bytes, answer: Answer) -> None:
        self.sid = sid
        self.access = [str(answer.content["access_token"])]
        self.refresh = str(answer.content["refresh_token"])
        self.is_ending = False


class Talker:
    """One connection's client: it asks, one question at a time, until it is cut off."""

    def __init__(self, authorization: str, api: str, tokens: Tokens, dice: random.Random) -> None:
        self.authorization = authorization
        self.held: list[Held] = []
        self.ended: list[Held] = []
        self.grants_lost = 0  # asked and not answered, since the last look
        self._api = api
        self._tokens = tokens
        self._dice = dice

    async def talk(self, caller: Caller, answered: asyncio.Semaphore) -> None:
        """Ask until the connection breaks; each answer is counted."""
        with suppress(OSError, EOFError):
            while True:
                await self._ask_something(caller)
                answered.release()

    async def _ask_something(self, caller: Caller) -> None:
        kind = self._dice.choices(("grant", "refresh", "introspect", "logoff"), (4, 3, 2, 2))[0]
        if not self.held or (kind == "grant" and len(self.held) < SESSIONS_MAX):
            await self._grant(caller)
            return
        held = self._dice.choice(self.held)
        match kind:
            case "refresh":
                await self.renew(caller, held)
            case "introspect":
                assert await self.is_active(caller, held.access[-1])
            case _:
                await self._log_off(caller, held)

    async def _grant(self, caller: Caller) -> None:
        scope = self._dice.choice(("all", "all", "view"))
        self.grants_lost += 1
        answer = await caller.ask(f"{TENANT}/token", self.authorization, **GRANT, scope=scope)
        self.grants_lost -= 1
        if answer.told == "granted":
            self.held.append(Held(self._sid(answer), answer))
        else:
            assert answer.told == "all_in_use"
            assert (answer.content["in_use"], answer.content["seats"]) == (SEATS, SEATS)

    async def renew(self, caller: Caller, held: Held) -> None:
        """Refresh a session that lives."""
        form = {"grant_type": "refresh_token", "refresh_token": held.refresh}
        answer = await caller.ask(f"{TENANT}/token", self.authorization, **form)
        assert answer.told == "granted"
        assert self._sid(answer) == held.sid
        held.access.append(str(answer.content["access_token"]))

    async def _log_off(self, caller: Caller, held: Held) -> None:
        held.is_ending = True
        answer = await caller.ask(f"{TENANT}/logoff", f"Bearer {held.access[-1]}")
        assert answer.content["logged_off"]
        self.held.remove(held)
        self.ended.append(held)

    async def verify(self, caller: Caller) -> None:
        """Ask the next server about all that the one before answered."""
        for held in self.ended:
            assert not await self.is_active(caller, held.access[-1])
        self.ended.clear()  # A session that was over once is looked for in the tables from here on.
        for held in tuple(self.held):
            held.access = held.access[-TOKENS_ASKED_ABOUT:]
            active = {await self.is_active(caller, token) for token in (*held.access, held.refresh)}
            if held.is_ending:
                assert len(active) == 1
                held.is_ending = False
                if active == {False}:
                    self.held.remove(held)
            else:
                assert active == {True}

    async def is_active(self, caller: Caller, token: str) -> bool:
        """What the introspection says."""
        hint = "refresh_token" if token.startswith(REFRESH_PREFIX) else "access_token"
        answer = await caller.ask(f"{TENANT}/introspect", self._api, token=token, token_type_hint=hint)
        assert answer.status == 200
        return bool(answer.content["active"])

    def _sid(self, answer: Answer) -> bytes:
        access = self._tokens.read_access(str(answer.content["access_token"]), jim_test())
        assert access is not None
        return access.sid


def _talkers(server: RunningServer) -> list[Talker]:
    dice = random.Random(SEED)  # noqa: S311 - must be repeatable
    tokens = Tokens(read_keyring(server.data / FILE_NAME))
    with server.changing() as change:
        change.tenant(TENANT).set_pool("full", seats=SEATS)
    api = with_secrets(server, ["Asker"], introspects=True)["Asker"]
    names = [f"Machine{n}" for n in range(CLIENTS)]
    clients = list(with_secrets(server, names, sessions_max=10_000).values())
    return [
        Talker(clients[n % CLIENTS], api, tokens, random.Random(dice.getrandbits(32)))  # noqa: S311
        for n in range(CONNECTIONS)
    ]


class TestServer:
    """The server dies."""

    @pytest.mark.anyio
    @pytest.mark.parametrize("kills", [KILLS, pytest.param(20, marks=pytest.mark.wide)])
    async def test_what_was_answered_holds_after_every_one_of_many_kills(
        self, tmp_path: Path, kills: int
    ) -> None:
        """L9: no token is lost, no logoff undone, no seat lost and none too many.

        A process of its own commits every other time, and a thread the other times.
        """
        print(f"seed {SEED}")  # noqa: T201 - shown when it fails
        dice = random.Random(SEED)  # noqa: S311 - must be repeatable
        with RunningServer(tmp_path) as server:
            talkers = _talkers(server)
            for number in range(kills):
                await self._load_and_kill(server, talkers, answers=dice.randrange(100, 700))
                server.set(commit_process=number % 2 == 0)
                server.start()
                async with opened([server.url] * CONNECTIONS) as callers:
                    await asyncio.gather(
                        *(talker.verify(caller) for talker, caller in zip(talkers, callers, strict=True))
                    )
                    self._verify_tables(server, talkers)
                    await self._renew_all(talkers, callers)
            assert rows(server, "PRAGMA integrity_check") == [("ok",)]

    @staticmethod
    async def _load_and_kill(server: RunningServer, talkers: Sequence[Talker], *, answers: int) -> None:
        answered = asyncio.Semaphore(0)
        async with opened([server.url] * CONNECTIONS) as callers, asyncio.timeout(PATIENCE_S):
            talking = [
                asyncio.create_task(talker.talk(caller, answered))
                for talker, caller in zip(talkers, callers, strict=True)
            ]
            for _ in range(answers):
                await answered.acquire()
            server.kill()
            await asyncio.gather(*talking)

    def _verify_tables(self, server: RunningServer, talkers: Sequence[Talker]) -> None:
        """L4, L6: the seats are those of the sessions that live, and the sessions those that were granted."""
        sessions = {row[0]: row[1] for row in rows(server, _SESSIONS)}
        known = {held.sid for talker in talkers for held in talker.held}
        assert known <= sessions.keys()
        lost = sessions.keys() - known
        assert len(lost) <= sum(talker.grants_lost for talker in talkers)
        seats_held = rows(server, "SELECT holder FROM seat ORDER BY holder")
        holders = {holder for holder in sessions.values() if holder is not None}
        assert [holder for (holder,) in seats_held] == sorted(holders)
        assert in_use(server) == len(holders) <= SEATS
        self._must_be_seen_by_an_administrator(server, len(holders))
        self._end(server, lost)
        for talker in talkers:
            talker.grants_lost = 0

    @staticmethod
    def _must_be_seen_by_an_administrator(server: RunningServer, in_use_now: int) -> None:
        with server.store() as store, store.reading() as connection:
            tenant = store.tenant(TENANT)
            assert tenant is not None
            (pool,) = seats(connection, tenant, server.clock.now_ms()).pools
        assert (pool.in_use, pool.overuse) == (in_use_now, 0)

    @staticmethod
    def _end(server: RunningServer, sids: Collection[bytes]) -> None:
        """End the sessions whose tokens nobody got, so that they do not fill the pool."""
        with server.store() as store:
            ended = end_sessions(store, "a test", TENANT, list(sids))
        assert ended.sessions == len(sids)

    @staticmethod
    async def _renew_all(talkers: Sequence[Talker], callers: Sequence[Caller]) -> None:
        """L5: every survivor can be renewed."""

        async def renew_all_of(talker: Talker, caller: Caller) -> None:
            for held in talker.held:
                await talker.renew(caller, held)

        await asyncio.gather(
            *(renew_all_of(talker, caller) for talker, caller in zip(talkers, callers, strict=True))
        )


class Steady:
    """One connection's client that goes on whatever it is told, and what was answered of its sessions."""

    def __init__(self, authorization: str, tokens: Tokens) -> None:
        self.live: dict[bytes, str] = {}
        self.ended: set[bytes] = set()
        self.unknown = 0  # grants that were answered 503: they may have happened, or not
        self.unsure: set[bytes] = set()  # of whose logoff it is the same
        self.told: Counter[str] = Counter()
        self._authorization = authorization
        self._tokens = tokens

    async def go_on(self, caller: Caller, enough: asyncio.Event, answered: asyncio.Semaphore) -> None:
        """Ask until it is enough; every answer is yes or 503, and comes."""
        while not enough.is_set():
            await self._grant(caller)
            answered.release()
            if len(self.live) % 3 == 0 and self.live:
                await self._log_off(caller)

    async def _grant(self, caller: Caller) -> None:
        answer = await caller.ask(f"{TENANT}/token", self._authorization, **GRANT)
        self.told[answer.told] += 1
        if answer.told == "granted":
            access = self._tokens.read_access(str(answer.content["access_token"]), jim_test())
            assert access is not None
            self.live[access.sid] = str(answer.content["access_token"])
        else:
            assert (answer.status, answer.told) == (503, "server_error")
            assert answer.content["retry_after"] >= 1
            self.unknown += 1

    async def _log_off(self, caller: Caller) -> None:
        ended, token = self.live.popitem()
        answer = await caller.ask(f"{TENANT}/logoff", f"Bearer {token}")
        if answer.status == 200:
            assert answer.content["logged_off"]
            self.ended.add(ended)
        else:
            assert (answer.status, answer.told) == (503, "server_error")
            self.unsure.add(ended)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds the process by way of /proc")
class TestCommittingProcess:
    """The process that commits dies, and the server does not."""

    @pytest.mark.anyio
    async def test_every_answer_is_true_and_grants_go_on_after_every_one_of_four_kills(
        self, tmp_path: Path
    ) -> None:
        """L9: who waits is told 503, never what is not so; nobody has to start anything again."""
        with RunningServer(tmp_path, commit_process=True) as server:
            with server.changing() as change:
                change.tenant(TENANT).set_pool("full", seats=100)
            clients = with_secrets(server, [f"Machine{n}" for n in range(CONNECTIONS)], sessions_max=10_000)
            tokens = Tokens(read_keyring(server.data / FILE_NAME))
            steady = [Steady(client, tokens) for client in clients.values()]
            enough, answered = asyncio.Event(), asyncio.Semaphore(0)
            async with opened([server.url] * CONNECTIONS) as callers, asyncio.timeout(3 * PATIENCE_S):
                asking = [
                    asyncio.create_task(it.go_on(caller, enough, answered))
                    for it, caller in zip(steady, callers, strict=True)
                ]
                killed = [await self._kill(server, steady, answered) for _ in range(4)]
                await self._grants(steady, answered, 50)
                # What was under way at a kill leaves a doubt about the store, until a write resolves it.
                await asyncio.to_thread(until, lambda: server.http.get("/health/ready").status_code == 200)
                enough.set()
                await asyncio.gather(*asking)
            assert len({*killed, server.committing()}) == 5
            assert sum(it.unknown for it in steady) > 0
            self._verify(server, steady)
            self._must_be_logged(server)

    async def _kill(
        self, server: RunningServer, steady: Sequence[Steady], answered: asyncio.Semaphore
    ) -> int:
        """Kill it once it has granted something."""
        await self._grants(steady, answered, 50)
        pid = server.committing()
        os.kill(pid, signal.SIGKILL)
        return pid

    @staticmethod
    async def _grants(steady: Sequence[Steady], answered: asyncio.Semaphore, count: int) -> None:
        """Wait for so many more."""
        enough = sum(it.told["granted"] for it in steady) + count
        while sum(it.told["granted"] for it in steady) < enough:
            await answered.acquire()

    @staticmethod
    def _verify(server: RunningServer, steady: Sequence[Steady]) -> None:
        sessions = {row[0]: row[1] for row in rows(server, _SESSIONS)}
        live = {it for one in steady for it in one.live}
        assert live <= sessions.keys()
        assert sessions.keys().isdisjoint(it for one in steady for it in one.ended)
        lost = sessions.keys() - live - {it for one in steady for it in one.unsure}
        assert len(lost) <= sum(it.unknown for it in steady)
        assert in_use(server) == len(set(sessions.values()))
        assert rows(server, "PRAGMA integrity_check") == [("ok",)]

    @staticmethod
    def _must_be_logged(server: RunningServer) -> None:
        logged = [json.loads(line) for line in server.log().splitlines()]
        ends = [it["detail"] for it in logged if it["event"] == "committing_process_ended"]
        assert ends == ["exit code -9"] * 4
        assert not [it for it in logged if it["event"] == "fault"]


_SESSIONS = "SELECT sid, holder FROM session WHERE tenant_id = 1"

# `licet`, which is killed when the store begins its n-th statement; with -n somebody else kills it, soon
# after that. With 0 it counts the statements, and tells on stderr.
_DYING = """
import os, signal, sys
from sqlalchemy import Engine, event
fatal, count = int(sys.argv.pop(1)), 0
def begun(_):
    global count
    count += 1
    if count == fatal:
        os.kill(os.getpid(), signal.SIGKILL)
    if count == -fatal:
        os.posix_spawnp("kill", ["kill", "-KILL", str(os.getpid())], os.environ)
@event.listens_for(Engine, "connect")
def connected(raw, _):
    raw.set_trace_callback(begun)
from licet.cli import app
try:
    app()
finally:
    sys.stderr.write(f"statements {count}")
"""
_DECLARED = 40  # users and clients that the file adds
_WHAT_AN_APPLY_DOES = """
SELECT (SELECT count(*) FROM client WHERE client_id LIKE 'New%'),
       (SELECT count(*) FROM user_account WHERE name = 'Changed'),
       4 - (SELECT count(*) FROM session WHERE pool_id IS NOT NULL)
"""


def _set_up_file(path: Path) -> Path:
    """A set-up that adds much, lowers the seats, and takes the scope of sessions away."""
    lines = [f'[tenant.{TENANT}.pool.full]\nseats = 2\n[tenant.{TENANT}.user.TC]\nname = "Changed"']
    lines += [f'[tenant.{TENANT}.client.Machine{n}]\nuser = "TC"\nscopes = ["view"]' for n in range(4)]
    for number in range(_DECLARED):
        lines.append(f'[tenant.{TENANT}.user.{number:03}]\nname = "User {number}"')
        lines.append(f'[tenant.{TENANT}.client.New{number}]\nuser = "{number:03}"')
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def _run(data: Path, fatal: int, *arguments: str) -> Program:
    return Program(
        [sys.executable, "-c", _DYING, str(fatal), *arguments, "--data", str(data)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )


def _seen(server: RunningServer) -> dict[str, list[tuple[object, ...]]]:
    """All that a change of the set-up may touch, as the tables have it."""
    tables = ("setup", "tenant", "pool", "scope", "user_account", "client", "session", "seat", "event")
    return {table: rows(server, f"SELECT * FROM {table}") for table in tables}  # noqa: S608 - names of tables


class TestCommandLine:
    """`licet apply` dies."""

    @pytest.mark.anyio
    @pytest.mark.parametrize("kills", [3, pytest.param(10, marks=pytest.mark.wide)])
    async def test_an_apply_that_is_killed_at_any_statement_did_all_or_nothing(
        self, tmp_path: Path, kills: int
    ) -> None:
        """One transaction: also with sessions that end in it, and beside a server that goes on."""
        print(f"seed {SEED}")  # noqa: T201 - shown when it fails
        dice = random.Random(SEED)  # noqa: S311 - must be repeatable
        (tmp_path / "data").mkdir()
        file = _set_up_file(tmp_path / "setup.toml")
        with RunningServer(tmp_path / "data") as server:
            clients = list(with_secrets(server, [f"Machine{n}" for n in range(4)]).values())
            async with opened([server.url]) as (caller,):
                tokens = [await caller.ask(f"{TENANT}/token", client, **GRANT) for client in clients]
            before = _seen(server)
            statements = self._count_statements(server, tmp_path / "copy", file)
            for fatal in (*sorted(dice.sample(range(1, statements), kills)), statements):
                dying = _run(server.data, fatal, "apply", str(file), "--yes")
                dying.communicate(timeout=APPLY_S)
                assert dying.returncode == -signal.SIGKILL
                assert _seen(server) == before
            self._kill_around_the_commit(server, tmp_path, file, statements)
            async with opened([server.url]) as (caller,):
                await self._all_must_live(caller, clients, tokens)
                living = _run(server.data, 0, "apply", str(file), "--yes")
                told, _ = living.communicate(timeout=APPLY_S)
                assert living.returncode == 0
                assert "4 sessions ended" in told
            async with opened([server.url]) as (caller,):
                await self._all_must_be_over(caller, clients, tokens)
            assert in_use(server) == 0

    @staticmethod
    def _count_statements(server: RunningServer, copy: Path, file: Path) -> int:
        """Those of an apply up to its COMMIT; a copy is changed for it."""
        shutil.copytree(server.data, copy)
        counting = _run(copy, 0, "apply", str(file), "--yes")
        told = counting.communicate(timeout=APPLY_S)[1]
        return int(told.rpartition("statements ")[2])

    @staticmethod
    def _kill_around_the_commit(server: RunningServer, tmp_path: Path, file: Path, statements: int) -> None:
        """At moments that nobody chose: on copies, as it may come to its end."""
        for number in range(4):
            copy = tmp_path / f"copy{number}"
            shutil.copytree(server.data, copy)
            _run(copy, -statements, "apply", str(file), "--yes").communicate(timeout=APPLY_S)
            with closing(sqlite3.connect(copy / SQLITE_NAME)) as connection:
                assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
                assert connection.execute(_WHAT_AN_APPLY_DOES).fetchone() in {(0, 0, 0), (_DECLARED, 1, 4)}

    @staticmethod
    async def _all_must_live(caller: Caller, clients: Sequence[str], tokens: Sequence[Answer]) -> None:
        for client, token in zip(clients, tokens, strict=True):
            form = {"grant_type": "refresh_token", "refresh_token": token.content["refresh_token"]}
            renewed = await caller.ask(f"{TENANT}/token", client, **form)
            assert renewed.told == "granted"

    @staticmethod
    async def _all_must_be_over(caller: Caller, clients: Sequence[str], tokens: Sequence[Answer]) -> None:
        for client, token in zip(clients, tokens, strict=True):
            form = {"grant_type": "refresh_token", "refresh_token": token.content["refresh_token"]}
            assert (await caller.ask(f"{TENANT}/token", client, **form)).told == "invalid_grant"
            ended = await caller.ask(f"{TENANT}/logoff", bearer(token))
            assert ended.content == {"logged_off": True, "seat_released": False}
