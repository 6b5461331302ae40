"""Peers take part in a run, and nothing of them is believed without a look; no peer is started here."""

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from pathlib import Path
from subprocess import CalledProcessError
from typing import Any

import psycopg
import pytest

from bench import peers
from bench.measured.targets import FLOOR, Target
from bench.measured.wire import Answer
from bench.peers.contract import Peer, Row, Work, Works, client_name, form_rows, grant_rows, granted, live
from bench.peers.running import installed_in, postgres
from bench.timed.cells import Length, measure
from bench.timed.contenders import Cell
from bench.timed.peering import OnPeer, RunningPeer, asked, installed, running, start_all
from bench.timed.run import Run
from bench.timed.scenarios import SCENARIOS, WrongAnswer
from bench.timed.wrk import Round

TARGET = Target("a peer", "http://127.0.0.1:1", [])
ROUND = Round(answers=10, seconds=1.0, rate=10.0, p50_ms=1.0, p99_ms=2.0, refused=0, broken=0, wrk_cpu_s=0.1)


def test_a_peer_stands_still_with_all_that_it_started_but_for_its_turn() -> None:
    """Idle peers must not cost those that are measured."""
    with _process() as process:
        peer = _running(target=TARGET._replace(roots=[process.pid]))
        peer.stand_still()
        assert os.WIFSTOPPED(_change_of(process))
        with peer.turn():
            assert os.WIFCONTINUED(_change_of(process))
        assert os.WIFSTOPPED(_change_of(process))


def test_a_peer_that_fails_in_its_turn_stands_still_after_it() -> None:
    """Else it would cost all others until the end of the run."""
    with _process() as process:
        peer = _running(target=TARGET._replace(roots=[process.pid]))
        with pytest.raises(WrongAnswer), peer.turn():
            raise WrongAnswer
        assert os.WIFSTOPPED(_change_of(process))


def test_a_database_stands_still_with_its_peer() -> None:
    with _process() as process:
        peer = _running(target=TARGET._replace(database_roots=[process.pid]))
        peer.stand_still()
        assert os.WIFSTOPPED(_change_of(process))


def test_a_process_that_has_the_number_of_one_that_ended_is_left_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Numbers come round, and nobody else's process may be stopped."""
    with _process() as process:
        peer = _running(target=TARGET._replace(roots=[process.pid]))
        monkeypatch.setattr("bench.timed.peering._began", lambda _pid: "later")
        peer.stand_still()
        process.send_signal(signal.SIGTERM)
        assert os.WIFSIGNALED(_change_of(process))


def test_processes_that_have_ended_are_no_fault() -> None:
    with _process() as process:
        pass
    peer = _running(target=TARGET._replace(roots=[process.pid]))
    with peer.turn():
        pass


def test_the_database_of_a_peer_counts_for_its_processor_time() -> None:
    """As that of a Licet does."""
    with _process() as process:
        peer = _peer(_starting(Works("http://127.0.0.1:1", _work(), database_pid=process.pid)))
        with running(peer, 1, [], Path()) as found:
            assert found.target.database_roots == [process.pid]
            assert process.pid not in found.target.roots
            assert os.WIFSTOPPED(_change_of(process))
        assert os.WIFCONTINUED(_change_of(process))  # what stands still cannot end


def test_one_client_asks_for_itself_alone() -> None:
    works = Works("", _work(3), introspect=lambda grant: grant)
    peer = _running(works)
    for scenario in ("grant", "introspect"):
        work = peer.work(scenario, 1)
        assert work is not None
        assert work.rows == works.grant.rows[:1]
    assert peer.work("refresh", 1) is None


def test_a_slow_hash_is_asked_by_many_clients_only_and_for_longer() -> None:
    """It is the same for one client, and a run has to end."""
    slow = _running(peer=_peer(name="slow", round_s=6))
    fast = _running(peer=_peer(name="fast"))
    assert list(asked([slow, fast], "grant", 1, many=False)[0]) == ["fast"]
    many, left = asked([slow, fast], "grant", 2, many=True)
    assert {name: it.seconds_least for name, it in many.items()} == {"slow": 6, "fast": 0}
    assert not left


def test_a_peer_that_cannot_prepare_leaves_and_the_others_go_on() -> None:
    def refuse(_grant: Work) -> Work:
        raise RuntimeError("refused with 500")

    bad = _running(Works("", _work(), introspect=refuse), _peer(name="bad"))
    good = _running(Works("", _work(), introspect=lambda grant: grant), _peer(name="good"))
    found, left = asked([bad, good], "introspect", 1, many=True)
    assert list(found) == ["good"]
    assert left == {"bad": "refused with 500"}


def test_a_peer_that_does_not_start_is_said_and_the_others_go_on(tmp_path: Path) -> None:
    def fail(_clients: int) -> AbstractContextManager[Works]:
        raise RuntimeError("no port")

    wanted = [_peer(fail, name="bad"), _peer(_starting(Works("", _work())), name="good")]
    with ExitStack() as stack:
        found, faults = start_all(wanted, 1, [], tmp_path, stack)
    assert [it.peer.name for it in found] == ["good"]
    assert faults == {"bad": "no port"}


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (401, {"error": "invalid_client"}, "401"),
        (500, {}, "500"),
        (200, {"error": "invalid_client"}, "200"),
        (200, {"access_token": "", "token_type": "bearer", "expires_in": 1}, "200"),
        (200, {"access_token": "a", "token_type": "mac", "expires_in": 1}, "200"),
        (200, {"access_token": "a", "token_type": "bearer"}, "200"),
    ],
)
def test_an_answer_of_a_peer_that_is_no_grant_is_wrong(status: int, body: object, told: str) -> None:
    with pytest.raises(WrongAnswer, match=told):
        _on_peer().check([_answer("a"), Answer(status, json.dumps(body).encode())])


def test_a_token_that_is_granted_twice_is_wrong() -> None:
    """A peer that gave the same one again would not do the work."""
    _on_peer().check([_answer("a"), _answer("b")])
    with pytest.raises(WrongAnswer, match="2 answers have 1 tokens"):
        _on_peer().check([_answer("a"), _answer("a")])


def test_introspection_of_the_same_token_is_right_again() -> None:
    contender = OnPeer(_running(), "introspect", _work(check=live))
    contender.check([Answer(200, b'{"active":true}')] * 2)
    with pytest.raises(WrongAnswer):
        contender.check([Answer(200, b'{"active":false}')])


def test_a_refusal_in_a_round_that_is_not_read_is_wrong_all_the_same() -> None:
    with pytest.raises(WrongAnswer, match="1 of 10 were refused"):
        _on_peer().was_sent(10, 1)


def test_a_grant_that_was_answered_and_is_not_stored_is_lost() -> None:
    """L9 of others: a durable peer has on disk what it has answered."""
    stored = [100]
    contender = OnPeer(_running(Works("", _work(), stored=lambda: stored[0])), "grant", _work())
    contender.was_sent(10, 0)
    contender.was_sent(5, 0)
    stored[0] = 117  # two were under way when a round ended
    assert contender.lost() == 0
    stored[0] = 112
    assert contender.lost() == 3


def test_all_grants_are_lost_where_the_database_does_not_say() -> None:
    """And the run goes on: what others are is not less true."""

    def stored() -> int:
        if counted:
            raise psycopg.OperationalError("the server closed the connection")
        counted.append(0)
        return 0

    counted: list[int] = []
    contender = OnPeer(_running(Works("", _work(), stored=stored)), "grant", _work())
    contender.was_sent(10, 0)
    assert contender.lost() == 10


@pytest.mark.parametrize("fault", [CalledProcessError(1, "wrk"), ValueError("wrk printed nothing")])
def test_a_peer_that_has_died_leaves_and_the_others_go_on(
    fault: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(url: str, rows: Path, **more: Any) -> Round:
        if rows.stem == "dead":
            raise fault
        return _load(url, rows, **more)

    monkeypatch.setattr("bench.timed.cells.wrk.load", load)
    dead = _Contender("dead")
    found = measure(
        Cell(SCENARIOS["introspect"], 32, many=True),
        {FLOOR: _Contender(FLOOR), "dead": dead},
        Length(rounds=1, seconds=1),
        tmp_path,
    )
    assert list(found.rounds) == [FLOOR]
    assert found.left == {"dead": f"dead cannot be asked: {fault}"}
    assert dead.turns == ["begun", "ended"]


def test_a_contender_is_warmed_up_by_as_many_answers_as_it_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the first rounds that count would measure how it becomes warm."""
    monkeypatch.setattr("bench.timed.cells.wrk.load", _load)
    cold, never = (
        _Contender("cold", answers_first=3 * ROUND.answers),
        _Contender("never", answers_first=10**9),
    )
    found = measure(
        Cell(SCENARIOS["grant"], 32, many=True),
        {FLOOR: _Contender(FLOOR), "cold": cold, "never": never},
        Length(rounds=1, seconds=1),
        tmp_path,
    )
    assert {name: len(rounds) for name, rounds in found.rounds.items()} == {FLOOR: 1, "cold": 1, "never": 1}
    assert cold.turns.count("begun") == 3 + 1
    assert never.turns.count("begun") == 11 + 1  # it is given up, and measured as it is


@pytest.mark.parametrize("scenario", ["introspect", "refresh"])
def test_what_is_no_grant_loses_none(scenario: str) -> None:
    contender = OnPeer(_running(Works("", _work(), stored=lambda: 0)), scenario, _work())
    contender.was_sent(10, 0)
    assert contender.lost() == 0


def test_a_peer_that_leaves_a_cell_is_in_the_result_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever has no figures must not go without a word."""
    monkeypatch.setattr("bench.timed.cells.wrk.load", _load)
    wrong = _Contender("wrong", fault=WrongAnswer("wrong: 500"))
    found = measure(
        Cell(SCENARIOS["introspect"], 32, many=True),
        {FLOOR: _Contender(FLOOR), "right": _Contender("right"), "wrong": wrong},
        Length(rounds=2, seconds=1),
        tmp_path,
    )
    assert found.left == {"wrong": "wrong: 500"}
    assert {name: len(rounds) for name, rounds in found.rounds.items()} == {FLOOR: 2, "right": 2}


def test_a_round_happens_in_its_contenders_turn_and_is_as_long_as_it_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = _Contender("slow", seconds_least=6)
    told: list[tuple[str, int, list[str]]] = []

    def load(url: str, rows: Path, *, seconds: int, **more: Any) -> Round:
        told.append((rows.stem, seconds, slow.turns[-1:]))
        return _load(url, rows, seconds=seconds, **more)

    monkeypatch.setattr("bench.timed.cells.wrk.load", load)
    measure(
        Cell(SCENARIOS["introspect"], 32, many=True),
        {FLOOR: _Contender(FLOOR), "slow": slow},
        Length(rounds=1, seconds=1),
        tmp_path,
    )
    assert told == [
        (FLOOR, 1, []),
        ("slow", 6, ["begun"]),
        (FLOOR, 1, ["ended"]),
        ("slow", 6, ["begun"]),
    ]


def test_a_peer_is_wanted_by_the_name_of_its_server_or_of_one_set_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "bench.peers.installed", lambda: [_peer(name=it) for it in ("a", "a, cheap hash", "b")]
    )
    names = {tuple(wanted): [it.name for it in installed(wanted)] for wanted in (["a"], ["b"], ["all"], [])}
    assert names == {
        ("a",): ["a", "a, cheap hash"],
        ("b",): ["b"],
        ("all",): ["a", "a, cheap hash", "b"],
        (): [],
    }
    assert [it.name for it in installed(["a, cheap hash"])] == ["a, cheap hash"]


def test_every_server_that_is_not_installed_is_named_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.peers.INSTALLED", tmp_path)
    monkeypatch.setattr("bench.peers.running.INSTALLED", tmp_path)
    (tmp_path / "hydra.reason").write_text("go failed:\nno network\n", encoding="utf-8")
    missing = peers.missing()
    assert set(missing) == {it.NAME for it in peers.SOURCES}
    assert missing["hydra"] == "cannot be installed: go failed:\nno network"
    assert not peers.installed()


def test_a_run_that_goes_on_keeps_what_was_measured_and_who_did_not_start(tmp_path: Path) -> None:
    """Else whoever has no figures would go without a word. It is in one order, whatever came first."""

    def cell(scenario: str, connections: int) -> dict[str, Any]:
        return {"scenario": scenario, "clients": 10_000, "connections": connections}

    options = {"rounds": 3, "seconds": 2, "clients": [10_000]}
    machine = dict.fromkeys(("processor", "processors", "kernel", "python", "sqlite"), "it")
    first = options | {"scenarios": ["grant", "refresh"], "connections": [32]}
    peer_cells = [cell("grant", 32)]
    before = {"machine": machine, "options": first, "at": "before", "peers_faulty": {"broken": "no port"}}
    before |= {"peers": [{"name": "hydra"}], "peers_missing": {"glewlwyd": "no apt-get"}}
    before |= {"cells": [cell("refresh", 32), cell("grant", 32)], "peer_cells": peer_cells}
    going = Run.__new__(Run)
    second = options | {"scenarios": ["view", "grant"], "connections": [1, 256]}
    going.found = {"machine": machine, "options": second, "at": "now", "floods": {}, "peers_faulty": {}}
    going.found |= {"peers": [], "peers_missing": {}}  # it was told to measure none
    going.found |= {"cells": [], "peer_cells": [], "python_cells": []}
    going._go_on_with(before)
    going.found["cells"].append(cell("view", 1))
    going._result = tmp_path / "result.json"
    going._keep()
    kept = json.loads(going._result.read_text(encoding="utf-8"))
    assert kept["peers_faulty"] == {"broken": "no port"}
    assert kept["peer_cells"] == peer_cells
    assert (kept["peers"], kept["peers_missing"]) == (before["peers"], before["peers_missing"])
    assert kept["options"]["connections"] == [1, 32, 256]
    assert kept["options"]["scenarios"] == ["grant", "view", "refresh"]
    assert [it["scenario"] for it in kept["cells"]] == ["grant", "view", "refresh"]


def test_checkouts_share_what_is_installed_where_a_variable_says(tmp_path: Path) -> None:
    """Peers take minutes to install, and a checkout is soon made."""
    assert installed_in({"BENCH_PEERS": str(tmp_path)}) == tmp_path
    own = Path(peers.__file__).parent / ".installed"
    assert installed_in({}) == installed_in({"BENCH_PEERS": ""}) == own


def test_a_peer_has_a_database_of_its_own_that_syncs_to_disk() -> None:
    """L9 of others: what it keeps is as durable as what Licet does."""
    with postgres() as server:
        server.create_database("peer")
        for setting in ("fsync", "synchronous_commit"):
            assert server.execute(f"SHOW {setting}", "peer") == [("on",)]


def test_a_peer_without_a_database_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.peers.running.postgres_class", lambda: None)
    with pytest.raises(RuntimeError, match="the wheel of PostgreSQL is needed and is not installed"):
        postgres()


def test_each_client_asks_once_in_an_order_that_is_not_the_tables() -> None:
    rows = grant_rows("/token", 10)
    assert len({row.headers["Authorization"] for row in rows}) == 10
    assert rows[0].headers["Authorization"] == form_rows("/", [(0, {})])[0].headers["Authorization"]
    assert client_name(0) == "client0"


class _Contender:
    """One that is right, or fails as it is told."""

    may_leave = True

    def __init__(
        self, name: str, *, fault: WrongAnswer | None = None, seconds_least: int = 0, answers_first: int = 0
    ) -> None:
        self.target = TARGET._replace(name=name)
        self.answers_first = answers_first
        self.seconds_least = seconds_least
        self.turns: list[str] = []
        self._fault = fault

    @contextmanager
    def turn(self) -> Iterator[None]:
        self.turns.append("begun")
        try:
            yield
        finally:
            self.turns.append("ended")

    def rows(self, number: int, expected: int) -> list[Any]:
        del number, expected
        return []

    def check(self, answers: object) -> None:
        del answers
        if self._fault:
            raise self._fault

    def was_sent(self, answered: int, refused: int) -> None:
        del answered, refused


def _load(url: str, rows: Path, *, answers: Path | None = None, **more: Any) -> Round:
    del url, rows, more
    if answers is not None:
        answers.write_bytes(b"200 {}\n")
    return ROUND


@contextmanager
def _process() -> Iterator["subprocess.Popen[bytes]"]:
    """A process that waits, and ends with the block."""
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGCONT)
            process.kill()


def _change_of(process: "subprocess.Popen[bytes]") -> int:
    """The next change of its state; waits for one."""
    _, status = os.waitpid(process.pid, os.WUNTRACED | os.WCONTINUED)
    return status


def _work(clients: int = 1, check: Callable[[bytes], bool] = granted) -> Work:
    return Work("http://127.0.0.1:1", [Row("POST", "/token", {}, f"n={it}") for it in range(clients)], check)


@contextmanager
def _start(works: Works, _clients: int) -> Iterator[Works]:
    yield works


def _starting(works: Works) -> Callable[[int], Any]:
    return partial(_start, works)


def _peer(start: Callable[[int], Any] | None = None, name: str = "a peer", round_s: int = 0) -> Peer:
    started = start or _starting(Works("", _work()))
    return Peer(name, "1.0", "One process.", "", started, granted, round_s=round_s)


def _running(works: Works | None = None, peer: Peer | None = None, target: Target = TARGET) -> RunningPeer:
    return RunningPeer(peer or _peer(), target, works or Works("", _work()))


def _on_peer() -> OnPeer:
    return OnPeer(_running(), "grant", _work())


def _answer(token: str) -> Answer:
    body = {"access_token": token, "token_type": "bearer", "expires_in": 1}
    return Answer(200, json.dumps(body).encode())
