"""What a server remembers of uses until they are written: the last one of each session, and not too many."""

from licet.web.last_uses import KEEP_TURNS, SPREAD_TURNS, LastUses
from licet.web.sessions_read import Read

LONGEST = KEEP_TURNS + SPREAD_TURNS


def read(at_ms: int) -> Read:
    """What was read of a session at this instant."""
    return Read(at_ms, None)


def sids(*numbers: int) -> list[bytes]:
    """So many sessions."""
    return [number.to_bytes(4, "big") for number in numbers]


def test_of_a_session_the_last_use_is_remembered() -> None:
    """However often an API asks."""
    uses = LastUses[bytes, Read]()
    for at_ms in range(3):
        uses.note(b"a", read(at_ms))
    assert uses.take() == {b"a": read(2)}
    assert uses.take() == {}


def test_a_session_that_is_used_all_the_time_is_written_once_in_a_while() -> None:
    """With its last use, and then not before as many turns again."""
    uses = LastUses[bytes, Read]()
    written = {}
    for turn in range(4 * LONGEST):
        uses.note(b"a", read(turn))
        for it in uses.due().values():
            written[turn] = it.now_ms
    assert list(written) == list(written.values())
    between = [later - turn for turn, later in zip(list(written), list(written)[1:], strict=False)]
    assert len(between) >= 3
    assert all(KEEP_TURNS <= turns <= LONGEST for turns in between)


def test_no_use_waits_longer_than_so_many_turns() -> None:
    """Whether few sessions are used in a turn, or many."""
    uses = LastUses[bytes, Read]()
    noted: dict[bytes, int] = {}
    written: dict[bytes, int] = {}
    for turn in range(60):
        for sid in sids(*range(turn * 1000, turn * 1000 + (700 if turn % 7 == 0 else 3))):
            if turn < 20:
                uses.note(sid, read(turn))
                noted[sid] = turn
        written |= dict.fromkeys(uses.due(), turn)
    assert written.keys() == noted.keys()
    waited = [written[sid] - noted[sid] for sid in noted]
    assert min(waited) > 0
    assert max(waited) <= LONGEST


def test_many_sessions_of_one_turn_are_written_in_even_parts() -> None:
    """No request waits until all of them are written."""
    uses = LastUses[bytes, Read]()
    for sid in sids(*range(10_000)):
        uses.note(sid, read(1))
    parts = [len(uses.due()) for _ in range(LONGEST + 1)]
    assert sum(parts) == 10_000
    assert max(parts) <= 10_000 / SPREAD_TURNS + 1


def test_no_more_sessions_are_remembered_than_there_is_room_for() -> None:
    """Those that are remembered go on; of those, what is more than half of the room is written at once."""
    uses = LastUses[bytes, Read](room=2)
    uses.note(b"a", read(1))
    assert uses.due() == {}
    uses.note(b"b", read(1))
    uses.note(b"c", read(2))
    uses.note(b"a", read(3))
    assert uses.due() == {b"a": read(3)}
    uses.note(b"c", read(4))
    assert uses.take() == {b"b": read(1), b"c": read(4)}


def test_as_many_sessions_as_half_of_the_room_can_be_used_in_each_turn() -> None:
    """None of them is forgotten."""
    uses = LastUses[bytes, Read](room=200)
    written: set[bytes] = set()
    for turn in range(50):
        for sid in sids(*range(turn * 100, turn * 100 + 100)):
            uses.note(sid, read(turn))
        written |= uses.due().keys()
    assert len(written | uses.take().keys()) == 5000


def test_what_could_not_be_written_is_remembered_again_unless_it_is_known_better() -> None:
    """A store that is away loses nothing that there is room for."""
    uses = LastUses[bytes, Read](room=2)
    for sid in (b"a", b"b"):
        uses.note(sid, read(1))
    taken = uses.take()
    uses.note(b"a", read(2))
    uses.put_back(taken)
    assert uses.take() == {b"a": read(2), b"b": read(1)}
    uses.note(b"c", read(3))
    uses.put_back(taken)
    assert len(uses.take()) == 2


def test_what_could_not_be_written_is_due_with_the_next_turn() -> None:
    """A store that is away for an hour changes nothing in that, nor in what else is due when."""
    uses = LastUses[bytes, Read]()
    for sid in sids(*range(5)):
        uses.note(sid, read(1))
    for _ in range(100):
        uses.put_back(uses.due())
    uses.note(b"later", read(2))
    assert len(uses.due()) == 5
    assert [len(uses.due()) for _ in range(KEEP_TURNS)] == [0] * (KEEP_TURNS - 1) + [1]
