"""What a decision is: the changes of a book, in one batch or in several."""

from collections import Counter

from licet.ledger.book import GrantDenied, SeatTaken, SessionEnded, SessionRenewed, SessionStarted
from licet.ledger.commands import Sweep
from licet.ledger.rules import decide
from licet.model import EndReason, NoSeatReason
from support.examples import SMALL, end, grant, jim_test, refresh, view
from support.ledger.memory_ledger import MemoryLedger, fill, limited


class TestDeciding:
    """What holds for every decision."""

    def test_deciding_alone_changes_nothing_so_that_what_is_not_saved_was_never_true(self) -> None:
        """L9."""
        ledger = MemoryLedger()
        ledger.batch(grant(1, 1))
        book = ledger.open()
        for command in (grant(1, 2), grant(2, 2), view(1, 2), refresh(1, 1), end(1), Sweep(sessions_max=1)):
            before = (dict(book.sessions), dict(book.seats), dict(book.in_use), list(book.changes))
            assert decide(book, command, ledger.clock.now_ms()) == decide(
                book, command, ledger.clock.now_ms()
            )
            assert (book.sessions, book.seats, book.in_use, book.changes) == before

    def test_an_administrator_ends_a_session_of_a_full_pool_without_a_seat_of_its_own(self) -> None:
        """L10. Neither that nor a sweep ever takes a seat."""
        ledger = MemoryLedger()
        fill(ledger)
        ledger.batch(end(1, EndReason.ADMINISTRATOR), Sweep(sessions_max=10))
        assert ledger.in_use == 4
        assert not any(isinstance(change, SeatTaken) for change in ledger.book.changes)

    def test_every_grant_denial_and_ending_is_among_the_changes(self) -> None:
        """L11. And nothing else is: who is refused or unknown is told, and not counted."""
        ledger = MemoryLedger(jim_test(pools=(SMALL,), clients=limited(1)))
        ledger.batch(
            grant(1, 1), grant(1, 2), grant(2, 3), view(3, 4), refresh(1, 2), end(2), end(2), grant(99, 5),
            grant(1, 6, pool_id=9), refresh(1, 404), refresh(3, 4, "all"),
        )  # fmt: skip
        kinds = Counter(type(change) for change in ledger.book.changes)
        assert (kinds[SessionStarted], kinds[GrantDenied], kinds[SessionEnded]) == (3, 1, 2)
        assert kinds[SessionRenewed] == 1

    def test_a_denial_tells_the_journal_who_was_denied_why_and_how_full_the_pool_was(self) -> None:
        """L11."""
        ledger = MemoryLedger()
        fill(ledger)
        ledger.one(grant(6, 6))
        assert ledger.book.changes == [
            GrantDenied(
                tenant_id=1,
                client_key=6,
                pool_id=1,
                reason=NoSeatReason.ALL_IN_USE,
                seats=5,
                in_use=5,
                at_ms=ledger.start_ms,
                address="192.0.2.1",
                scope="all",
            )
        ]
