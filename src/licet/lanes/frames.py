"""Frames what travels between the server and the committing process: a length and MessagePack.

    server    -> frame [command, ...]                                       -> committing process
    server    <- frame (set-up version, seconds it took, counts, [reply])   <- committing process

Both sides read a stream of bytes, which may arrive in any pieces; a frame is passed on when it is complete.
Replies come in the order of their commands.
"""

from collections.abc import Iterator

import msgspec

from licet.ledger.commands import Command, Outcome
from licet.model import Value

_LENGTH_BYTES = 4


class Failed(Value, frozen=True, kw_only=True, tag=True, array_like=True):
    """Why a command has no outcome."""

    is_unavailable: bool
    text: str


Reply = Outcome | Failed

encode = msgspec.msgpack.Encoder().encode
decode_commands = msgspec.msgpack.Decoder(list[Command]).decode
decode_replies = msgspec.msgpack.Decoder(tuple[int, float, dict[str, int], list[Reply]]).decode


def frame(content: object) -> bytes:
    """Content encoded as a frame."""
    payload = encode(content)
    return len(payload).to_bytes(_LENGTH_BYTES, "big") + payload


class Frames:
    """Collects bytes as they arrive, and yields each frame once it is whole."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The payloads that these bytes complete."""
        buffer = self._buffer
        buffer += data
        at = 0
        while len(buffer) - at >= _LENGTH_BYTES:
            begin = at + _LENGTH_BYTES
            end = begin + int.from_bytes(buffer[at:begin], "big")
            if len(buffer) < end:
                break
            yield bytes(buffer[begin:end])
            at = end
        del buffer[:at]
