"""Tests that a copy made while a server commits is one instant of its store, and that commits go on."""

import threading
from pathlib import Path

import httpx

from licet.clock import SystemClock
from licet.setup.check import check
from licet.store import schema
from licet.store.opening import SQLITE_NAME, StoreAt
from support.cli.cli_site import CommandLine
from support.cli.command_line import run
from support.server.running import RunningServer

COPIES = 3
CLIENTS = 4


def test_copies_are_made_while_seats_come_and_go(tmp_path: Path) -> None:
    """Seats, sessions and counters of each copy agree, nobody is denied for it, and it can be restored."""
    data = tmp_path / "data"
    data.mkdir()
    with RunningServer(data) as server:
        is_over, refusals, turns = threading.Event(), [], [0] * CLIENTS

        def come_and_go(number: int) -> None:
            with httpx.Client(base_url=server.url) as http:
                while not is_over.is_set():
                    form = {"grant_type": "client_credentials"}
                    answer = http.post("/Jim_Test/token", data=form, auth=(f"Client{number}", "password"))
                    if answer.status_code != httpx.codes.OK:
                        refusals.append(answer.text)
                        return
                    bearer = {"Authorization": f"Bearer {answer.json()['access_token']}"}
                    http.post("/Jim_Test/logoff", headers=bearer)
                    turns[number - 1] += 1

        threads = [threading.Thread(target=come_and_go, args=(number,)) for number in range(1, CLIENTS + 1)]
        for thread in threads:
            thread.start()
        before = sum(turns)
        for number in range(COPIES):
            run("backup", str(tmp_path / f"{number}.db"), LICET_DATA=str(data))
        assert sum(turns) > before
        is_over.set()
        for thread in threads:
            thread.join()
    assert refusals == []
    for number in range(COPIES):
        cli = CommandLine(tmp_path / f"restored{number}")
        agrees(tmp_path / f"{number}.db", tmp_path / f"looked{number}")
        cli.run("restore", str(tmp_path / f"{number}.db"), "--yes")
        assert cli.json("session", "list") == []


def agrees(copy: Path, place: Path) -> None:
    """What is counted in a copy is what there is, before anything is ended in it."""
    place.mkdir()
    (place / SQLITE_NAME).write_bytes(copy.read_bytes())
    store = StoreAt(place).open(SystemClock())
    with store.reading() as connection:
        seats = len(connection.execute(schema.seat.select()).all())
        [pool] = connection.execute(schema.pool.select()).mappings()
        found = check(connection, store.tenants(), store.clock.now_ms())
    store.close()
    assert pool["in_use"] == seats
    assert [it for it in found if it.is_wrong] == []
