"""Reads the requests of one connection, and bounds what a client may send.

httptools parses HTTP; a subclass answers the requests (`direct.py`, `asgi.py`). The rules:

- A request gets a complete answer or none.
- Every buffer has a maximum size.
- One request at a time: bytes after it stay unparsed until it is answered, so that each is counted alone and
  no request begins on a connection that is about to be closed.
- A connection is reused only after a request that was received completely.
- Nothing that the client sent is logged, or repeated in an answer.

It is independent of the application: of its paths, its clients and its own smaller limits.
"""

import contextvars
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, Final

import httptools

from licet.web.http.blank_lines import BlankLines
from licet.web.http.connections import Entry
from licet.web.http.exchange import UnderWay
from licet.web.http.head import objection_to, without_upgrade
from licet.web.http.lifetime import OVER, Lifetime
from licet.web.http.phases import (
    BLANK_LINE_BYTES,
    HEAD_BYTES_MAX,
    HEADERS_MAX,
    HELD_BYTES_MAX,
    LINGER_BYTES_MAX,
    Event,
    Phase,
)
from licet.web.http.timer import NEVER

_FULL: Final = {
    Entry.SOURCE_IS_FULL: "There are too many connections from this address.",
    Entry.LISTENER_IS_FULL: "The server has no room for another connection.",
}

# Short names, because each request uses them several times, and in Python 3.11 a member of an enum costs a
# call.
_NEW: Final[Phase] = Phase.NEW
_IDLE: Final[Phase] = Phase.IDLE
_HEAD: Final[Phase] = Phase.HEAD
_BODY: Final[Phase] = Phase.BODY
_ANSWER: Final[Phase] = Phase.ANSWER
_HEAD_COMPLETE: Final = Event.HEAD_COMPLETE
_BODY_COMPLETE: Final = Event.BODY_COMPLETE
_ANSWER_COMPLETE: Final = Event.ANSWER_COMPLETE
_CAME_AGAIN: Final = Event.CAME_AGAIN
_EXPECTING: Final = (_IDLE, _NEW, _HEAD)
_ANSWERING: Final = (_BODY, _ANSWER, Phase.LAST_ANSWER)


class GuardedHttpProtocol(Lifetime):
    """One connection, and the requests on it.

    The parser is fed one message at a time and never past its end: that is how a head is counted to the
    byte, and why a malformed request cannot reach into the answer of the one before.
    """

    def __init__(self, *of_uvicorn: Any, **named: Any) -> None:
        super().__init__(*of_uvicorn, **named)
        self.parser = httptools.HttpRequestParser(self)
        self.url = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self._starting: UnderWay | None = None
        self._head_bytes = 0
        self._body_bytes = 0
        self._body_length: int | None = None
        self._reusable = False
        self._blank_lines = BlankLines()
        self._discardable = LINGER_BYTES_MAX

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        super().connection_lost(exc)
        del self.parser  # which refers to its connection

    def eof_received(self) -> bool:
        """The client sends no more. True keeps the connection open for the answer to what it has sent."""
        self._client_is_done = True
        if self._phase in (_BODY, _HEAD):
            self._refuse(400, "The request ended before it was complete.")
        if self._phase is _ANSWER:
            self._under_way.client_is_done()
        is_answering = self._phase in (_ANSWER, Phase.LAST_ANSWER) and self.serves_half_closed
        # TLS has no half-closed connections, and asyncio warns where one is asked for.
        if is_answering and self.transport.can_write_eof():
            return True
        self._step(Event.CLOSE)  # and the caller closes
        if self._deadline == NEVER:
            self._must_end_by(self.linger_timeout_s)
        return False

    def shutdown(self) -> None:
        """The server stops: the request that is being answered is the last one."""
        self._reusable = False
        if self._phase in _ANSWERING and not self._under_way.response_complete:
            self._under_way.be_last()
        elif self._phase not in OVER:  # which have a deadline anyway
            self._close()
            self._must_end_by(self.linger_timeout_s)

    # What comes in

    def data_received(self, data: bytes) -> None:
        """Bytes from the client: a part of a message, or many messages."""
        at, end = 0, len(data)
        while at < end:
            if self._phase in _EXPECTING:
                at = self._take_head(data, at)
            elif self._phase is _BODY:
                at = self._take_body(data, at)
            else:
                self._take_surplus(data[at:])
                break
        else:
            if self._phase is not _ANSWER:
                self._limit_the_wait()
        if (under_way := self._starting) is not None:
            self._starting = None
            self._start(under_way)

    @abstractmethod
    def _begin(self, fields: Mapping[bytes, bytes], *, expects_100: bool) -> UnderWay:
        """What answers the request whose head is here; `fields` are its headers, of a name the last."""

    @abstractmethod
    def _start(self, under_way: UnderWay) -> None:
        """Start to answer it: all that came with the head has been taken in."""

    @property
    def _is_alone(self) -> bool:
        """Whether the request under way is whole, and nothing came with it."""
        return self._phase is _ANSWER and not self._held

    def _begin_again(self, under_way: UnderWay) -> None:
        """Begin a request that came before: it is whole, and after it the connection can be used again."""
        self._reusable = True
        self._under_way = under_way
        self._step(_CAME_AGAIN)
        if not self.flow.write_paused:
            self._deadline = NEVER

    def _take_head(self, data: bytes, at: int) -> int:
        """Parse a head as far as it has come; returns where the bytes after it begin."""
        end = self._blank_lines.end_of(data, at)
        self._head_bytes += end - at
        if self._head_bytes > HEAD_BYTES_MAX:
            self._refuse(431, f"The request line and headers are larger than {HEAD_BYTES_MAX} bytes.")
        else:
            self._parse(data[at:end])
            if self._phase in _EXPECTING and self._blank_lines.is_behind_one:  # it comes before a head
                self._head_bytes += BLANK_LINE_BYTES
        return end

    def _take_body(self, data: bytes, at: int) -> int:
        """Parse a body as far as it has come; returns where the bytes after it begin."""
        if self._body_length is None:
            end = self._blank_lines.end_of(data, at)
        else:
            end = min(len(data), at + self._body_length - self._body_bytes)
        self._body_bytes += end - at
        if self._body_bytes > self.body_bytes_max:
            self._refuse(413, f"The request body is larger than {self.body_bytes_max} bytes.")
        else:
            self._parse(data[at:end])
            if self._phase is _BODY and self._body_length is None and self._blank_lines.is_behind_one:
                self._body_bytes += BLANK_LINE_BYTES
        return end

    def _take_surplus(self, data: bytes) -> None:
        """Bytes for which there is no request."""
        if self._phase is _ANSWER:
            self._hold(data)
        elif self._phase is Phase.TURNED_AWAY:
            self._refuse(503, _FULL[self._entry])
        elif self._phase is Phase.LINGER:
            self._discardable -= len(data)
            if self._discardable < 0:
                self._close()

    def _hold(self, data: bytes) -> None:
        """Keep later requests until this one is answered, unless they are too many: then it is the last."""
        self.flow.pause_reading()
        self._held += data
        if len(self._held) > HELD_BYTES_MAX:
            self._held.clear()
            self._step(Event.TOO_MUCH_HELD)
            self._under_way.be_last()
        self._under_way.is_followed()

    def _limit_the_wait(self) -> None:
        """The bytes so far end within a message: its rest has a deadline, which more bytes do not move."""
        if self._phase is _BODY:
            if self._deadline == NEVER:
                self._must_end_by(self.body_timeout_s)
        elif self._phase is _IDLE:
            self._step(Event.HEAD_BEGUN)
            self._must_end_by(self.head_timeout_s)
        elif self._phase is _NEW:  # which has the deadline of the first head already
            self._step(Event.HEAD_BEGUN)

    # The parser

    def on_message_begin(self) -> None:
        """The parser has the first byte of a request."""
        self.url = b""
        self.headers = []

    def on_url(self, url: bytes) -> None:
        """The parser has a part of a request target."""
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """The parser has a header field."""
        self.headers.append((name.lower(), value))

    def on_body(self, body: bytes) -> None:
        """The parser has a part of a body."""
        self._under_way.add_body(body)

    def _parse(self, piece: bytes) -> None:
        try:
            self.parser.feed_data(piece)
        except httptools.HttpParserUpgrade:
            self._parse_without_upgrade()
        except httptools.HttpParserError as fault:
            if isinstance(bug := fault.__context__, AssertionError):  # in a callback of ours
                raise bug from None
            self._refuse(400, "The request is not well-formed HTTP/1.1.")

    def _parse_without_upgrade(self) -> None:
        """Parse the head again as if nothing but HTTP/1.1 had been offered (RFC 9110 section 7.8).

        The parser takes everything behind an Upgrade for another protocol, also the body that
        HTTP clients send with `Upgrade: h2c`.
        """
        method = self.parser.get_method()
        if method == b"CONNECT":
            self._refuse(400, "This server is not a proxy.")
            return
        head = without_upgrade(method, self.url, self.parser.get_http_version(), self.headers)
        self.parser = httptools.HttpRequestParser(self)
        self._parse(head)

    def on_headers_complete(self) -> None:
        """The parser has a head: refuse it or give it to the application."""
        parser, headers = self.parser, self.headers
        if parser.should_upgrade():
            return
        version = parser.get_http_version()
        fields = dict(headers)
        if len(headers) > HEADERS_MAX:
            self._refuse(431, f"The request has more than {HEADERS_MAX} headers.")
            return
        if (objection := objection_to(version, headers, fields)) is not None:
            self._refuse(400, objection)
            return
        # HTTP/1.0 has no interim answers (RFC 9110 section 10.1.1).
        expects_100 = (
            b"expect" in fields and version == "1.1" and fields[b"expect"].lower() == b"100-continue"
        )
        # An answer that begins before the request is whole ends the connection; see on_message_complete.
        self._reusable = version == "1.1" and parser.should_keep_alive()
        self._starting = self._under_way = self._begin(fields, expects_100=expects_100)
        self._step(_HEAD_COMPLETE)
        if not self.flow.write_paused:  # else it has to read first: another request gives it no more time
            self._deadline = NEVER
        self._body_bytes = 0
        length = fields.get(b"content-length")
        self._body_length = None if length is None else int(length)
        # Trailer fields must not join the header fields (RFC 9110 section 6.5.1).
        self.headers = []

    def on_message_complete(self) -> None:
        """The parser has a whole request: the connection can be used again if the answer has not begun."""
        if self._phase is not _BODY:
            return
        self._step(_BODY_COMPLETE)
        # A trailer field may say `close`, and then the parser takes nothing more.
        is_reusable = self._reusable and self.parser.should_keep_alive()
        self._under_way.request_complete(is_reusable=is_reusable)

    # What goes out

    def on_response_complete(self) -> None:
        """An answer is complete: go on with the next request."""
        if self._phase is not _ANSWER or self.transport.is_closing():
            return
        if self._held:
            # Not directly: this is still the application's task, with its context.
            if not self._client_is_done:
                self.flow.pause_reading()
            self.loop.call_soon(self._go_on, context=contextvars.Context())
        elif self._client_is_done:
            self._end()
        else:
            self._expect_a_request()
            self._must_end_by(self.timeout_keep_alive)

    def _expect_a_request(self) -> None:
        self._step(_ANSWER_COMPLETE)
        self._head_bytes = 0
        if self.flow.read_paused:
            self.flow.resume_reading()

    def _go_on(self) -> None:
        """Parse the bytes that were held."""
        if self.transport.is_closing():
            return
        held = bytes(self._held)
        self._held.clear()
        self._expect_a_request()
        self.data_received(held)
        if self._client_is_done:
            self.eof_received()
