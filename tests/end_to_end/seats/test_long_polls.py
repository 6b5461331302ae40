"""L19, as clients of a real server meet it: who stands in line may wait for the answer (RFC 7240 4.3)."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from itertools import count
from typing import Any

import pytest

from licet.credentials.generated import ClientSecrets
from licet.credentials.keyring import FILE_NAME, read_keyring
from licet.store.schema import queue_place
from support.server.polling import PATIENCE_S, Line
from support.server.running import RunningServer
from support.store.store_site import rows

pytestmark = pytest.mark.anyio
_NUMBERS = count(1)
QUEUED = {"error": "temporarily_unavailable", "reason": "queued", "retry_after": 5}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server whose clock stands still, with metrics for everybody."""
    data = tmp_path_factory.mktemp("server")
    with RunningServer(data, manual_clock=True, admin=True, metrics_public=True) as running:
        yield running


@pytest.fixture
async def line(server: RunningServer) -> AsyncIterator[Line]:
    """A tenant with one seat and a queue; c0 has the seat."""
    made = Line(server, f"Line{next(_NUMBERS)}")
    yield made
    await made.close()


def until_ms(line: Line) -> list[int]:
    """Until when the places are kept, by themselves."""
    with line.server.store() as store:
        tenant = store.tenant(line.name)
        assert tenant is not None
        return [place.until_ms for place in rows(store, queue_place, tenant_id=tenant.id)]


async def test_who_waits_gets_a_seat_as_soon_as_one_is_given_back(line: Line) -> None:
    """And the answer says for how long the server was ready to have it wait (RFC 7240 3)."""
    token = await line.take("c0")
    waiting = await line.wait("c1", seconds=30)
    await line.log_off(token)
    answer = await waiting.answer()
    assert answer.status == 200
    assert answer.headers["preference-applied"] == "wait=30"
    assert answer.content["access_token"]
    assert line.places() == []


async def test_who_has_waited_in_vain_is_told_its_place_and_keeps_it(line: Line) -> None:
    """400 as ever."""
    await line.take("c0")
    answer = await line.queue("c1", prefer="wait=1")
    assert answer.status == 400
    assert answer.headers["preference-applied"] == "wait=1"
    assert answer.headers["retry-after"] == "5"
    assert (QUEUED | {"queue_position": 1}).items() <= answer.content.items()
    assert line.places() == ["c1"]


async def test_seats_go_along_the_line(line: Line) -> None:
    """First come, first served; each once."""
    token = await line.take("c0")
    waiting = [await line.wait(client) for client in ("c2", "c1", "c3")]
    for poll in waiting:
        await line.log_off(token)
        token = (await poll.answer()).content["access_token"]
    assert line.seats_in_use() == 1


@pytest.mark.parametrize("leaves", ["leave", "reset"])
async def test_for_who_is_gone_no_seat_is_taken(line: Line, leaves: str) -> None:
    """Neither for who closes its connection nor for who crashes; its place is kept for the hold."""
    token = await line.take("c0")
    waiting, behind = await line.wait("c1"), await line.wait("c2")
    await waiting.leave() if leaves == "leave" else waiting.reset()
    await line.until_waiting(1)
    await line.log_off(token)
    assert (await line.ask("c3")).content["reason"] == "queued"
    assert line.seats_in_use() == 0
    line.server.advance(seconds=29)
    await line.queue("c2")
    line.server.advance(seconds=2)
    assert (await behind.answer()).status == 200
    assert line.seats_in_use() == 1


async def test_who_closes_its_side_is_answered_at_once(line: Line) -> None:
    """Whether it goes then could not be noticed: it waits no more."""
    await line.take("c0")
    waiting = await line.wait("c1")
    waiting.writer.write_eof()
    assert QUEUED.items() <= (await waiting.answer()).content.items()


async def test_a_request_behind_it_ends_the_wait(line: Line) -> None:
    """While bytes are held back nothing is read, and a client could go without notice."""
    await line.take("c0")
    waiting = await line.wait("c1")
    waiting.send(line.request("c0"))
    assert QUEUED.items() <= (await waiting.answer()).content.items()
    assert (await waiting.answer()).status == 200


async def test_a_connection_is_used_again_after_a_wait(line: Line) -> None:
    """HTTP keep-alive; and the next one may wait again."""
    token = await line.take("c0")
    waiting = await line.send("c1", prefer="wait=1", queue="true")
    assert (await waiting.answer()).content["queue_position"] == 1
    waiting.send(line.request("c1", prefer="wait=60", queue="true"))
    await line.until_waiting(1)
    await line.log_off(token)
    assert (await waiting.answer()).status == 200


@pytest.mark.wide
async def test_a_place_is_kept_for_as_long_as_its_request_waits(line: Line) -> None:
    """It asks again in the second half of the hold, and not before."""
    await line.take("c0")
    await line.wait("c1")
    for _ in range(3):
        [before], looks = until_ms(line), line.looks()
        line.server.advance(seconds=14)
        await line.until_looked(looks + 2)
        assert until_ms(line) == [before]
        line.server.advance(seconds=2)
        await line.until_looked(line.looks() + 2)
        assert until_ms(line) == [before + 16_000]


async def test_a_seat_that_expires_goes_to_who_waits(line: Line) -> None:
    """Nobody says so: a look finds it."""
    await line.take("c0")
    waiting = await line.wait("c1")
    line.server.advance(seconds=1200)
    assert (await waiting.answer()).status == 200


async def test_a_seat_more_goes_to_who_waits(line: Line) -> None:
    """The set-up is another one: a look finds that, too."""
    await line.take("c0")
    waiting = await line.wait("c1")
    with line.server.changing() as change:
        change.tenant(line.name).set_pool("full", seats=2)
    assert (await waiting.answer()).status == 200


async def test_who_may_have_no_seat_any_more_is_told_when_it_asks_again(line: Line) -> None:
    """A client that is disabled meanwhile is refused as any other."""
    token = await line.take("c0")
    waiting = await line.wait("c1")
    with line.server.changing() as change:
        change.tenant(line.name).set_client("c1", enabled=False)
    await line.log_off(token)
    assert (await waiting.answer()).content["error"] == "invalid_client"
    assert line.seats_in_use() == 0


async def test_who_waits_for_a_scope_that_draws_on_another_pool_now_gets_a_seat_of_that(line: Line) -> None:
    """No client takes a change of an administrator's for a scope that there is not."""
    await line.take("c0")
    waiting = await line.wait("c1")
    with line.server.changing() as change:
        tenant = change.tenant(line.name)
        tenant.add_pool("other", seats=1, queue=5)
        tenant.set_scope("all", pool="other")
    assert (await waiting.answer()).status == 200
    waiting = await line.wait("c2")
    with line.server.changing() as change:
        tenant = change.tenant(line.name)
        tenant.add_pool("third", seats=0, queue=5)
        tenant.set_scope("all", pool="third")
    answer = await waiting.answer()
    assert answer.content["reason"] == "no_seats"


async def test_of_whom_a_credential_is_revoked_meanwhile_has_to_authenticate_again(line: Line) -> None:
    """No seat is taken for it."""
    token = await line.take("c0")
    waiting = await line.wait("c1")
    with line.server.changing() as change:
        change.tenant(line.name).set_client("c1", password_allowed=False)
    async with asyncio.timeout(PATIENCE_S):
        while (await line.ask("c1")).content["error"] != "invalid_client":
            pass
    await line.log_off(token)
    answer = await waiting.answer()
    assert answer.content | QUEUED == answer.content
    assert line.seats_in_use() == 0


async def test_a_place_has_one_request_that_waits(line: Line) -> None:
    """Another one is answered at once, with the same place; so nobody fills the room."""
    await line.take("c0")
    await line.wait("c1")
    answer = await line.queue("c1", prefer="wait=60")
    assert "preference-applied" not in answer.headers
    assert answer.content["queue_position"] == 1
    assert line.waiting() == 1


async def test_for_who_waits_the_store_is_read_once_a_second(line: Line) -> None:
    """However many wait, and for however many pools."""
    other = Line(line.server, f"Line{next(_NUMBERS)}")
    await asyncio.gather(line.take("c0"), other.take("c0"))
    waiting = [await of.wait(client) for of in (line, other) for client in ("c1", "c2", "c3")]
    loop = asyncio.get_running_loop()
    began_s, looks = loop.time(), line.looks()
    await line.until_looked(looks + 3)
    assert line.looks() - looks <= loop.time() - began_s + 1
    assert len(waiting) == line.waiting()
    await other.close()


async def test_who_authenticates_by_a_known_header_waits_as_well(line: Line) -> None:
    """A generated secret: its header is recognised the second time, and not read again."""
    with line.server.changing() as change:
        made = ClientSecrets(read_keyring(line.server.data / FILE_NAME).pepper).generate()
        change.tenant(line.name).add_secret("c1", made)
    token = await line.take("c0")
    for _ in range(2):
        answer = await line.queue("c1", prefer="foo, wait=1", secret=made.secret)
        assert answer.headers["preference-applied"] == "wait=1"
    waiting = await line.wait("c1", secret=made.secret)
    await line.log_off(token)
    assert (await waiting.answer()).status == 200


class TestAsked:
    """What a client can send."""

    async def test_without_queue_nobody_waits(self, line: Line) -> None:
        """`Prefer` alone says nothing of a line."""
        await line.take("c0")
        answer = await line.ask("c1", prefer="wait=30")
        assert answer.content["reason"] == "all_in_use"
        assert "preference-applied" not in answer.headers

    async def test_without_a_queue_nobody_waits(self, line: Line) -> None:
        """The pool decides; the answer comes at once."""
        with line.server.changing() as change:
            change.tenant(line.name).set_pool("full", queue=0)
        await line.take("c0")
        assert (await line.queue("c1", prefer="wait=30")).content["reason"] == "all_in_use"

    async def test_a_place_without_a_wait(self, line: Line) -> None:
        """The simple way: to ask again and again."""
        token = await line.take("c0")
        for client, position in (("c1", 1), ("c2", 2), ("c1", 1)):
            assert (await line.queue(client)).content["queue_position"] == position
        await line.log_off(token)
        assert (await line.queue("c2")).content["queue_position"] == 2
        assert (await line.queue("c1")).status == 200

    async def test_more_than_a_minute_is_a_minute(self, line: Line) -> None:
        """The answer says which wait was meant."""
        assert (await line.queue("c0", prefer="wait=3600")).headers["preference-applied"] == "wait=60"

    @pytest.mark.parametrize("queue", ["yes", "1", "TRUE", "true "])
    async def test_queue_is_true_or_false(self, line: Line, queue: str) -> None:
        """Anything else is malformed."""
        answer = await line.ask("c0", queue=queue)
        assert answer.status == 400
        assert answer.content["error_description"] == "queue is true or false."
        assert (await line.ask("c0", queue="false")).status == 200

    async def test_a_refresh_waits_for_nothing(self, line: Line) -> None:
        """It needs no free seat (L5)."""
        tokens = (await line.ask("c0")).content
        form: Any = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
        assert (await line.queue("c0", prefer="wait=30", **form)).status == 200
