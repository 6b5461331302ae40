"""How numbers, messages and texts of others are shown to people, in one place for all interfaces."""

import time
from collections.abc import Iterator
from datetime import date, datetime
from zoneinfo import ZoneInfo

import pytest

from licet.formats import begin_ms, counted, end_ms, printable, sentence
from licet.model import InvalidValue


@pytest.mark.parametrize(
    ("number", "shown"), [(0, "0 seats"), (1, "1 seat"), (2, "2 seats"), (1250, "1,250 seats")]
)
def test_a_count_agrees_with_its_noun(number: int, shown: str) -> None:
    """Thousands are apart."""
    assert counted(number, "seat") == shown


def test_a_plural_of_its_own_is_used() -> None:
    assert counted(2, "licence has", "licences have") == "2 licences have"
    assert counted(1, "licence has", "licences have") == "1 licence has"


@pytest.mark.parametrize(
    ("text", "shown"), [("is too long", "Is too long."), (" Why? ", "Why?"), ("Done.", "Done."), ("", ".")]
)
def test_a_message_becomes_a_sentence(text: str, shown: str) -> None:
    """It has one end, whatever it had before."""
    assert sentence(text) == shown


def test_no_control_character_reaches_a_terminal() -> None:
    """An escape in somebody's name could take it over."""
    assert printable("a\x1b[2Jb\nc") == "a\\x1b[2Jb\\x0ac"
    assert printable("a\x1bb\nc", kept="\n") == "a\\x1bb\nc"
    assert printable("a\u202eb\U000e0061c") == "a\\u202eb\\U000e0061c"
    assert printable("a\x1bb\nc", "") == "abc"


@pytest.fixture
def in_london(monkeypatch: pytest.MonkeyPatch) -> Iterator[ZoneInfo]:
    """A machine whose clocks are put forward on 29 March 2026 and back on 25 October."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Europe/London")
        time.tzset()
        yield ZoneInfo("Europe/London")
    time.tzset()


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="this system cannot change the zone of a process")
def test_a_moment_in_the_zone_of_this_machine_is_that_in_the_zone_of_this_name(in_london: ZoneInfo) -> None:
    """A day of 23 hours and one of 25, and a time that occurs twice: the later one."""
    for day in (date(2026, 3, 29), date(2026, 10, 25), date(2026, 6, 1)):
        assert begin_ms(day, None) == begin_ms(day, in_london)
        assert end_ms(day, None) == end_ms(day, in_london)
    twice = datetime.fromisoformat("2026-10-25T01:30")
    assert begin_ms(twice, None) == begin_ms(twice, in_london)
    with pytest.raises(InvalidValue, match="there is no 01:30 on 2026-03-29 in the zone of this machine"):
        begin_ms(datetime.fromisoformat("2026-03-29T01:30"), None)
