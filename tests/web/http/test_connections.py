"""How many connections a source may hold, and who goes first where there is no room."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from ipaddress import ip_network
from pathlib import Path

import pytest

from licet.web.http.connections import Connections, Entry, Limits, share_of
from support.server.connecting import address_of, flooded_from, served
from support.server.running import PATIENCE_S, RunningServer

LIVE = b"GET /health/live HTTP/1.1\r\nhost: licet\r\nconnection: close\r\n\r\n"
HALF_A_HEAD = b"GET /health/live HTTP/1.1\r\nhost:"
HALF_A_BODY = (
    b"POST /Jim_Test/token HTTP/1.1\r\nhost: licet\r\ncontent-length: 40\r\n"
    b"content-type: application/x-www-form-urlencoded\r\n\r\ngrant_"
)

REFUSED = b"POST /nothing HTTP/1.1\r\nhost: licet\r\ncontent-length: 40\r\n\r\nbegun"
KINDS = ("silent", "half a head", "half a body", "refused before its body")
HERE, ELSEWHERE = "192.0.2.1", "192.0.2.2"


class Held:
    """A connection that says how long it has waited, None while it is answered."""

    def __init__(self, waited_s: float | None = None) -> None:
        self.waited_s = waited_s
        self.is_gone = False

    def waiting_s(self) -> float | None:
        """As the test has it."""
        return self.waited_s

    def give_way(self) -> None:
        """It is gone."""
        self.is_gone = True


def full(limits: Limits, *held: tuple[Held, str]) -> Connections:
    """A listener that serves these."""
    connections = Connections(limits)
    for connection, address in held:
        assert connections.enter(connection, address) is Entry.SERVED
    return connections


def test_a_source_over_its_share_is_turned_away_while_all_of_its_connections_are_answered() -> None:
    """Others find room."""
    connections = full(Limits(per_source_max=2), (Held(), HERE), (Held(), HERE))
    assert connections.enter(Held(), HERE) is Entry.SOURCE_IS_FULL
    assert connections.enter(Held(), ELSEWHERE) is Entry.SERVED


def test_a_source_over_its_share_gives_its_own_longest_waiting_one_for_a_new_one() -> None:
    """But none that came a moment ago and is about to send."""
    young, older, oldest = Held(0.5), Held(3.0), Held(4.0)
    connections = full(Limits(per_source_max=3), (young, HERE), (older, HERE), (oldest, HERE))
    assert connections.enter(Held(), HERE) is Entry.SERVED
    assert [held.is_gone for held in (young, older, oldest)] == [False, False, True]
    assert connections.enter(Held(), HERE) is Entry.SERVED
    assert connections.enter(Held(), HERE) is Entry.SOURCE_IS_FULL
    assert not young.is_gone


def test_addresses_of_one_network_are_one_source() -> None:
    """The /64 of an IPv6 address, and an IPv4 address in IPv6."""
    connections = full(Limits(per_source_max=1), (Held(), "2001:db8::1"), (Held(), "192.0.2.1"))
    assert connections.enter(Held(), "2001:db8::2") is Entry.SOURCE_IS_FULL
    assert connections.enter(Held(), "::ffff:192.0.2.1") is Entry.SOURCE_IS_FULL
    assert connections.enter(Held(), "2001:db8:0:1::1") is Entry.SERVED


def test_where_the_listener_is_full_the_largest_holder_makes_room() -> None:
    """With the one that waits longest, however short that is; never with one that is answered."""
    small, busy, short, long = Held(9.0), Held(), Held(0.1), Held(0.2)
    connections = full(
        Limits(connections_max=4), (small, ELSEWHERE), (busy, HERE), (short, HERE), (long, HERE)
    )
    assert connections.enter(Held(), "192.0.2.3") is Entry.SERVED
    assert [held.is_gone for held in (small, busy, short, long)] == [False, False, False, True]


def test_nobody_takes_the_place_of_one_who_holds_no_more() -> None:
    """So that a crowd of honest clients does not throw each other out."""
    one, two = Held(9.0), Held(9.0)
    connections = full(Limits(connections_max=2), (one, HERE), (two, ELSEWHERE))
    assert connections.enter(Held(), "192.0.2.3") is Entry.LISTENER_IS_FULL
    assert not one.is_gone
    assert not two.is_gone


def test_trusted_proxies_are_not_bound_and_give_no_place() -> None:
    """Each speaks for many."""
    limits = Limits(connections_max=3, per_source_max=1, trusted=(ip_network("192.0.2.0/28"),))
    held = [Held(9.0) for _ in range(3)]
    connections = full(limits, *((it, HERE) for it in held))
    assert connections.enter(Held(), "198.51.100.1") is Entry.LISTENER_IS_FULL
    assert not any(it.is_gone for it in held)


def test_how_many_are_told_that_there_is_no_room_is_bounded() -> None:
    """One that ends makes room, of either kind."""
    served_one, told = Held(), Held()
    connections = full(Limits(connections_max=1, turned_away_max=1), (served_one, HERE))
    assert connections.enter(told, HERE) is Entry.LISTENER_IS_FULL
    assert connections.enter(Held(), HERE) is Entry.SHUT_OUT
    connections.leave(told)
    assert connections.enter(Held(), HERE) is Entry.LISTENER_IS_FULL
    connections.leave(served_one)
    assert connections.enter(Held(), HERE) is Entry.SERVED


@pytest.mark.parametrize(("connections_max", "share"), [(800, 80), (100, 10), (20, 10), (1, 10)])
def test_a_share_is_a_tenth_and_never_less_than_ten(connections_max: int, share: int) -> None:
    """A browser opens six."""
    assert share_of(connections_max) == share


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server with room for 40, of which one address has 10."""
    with RunningServer(tmp_path_factory.mktemp("small"), connections_max=40) as server:
        yield server


@pytest.mark.parametrize("sent", [b"", HALF_A_HEAD, HALF_A_BODY, REFUSED], ids=KINDS)
def test_silent_connections_of_one_address_keep_nobody_out(small: RunningServer, sent: bytes) -> None:
    """As many as the listener takes, and more: good requests of another address are all answered."""
    with flooded_from(small.url, ["127.0.0.2"], 60, sent):
        answers = [served(small.url, LIVE) for _ in range(30)]
    assert all(answer.startswith(b"HTTP/1.1 200 ") for answer in answers)


@pytest.mark.parametrize("sent", [b"", HALF_A_HEAD, HALF_A_BODY, REFUSED], ids=KINDS)
def test_silent_connections_of_many_addresses_keep_nobody_out(small: RunningServer, sent: bytes) -> None:
    """They fill the listener; each good request takes the place of one of them."""
    addresses = [f"127.0.0.{number}" for number in range(2, 12)]
    with flooded_from(small.url, addresses, 10, sent):
        answers = [served(small.url, LIVE) for _ in range(30)]
    assert all(answer.startswith(b"HTTP/1.1 200 ") for answer in answers)


def test_one_connection_too_many_of_an_address_is_told_so(small: RunningServer) -> None:
    """503 and when to come again; the setting says how many."""
    with ExitStack() as stack:
        for _ in range(10):
            connection = socket.create_connection(
                address_of(small.url), PATIENCE_S, source_address=("127.0.0.2", 0)
            )
            stack.enter_context(connection)
            connection.sendall(LIVE.replace(b"connection: close\r\n", b""))
            assert connection.recv(65_536).startswith(b"HTTP/1.1 200 ")
        answer = served(small.url, LIVE, "127.0.0.2")
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"\r\nretry-after: 1\r\n" in answer
    assert b"There are too many connections from this address." in answer


def test_a_setting_says_how_many_an_address_may_have(tmp_path: Path) -> None:
    """For a host with many programs."""
    with (
        RunningServer(tmp_path, connections_max=40, connections_per_source_max=2) as server,
        socket.create_connection(address_of(server.url), PATIENCE_S) as first,
        socket.create_connection(address_of(server.url), PATIENCE_S) as second,
    ):
        for connection in (first, second):
            connection.sendall(LIVE.replace(b"connection: close\r\n", b""))
            assert connection.recv(65_536).startswith(b"HTTP/1.1 200 ")
        assert served(server.url, LIVE).startswith(b"HTTP/1.1 503 ")


def test_a_trusted_proxy_may_have_as_many_as_there_are(tmp_path: Path) -> None:
    """The guides bound each client there."""
    with (
        RunningServer(tmp_path, connections_max=40, trusted_proxies="127.0.0.3") as server,
        flooded_from(server.url, ["127.0.0.3"], 30, HALF_A_HEAD),
    ):
        assert served(server.url, LIVE, "127.0.0.3").startswith(b"HTTP/1.1 200 ")
