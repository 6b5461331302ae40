"""How numbers, messages and texts of others are shown to people, in one place for all interfaces."""

import pytest

from licet.formats import counted, printable, sentence


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
