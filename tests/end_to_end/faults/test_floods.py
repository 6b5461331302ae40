"""A flood of wrong passwords at a real server: who is held back, and who is not."""

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from licet.cli.run.demo import PASSWORD
from support.admin.dashboard import DashboardSite, reader_of
from support.server.running import PATIENCE_S, RunningServer
from support.server.served import HashGate
from support.waiting import until

HOME = "192.0.2.1"
_STRICT: dict[str, Any] = {"login_failures_per_client_max": 5, "login_failures_per_source_max": 3}


@pytest.fixture
def strict(tmp_path: Path) -> Iterator[RunningServer]:
    """A server that lets a source fail three times in a minute, and a client five times."""
    with RunningServer(tmp_path, manual_clock=True, trusted_proxies="127.0.0.1", **_STRICT) as running:
        yield running


def attempt(
    server: RunningServer, address: str, client_id: str = "TestClientId", password: str = "wrong"
) -> httpx.Response:
    """The answer to a grant from an address."""
    form = {"grant_type": "client_credentials", "scope": "view"}
    headers = {"x-forwarded-for": address}
    return server.http.post("/Jim_Test/token", data=form, auth=(client_id, password), headers=headers)


def guess(server: RunningServer, client_id: str, at: int) -> int:
    """What a client with a wrong password is told at an address that has asked for nothing else."""
    return attempt(server, f"198.51.100.{at}", client_id).status_code


@pytest.mark.wide
def test_the_addresses_of_a_64_are_one_and_those_of_a_48_have_a_limit(strict: RunningServer) -> None:
    """RFC 4291 2.5.4, RFC 6177: whoever has one of them has all of them."""
    one = [attempt(strict, f"2001:db8:1:2::{at:x}", f"Nobody{at}").status_code for at in range(8)]
    assert one == [*[401] * 3, *[429] * 5]
    many = [attempt(strict, f"2001:db8:2:{at:x}00::1", f"Nobody{at}").status_code for at in range(60)]
    assert many.count(401) == 16 * 3
    assert attempt(strict, "2001:db8:3::1").status_code == 401


def test_what_a_client_makes_up_is_no_address(strict: RunningServer) -> None:
    """It counts for the proxy that passed it on, and gets into neither the log nor the store."""
    told = [attempt(strict, f"made-up-{at}{'x' * 3000}", f"Nobody{at}").status_code for at in range(5)]
    assert told == [401, 401, 401, 429, 429]
    strict.advance(seconds=60)
    assert attempt(strict, "made-up", password=PASSWORD).status_code == 200
    assert strict.terminate() == 0
    log = strict.log()
    assert "made-up" not in log
    assert '"127.0.0.1"' in log


def test_who_has_a_session_is_known_where_it_comes_from_after_a_restart(strict: RunningServer) -> None:
    """S19: others behind its address have failed too often before it needs to be hashed again."""
    assert attempt(strict, HOME, password=PASSWORD).status_code == 200
    assert strict.terminate() == 0
    strict.start()
    told = [attempt(strict, HOME, f"Nobody{at}").status_code for at in range(4)]
    assert told == [401, 401, 401, 429]
    assert attempt(strict, HOME, "Client1", PASSWORD).status_code == 429
    assert attempt(strict, HOME, password=PASSWORD).status_code == 200


def test_from_many_addresses_a_client_is_guessed_at_a_few_times_beyond_its_limit(
    strict: RunningServer,
) -> None:
    """S19: and whether there is such a client makes no difference; nor is it kept out where it was."""
    assert attempt(strict, HOME, password=PASSWORD).status_code == 200
    for client_id in ("TestClientId", "Nobody"):
        assert [guess(strict, client_id, at) for at in range(15)] == [401] * 15
        with ThreadPoolExecutor(15) as threads:  # at once: each of these answers waits before it refuses
            told = list(threads.map(partial(guess, strict, client_id), range(15, 30)))
        assert told == [429] * 15
    assert attempt(strict, HOME).status_code == 401
    assert attempt(strict, HOME, password=PASSWORD).status_code == 200


def test_one_address_with_300_at_once_keeps_others_waiting_for_a_few_hashes_only(tmp_path: Path) -> None:
    """A client that is new at another address, and an administrator; also where nothing limits failures.

    One thread hashes, and each hash waits until it is let through.
    """
    settings = {"login_failures_per_source_max": 1_000_000, "login_failures_per_client_max": 1_000_000}
    places = {"hash_workers": 1, "hash_queue_max": 64, "metrics_public": True, "trusted_proxies": "127.0.0.1"}
    with DashboardSite(tmp_path, **places, **settings) as server, reader_of(server) as ada:
        gate = HashGate(tmp_path)
        gate.shut()
        with ThreadPoolExecutor(302) as threads:
            flood = [
                threads.submit(status, asked(server, "198.51.100.1", f"wrong {at}")) for at in range(300)
            ]
            until(lambda: sum(it.done() for it in flood) == 300 - 1 - 32)  # and all the others wait
            good = threads.submit(status, asked(server, HOME, PASSWORD))
            until(lambda: sum(it.done() for it in flood) == 300 - 32)  # the last one has made room for it
            signing_in = threads.submit(ada.sign_in, "ada")
            until(lambda: queue_length(server) == 1 + 32 + 1)
            gate.let_through(5)
            assert good.result(PATIENCE_S) == 200
            assert signing_in.result(PATIENCE_S).status_code == 303
            gate.open()
            told = [it.result() for it in flood]
        assert {it: told.count(it) for it in set(told)} == {401: 32, 429: 268}


def test_a_client_that_hangs_up_gives_its_place_back(tmp_path: Path) -> None:
    """S48: somebody else has it at once, and nothing is hashed for who is gone."""
    places = {"hash_workers": 1, "hash_queue_max": 4, "metrics_public": True, "trusted_proxies": "127.0.0.1"}
    with DashboardSite(tmp_path, **places) as server:
        gate = HashGate(tmp_path)
        gate.shut()
        first = asked(server, "198.51.100.1", "wrong")
        until(gate.is_reached)
        waiting = [asked(server, f"198.51.100.{at}", "wrong too") for at in (2, 3)]
        until(lambda: queue_length(server) == 3)
        assert status(asked(server, HOME, PASSWORD)) == 503
        waiting[0].close()
        until(lambda: "went away before its turn" in server.log())
        good = asked(server, HOME, PASSWORD)
        before = server.hashes
        gate.open()
        assert [status(first), status(waiting[1]), status(good)] == [401, 401, 200]
        assert server.hashes == before + 2


def queue_length(server: RunningServer) -> int:
    """How many are hashed or wait for it."""
    text = httpx.get(f"{server.admin_url}/metrics").text
    return int(text.partition('licet_queue_length{queue="hash"} ')[2].split("\n")[0].partition(".")[0])


def asked(server: RunningServer, address: str, password: str) -> socket.socket:
    """A connection on which TestClientId has asked for a grant, from an address."""
    host, port = server.url.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)), timeout=60)
    body = f"grant_type=client_credentials&scope=view&client_id=TestClientId&client_secret={quote(password)}"
    head = (
        "POST /Jim_Test/token HTTP/1.1",
        f"Host: {host}",
        "Content-Type: application/x-www-form-urlencoded",
        f"Content-Length: {len(body)}",
        f"X-Forwarded-For: {address}",
    )
    connection.sendall("\r\n".join((*head, "", body)).encode())
    return connection


def status(connection: socket.socket) -> int:
    """The status of the answer."""
    with connection:
        line = connection.makefile("rb").readline()
    return int(line.split(b" ")[1])
