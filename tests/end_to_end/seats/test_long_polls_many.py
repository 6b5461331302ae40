"""L19, when very many wait: each is served once and in order, and what is too much is answered at once."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from itertools import count
from typing import Any

import pytest

from licet.store.schema import queue_place
from support.many import few
from support.server.polling import PATIENCE_S, Line, Poll
from support.server.running import RunningServer
from support.store.store_site import folded, rows

pytestmark = pytest.mark.anyio
_NUMBERS = count(1)
MANY = 300
USUAL = 256


def serving(directory: Any, **settings: Any) -> RunningServer:
    return RunningServer(directory, manual_clock=True, admin=True, metrics_public=True, **settings)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server with the bounds that it has by itself, but for how many requests one address has."""
    with serving(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture
async def line(server: RunningServer) -> AsyncIterator[Line]:
    made = Line(server, f"Many{next(_NUMBERS)}", clients=MANY + 1, queue=MANY)
    yield made
    await made.close()


def address_of(number: int) -> str:
    """One of several addresses, each with fewer requests than it may have."""
    return f"127.0.0.{2 + number % 8}"


async def waiting_of(line: Line, clients: range) -> list[Poll]:
    """Requests that wait, one after the other in line."""
    polls = []
    for number in clients:
        polls.append(await line.send(f"c{number}", at=address_of(number), prefer="wait=60", queue="true"))
        if len(polls) % 50 == 0:  # now and then: what is sent in one go may arrive in any order
            await line.until_waiting(len(polls))
    await line.until_waiting(len(polls))
    return polls


@pytest.mark.parametrize("many", few([60, MANY], 1))
async def test_of_very_many_each_is_served_once_and_in_order(
    tmp_path_factory: pytest.TempPathFactory, many: int
) -> None:
    """On one seat, which each gives back; meanwhile the store is read once a second."""
    more = {"connections_max": 1000, "waiting_requests_max": 400}
    with serving(tmp_path_factory.mktemp("more"), **more) as running:
        line = Line(running, "Many", clients=many + 1, queue=many)
        token = await line.take("c0")
        polls = await waiting_of(line, range(1, many + 1))
        expected = line.places()
        assert sorted(expected) == sorted(f"c{number}" for number in range(1, many + 1))
        by_client = {f"c{number}": poll for number, poll in enumerate(polls, 1)}
        loop = asyncio.get_running_loop()
        began_s, looks = loop.time(), line.looks()
        for client in expected:
            await line.log_off(token)
            answer = await by_client[client].answer()
            assert answer.status == 200, (client, answer)
            token = answer.content["access_token"]
        assert line.looks() - looks <= loop.time() - began_s + 1
        assert line.places() == []
        assert line.seats_in_use() == 1
        metrics = line.metrics()
        assert metrics['licet_long_poll_duration_seconds_count{served="true"}'] == many
        assert metrics["licet_grants_total"] == many + 1
        await line.close()


async def test_one_more_than_may_wait_is_answered_at_once(line: Line) -> None:
    """256 may; it is told its place, which it keeps as who asks again and again."""
    await line.take("c0")
    await waiting_of(line, range(1, USUAL + 1))
    answer = await line.queue("c257", at="127.0.0.20", prefer="wait=60")
    assert answer.content["reason"] == "queued"
    assert answer.content["queue_position"] == USUAL + 1
    assert answer.headers["retry-after"] == "5"
    assert "preference-applied" not in answer.headers
    assert line.waiting() == USUAL


@pytest.mark.wide
async def test_one_address_does_not_take_all_the_room(tmp_path_factory: pytest.TempPathFactory) -> None:
    """As many as it may have connections; behind a proxy each address counts for itself."""
    with serving(tmp_path_factory.mktemp("proxied"), trusted_proxies="127.0.0.1") as running:
        behind = Line(running, "Behind", clients=90, queue=100)
        await behind.take("c0")
        one = "192.0.2.1"
        for number in range(1, 81):
            await behind.send(f"c{number}", prefer="wait=60", queue="true", via=one)
        await behind.until_waiting(80)
        answer = await behind.queue("c81", prefer="wait=60", via=one)
        assert "preference-applied" not in answer.headers
        await behind.send("c82", prefer="wait=60", queue="true", via="192.0.2.2")
        await behind.until_waiting(81)
        await behind.close()


async def test_a_tenant_with_fewer_takes_the_place_of_one_with_more(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Where there is no room, the newest request of the tenant with most is answered."""
    with serving(tmp_path_factory.mktemp("few"), waiting_requests_max=3) as running:
        large, small = Line(running, "Large", clients=6), Line(running, "Small", clients=6)
        await asyncio.gather(large.take("c0"), small.take("c0"))
        polls = [await large.wait(f"c{number}") for number in (1, 2, 3)]
        await small.send("c1", prefer="wait=60", queue="true")
        assert (await polls[2].answer()).content["queue_position"] == 3
        answer = await small.queue("c2", prefer="wait=60")
        assert "preference-applied" not in answer.headers
        assert large.waiting() == 3
        await asyncio.gather(large.close(), small.close())


@pytest.mark.wide
async def test_who_asks_a_thousand_times_gains_nothing(line: Line) -> None:
    """Its place stays as it is, to the byte, and the journal has one row for it."""
    await line.take("c0")
    await line.queue("c1")
    await line.queue("c2")
    with line.server.store() as store:
        tenant = store.tenant(line.name)
        assert tenant is not None
        before = rows(store, queue_place, tenant_id=tenant.id)
    poll = await line.send("c2", data=100 * line.request("c2", queue="true"))
    for asked in range(1000):
        if asked % 100 == 0 and asked:
            poll.send(100 * line.request("c2", queue="true"))
        assert (await poll.answer()).content["queue_position"] == 2
    with line.server.store() as store:
        assert rows(store, queue_place, tenant_id=tenant.id) == before
        denials = [row for row in folded(store) if row.tenant_id == tenant.id and row.client_id == "c2"]
    assert [(row.kind, row.times) for row in denials] == [("denied", 1001)]


async def test_a_server_that_stops_answers_all_who_wait(tmp_path_factory: pytest.TempPathFactory) -> None:
    """At once, and it ends well; their places are kept for another one."""
    with serving(tmp_path_factory.mktemp("stopping")) as running:
        line = Line(running, "Stopping", clients=21)
        await line.take("c0")
        polls = await waiting_of(line, range(1, 21))
        async with asyncio.timeout(PATIENCE_S):
            ended = asyncio.create_task(asyncio.to_thread(running.terminate))
            answers = await asyncio.gather(*(poll.answer() for poll in polls))
            assert await ended == 0
        assert {answer.content["reason"] for answer in answers} == {"queued"}
        assert {answer.headers["connection"] for answer in answers} == {"close"}
        assert len(line.places()) == 20
        await line.close()
