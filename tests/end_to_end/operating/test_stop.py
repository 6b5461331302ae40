"""How a server stops: what is under way is answered and kept, and nothing else is."""

import asyncio
import signal
import socket
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from licet.store.opening import SQLITE_NAME
from support.server.callers import GRANT, TENANT, Caller, in_use, opened, rows, with_secrets
from support.server.operating import events, has_read_what_was_sent, is_closed, sid_of
from support.server.running import PATIENCE_S, RunningServer
from support.server.served import STOPS_AT_START
from support.waiting import until


class TestStopping:
    """SIGTERM and SIGINT: an orderly end."""

    def test_an_idle_server_stops_with_exit_code_0_and_says_so(self, tmp_path: Path) -> None:
        """Open connections that ask for nothing do not keep it; Ctrl-C is as good as SIGTERM."""
        with RunningServer(tmp_path, is_executed=True) as server:
            assert server.ask(f"{TENANT}/token", **GRANT).status_code == 200
            server.process.send_signal(signal.SIGINT)
            assert server.process.wait(PATIENCE_S) == 0
            told = [event["event"] for event in events(server.log())]
            assert told == ["started", "stopped"]

    @pytest.mark.anyio
    async def test_a_grant_under_way_is_answered_and_durable(self, tmp_path: Path) -> None:
        """L9: the last batch is committed, though another process held the store when the signal came."""
        with RunningServer(tmp_path) as server:
            clients = list(with_secrets(server, [f"Machine{n}" for n in range(5)]).values())
            with closing(sqlite3.connect(server.data / SQLITE_NAME)) as other:
                other.execute("BEGIN IMMEDIATE")
                async with opened([server.url] * len(clients)) as callers:
                    for caller, client in zip(callers, clients, strict=True):
                        caller.say(f"{TENANT}/token", client, **GRANT)
                    has_read_what_was_sent(server)
                    server.process.terminate()
                    until(lambda: is_closed(server.url))
                    other.rollback()
                    answers = await asyncio.gather(*(caller.hear() for caller in callers))
            assert server.process.wait(PATIENCE_S) == 0
            assert [answer.told for answer in answers] == ["granted"] * len(clients)
            sids = {sid_of(server, answer.content["access_token"]) for answer in answers}
            assert {row[0] for row in rows(server, "SELECT sid FROM session WHERE tenant_id = 1")} == sids
            assert events(server.log())[-1]["event"] == "stopped"

    def test_a_request_whose_body_is_still_to_come_is_answered(self, tmp_path: Path) -> None:
        """Its head is here, so that it is under way."""
        body = b"grant_type=client_credentials&client_id=TestClientId&client_secret=password"
        head = (
            f"POST /{TENANT}/token HTTP/1.1\r\nhost: licet.test\r\nexpect: 100-continue\r\n"
            f"content-type: application/x-www-form-urlencoded\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        with RunningServer(tmp_path) as server:
            parts = urlsplit(server.url)
            with (
                socket.create_connection((parts.hostname, parts.port), PATIENCE_S) as connection,
                connection.makefile("rb") as answer,
            ):
                connection.sendall(head.encode())
                assert answer.readline() == b"HTTP/1.1 100 Continue\r\n"
                server.process.terminate()
                until(lambda: is_closed(server.url))
                connection.sendall(body)
                answered = answer.read().lower()  # to the end of the connection
            assert answered.removeprefix(b"\r\n").startswith(b"http/1.1 200 ok\r\n")
            assert b"\r\nconnection: close\r\n" in answered
            assert b'"access_token":"lca_' in answered
            assert server.process.wait(PATIENCE_S) == 0

    @pytest.mark.anyio
    async def test_under_load_exactly_what_was_answered_is_kept(self, tmp_path: Path) -> None:
        """L9: whoever got no answer has no session, and nobody was answered in vain."""
        with RunningServer(tmp_path) as server:
            with server.changing() as change:
                change.tenant(TENANT).set_pool("full", seats=100)
            clients = with_secrets(server, [f"Machine{n}" for n in range(32)], sessions_max=10_000)
            answered: list[str] = []
            enough = asyncio.Event()

            async def ask_for_ever(caller: Caller, client: str) -> None:
                with suppress(OSError, EOFError):
                    while True:
                        answer = await caller.ask(f"{TENANT}/token", client, **GRANT)
                        answered.append(answer.content["access_token"])
                        if len(answered) >= 500:
                            enough.set()

            async with opened([server.url] * len(clients)) as callers, asyncio.timeout(PATIENCE_S):
                asking = [
                    asyncio.create_task(ask_for_ever(caller, client))
                    for caller, client in zip(callers, clients.values(), strict=True)
                ]
                await enough.wait()
                server.process.terminate()
                await asyncio.gather(*asking)
            assert server.process.wait(PATIENCE_S) == 0
            kept = {row[0] for row in rows(server, "SELECT sid FROM session WHERE tenant_id = 1")}
            assert kept == {sid_of(server, token) for token in answered}
            assert in_use(server) == len(clients)
            assert [event["event"] for event in events(server.log())] == ["started", "stopped"]
            server.kill()  # what is left of it
            server.start()
            asked = server.ask(f"{TENANT}/introspect", "Api", token=answered[-1])
            assert asked.json()["active"]


def test_a_signal_that_comes_while_a_server_starts_is_not_lost(tmp_path: Path) -> None:
    """A service manager may stop what it has just started: it listens, and stops as at any other time."""
    (tmp_path / STOPS_AT_START).touch()
    with RunningServer(tmp_path) as server:
        assert server.process.wait(PATIENCE_S) == 0
        assert '"stopped"' in server.log()
