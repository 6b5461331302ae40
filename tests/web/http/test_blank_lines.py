"""Blank lines: where messages may end, and a flood of those that end none."""

import random
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest

from licet.web.http.blank_lines import BlankLines
from licet.web.http.phases import BLANK_LINE_BYTES, BODY_BYTES_MAX, HEAD_BYTES_MAX
from support.web.listening import PatientAsgiProtocol, PatientProtocol, Server, assert_refusal, chunked, post

SEED = 20_261_130
BLANK = b"\r\n\r\n"
MESSAGE = (
    BLANK
    + chunked(b"9;a=b\r\na\r\n\r\n\r\n\r\n\r\n1\r\nb\r\n0\r\nT: v\r\n\r\n")
    + post("/token", b"\r\n\r\n")
)


class Counted(bytes):
    """Bytes that count how many of them are copied."""

    copied = 0

    def __getitem__(self, key: Any) -> Any:
        found = super().__getitem__(key)
        self.copied += len(found) if isinstance(key, slice) else 1
        return found


class Fed:
    """Counts how many times the parser is fed, and how many bytes are copied."""

    feeds: ClassVar[int] = 0
    copied: ClassVar[int] = 0

    def data_received(self, data: bytes) -> None:
        """Count what is copied of it."""
        counted = Counted(data)
        super().data_received(counted)  # type: ignore[misc]
        Fed.copied += counted.copied

    def _parse(self, piece: bytes) -> None:
        Fed.feeds += 1
        super()._parse(piece)  # type: ignore[misc]


class FedProtocol(Fed, PatientProtocol):
    """That of the public listener."""


class FedAsgiProtocol(Fed, PatientAsgiProtocol):
    """That of the admin listener."""


@pytest.fixture(scope="module", params=[FedProtocol, FedAsgiProtocol])
def fed(request: pytest.FixtureRequest) -> Iterator[Server]:
    """Each listener, which counts how many times its parser is fed."""
    with Server(request.param) as server:
        yield server


def pieces(data: bytes, chance: random.Random) -> list[bytes]:
    """The same bytes, cut anywhere."""
    cuts = sorted(chance.sample(range(1, len(data)), chance.randint(0, min(6, len(data) - 1))))
    return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]


def ends(parts: list[bytes]) -> list[int]:
    """Where the bytes in these parts have had a blank line, counted from the first of them."""
    lines, found, before = BlankLines(), [], 0
    for part in parts:
        at = 0
        while at < len(part):
            at = lines.end_of(part, at)
            if lines.is_behind_one:
                found.append(before + at)
        before += len(part)
    return found


def test_a_blank_line_is_found_wherever_it_is_cut() -> None:
    """RFC 9112 section 2.1, for bytes that are whole, byte by byte and in random pieces."""
    chance = random.Random(SEED)  # noqa: S311 - repeatable, and no secret
    for _ in range(500):
        data = b"".join(chance.choices([b"\r\n", b"\r", b"\n", b"a"], [6, 1, 1, 1], k=chance.randint(1, 20)))
        expected, at = [], 0
        while (found := data.find(BLANK, at)) >= 0:
            at = found + len(BLANK)
            expected.append(at)
        for parts in ([data], [bytes([byte]) for byte in data], pieces(data, chance)):
            assert ends(parts) == expected


def test_requests_are_read_in_whatever_pieces_they_come(patient: Server) -> None:
    """RFC 9112 sections 2.2 and 7.1: blank lines before a head, within a body, and at its end."""
    chance = random.Random(SEED)  # noqa: S311 - repeatable, and no secret
    for parts in (
        [MESSAGE],
        [bytes([byte]) for byte in MESSAGE],
        *(pieces(MESSAGE, chance) for _ in range(20)),
    ):
        with patient.connect() as client:
            for part in parts:
                client.send(part)
                patient.catch_up()
            assert [client.answer().json["body"] for _ in range(2)] == ["a\r\n\r\n\r\n\r\nb", BLANK.decode()]


def test_blank_lines_before_a_head_count_as_more_than_their_bytes(fed: Server) -> None:
    """RFC 6585 section 5: the parser is fed up to each of them, and one read could have thousands."""
    flood = BLANK * (HEAD_BYTES_MAX // 2 // len(BLANK)) + post()
    Fed.feeds = Fed.copied = 0
    with fed.connect() as client:
        client.send(flood)
        assert_refusal(client.last_answer(), 431)
    assert Fed.feeds <= HEAD_BYTES_MAX // BLANK_LINE_BYTES
    assert Fed.copied <= 3 * len(flood)


def test_blank_lines_within_a_body_count_as_more_than_their_bytes(fed: Server) -> None:
    """RFC 9110 section 15.5.14: the same of the bytes of a chunk."""
    size = BODY_BYTES_MAX // 2
    flood = chunked(b"%x\r\n%s\r\n0\r\n\r\n" % (size, BLANK * (size // len(BLANK))))
    Fed.feeds = Fed.copied = 0
    with fed.connect() as client:
        client.send(flood)
        assert client.answer().status == 413
        client.say_no_more()
        client.end()
    assert Fed.feeds <= BODY_BYTES_MAX // BLANK_LINE_BYTES
    assert Fed.copied <= 3 * len(flood)


def test_a_few_blank_lines_are_no_flood(fed: Server) -> None:
    """RFC 9112 section 2.2: a hundred before a request, and a body of a thousand bytes of them."""
    with fed.connect() as client:
        for _ in range(2):
            client.send(BLANK * 100 + chunked(b"3e8\r\n%s\r\n0\r\n\r\n" % (BLANK * 250)))
            assert client.answer().json["body"] == BLANK.decode() * 250
