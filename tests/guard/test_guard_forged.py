"""A forged server and its administrator, who tries to have more people at work than seats are signed."""

import logging
import os
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from licet.guard import Guard, OneProcess, Refused, SeatMemory
from licet.guard.memory import Holder, Kept
from support.guard.forging import (
    ACCESS_TTL_S,
    HOLD_S,
    STRATEGIES,
    Attacker,
    Record,
    Strategy,
    ahead,
    back,
    direct,
    fresh,
    greedy,
    rest,
)
from support.guard.seat_memories import Database, Time
from support.guard.signed_server import SignedServer
from support.many import examples, few
from support.web.http_site import Site

SEATS = 5
HOUR_S = 3600
_NAMES = count(1)


@pytest.fixture
def time() -> Time:
    """The clock of server and guard."""
    return Time()


@pytest.fixture(params=["introspection", "jwt"])
def server(request: pytest.FixtureRequest, time: Time) -> Iterator[SignedServer]:
    """A server of references, and one of JWTs; its licence is for five seats."""
    with Site() as site:
        server = SignedServer(site, time, request.param)
        server.licences = [server.vendor.sign(server.vendor.pool(seats=SEATS))]
        yield server


def attacked(
    server: SignedServer, memory: SeatMemory, strategy: Strategy, *, seats: int = 1, step_s: int = 5
) -> Attacker:
    """What an administrator gets out of an hour."""
    guard = direct(server, server.guard(server.licence(memory)))
    attacker = Attacker(server, [guard])
    for _ in range(0, HOUR_S, step_s):
        for number in range(1, seats + 1):
            strategy(attacker, number, int(server.time.s))
        server.time.s += step_s
    guard.close()
    return attacker


@pytest.mark.parametrize(
    ("server", "strategy"),
    few([(kind, it) for kind in ("introspection", "jwt") for it in STRATEGIES], len(STRATEGIES) + 1),
    indirect=["server"],
    ids=lambda it: getattr(it, "__name__", it),
)
def test_a_number_has_one_holder_and_changes_hands_as_seldom_as_is_sold(
    server: SignedServer, strategy: Strategy
) -> None:
    """In an hour at most 1 + (2 * 3600 + 600 + 600) / 60 times, whatever the tokens say."""
    step_s = 40 if strategy in {ahead, back} else 10  # which try much at each step
    attacker = attacked(server, OneProcess(now_s=server.time.now_s), strategy, step_s=step_s)
    attacker.record.must_keep_to_the_bound()
    hand_overs = attacker.record.hand_overs(1)
    assert 1 <= len(hand_overs) <= 141


@pytest.mark.parametrize(
    ("server", "step_s", "people"),
    few([(kind, *many) for many in ((30, 1000), (10, 3000)) for kind in ("introspection", "jwt")], 1),
    indirect=["server"],
)
def test_a_thousand_people_get_five_seats(server: SignedServer, step_s: int, people: int) -> None:
    """Each of them with a fresh token in turn: numbers are counted apart, and no sixth one is."""
    memory = OneProcess(now_s=server.time.now_s)
    attacker = attacked(server, memory, fresh, seats=SEATS + 5, step_s=step_s)
    attacker.record.must_keep_to_the_bound()
    assert attacker.people > people
    assert set(attacker.record.let_in) == set(range(1, SEATS + 1))
    assert memory.seats == SEATS


class _Falling(OneProcess):
    """Forgets what it kept when a seat was silent: what the rule of `memory.py` is there against."""

    def take(self, seat: str, who: str, iat: int, hold_s: int) -> Kept | None:
        now_s = self._now_s()
        holder = self._holders.get(seat)
        if holder is not None and (kept := holder.in_the_way_of(who, iat, hold_s, now_s)) is not None:
            return kept
        self._holders[seat] = Holder(who, iat, now_s)
        return None


@pytest.mark.parametrize("strategy", [rest, greedy], ids=lambda it: it.__name__)
def test_a_memory_that_lets_what_is_kept_fall_would_be_caught(time: Time, strategy: Strategy) -> None:
    """Burst and rest: many times the bound."""
    with Site() as site:
        server = SignedServer(site, time, "introspection")
        attacker = attacked(server, _Falling(now_s=time.now_s), strategy)
    assert len(attacker.record.hand_overs(1)) > 300
    with pytest.raises(AssertionError):
        attacker.record.must_keep_to_the_bound()


TRIES = st.lists(
    st.one_of(
        st.tuples(
            st.just("try"), st.integers(1, 2), st.integers(0, 3), st.integers(-ACCESS_TTL_S - 310, 310)
        ),
        st.tuples(st.just("wait"), st.sampled_from([1, 5, 29, 30, 59, 60, 61, 300])),
    ),
    min_size=20,
    max_size=80,
)


@settings(
    max_examples=examples(20), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(tries=TRIES)
def test_no_way_of_making_tokens_does_better(tries: list[Any]) -> None:
    """At random."""
    with Site() as site:
        server = SignedServer(site, Time(), "introspection")
        guard = direct(server, server.guard())
        attacker = Attacker(server, [guard])
        for what, *said in tries:
            if what == "wait":
                server.time.s += said[0]
            else:
                number, who, ahead_s = said
                attacker.tries(number, int(server.time.s) + ahead_s, who=who)
        attacker.record.must_keep_to_the_bound()
        guard.close()


@pytest.mark.wide
@pytest.mark.parametrize(
    ("server", "strategy", "kind"),
    few(
        [
            (tokens, strategy, kind)
            for strategy in (greedy, back)
            for kind in ("sqlite", "postgresql")
            for tokens in ("introspection", "jwt")
        ],
        4,
    ),
    indirect=["server"],
    ids=lambda it: getattr(it, "__name__", it),
)
def test_two_processes_of_an_api_are_one(
    server: SignedServer, strategy: Strategy, kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """They share a table: the table keeps to the bound, and who is out is out within the cache."""
    time = server.time
    if kind == "sqlite":
        database = Database.sqlite(tmp_path / "api.sqlite")
    else:
        name = f"forged_{os.getpid()}_{next(_NAMES)}"
        database = Database.postgres(request.getfixturevalue("postgres"), name)
    memories = [database.memory(time) for _ in range(2)]
    guards = [direct(server, server.guard(server.licence(memory))) for memory in memories]
    attacker, table = Attacker(server, guards), Record(time)

    def look() -> None:
        for (holder,) in database.execute("SELECT who FROM licet_seat"):
            table.add(1, holder)

    attacker.then = look
    for _ in range(40):
        strategy(attacker, 1, int(time.s))
        for before in range(3):  # those of before come again
            attacker.tries(1, int(time.s), who=attacker.people - before)
        time.s += 5
    table.must_keep_to_the_bound()
    assert len(table.hand_overs(1)) >= 2
    for at_s, who in attacker.record.let_in[1]:
        held = [it_s for it_s, holder in table.let_in[1] if holder == who and it_s <= at_s]
        assert held, "the table never had this holder"
        assert at_s - max(held) < HOLD_S / 12
    for guard in guards:
        guard.close()
    database.close()


def test_two_clones_of_a_server_share_the_numbers(
    server: SignedServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Each has a holder of number 1, and renews its tokens: they take turns, and the log says so."""
    guard = direct(server, server.guard())
    attacker = Attacker(server, [guard])
    let_in = 0
    with caplog.at_level(logging.WARNING):
        for _ in range(0, 1200, 10):
            for clone in (1, 2):
                let_in += attacker.tries(1, int(server.time.s), who=clone)
            server.time.s += 10
    attacker.record.must_keep_to_the_bound()
    assert let_in < 2 * 120 * 0.6
    assert "has two holders at the same time" in caplog.text
    guard.close()


HONEST = st.lists(
    st.one_of(
        st.tuples(st.just("grant"), st.integers(0, 3)),
        st.tuples(st.just("refresh"), st.integers(0, 3)),
        st.tuples(st.just("log off"), st.integers(0, 3)),
        st.tuples(st.just("wait"), st.sampled_from([1, 10, 30, 59, 60, 120, 600])),
    ),
    min_size=10,
    max_size=60,
)


@settings(
    max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=HONEST, skew_s=st.sampled_from([-299, 0, 298]))
def test_an_honest_server_has_none_of_its_clients_refused(steps: list[tuple[str, int]], skew_s: int) -> None:
    """It gives a number on no sooner than a hold after the last token; clocks differ by five minutes."""
    with Site() as site:
        server = SignedServer(site, Time(), "introspection")
        guard = direct(server, server.guard(server.licence(wall_s=lambda: server.time.s + skew_s)))
        honest = _Honest(server)
        for what, which in steps:
            honest.step(what, which)
            for number, client in honest.holders.items():
                token = server.token(number, client=f"C{client}", iat=honest.issued[number])
                guard.check("POST", f"Bearer {token}")
        guard.close()


class _Honest:
    """The seats of a server as it is: two of them; the tokens of a session are renewed in time."""

    def __init__(self, server: SignedServer) -> None:
        self._time = server.time
        self.holders: dict[int, int] = {}
        self.issued: dict[int, int] = {}

    def step(self, what: str, which: int) -> None:
        """What happens next."""
        now = int(self._time.s)
        mine = next((it for it, client in self.holders.items() if client == which), None)
        if what == "wait":
            self._time.s += which
            for number in self.holders:  # each renews before its token ends
                if self.issued[number] + ACCESS_TTL_S <= now + which:
                    self.issued[number] = now + which
        elif what == "log off" and mine is not None:
            del self.holders[mine]
        elif what == "refresh" and mine is not None:
            self.issued[mine] = now
        elif what == "grant" and mine is None:
            free = (it for it in (1, 2) if it not in self.holders)
            for number in [it for it in free if now >= self.issued.get(it, 0) + HOLD_S][:1]:
                self.holders[number] = which
                self.issued[number] = now


def test_a_store_that_forgot_a_log_off_has_nobody_refused_for_longer_than_the_hold(
    server: SignedServer,
) -> None:
    """After a fail-over the one from before has the seat again: silence lets it in."""
    guard = direct(server, server.guard())
    before = int(server.time.s)
    attacker = Attacker(server, [guard])
    assert attacker.tries(1, before, who=1)
    server.time.s += HOLD_S
    assert attacker.tries(1, before + HOLD_S, who=2)
    for _ in range(HOLD_S - 1):
        server.time.s += 1
        assert not attacker.tries(1, before, who=1)
    server.time.s += 1
    assert attacker.tries(1, before, who=1)
    with pytest.raises(Refused):
        must_pass(guard, server.token(1, client="C2", iat=before + HOLD_S - 1))
    guard.close()


def must_pass(guard: Guard, token: str) -> None:
    """Let it in, or raise Refused."""
    guard.check("POST", f"Bearer {token}")
