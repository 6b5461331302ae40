"""Signs the assertions of a client that has a key, and says which of them are sent a second time.

An assertion may be used once, on all nodes together (RFC 7523 3). A client signs a new one for each request,
also after a request without an answer. Now and then one is sent again all the same, as by somebody who has
read it: at the same moment to another node, moments later, or after the first answer; with the same request,
or with a grant that asks for something else.
"""

import random
import time
from typing import Literal, NamedTuple

import msgspec

from chaos.load.wire import payload_of
from licet.client.client_assertion import Signing
from licet.client.tokens import Secret

AGAIN = 0.15  # share of the assertions that are sent again: a guess
AGAIN_UNANSWERED = 0.5  # the same where the first request got no answer: it may have been carried out
AT_ONCE, SOON = 0.4, 0.3  # share of those that are sent again at the same moment, or soon; others afterwards
SOON_S = 0.06  # within this time the first request is mostly under way
AFTERWARDS_S = 1.5  # by then the first request is over for its client
OTHER = 0.4  # share of those that come with another request

When = Literal["at once", "soon", "afterwards"]


class Signed(NamedTuple):
    """An assertion: its identifier, and the form fields that authenticate a request."""

    jti: str
    form: dict[str, str]


class Repetition(NamedTuple):
    """When an assertion is sent again, after how many seconds, and whether with another request."""

    when: When
    after_s: float
    is_other: bool


class _Claims(msgspec.Struct):
    jti: str


class Assertions:
    """The assertions of one client."""

    def __init__(self, client_id: str, issuer: str, private_key: str, dice: random.Random) -> None:
        self._signing = Signing(client_id, issuer, Secret(private_key), None, time.time)
        self._dice = dice

    def sign(self) -> Signed:
        """A new assertion."""
        form = self._signing.form()
        claims = msgspec.json.decode(payload_of(form["client_assertion"]), type=_Claims)
        return Signed(claims.jti, form)

    def repetition(self) -> Repetition | None:
        """How the next assertion is sent again; mostly it is not."""
        if self._dice.random() >= AGAIN:
            return None
        lot = self._dice.random()
        if lot < AT_ONCE:
            return Repetition("at once", 0.0, self._is_other())
        if lot < AT_ONCE + SOON:
            return Repetition("soon", self._dice.random() * SOON_S, self._is_other())
        return self._afterwards()

    def repetition_unanswered(self) -> Repetition | None:
        """How an assertion is sent again whose request got no answer."""
        return self._afterwards() if self._dice.random() < AGAIN_UNANSWERED else None

    def _afterwards(self) -> Repetition:
        return Repetition("afterwards", self._dice.random() * AFTERWARDS_S, self._is_other())

    def _is_other(self) -> bool:
        return self._dice.random() < OTHER
