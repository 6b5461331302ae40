"""Keys have the same names on every system, and no keyboard is no mistake."""

import sys
from pathlib import Path

import pytest

from licet.platforms import terminal, windows
from licet.platforms.terminal import keyboard


class _Terminal:
    """An input that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_keys_of_windows_have_the_same_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key without a character is two codes there; F1 has no name."""
    typed = list("a\xe0H\xe0P\r\x08\x1b\x00;")
    monkeypatch.setattr(terminal, "_termios", None)
    monkeypatch.setattr(sys, "stdin", _Terminal())
    monkeypatch.setattr(windows, "has_key", lambda: bool(typed))
    monkeypatch.setattr(windows, "read_key", lambda: typed.pop(0))
    with keyboard() as keys:
        found = [key for _ in range(7) for key in keys.wait(0)]
        assert keys.wait(0) == []
        with keys.released():
            keys.stop()
    assert found == ["a", "up", "down", "enter", "backspace", "escape"]


@pytest.mark.parametrize("is_posix", [True, False])
def test_without_a_keyboard_no_key_is_ever_pressed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_posix: bool
) -> None:
    """The input may be a file."""
    (tmp_path / "input").write_text("q")
    with (tmp_path / "input").open() as file:
        monkeypatch.setattr(sys, "stdin", file)
        if not is_posix:
            monkeypatch.setattr(terminal, "_termios", None)
        with keyboard() as keys:
            assert keys.wait(0) == []
            assert not keys.ends
