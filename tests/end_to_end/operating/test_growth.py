"""How the tables of a server grow: with what is alive, never with the number of tokens."""

import asyncio
import time
from collections import Counter
from pathlib import Path

import pytest

from licet.cli.run.demo import PASSWORD
from support.server.callers import GRANT, TENANT, Caller, in_use, opened, rows, with_secrets
from support.server.operating import VIEW
from support.server.running import RunningServer
from support.store.journals import WHOLE_JOURNAL
from support.waiting import until

READ = "SELECT count(*) FROM session WHERE tenant_id = 1"


class TestGrowth:
    """The tables follow what is alive, never the number of tokens issued."""

    @pytest.mark.wide
    def test_what_has_expired_is_swept_off_the_tables(self, tmp_path: Path) -> None:
        """L4: nobody waits for it, but it happens."""
        with RunningServer(tmp_path, manual_clock=True) as server:
            for client_id in ("TestClientId", "Client1", "Client2"):
                assert server.ask(f"{TENANT}/token", client_id, PASSWORD, **GRANT).status_code == 200
            assert server.ask(f"{TENANT}/token", "Client3", PASSWORD, **VIEW).status_code == 200
            assert rows(server, READ) == [(4,)]
            server.advance(seconds=1200)
            until(lambda: server.http.get("/health/live").is_success and rows(server, READ) == [(0,)])
            assert in_use(server) == 0
            expired = f"SELECT sum(times) FROM {WHOLE_JOURNAL} WHERE reason = 'expired'"  # noqa: S608
            assert rows(server, expired) == [(4,)]

    @pytest.mark.anyio
    @pytest.mark.wide
    async def test_ten_thousand_grants_leave_as_few_rows_as_a_handful(self, tmp_path: Path) -> None:
        """L8, L11: the sessions are bounded by clients, the journal by clients and minutes."""
        began = time.time()
        with RunningServer(tmp_path) as server:
            clients = list(with_secrets(server, [f"Machine{n}" for n in range(4)], sessions_max=5).values())
            async with opened([server.url] * 20) as callers:
                told = await asyncio.gather(
                    *(_grant_often(caller, clients[n % 4]) for n, caller in enumerate(callers))
                )
            assert sum(told, Counter()) == {"granted": 10_000}
            assert rows(server, READ) == [(4 * 5,)]
            assert in_use(server) == 4
            until(lambda: rows(server, "SELECT count(*) FROM journal_entry") == [(0,)])
            counts = rows(
                server, "SELECT count(*), kind, sum(times) FROM journal WHERE tenant_id = 1 GROUP BY kind"
            )
            assert {kind: times for _, kind, times in counts} == {"granted": 10_000, "ended": 10_000 - 20}
            uses = rows(server, "SELECT count(*) FROM usage_minute WHERE tenant_id = 1")
            minutes = int(time.time() // 60 - began // 60) + 2  # one more: the server's clock may be ahead
            assert sum(count for count, _, _ in counts) <= minutes * 4 * 2
            assert uses[0][0] <= minutes

    @pytest.mark.wide
    @pytest.mark.anyio
    async def test_a_client_in_a_retry_loop_is_one_row_a_minute(self, tmp_path: Path) -> None:
        """L11: denials are folded."""
        with RunningServer(tmp_path) as server:
            with server.changing() as change:
                change.tenant(TENANT).set_pool("full", seats=1)
            holder, other = with_secrets(server, ["Holder", "Retrying"]).values()
            began = time.time()
            async with opened([server.url] * 4) as callers:
                assert (await callers[0].ask(f"{TENANT}/token", holder, **GRANT)).told == "granted"
                told = await asyncio.gather(*(_grant_often(caller, other) for caller in callers))
            minutes = int(time.time() // 60 - began // 60) + 2  # one more: the server's clock may be ahead
            assert sum(told, Counter()) == {"all_in_use": 2000}
            until(lambda: rows(server, "SELECT count(*) FROM denial_entry") == [(0,)])
            denied = rows(server, "SELECT count(*), sum(times) FROM journal WHERE kind = 'denied'")
            assert denied[0][0] <= minutes
            assert denied[0][1] == 2000


async def _grant_often(caller: Caller, client: str) -> "Counter[str]":
    """Five hundred grants, fifty of them under way at a time."""
    told: Counter[str] = Counter()
    for _ in range(10):
        for _ in range(50):
            caller.say(f"{TENANT}/token", client, **GRANT)
        for _ in range(50):
            told[(await caller.hear()).told] += 1
    return told
