"""The ledger of signed pools against a model of one number each: who had its last token, and when.

Hypothesis invents licences with ends, graces and gaps, batches of commands, and what an administrator sets;
it lets time go by to the very millisecond of a step or of the end of a hold.
"""

from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from msgspec.structs import replace

from licet.ledger.book import SeatTaken, SessionEnded
from licet.ledger.commands import Command, Denied, Granted, Outcome
from licet.ledger.signed_pools import room_of
from licet.model import Duplicates, Pool, Tenant
from support.examples import FULL, end, grant, jim_test, refresh
from support.ledger.counting import CLIENTS
from support.ledger.signed_ledger import SignedLedger, given, signed
from support.many import few

if TYPE_CHECKING:
    from licet.licences.licence import SignedLicence

HOLD_S = 60
KEYS = st.sampled_from([it.key for it in CLIENTS])
PICKED = st.integers(0, 4)
COMMANDS = st.one_of(
    st.tuples(st.just("grant"), KEYS),
    st.tuples(st.just("grant"), KEYS),
    st.tuples(st.just("refresh"), PICKED),
    st.tuples(st.just("end"), PICKED),
)
# Seconds from now at which licences begin and end: so near that steps fall within holds and sessions.
NEAR = st.sampled_from([0, 20, 50, 60, 70, 500, 1300])
LICENCES = st.fixed_dictionaries(
    {
        "from_s": NEAR,
        "to_s": st.one_of(st.none(), NEAR),
        "grace_s": st.sampled_from([0, 30]),
        "seats": st.integers(0, 3),
        "overdraft": st.sampled_from([0, 0, 1]),
    }
)
WAITS = st.one_of(
    st.sampled_from([0, 1, 999, 10_000, 59_999, 60_000]),
    st.tuples(st.integers(0, 3), st.sampled_from([-1, 0, 1])),
    st.sampled_from([1000, 1_199_999, 1_300_000]),
)


class SignedMachine(RuleBasedStateMachine):
    """A pool, and of each of its numbers its last token."""

    duplicates: ClassVar[Duplicates]

    def __init__(self) -> None:
        super().__init__()
        self.pool = replace(FULL, duplicates=type(self).duplicates)
        self.licences: list[SignedLicence] = []
        self.seats: int | None = None
        self.users = {it.key: it for it in CLIENTS}
        self.ledger = SignedLedger(self._tenant())
        self.tokens: dict[int, tuple[str, int]] = {}  # of each number: who had the last one, and when
        self.in_use = 0
        self.granted = 0

    @initialize(first=LICENCES, more=st.lists(LICENCES, max_size=2))
    def begin(self, first: dict[str, Any], more: list[dict[str, Any]]) -> None:
        """There is a licence, so that the pool is signed."""
        for number, it in enumerate([first, *more]):
            self._add(f"L{number}", 1, it)

    @rule(name=st.sampled_from(["L0", "L1", "L2"]), drawn=LICENCES)
    def renew(self, name: str, drawn: dict[str, Any]) -> None:
        """Another serial: it may give fewer seats, and later, with a gap between."""
        serials = [it.serial for it in self.licences if it.licence == name]
        self._add(name, max(serials, default=0) + 1, drawn)
        self._cut()

    @rule(seats=st.sampled_from([0, 1, 2, 3, None]))
    def limit(self, seats: int | None) -> None:
        """An administrator sets fewer seats; who is in stays."""
        self.seats = seats
        self.ledger.set_up(self._tenant())

    @rule(first=KEYS, second=KEYS, gap_s=st.integers(1, 70))
    def gap(self, first: int, second: int, gap_s: int) -> None:
        """A licence ends in ten seconds, and is renewed too late."""
        for times in ({"from_s": 0, "to_s": 10}, {"from_s": 10 + gap_s, "to_s": None}):
            serial = max((it.serial for it in self.licences if it.licence == "L0"), default=0) + 1
            self._add("L0", serial, {"seats": 2, **times})
        self._cut()
        self.granted += 1
        self._decide([grant(first, self.granted)])
        self.ask((10 + gap_s) * 1000, second)

    @rule(key=KEYS, initials=st.sampled_from(["TC", "C1"]), comes_back=st.booleans())
    def give_to_another(self, key: int, initials: str, comes_back: bool) -> None:
        """A client stands for another user from now on; its sessions end."""
        if comes_back:
            self.granted += 1
            self._decide([grant(key, self.granted)])
        live = [it.sid for it in self.ledger.open().sessions.values() if it.client_key == key]
        self._decide([end(int.from_bytes(it)) for it in live])
        user = next(it.user for it in CLIENTS if it.user.initials == initials)
        self.users[key] = replace(self.users[key], user=user)
        self.ledger.set_up(self._tenant())
        if comes_back:
            self.ask(0, key)

    @rule(wait=WAITS, asked=st.lists(COMMANDS, min_size=1, max_size=6))
    def batch(self, wait: int | tuple[int, int], asked: list[tuple[str, int]]) -> None:
        """Some commands are committed together."""
        self._wait(wait)
        live = sorted(self.ledger.open().sessions.values(), key=lambda it: it.sid, reverse=True)
        commands: list[Command] = []
        for kind, what in asked:
            if kind == "grant":
                self.granted += 1
                commands.append(grant(what, self.granted))
            elif what < len(live):
                number = int.from_bytes(live[what].sid)
                commands.append(end(number) if kind == "end" else refresh(live[what].client_key, number))
        self._decide(commands)

    @invariant()
    def seats_and_numbers_are_counted_right(self) -> None:
        """No more than there is room for, or overuse that only shrinks; each number once; none is lost."""
        book, now_ms = self.ledger.open(), self.ledger.clock.now_ms()
        in_use, signed_now = book.in_use[1], self._signed(now_ms)
        assert in_use == len(book.seats) <= max(room_of(self._pool(), now_ms), self.in_use)
        self.in_use = in_use
        numbers = [seat.number for seat in book.seats.values()]
        free = [number for _, number in self.ledger.kept.free]
        self.ledger.open()
        assert all(1 <= number <= signed_now for number in numbers)
        free = [number for _, number in self.ledger.kept.free]
        assert sorted([*numbers, *free]) == [*range(1, self.ledger.kept.used[1] + 1)]

    def _decide(self, commands: list[Command]) -> list[Outcome]:
        if not commands:
            return []
        outcomes, now_ms = self.ledger.batch(*commands), self.ledger.clock.now_ms()
        for outcome in outcomes:
            if isinstance(outcome, Granted) and outcome.seat_number:
                self._issue(outcome, now_ms)
        for change in self.ledger.book.changes:
            if isinstance(change, SeatTaken):
                assert change.seat.number <= self._signed(now_ms)
            if isinstance(change, SessionEnded):
                assert change.session.sid not in self.ledger.book.sessions
        return outcomes

    def _issue(self, granted: Granted, now_ms: int) -> None:
        """Of each number, tokens of different holders are a hold apart; a new one is the lowest free."""
        session = granted.session
        user = self.users[session.client_key].user.initials
        who = f"{session.holder} {user}"
        last = self.tokens.get(granted.seat_number)
        assert last is None or last[0] == who or now_ms - last[1] >= HOLD_S * 1000
        assert granted.access_expires_at_ms <= session.expires_at_ms
        self.tokens[granted.seat_number] = (who, now_ms)

    @rule(wait=WAITS, key=KEYS)
    def ask(self, wait: int | tuple[int, int], key: int) -> None:
        """A new seat has the lowest number that nobody has or had a token of within the hold."""
        self._wait(wait)
        book, now_ms = self.ledger.open(), self.ledger.clock.now_ms()
        had = {seat.number for seat in book.seats.values()}
        held = {it for it, (_, at_ms) in self.tokens.items() if now_ms - at_ms < HOLD_S * 1000}
        before = dict(book.seats)
        self.granted += 1
        [outcome] = self._decide([grant(key, self.granted)])
        if isinstance(outcome, Granted):
            assert outcome.session.holder is not None
            if (seat := before.get((1, outcome.session.holder))) is not None:
                assert outcome.seat_number == seat.number
            else:
                assert outcome.seat_number == min({*range(1, 100)} - had - held)
        else:
            assert isinstance(outcome, Denied)
            assert (outcome.reason == "licence_expired") == (self._signed(now_ms) == 0)

    def _add(self, name: str, serial: int, drawn: dict[str, Any]) -> None:
        moments = {
            key: None if drawn[key] is None else drawn[key] + -(-self.ledger.after_ms // 1000)
            for key in ("from_s", "to_s")
        }
        self.licences.append(given(name, serial, **(drawn | moments), hold_s=HOLD_S))
        self.ledger.set_up(self._tenant())

    def _cut(self) -> None:
        """What a change of the set-up does: nothing lives beyond what its number is signed for."""
        book, now_ms, pool = self.ledger.open(), self.ledger.clock.now_ms(), self._pool()
        assert pool.signed is not None
        for key, seat in book.seats.items():
            until_ms = pool.signed.ends_at_ms(seat.number, now_ms)
            if until_ms is None:
                continue
            cut = replace(seat, expires_at_ms=min(seat.expires_at_ms, until_ms))
            book.seats[key] = self.ledger.kept.seats[key] = cut
            for sid in book.sessions_of_seat.get(key, ()):
                session = book.sessions[sid]
                book.sessions[sid] = replace(session, expires_at_ms=min(session.expires_at_ms, until_ms))

    def _tenant(self) -> Tenant:
        return jim_test(pools=(self._pool(),), clients=tuple(self.users.values()), access_ttl_s=60)

    def _pool(self) -> Pool:
        return signed(self.licences, self.pool, seats=self.seats)

    def _signed(self, now_ms: int) -> int:
        seats = self._pool().signed
        assert seats is not None
        return seats.at(now_ms).signed

    def _wait(self, wait: int | tuple[int, int]) -> None:
        """Let time go by: just so long, or until a step, or an end of a hold or session."""
        now_ms = self.ledger.clock.now_ms()
        if isinstance(wait, tuple):
            seats = self._pool().signed
            assert seats is not None
            moments = [step.from_ms for step in seats.after(now_ms)]
            moments += [at_ms + HOLD_S * 1000 for _, at_ms in self.tokens.values()]
            moments += [seat.expires_at_ms for seat in self.ledger.open().seats.values()]
            ahead = sorted({it for it in moments if it > now_ms})[wait[0] : wait[0] + 1]
            wait = ahead[0] + wait[1] - now_ms if ahead else 0
        self.ledger.wait_ms(wait)


def run(duplicates: Duplicates, examples_max: int) -> None:
    """The same examples at every run."""
    kind = type("SignedMachineOfAKind", (SignedMachine,), {"duplicates": duplicates})
    run_state_machine_as_test(
        kind,
        settings=settings(
            derandomize=True,
            max_examples=examples_max,
            stateful_step_count=25,
            deadline=None,
            database=None,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )


@pytest.mark.parametrize("examples", few([15, 60], 1))
def test_one_holder_a_number_at_a_time_where_clients_are_counted(examples: int) -> None:
    """L13, L14, L18."""
    run(Duplicates.CLIENT, examples)


@pytest.mark.parametrize("examples", few([15, 60], 1))
def test_one_holder_a_number_at_a_time_where_users_are_counted(examples: int) -> None:
    """L13, L14, L18."""
    run(Duplicates.USER, examples)
