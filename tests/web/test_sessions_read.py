"""What a server remembers of uses until they are written: the last one of each session, and not too many."""

from licet.web.sessions_read import Read, Uses


def read(at_ms: int) -> Read:
    """What was read of a session at this instant."""
    return Read(at_ms, None)


def test_of_a_session_the_last_use_is_remembered() -> None:
    """However often an API asks."""
    uses = Uses()
    for at_ms in range(3):
        uses.note(b"a", read(at_ms))
    assert uses.take() == {b"a": read(2)}
    assert uses.take() == {}


def test_no_more_sessions_are_remembered_than_there_is_room_for() -> None:
    """Those that are remembered go on, and it says that it is full."""
    uses = Uses(sessions_max=2)
    for sid in (b"a", b"b"):
        assert not uses.is_full
        uses.note(sid, read(1))
    assert uses.is_full
    uses.note(b"c", read(2))
    uses.note(b"a", read(3))
    assert uses.take() == {b"a": read(3), b"b": read(1)}
    assert not uses.is_full


def test_what_could_not_be_written_is_remembered_again_unless_it_is_known_better() -> None:
    """A store that is away loses nothing that there is room for."""
    uses = Uses(sessions_max=2)
    for sid in (b"a", b"b"):
        uses.note(sid, read(1))
    taken = uses.take()
    uses.note(b"a", read(2))
    uses.put_back(taken)
    assert uses.take() == {b"a": read(2), b"b": read(1)}
    uses.note(b"c", read(3))
    uses.put_back(taken)
    assert len(uses.take()) == 2
