"""The lines and words of an options file."""

import pytest

from licet.options_files.lines import (
    FILE_BYTES_MAX,
    FLEXNET,
    JOINED_CHARS_MAX,
    LINES_MAX,
    RLM,
    FileUnreadable,
    Line,
    lines_of,
)


def only(content: bytes) -> Line:
    """The only line of a FlexNet file."""
    (line,) = lines_of(content, FLEXNET)
    return line


def test_words_are_apart_by_spaces_and_tabs() -> None:
    assert only(b"  GROUP\tsales  anne \t bob\r\n").words == ("GROUP", "sales", "anne", "bob")


def test_quotation_marks_hold_words_together() -> None:
    assert only(b'MAX 1 "f1 VERSION=2.0" USER bob').words == ("MAX", "1", "f1 VERSION=2.0", "USER", "bob")
    assert only(b'MAX 1 f1:NOTICE="our own" USER bob').words[2] == "f1:NOTICE=our own"


def test_a_quotation_mark_that_is_left_open_is_wrong() -> None:
    assert "left open" in only(b'MAX 1 "f1 USER bob').wrong


def test_a_backslash_joins_lines_of_flexnet_and_tells_which_they_are() -> None:
    first, second = lines_of(b"GROUP sales anne \\\r\n  bob \\  \n carl\nMAX 1 f1 USER bob", FLEXNET)
    assert first.words == ("GROUP", "sales", "anne", "bob", "carl")
    assert first.where == "lines 1 to 3"
    assert second.where == "line 4"


def test_a_backslash_at_the_end_of_the_file_joins_nothing() -> None:
    assert only(b"GROUP sales anne \\").words == ("GROUP", "sales", "anne")


def test_a_comment_is_never_joined_with_the_next_line() -> None:
    first, second = lines_of(b"# here \\\nMAX 1 f1 USER bob\n", FLEXNET)
    assert not first.words
    assert second.words[0] == "MAX"


def test_rlm_joins_no_lines() -> None:
    assert [line.words for line in lines_of(b"group g anne \\\nbob", RLM)] == [
        ("group", "g", "anne", "\\"),
        ("bob",),
    ]


def test_a_comment_behind_words_is_none() -> None:
    """What it says would be read as names: of users of a group, above all."""
    assert "a comment has a line of its own" in only(b"GROUP sales anne # the boss").wrong
    assert "a comment has a line of its own" in only(b"GROUP sales anne \\\n# tom \\\n").wrong
    assert only(b"GROUP sales anne#2").words == ("GROUP", "sales", "anne#2")


@pytest.mark.parametrize("content", [b"", b"\n", b"  \t\n", b"# a\n", b"  # a", b"#\xff\xfe\x00\n"])
def test_blank_lines_and_comments_say_nothing(content: bytes) -> None:
    """A comment may have any bytes."""
    assert all(not line.words and not line.wrong for line in lines_of(content, FLEXNET))


def test_a_byte_order_mark_is_passed_over() -> None:
    assert only(b"\xef\xbb\xbfTIMEOUTALL 60").words == ("TIMEOUTALL", "60")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"GROUP m\xfcller anne", "it is not UTF-8"),
        (b"GROUP sales an\x00ne", "U+0000"),
        ("GROUP sales an\N{NO-BREAK SPACE}ne".encode(), "U+00A0"),
        ("GROUP sales an\N{RIGHT-TO-LEFT OVERRIDE}ne".encode(), "U+202E"),
        (b"GROUP sales an\x1b[31mne", "U+001B"),
        (b"GROUP sales anne\rbob\n", "U+000D"),
        (b"GROUP sales " + b"a" * 4000, "4000 characters of a line"),
    ],
)
def test_a_line_that_cannot_be_read_says_why(content: bytes, told: str) -> None:
    """And it holds nothing that could take over a terminal."""
    line = only(content)
    assert told in line.wrong
    assert not line.words
    assert line.text.isprintable()


def test_a_wrong_line_among_joined_ones_is_named() -> None:
    assert only(b"GROUP sales anne \\\nb\xffb").wrong.startswith("line 2: ")


def test_rlm_reads_fewer_characters_of_a_line_and_allows_fewer() -> None:
    (line,) = lines_of(b"group sales " + b"a" * 1020, RLM)
    assert "1024 characters" in line.wrong
    for char in "<>&'`":
        (line,) = lines_of(f"exclude all user an{char}ne".encode(), RLM)
        assert f"allows no {char}" in line.wrong


def test_lines_that_are_joined_without_end_are_wrong() -> None:
    line = only(b"GROUP sales \\\n" + b"anne \\\n" * 9_000 + b"bob" + b" carl" * 500)
    assert not line.wrong
    line = only(b"GROUP sales \\\n" + (b"a" * 3000 + b" \\\n") * (JOINED_CHARS_MAX // 3000 + 1))
    assert str(JOINED_CHARS_MAX) in line.wrong
    assert len(line.text) < FILE_BYTES_MAX


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"\n" * (LINES_MAX + 1), f"{LINES_MAX} lines"),
        (b"#" * (FILE_BYTES_MAX + 1), f"{FILE_BYTES_MAX} bytes"),
        ("MAX 1 f1 USER anne".encode("utf-16"), "UTF-16"),
        (b"# all of it would be a comment\rMAX 1 f1 USER anne\r", "CR alone"),
    ],
)
def test_a_file_that_is_no_options_file_is_refused_as_a_whole(content: bytes, told: str) -> None:
    with pytest.raises(FileUnreadable, match=told):
        lines_of(content, FLEXNET)
