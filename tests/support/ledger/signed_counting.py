"""A model of a signed pool that counts the number of each holder's seat and its end, without tables.

It computes them from the licences themselves, in the simplest way.
"""

from typing import Any, NamedTuple

from licet.ledger.commands import Denied, Ended, Granted, Outcome, SessionUnknown, Swept
from licet.model import SEATS_MAX

SESSION_S, ACCESS_S, HOLD_S = 1200, 60, 60
Seen = tuple[object, ...]


class Given(NamedTuple):
    """A serial of a licence: its seats, its beginning and its end."""

    name: str
    serial: int
    from_s: int
    to_s: int | None
    grace_s: int
    seats: int
    overdraft: int

    def is_alive(self, at_ms: int) -> bool:
        """Whether it gives seats at this moment."""
        return self.to_s is None or at_ms < (self.to_s + self.grace_s) * 1000


class Seat:
    """The holder of a number, its user, and the times of its last token and of its end."""

    def __init__(self, number: int, user: str) -> None:
        self.number = number
        self.user = user
        self.issued_ms = 0
        self.expires_ms = 0


class Held(NamedTuple):
    """A session."""

    key: int
    holder: str
    number: int
    expires_ms: int


class SignedModel:
    """One pool; holders and users are the keys of clients, and no session is superseded."""

    def __init__(self, now_ms: int, users: dict[int, str]) -> None:
        self.now_ms = now_ms
        self.users = users
        self.licences: list[Given] = []
        self.limit = SEATS_MAX
        self.hold_s = self.set_hold_s = 0
        self.sessions: dict[int, Held] = {}
        self.seats: dict[str, Seat] = {}
        self.free_ms: dict[int, int] = {}  # numbers that somebody had, and from when on each may be given
        self.tokens: dict[int, tuple[str, int]] = {}  # of each number: who had the last token, and when

    def _counting(self, at_ms: int) -> list[Given]:
        newest: dict[str, Given] = {}
        for it in sorted(self.licences, key=lambda it: it.serial):
            if it.from_s * 1000 <= at_ms:
                newest[it.name] = it
        return [it for it in newest.values() if it.is_alive(at_ms)]

    def signed(self, at_ms: int) -> int:
        """The highest number that a seat may have at this moment."""
        return sum(it.seats + it.overdraft for it in self._counting(at_ms))

    def room(self) -> int:
        """How many seats may be in use now."""
        counting = self._counting(self.now_ms)
        seats, over = sum(it.seats for it in counting), sum(it.overdraft for it in counting)
        if self.limit == SEATS_MAX or self.limit >= seats > 0:
            return seats + over
        return min(self.limit, seats) + (over if self.limit >= seats and self.limit else 0)

    def moments(self) -> list[int]:
        """The moments from now on at which something changes by itself."""
        found = {it.from_s * 1000 for it in self.licences}
        found |= {(it.to_s + it.grace_s) * 1000 for it in self.licences if it.to_s is not None}
        return sorted(it for it in found if it > self.now_ms)

    def cut_ms(self, number: int) -> int | None:
        """Until when a number may be used; None if for ever."""
        if number > self.signed(self.now_ms):
            return self.now_ms
        return next((it for it in self.moments() if self.signed(it) < number), None)

    def wait(self, ms: int) -> None:
        """Let time pass."""
        self.now_ms += ms
        self.forget()

    def forget(self) -> None:
        """End what has expired, and free each number when its hold is over."""
        over = [number for number, it in self.sessions.items() if it.expires_ms <= self.now_ms]
        for number in over:
            del self.sessions[number]
        for holder, seat in [*self.seats.items()]:
            if seat.expires_ms <= self.now_ms:
                self.give_back(holder)

    def give_back(self, holder: str) -> None:
        """A holder loses its seat."""
        seat = self.seats.pop(holder)
        self.free_ms[seat.number] = seat.issued_ms + self.hold_s * 1000

    def grant(self, key: int, holder: str, number: int) -> Seen:
        """A client asks for a session of this number."""
        signed = self.signed(self.now_ms)
        if not signed:
            return ("denied", "licence_expired")
        seat = self.seats.get(holder)
        if seat is None:
            if len(self.seats) >= self.room():
                return ("denied", "all_in_use" if self.limit else "no_seats")
            lowest = self.lowest()
            if lowest > signed:
                return ("denied", "all_in_use")
            self.free_ms.pop(lowest, None)
            seat = self.seats[holder] = Seat(lowest, self.users[key])
        elif seat.user != self.users[key]:
            return ("denied", "all_in_use")
        return self._issue(key, holder, seat, number, 0)

    def lowest(self) -> int:
        """The lowest number that no holder has, and of which no valid token may exist."""
        had = {it.number for it in self.seats.values()}
        number = 1
        while number in had or self.free_ms.get(number, 0) > self.now_ms:
            number += 1
        return number

    def refresh(self, key: int, number: int) -> Seen:
        """A client renews a session."""
        held = self.sessions.get(number)
        if held is None or held.key != key or held.number > self.signed(self.now_ms):
            return ("unknown",)
        return self._issue(key, held.holder, self.seats[held.holder], number, held.expires_ms)

    def _issue(self, key: int, holder: str, seat: Seat, number: int, before_ms: int) -> Seen:
        expires_ms, cut_ms = self.now_ms + SESSION_S * 1000, self.cut_ms(seat.number)
        if cut_ms is not None:
            expires_ms = min(expires_ms, cut_ms)
        expires_ms = max(expires_ms, before_ms)
        self.sessions[number] = Held(key, holder, seat.number, expires_ms)
        seat.issued_ms = self.now_ms
        seat.expires_ms = max(seat.expires_ms, expires_ms, self.held_ms(seat))
        self.tokens[seat.number] = f"{holder} {seat.user}", self.now_ms
        return ("granted", seat.number, expires_ms, min(self.now_ms + ACCESS_S * 1000, expires_ms))

    def held_ms(self, seat: Seat) -> int:
        """Until when its last token holds it, while its number is signed."""
        held_ms, cut_ms = seat.issued_ms + self.hold_s * 1000, self.cut_ms(seat.number)
        return held_ms if cut_ms is None else min(held_ms, cut_ms)

    def end(self, number: int) -> Seen:
        """A session must end."""
        held = self.sessions.pop(number, None)
        if held is None:
            return ("ended", False)
        seat = self.seats[held.holder]
        others = [it.expires_ms for it in self.sessions.values() if it.holder == held.holder]
        seat.expires_ms = max([self.held_ms(seat), *others])
        if seat.expires_ms <= self.now_ms:
            self.give_back(held.holder)
        return ("ended", True)

    def cut(self) -> None:
        """After a change of licences, end what lives longer than its number is signed."""
        for number, held in self.sessions.items():
            if (cut_ms := self.cut_ms(held.number)) is not None:
                self.sessions[number] = held._replace(expires_ms=min(held.expires_ms, cut_ms))
        for seat in self.seats.values():
            if (cut_ms := self.cut_ms(seat.number)) is not None:
                seat.expires_ms = min(seat.expires_ms, cut_ms)
        self.forget()
        self.count_hold()

    def set_hold(self, hold_s: int) -> None:
        """An administrator sets a hold."""
        self.set_hold_s = hold_s
        self.count_hold()

    def count_hold(self) -> None:
        """Apply the longer of the set and the signed hold at once to all seats in use."""
        moments = [it.from_s * 1000 for it in self.licences]
        is_signed = any(self.signed(it) for it in moments)
        after_s = max(self.set_hold_s, HOLD_S if is_signed else 0)
        if after_s == self.hold_s:
            return
        before_s, self.hold_s = self.hold_s, after_s
        for number, from_ms in self.free_ms.items():
            moved_ms = from_ms + (after_s - before_s) * 1000
            self.free_ms[number] = min(moved_ms, self.now_ms + after_s * 1000)
        for holder, seat in [*self.seats.items()]:
            mine = [it.expires_ms for it in self.sessions.values() if it.holder == holder]
            seat.expires_ms = max([self.held_ms(seat), self.now_ms, *mine])
            if seat.expires_ms <= self.now_ms:
                self.give_back(holder)


def seen(outcome: Outcome | Exception) -> Seen:
    """The part of an outcome that the model predicts."""
    match outcome:
        case Granted(session=session, access_expires_at_ms=access_ms, seat_number=number):
            return ("granted", number, session.expires_at_ms, access_ms)
        case Denied(reason=reason):
            return ("denied", reason.value)
        case SessionUnknown():
            return ("unknown",)
        case Ended(session=session):
            return ("ended", session is not None)
        case Swept():
            return ("swept",)
        case _:
            raise AssertionError(outcome)


Drawn = dict[str, Any]
