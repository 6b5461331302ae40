"""L19 on several nodes: who waits on one is in the line of all, and a node that is killed loses no place."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from itertools import count

import pytest

from licet.store.postgres.store import PostgresStore
from support.server.polling import PATIENCE_S, Line, Node
from support.server.running import make_tenant
from support.store.postgres import Postgres
from support.waiting import until

pytestmark = pytest.mark.anyio
_NUMBERS = count(1)
AT_NEXT_LOOK = 2  # and one may have been under way when the seat was given back


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory, postgres: Postgres) -> Iterator[tuple[Node, Node]]:
    """Two nodes on one PostgreSQL."""
    url = postgres.create_database("waiting")
    with closing(PostgresStore(url, create=True, answer_s=PATIENCE_S)) as store:
        make_tenant(store)
    more = {"admin": True, "metrics_public": True}
    with (
        Node(tmp_path_factory.mktemp("node1"), url, **more) as one,
        Node(tmp_path_factory.mktemp("node2"), url, **more) as two,
    ):
        yield one, two


@pytest.fixture
async def line(nodes: tuple[Node, Node]) -> AsyncIterator[Line]:
    """A tenant with one seat and a queue, whose clients ask the first node unless they say otherwise."""
    made = Line(nodes[0], f"Nodes{next(_NUMBERS)}")
    nodes[1].notice()
    yield made
    await made.close()


async def test_a_seat_that_another_node_gets_back_reaches_the_first_in_line_in_a_second(
    line: Line, nodes: tuple[Node, Node]
) -> None:
    """One waits on each node: the one who came first is served first."""
    one, two = nodes
    token = await line.take("c0")
    first = await line.wait("c1")
    second = await line.send("c2", url=two.url, prefer="wait=60", queue="true")
    await asyncio.to_thread(until, lambda: line.places() == ["c1", "c2"])
    looks = line.looks(one)
    await line.log_off(token, url=two.url)
    answer = await first.answer()
    assert answer.status == 200
    assert line.looks(one) - looks <= AT_NEXT_LOOK
    looks = line.looks(two)
    await line.log_off(answer.content["access_token"], url=one.url)
    assert (await second.answer()).status == 200
    assert line.looks(two) - looks <= AT_NEXT_LOOK


@pytest.mark.wide
async def test_a_killed_node_loses_no_place(line: Line, nodes: tuple[Node, Node]) -> None:
    """Its clients ask another one, and stand where they were; who does not lapses."""
    one, two = nodes
    with one.changing() as change:
        change.tenant(line.name).set_pool("full", queue_hold_s=5)
    two.notice()
    token = await line.take("c0")
    for client in ("c1", "c2", "c3"):
        await line.wait(client)
    one.kill()
    for client, position in (("c3", 3), ("c2", 2)):
        answer = await line.queue(client, url=two.url)
        assert answer.content["queue_position"] == position
    waiting = await line.send("c2", url=two.url, prefer="wait=60", queue="true")
    await line.log_off(token, url=two.url)  # the seat is set aside for c1 as long as its place is kept
    assert (await waiting.answer()).status == 200
    assert "c1" not in line.places()
    one.start()
    one.notice()
